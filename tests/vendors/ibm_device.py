"""What IBM's loopback server tells of its backends: the recorded data of real ones.

``calibration`` of `vendors.service.Faults` is the number of hours since the recording: every date
is so much later, T1, T2 and gate errors are a hundredth larger for each, and the history holds one
set of properties an hour. In hour `FAULTY_AT` a qubit and a gate are out of order.
"""

import copy
import functools
import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

CITIES = {"ibm_fractional": "fractional", "ibm_torino": "torino"}
FAULTY_AT = 9
FAULTY_QUBIT = 2
FAULTY_GATE = 7  # of the list of gates


def configuration(name):
    """As recorded, with the gates of any angle, which the recording of Torino leaves out."""
    found = copy.deepcopy(_recorded(CITIES[name], "conf"))
    found["backend_name"] = name
    properties = _recorded(CITIES[name], "props")
    for gate in {"rx", "rzz"} - set(found["basis_gates"]):
        places = [each["qubits"] for each in properties["gates"] if each["gate"] == gate]
        found["basis_gates"].append(gate)
        found["supported_instructions"].append(gate)
        found["gates"].append(
            {"name": gate, "parameters": ["theta"], "qasm_def": "", "coupling_map": places}
        )
    if "measure" not in found["supported_instructions"]:
        found["supported_instructions"].append("measure")
    return found


def properties(name, hours):
    """Those of so many hours after the recording."""
    return copy.deepcopy(_aged(name, hours))


def history(name, hours, before):
    """The newest properties of the history that are no newer than a moment, or nothing."""
    for hour in range(hours, -1, -1):
        if datetime.fromisoformat(_aged(name, hour)["last_update_date"]) <= before:
            return properties(name, hour)
    return None


@functools.cache
def _aged(name, hours):
    found = copy.deepcopy(_recorded(CITIES[name], "props"))
    found["backend_name"] = name
    found["last_update_date"] = _later(found["last_update_date"], hours)
    for entries in [*found["qubits"], *(gate["parameters"] for gate in found["gates"])]:
        for entry in entries:
            entry["date"] = _later(entry["date"], hours)
            dead = entry["name"] == "gate_error" and entry["value"] > 0.5
            if entry["name"] in {"T1", "T2", "gate_error"} and not dead:
                entry["value"] *= 1 + hours / 100
    for entry in found["general"]:
        entry["date"] = _later(entry["date"], hours)
    if hours == FAULTY_AT:
        lost = {"name": "operational", "unit": "", "value": 0, "date": found["last_update_date"]}
        found["qubits"][FAULTY_QUBIT].append(lost)
        found["gates"][FAULTY_GATE]["parameters"].append(lost)
    return found


def _later(date, hours):
    """In UTC, as the API tells it; the recordings are in another zone."""
    later = datetime.fromisoformat(date) + timedelta(hours=hours)
    return later.astimezone(UTC).isoformat().replace("+00:00", "Z")


@functools.cache
def _recorded(city, kind):
    package = Path(importlib.util.find_spec("qiskit_ibm_runtime").origin).parent
    file = package / "fake_provider" / "backends" / city / f"{kind}_{city}.json"
    return json.loads(file.read_bytes())
