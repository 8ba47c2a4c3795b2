"""A job is accepted once, whatever becomes of the reply."""

import time

import pytest
from conformance.suite import circuits
from conformance.suite.device import new_token

from adapters.contract import JobHandle, Unsupported
from qcpaas.errors import AcceptanceUnknown, DeviceUnavailable, JobHeld


class TestAcceptance:
    def test_a_job_is_found_by_its_token_where_the_device_can_search(self, device):
        token = new_token()
        handle = device.submit(device.bound(circuits.coin()), token=token)
        time.sleep(min(device.capabilities.token_lag_s, 5.0))
        found = device.adapter.find_by_token(token)
        assert isinstance(found, Unsupported) or found == handle
        unknown = device.adapter.find_by_token(new_token())
        assert unknown is None or isinstance(unknown, Unsupported)
        assert isinstance(unknown, Unsupported) == isinstance(found, Unsupported)

    def test_a_lost_reply_is_told_and_leaves_one_job(self, device, server):
        experiment, token = device.bound(circuits.coin()), new_token()
        server.set(lose_replies=1)
        with pytest.raises(AcceptanceUnknown):
            device.submit(experiment, token=token)
        assert len(server.new_jobs()) == 1
        time.sleep(min(device.capabilities.token_lag_s, 5.0))
        found = device.adapter.find_by_token(token)
        if isinstance(found, Unsupported):
            assert found.operation == "find_by_token"
            return
        assert isinstance(found, JobHandle)
        assert found.token == token
        assert device.result(found).counts[0].points[0].shots

    def test_a_token_sent_twice_is_one_job_or_two_handles(self, device, server):
        experiment, token = device.bound(circuits.coin()), new_token()
        first = device.submit(experiment, token=token)
        second = device.submit(experiment, token=token)
        assert (first == second) == (len(server.new_jobs()) == 1)

    def test_a_service_that_says_that_it_is_away_has_taken_nothing(self, device, server):
        experiment = device.bound(circuits.coin())
        server.set(status=503)
        with pytest.raises(DeviceUnavailable):
            device.submit(experiment)
        server.set(status=0)
        assert server.new_jobs() == []

    def test_a_service_that_fails_does_not_say_that_it_took_nothing(self, device, server):
        experiment = device.bound(circuits.coin())
        server.set(status=500)
        # Unavailable is whoever failed on the way to the submission, which was then not sent.
        with pytest.raises((AcceptanceUnknown, DeviceUnavailable)):
            device.submit(experiment)
        server.set(status=0)
        assert server.new_jobs() == []


class TestLedger:
    """The platform's own submissions over the adapter."""

    def test_a_lost_reply_costs_one_job_or_holds_the_job(self, device, server, platform_job):
        can_search = not isinstance(device.adapter.find_by_token(new_token()), Unsupported)
        run = platform_job()
        server.set(lose_replies=1)
        if can_search:
            assert run(circuits.coin()).points[0].shots
        else:
            with pytest.raises(JobHeld, match="cannot be found out"):
                run(circuits.coin())
            with pytest.raises(JobHeld, match="cannot be found out"):
                platform_job()(circuits.coin())
        assert len(server.new_jobs()) == 1

    def test_a_process_that_takes_the_job_up_submits_nothing_again(
        self, device, server, platform_job
    ):
        first = platform_job()(circuits.coin())
        again = platform_job()(circuits.coin())
        assert again.points[0].to_dict() == first.points[0].to_dict()
        assert len(server.new_jobs()) == 1
