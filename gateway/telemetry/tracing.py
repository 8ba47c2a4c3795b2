"""Traces of requests: a span each, in the trace that the client is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from qcpaas.tracing import current_traceparent, exporting, listening, parent_context

__all__ = ["Tracing", "current_traceparent", "open_tracing"]


class Tracing:
    """Args:
    provider: Where spans go; ``None`` only hands on the client's trace to the job's run.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("qcpaas.gateway")

    @contextmanager
    def request(self, method: str, traceparent: str, request_id: str) -> Iterator[Span]:
        """A request's span, the current one inside the block."""
        parent = parent_context({"traceparent": traceparent})
        if self._tracer is None:
            token = context.attach(parent)
            try:
                yield trace.INVALID_SPAN
            finally:
                context.detach(token)
            return
        attributes = {"http.request.method": method, "qcpaas.request_id": request_id}
        with (
            listening(self._provider, traceparent),
            self._tracer.start_as_current_span(
                method,
                context=parent,
                kind=SpanKind.SERVER,
                attributes=attributes,
                record_exception=False,
            ) as span,
        ):
            yield span


def ended(span: Span, route: str, method: str, status: int, refusal: str) -> None:
    """Say how a request was answered; its route by name, since paths hold ids."""
    if not span.is_recording():
        return
    span.update_name(route or method)
    attributes: dict[str, Any] = {"http.response.status_code": status, "http.route": route}
    if refusal:
        attributes["error.type"] = refusal
    span.set_attributes(attributes)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


@contextmanager
def open_tracing(endpoint: str) -> Iterator[Tracing]:
    """Traces of a gateway, sent by OTLP over HTTP; nowhere without an endpoint."""
    opened: AbstractContextManager[Any] = exporting(endpoint, "qcpaas-gateway")
    with opened as provider:
        yield Tracing(provider)
