"""Calibration data of real devices, as Qiskit's fake backends carry it.

The files are read where ``qiskit_ibm_runtime`` is installed without importing it: the import takes
seconds, the file milliseconds.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from adapters.ibm.properties import moment, read_properties, sampling_time
from qcpaas.errors import DeviceUnavailable
from store.snapshot import Provenance, Snapshot

# A constant, so that a listing reads no file; a test compares it with what is installed.
_BY_WIDTH = {
    1: "Armonk",
    5: "Athens Belem Bogota Burlington Essex Fractional Lima London Manila Ourense Quito Rome "
    "Santiago Valencia Vigo Yorktown",
    7: "Casablanca Jakarta Lagos Nairobi Oslo Perth",
    15: "Melbourne",
    16: "Guadalupe",
    20: "Almaden Boeblingen Johannesburg Poughkeepsie Singapore",
    27: "Algiers Auckland Cairo Geneva Hanoi Kolkata Montreal Mumbai Paris Peekskill Sydney "
    "Toronto",
    28: "Cambridge",
    33: "Prague",
    53: "Rochester",
    65: "Brooklyn Manhattan",
    120: "Nighthawk",
    127: "Brisbane Cusco Kawasaki Kyiv Kyoto Osaka Quebec Sherbrooke Washington",
    133: "Torino",
    156: "Fez Marrakesh",
}
NUM_QUBITS = {
    f"Fake{city}": width for width, cities in _BY_WIDTH.items() for city in sorted(cities.split())
}


def canonical_name(name: str) -> str:
    """``FakeKolkata`` for ``FakeKolkataV2``, ``fake_kolkata`` and ``fakekolkata`` too.

    A name that is none of theirs comes back as it is.
    """
    folded = name.casefold().replace("_", "").removesuffix("v2").removesuffix("backend")
    return next((known for known in NUM_QUBITS if known.casefold() == folded), name)


def read_snapshot(name: str) -> Snapshot:
    """The calibration snapshot behind one of `NUM_QUBITS`, each value with its own date.

    Raises:
        DeviceUnavailable: ``qiskit-ibm-runtime`` is not installed, or carries no such file.
    """
    city = name.removeprefix("Fake").lower()
    configuration, properties = _read(city, "conf"), _read(city, "props")
    gates = {*configuration["basis_gates"], "reset"}
    origin = Provenance(f"qiskit_ibm_runtime:fake_{city}", "backend properties")
    num_qubits = configuration["n_qubits"]
    return Snapshot.of(
        device=name,
        num_qubits=num_qubits,
        readings=read_properties(properties, gates, num_qubits, origin),
        taken_at=moment(properties["last_update_date"]),
        dt_s=sampling_time(configuration.get("dt")),
    )


def _read(city: str, kind: str) -> dict[str, Any]:
    package = importlib.util.find_spec("qiskit_ibm_runtime")
    if package is None or not package.submodule_search_locations:
        raise DeviceUnavailable(
            f"the twin of fake_{city} needs its calibration data, and qiskit-ibm-runtime is not "
            "installed. Install it, or open the twin with a stored snapshot."
        )
    root = Path(next(iter(package.submodule_search_locations)))
    path = root / "fake_provider" / "backends" / city / f"{kind}_{city}.json"
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
    except OSError as error:
        raise DeviceUnavailable(
            f"the installed qiskit-ibm-runtime has no {path.name}: {error}. "
            "Install the version that the project pins."
        ) from error
    return data
