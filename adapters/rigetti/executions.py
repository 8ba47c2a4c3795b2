"""Programs on a processor: translated, sent, asked for and cancelled, through Rigetti's client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from adapters.rigetti.circuits import READOUT
from adapters.rigetti.deadline import within
from adapters.rigetti.errors import CANCELLED
from adapters.rigetti.qcs import Connection, Qcs
from qcpaas.errors import (
    AcceptanceUnknown,
    ExecutionFailed,
    MalformedReply,
    SubmissionRefused,
)

MARGIN_S = 5.0  # beyond the request's own deadline, after which the call itself is stopped

Value = TypeVar("Value")
Memory = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Readout:
    """What one execution gave: values of each readout stream, and the time that it took."""

    streams: Mapping[str, list[int]]
    duration_s: float


class Cancelled(ExecutionFailed):
    """The execution was cancelled before it began."""


class Executions:
    """The executions of one processor.

    Args:
        connection: How it is reached.
        timeout_s: Of one execution on the machine; ``None`` leaves it to QCS.
    """

    def __init__(
        self, qcs: Qcs, processor: str, connection: Connection, timeout_s: float | None
    ) -> None:
        self._qcs = qcs
        self._processor = processor
        self._connection = connection
        self._timeout_s = timeout_s

    def translate(self, quil: str, shots: int) -> tuple[str, dict[int, str]]:
        """The processor's own program, and the readout stream of each measured bit.

        Raises:
            SubmissionRefused: The translation service refuses the program, in its own words.
            CredentialsRefused, DeviceUnavailable, MalformedReply: Nothing was taken.
        """
        from qcs_sdk.qpu import translation

        client = self._qcs.client
        translated = self._asked(
            f"{self._processor}: translation",
            lambda: translation.translate_async(quil, shots, self._processor, client),
        )
        return translated.program, _streams(translated.ro_sources or {})

    def send(self, program: str, memories: Sequence[Memory], token: str) -> tuple[str, ...]:
        """Ids of one execution for each memory map: all are taken, or none.

        Raises:
            AcceptanceUnknown: It was sent, and no answer came that can be read.
            SubmissionRefused, CredentialsRefused, DeviceUnavailable: Nothing was taken.
        """
        from qcs_sdk.qpu import api

        options, client = self._options(self._qcs.timeout_s), self._qcs.client
        what = f"{self._processor}: submission"
        try:
            ids = within(
                self._qcs.timeout_s + MARGIN_S,
                lambda: api.submit_with_parameter_batch_async(
                    program, [dict(memory) for memory in memories], self._processor, client, options
                ),
            )
        except Exception as error:  # noqa: BLE001 - the client's errors have no common class
            raise self._qcs.trouble(error).submitting(what, token) from None
        if len(ids) != len(memories) or not all(ids):
            raise AcceptanceUnknown(
                f"{what}: sent under token {token} for {len(memories)} executions, and "
                f"{len(ids)} ids came back: {', '.join(ids)[:200]}."
            )
        return tuple(ids)

    def read(self, execution: str, wait_s: float) -> Readout | None:
        """What an execution gave; ``None`` where it is not done after ``wait_s``.

        Raises:
            Cancelled, ExecutionFailed: It ended without a result.
            UnknownDeviceJob: There is no such execution.
            CredentialsRefused, DeviceUnavailable, MalformedReply: Ask again.
        """
        from qcs_sdk.qpu import api

        options, client = self._options(wait_s), self._qcs.client
        try:
            results = within(
                wait_s + MARGIN_S,
                lambda: api.retrieve_results_async(execution, self._processor, client, options),
            )
        except Exception as error:  # noqa: BLE001 - the client's errors have no common class
            trouble = self._qcs.trouble(error)
            if trouble.late:
                return None
            if trouble.job is not None and trouble.job[0] == CANCELLED:
                raise Cancelled(f"execution {execution} was cancelled") from None
            raise trouble.asking(f"execution {execution} on {self._processor}") from None
        return self._readout(execution, results)

    def cancel(self, executions: Sequence[str]) -> str:
        """Cancel those that have not begun; what QCS says against it, or nothing.

        Raises:
            UnknownDeviceJob: There is no such execution.
            CredentialsRefused, DeviceUnavailable: Ask again.
        """
        from qcs_sdk.qpu import api

        options, client = self._options(self._qcs.timeout_s), self._qcs.client
        try:
            within(
                self._qcs.timeout_s + MARGIN_S,
                lambda: api.cancel_jobs_async(list(executions), self._processor, client, options),
            )
        except Exception as error:  # noqa: BLE001 - the client's errors have no common class
            trouble = self._qcs.trouble(error)
            if trouble.wrong:
                return trouble.message
            raise trouble.asking(f"cancelling on {self._processor}") from None
        return ""

    def _readout(self, execution: str, results: Any) -> Readout:
        try:
            streams = {
                name: [int(value) for value in buffer.data.to_i32()]
                for name, buffer in results.buffers.items()
            }
            duration_us = results.execution_duration_microseconds or 0
        except (ValueError, TypeError, AttributeError) as error:
            raise MalformedReply(
                f"execution {execution} on {self._processor} answers no numbers: {error!r}"[:400]
            ) from None
        return Readout(streams, duration_us * 1e-6)

    def _asked(self, what: str, call: Callable[[], Awaitable[Value]]) -> Value:
        try:
            return within(self._qcs.timeout_s, call)
        except Exception as error:  # noqa: BLE001 - the client's errors have no common class
            raise self._qcs.trouble(error).asking(what, SubmissionRefused) from None

    def _options(self, request_s: float) -> Any:
        from qcs_sdk.qpu import api

        builder = api.ExecutionOptionsBuilder.default()
        builder.timeout_seconds = request_s
        builder.connection_strategy = self._strategy()
        if self._timeout_s is not None:
            whole, rest = divmod(self._timeout_s, 1)
            own = api.APIExecutionOptionsBuilder.default()
            own.timeout = api.QpuApiDuration(int(whole), int(rest * 1e9))
            builder.api_options = own.build()
        return builder.build()

    def _strategy(self) -> Any:
        from qcs_sdk.qpu.api import ConnectionStrategy

        if self._connection.connection == "direct":
            return ConnectionStrategy.direct_access()
        if self._connection.connection == "endpoint":
            return ConnectionStrategy.endpoint_id(self._connection.endpoint_id)
        return ConnectionStrategy.gateway()


def _streams(sources: Mapping[str, str]) -> dict[int, str]:
    """``{"ro[1]": "q7"}`` as ``{1: "q7"}``; a region of one bit stands without its number."""
    found = {}
    for place, stream in sources.items():
        region, _, index = place.rstrip("]").partition("[")
        if region == READOUT:
            found[int(index or 0)] = stream
    return found
