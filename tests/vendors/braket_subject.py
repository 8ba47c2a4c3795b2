"""Braket's devices for the conformance suite: two QPUs of the loopback server, and local ones."""

from contextlib import contextmanager
from datetime import datetime

from qcpaas.calibration import Quantity
from store.snapshot import Reading
from vendors.braket import KEY_ID, SECRET, SESSION_TOKEN
from vendors.braket_devices import ANKAA, GARNET, properties, stamp, text
from vendors.process import VendorServer
from vendors.subjects import Subject

LABELS = ("iqm", "rigetti", "simulator", "emulator")


@contextmanager
def subjects(folder):
    """Garnet- and Ankaa-like QPUs behind AWS, the local simulator, and an emulator of the first."""
    file = folder / "garnet.json"
    file.write_text(text(GARNET))
    with VendorServer("braket", folder / "braket.db") as server:
        yield [
            *(
                Subject(
                    name=f"braket:{machine.arn}",
                    environment=environment(server.url),
                    wrong_credentials={
                        "AWS_ACCESS_KEY_ID": "AKIANOBODYKNOWSTHIS0",
                        "AWS_SECRET_ACCESS_KEY": "nobody/knows+this/secret",
                        "AWS_SESSION_TOKEN": "nobody-knows-this-token",
                    },
                    server=server,
                    served=served(machine),
                )
                for machine in (GARNET, ANKAA)
            ),
            Subject(name="braket:local:braket_sv"),
            Subject(name=f"braket:emulator:{file}", slack=0.2, served=served(GARNET)),
        ]


def environment(url):
    """As an AWS user sets it, with every service of AWS at one address."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SESSION_TOKEN,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def served(machine):
    """What a machine's properties say, read from them by their names alone."""
    place = {qubit: number for number, qubit in enumerate(sorted(machine.qubits))}
    gates = {"iqm": ("r", "cz"), "rigetti": ("sx", "iswap")}[machine.kind]

    def of(number):
        found = properties(machine, number)
        at = datetime.fromisoformat(found["service"]["updatedAt"])
        readings = []
        for name, qubit in found["standardized"]["oneQubitProperties"].items():
            labels = [int(name)]
            when = stamp(number, labels) if machine.kind == "rigetti" else at
            q = (place[int(name)],)
            benchmark, _, readout = qubit["oneQubitFidelity"]
            scale = {"us": 1e-6, "s": 1.0}[qubit["T1"]["unit"]]
            readings += [
                Reading(Quantity.T1_S, q, qubit["T1"]["value"] * scale, when),
                Reading(Quantity.T2_S, q, qubit["T2"]["value"] * scale, when),
                _error(Quantity.READOUT_ERROR, q, readout, when),
                _error(Quantity.GATE_ERROR, q, benchmark, when, gates[0]),
            ]
        for name, pair in found["standardized"]["twoQubitProperties"].items():
            labels = [int(part) for part in name.split("-")]
            when = stamp(number, labels) if machine.kind == "rigetti" else at
            q = tuple(place[label] for label in labels)
            (fidelity,) = pair["twoQubitGateFidelity"]
            for way in (q, q[::-1]):
                readings.append(_error(Quantity.GATE_ERROR, way, fidelity, when, gates[1]))
        return readings

    return of


def _error(quantity, qubits, told, at, gate=""):
    return Reading(quantity, qubits, 1 - told["fidelity"], at, gate, told["standardError"])
