"""Users, and the tokens that let them in."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from qcpaas.errors import InputError, LimitReached, nearest
from qcpaas.scheduling import Limits, NewToken, Role, TokenInfo, UserInfo
from store.database import Store
from store.tables import table
from store.tables.people import ApiToken, User

USER = table(User)
TOKEN = table(ApiToken)

MAX_TOKENS = 100  # of one user, that still open something
_TOUCHED_AFTER = timedelta(minutes=1)
_TOKEN = re.compile(r"qcp_([0-9a-f]{12})_([\w-]{43})")
_NOBODY = hashlib.sha256(b"").hexdigest()


class People:
    """Who may use the platform; of a token the store holds a hash, and nobody the token.

    Tokens have 256 random bits, so that one round of SHA-256 hides them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def user(self, name: str) -> UserInfo | None:
        with self._store.read() as connection:
            row = connection.execute(select(USER).where(USER.c.name == name)).one_or_none()
        return None if row is None else _user(row)

    def all(self) -> list[UserInfo]:
        """In order of name."""
        with self._store.read() as connection:
            return [_user(row) for row in connection.execute(select(USER).order_by(USER.c.name))]

    def keep(self, user: UserInfo) -> UserInfo:
        """Add a user, or renew what is known of them; who logs in as them stays."""
        now = datetime.now(UTC)
        values = _values(user)
        insert = self._store.insert(USER).values(
            name=user.name, created_at=now, disabled_at=now if user.disabled else None, **values
        )
        with self._store.write() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))
            _disable(connection, user.name, now if user.disabled else None)
            return _user(connection.execute(select(USER).where(USER.c.name == user.name)).one())

    # --- who logs in through an identity provider ----------------------------------------------

    def by_identity(self, issuer: str, subject: str) -> UserInfo | None:
        """The user whom an identity provider calls ``subject``."""
        with self._store.read() as connection:
            row = connection.execute(_of_identity(issuer, subject)).one_or_none()
        return None if row is None else _user(row)

    def log_in(self, issuer: str, subject: str, name: str, role: Role) -> UserInfo:
        """The user of an identity, made at the first login; the provider decides on the role.

        Args:
            name: What they would like to be called. Another user of that name keeps it, and this
                one's gets an ending.
        """
        known = self.by_identity(issuer, subject)
        if known is not None and known.role is role:
            return known
        digest = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()
        with self._store.write() as connection:
            self._store.serialise(connection, f"user {name}")
            taken = connection.scalar(select(USER.c.name).where(USER.c.name == name)) is not None
            insert = self._store.insert(USER).values(
                name=f"{name[:115]}-{digest[:12]}" if taken else name,
                role=role.value,
                issuer=issuer,
                subject=subject,
                created_at=datetime.now(UTC),
            )
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["issuer", "subject"], set_={"role": role.value}
                )
            )
            return _user(connection.execute(_of_identity(issuer, subject)).one())

    # --- tokens --------------------------------------------------------------------------------

    def create_token(
        self, user: str, label: str = "", expires_at: datetime | None = None
    ) -> NewToken:
        """A token of a user's, told this once.

        Raises:
            InputError: There is no such user, or the token would open nothing.
            LimitReached: They have `MAX_TOKENS` already.
        """
        now = datetime.now(UTC)
        if expires_at is not None and expires_at <= now:
            raise InputError(f"a token that ended at {expires_at} opens nothing. Choose later.")
        token_id = secrets.token_hex(6)
        token = f"qcp_{token_id}_{secrets.token_urlsafe(32)}"
        with self._store.write() as connection:
            self._store.serialise(connection, f"tokens {user}")
            self._require(connection, user)
            if len(_alive(_tokens(connection, user), now)) >= MAX_TOKENS:
                raise LimitReached(
                    f"{user} has {MAX_TOKENS} tokens. Revoke one (qcpaas token revoke), then try "
                    "again."
                )
            connection.execute(
                TOKEN.insert().values(
                    token_id=token_id,
                    user_name=user,
                    label=label,
                    digest=_digest(token),
                    created_at=now,
                    expires_at=expires_at,
                )
            )
        info = TokenInfo(
            token_id=token_id, user=user, label=label, created_at=now, expires_at=expires_at
        )
        return NewToken(info=info, token=token)

    def tokens(self, user: str | None = None) -> list[TokenInfo]:
        """Of a user, or of everybody; the oldest first."""
        with self._store.read() as connection:
            return _tokens(connection, user)

    def token(self, token_id: str) -> TokenInfo | None:
        with self._store.read() as connection:
            row = connection.execute(select(TOKEN).where(TOKEN.c.token_id == token_id))
            found = row.one_or_none()
        return None if found is None else _token(found)

    def revoke(self, token_id: str) -> bool:
        """Whether there is such a token; it opens nothing from now on."""
        with self._store.write() as connection:
            connection.execute(
                TOKEN.update()
                .where(TOKEN.c.token_id == token_id, TOKEN.c.revoked_at.is_(None))
                .values(revoked_at=datetime.now(UTC))
            )
            found = select(TOKEN.c.token_id).where(TOKEN.c.token_id == token_id)
            return connection.scalar(found) is not None

    def who(self, token: str) -> UserInfo | None:
        """Whose token it is; ``None`` where it opens nothing, or not any more."""
        found = self.opened_by(token)
        return None if found is None else found[0]

    def opened_by(self, token: str) -> tuple[UserInfo, TokenInfo] | None:
        """Whose token it is, and what is known of it; notes once a minute that it was used."""
        match = _TOKEN.fullmatch(token)
        token_id = match[1] if match else ""
        joined = TOKEN.join(USER, USER.c.name == TOKEN.c.user_name)
        with self._store.read() as connection:
            kept = connection.execute(select(TOKEN).where(TOKEN.c.token_id == token_id))
            row = kept.one_or_none()
            owner = connection.execute(
                select(USER).select_from(joined).where(TOKEN.c.token_id == token_id)
            ).one_or_none()
        # Compared in any case, so that the time tells nothing of which ids there are.
        fits = hmac.compare_digest(_digest(token), _NOBODY if row is None else row.digest)
        if row is None or owner is None or not fits:
            return None
        now, user, info = datetime.now(UTC), _user(owner), _token(row)
        if user.disabled or not _alive([info], now):
            return None
        if info.used_at is None or now - info.used_at > _TOUCHED_AFTER:
            self._touch(token_id, now)
        return user, info

    def _touch(self, token_id: str, now: datetime) -> None:
        with self._store.write() as connection:
            connection.execute(
                TOKEN.update().where(TOKEN.c.token_id == token_id).values(used_at=now)
            )

    def _require(self, connection: Connection, user: str) -> None:
        names = list(connection.scalars(select(USER.c.name)))
        if user not in names:
            raise InputError(
                f"there is no user {user!r}. {nearest(user, names)} Add them first: qcpaas user "
                f"add {user}."
            )


def _of_identity(issuer: str, subject: str) -> Any:
    return select(USER).where(USER.c.issuer == issuer, USER.c.subject == subject)


def _disable(connection: Connection, name: str, at: datetime | None) -> None:
    """Keeps the moment at which somebody was disabled first."""
    known = USER.c.name == name
    if at is not None:
        known &= USER.c.disabled_at.is_(None)
    connection.execute(USER.update().where(known).values(disabled_at=at))


def _tokens(connection: Connection, user: str | None) -> list[TokenInfo]:
    query = select(TOKEN).order_by(TOKEN.c.created_at, TOKEN.c.token_id)
    if user is not None:
        query = query.where(TOKEN.c.user_name == user)
    return [_token(row) for row in connection.execute(query)]


def _alive(tokens: list[TokenInfo], now: datetime) -> list[TokenInfo]:
    return [
        token
        for token in tokens
        if token.revoked_at is None and (token.expires_at is None or token.expires_at > now)
    ]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def _values(user: UserInfo) -> dict[str, object]:
    return {"role": user.role.value, "weight": user.weight, **user.limits.model_dump()}


def limits_of(row: Row[Any]) -> Limits:
    """A user's own; the platform's stand where there are none."""
    return Limits(
        running_jobs=row.running_jobs,
        queued_jobs=row.queued_jobs,
        qpu_s_a_day=row.qpu_s_a_day,
    )


def _user(row: Row[Any]) -> UserInfo:
    return UserInfo(
        name=row.name,
        role=Role(row.role),
        weight=row.weight,
        limits=limits_of(row),
        disabled=row.disabled_at is not None,
        created_at=row.created_at,
    )


def _token(row: Row[Any]) -> TokenInfo:
    return TokenInfo(
        token_id=row.token_id,
        user=row.user_name,
        label=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
    )
