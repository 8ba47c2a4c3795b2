"""What only a platform of many people has: users, reservations, workers, usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from qcpaas.scheduling import (
    AuditRecord,
    NewToken,
    Reservation,
    TokenInfo,
    Usage,
    UserInfo,
    WorkerInfo,
)


class Operations(Protocol):
    """Every method raises `PlatformUnavailable` when the platform cannot be reached.

    A user who asks for what needs another role gets `Forbidden`.
    """

    def workers(self) -> Sequence[WorkerInfo]:
        """Those that are alive."""
        ...

    def reservations(self, device: str = "") -> Sequence[Reservation]:
        """Open and coming ones, of one device or of all, the next one first."""
        ...

    def reserve(self, asked: Reservation) -> Reservation:
        """Keep a device for somebody.

        Raises:
            Conflict: Part of that time is another's.
        """
        ...

    def cancel_reservation(self, reservation_id: str) -> None: ...

    def me(self) -> UserInfo: ...

    def usage(self, since: datetime | None = None, user: str = "") -> Sequence[Usage]:
        """One's own, or for administrators everybody's where no user is named."""
        ...

    def users(self) -> Sequence[UserInfo]: ...

    def keep_user(self, user: UserInfo) -> UserInfo:
        """Make a user, or change one."""
        ...

    def tokens(self, user: str = "") -> Sequence[TokenInfo]: ...

    def create_token(
        self, user: str, label: str = "", expires_at: datetime | None = None
    ) -> NewToken: ...

    def revoke_token(self, token_id: str) -> None: ...

    def audit(
        self, limit: int = 100, user: str = "", since: datetime | None = None
    ) -> Sequence[AuditRecord]: ...
