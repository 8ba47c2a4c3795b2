"""Users and tokens on the platform's own machine, where nobody has to be let in."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

from qcpaas.errors import InputError
from qcpaas.scheduling import AuditRecord, NewToken, TokenInfo, UserInfo
from store.audit import AuditTrail
from store.database import open_store
from store.people import People


class PeopleDesk:
    """Implements ``qcpaas.services.PeopleService``; every change is in the audit.

    Raises:
        PlatformUnavailable: The store cannot be reached.
    """

    def __init__(self, store_url: str) -> None:
        self._store = open_store(store_url)
        self._people = People(self._store)
        self._audit = AuditTrail(self._store)

    def close(self) -> None:
        self._store.close()

    def users(self) -> Sequence[UserInfo]:
        return self._people.all()

    def keep_user(self, user: UserInfo) -> UserInfo:
        kept = self._people.keep(user)
        self._note("user.set", user.name)
        return kept

    def tokens(self, user: str = "") -> Sequence[TokenInfo]:
        return self._people.tokens(user or None)

    def create_token(
        self, user: str, label: str = "", expires_at: datetime | None = None
    ) -> NewToken:
        created = self._people.create_token(user, label, expires_at)
        self._note("token.create", created.info.token_id)
        return created

    def revoke_token(self, token_id: str) -> None:
        if not self._people.revoke(token_id):
            raise InputError(f"there is no token {token_id!r}. `qcpaas token list` shows them.")
        self._note("token.revoke", token_id)

    def _note(self, action: str, target: str) -> None:
        self._audit.add(
            AuditRecord(
                at=datetime.now(UTC),
                user=f"console:{_system_user()}",
                action=action,
                target=target,
            )
        )


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unnamed"
