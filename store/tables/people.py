"""Who uses the platform, how they are let in, and who did what."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text
from sqlmodel import Field

from store.tables.row import NUMBER, Row, UtcDateTime


class User(Row, table=True):
    """Somebody with a role; ``issuer`` and ``subject`` name who logs in through OpenID Connect.

    A limit of ``NULL`` is the platform's own.
    """

    __tablename__ = "platform_user"  # `user` is a reserved word of SQL
    __table_args__ = (Index(None, "issuer", "subject", unique=True),)

    name: str = Field(primary_key=True)
    role: str
    issuer: str | None = None
    subject: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    # The share of a machine that is theirs, beside those of others.
    weight: float = 1.0
    running_jobs: int | None = None
    queued_jobs: int | None = None
    qpu_s_a_day: float | None = None


class ApiToken(Row, table=True):
    """A token's hash; the token itself was told once."""

    __tablename__ = "api_token"

    token_id: str = Field(primary_key=True)
    user_name: str = Field(foreign_key="platform_user.name", index=True)
    label: str
    digest: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AuditEntry(Row, table=True):
    """That somebody did, or was refused, something."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at"), Index(None, "user_name", "at"))

    entry_id: int | None = Field(default=None, primary_key=True, sa_type=NUMBER)
    at: datetime = Field(sa_type=UtcDateTime)
    user_name: str  # empty where nobody was let in
    action: str  # such as "job.submit"
    target: str  # such as a job id
    outcome: str  # "done", or why not
    address: str
    request_id: str
    details: str = Field(default="{}", sa_type=Text)
