"""Where a circuit would lie on a device now, found quickly."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from math import inf

from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.transpiler import Target, generate_preset_pass_manager

from adapters.compiler_stages import compiling
from adapters.target import out_of_order, restrict
from calibration.binding import Bound, readout_errors
from calibration.dynamic import adapt_circuit
from calibration.parts import PORTFOLIOS
from calibration.portfolio import portfolio_key
from calibration.template import Template
from calibration.workload import has_measurement, measurement_s
from qcpaas.errors import CalibrationError, CircuitError, QCPaaSError
from qcpaas.execution import Binding
from qcpaas.parts import has_parts, whole
from qcpaas.schemas import ExecutionSettings
from store.snapshot import Snapshot
from tasks.device import Device

KEPT = 256
SEED = 11
# Level 1 takes 1 s for 3,000 instructions on a loaded machine; beyond this, nothing is laid out.
LARGEST = 50_000


@dataclass(frozen=True, eq=False)
class Laid:
    """A circuit where it would lie.

    Attributes:
        bound: In the device's gates, on its qubits.
        log_esp: Natural log of the expected success probability.
        duration_s: Of one shot, readout included.
        how: How the place was found.
    """

    bound: Bound
    log_esp: float
    duration_s: float
    how: str


@dataclass(frozen=True)
class NotLaid:
    """Why a circuit lies nowhere.

    Attributes:
        fatal: A job would fail for the same reason.
    """

    why: str
    fatal: bool


class Layouts:
    """Of one device, remembered for each circuit and calibration; threads may share it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: OrderedDict[tuple[object, ...], Laid | NotLaid] = OrderedDict()
        self._lock = threading.Lock()
        self._targets: tuple[str, Target, list[int]] | None = None

    def of(
        self,
        key: str,
        circuit: QuantumCircuit,
        snapshot: Snapshot,
        settings: ExecutionSettings,
        until: float = inf,
    ) -> Laid | NotLaid:
        """By the routings that a job has left in the store, else by one quick routing.

        Args:
            key: Of the circuit.
            until: By `time.monotonic`; nothing new is laid out any later.
        """
        corrections = self._device.corrections(settings.binding)
        known = (key, snapshot.content_id, corrections.version, settings.gate_for_gate)
        with self._lock:
            if known not in self._kept:
                if time.monotonic() > until:
                    return NotLaid("there was no time left for it; ask for fewer devices", False)
                self._kept[known] = self._found(circuit, snapshot, settings)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(known)
            return self._kept[known]

    def _found(
        self, circuit: QuantumCircuit, snapshot: Snapshot, settings: ExecutionSettings
    ) -> Laid | NotLaid:
        if circuit.size() > LARGEST:
            return NotLaid(f"{circuit.size():,} instructions are too many to lay out now", False)
        try:
            if settings.gate_for_gate:
                place = tuple(range(circuit.num_qubits))
                return self._scored(Template.in_place(circuit, place), snapshot, "as given")
            return self._compiled(circuit, snapshot, settings) or self._quick(circuit, snapshot)
        except QCPaaSError as error:
            return NotLaid(str(error), fatal=True)
        except QiskitError as error:
            why = f"circuit {circuit.name} cannot be compiled for this device: {error.message}"
            return NotLaid(why, fatal=True)

    def _compiled(
        self, circuit: QuantumCircuit, snapshot: Snapshot, settings: ExecutionSettings
    ) -> Laid | None:
        device = self._device
        adapted = adapt_circuit(circuit, device.name, device.capabilities, snapshot)
        portfolio = device.compiled.recall(
            portfolio_key(adapted.circuit, snapshot.topology_id), PORTFOLIOS
        )
        if portfolio is None:
            return None
        try:
            bound = device.binder.bind(portfolio, snapshot, device.corrections(settings.binding))
        except CalibrationError:  # it fits nowhere: a job would be compiled around what is dead
            return None
        return self._of(bound, snapshot, f"placed as a job would be: {bound.binding.reason}")

    def _quick(self, circuit: QuantumCircuit, snapshot: Snapshot) -> Laid:
        device = self._device
        adapted = adapt_circuit(circuit, device.name, device.capabilities, snapshot)
        plain = whole(adapted.circuit) if has_parts(adapted.circuit) else adapted.circuit
        target, alive = self._working(snapshot)
        if plain.num_qubits > len(alive):
            raise CircuitError(
                f"circuit {circuit.name} needs {plain.num_qubits} qubits; of those of "
                f"{device.name}, {len(alive)} work. Choose another device."
            )
        with compiling():
            manager = generate_preset_pass_manager(
                optimization_level=1, target=target, seed_transpiler=SEED
            )
            routed = manager.run(plain)
        ends = routed.layout.final_index_layout() if routed.layout else range(plain.num_qubits)
        template = Template.compact(routed, list(ends))
        home = tuple(alive[qubit] for qubit in template.home)
        return self._scored(
            replace(template, home=home),
            snapshot,
            "one quick routing; the choice among many at the start does as well or better",
        )

    def _working(self, snapshot: Snapshot) -> tuple[Target, list[int]]:
        """The part of the device that works, and its qubits."""
        if self._targets is None or self._targets[0] != snapshot.content_id:
            dead = out_of_order(snapshot)
            lost = {place[0] for place in dead if len(place) == 1}
            alive = [qubit for qubit in range(snapshot.num_qubits) if qubit not in lost]
            pairs = [place for place in dead if len(place) == 2]
            target = restrict(self._device.target(snapshot), alive, without=pairs)
            self._targets = (snapshot.content_id, target, alive)
        return self._targets[1:]

    def _scored(self, template: Template, snapshot: Snapshot, how: str) -> Laid:
        binder, home = self._device.binder, template.home
        binding = Binding(
            physical_qubits=home,
            snapshot_id=snapshot.content_id,
            readout_errors=readout_errors(snapshot, home),
            basis_gates=binder.basis_gates,
            log_fidelity=binder.placer.value(template, home, snapshot),
            duration_s=binder.placer.duration_s(template, home, snapshot),
            reason=how,
            positions=template.positions,
        )
        return self._of(Bound(template.circuit, template, binding), snapshot, how)

    def _of(self, bound: Bound, snapshot: Snapshot, how: str) -> Laid:
        read_s = 0.0
        if not has_measurement(bound.circuit):  # an observable's circuits are read at their end
            read_s = measurement_s(snapshot, bound.binding.physical_qubits)
        log_esp = bound.binding.log_fidelity or 0.0
        return Laid(bound, log_esp, bound.binding.duration_s + read_s, how)
