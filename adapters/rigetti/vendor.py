"""Rigetti processors and the QVM, through pyQuil."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec

from adapters.contract import DeviceAdapter
from adapters.rigetti.credentials import RigettiCredentials
from adapters.rigetti.settings import REQUEST_TIMEOUT_S, RigettiSettings
from adapters.vendor import Vendor
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import CredentialsRefused, DeviceUnavailable, InputError, UnknownDevice
from store.snapshot import Snapshot

QVM = "qvm:"
MAX_QUBITS = 30  # 16 GiB of amplitudes
_PROCESSOR = re.compile(r"[A-Za-z0-9][\w.-]*")
_WIDTH = re.compile(r"(\d+)q(-square)?(-qvm)?")
QVM_TIMEOUT_S = 120.0


class RigettiVendor(Vendor):
    """``qvm:9q`` is a QVM of nine qubits, ``Ankaa-3`` a processor at QCS."""

    adapter = "rigetti"
    credentials_type = RigettiCredentials
    settings_type = RigettiSettings
    client = "pyquil"

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: RigettiCredentials,
        settings: RigettiSettings,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        """Calls nobody.

        Raises:
            UnknownDevice: The address is neither a QVM's nor a processor's.
            CredentialsRefused: The files of QCS cannot be read.
            InputError: The settings do not fit together.
            DeviceUnavailable: Rigetti's client is not installed.
        """
        _check_installed()
        if registration.address.startswith(QVM):
            return _qvm(registration, credentials, settings)
        return _processor(registration, credentials, settings)

    def available(self, credentials: RigettiCredentials) -> Sequence[DeviceInfo]:
        """QCS's processors, and a QVM where one answers: it opens at any width."""
        from adapters.rigetti.listing import processors, qvms

        found = list(qvms(credentials.qvm()))
        try:
            return [*found, *processors(credentials, REQUEST_TIMEOUT_S)]
        except (CredentialsRefused, DeviceUnavailable):
            if found:
                return found
            raise


def _qvm(
    registration: DeviceRegistration, credentials: RigettiCredentials, settings: RigettiSettings
) -> DeviceAdapter:
    from adapters.rigetti.qvm import QVMAdapter
    from adapters.rigetti.qvm_server import QVMServer

    match = _WIDTH.fullmatch(registration.address.removeprefix(QVM))
    width = int(match[1]) if match else 0
    if not 1 <= width <= MAX_QUBITS:
        raise UnknownDevice(
            f"there is no QVM {registration.address!r}. Name one by its width, 1 to {MAX_QUBITS} "
            "qubits: qvm:9q."
        )
    if settings.compiler != "native" or settings.connection != "gateway":
        raise InputError(
            f"device {registration.name}: a QVM executes every gate and is reached at its own "
            "address; compiler and connection are for processors."
        )
    server = QVMServer(
        credentials.qvm(),
        settings.execution_timeout_s or QVM_TIMEOUT_S,
        settings.gate_noise,
        settings.measurement_noise,
    )
    noisy = settings.gate_noise is not None or settings.measurement_noise is not None
    return QVMAdapter(registration.name, width, server, noisy=noisy)


def _processor(
    registration: DeviceRegistration,
    credentials: RigettiCredentials,
    settings: RigettiSettings,
) -> DeviceAdapter:
    from adapters.rigetti.qcs import Qcs
    from adapters.rigetti.qpu import QPUAdapter

    address = registration.address
    if not _PROCESSOR.fullmatch(address):
        raise UnknownDevice(
            f"{address!r} names no processor of Rigetti's. Name one as QCS does, such as Ankaa-3, "
            "or a QVM, such as qvm:9q."
        )
    if (settings.connection == "endpoint") != bool(settings.endpoint_id):
        raise InputError(
            f"device {registration.name}: connection is {settings.connection!r} and endpoint_id "
            f"{settings.endpoint_id!r}. Give an endpoint_id with connection endpoint, only then."
        )
    if settings.gate_noise is not None or settings.measurement_noise is not None:
        raise InputError(f"device {registration.name}: noise can be set for a QVM only.")
    qcs = Qcs(credentials, settings.request_timeout_s)
    qcs.read_profile()
    return QPUAdapter(registration.name, address, qcs, settings)


def _check_installed() -> None:
    if find_spec("qcs_sdk") is None:
        raise DeviceUnavailable(
            "Rigetti's client is not installed in this environment. Add pyquil to it."
        )
