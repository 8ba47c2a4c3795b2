"""Learnt noise as it is asked for: near the store, and from far away over a real server."""

from datetime import UTC, datetime

import pytest

from flows import learnt_noise as flows_learnt_noise
from flows.register_worker import register_worker
from qcpaas.errors import UnknownDevice
from qcpaas.noise import GateLayer, LayerGate, LayerNoise
from qcpaas.prefect_transport import PrefectTransport
from store.database import open_store
from store.noise import LearntNoises, elements_id
from tasks.device import Device

pytestmark = pytest.mark.server

NAME = "FakeLima"


@pytest.fixture(scope="module")
def learnt(data_dir):
    """Noise in the platform's store, valid under the device's calibration."""
    with open_store(f"sqlite:///{data_dir / 'qcpaas.db'}") as store:
        snapshot = Device.open(NAME, store).snapshot()
        layer = GateLayer(gates=(LayerGate(name="cx", qubits=(0, 1)),))
        noise = LayerNoise(
            layer=layer,
            qubits=(0, 1),
            paulis=("ZZ",),
            rates=(1e-3,),
            device=NAME,
            elements_id=elements_id(snapshot, layer),
            measured_at=datetime.now(UTC),
        )
        LearntNoises(store).keep([noise])
        yield noise


@pytest.fixture(scope="module")
def far(server, learnt, taking_up):
    register_worker()
    with (
        PrefectTransport(server) as transport,
        taking_up(transport, flows_learnt_noise.learnt_noise),
    ):
        yield transport


def test_learnt_noise_is_the_same_from_near_and_far(far, learnt, platform):
    near = platform.learnt_noise(NAME)
    assert near.learnt == (learnt,)
    assert near.valid == (True,)
    assert far.learnt_noise("fakelima") == near
    with pytest.raises(UnknownDevice, match="Did you mean FakeLima"):
        far.learnt_noise("FakeLimas")
