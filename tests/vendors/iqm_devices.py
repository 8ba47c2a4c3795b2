"""Quantum computers for the IQM loopback server: their chips, and calibrations made from a seed.

Values are of the size of those that IQM publishes. Calibration 0 is in force at first; every other
number is another set, measured later, with an id, values and dates of its own.
"""

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FIRST = datetime(2026, 3, 1, 6, 0, 0, 250_000, tzinfo=UTC)
EVERY = timedelta(hours=12)
SPACE = uuid.UUID("1c6a3d52-6d0e-4d0c-9a54-0b1f5f6a7c11")
PRX, CZ, MEASURE, MOVE = "drag_crf", "crf_crf", "constant", "tgss_crf"


@dataclass(frozen=True)
class Chip:
    """A quantum computer.

    Attributes:
        pairs: Coupled qubits, by number from 1.
        resonator: Of a star, coupled to every qubit.
        lost: By calibration number, the qubits and pairs that are not calibrated.
    """

    alias: str
    title: str
    num_qubits: int
    pairs: tuple = ()
    resonator: str = ""
    lost: dict = None

    @property
    def qubits(self):
        return [f"QB{n}" for n in range(1, self.num_qubits + 1)]

    def calibrated(self, number):
        lost = (self.lost or {}).get(number, ())
        qubits = [q for q in self.qubits if q not in lost]
        pairs = [p for p in map(names, self.pairs) if p not in lost and set(p) <= set(qubits)]
        return qubits, pairs


def names(pair):
    return tuple(f"QB{n}" for n in pair)


# 20 qubits in five rows, each with its first column; neighbours in rows and columns are coupled.
_ROWS = (
    (1, range(1, 3)),
    (0, range(3, 8)),
    (0, range(8, 13)),
    (0, range(13, 18)),
    (2, range(18, 21)),
)


def _square():
    place = {(row, start + i): n for row, (start, ns) in enumerate(_ROWS) for i, n in enumerate(ns)}
    return tuple(
        (n, place[other])
        for (row, column), n in sorted(place.items())
        for other in ((row, column + 1), (row + 1, column))
        if other in place
    )


CHIPS = {
    chip.alias: chip
    for chip in (
        Chip(
            "adonis",
            "IQM Adonis",
            5,
            ((1, 3), (2, 3), (4, 3), (5, 3)),
            lost={2: ("QB5", ("QB4", "QB3"))},
        ),
        Chip("garnet", "IQM Garnet", 20, _square(), lost={2: (("QB1", "QB2"),)}),
        Chip("deneb", "IQM Deneb", 6, resonator="COMPR1"),
    )
}


def set_id(alias, number, kind="calibration"):
    return str(uuid.uuid5(SPACE, f"{alias}/{kind}/{number}"))


def made_at(number):
    return FIRST + number * EVERY


def static_architecture(chip):
    wires = [list(names(pair)) for pair in chip.pairs]
    if chip.resonator:
        wires = [[q, chip.resonator] for q in chip.qubits]
    return {
        "dut_label": f"M{chip.num_qubits:03d}_W0_A00_Z01",
        "qubits": sorted(chip.qubits),
        "computational_resonators": [chip.resonator] if chip.resonator else [],
        "connectivity": wires,
    }


def dynamic_architecture(chip, number):
    qubits, pairs = chip.calibrated(number)
    alone = [[q] for q in qubits]
    gates = {
        "prx": _gate(PRX, alone),
        "measure": _gate(MEASURE, alone),
        "measure_fidelity": _gate(MEASURE, alone),
        "reset_wait": _gate("reset_wait", alone),
    }
    if chip.resonator:
        gates["cz"] = _gate(CZ, [[q, chip.resonator] for q in qubits])
        gates["move"] = _gate(MOVE, [[q, chip.resonator] for q in qubits])
    else:
        gates["cz"] = _gate(CZ, [list(pair) for pair in pairs])
        gates["cc_prx"] = _gate("prx_composite", alone)
        gates["reset"] = _gate("reset_conditional", alone)
    return {
        "calibration_set_id": set_id(chip.alias, number),
        "qubits": sorted(qubits),
        "computational_resonators": [chip.resonator] if chip.resonator else [],
        "gates": gates,
    }


def _gate(implementation, loci):
    return {
        "implementations": {implementation: {"loci": loci}},
        "default_implementation": implementation,
        "override_default_implementation": {},
    }


def calibration_set(chip, number):
    """Settings of the instruments and of the gates."""
    draw = random.Random(f"{chip.alias} set {number}")
    qubits, pairs = chip.calibrated(number)
    rows = []
    for qubit in qubits:
        rows.append((f"controllers.{qubit}.drive.frequency", draw.uniform(4.1e9, 4.9e9), "Hz"))
        rows.append((f"controllers.{qubit}.readout.frequency", draw.uniform(5.1e9, 6.1e9), "Hz"))
        rows.append((f"gates.prx.{PRX}.{qubit}.duration", draw.choice([20e-9, 24e-9]), "s"))
        rows.append((f"gates.measure.{MEASURE}.{qubit}.duration", draw.uniform(6e-7, 9e-7), "s"))
        rows.append((f"gates.prx.{PRX}.{qubit}.amplitude_i", draw.uniform(0.1, 0.4), ""))
    for gate, locus in _couplings(chip, qubits, pairs):
        rows.append((f"gates.{gate}.{locus}.duration", draw.uniform(2e-8, 8e-8), "s"))
    return _set(chip, number, rows, draw)


def quality_metrics(chip, number):
    """What was measured of the gates and the qubits, an hour later."""
    draw = random.Random(f"{chip.alias} metrics {number}")
    qubits, pairs = chip.calibrated(number)
    rows = []
    for qubit in qubits:
        t1 = draw.uniform(2.5e-5, 6e-5)
        model = f"characterization.model.{qubit}"
        rows.append((f"{model}.t1_time", t1, "s"))
        rows.append((f"{model}.t2_time", t1 * draw.uniform(0.2, 0.5), "s"))
        rows.append((f"{model}.t2_echo_time", t1 * draw.uniform(0.6, 1.1), "s"))
        up, down = draw.uniform(0.004, 0.02), draw.uniform(0.01, 0.04)
        ssro = f"metrics.ssro.measure.{MEASURE}.{qubit}"
        rows.append((f"{ssro}.error_0_to_1", up, ""))
        rows.append((f"{ssro}.error_1_to_0", down, ""))
        rows.append((f"{ssro}.fidelity", 1 - (up + down) / 2, ""))
        lost = draw.uniform(4e-4, 2e-3)
        rows.append((f"metrics.rb.prx.{PRX}.{qubit}.fidelity:par=d1", 1 - lost, ""))
        rows.append((f"metrics.rb.prx.{PRX}.{qubit}.fidelity:par=d2", 1 - 1.4 * lost, ""))
        rows.append((f"metrics.rb.clifford.xy.{qubit}.fidelity:par=d1", 1 - 1.8 * lost, ""))
    for gate, locus in _couplings(chip, qubits, pairs):
        value = 1 - draw.uniform(4e-3, 1.5e-2)
        rows.append((f"metrics.irb.{gate}.{locus}.fidelity", value, ""))
    rows.append(("metrics.ghz_state.QB1__QB2.coherence_lower_bound", 0.9, ""))
    return _set(chip, number, rows, draw, metrics=True)


def _couplings(chip, qubits, pairs):
    if chip.resonator:
        return [
            (f"{gate}.{way}", f"{qubit}__{chip.resonator}")
            for qubit in qubits
            for gate, way in (("cz", CZ), ("move", MOVE))
        ]
    return [(f"cz.{CZ}", "__".join(pair)) for pair in pairs]


def _set(chip, number, rows, draw, *, metrics=False):
    kind = "quality-metric-set" if metrics else "calibration-set"
    began = made_at(number) + (timedelta(hours=1) if metrics else timedelta(0))
    observations = []
    for place, (name, value, unit) in enumerate(rows):
        moment = began + timedelta(seconds=draw.randrange(600), microseconds=draw.randrange(10**6))
        observations.append(
            {
                # As the real server sends it: UTC, without saying so.
                "created_timestamp": moment.replace(tzinfo=None).isoformat(),
                "modified_timestamp": moment.replace(tzinfo=None).isoformat(),
                "dut_field": name,
                "invalid": False,
                "observation_id": 100_000 * number + place,
                "uncertainty": None if place % 7 == 3 else abs(value) * 1e-2,
                "unit": unit,
                "value": value,
            }
        )
    if metrics:
        _spoil_one(observations, chip)
    return {
        "observation_set_id": set_id(chip.alias, number, "metrics" if metrics else "calibration"),
        "observation_set_type": kind,
        "describes_id": set_id(chip.alias, number) if metrics else None,
        "dut_label": static_architecture(chip)["dut_label"],
        "invalid": False,
        "created_timestamp": (began + timedelta(minutes=10)).isoformat(),
        "end_timestamp": (began + timedelta(minutes=11)).isoformat(),
        "observations": observations,
    }


def _spoil_one(observations, chip):
    """The last qubit's T1 is marked as not to be used, whatever it is."""
    for observation in observations:
        if observation["dut_field"] == f"characterization.model.QB{chip.num_qubits}.t1_time":
            observation["invalid"] = True
