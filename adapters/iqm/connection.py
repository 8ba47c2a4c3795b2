"""IQM's client, opened when it is first needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from adapters.iqm.credentials import IqmCredentials
from adapters.iqm.errors import Translator
from adapters.iqm.wire import Authorization, guarded
from qcpaas.errors import DeviceUnavailable

if TYPE_CHECKING:
    from iqm.iqm_client import IQMClient
    from iqm.iqm_server_client.iqm_server_executor import IQMServerExecutor
    from iqm.iqm_server_client.iqm_server_storage import IQMServerStorage


class Connection:
    """One quantum computer of a server; nothing is asked before the first use.

    Args:
        alias: The server's name of it.
        device: The platform's name of it, for messages.

    Raises:
        CredentialsRefused: No server is given, or two ways in.
    """

    def __init__(self, credentials: IqmCredentials, alias: str, device: str) -> None:
        self.alias = alias
        self.url = credentials.address()
        self._authorization = Authorization(credentials)
        self.errors = Translator(device, alias, self.url, self._authorization)
        self._lock = threading.Lock()
        self._client: IQMClient | None = None

    @property
    def client(self) -> IQMClient:
        """The vendor's client; opening it asks the server for its quantum computers."""
        with self._lock:
            if self._client is None:
                with self.errors.asking("its quantum computers"):
                    self._client = _open(self.url, self.alias, self._authorization)
            return self._client

    @property
    def executor(self) -> IQMServerExecutor:
        return self.client._executor  # noqa: SLF001  has the job's data without warnings

    @property
    def storage(self) -> IQMServerStorage:
        return self.client._storage  # noqa: SLF001  has the history of calibration sets

    def get_json(self, path: str) -> Any:
        """What the server says below its interface's address.

        Raises:
            WireError: It does not.
            ValueError: It is no JSON.
        """
        import requests

        return self.executor.client.send_request(requests.get, path).json()

    def listed(self) -> list[tuple[str, str, int]]:
        """Alias, display name and number of qubits of every quantum computer of the server."""
        require_client()
        import requests
        from iqm.iqm_server_client.iqm_server_client import IQMServerClient
        from iqm.iqm_server_client.models import ListQuantumComputersResponse
        from iqm.station_control.client.list_models import StaticQuantumArchitectureList

        get = guarded(requests.get, self._authorization)
        with self.errors.asking("its quantum computers"):
            # Refuses to send a token without encryption.
            root, _ = IQMServerClient._normalize_url(self.url, None)  # noqa: SLF001
            there = f"{root}/api/v1/quantum-computers"
            listed = ListQuantumComputersResponse.model_validate_json(get(there).text)
            found = []
            for computer in listed.quantum_computers:
                path = f"{there}/{computer.alias}/artifacts/static-quantum-architectures"
                chips = StaticQuantumArchitectureList.model_validate_json(get(path).text)
                found.append((computer.alias, computer.display_name, len(chips[0].qubits)))
            return found


def _open(url: str, alias: str, authorization: Authorization) -> IQMClient:
    require_client()
    from iqm.iqm_client import IQMClient
    from iqm.iqm_server_client.iqm_server_executor import IQMServerExecutor
    from iqm.iqm_server_client.iqm_server_storage import IQMServerStorage

    client = _server_client(url, alias, authorization)
    return IQMClient(
        executor=IQMServerExecutor(client=client), storage=IQMServerStorage(client=client)
    )


def require_client() -> None:
    """Raises `DeviceUnavailable` where the vendor's client is not installed."""
    try:
        import iqm.iqm_client  # noqa: F401
    except ImportError as error:
        raise DeviceUnavailable(
            f"IQM's client cannot be imported: {error}. Install iqm-client on this machine."
        ) from error


def _server_client(url: str, alias: str, authorization: Authorization) -> Any:
    """The client's own, with `guarded` requests."""
    from iqm.iqm_server_client.iqm_server_client import IQMServerClient

    class GuardedClient(IQMServerClient):  # type: ignore[misc]
        def send_request(self, http_method: Any, url_path: str, **given: Any) -> Any:
            return super().send_request(guarded(http_method, authorization), url_path, **given)

    return GuardedClient(iqm_server_url=url, quantum_computer=alias, client_signature="qcpaas")
