"""A QVM behind its address: whether it is there, and one program at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from adapters.rigetti.circuits import READOUT, QuilProgram
from adapters.rigetti.results import Bits, bits_of_rows
from adapters.rigetti.settings import Noise
from qcpaas.errors import (
    AcceptanceUnknown,
    CredentialsRefused,
    DeviceUnavailable,
    ExecutionFailed,
    MalformedReply,
)

_THERE_S = 1.5  # to say within two seconds that none is there
_AWAY = frozenset({429, 502, 503})
_REFUSED = frozenset({401, 403})
_FAILED = "QVM reported a problem running your program: "
_VERSION = re.compile(r"\d+\.\d+")


class QVMServer:
    """One QVM.

    Args:
        gate_noise: Probabilities of X, Y and Z after each gate.
        measurement_noise: The same before each measurement.
        timeout_s: Of one run.
    """

    def __init__(
        self, url: str, timeout_s: float, gate_noise: Noise | None, measurement_noise: Noise | None
    ) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._noise = (measurement_noise, gate_noise)

    def check(self) -> None:
        """Ask for its version: Rigetti's client would tell every trouble in the same words.

        Raises:
            DeviceUnavailable: None is there.
            CredentialsRefused: What stands before it lets nobody in.
        """
        reply = self._version()
        if reply.status_code in _REFUSED:
            raise CredentialsRefused(f"the QVM at {self.url} answers {reply.status_code}.")
        if reply.status_code in _AWAY:
            raise DeviceUnavailable(f"the QVM at {self.url} answers {_quoted(reply)}")

    def version(self) -> str:
        """Such as ``1.17.2 [cf3f91f]``.

        Raises:
            DeviceUnavailable: None is there, or it fails.
            MalformedReply: Something else answers at its address.
        """
        self.check()
        reply = self._version()
        if reply.status_code >= 500:
            raise DeviceUnavailable(f"the QVM at {self.url} answers {_quoted(reply)}")
        if not reply.is_success or not _VERSION.match(reply.text):
            raise MalformedReply(
                f"what answers at {self.url} is no QVM: asked for its version, it said "
                f"{_quoted(reply)}"
            )
        return reply.text

    def run(
        self, program: QuilProgram, memory: Mapping[str, Sequence[float]], shots: int, seed: int
    ) -> Bits:
        """Shots of a program with its memory set, shape ``(shots, bits)``.

        Raises:
            ExecutionFailed: The QVM says what is wrong with the program.
            AcceptanceUnknown: No answer came that can be read.
            DeviceUnavailable: It has gone, and what was sent with it.
        """
        from qcs_sdk import qvm

        measurement_noise, gate_noise = self._noise
        try:
            result = qvm.run(
                program.text,
                shots,
                {READOUT: qvm.api.AddressRequest.include_all()},
                dict(memory),
                qvm.QVMClient.new_http(self.url),
                measurement_noise,
                gate_noise,
                seed,
                qvm.QVMOptions(timeout_seconds=self._timeout_s),
            )
            return bits_of_rows(_integers(result.memory[READOUT]), shots, program.num_bits)
        except qvm.QVMError as error:
            raise self._translated(str(error)) from None
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise self._unreadable(repr(error)) from error

    def _translated(self, text: str) -> ExecutionFailed | AcceptanceUnknown:
        if text.startswith(_FAILED):
            return ExecutionFailed(f"the QVM says: {text.removeprefix(_FAILED)[:500]}")
        self.check()
        return self._unreadable(text)

    def _unreadable(self, found: str) -> AcceptanceUnknown:
        return AcceptanceUnknown(
            f"a program was sent to the QVM at {self.url}, and no answer came within "
            f"{self._timeout_s:g} s that can be read: {found[:200]}. Nothing of it is kept there; "
            "send it again, with a longer execution_timeout_s where it takes longer."
        )

    def _version(self) -> httpx.Response:
        try:
            return httpx.post(
                self.url,
                json={"type": "version"},
                timeout=_THERE_S,
                verify=self.url.startswith("https"),
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeviceUnavailable(
                f"no QVM answers at {self.url} ({type(error).__name__}). Start one with `qvm -S`, "
                "or name its address in QCS_SETTINGS_APPLICATIONS_QVM_URL."
            ) from error


def _integers(data: Any) -> Any:
    return data.as_i8() if data.is_i8() else None


def _quoted(reply: httpx.Response) -> str:
    return f"status {reply.status_code}: {reply.text[:200]}"
