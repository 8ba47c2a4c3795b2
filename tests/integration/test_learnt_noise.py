"""Learnt noise as it is asked for: near the store, and from far away through the gateway."""

from datetime import UTC, datetime

import pytest

from qcpaas.errors import UnknownDevice
from qcpaas.noise import GateLayer, LayerGate, LayerNoise
from store.database import open_store
from store.noise import LearntNoises, elements_id
from tasks.device import Device

pytestmark = pytest.mark.server

NAME = "FakeBelem"


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


def test_learnt_noise_is_the_same_from_near_and_far(far, learnt, platform):
    near = platform.learnt_noise(NAME)
    assert near.learnt == (learnt,)
    assert near.valid == (True,)
    assert far.learnt_noise("fakebelem") == near
    with pytest.raises(UnknownDevice, match="Did you mean FakeBelem"):
        far.learnt_noise("FakeBelems")
