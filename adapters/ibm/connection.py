"""IBM's own client, signed in to one instance, with deadlines."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.ibm.credentials import IbmCredentials
from adapters.ibm.errors import LONGEST, Translator
from adapters.ibm.replies import BackendList, Listed, Reply
from qcpaas.errors import CredentialsRefused, DeviceUnavailable, MalformedReply, UnknownDevice
from qcpaas.errors import nearest as nearest_of

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService
    from qiskit_ibm_runtime.api.client_parameters import ClientParameters
    from qiskit_ibm_runtime.api.clients import RuntimeClient

    from adapters.ibm.transport import Identity, Journal

Read = TypeVar("Read", bound=Reply)

_CHANNEL = "ibm_quantum_platform"
_URL = "https://cloud.ibm.com"


@dataclass(frozen=True, eq=False)
class Connected:
    """A backend, and the client that reads what belongs to it."""

    service: QiskitRuntimeService
    backend: IBMBackend
    api: RuntimeClient


@dataclass(eq=False)
class Connection:
    """Signs in at its first use, and stays so.

    Args:
        device: Our name of the device, for messages.
        instance: CRN or name; empty for the one of the credentials, or any that has the backend.
    """

    device: str
    credentials: IbmCredentials
    instance: str | None = None
    _connected: dict[str, Connected] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.instance = self.instance or self.credentials.instance
        self.errors = Translator(self.device, self.credentials)
        self._journal: Journal | None = None
        self._identity: Identity | None = None

    @property
    def journal(self) -> Journal:
        """What this thread's requests have met."""
        if self._journal is None:
            from adapters.ibm.transport import Journal

            self._journal = Journal()
        return self._journal

    def backend(self, name: str) -> Connected:
        """Raises `UnknownDevice` where none of the instances has it."""
        with self._lock:
            if name not in self._connected:
                try:
                    self._connected[name] = self._connect(name)
                except Exception as error:  # noqa: BLE001 - the client raises anything
                    self.errors.asked(error, self.journal.trouble)
            return self._connected[name]

    def listed(self) -> list[Listed]:
        """Every backend of the instances, each once."""
        try:
            found = {each.name: each for _, backends in self._instances() for each in backends}
        except Exception as error:  # noqa: BLE001 - the client raises anything
            self.errors.asked(error, self.journal.trouble)
        return list(found.values())

    def read(self, kind: type[Read], found: Any) -> Read:
        """A reply as one of `adapters.ibm.replies`.

        Raises:
            MalformedReply: It does not fit.
        """
        try:
            if isinstance(found, bytes):
                return kind.model_validate_json(found)
            return kind.model_validate(found)
        except (ValueError, OverflowError, RecursionError) as error:
            shown = " ".join(str(error).split())[:LONGEST]
            text = f"{self.device} answered what is no {kind.__name__.lower()}: {shown}"
            self.errors.refuse(MalformedReply, f"{text}. Ask again later.", None)

    def _connect(self, name: str) -> Connected:
        from qiskit_ibm_runtime import QiskitRuntimeService
        from qiskit_ibm_runtime.exceptions import IBMInputValueError

        crn = self._instance_with(name)
        try:
            service = QiskitRuntimeService(**self._account(), instance=crn, **self._private())
        except IBMInputValueError as error:
            self.errors.refuse(CredentialsRefused, str(error), error)
        clients = service._get_api_clients()  # noqa: SLF001 - they need their deadlines
        for client in (service._get_api_client(), *clients.values()):  # noqa: SLF001
            self._bound(client, crn)
        # Rotations by any angle (rx, rzz) and control flow, both as the device has them.
        backend = service.backend(name, use_fractional_gates=None)
        return Connected(service, backend, clients[crn])

    def _instance_with(self, name: str) -> str:
        seen: list[str] = []
        for crn, backends in self._instances():
            names = [each.name for each in backends]
            if name in names:
                return crn
            seen += names
        raise UnknownDevice(
            f"IBM has no backend {name!r} for these credentials. {nearest_of(name, seen)}"
        )

    def _instances(self) -> Iterator[tuple[str, list[Listed]]]:
        """The CRN and backends of each instance that is meant."""
        for crn in self._crns():
            client = self._client(crn)
            listed = self.read(BackendList, {"devices": client.list_backends()})
            yield crn, list(listed.devices)

    def _crns(self) -> list[str]:
        """Signs in before anything else is asked: its failures say what is wrong."""
        _quieten()
        self._require_token()
        wanted = self.instance or ""
        if wanted.startswith("crn:"):
            self._sign_in(wanted).token()
            return [wanted]
        self._sign_in("").token()
        from qiskit_ibm_runtime.accounts import Account

        account = Account.create_account(**self._account(), **self._private())
        instances = account.list_instances()
        found = [each["crn"] for each in instances if wanted in ("", each["name"])]
        if not found:
            names = ", ".join(str(each["name"]) for each in instances) or "none"
            asked = f"no instance {wanted!r}" if wanted else "no instance with a backend"
            raise CredentialsRefused(
                f"these credentials open {asked}; their instances are {names}. Set "
                "QISKIT_IBM_INSTANCE, or the device's setting instance."
            )
        return found

    def _require_token(self) -> None:
        if self.credentials.token is None:
            raise CredentialsRefused(
                f"{self.device} needs an IBM Cloud API key, and none is given. Set "
                "QISKIT_IBM_TOKEN, or save an account with QiskitRuntimeService.save_account()."
            )

    def _account(self) -> dict[str, Any]:
        token = self.credentials.token
        return {
            "channel": _CHANNEL,
            "token": token.get_secret_value() if token else None,
            "url": self.credentials.url or _URL,
        }

    def _private(self) -> dict[str, bool]:
        return {"private_endpoint": self.credentials.private_endpoint}

    def _parameters(self, crn: str) -> ClientParameters:
        from qiskit_ibm_runtime.api.client_parameters import ClientParameters

        return ClientParameters(**self._account(), instance=crn, **self._private())

    def _client(self, crn: str) -> RuntimeClient:
        from qiskit_ibm_runtime.api.clients import RuntimeClient

        return self._bound(RuntimeClient(self._parameters(crn)), crn)

    def _bound(self, client: RuntimeClient, crn: str) -> RuntimeClient:
        from adapters.ibm.transport import bind

        return bind(client, crn, self._sign_in(crn), self.journal)

    def _sign_in(self, crn: str) -> Identity:
        from adapters.ibm.transport import Identity

        if self._identity is None:
            # The client's own choice of the address to sign in at.
            manager = self._parameters(crn).get_auth_handler().tm
            self._identity = Identity(manager, self.errors.refuse)
        return self._identity


def require_client(device: str) -> None:
    """Raises `DeviceUnavailable` where the vendor's client is not installed."""
    from importlib.util import find_spec

    if find_spec("qiskit_ibm_runtime") is None:
        raise DeviceUnavailable(
            f"{device} is reached through qiskit-ibm-runtime, which is not installed. Install it."
        )


def _quieten() -> None:
    """The client tells of every sign-in on the terminal, unless it was told how much to tell."""
    if not os.environ.get("QISKIT_IBM_RUNTIME_LOG_LEVEL"):
        logging.getLogger("qiskit_ibm_runtime").setLevel(logging.ERROR)
