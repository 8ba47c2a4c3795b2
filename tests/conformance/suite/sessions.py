"""Sessions and reservations."""

from datetime import UTC, datetime

import pytest
from conformance.suite import circuits

from adapters.contract import DeviceSession, Unsupported
from qcpaas.errors import SessionClosed


class TestSessions:
    def test_a_session_says_when_it_ends(self, session):
        assert isinstance(session, DeviceSession)
        assert session.session_id
        assert session.expires_at is None or session.expires_at > datetime.now(UTC)
        assert session.max_idle_s is None or session.max_idle_s > 0

    def test_jobs_run_in_a_session_until_it_is_closed(self, device, session):
        experiment = device.bound(circuits.coin())
        for _ in range(2):
            handle = device.submit(experiment, session=session)
            assert device.result(handle).counts[0].points[0].shots
        assert device.adapter.close_session(session) is None
        with pytest.raises(SessionClosed):
            device.submit(experiment, session=session)
        assert device.adapter.close_session(session) is None

    def test_nothing_is_taken_in_a_closed_session(self, device, server, session):
        device.adapter.close_session(session)
        with pytest.raises(SessionClosed):
            device.submit(device.bound(circuits.coin()), session=session)
        assert server.new_jobs() == []

    def test_another_process_submits_in_the_session_by_its_id(self, device, session):
        known = DeviceSession(session.session_id)
        adapter = device.reopened()
        experiment = device.bound(circuits.coin())
        handle = adapter.submit(device.submission(experiment, session=known), "by-its-id")
        assert adapter.result(handle, timeout_s=device.wait_s).counts


class TestReservations:
    def test_reservations_are_windows_from_now_on_or_not_supported(self, device):
        found = device.adapter.reservations()
        if isinstance(found, Unsupported):
            assert found.operation == "reservations"
            return
        for window in found:
            assert window.starts_at < window.ends_at
            assert window.ends_at > datetime.now(UTC)
