"""What only a platform of many people has, through its gateway."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

from qcpaas.gateway_api import GatewayApi
from qcpaas.scheduling import (
    AuditRecord,
    NewToken,
    Reservation,
    TokenInfo,
    Usage,
    UserInfo,
    WorkerInfo,
)

_WORKERS = TypeAdapter(list[WorkerInfo])
_RESERVATIONS = TypeAdapter(list[Reservation])
_USAGE = TypeAdapter(list[Usage])
_USERS = TypeAdapter(list[UserInfo])
_TOKENS = TypeAdapter(list[TokenInfo])
_AUDIT = TypeAdapter(list[AuditRecord])


class GatewayOperations:
    """Implements ``qcpaas.operations.Operations``."""

    def __init__(self, api: GatewayApi) -> None:
        self._api = api

    def workers(self) -> Sequence[WorkerInfo]:
        return self._api.ask("GET", "workers", _WORKERS)

    def reservations(self, device: str = "") -> Sequence[Reservation]:
        return self._api.ask("GET", "reservations", _RESERVATIONS, query={"device": device or None})

    def reserve(self, asked: Reservation) -> Reservation:
        return self._api.ask("POST", "reservations", Reservation, body=asked)

    def cancel_reservation(self, reservation_id: str) -> None:
        self._api.tell("DELETE", f"reservations/{quote(reservation_id, safe='')}")

    def me(self) -> UserInfo:
        return self._api.ask("GET", "me", UserInfo)

    def usage(self, since: datetime | None = None, user: str = "") -> Sequence[Usage]:
        query = {"since": since and since.isoformat(), "user": user or None}
        return self._api.ask("GET", "usage", _USAGE, query=query)

    def users(self) -> Sequence[UserInfo]:
        return self._api.ask("GET", "users", _USERS)

    def keep_user(self, user: UserInfo) -> UserInfo:
        return self._api.ask("PUT", f"users/{quote(user.name, safe='')}", UserInfo, body=user)

    def tokens(self, user: str = "") -> Sequence[TokenInfo]:
        return self._api.ask("GET", "tokens", _TOKENS, query={"user": user or None})

    def create_token(
        self, user: str, label: str = "", expires_at: datetime | None = None
    ) -> NewToken:
        body: dict[str, Any] = {"user": user, "label": label}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        return self._api.ask("POST", "tokens", NewToken, body=body)

    def revoke_token(self, token_id: str) -> None:
        self._api.tell("DELETE", f"tokens/{quote(token_id, safe='')}")

    def audit(
        self, limit: int = 100, user: str = "", since: datetime | None = None
    ) -> Sequence[AuditRecord]:
        query = {"limit": limit, "user": user or None, "since": since and since.isoformat()}
        return self._api.ask("GET", "audit", _AUDIT, query=query)
