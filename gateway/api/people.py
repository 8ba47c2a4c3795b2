"""Who asks, who else there is, their tokens, and what everybody did."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from gateway.audit import about
from gateway.person import Person
from gateway.platform import Needs, ThePerson, ThePlatform
from gateway.replies import Refused
from qcpaas.errors import Forbidden, InputError
from qcpaas.scheduling import AuditRecord, NewToken, Role, TokenInfo, UserInfo
from qcpaas.wire import Wire
from store.audit import AuditTrail
from store.people import People

router = APIRouter(prefix="/v1", tags=["people"])

Administrator = Annotated[Person, Depends(Needs(Role.ADMINISTRATOR))]


class TokenRequest(Wire):
    """Attributes:
    user: Whose it will be; the asker's own where empty, and an administrator may name others.
    """

    user: str = ""
    label: str = Field(default="", max_length=200)
    expires_at: datetime | None = None


@router.get("/me", name="user.me")
def me(platform: ThePlatform, person: ThePerson) -> UserInfo:
    """Who you are here, and what your limits are."""
    found = People(platform.store).user(person.name)
    return found or UserInfo(name=person.name, role=person.role)


@router.get("/users", name="user.list")
def users(platform: ThePlatform, _: Administrator) -> list[UserInfo]:
    """Everybody, in order of name."""
    return People(platform.store).all()


@router.put("/users/{name}", name="user.set")
def set_user(name: str, user: UserInfo, platform: ThePlatform, asker: Administrator) -> UserInfo:
    """Add a user, or change their role, share, limits, and whether they are let in."""
    if user.name != name:
        raise InputError(f"the path names {name!r} and the body {user.name!r}. Name one user.")
    if name == asker.name and (user.disabled or user.role is not Role.ADMINISTRATOR):
        raise InputError(
            "administrators cannot lock themselves out. Ask another one, or use `qcpaas user set` "
            "on the platform's machine."
        )
    return People(platform.store).keep(user)


@router.get("/tokens", name="token.list")
def tokens(
    platform: ThePlatform,
    person: ThePerson,
    user: Annotated[str, Query(description="Whose; an administrator may name others")] = "",
) -> list[TokenInfo]:
    """Tokens, the oldest first, revoked and ended ones too."""
    return People(platform.store).tokens(_whose(person, user))


@router.post("/tokens", name="token.create", status_code=201)
def create_token(
    asked: TokenRequest, platform: ThePlatform, person: ThePerson, request: Request
) -> NewToken:
    """A new token, told this once; it does not outlive the one that asks for it."""
    expires_at = asked.expires_at
    if expires_at is not None and expires_at.tzinfo is None:
        raise InputError("expires_at has no time zone. Add one, such as a final Z.")
    if person.until is not None:
        expires_at = min(filter(None, (expires_at, person.until)))
    created = People(platform.store).create_token(
        _whose(person, asked.user), asked.label, expires_at
    )
    about(request, created.info.token_id)
    return created


@router.delete("/tokens/{token_id}", name="token.revoke", status_code=204)
def revoke_token(token_id: str, platform: ThePlatform, person: ThePerson) -> Response:
    """Close a token for good."""
    people = People(platform.store)
    found = people.token(token_id)
    if found is None or not person.sees(found.user):
        raise Refused(
            HTTPStatus.NOT_FOUND,
            f"you have no token {token_id[:40]!r}. `qcpaas token list` shows yours.",
        )
    people.revoke(token_id)
    return Response(status_code=204)


@router.get("/audit", name="audit.list")
def audit(
    platform: ThePlatform,
    _: Administrator,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    user: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
) -> list[AuditRecord]:
    """Who did what, and who was refused it, the newest first."""
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return AuditTrail(platform.store).newest(limit, user=user, action=action, since=since)


def _whose(person: Person, user: str) -> str:
    if user and not person.sees(user):
        raise Forbidden(f"tokens of {user} are theirs; you are {person.name}.")
    return user or person.name
