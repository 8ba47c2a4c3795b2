"""The calendar and the usage over HTTP: who may see what, and who may change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gateway.app import create_app
from gateway.platform import Platform
from qcpaas.devices import DeviceInfo
from qcpaas.scheduling import Role, UserInfo
from qcpaas.schemas import Environment
from store.database import Store
from store.devices import Devices
from store.people import People
from store.workers import Workers

Ask = Callable[..., Any]
DEVICE = DeviceInfo(name="alpha", adapter="none", num_qubits=5)
ENVIRONMENT = Environment(python="3.11.7", distributions={}, options=(), devices=(DEVICE,))
ROLES = {"ada": Role.USER, "bob": Role.USER, "own": Role.OWNER, "root": Role.ADMINISTRATOR}


@pytest.fixture
def ask(open_platform: Callable[..., Platform], store: Store) -> Iterator[Ask]:
    """A request in somebody's name."""

    Devices(store).register(DEVICE)
    Workers(store).register("w", "pool", ENVIRONMENT)
    people = People(store)
    tokens = {}
    for name, role in ROLES.items():
        people.keep(UserInfo(name=name, role=role))
        tokens[name] = people.create_token(name).token

    with TestClient(create_app(open_platform())) as client:

        def asked(who: str, method: str, path: str, **given: Any) -> Any:
            headers = {"Authorization": f"Bearer {tokens[who]}"}
            return client.request(method, f"/v1/{path}", headers=headers, **given)

        yield asked


def window(begin_h: float, end_h: float, holder: str = "ada") -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "device": "ALPHA",
        "begins_at": (now + timedelta(hours=begin_h)).isoformat(),
        "ends_at": (now + timedelta(hours=end_h)).isoformat(),
        "holder": holder,
        "reason": "a secret project",
    }


def test_an_owner_keeps_a_device_for_somebody(ask: Ask) -> None:
    assert ask("ada", "POST", "reservations", json=window(1, 2)).status_code == 403
    made = ask("own", "POST", "reservations", json=window(1, 2))
    assert made.status_code == 201
    assert made.json()["device"] == "alpha"
    (seen,) = ask("ada", "GET", "reservations", params={"device": "alpha"}).json()
    assert seen == made.json()
    (others,) = ask("bob", "GET", "reservations").json()
    assert (others["holder"], others["reason"]) == ("ada", "")
    path = f"reservations/{seen['reservation_id']}"
    assert ask("ada", "DELETE", path).status_code == 403
    assert ask("own", "DELETE", path).status_code == 204
    assert ask("own", "DELETE", path).status_code == 404
    assert ask("bob", "GET", "reservations").json() == []


def test_what_cannot_be_reserved_is_refused_with_the_reason(ask: Ask) -> None:
    ask("own", "POST", "reservations", json=window(1, 2))
    assert ask("own", "POST", "reservations", json=window(1, 2, "bob")).status_code == 409
    assert "to come" in ask("own", "POST", "reservations", json=window(-2, 2)).json()["message"]
    unknown = ask("own", "POST", "reservations", json=window(3, 4, "adda"))
    assert unknown.status_code == 422
    assert "ada" in unknown.json()["message"]
    elsewhere = {**window(3, 4), "device": "nowhere"}
    assert ask("own", "POST", "reservations", json=elsewhere).status_code == 404
    assert ask("own", "POST", "reservations", json=window(2, 1)).status_code == 422
    strange = {**window(3, 4), "reason": "\0"}
    assert ask("own", "POST", "reservations", json=strange).status_code == 422
    assert ask("own", "DELETE", "reservations/%00").status_code == 422
    first_day = {"since": "0001-01-01T00:00:00+14:00"}
    assert ask("ada", "GET", "reservations", params=first_day).status_code == 422


def test_usage_is_ones_own_and_everybodys_for_administrators(ask: Ask) -> None:
    (own,) = ask("ada", "GET", "usage").json()
    assert (own["user"], own["jobs"], own["limits"]["running_jobs"]) == ("ada", 0, 10)
    assert ask("ada", "GET", "usage", params={"user": "bob"}).status_code == 403
    (asked,) = ask("root", "GET", "usage", params={"user": "bob"}).json()
    assert asked["user"] == "bob"
    assert ask("root", "GET", "usage").json() == []  # nobody has submitted a job
    accuracy = ask("ada", "GET", "forecasts/accuracy").json()
    assert (accuracy["jobs"], accuracy["within"]) == (0, None)
