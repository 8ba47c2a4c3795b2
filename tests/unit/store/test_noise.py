"""Learnt noise is found again under calibrations that say the same of its gates and qubits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from qcpaas.calibration import Quantity
from qcpaas.errors import PlatformError
from qcpaas.noise import GateLayer, LayerGate, LayerNoise
from store import noise as module
from store.noise import LearntNoises, elements_id, layer_id
from store.snapshot import Provenance, Reading, Snapshot

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
VALUES = {
    (Quantity.T1_S, (0,), ""): 1e-4,
    (Quantity.T1_S, (1,), ""): 2e-4,
    (Quantity.T1_S, (2,), ""): 3e-4,
    (Quantity.FREQUENCY_HZ, (0,), ""): 5e9,
    (Quantity.READOUT_P10, (1,), ""): 0.02,
    (Quantity.GATE_ERROR, (0, 1), "cx"): 0.01,
    (Quantity.GATE_DURATION_S, (0, 1), "cx"): 3e-7,
    (Quantity.GATE_ERROR, (1, 2), "cx"): 0.02,
    (Quantity.GATE_ERROR, (0,), "sx"): 3e-4,
}


def snapshot(changes=(), measured_at=NOW, source="adapter"):
    values = VALUES | dict(changes)
    readings = [
        Reading(quantity, qubits, value, measured_at, gate, provenance=Provenance(source))
        for (quantity, qubits, gate), value in values.items()
        if value is not None
    ]
    return Snapshot.of("device", 3, readings, measured_at)


def layer(*pairs):
    return GateLayer(gates=tuple(LayerGate(name="cx", qubits=pair) for pair in pairs))


def noise(of=None, under=None, **changes):
    of, under = of or layer((0, 1)), under or snapshot()
    return LayerNoise(
        layer=of,
        qubits=of.qubits,
        paulis=("XI", "ZZ"),
        rates=(1e-3, 2e-3),
        std_errors=(1e-4, 2e-4),
        device="device",
        elements_id=elements_id(under, of),
        measured_at=NOW,
    ).model_copy(update=changes)


@pytest.mark.parametrize(
    "change",
    [
        {(Quantity.T1_S, (2,), ""): 9e-4},
        {(Quantity.FREQUENCY_HZ, (0,), ""): 5.1e9},
        {(Quantity.GATE_ERROR, (1, 2), "cx"): 0.05},
        {(Quantity.GATE_ERROR, (0,), "sx"): 1e-3},
        {},
    ],
)
def test_noise_outlives_what_does_not_concern_its_gates_and_qubits(store, change):
    LearntNoises(store).keep([noise()])
    later = snapshot(change, NOW + timedelta(days=1), "another")
    assert LearntNoises(store).find(later, [layer((0, 1))]) == (noise(),)


@pytest.mark.parametrize(
    "change",
    [
        {(Quantity.T1_S, (0,), ""): 1.0001e-4},
        {(Quantity.READOUT_P10, (1,), ""): 0.03},
        {(Quantity.GATE_ERROR, (0, 1), "cx"): 0.011},
        {(Quantity.GATE_DURATION_S, (0, 1), "cx"): 4e-7},
        {(Quantity.GATE_ERROR, (0, 1), "cx"): None},
        {(Quantity.T2_S, (1,), ""): 1e-4},
    ],
)
def test_noise_is_unknown_once_its_gates_or_qubits_moved(store, change):
    LearntNoises(store).keep([noise()])
    assert LearntNoises(store).find(snapshot(change), [layer((0, 1))]) == (None,)


def test_layers_are_found_in_the_order_that_was_asked(store):
    noises = LearntNoises(store)
    both, reverse = layer((0, 1), (2, 1)), layer((1, 0))
    noises.keep([noise(both), noise(reverse)])
    found = noises.find(snapshot(), [reverse, layer((0, 1)), both, reverse])
    assert found == (noise(reverse), None, noise(both), noise(reverse))
    assert noises.find(snapshot(), []) == ()


def test_a_layer_is_the_same_whatever_the_order_of_its_gates():
    assert layer_id(layer((0, 1), (2, 3))) == layer_id(layer((2, 3), (0, 1)))
    assert layer_id(layer((0, 1))) != layer_id(layer((1, 0)))


def test_noise_of_another_device_is_not_found(store):
    LearntNoises(store).keep([noise()])
    assert LearntNoises(store).find(snapshot().of_device("twin"), [layer((0, 1))]) == (None,)


def test_what_is_learnt_anew_stands_in_place_of_the_old(store):
    noises = LearntNoises(store)
    newer = noise(rates=(5e-3, 0.0), measured_at=NOW + timedelta(hours=1))
    noises.keep([noise()])
    noises.keep([newer])
    assert noises.find(snapshot(), [layer((0, 1))]) == (newer,)
    assert noises.of("device") == [newer]


def test_each_method_has_its_own_and_the_newest_of_both_counts(store):
    noises = LearntNoises(store)
    tomography = noise(method="process_tomography", measured_at=NOW + timedelta(hours=1))
    noises.keep([noise(), tomography])
    wanted = [layer((0, 1))]
    assert noises.find(snapshot(), wanted, "cycle_benchmarking") == (noise(),)
    assert noises.find(snapshot(), wanted, "process_tomography") == (tomography,)
    assert noises.find(snapshot(), wanted) == (tomography,)


def test_old_noise_of_a_layer_is_dropped(store):
    noises = LearntNoises(store)
    under = [snapshot({(Quantity.T1_S, (0,), ""): 1e-4 * (1 + n)}) for n in range(12)]
    for hours, one in enumerate(under):
        noises.keep([noise(under=one, measured_at=NOW + timedelta(hours=hours))])
    other = noise(layer((1, 2)))
    noises.keep([other])
    known = [noises.find(one, [layer((0, 1))])[0] is not None for one in under]
    assert known == [False] * 4 + [True] * module.KEPT_OF_A_LAYER
    assert noises.find(snapshot(), [layer((1, 2))]) == (other,)


def test_a_device_keeps_so_many_and_no_more(store, monkeypatch):
    monkeypatch.setattr(module, "KEPT_OF_A_DEVICE", 3)
    noises = LearntNoises(store)
    pairs = [(0, 1), (1, 2), (0, 2), (2, 1), (1, 0)]
    of_another = replace(snapshot().of_device("other"))
    noises.keep([noise(device="other", elements_id=elements_id(of_another, layer((0, 1))))])
    for hours, pair in enumerate(pairs):
        noises.keep([noise(layer(pair), measured_at=NOW + timedelta(hours=hours))])
    assert [one.layer for one in noises.of("device")] == [layer(pair) for pair in pairs[:1:-1]]
    assert len(noises.of("other")) == 1


def test_noise_of_no_calibration_is_not_kept(store):
    with pytest.raises(PlatformError, match="elements_id ''"):
        LearntNoises(store).keep([noise(elements_id="")])
