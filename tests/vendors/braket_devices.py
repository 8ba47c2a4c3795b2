"""Devices of the Braket loopback server: properties of the shape that AWS publishes, from a seed.

Values are of the size of those of the machines that they are named after; calibration 0 is in force
at first, and every other number has values and a date of its own.
"""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FIRST = datetime(2026, 3, 1, 6, 0, 0, 250_000, tzinfo=UTC)
EVERY = timedelta(hours=12)
SCHEMA = "braket.device_schema"
OPERATIONS = (
    *("ccnot", "cnot", "cphaseshift", "cphaseshift00", "cphaseshift01", "cphaseshift10", "cswap"),
    *("cv", "cy", "cz", "ecr", "h", "i", "iswap", "pswap", "phaseshift", "rx", "ry", "rz", "s"),
    *("si", "swap", "t", "ti", "v", "vi", "x", "xx", "xy", "y", "yy", "z", "zz"),
)


@dataclass(frozen=True)
class Machine:
    """Attributes:
    kind: Of its properties' schema.
    qubits: The vendor's numbers.
    pairs: Coupled ones; ``None`` for all.
    executables: In a program set; 0 where there are none.
    """

    arn: str
    name: str
    provider: str
    kind: str
    qubits: tuple = ()
    pairs: tuple | None = ()
    gates: tuple = ()
    executables: int = 0
    total_shots: int = 0
    max_shots: int = 20_000

    @property
    def qpu(self):
        return "/qpu/" in self.arn

    @property
    def region(self):
        return self.arn.split(":")[3]

    def couples(self, one, other):
        return self.pairs is None or (one, other) in self.pairs or (other, one) in self.pairs


def _grid(rows, columns, number):
    """Pairs of neighbours; ``number`` gives the qubit at a row and a column."""
    pairs = []
    for row in range(rows):
        for column in range(columns):
            here = number(row, column)
            if column + 1 < columns:
                pairs.append((here, number(row, column + 1)))
            if row + 1 < rows:
                pairs.append((here, number(row + 1, column)))
    return tuple(pairs)


GARNET = Machine(
    "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet",
    "Garnet",
    "IQM",
    "iqm",
    tuple(range(1, 21)),
    _grid(4, 5, lambda row, column: 5 * row + column + 1),
    ("cz", "prx"),
    executables=100,
    total_shots=200_000,
)
ANKAA = Machine(
    "arn:aws:braket:us-west-1::device/qpu/rigetti/Ankaa-3",
    "Ankaa-3",
    "Rigetti",
    "rigetti",
    # Qubit 8 is not in use.
    tuple(q for q in range(14) if q != 8),
    tuple(p for p in _grid(2, 7, lambda row, column: 7 * row + column) if 8 not in p),
    ("rx", "rz", "iswap"),
    max_shots=50_000,
)
FORTE = Machine(
    "arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1",
    "Forte 1",
    "IonQ",
    "ionq",
    tuple(range(11)),
    None,
    ("GPI", "GPI2", "ZZ"),
    executables=10,
    total_shots=10_000,
    max_shots=5_000,
)
SV1 = Machine(
    "arn:aws:braket:::device/quantum-simulator/amazon/sv1",
    "SV1",
    "Amazon Braket",
    "simulators",
    tuple(range(34)),
    max_shots=100_000,
)
AQUILA = Machine("arn:aws:braket:us-east-1::device/qpu/quera/Aquila", "Aquila", "QuEra", "quera")
MACHINES = {machine.arn: machine for machine in (GARNET, ANKAA, FORTE, SV1, AQUILA)}


def measured_at(number):
    return FIRST + number * EVERY


def properties(machine, number=0):
    """Its ``deviceCapabilities`` with the calibration of a number, as a dictionary."""
    found = {
        "braketSchemaHeader": _header(f"{machine.kind}.{machine.kind}_device_capabilities"),
        "service": _service(machine, number),
        "action": _action(machine),
        "deviceParameters": {},
    }
    if machine.kind == "quera":
        return found | {"paradigm": {"braketSchemaHeader": _header("quera.quera_ahs")}}
    if machine.kind == "simulators":
        found["braketSchemaHeader"] = _header(f"simulators{_GATES}")
        found["paradigm"] = {
            "braketSchemaHeader": _header("simulators.gate_model_simulator_paradigm_properties"),
            "qubitCount": len(machine.qubits),
        }
        return found
    graph = {str(qubit): [] for qubit in machine.qubits} if machine.pairs else {}
    for one, other in machine.pairs or ():
        graph[str(one)].append(str(other))
    found["paradigm"] = {
        "braketSchemaHeader": _header("gate_model_qpu_paradigm_properties"),
        "qubitCount": len(machine.qubits),
        "nativeGateSet": list(machine.gates),
        "connectivity": {
            "fullyConnected": machine.pairs is None,
            "connectivityGraph": {name: others for name, others in graph.items() if others},
        },
    }
    if machine.kind == "rigetti":
        found["braketSchemaHeader"]["version"] = "2"
    rng = random.Random(f"{machine.arn} {number}")
    make = _averages if machine.kind == "ionq" else _standardized
    found["standardized"] = make(machine, rng, number)
    found["provider"] = _provider(machine, found["standardized"], number)
    return found


_GATES = ".gate_model_simulator_device_capabilities"


def _header(name, version="1"):
    return {"name": f"{SCHEMA}.{name}", "version": version}


def _service(machine, number):
    return {
        "braketSchemaHeader": _header("device_service_properties"),
        "executionWindows": [
            {
                "executionDay": "Everyday",
                "windowStartHour": "00:00:00",
                "windowEndHour": "23:59:59",
            }
        ]
        if machine.kind != "rigetti"
        else [
            {"executionDay": day, "windowStartHour": "16:00:00", "windowEndHour": "03:00:00"}
            for day in ("Weekdays", "Sunday")
        ],
        "shotsRange": [1 if machine.qpu else 0, machine.max_shots],
        "deviceCost": {"price": 0.00145, "unit": "shot"},
        "deviceDocumentation": {"summary": "of the loopback server"},
        "deviceLocation": machine.region or "everywhere",
        "updatedAt": measured_at(number).isoformat(),
        "getTaskPollIntervalMillis": 200,
    }


def _action(machine):
    if machine.kind == "quera":
        kind = "braket.ir.ahs.program"
        return {kind: {"actionType": kind, "version": ["1"]}}
    kind = "braket.ir.openqasm.program"
    found = {
        kind: {
            "actionType": kind,
            "version": ["1"],
            "supportedOperations": [
                *OPERATIONS,
                *(["prx", "barrier"] if machine.kind == "iqm" else []),
            ],
            "supportedResultTypes": [
                {"name": "Probability", "observables": None, "minShots": 1, "maxShots": 20000}
            ],
            "maximumQubitArrays": 1,
            "maximumClassicalArrays": 1,
            "requiresAllQubitsMeasurement": False,
            "supportPhysicalQubits": machine.qpu,
            "requiresContiguousQubitIndices": False,
            "supportedPragmas": ["verbatim"],
        }
    }
    if machine.executables:
        kind = "braket.ir.openqasm.program_set"
        found[kind] = {
            "actionType": kind,
            "version": ["1"],
            "maximumExecutables": machine.executables,
            "maximumTotalShots": machine.total_shots,
        }
    return found


def _standardized(machine, rng, number):
    """Version 1 (IQM: microseconds here, as its schema's example has them) or 2 (Rigetti)."""
    version, unit, scale = ("1", "us", 1.0) if machine.kind == "iqm" else ("2", "s", 1e-6)
    one = {
        str(qubit): {
            "T1": _amount(rng.uniform(20, 60) * scale, rng.uniform(0.1, 2) * scale, unit),
            "T2": _amount(rng.uniform(5, 30) * scale, rng.uniform(0.1, 2) * scale, unit),
            "oneQubitFidelity": [
                _fidelity(rng.uniform(0.997, 0.9999), rng, "RANDOMIZED_BENCHMARKING"),
                _fidelity(rng.uniform(0.995, 0.9985), rng, "SIMULTANEOUS_RANDOMIZED_BENCHMARKING"),
                _fidelity(rng.uniform(0.95, 0.99), rng, "READOUT"),
            ],
        }
        for qubit in machine.qubits
    }
    gate = "CZ" if machine.kind == "iqm" else "ISWAP"
    two = {
        f"{a}-{b}": {
            "twoQubitGateFidelity": [
                {
                    "direction": None,
                    "gateName": gate,
                    **_fidelity(
                        rng.uniform(0.98, 0.997), rng, "INTERLEAVED_RANDOMIZED_BENCHMARKING"
                    ),
                }
            ]
        }
        for a, b in machine.pairs
    }
    if version == "2":
        for entry in (*one.values(), *two.values()):
            for each in entry.get("oneQubitFidelity", entry.get("twoQubitGateFidelity")):
                each["unit"] = "fraction"
    return {
        "braketSchemaHeader": _header("standardized_gate_model_qpu_device_properties", version),
        "oneQubitProperties": one,
        "twoQubitProperties": two,
    }


def _averages(machine, rng, number):
    """Version 3: much of it for the whole device."""
    kind = "RANDOMIZED_BENCHMARKING"
    return {
        "braketSchemaHeader": _header("standardized_gate_model_qpu_device_properties", "3"),
        "oneQubitProperties": {
            str(qubit): {
                "oneQubitFidelity": [
                    {**_fidelity(rng.uniform(0.999, 0.9999), rng, kind), "unit": "fraction"}
                ]
            }
            for qubit in machine.qubits
        },
        "T1": _amount(100.0, None, "s"),
        "T2": _amount(rng.uniform(0.5, 1.5), None, "s"),
        "readoutFidelity": [{"fidelity": rng.uniform(0.99, 0.997), "unit": "fraction"}],
        "readoutDuration": _amount(150.0, None, "us"),
        "singleQubitGateDuration": _amount(130.0, None, "us"),
        "twoQubitGateFidelity": [
            {**_fidelity(rng.uniform(0.98, 0.996), rng, kind), "unit": "fraction"}
        ],
        "twoQubitGateDuration": _amount(0.97, None, "ms"),
        "updatedAt": (measured_at(number) + timedelta(minutes=7)).isoformat(),
    }


def stamp(number, place):
    """When Rigetti says that the values of a site were measured."""
    return measured_at(number) - timedelta(minutes=sum(place) + 1)


def _provider(machine, standardized, number):
    if machine.kind == "ionq":
        name = _header("ionq.ionq_provider_properties")
        return {"braketSchemaHeader": name, "fidelity": {}, "timing": {}}
    if machine.kind != "rigetti":
        name = _header("iqm.iqm_provider_properties")
        return {"braketSchemaHeader": name, "properties": {"one_qubit": {}, "two_qubit": {}}}
    sites = []
    for name, entry in standardized["oneQubitProperties"].items():
        place = [int(name)]
        values = {"T1": entry["T1"]["value"], "T2": entry["T2"]["value"]}
        values |= {
            each["fidelityType"]["name"]: each["fidelity"] for each in entry["oneQubitFidelity"]
        }
        sites.append(_site(place, values, number))
    for name, entry in standardized["twoQubitProperties"].items():
        place = [int(part) for part in name.split("-")]
        sites.append(_site(place, {"fISWAP": entry["twoQubitGateFidelity"][0]["fidelity"]}, number))
    return {
        "braketSchemaHeader": _header("rigetti.rigetti_provider_properties", "2"),
        "specs": {
            "instructionSetArchitectures": [
                {"name": machine.name, "benchmarks": [{"name": "all", "sites": sites}]}
            ]
        },
    }


def _site(place, values, number):
    at = stamp(number, place).isoformat()
    return {
        "node_ids": place,
        "characteristics": [
            {"name": name, "value": value, "error": None, "timestamp": at}
            for name, value in values.items()
        ],
    }


def _amount(value, error, unit):
    return {"value": value, "standardError": error, "unit": unit}


def _fidelity(value, rng, kind):
    return {
        "fidelityType": {"name": kind, "description": None},
        "fidelity": value,
        "standardError": rng.uniform(1e-5, 1e-3),
    }


def text(machine, number=0):
    return json.dumps(properties(machine, number))
