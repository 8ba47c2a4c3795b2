"""Digital twins: real devices, simulated from their calibration snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from adapters.aer import AerRunner
from adapters.contract import Capabilities, Unsupported
from adapters.fake_backends import NUM_QUBITS, canonical_name, read_snapshot
from adapters.noise import DeviceErrors
from adapters.simulated import SimulatedAdapter
from qcpaas.devices import DeviceInfo
from qcpaas.errors import UnknownDevice, nearest
from store.snapshot import Snapshot

REP_DELAY_S = 250e-6


class TwinAdapter(SimulatedAdapter):
    """A device that behaves as its vendor's calibration says.

    A circuit without a binding runs gate for gate on the qubits as numbered. With a noise
    model of the user's own, whose qubits are the device's, any gate that Aer knows is executed;
    without one only the device's gates are.
    """

    def __init__(self, name: str, snapshot: Snapshot) -> None:
        super().__init__(name, AerRunner(name, DeviceErrors(snapshot), rep_delay_s=REP_DELAY_S))
        self._snapshot = snapshot

    def capabilities(self) -> Capabilities:
        return Capabilities(
            num_qubits=self._snapshot.num_qubits,
            basis_gates=(*self._snapshot.gates, "measure", "delay"),
            simulator=True,
            exact=True,
            noise_models=True,
            rep_delay_s=REP_DELAY_S,
            keeps_jobs=False,
            token_lag_s=0.0,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        if at is not None and at < self._snapshot.taken_at:
            return Unsupported("calibration", f"{self.name} has one snapshot, and no history")
        return self._snapshot


class TwinProvider:
    """Twins of Qiskit's fake backends, by their usual names."""

    def devices(self) -> Sequence[DeviceInfo]:
        return [
            DeviceInfo(
                name=name,
                adapter="twins",
                num_qubits=num_qubits,
                simulator=True,
                description=f"Digital twin of ibm_{name.removeprefix('Fake').lower()}",
            )
            for name, num_qubits in sorted(NUM_QUBITS.items())
        ]

    def open(self, name: str, known: Snapshot | None = None) -> TwinAdapter:
        """Also by ``FakeKolkataV2`` and ``fake_kolkata``.

        Args:
            known: An earlier calibration of the vendor's, to behave as it says. One with values
                that were found here is not taken: what is measured of a twin must not become
                what it does.

        Raises:
            UnknownDevice: There is no such twin.
        """
        official = canonical_name(name)
        if official not in NUM_QUBITS:
            raise UnknownDevice(f"there is no twin {name!r}. {nearest(name, NUM_QUBITS)}")
        told = known is not None and not any(origin.is_local for origin in known.provenance)
        return TwinAdapter(official, known if known and told else read_snapshot(official))
