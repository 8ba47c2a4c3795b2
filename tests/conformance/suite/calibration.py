"""The calibration that the adapter reads is the one that the vendor serves."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from adapters.contract import Unsupported
from qcpaas.calibration import Quantity
from store.snapshot import Snapshot

EXACT = 1e-12  # relative, SI
PLAUSIBLE = {
    Quantity.T1_S: (1e-7, 1e-1),
    Quantity.T2_S: (1e-7, 1e-1),
    Quantity.T2_ECHO_S: (1e-7, 1e-1),
    Quantity.T2_RAMSEY_S: (1e-7, 1e-1),
    Quantity.FREQUENCY_HZ: (1e8, 1e11),
    Quantity.READOUT_P10: (0, 1),
    Quantity.READOUT_P01: (0, 1),
    Quantity.READOUT_ERROR: (0, 1),
    Quantity.READOUT_DURATION_S: (1e-8, 1e-3),
    Quantity.GATE_ERROR: (0, 1),
    Quantity.GATE_DURATION_S: (0, 1e-3),
}
# What an adapter may add to the vendor's values: which elements work, frame changes in no time.
OWN = {Quantity.OPERATIONAL, Quantity.GATE_DURATION_S, Quantity.GATE_ERROR}


def check_served(snapshot, readings):
    """Every value that was served is there, with its date, and none that was not."""
    found = {reading.key: reading for reading in snapshot.readings()}
    assert readings
    for reading in readings:
        assert reading.key in found
        mine = found[reading.key]
        assert mine.value == pytest.approx(reading.value, rel=EXACT, abs=0), reading.key
        assert abs(mine.measured_at - reading.measured_at) < timedelta(milliseconds=1), reading.key
        if reading.std_error is not None:
            assert mine.std_error == pytest.approx(reading.std_error, rel=1e-6), reading.key
    added = found.keys() - {reading.key for reading in readings}
    assert {quantity for quantity, _, _ in added} <= {own.value for own in OWN}, added


class TestCalibration:
    def test_a_calibration_covers_the_device_or_says_why_not(self, device):
        snapshot = device.adapter.calibration()
        if isinstance(snapshot, Unsupported):
            assert snapshot.operation == "calibration"
            assert snapshot.reason
            return
        assert isinstance(snapshot, Snapshot)
        assert snapshot.device == device.adapter.name
        assert snapshot.num_qubits == device.capabilities.num_qubits
        assert snapshot.taken_at.tzinfo is not None
        assert snapshot.gates, "nothing could be compiled for it"
        assert set(snapshot.gates) <= set(device.capabilities.basis_gates)

    def test_its_values_are_plausible_in_si_units(self, snapshot):
        for reading in snapshot.readings():
            low, high = PLAUSIBLE.get(reading.quantity, (-np.inf, np.inf))
            assert low <= reading.value <= high, reading

    def test_its_dates_are_in_the_past(self, snapshot):
        assert snapshot.measured_at_s.max() <= datetime.now(UTC).timestamp() + 60

    def test_equal_calibrations_have_the_same_content(self, device, snapshot):
        assert device.adapter.calibration().content_id == snapshot.content_id
        assert device.reopened().calibration().content_id == snapshot.content_id

    def test_values_and_dates_are_those_that_were_served(self, device, snapshot, served):
        check_served(snapshot, served(0))

    def test_a_calibration_that_changes_between_two_calls_is_seen(
        self, device, snapshot, server, served
    ):
        server.set(calibration=1)
        changed = device.adapter.calibration()
        assert changed.content_id != snapshot.content_id
        check_served(changed, served(1))
        server.set(calibration=0)
        assert device.adapter.calibration().content_id == snapshot.content_id

    def test_a_past_calibration_is_of_its_time_or_not_supported(
        self, device, server, snapshot, served
    ):
        server.set(calibration=1)
        moment = max(reading.measured_at for reading in served(0))
        past = device.adapter.calibration(at=moment)
        if isinstance(past, Unsupported):
            assert past.operation == "calibration"
            assert past.reason
        else:
            check_served(past, served(0))

    def test_nothing_is_known_before_the_first_calibration(self, device):
        past = device.adapter.calibration(at=datetime(2000, 1, 1, tzinfo=UTC))
        assert isinstance(past, Unsupported)
