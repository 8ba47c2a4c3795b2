"""Traces of what happens to a job, where OpenTelemetry is installed and somebody listens.

A trace is a tree of spans, from the client's call to the vendor's. Between processes it travels as
a W3C ``traceparent``. Nobody listens unless told to, and a span costs next to nothing then.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

HEADER = "traceparent"
_EXPORT_WITHIN_S = 3.0
# https://www.w3.org/TR/trace-context/: neither id may be all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_listener: ContextVar[Any] = ContextVar("trace_listener", default=None)


@contextmanager
def span(name: str, **attributes: str | float) -> Iterator[None]:
    """A block as a part of the trace that the code is in; never give it a secret.

    A program that has set up OpenTelemetry for itself gets our spans among its own.
    """
    tracer = _tracer()
    if tracer is None:
        yield
        return
    named = {f"qcpaas.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except BaseException as error:
            # Its type alone: a message may show what somebody typed.
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(_failed())
            raise


@contextmanager
def listening(provider: Any, parent: str = "") -> Iterator[None]:
    """Send the spans of a block to a provider of tracers; ``None`` sends them nowhere.

    Args:
        parent: ``traceparent`` of the span that they belong to.
    """
    if provider is None:
        yield
        return
    from opentelemetry import context

    listener = _listener.set(provider.get_tracer("qcpaas"))
    told = context.attach(parent_context({HEADER: parent}))
    try:
        yield
    finally:
        context.detach(told)
        _listener.reset(listener)


def current_traceparent() -> str:
    """Of the span that the code is in; empty where there is none."""
    if "opentelemetry.trace" not in sys.modules:  # then nobody can have begun one
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER, "")


def parent_context(headers: Mapping[str, str]) -> Any:
    """The trace that a request belongs to, by its headers; a new one where they are no use."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    told = headers.get(HEADER, "")
    carrier = {HEADER: told} if _TRACEPARENT.fullmatch(told) else {}
    return TraceContextTextMapPropagator().extract(carrier)


@contextmanager
def exporting(endpoint: str, service: str) -> Iterator[Any]:
    """A provider of tracers whose spans go to ``endpoint``, OTLP over HTTP; ``None`` without one.

    Args:
        endpoint: With its path, such as ``http://collector:4318/v1/traces``.
    """
    if not endpoint:
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint, timeout=_EXPORT_WITHIN_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider
    finally:
        provider.shutdown()


def _tracer() -> Any:
    listener = _listener.get()
    if listener is not None or "opentelemetry.sdk.trace" not in sys.modules:
        return listener
    from opentelemetry import trace

    return trace.get_tracer("qcpaas")


def _failed() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)
