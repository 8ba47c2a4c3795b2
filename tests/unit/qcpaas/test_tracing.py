import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from qcpaas.errors import DeviceUnavailable
from qcpaas.tracing import current_traceparent, exporting, listening, span

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # the specification's example


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def test_spans_belong_to_the_trace_that_came(provider, exporter):
    with listening(provider, PARENT), span("job", job_id="j"), span("execute"):
        told = current_traceparent()
    execute, job = exporter.get_finished_spans()
    assert (job.name, dict(job.attributes)) == ("job", {"qcpaas.job_id": "j"})
    assert f"{job.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{job.parent.span_id:016x}" == "b7ad6b7169203331"
    assert execute.parent.span_id == job.context.span_id
    assert told == f"00-{execute.context.trace_id:032x}-{execute.context.span_id:016x}-01"


def test_a_failed_span_says_the_type_of_its_error_and_not_its_words(provider, exporter):
    with pytest.raises(DeviceUnavailable), listening(provider), span("device submit"):
        raise DeviceUnavailable("token s3cret was refused")
    (found,) = exporter.get_finished_spans()
    assert found.attributes["error.type"] == "DeviceUnavailable"
    assert not found.status.is_ok
    assert "s3cret" not in found.to_json()


@pytest.mark.parametrize(
    "parent",
    ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "99-" + "a" * 32, PARENT.upper()],
)
def test_a_parent_that_is_no_parent_begins_a_trace(provider, exporter, parent):
    with listening(provider, parent), span("job"):
        pass
    (found,) = exporter.get_finished_spans()
    assert found.parent is None


def test_nobody_listens_unless_told_to():
    with exporting("", "worker") as provider, listening(provider, PARENT), span("job"):
        assert current_traceparent() == ""


def test_what_listened_once_listens_no_more(provider, exporter):
    with listening(provider), span("first"):
        pass
    with span("second"):
        pass
    assert [each.name for each in exporter.get_finished_spans()] == ["first"]
