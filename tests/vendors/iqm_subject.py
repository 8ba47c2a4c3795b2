"""IQM's quantum computers for the conformance suite."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime

from qcpaas.calibration import Quantity
from store.snapshot import Reading
from vendors.iqm import TOKEN
from vendors.iqm_devices import CHIPS, calibration_set, quality_metrics
from vendors.process import VendorServer
from vendors.subjects import Subject


@contextmanager
def subjects(folder):
    """The 5- and the 20-qubit computer of one server."""
    with VendorServer("iqm", folder / "iqm.db") as server:
        environment = {"IQM_SERVER_URL": server.url, "IQM_TOKEN": TOKEN}
        yield [
            Subject(
                name=f"iqm:{alias}",
                environment=environment,
                wrong_credentials={"IQM_TOKEN": "not-the-token-of-anybody"},
                server=server,
                served=served(alias),
            )
            for alias in ("adonis", "garnet")
        ]


def served(alias):
    """What the calibrations of a computer say, read from the server's data by its names alone."""
    chip = CHIPS[alias]
    place = {name: number for number, name in enumerate(chip.qubits)}

    def of(number):
        sets = (calibration_set(chip, number), quality_metrics(chip, number))
        observations = [each for found in sets for each in found["observations"]]
        return [
            reading
            for each in observations
            if not each["invalid"] and (reading := _reading(each, place)) is not None
        ]

    return of


LABELS = ("iqm-adonis", "iqm-garnet")

QUANTITIES = (
    (r"characterization\.model\.(\w+)\.t1_time", Quantity.T1_S, ""),
    (r"characterization\.model\.(\w+)\.t2_time", Quantity.T2_RAMSEY_S, ""),
    (r"characterization\.model\.(\w+)\.t2_echo_time", Quantity.T2_ECHO_S, ""),
    (r"controllers\.(\w+)\.drive\.frequency", Quantity.FREQUENCY_HZ, ""),
    (r"controllers\.(\w+)\.readout\.frequency", Quantity.READOUT_FREQUENCY_HZ, ""),
    (r"metrics\.ssro\.measure\.constant\.(\w+)\.error_0_to_1", Quantity.READOUT_P10, ""),
    (r"metrics\.ssro\.measure\.constant\.(\w+)\.error_1_to_0", Quantity.READOUT_P01, ""),
    (r"metrics\.rb\.prx\.drag_crf\.(\w+)\.fidelity:par=d1", Quantity.GATE_ERROR, "rx"),
    (r"metrics\.irb\.cz\.crf_crf\.(\w+)\.fidelity", Quantity.GATE_ERROR, "cz"),
    (r"gates\.prx\.drag_crf\.(\w+)\.duration", Quantity.GATE_DURATION_S, "rx"),
    (r"gates\.cz\.crf_crf\.(\w+)\.duration", Quantity.GATE_DURATION_S, "cz"),
    (r"gates\.measure\.constant\.(\w+)\.duration", Quantity.READOUT_DURATION_S, ""),
)


def _reading(observation, place):
    for pattern, quantity, gate in QUANTITIES:
        found = re.fullmatch(pattern, observation["dut_field"])
        if found:
            value = observation["value"]
            at = datetime.fromisoformat(observation["created_timestamp"]).replace(tzinfo=UTC)
            qubits = tuple(place[name] for name in found[1].split("__"))
            error = 1 - value if quantity is Quantity.GATE_ERROR else value
            return Reading(quantity, qubits, error, at, gate)
    return None
