"""Rigetti's devices under test: a QVM, and a processor behind QCS."""

from contextlib import contextmanager
from datetime import datetime

from qcpaas.calibration import Quantity
from store.snapshot import Reading
from vendors.process import VendorServer
from vendors.qcs import write_profile
from vendors.qcs_isa import NODES, isa
from vendors.subjects import NoSuchFault, Subject

LABELS = ("qvm", "qcs")
QUICK = LABELS  # an adapter each
PROCESSOR = "Ankaa-3"
# Quil's gates by Qiskit's names, where the instruction itself has its fidelity.
PAIRS = {"ISWAP": "iswap", "CZ": "cz"}


class QvmServer(VendorServer):
    """A QVM runs a program while its client waits: nothing is accepted, queued or lost."""

    def set(self, **faults):
        for name in ("lose_replies", "delay_s", "queue"):
            if faults.get(name):
                raise NoSuchFault(f"a QVM takes no jobs, so that it has no {name}")
        return super().set(**faults)


class QcsServer(VendorServer):
    """QCS tells nobody how long its queue is."""

    def set(self, **faults):
        if faults.get("queue"):
            raise NoSuchFault("QCS tells no queue")
        return super().set(**faults)


def served(number):
    """Straight from the served architecture: times, readout, pulses and couplers."""
    found = isa(PROCESSOR, number)
    sites = {each["name"]: each["sites"] for each in found["instructions"] + found["benchmarks"]}
    facts = {
        name: [(tuple(site["node_ids"]), site["characteristics"][0]) for site in places]
        for name, places in sites.items()
        if all(site["characteristics"] for site in places)
    }
    alone = [
        *(reading(Quantity.T1_S, *each) for each in facts["FreeInversionRecovery"]),
        *(reading(Quantity.T2_RAMSEY_S, *each) for each in facts["FreeInductionDecay"]),
        *(reading(Quantity.READOUT_ERROR, *each, lost=True) for each in facts["MEASURE"]),
    ]
    pulses = sites["randomized_benchmark_simultaneous_1q"][0]["characteristics"]
    driven = [
        reading(Quantity.GATE_ERROR, fact["node_ids"], fact, gate, lost=True)
        for fact in pulses
        for gate in ("sx", "sxdg", "x")
    ]
    coupled = [
        reading(Quantity.GATE_ERROR, order, fact, gate, lost=True)
        for quil, gate in PAIRS.items()
        for nodes, fact in facts[quil]
        for order in (nodes, nodes[::-1])
    ]
    return [*alone, *driven, *coupled]


def reading(quantity, nodes, fact, gate="", *, lost=False):
    """Of a characteristic; ``lost`` of a fidelity is what is missing to one."""
    return Reading(
        quantity,
        tuple(NODES.index(node) for node in nodes),
        1 - fact["value"] if lost else fact["value"],
        datetime.fromisoformat(fact["timestamp"]),
        gate,
        fact.get("error"),
    )


@contextmanager
def subjects(folder):
    with QvmServer("qvm", folder / "qvm.db") as qvm, QcsServer("qcs", folder / "qcs.db") as qcs:
        right, wrong = folder / "right", folder / "wrong"
        right.mkdir()
        wrong.mkdir()
        yield [
            Subject(
                "rigetti:qvm:9q",
                environment={"QCS_SETTINGS_APPLICATIONS_QVM_URL": qvm.url},
                server=qvm,
            ),
            Subject(
                f"rigetti:{PROCESSOR}",
                environment=write_profile(right, qcs.url),
                wrong_credentials=write_profile(wrong, qcs.url, "loopback-wrong-refresh-token"),
                server=qcs,
                served=served,
            ),
        ]
