"""The service dies, the client dies, and the job goes on."""

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conformance.suite import circuits
from conformance.suite.device import LONG_S, new_token
from conformance.suite.operations import check_answer, operations

from adapters.contract import DeviceJobState, JobHandle, Unsupported
from adapters.credentials import NoCredentials
from adapters.registry import list_devices, vendor
from qcpaas.errors import DeviceUnavailable, InputError

ROOT = Path(__file__).parents[3]
SUBMIT_AND_DIE = """
import os, pickle, signal, sys
from adapters.contract import Submission
from adapters.registry import open_device
name, token, experiment = pickle.load(sys.stdin.buffer)
handle = open_device(name).submit(Submission((experiment,), 5), token)
print(handle.model_dump_json(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
# Of these a client may know the answer without asking, or that there is none.
MAY_KNOW = {"capabilities", "calibration", "find_by_token", "reservations", "open_session"}


class TestOperations:
    def test_every_operation_answers_a_value_or_says_why_not(self, device):
        experiment = device.bound(circuits.coin(), shots=10)
        handle = device.submit(experiment)
        device.result(handle)
        for name, operation in operations(device, device.adapter, handle, experiment).items():
            answer = operation()
            check_answer(name, answer)
            if name == "open_session" and not isinstance(answer, Unsupported):
                device.adapter.close_session(answer)

    def test_the_device_is_named_as_it_was_opened(self, device):
        assert device.adapter.name == device.subject.name

    def test_the_device_is_listed_with_its_width(self, device):
        (info,) = listed(device.subject.name)
        assert info.num_qubits == device.capabilities.num_qubits
        assert info.simulator == device.capabilities.simulator

    def test_it_is_online_and_says_how_long_its_queue_is(self, device):
        availability = device.adapter.availability()
        assert availability.online, availability.message
        assert availability.queue_length is None or availability.queue_length >= 0


def listed(name):
    """How its provider lists a device: by its name, or as what the credentials open."""
    adapter, colon, address = name.partition(":")
    if not colon:
        return [info for info in list_devices() if info.name == name]
    provider = vendor(adapter)
    credentials = provider.credentials_type.from_environment()
    if provider.credentials_type is not NoCredentials and not credentials.secrets():
        pytest.skip("opened without credentials, which is nothing that could be listed")
    try:
        known = provider.available(credentials)
    except InputError as error:
        pytest.skip(str(error))
    return [info for info in known if info.name == address]


class TestAvailability:
    def test_the_queue_is_the_vendors(self, device, server):
        server.set(queue=7)
        assert device.adapter.availability().queue_length in {7, None}

    def test_a_device_in_maintenance_says_so_and_takes_nothing(self, device, server):
        experiment = device.bound(circuits.coin())
        server.set(maintenance=True)
        availability = device.adapter.availability()
        assert not availability.online
        assert availability.message or availability.next_window
        with pytest.raises(DeviceUnavailable):
            device.submit(experiment)
        assert server.new_jobs() == []
        server.set(maintenance=False)
        assert device.adapter.availability().online


class TestOutages:
    def test_a_killed_client_leaves_a_job_that_another_process_reads(self, device):
        if not device.capabilities.keeps_jobs:
            pytest.skip("its jobs end with their process")
        token = new_token()
        sent = (device.subject.name, token, device.bound(circuits.ghz()))
        client = subprocess.run(
            [sys.executable, "-c", SUBMIT_AND_DIE],
            input=pickle.dumps(sent),
            stdout=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))},
        )
        handle = JobHandle.model_validate_json(client.stdout)
        assert handle.token == token
        (point,) = device.reopened().result(handle, timeout_s=device.wait_s).counts[0].points
        assert sum(point.to_dict().values()) == point.shots

    def test_a_job_outlives_the_service_that_accepted_it(self, device, server):
        if not device.capabilities.keeps_jobs:
            pytest.skip("its jobs end with their process")
        server.set(delay_s=LONG_S)
        handle = device.submit(device.bound(circuits.reversed_bits()))
        server.restart()
        assert device.adapter.status(handle) in {DeviceJobState.QUEUED, DeviceJobState.RUNNING}
        server.set(delay_s=0.0)
        (point,) = device.result(handle).counts[0].points
        assert max(point.to_dict().items(), key=lambda item: item[1])[0] == "100"

    def test_every_operation_says_that_a_dead_service_cannot_be_reached(self, device, server):
        experiment = device.bound(circuits.coin(), shots=10)
        handle = device.submit(experiment)
        device.result(handle)
        server.kill()
        # Jobs that end with their process are known to it, whatever becomes of the service.
        forgets = not device.capabilities.keeps_jobs
        known = MAY_KNOW | ({"status", "result", "cancel"} if forgets else set())
        for name, operation in operations(device, device.adapter, handle, experiment).items():
            with contextlib.suppress(DeviceUnavailable):
                answer = operation()
                away = name == "availability" and not answer.online
                assert away or name in known, f"{name} answered {answer}"
                check_answer(name, answer)
        with contextlib.suppress(DeviceUnavailable):
            device.reopened()
        server.start()
        assert device.adapter.status(handle) is DeviceJobState.COMPLETED
        assert server.new_jobs()[1:] == []

    def test_who_waits_for_a_result_is_told_of_the_services_death(self, device, server):
        if not device.capabilities.keeps_jobs:
            pytest.skip("a result is there when the submission returns")
        server.set(delay_s=LONG_S)
        handle = device.submit(device.bound(circuits.coin()))
        timer = threading.Timer(0.5, server.kill)
        timer.start()
        with pytest.raises(DeviceUnavailable):
            device.adapter.result(handle, timeout_s=LONG_S)
        timer.join()
        server.start()
        server.set(delay_s=0.0)
        device.result(handle)
