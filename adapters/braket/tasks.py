"""What a submission becomes on Braket: one quantum task, or a few.

A task runs a program at one point, or, where the device takes program sets, many programs at many
points with equal shots. A submission with more shots in all than one task may have is sent as
several; they are one device job here, whose id is their ARNs.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.braket.circuits import Program
from adapters.braket.properties import OPENQASM, PROGRAM_SET

TOKEN_TAG = "qcpaas-token"  # noqa: S105 - names a tag
PART_TAG = "qcpaas-part"
SEPARATOR = " "


@dataclass(frozen=True)
class Limits:
    """Of one task.

    Attributes:
        executables: Programs and points in a set; 1 where the device takes no sets.
        total_shots: Of all executables together.
    """

    executables: int = 1
    total_shots: int | None = None

    def room(self, shots: int) -> int:
        """How many executables with so many shots one task holds."""
        fitting = self.executables if self.total_shots is None else self.total_shots // shots
        return max(1, min(self.executables, fitting))


@dataclass(frozen=True)
class Run:
    """Consecutive points of one experiment."""

    experiment: int
    start: int
    stop: int


@dataclass(frozen=True)
class Task:
    """Attributes:
    shots: For each executable.
    """

    runs: tuple[Run, ...]
    shots: int

    @property
    def executables(self) -> int:
        return sum(run.stop - run.start for run in self.runs)

    @property
    def total_shots(self) -> int:
        return self.shots * self.executables


def divide(points: Sequence[int], shots: int, limits: Limits) -> list[Task]:
    """The tasks of a submission, in its order.

    Args:
        points: Of each experiment.
        shots: For each point.
    """
    room = limits.room(shots)
    places = [(e, point) for e, number in enumerate(points) for point in range(number)]
    tasks = []
    for start in range(0, len(places), room):
        mine = places[start : start + room]
        by_experiment = itertools.groupby(mine, key=operator.itemgetter(0))
        groups = [(e, [point for _, point in group]) for e, group in by_experiment]
        tasks.append(Task(tuple(Run(e, g[0], g[-1] + 1) for e, g in groups), shots))
    return tasks


def write_action(task: Task, programs: Sequence[Program]) -> str:
    """The task's ``action``: a program, or a program set."""
    actions = [_program(programs[run.experiment], run, task) for run in task.runs]
    if task.executables == 1:
        return json.dumps(actions[0])
    header = {"name": PROGRAM_SET, "version": "1"}
    return json.dumps({"braketSchemaHeader": header, "programs": actions})


def client_token(token: str, part: int) -> str:
    """Braket's idempotency token of one task, at most 64 characters."""
    return hashlib.sha256(f"{token}/{part}".encode()).hexdigest()


def _program(program: Program, run: Run, task: Task) -> dict[str, object]:
    inputs: dict[str, object] = {}
    for name, values in program.inputs.items():
        chosen = list(values[run.start : run.stop])
        inputs[name] = chosen if task.executables > 1 else chosen[0]
    header = {"name": OPENQASM, "version": "1"}
    return {"braketSchemaHeader": header, "source": program.source, "inputs": inputs}


def part_of(tag: str) -> tuple[int, int] | None:
    """(part, of how many) from the value of `PART_TAG`."""
    part, slash, total = tag.partition("/")
    if not slash or not part.isdecimal() or not total.isdecimal():
        return None
    return int(part), int(total)
