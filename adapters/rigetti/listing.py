"""What Rigetti has for one user."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.rigetti.credentials import RigettiCredentials
from adapters.rigetti.deadline import within
from adapters.rigetti.qcs import Qcs
from adapters.rigetti.qvm_server import QVMServer
from qcpaas.devices import DeviceInfo
from qcpaas.errors import AdapterError

_WIDTH = 9  # of the QVM that is shown; any other opens as well


def qvms(url: str) -> Iterator[DeviceInfo]:
    """The QVM at an address, where one answers."""
    try:
        version = QVMServer(url, 1.0, None, None).version()
    except AdapterError:
        return
    yield DeviceInfo(
        name=f"qvm:{_WIDTH}q",
        adapter="rigetti",
        num_qubits=_WIDTH,
        simulator=True,
        address=f"qvm:{_WIDTH}q",
        description=f"QVM {version} at {url}; qvm:4q and other widths open as well",
    )


def processors(credentials: RigettiCredentials, timeout_s: float) -> Iterator[DeviceInfo]:
    """Processors that the credentials open.

    Raises:
        CredentialsRefused: They open none.
        DeviceUnavailable: QCS cannot be reached.
        MalformedReply: It answers something else.
    """
    from qcs_sdk.qpu import list_quantum_processors_async

    from adapters.rigetti.qpu import QPUAdapter
    from adapters.rigetti.settings import RigettiSettings

    qcs = Qcs(credentials, timeout_s)
    qcs.token()
    client = qcs.client
    try:
        names = within(timeout_s, lambda: list_quantum_processors_async(client, timeout_s))
    except Exception as error:  # noqa: BLE001 - the client's errors have no common class
        raise qcs.trouble(error).asking("QCS's list of processors") from None
    for name in names:
        width = QPUAdapter(name, name, qcs, RigettiSettings()).capabilities().num_qubits
        yield DeviceInfo(
            name=name,
            adapter="rigetti",
            num_qubits=width,
            address=name,
            description=f"Rigetti {name} at QCS",
        )
