"""Every operation of the contract, by its name, as something to call."""

from conformance.suite.device import new_token

from adapters.contract import (
    Availability,
    Capabilities,
    DeviceJobState,
    DeviceResult,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
    Window,
)
from store.snapshot import Snapshot


def operations(device, adapter, handle, experiment):
    """Name to call, for a job that has ended; what opens something comes last."""
    return {
        "capabilities": adapter.capabilities,
        "calibration": adapter.calibration,
        "availability": adapter.availability,
        "status": lambda: adapter.status(handle),
        "result": lambda: adapter.result(handle, timeout_s=device.wait_s),
        "cancel": lambda: adapter.cancel(handle),
        "find_by_token": lambda: adapter.find_by_token(handle.token),
        "reservations": adapter.reservations,
        "open_session": adapter.open_session,
        "submit": lambda: adapter.submit(Submission((experiment,), 5), new_token()),
    }


ANSWERS = {
    "capabilities": Capabilities,
    "calibration": Snapshot | Unsupported,
    "availability": Availability,
    "status": DeviceJobState,
    "result": DeviceResult,
    "cancel": Unsupported | None,
    "find_by_token": JobHandle | Unsupported | None,
    "open_session": DeviceSession | Unsupported,
    "submit": JobHandle,
}


def check_answer(name, answer):
    """It is of the contract's type; one that is not supported says which, and why."""
    if isinstance(answer, Unsupported):
        assert answer.operation == name
        assert answer.reason
    elif name == "reservations":
        assert all(isinstance(window, Window) for window in answer)
    else:
        assert isinstance(answer, ANSWERS[name])
