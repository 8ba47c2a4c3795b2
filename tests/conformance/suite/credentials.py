"""Who is not let in is told so, and no secret is told to anybody."""

import logging
import traceback

import pytest
from conformance.suite import circuits
from conformance.suite.operations import operations
from conformance.suite.secrets import secrets_in_force

from qcpaas.errors import CredentialsRefused

# Of these a client may know the answer without asking, or that there is none.
MAY_KNOW = {"capabilities", "calibration", "find_by_token", "reservations", "open_session"}


class TestCredentials:
    def test_wrong_credentials_are_refused_by_every_operation_and_never_shown(
        self, device, strangers, job, caplog, capfd
    ):
        handle, experiment = job
        hidden = secrets_in_force(device.subject)
        assert hidden, "the wrong credentials hold no secret"
        texts, refused = [], set()
        with caplog.at_level(logging.DEBUG):
            try:
                adapter = device.reopened()
            except CredentialsRefused as error:
                told = "".join(traceback.format_exception(error))
                assert not any(secret in told for secret in hidden)
                return
            texts.append(repr(adapter))
            for name, operation in operations(device, adapter, handle, experiment).items():
                try:
                    answer = operation()
                except CredentialsRefused as error:
                    refused.add(name)
                    texts += [repr(error), "".join(traceback.format_exception(error))]
                else:
                    assert name in MAY_KNOW or not getattr(answer, "online", True), name
        assert {"status", "result", "cancel", "submit"} <= refused
        for text in (*texts, caplog.text, *capfd.readouterr()):
            assert not any(secret in text for secret in hidden), text[:2000]

    def test_credentials_that_are_refused_later_are_told_as_such(self, device, job, server):
        if device.subject.wrong_credentials is None:
            pytest.skip("everybody is let in")
        handle, experiment = job
        hidden = secrets_in_force(device.subject)
        server.set(refuse_credentials=True)
        for operation in (
            lambda: device.adapter.status(handle),
            lambda: device.submit(experiment),
        ):
            with pytest.raises(CredentialsRefused) as caught:
                operation()
            told = "".join(traceback.format_exception(caught.value))
            assert not any(secret in told for secret in hidden)
        assert server.new_jobs() == []
        server.set(refuse_credentials=False)
        device.run(experiment)

    def test_a_handle_holds_no_secret(self, device, job):
        handle, _ = job
        assert not any(s in handle.model_dump_json() for s in secrets_in_force(device.subject))


@pytest.fixture
def job(device):
    """A job that has ended, and what was asked."""
    experiment = device.bound(circuits.coin(), shots=10)
    handle = device.submit(experiment)
    device.result(handle)
    return handle, experiment
