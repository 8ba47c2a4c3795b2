"""What a job is made of, before anybody relies on it: its sizes, its names, its text.

Nothing of it is parsed as a program here, and nothing of it is run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qcpaas.errors import CircuitError, InputError, PackingError
from qcpaas.packing import MAX_BUNDLE_BYTES
from qcpaas.schemas import Bundle, CircuitJob, CircuitPayload, WorkloadJob

MAX_MODULES = 1000
MAX_REQUIREMENTS = 2000
MAX_DEPTH = 20
MAX_NAME = 200
MAX_NESTING = 60
MAX_ITEMS = 10_000
MAX_QUBITS = 10_000
_REQUIREMENT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", re.ASCII)
_IN_BRACKETS = re.compile(r"\[\s*(\d+)\s*\]")


def content_key(job: CircuitJob | WorkloadJob) -> str:
    """What two submissions of the same job have in common, whatever their ids.

    What the client left to the platform, such as the seed, is no part of it.

    Raises:
        InputError: It holds what no database and no JSON can hold.
    """
    given = job.model_dump(mode="json", exclude_unset=True, exclude={"job_id", "traceparent"})
    given["kind"] = job.kind
    _check_texts(given)
    try:
        text = json.dumps(given, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise InputError(f"the job holds text that is no Unicode: {error.reason}.") from None
    except ValueError:
        raise InputError(
            "the job holds numbers that are not finite (NaN, Infinity). JSON has none of them."
        ) from None


def check_content(job: CircuitJob | WorkloadJob) -> None:
    """Refuse what is too much, or is named so that it could end up elsewhere.

    Raises:
        InputError: The subclass says what is wrong; nothing was spent.
    """
    if len(job.name) > MAX_NAME:
        raise InputError(f"the job's name has {len(job.name)} characters; {MAX_NAME} are kept.")
    deadline = job.scheduling.deadline
    if deadline is not None and deadline.tzinfo is None:
        raise InputError("the job's deadline has no time zone. Add one, such as a final Z.")
    if isinstance(job, WorkloadJob):
        check_bundle(job.bundle)
        return
    if len(job.items) > MAX_ITEMS:
        raise CircuitError(
            f"the job has {len(job.items)} circuits; {MAX_ITEMS} can be in one. Send several jobs."
        )
    for item in job.items:
        check_circuit_text(item.circuit)


def check_bundle(bundle: Bundle) -> None:
    """Raises `PackingError` unless a bundle has the form in which `qcpaas.packing` makes them."""
    if len(bundle.modules) > MAX_MODULES:
        raise PackingError(
            f"the workload has {len(bundle.modules)} modules; {MAX_MODULES} can travel. Install "
            "what it imports on the worker as a package."
        )
    for name in (*bundle.modules, *bundle.packages):
        _check_module_name(name)
    if bundle.entry.partition(":")[0] not in bundle.modules:
        raise PackingError(f"the workload's entry {bundle.entry} is in none of its modules.")
    if len(bundle.requirements) > MAX_REQUIREMENTS:
        raise PackingError(f"the workload needs {len(bundle.requirements)} distributions.")
    for requirement in bundle.requirements:
        if not _REQUIREMENT.fullmatch(requirement.name) or len(requirement.version) > MAX_NAME:
            raise PackingError(f"{requirement.name[:80]!r} is no name of a distribution.")
    size = sum(len(source.encode()) for source in bundle.modules.values())
    if size > MAX_BUNDLE_BYTES:
        raise PackingError(
            f"the workload's source has {size / 1e6:.1f} MB; {MAX_BUNDLE_BYTES / 1e6:.0f} MB can "
            "travel. Pass data as inputs, or install the module on the worker as a package."
        )


def check_circuit_text(circuit: CircuitPayload) -> None:
    """Raises `CircuitError` for a register larger than any device, which costs memory to read."""
    if circuit.format not in {"qasm2", "qasm3"}:
        return
    largest = max((int(size) for size in _IN_BRACKETS.findall(circuit.text)), default=0)
    if largest > MAX_QUBITS:
        raise CircuitError(
            f"circuit {circuit.name} names a register or an index of {largest}; no device has more "
            f"than {MAX_QUBITS} qubits."
        )


def _check_module_name(name: str) -> None:
    parts = name.split(".")
    if len(name) > MAX_NAME or len(parts) > MAX_DEPTH or not all(map(str.isidentifier, parts)):
        raise PackingError(
            f"{name[:80]!r} is no module's name: names with dots between, at most {MAX_DEPTH} of "
            f"them and {MAX_NAME} characters together."
        )


def _check_texts(content: Any) -> None:
    """Raises `InputError` for a zero character, or for what is nested too deep to be kept."""
    level: list[Any] = [content]
    for _ in range(MAX_NESTING):
        level = list(_inside(level))
        if not level:
            return
    raise InputError(f"the job is nested deeper than {MAX_NESTING} levels.")


def _inside(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, str) and "\x00" in value:
            raise InputError("the job holds a zero character, which no database keeps in a text.")
        if isinstance(value, Mapping):
            yield from value.keys()
            yield from value.values()
        elif isinstance(value, list):
            yield from value
