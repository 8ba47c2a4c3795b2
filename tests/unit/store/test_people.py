from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from qcpaas.errors import InputError, LimitReached
from qcpaas.scheduling import AuditRecord, Limits, Role, UserInfo
from store import people as people_module
from store.audit import AuditTrail
from store.people import TOKEN, People


@pytest.fixture
def people(store):
    kept = People(store)
    kept.keep(UserInfo(name="ada", role=Role.OWNER, weight=2.0, limits=Limits(running_jobs=3)))
    return kept


def test_a_user_is_kept_as_told(people):
    found = people.user("ada")
    assert (found.role, found.weight, found.limits) == (Role.OWNER, 2.0, Limits(running_jobs=3))
    assert people.user("bob") is None
    changed = people.keep(found.model_copy(update={"role": Role.USER, "disabled": True}))
    assert (changed.role, changed.disabled) == (Role.USER, True)
    assert changed.created_at == found.created_at
    assert not people.keep(changed.model_copy(update={"disabled": False})).disabled


def test_a_token_opens_for_its_user(people):
    made = people.create_token("ada", "laptop")
    assert people.who(made.token).name == "ada"
    (info,) = people.tokens("ada")
    assert info.token_id == made.info.token_id
    assert info.used_at is not None


def test_the_store_never_holds_a_token(people, store):
    token = people.create_token("ada").token
    with store.read() as connection:
        row = connection.execute(select(TOKEN)).one()
    assert not any(token in str(value) or token[-43:] in str(value) for value in row)
    assert token not in repr(people.create_token("ada"))


def test_only_the_whole_token_opens(people):
    token = people.create_token("ada").token
    other = people.create_token("ada").token
    mixed = token[:17] + other[17:]
    for wrong in ("", token[:-1], token + "A", token.upper(), mixed, f" {token}", token[17:]):
        assert people.who(wrong) is None


def test_a_revoked_token_opens_nothing(people):
    made = people.create_token("ada")
    assert people.revoke(made.info.token_id)
    assert people.who(made.token) is None
    assert not people.revoke("000000000000")


def test_a_token_opens_nothing_after_its_end(people, monkeypatch):
    ends = datetime.now(UTC) + timedelta(hours=1)
    token = people.create_token("ada", expires_at=ends).token
    assert people.who(token) is not None

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return ends

    monkeypatch.setattr(people_module, "datetime", Later)
    assert people.who(token) is None


def test_a_token_that_has_ended_is_not_made(people):
    with pytest.raises(InputError, match="opens nothing"):
        people.create_token("ada", expires_at=datetime.now(UTC) - timedelta(seconds=1))


def test_tokens_of_nobody_are_not_made(people):
    with pytest.raises(InputError, match="Did you mean ada"):
        people.create_token("adda")


def test_a_disabled_user_s_tokens_open_nothing(people):
    token = people.create_token("ada").token
    people.keep(UserInfo(name="ada", disabled=True))
    assert people.who(token) is None


def test_open_tokens_of_a_user_are_limited(people, monkeypatch):
    monkeypatch.setattr(people_module, "MAX_TOKENS", 2)
    first = people.create_token("ada")
    people.create_token("ada")
    with pytest.raises(LimitReached):
        people.create_token("ada")
    people.revoke(first.info.token_id)
    people.create_token("ada")


def test_use_is_noted_once_a_minute(people):
    token = people.create_token("ada").token
    people.who(token)
    first = people.tokens()[0].used_at
    people.who(token)
    assert people.tokens()[0].used_at == first


def test_an_identity_stays_one_user_whatever_it_is_called(people):
    first = people.log_in("https://idp", "7", "eve", Role.USER)
    again = people.log_in("https://idp", "7", "eva", Role.OWNER)
    assert (again.name, again.role) == (first.name, Role.OWNER)
    other = people.log_in("https://other", "7", "eve", Role.USER)
    assert other.name != first.name


def test_the_audit_tells_the_newest_first(store):
    trail = AuditTrail(store)
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    for hour, user in enumerate(("ada", "bob", "ada")):
        trail.add(
            AuditRecord(
                at=begin + timedelta(hours=hour), user=user, action="job.submit", target="x"
            )
        )
    assert [line.user for line in trail.newest()] == ["ada", "bob", "ada"]
    assert [line.at.hour for line in trail.newest(user="ada")] == [2, 0]
    assert len(trail.newest(1)) == 1
    assert len(trail.newest(since=begin + timedelta(hours=1))) == 2
    assert trail.newest(action="job.cancel") == []


def test_the_audit_takes_whatever_somebody_calls_themselves(store):
    trail = AuditTrail(store)
    nasty = "a\x00b\nc\ud800" + "x" * 1000
    trail.add(AuditRecord(at=datetime.now(UTC), user=nasty, action="x", target=nasty))
    (line,) = trail.newest()
    assert line.target.startswith("a?b?c?x")
    assert len(line.target) == 200
