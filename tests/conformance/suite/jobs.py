"""Jobs on the device: their handles, states and ends."""

import pytest
from conformance.suite import circuits
from conformance.suite.device import LONG_S, SHOTS, new_token

from adapters.contract import DeviceJobState, JobHandle, Unsupported
from qcpaas.errors import ExecutionFailed, ResultPending, UnknownDeviceJob

UNKNOWN = ("no-such-job", "3f0c2a4e-8d53-4c9b-9d0e-5a3c6b1f7e21")


class TestJobs:
    def test_a_handle_survives_as_text(self, device):
        token = new_token()
        handle = device.submit(device.bound(circuits.ghz()), token=token)
        assert handle.token == token
        assert handle.device == device.adapter.name
        stored = JobHandle.model_validate_json(handle.model_dump_json())
        assert stored == handle
        first = device.result(stored).counts[0].points[0].to_dict()
        assert device.adapter.status(stored) is DeviceJobState.COMPLETED
        assert device.result(stored).counts[0].points[0].to_dict() == first
        assert sum(first.values()) == SHOTS

    def test_jobs_are_not_mixed_up(self, device):
        asked = (circuits.reversed_bits(), circuits.ghz())
        handles = [device.submit(device.bound(circuit, shots=100)) for circuit in asked]
        assert handles[0].device_job_id != handles[1].device_job_id
        second, first = (device.result(handle).counts[0] for handle in reversed(handles))
        assert first.registers == (("c", 3),)
        assert second.registers == (("meas", 3),)

    @pytest.mark.parametrize("job_id", UNKNOWN)
    def test_an_unknown_job_is_an_error_everywhere(self, device, job_id):
        handle = JobHandle(device=device.adapter.name, device_job_id=job_id, token="none")
        for operation in (device.adapter.status, device.result, device.adapter.cancel):
            with pytest.raises(UnknownDeviceJob, match=job_id):
                operation(handle)

    def test_cancelling_cancels_or_says_why_not(self, device):
        handle = device.submit(device.bound(circuits.ghz()))
        answer = device.adapter.cancel(handle)
        if answer is None:  # it may have ended before
            state = device.await_state(handle, DeviceJobState.CANCELLED, DeviceJobState.COMPLETED)
            assert state in {DeviceJobState.CANCELLED, DeviceJobState.COMPLETED}
        else:
            assert isinstance(answer, Unsupported)
            assert answer.operation == "cancel"
            assert answer.reason

    def test_nothing_happens_to_an_ended_job_that_is_cancelled(self, device):
        handle = device.submit(device.bound(circuits.coin()))
        before = device.result(handle).counts[0].points[0].to_dict()
        device.adapter.cancel(handle)
        assert device.adapter.status(handle) is DeviceJobState.COMPLETED
        assert device.result(handle).counts[0].points[0].to_dict() == before


class TestLongJobs:
    """Jobs that take as long as the server is told."""

    def test_a_result_that_is_not_there_in_time_is_pending(self, device, server):
        server.set(delay_s=LONG_S)
        handle = device.submit(device.bound(circuits.coin()))
        with pytest.raises(ResultPending) as caught:
            device.adapter.result(handle, timeout_s=0.3)
        assert handle.device_job_id in str(caught.value)
        assert device.adapter.status(handle) in {DeviceJobState.QUEUED, DeviceJobState.RUNNING}
        device.adapter.cancel(handle)
        server.set(delay_s=0.0)

    def test_a_job_that_runs_is_cancelled_or_runs_to_its_end(self, device, server):
        server.set(delay_s=LONG_S)
        handle = device.submit(device.bound(circuits.coin()))
        answer = device.adapter.cancel(handle)
        if answer is None:
            assert device.await_state(handle, DeviceJobState.CANCELLED)
            with pytest.raises(ExecutionFailed, match=r"(?i)cancel"):
                device.result(handle)
            assert device.adapter.cancel(handle) is None
        else:
            assert answer.reason
            server.set(delay_s=0.0)
            device.result(handle)

    def test_a_failed_job_says_why_in_the_vendors_words(self, device, server):
        server.set(fail_jobs="the fridge has warmed up")
        handle = device.submit(device.bound(circuits.coin()))
        with pytest.raises(ExecutionFailed, match="the fridge has warmed up"):
            device.result(handle)
        assert device.adapter.status(handle) is DeviceJobState.FAILED
        server.set(fail_jobs="")
        device.run(device.bound(circuits.coin()))
