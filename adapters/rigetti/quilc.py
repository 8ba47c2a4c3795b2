"""Rigetti's compiler, where it is wanted and there."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from qcpaas.errors import DeviceUnavailable, SubmissionRefused

_THERE_S = 1.5  # to say within two seconds that none is there
_TIMEOUT_S = 60.0


def compiled(quil: str, isa: Any, url: str) -> str:
    """A program as quilc compiles it for a processor.

    Rigetti's client waits a minute for a quilc that is not there, so its port is tried first.

    Raises:
        DeviceUnavailable: No quilc is there.
        SubmissionRefused: It does not compile the program, in its own words.
    """
    from qcs_sdk.compiler import quilc

    check(url)
    try:
        target = quilc.TargetDevice.from_isa(isa)
        client = quilc.QuilcClient.new_rpcq(url)
        options = quilc.CompilerOpts(timeout=_TIMEOUT_S)
        return str(quilc.compile_program(quil, target, client, options).program)
    except quilc.QuilcError as error:
        raise SubmissionRefused(f"quilc at {url}: {str(error)[:500]}") from error


def check(url: str) -> None:
    """Raises `DeviceUnavailable` where nothing listens."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 5555), _THERE_S).close()
    except (OSError, ValueError) as error:
        raise DeviceUnavailable(
            f"no quilc listens at {url} ({type(error).__name__}). Start one with `quilc -R`, name "
            "its address in QCS_SETTINGS_APPLICATIONS_QUILC_URL, or set compiler to native."
        ) from error
