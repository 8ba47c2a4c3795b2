import asyncio
import json
import logging
import shutil

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from gateway.api import health, people
from gateway.app import create_app
from gateway.auth.choose import open_authenticator
from gateway.engine.prefect import open_engine
from gateway.platform import Platform
from gateway.settings import GatewaySettings
from qcpaas.errors import CircuitError, JobFailed, NotReady, PlatformUnavailable
from qcpaas.reports import rebuild
from qcpaas.scheduling import Role, UserInfo
from qcpaas.schemas import ErrorReport
from store.audit import AuditTrail
from store.database import open_store
from store.people import People

SECRET = "of-nobody's-business"


class Numbers(BaseModel):
    values: list[float]
    name: str = ""


def room() -> APIRouter:
    """Endpoints that fail in all ways, and some that do not."""
    router = APIRouter(prefix="/v1", tags=["test"])

    @router.post("/numbers", name="numbers.add")
    def numbers(numbers: Numbers) -> float:
        return sum(numbers.values)

    @router.put("/credentials/ibm/mine", name="credentials.keep")
    def keep(values: Numbers) -> None:
        pass

    @router.get("/defect", name="test.defect")
    def defect() -> None:
        raise RuntimeError(f"at /srv/platform/secrets.py with {SECRET}")

    @router.get("/refusal", name="test.refusal")
    def refusal() -> None:
        raise CircuitError("circuit needs 27 qubits; iqm_garnet has 20. Choose a larger device.")

    @router.get("/failed", name="test.failed")
    def failed() -> None:
        report = ErrorReport(type="JobFailed", message="it failed.", traceback_text="line 3: boom")
        raise rebuild(report)

    @router.get("/store", name="test.store")
    def store() -> None:
        raise PlatformUnavailable("the store postgresql://db.internal/qcpaas cannot be used: x.")

    @router.get("/jobs/{job_id}", name="job.read")
    def job(job_id: str) -> None:
        raise NotReady(f"job {job_id} is queued.")

    @router.get("/stream", name="test.stream")
    async def stream() -> StreamingResponse:
        async def pieces():
            yield b"first"
            await asyncio.sleep(0)
            raise RuntimeError("in the middle")

        return StreamingResponse(pieces(), media_type="text/plain")

    return router


@pytest.fixture
def app_with(open_platform):
    def made(**settings):
        return create_app(open_platform(**settings), [health.router, people.router, room()])

    return made


@pytest.fixture
def ask(app_with, caller, token_of):
    return caller(app_with(), token_of("ada"))


@pytest.fixture(scope="module")
def shared(empty_store, tmp_path_factory, caller):
    """As ``ask``, of one gateway for all tests that leave nothing behind."""
    file = tmp_path_factory.mktemp("shared") / "store.db"
    shutil.copy(empty_store, file)
    with open_store(f"sqlite:///{file}") as store:
        People(store).keep(UserInfo(name="ada"))
        token = People(store).create_token("ada").token
        settings = GatewaySettings(auth="tokens", requests_a_minute=10_000)
        platform = Platform(
            settings, store, open_engine(settings), open_authenticator(settings, store)
        )
        yield caller(create_app(platform, [health.router, people.router, room()]), token)


def report(response: httpx.Response) -> ErrorReport:
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    return ErrorReport.model_validate_json(response.content)


# --- who is let in ---------------------------------------------------------------------------


def test_nobody_is_let_in_without_a_token(app_with, caller):
    refused = caller(app_with())("GET", "/v1/me")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert report(refused).type == "NotLetIn"


def test_some_paths_are_for_everybody(app_with, caller):
    ask = caller(app_with(), address="192.0.2.7")
    for path in ("/health", "/docs", "/openapi.json"):
        assert ask("GET", path).status_code == 200, path


def test_all_other_paths_ask_who_it_is(app_with, caller):
    ask = caller(app_with())
    for path in ("/v1/me", "/nothing", "/", "//v1/me", "/health/", "/docs/x"):
        assert ask("GET", path).status_code == 401, path


def test_the_token_s_user_is_who_asks(shared):
    assert shared("GET", "/v1/me").json()["name"] == "ada"


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "qcp_x"])
def test_a_header_that_is_no_token_is_refused(app_with, caller, value):
    refused = caller(app_with())("GET", "/v1/me", headers={"Authorization": value})
    assert refused.status_code == 401


def test_a_wrong_token_is_shown_nowhere(app_with, caller, token_of, store, caplog):
    wrong = token_of("ada")[:-2] + "zz"
    with caplog.at_level(logging.DEBUG):
        refused = caller(app_with(), wrong)("GET", "/v1/me")
    assert refused.status_code == 401
    told = refused.text + caplog.text + str(AuditTrail(store).newest())
    assert wrong not in told
    assert wrong[-20:] not in told


def test_the_token_in_the_query_is_no_token(app_with, caller, token_of):
    assert caller(app_with())("GET", f"/v1/me?token={token_of('ada')}").status_code == 401


def test_two_authorizations_are_one_too_many(app_with, caller, token_of):
    bearer = ("Authorization", f"Bearer {token_of('ada')}")
    for headers in ([bearer, bearer], [bearer, ("authorization", "Bearer x")]):
        assert caller(app_with())("GET", "/v1/me", headers=headers).status_code == 400


def test_without_authentication_a_program_on_this_machine_is_an_administrator(app_with, caller):
    told = caller(app_with(auth="none"))("GET", "/v1/me").json()
    assert (told["name"], told["role"]) == ("local", "administrator")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:4300"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
    ],
)
def test_without_authentication_nothing_else_is_let_in(app_with, caller, headers):
    refused = caller(app_with(auth="none"))("GET", "/v1/me", headers=headers)
    assert refused.status_code == 403


def test_without_authentication_other_machines_are_not_let_in(app_with, caller):
    elsewhere = caller(app_with(auth="none"), address="192.0.2.7")
    assert elsewhere("GET", "/v1/me").status_code == 403


def test_what_a_client_says_of_its_address_counts_for_nothing(app_with, caller, store):
    headers = {"X-Forwarded-For": "10.1.2.3", "X-Real-IP": "10.1.2.3", "Forwarded": "for=10.1.2.3"}
    caller(app_with(), address="192.0.2.7")("GET", "/v1/me", headers=headers)
    assert AuditTrail(store).newest()[0].address == "192.0.2.7"


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_header_does_not_change_the_method(shared, header):
    assert shared("GET", "/v1/me", headers={header: "DELETE"}).status_code == 200


@pytest.mark.parametrize("header", ["X-Original-URL", "X-Rewrite-URL"])
def test_a_header_does_not_change_the_path(app_with, caller, header):
    assert caller(app_with())("GET", "/v1/me", headers={header: "/health"}).status_code == 401


# --- how often -------------------------------------------------------------------------------


def test_a_user_s_requests_are_limited_wherever_they_come_from(app_with, caller, token_of):
    app, token = app_with(requests_a_minute=20), token_of("ada")
    for number in range(20):
        assert caller(app, token, f"192.0.2.{number}")("GET", "/v1/me").status_code == 200
    refused = caller(app, token)("GET", "/v1/me")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert report(refused).type == "TooMuch"
    assert caller(app, token_of("bob"))("GET", "/v1/me").status_code == 200


def test_failed_authentications_are_limited_more_strictly(app_with, caller, token_of):
    app = app_with(requests_a_minute=60)
    guess = caller(app, "qcp_" + "0" * 12 + "_" + "a" * 43, "192.0.2.7")
    statuses = [guess("GET", "/v1/me").status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert caller(app, token_of("ada"), "192.0.2.8")("GET", "/v1/me").status_code == 200


def test_one_machine_s_many_ipv6_addresses_count_as_one(app_with, caller):
    app = app_with(requests_a_minute=20)
    statuses = [
        caller(app, address=f"2001:db8::{number:x}")("GET", "/v1/me").status_code
        for number in range(3)
    ]
    assert statuses == [401, 429, 429]


def test_public_paths_are_limited_by_address(app_with, caller):
    ask = caller(app_with(requests_a_minute=3), address="192.0.2.7")
    assert [ask("GET", "/health").status_code for _ in range(4)] == [200, 200, 200, 429]


# --- how much --------------------------------------------------------------------------------


def test_a_body_that_says_to_be_too_large_is_not_read(app_with, caller, token_of):
    ask = caller(app_with(max_body_mib=1), token_of("ada"))
    refused = ask("POST", "/v1/numbers", content=b"x" * (2**20 + 1), headers=JSON)
    assert refused.status_code == 413
    assert "1048576 bytes" in report(refused).message


JSON = {"Content-Type": "application/json"}


def test_a_body_that_turns_out_too_large_is_not_kept(app_with, caller, token_of):
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 2**16
            yield b" " * 2**16

    ask = caller(app_with(max_body_mib=1), token_of("ada"))
    refused = ask("POST", "/v1/numbers", content=endless(), headers=JSON)
    assert refused.status_code == 413
    assert sent <= 2**20 + 2**17


def test_a_body_of_just_the_limit_is_read(app_with, caller, token_of):
    ask = caller(app_with(max_body_mib=1), token_of("ada"))
    text = b'{"values": [1, 2]}'
    body = text + b" " * (2**20 - len(text))
    assert ask("POST", "/v1/numbers", content=body, headers=JSON).json() == 3.0


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip"])
def test_nothing_is_unfolded(shared, encoding):
    headers = {**JSON, "Content-Encoding": encoding}
    refused = shared("POST", "/v1/numbers", content=b"\x1f\x8b" + b"0" * 100, headers=headers)
    assert refused.status_code == 415


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_read(shared, kind):
    refused = shared(
        "POST", "/v1/numbers", content=b'{"values": [1]}', headers={"Content-Type": kind}
    )
    assert refused.status_code == 415


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b"{", 422),
        (b'{"values": [1,]}', 422),
        (b'{"values": [NaN]}', 422),
        (b'{"values": [-Infinity]}', 422),
        (b'{"values": "x"}', 422),
        (b'{"values": {}}', 422),
        (b"\xff\xfe", 422),
        (b'{"values": [1], "name": "\xc3\x28"}', 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000, 400),
        (b'{"values": [' + b"9" * 5000 + b"]}", 400),
    ],
)
def test_a_malformed_body_is_refused_with_a_reason(shared, body, status):
    refused = shared("POST", "/v1/numbers", content=body, headers=JSON)
    assert refused.status_code == status
    assert report(refused).type == "InputError"


def test_a_text_may_speak_of_nan(shared):
    body = b'{"values": [1], "name": "NaN and Infinity"}'
    assert shared("POST", "/v1/numbers", content=body, headers=JSON).status_code == 200


def test_huge_headers_are_refused(shared):
    assert shared("GET", "/v1/me", headers={"X-Long": "a" * 40_000}).status_code == 431


# --- what is answered ------------------------------------------------------------------------


def test_an_error_keeps_its_class_and_its_words(shared):
    answer = shared("GET", "/v1/refusal")
    assert answer.status_code == 422
    error = rebuild(report(answer))
    assert isinstance(error, CircuitError)
    assert "Choose a larger device" in str(error)


def test_a_wrong_field_is_named_with_what_was_found(shared):
    message = report(shared("POST", "/v1/numbers", json={"values": [1, "two"]})).message
    assert message.startswith("body.values.1: found 'two'; ")


def test_of_credentials_nothing_is_repeated(ask, caplog, store):
    with caplog.at_level(logging.DEBUG):
        answer = ask("PUT", "/v1/credentials/ibm/mine", json={"values": SECRET, "name": [SECRET]})
    assert answer.status_code == 422
    assert SECRET not in answer.text + caplog.text + str(AuditTrail(store).newest())


def test_a_defect_tells_its_request_id_and_nothing_else(shared, caplog):
    answer = shared("GET", "/v1/defect", headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 500
    told = report(answer)
    assert told.type == "PlatformError"
    assert "mine-1" in told.message
    assert SECRET not in answer.text
    assert "secrets.py" not in answer.text
    assert SECRET in caplog.text
    assert "mine-1" in caplog.text


def test_where_the_database_lives_is_nobody_s_business(shared, caplog):
    answer = shared("GET", "/v1/store")
    assert answer.status_code == 503
    assert report(answer).retryable
    assert answer.headers["Retry-After"] == "5"
    assert "internal" not in answer.text
    assert "db.internal" in caplog.text


def test_a_job_s_own_traceback_comes_along(shared):
    answer = shared("GET", "/v1/failed")
    assert answer.status_code == 409
    assert report(answer).traceback_text == "line 3: boom"
    assert isinstance(rebuild(report(answer)), JobFailed)


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 404)])
def test_an_unknown_path_is_said_to_be_one(shared, method, status):
    answer = shared(method, "/v1/nothing/here")
    assert answer.status_code == status
    assert "/docs" in report(answer).message


def test_a_wrong_method_is_said_to_be_one(shared):
    answer = shared("PATCH", "/v1/me")
    assert answer.status_code == 405
    assert report(answer).type == "InputError"


@pytest.mark.parametrize("given", ["a" * 65, "a b", "<script>", "é", ""])
def test_a_request_id_that_is_none_is_replaced(shared, given):
    told = shared("GET", "/v1/me", headers={"X-Request-ID": given.encode()}).headers["x-request-id"]
    assert told != given
    assert len(told) == 32


def test_every_answer_has_security_headers(shared):
    for path in ("/health", "/v1/me", "/v1/defect", "/nothing"):
        headers = shared("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_stream_that_breaks_is_not_made_to_look_whole(app_with, token_of):
    sent = []

    async def receive():
        await asyncio.sleep(60)  # a client that waits

    async def send(message):
        sent.append(message)

    bearer = (b"authorization", f"Bearer {token_of('ada')}".encode())
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/stream",
        "raw_path": b"/v1/stream",
        "query_string": b"",
        "headers": [bearer],
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    with pytest.raises(RuntimeError):
        asyncio.run(app_with()(scope, receive, send))
    assert [message.get("body") for message in sent if "body" in message] == [b"first"]


# --- what is written down --------------------------------------------------------------------


def test_changes_are_in_the_audit(ask, store):
    answer = ask("POST", "/v1/tokens", json={"label": "ci"}, headers={"X-Request-ID": "r-1"})
    made = answer.json()["info"]["token_id"]
    (line,) = AuditTrail(store).newest()
    assert (line.user, line.action, line.target) == ("ada", "token.create", made)
    assert (line.outcome, line.request_id, line.address) == ("done", "r-1", "127.0.0.1")


def test_questions_are_not_in_the_audit(ask, store):
    ask("GET", "/v1/me")
    ask("GET", "/v1/jobs/x")
    assert AuditTrail(store).newest() == []


@pytest.mark.parametrize(
    ("method", "path", "asked", "outcome"),
    [
        ("GET", "/v1/users", {}, "Forbidden"),
        ("PUT", "/v1/users/ada", {"json": {"name": "ada", "role": "administrator"}}, "Forbidden"),
        ("POST", "/v1/tokens", {"json": {"user": "root"}}, "Forbidden"),
        ("DELETE", "/v1/tokens/0123", {}, "InputError"),
        ("POST", "/v1/tokens", {"content": b"{"}, "InputError"),
    ],
)
def test_refusals_are_in_the_audit(ask, store, method, path, asked, outcome):  # noqa: PLR0917
    assert ask(method, path, **asked).status_code >= 400
    (line,) = AuditTrail(store).newest()
    assert (line.user, line.outcome) == ("ada", outcome)


def test_nobody_fills_the_audit_by_knocking(app_with, caller, store):
    ask = caller(app_with(requests_a_minute=1200), "nonsense", "192.0.2.7")
    for _ in range(70):
        ask("GET", "/v1/me")
    lines = AuditTrail(store).newest(1000)
    assert 25 <= len(lines) <= 35
    assert {line.outcome for line in lines} <= {"NotLetIn", "TooMuch"}


def test_nobody_writes_lines_of_their_own_into_the_log(shared, caplog):
    with caplog.at_level(logging.INFO):
        shared("GET", "/v1/jobs/x%0A2026-01-01%20INFO%20forged")
    ours = [record for record in caplog.records if record.name == "gateway.front_door"]
    lines = [record.getMessage() for record in ours]
    assert len(lines) == 1
    assert "\n" not in lines[0]


def test_figures_are_for_this_machine_and_administrators(app_with, caller, token_of):
    app = app_with()
    ada, root = token_of("ada"), token_of("root", Role.ADMINISTRATOR)
    assert caller(app)("GET", "/metrics").status_code == 200
    assert caller(app)("GET", "/metrics", headers={"X-Forwarded-For": "::1"}).status_code == 401
    assert caller(app, address="192.0.2.7")("GET", "/metrics").status_code == 401
    assert caller(app, ada, "192.0.2.7")("GET", "/metrics").status_code == 403
    assert caller(app, root, "192.0.2.7")("GET", "/metrics").status_code == 200
    strict = app_with(metrics="administrator")
    assert caller(strict)("GET", "/metrics").status_code == 401


def test_requests_are_counted_by_route_and_status(app_with, caller, token_of):
    app = app_with()
    ask = caller(app, token_of("ada"))
    for number in range(3):
        ask("GET", f"/v1/jobs/{number}")
    told = ask("GET", "/metrics").text
    assert 'qcpaas_gateway_requests_total{route="job.read",status="409"} 3.0' in told
    assert 'qcpaas_gateway_refusals_total{type="NotReady"} 3.0' in told
    assert 'qcpaas_gateway_request_seconds_count{route="job.read"} 3.0' in told
    assert "ada" not in told


def test_ready_says_that_the_engine_is_away(app_with, caller):
    answer = caller(app_with())("GET", "/ready")
    assert answer.status_code == 503
    assert report(answer).retryable
    assert "127.0.0.1:9" not in answer.text


def test_the_description_names_who_may_ask_and_how_it_is_refused(shared):
    told = json.loads(shared("GET", "/openapi.json").text)
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            assert {"401", "429", "500"} <= operation["responses"].keys(), (method, path)
            reply = operation["responses"]["422"]["content"]["application/json"]["schema"]
            assert reply == {"$ref": "#/components/schemas/ErrorReport"}
            assert bool(operation.get("security")) == path.startswith("/v1")


def test_a_disabled_user_is_out_at_once(ask, store):
    assert ask("GET", "/v1/me").status_code == 200
    user = People(store).user("ada")
    assert user is not None
    People(store).keep(user.model_copy(update={"disabled": True}))
    assert ask("GET", "/v1/me").status_code == 401
