"""Replies that do not fit the vendor's interface."""

import traceback

import pytest
from conformance.suite import circuits
from conformance.suite.operations import check_answer, operations
from conformance.suite.secrets import secrets_in_force

from adapters.contract import DeviceAdapter
from qcpaas.errors import AcceptanceUnknown, QCPaaSError

SPOILT = (
    "truncated",
    *(pytest.param(how, marks=pytest.mark.slow) for how in ("types", "nan", "negative", "huge")),
    *(pytest.param(how, marks=pytest.mark.slow) for how in ("empty", "html")),
)
LONGEST = 2000  # characters of a message: it quotes 200 of the reply at most


class TestReplies:
    @pytest.mark.parametrize("how", SPOILT)
    def test_a_spoilt_reply_is_an_error_of_ours_or_does_no_harm(self, device, server, how):
        experiment = device.bound(circuits.coin(), shots=10)
        handle = device.submit(experiment)
        device.result(handle)
        hidden = secrets_in_force(device.subject)
        server.set(spoil=how)
        for adapter in (device.adapter, *reopened(device)):
            for name, operation in operations(device, adapter, handle, experiment).items():
                before = server.count()
                answer = attempt(operation)
                if isinstance(answer, QCPaaSError):
                    check_told(answer, hidden)
                    taken = server.count() - before
                    assert not taken or isinstance(answer, AcceptanceUnknown), (name, answer)
                else:
                    check_answer(name, answer)
        server.set(spoil="")
        device.run(experiment)


def attempt(operation):
    """Its answer, or the error of our tree that it raises."""
    try:
        return operation()
    except QCPaaSError as error:
        return error


def check_told(error, hidden):
    """What an error says is short, and no secret."""
    assert len(str(error)) < LONGEST
    told = "".join(traceback.format_exception(error))
    assert not any(secret in told for secret in hidden)


def reopened(device) -> tuple[DeviceAdapter, ...]:
    """The device opened while its replies are spoilt, if that can be done."""
    try:
        return (device.reopened(),)
    except QCPaaSError:
        return ()
