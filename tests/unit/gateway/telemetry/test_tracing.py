import pytest
from fastapi import APIRouter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.app import create_app
from gateway.telemetry.tracing import Tracing, current_traceparent
from qcpaas.tracing import span

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def room() -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.post("/jobs", name="job.submit")
    def submit() -> str:
        with span("estimate"):
            return current_traceparent()

    @router.get("/defect", name="test.defect")
    def defect() -> None:
        raise RuntimeError("s3cret")

    return router


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def platform(open_platform, exporter):
    made = open_platform()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made.tracing = Tracing(provider)
    return made


def test_a_request_is_a_span_of_the_client_s_trace(platform, exporter, caller, token_of):
    ask = caller(create_app(platform, [room()]), token_of("ada"))
    handed_on = ask("POST", "/v1/jobs", headers={"traceparent": PARENT}).json()
    estimate, request = exporter.get_finished_spans()
    assert (request.name, request.kind.name) == ("job.submit", "SERVER")
    assert request.attributes["http.response.status_code"] == 200
    assert f"{request.parent.span_id:016x}" == "b7ad6b7169203331"
    assert estimate.parent.span_id == request.context.span_id
    assert handed_on == f"00-{PARENT[3:35]}-{estimate.context.span_id:016x}-01"


def test_no_secret_is_in_a_trace(platform, exporter, caller, token_of):
    token = token_of("ada")
    ask = caller(create_app(platform, [room()]), token)
    ask("GET", "/v1/defect", headers={"Cookie": "s3cret"})
    ask("POST", "/v1/jobs?key=s3cret", json={"password": "s3cret"})
    caller(create_app(platform, [room()]), f"{token}x")("GET", "/v1/defect?token=s3cret")
    found = exporter.get_finished_spans()
    told = "".join(each.to_json() for each in found)
    assert len(found) == 4
    assert "s3cret" not in told
    assert token[-20:] not in told
    assert [each.attributes.get("error.type") for each in found].count("PlatformError") == 1


def test_a_gateway_without_traces_hands_on_the_client_s(open_platform, caller, token_of):
    ask = caller(create_app(open_platform(), [room()]), token_of("ada"))
    assert ask("POST", "/v1/jobs", headers={"traceparent": PARENT}).json() == PARENT
    assert ask("POST", "/v1/jobs").json() == ""
