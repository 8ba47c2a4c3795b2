"""IBM's backends at the loopback server, for the conformance suite."""

from contextlib import contextmanager
from datetime import datetime

from qcpaas.calibration import Quantity
from store.snapshot import Reading
from vendors import ibm, ibm_device, ibm_tls
from vendors.process import VendorServer
from vendors.subjects import Subject

LABELS = ("ibm", "local")


def environment(server):
    """Under which the unmodified client reaches the server on IBM's own addresses."""
    certificate = ibm_tls.certificate(server.state.parent)
    return {
        "HTTPS_PROXY": server.url,
        "https_proxy": server.url,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "REQUESTS_CA_BUNDLE": str(certificate),
        "QISKIT_IBM_TOKEN": ibm.API_KEY,
        "QISKIT_IBM_INSTANCE": ibm.CRN,
        "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
    }


@contextmanager
def subjects(folder):
    with VendorServer("ibm", folder / "ibm.db") as server:
        yield [
            Subject(
                name="ibm:ibm_fractional",
                environment=environment(server),
                wrong_credentials={"QISKIT_IBM_TOKEN": "no-such-api-key-9876543210"},
                server=server,
                served=lambda number: served("ibm_fractional", number),
            ),
            Subject(
                name="ibm:local:fake_athens",
                slack=0.12,
                environment={"QISKIT_IBM_CHANNEL": "local"},
            ),
        ]


def served(name, number):
    """Read with Qiskit's own model of the properties, one value after another."""
    from qiskit_ibm_runtime.models import BackendProperties

    told = ibm_device.properties(name, number)
    for entries in [*told["qubits"], *(gate["parameters"] for gate in told["gates"])]:
        for entry in entries:
            entry["date"] = datetime.fromisoformat(entry["date"])
    told["last_update_date"] = datetime.fromisoformat(told["last_update_date"])
    properties = BackendProperties.from_dict(told)
    return [*_of_qubits(properties), *_of_gates(properties)]


_QUBIT = {
    "T1": Quantity.T1_S,
    "T2": Quantity.T2_S,
    "frequency": Quantity.FREQUENCY_HZ,
    "anharmonicity": Quantity.ANHARMONICITY_HZ,
    "readout_length": Quantity.READOUT_DURATION_S,
    "prob_meas1_prep0": Quantity.READOUT_P10,
    "prob_meas0_prep1": Quantity.READOUT_P01,
}
_GATE = {"gate_error": Quantity.GATE_ERROR, "gate_length": Quantity.GATE_DURATION_S}


def _of_qubits(properties):
    for qubit in range(len(properties.qubits)):
        for name, (value, date) in properties.qubit_property(qubit).items():
            if name in _QUBIT:
                yield Reading(_QUBIT[name], (qubit,), value, date)


def _of_gates(properties):
    for gate in properties.gates:
        known = properties.gate_property(gate.gate, gate.qubits)
        for name, (value, date) in known.items():
            if name in _GATE:
                yield Reading(_GATE[name], tuple(gate.qubits), value, date, gate.gate)
