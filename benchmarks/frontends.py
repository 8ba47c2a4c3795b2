"""``python -m benchmarks.frontends``: the conversion matrix of circuits from any framework."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.exceptions import QiskitError

from benchmarks.frontends_circuits import Case, Family, Matrix, families
from benchmarks.frontends_forms import Target, targets
from benchmarks.report import Options, Report, median, ratio_of_sums, run_benchmark
from qcpaas.circuit_items import circuit_items
from qcpaas.circuits import from_payload
from qcpaas.errors import QCPaaSError
from qcpaas.schemas import CircuitPayload

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

TOLERANCE = 1e-7  # of 1 - |tr(A^+ B)| / d


def measure(options: Options, report: Report) -> None:
    """Random circuits of every framework, read and written, compared by their unitaries."""
    warnings.simplefilter("ignore")
    size = 12 if options.quick else 100
    forms = targets()
    total = 0
    for family in families():
        plain = Cells(family, forms, size, options.seed, symbolic=False)
        plain.add_to(report)
        total += sum(plain.unequal.values())
        if family.refuses:
            report.add(f"symbols_{family.name}", 0, "of 0", note=f"none: {family.refuses}")
            continue
        symbolic = Cells(family, forms, size, options.seed + 1, symbolic=True)
        symbolic.add_symbols_to(report)
        total += sum(symbolic.unequal.values())
    names = ", ".join(form.name for form in forms)
    report.add(
        "unequal_conversions",
        total,
        "count",
        aim=0,
        better="equal",
        note=f"{size} circuits a cell, 3 to 5 qubits; into {names}",
    )


class Cells:
    """One framework's row of the matrix: the same circuits into every form."""

    def __init__(
        self, family: Family, forms: list[Target], size: int, seed: int, *, symbolic: bool
    ) -> None:
        self.family, self.forms, self.size, self.seed = family, forms, size, seed
        self.unequal: Counter[str] = Counter()
        self.kept = 0
        self.why = ""
        self.ours_s: list[float] = []
        self.peer_s: list[float] = []
        rng = np.random.default_rng(seed)
        for _ in range(size):
            self._convert(family.make(rng, symbolic))

    def _convert(self, case: Case) -> None:
        began = time.perf_counter()
        try:
            circuit = read(case)
        except QCPaaSError as error:
            self.unequal["circuit"] += 1
            self.why = str(error)
            return
        self.ours_s.append(time.perf_counter() - began)
        self._time_peer(case)
        names = [parameter.name for parameter in circuit.parameters]
        self.kept += set(names) == set(case.values)
        values = [case.values.get(name, 0.0) for name in names]
        for form in self.forms:
            self.unequal[form.name] += not self._is_equal(form, circuit, values, case)

    def _is_equal(
        self, form: Target, circuit: QuantumCircuit, values: list[float], case: Case
    ) -> bool:
        try:
            same = equal(form.turn(circuit, values), case.unitary)
        except (QCPaaSError, QiskitError, ValueError, TypeError, NotImplementedError) as error:
            self.why = f"{form.name}: {error!s:.120}"
            return False
        if not same:
            self.why = f"{form.name}: another unitary"
        return same

    def _time_peer(self, case: Case) -> None:
        peer = PEERS.get(self.family.name, (None, ""))[0]
        if peer is None or case.values:
            return
        began = time.perf_counter()
        try:
            peer(case.circuit)
        except (QiskitError, ValueError, TypeError, NotImplementedError):
            self.ours_s.pop()  # what the peer cannot convert is not compared
            return
        self.peer_s.append(time.perf_counter() - began)

    def add_to(self, report: Report) -> None:
        for form in self.forms:
            report.add(
                f"unequal_{self.family.name}_to_{form.name}",
                self.unequal[form.name],
                f"of {self.size}",
                aim=0,
                better="equal",
                note=self.why if self.unequal[form.name] else "",
            )
        if len(self.peer_s) > 2:
            interval = ratio_of_sums(self.ours_s, self.peer_s, self.seed)
            peer = PEERS[self.family.name][1]
            note = f"{interval}, {len(self.peer_s)} circuits that the peer can convert"
            report.add(f"time_{self.family.name}", interval.value, "ratio", peer=peer, note=note)
            return
        interval = median([1e3 * seconds for seconds in self.ours_s], self.seed)
        report.add(
            f"time_{self.family.name}", interval.value, "ms", peer="none", note=f"{interval}"
        )

    def add_symbols_to(self, report: Report) -> None:
        unequal = sum(self.unequal.values())
        note = f"{unequal} unequal: {self.why}" if unequal else "equal at the values given"
        report.add(
            f"symbols_{self.family.name}",
            self.kept,
            f"of {self.size}",
            aim=self.size,
            better="equal",
            note=note,
        )


def read(case: Case) -> QuantumCircuit:
    """The circuit as a job would have it, without measurements."""
    given = case.circuit
    if isinstance(given, tuple):
        given = CircuitPayload(format=given[0], text=given[1])
    rows = [list(case.values.values())] if case.values else None
    (item,) = circuit_items([given], parameter_values=None if rows is None else [rows])
    circuit = from_payload(item.circuit)
    circuit.remove_final_measurements()
    return circuit


def equal(ours: Matrix, exact: Matrix) -> bool:
    """Whether two unitaries are the same up to a global phase."""
    if ours.shape != exact.shape:
        return False
    return bool(abs(1 - abs(np.vdot(ours, exact)) / len(exact)) < TOLERANCE)


def _cirq_by_qasm(circuit: Any) -> None:
    import cirq
    from qiskit import qasm2

    text = cirq.qasm(circuit)
    qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)


def _pennylane_by_qasm(tape: Any) -> None:
    import pennylane
    from qiskit import qasm2

    text = pennylane.to_openqasm(tape)
    qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)


PEERS: dict[str, tuple[Callable[[Any], None], str]] = {
    "cirq": (_cirq_by_qasm, "Cirq through OpenQASM 2"),
    "pennylane": (_pennylane_by_qasm, "PennyLane through OpenQASM 2"),
}


def main() -> None:
    run_benchmark("frontends", measure)


if __name__ == "__main__":
    main()
