from datetime import UTC, datetime, timedelta

import pytest

from gateway.api import people
from gateway.app import create_app
from qcpaas.scheduling import Role
from store.people import People


@pytest.fixture
def app(open_platform):
    return create_app(open_platform(), [people.router])


@pytest.fixture
def ada(app, caller, token_of):
    return caller(app, token_of("ada"))


@pytest.fixture
def root(app, caller, token_of):
    return caller(app, token_of("root", Role.ADMINISTRATOR))


def test_a_user_makes_and_revokes_tokens_of_their_own(app, ada, caller):
    made = ada("POST", "/v1/tokens", json={"label": "ci"}).json()
    ci = caller(app, made["token"])
    assert ci("GET", "/v1/me").json()["name"] == "ada"
    listed = ada("GET", "/v1/tokens").json()
    assert made["token"] not in str(listed)
    assert ada("DELETE", f"/v1/tokens/{made['info']['token_id']}").status_code == 204
    assert ci("GET", "/v1/me").status_code == 401


def test_another_s_token_looks_like_none(ada, root, store):
    theirs = root("POST", "/v1/tokens", json={}).json()["info"]["token_id"]
    refused = ada("DELETE", f"/v1/tokens/{theirs}")
    unknown = ada("DELETE", "/v1/tokens/000000000000")
    assert (refused.status_code, unknown.status_code) == (404, 404)
    assert refused.text.replace(theirs, "000000000000") == unknown.text
    assert People(store).token(theirs).revoked_at is None
    assert ada("GET", "/v1/tokens?user=root").status_code == 403


def test_a_token_does_not_outlive_the_one_that_asked_for_it(app, caller, token_of):
    ends = datetime.now(UTC) + timedelta(hours=1)
    brief = caller(app, token_of("ada", expires_at=ends))
    for asked in ({}, {"expires_at": "2100-01-01T00:00:00Z"}):
        made = brief("POST", "/v1/tokens", json=asked).json()
        assert datetime.fromisoformat(made["info"]["expires_at"]) == ends


def test_an_administrator_makes_users_and_their_tokens(app, root, caller):
    eve = {"name": "eve", "role": "owner", "limits": {"running_jobs": 2}}
    assert root("PUT", "/v1/users/eve", json=eve).status_code == 200
    made = root("POST", "/v1/tokens", json={"user": "eve"}).json()
    told = caller(app, made["token"])("GET", "/v1/me").json()
    assert (told["role"], told["limits"]["running_jobs"]) == ("owner", 2)


@pytest.mark.parametrize(
    "change", [{"role": "user"}, {"disabled": True}, {"role": "owner", "disabled": True}]
)
def test_administrators_do_not_lock_themselves_out(root, change):
    told = {"name": "root", "role": "administrator", **change}
    assert root("PUT", "/v1/users/root", json=told).status_code == 422


@pytest.mark.parametrize("name", ["a b", "a/b", "é" * 129, "", "<x>", "a\x00"])
def test_a_user_s_name_is_a_name(root, name):
    assert root("PUT", "/v1/users/x", json={"name": name}).status_code == 422


@pytest.mark.parametrize("weight", [0, -1, "1e999", "x"])
def test_a_share_is_a_number_above_zero(root, weight):
    body = f'{{"name": "eve", "weight": {weight if weight != "x" else chr(34) + "x" + chr(34)}}}'
    answer = root(
        "PUT", "/v1/users/eve", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422


def test_what_everybody_did_is_for_administrators(ada, root):
    ada("POST", "/v1/tokens", json={})
    assert ada("GET", "/v1/audit").status_code == 403
    lines = root("GET", "/v1/audit?user=ada&action=token.create").json()
    assert [line["outcome"] for line in lines] == ["done"]
