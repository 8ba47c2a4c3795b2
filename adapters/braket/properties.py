"""What Braket says of a device: its ``deviceCapabilities``, of whichever schema version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time
from functools import cached_property
from itertools import permutations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from adapters.braket.aws import Reply, checked
from adapters.braket.errors import Malformed
from adapters.braket.gates import PORTABLE, native_names

OPENQASM = "braket.ir.openqasm.program"
PROGRAM_SET = "braket.ir.openqasm.program_set"
_LARGEST = 10**12

Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(ge=0, le=1e30)]


class QueueInfo(Reply):
    queue: str
    queue_size: str


class DeviceReply(Reply):
    """Of ``GetDevice``."""

    device_arn: str
    device_name: str
    provider_name: str
    device_type: Literal["QPU", "SIMULATOR"]
    device_status: str
    device_capabilities: str
    device_queue_info: tuple[QueueInfo, ...] = ()


class ExecutionWindow(Reply):
    """A time of day, UTC, on some days."""

    execution_day: str
    window_start_hour: time
    window_end_hour: time


class Cost(Reply):
    price: float
    unit: str


class Service(Reply):
    execution_windows: tuple[ExecutionWindow, ...] = ()
    shots_range: tuple[Count, Count]
    reservation_shots_range: tuple[Count, Count] | None = None
    device_cost: Cost | None = None
    updated_at: datetime | None = None
    get_task_poll_interval_millis: Count | None = None


class Action(Reply):
    """One of the program kinds that it takes; fields of others stay unset."""

    supported_operations: tuple[str, ...] | None = None
    requires_all_qubits_measurement: bool | None = None
    maximum_executables: Count | None = None
    maximum_total_shots: Count | None = None


class Connectivity(Reply):
    fully_connected: bool = False
    connectivity_graph: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Paradigm(Reply):
    qubit_count: Annotated[int, Field(ge=0, le=100_000)] = 0
    native_gate_set: tuple[str, ...] = ()
    connectivity: Connectivity | None = None


class Amount(Reply):
    value: Number
    standard_error: Number | None = None
    unit: str = "s"


class FidelityType(Reply):
    name: str


class Fidelity(Reply):
    fidelity: Fraction
    standard_error: Fraction | None = None
    fidelity_type: FidelityType | None = None
    gate_name: str = ""
    direction: dict[str, int] | None = None


class QubitProperties(Reply):
    t1: Amount | None = Field(None, alias="T1")
    t2: Amount | None = Field(None, alias="T2")
    one_qubit_fidelity: tuple[Fidelity, ...] = ()


class PairProperties(Reply):
    two_qubit_gate_fidelity: tuple[Fidelity, ...] = ()


class Standardized(Reply):
    """Versions 1 and 2 give everything for each qubit and pair, version 3 much for the device."""

    one_qubit_properties: dict[str, QubitProperties] | None = None
    two_qubit_properties: dict[str, PairProperties] | None = None
    t1: Amount | None = Field(None, alias="T1")
    t2: Amount | None = Field(None, alias="T2")
    readout_fidelity: tuple[Fidelity, ...] | None = None
    readout_duration: Amount | None = None
    single_qubit_gate_duration: Amount | None = None
    single_qubit_fidelity: tuple[Fidelity, ...] | None = None
    two_qubit_gate_fidelity: tuple[Fidelity, ...] | None = None
    two_qubit_gate_duration: Amount | None = None
    updated_at: datetime | None = None


def _object(found: object) -> object:
    return found or None


class Properties(Reply):
    """What the adapter reads of ``deviceCapabilities``."""

    service: Service
    action: dict[str, Action]
    paradigm: Paradigm | None = None
    standardized: Annotated[Standardized | None, BeforeValidator(_object)] = None
    provider: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Facts:
    """A gate-model device as the adapter sees it.

    Attributes:
        qpu: Whether circuits are compiled for it here.
    """

    name: str
    provider: str
    qpu: bool
    properties: Properties

    @property
    def num_qubits(self) -> int:
        if self.qpu:
            return len(self.labels)
        paradigm = self.properties.paradigm
        return 0 if paradigm is None else paradigm.qubit_count

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """The vendor's numbers of its qubits, ascending; ours are their places here."""
        paradigm = self.properties.paradigm
        assert paradigm is not None
        graph = paradigm.connectivity or Connectivity()
        told = self.properties.standardized
        named = set(told.one_qubit_properties or ()) if told else set()
        for qubit, others in graph.connectivity_graph.items():
            named |= {qubit, *others}
        if not named:
            return tuple(range(paradigm.qubit_count))
        return tuple(sorted(self._number(name) for name in named))

    @cached_property
    def index(self) -> dict[int, int]:
        """Our number of each of the vendor's qubits."""
        return {label: place for place, label in enumerate(self.labels)}

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Coupled qubits, in both directions, by our numbers."""
        paradigm = self.properties.paradigm
        assert paradigm is not None
        graph = paradigm.connectivity or Connectivity()
        if graph.fully_connected or not graph.connectivity_graph:
            return tuple(permutations(range(len(self.labels)), 2))
        found = set()
        for one, others in graph.connectivity_graph.items():
            for other in others:
                pair = (self.index[self._number(one)], self.index[self._number(other)])
                found |= {pair, pair[::-1]}
        return tuple(sorted(found))

    def place(self, name: str) -> tuple[int, ...]:
        """Our numbers of a qubit ``"3"`` or a pair ``"3-4"``."""
        try:
            return tuple(self.index[self._number(part)] for part in name.split("-"))
        except KeyError:
            raise Malformed.of(f"for the properties of {self.name}", f"qubits {name}") from None

    @property
    def quarter_turns(self) -> bool:
        return self.provider.lower() == "rigetti"

    @cached_property
    def native_gates(self) -> tuple[str, ...] | None:
        """By Qiskit's names; ``None`` where some have none, and Braket compiles itself."""
        paradigm = self.properties.paradigm
        assert paradigm is not None
        return native_names(paradigm.native_gate_set, quarter_turns=self.quarter_turns)

    @property
    def gates(self) -> tuple[str, ...]:
        """What circuits are compiled to here; nothing for a simulator."""
        return (self.native_gates or PORTABLE) if self.qpu else ()

    @property
    def verbatim(self) -> bool:
        """Whether circuits run gate by gate on the qubits that were chosen here."""
        return self.qpu and self.native_gates is not None

    @property
    def operations(self) -> frozenset[str]:
        """Braket's names of what its programs may hold outside verbatim boxes."""
        return frozenset(
            map(str.lower, self.properties.action[OPENQASM].supported_operations or ())
        )

    @property
    def measures_all(self) -> bool:
        return bool(self.properties.action[OPENQASM].requires_all_qubits_measurement)

    @property
    def program_set(self) -> Action | None:
        """Its limits of program sets, where it takes them."""
        found = self.properties.action.get(PROGRAM_SET)
        return found if found is not None and found.maximum_executables else None

    def _number(self, name: str) -> int:
        # AQT and others may write q3.
        digits = name.lower().lstrip("q")
        if not digits.isdecimal() or len(digits) > 6:
            raise Malformed.of(f"for the properties of {self.name}", f"a qubit named {name!r}")
        return int(digits)


def read_properties(text: str, device: str) -> Properties:
    """From ``deviceCapabilities``, or a file of it.

    Raises:
        MalformedReply: It does not fit its schemas.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed.of(f"for the properties of {device}", text) from None
    return checked(Properties, found, f"for the properties of {device}")


def facts_of(reply: DeviceReply) -> Facts | None:
    """``None`` for a device that runs no circuits."""
    properties = read_properties(reply.device_capabilities, reply.device_arn)
    if OPENQASM not in properties.action:
        return None
    qpu = reply.device_type == "QPU"
    paradigm = properties.paradigm
    if paradigm is None or not paradigm.qubit_count or (qpu and not paradigm.native_gate_set):
        raise Malformed.of(f"for the properties of {reply.device_arn}", "no paradigm of gates")
    return Facts(reply.device_name, reply.provider_name, qpu, properties)
