"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qcpaas.scheduling import Role

_RANK = {Role.USER: 0, Role.OWNER: 1, Role.ADMINISTRATOR: 2}


@dataclass(frozen=True)
class Person:
    """Somebody who was let in.

    Attributes:
        name: Of the user, as the store has it.
        until: When the token that let them in ends; what they make with it ends then too.
    """

    name: str
    role: Role
    until: datetime | None = None

    def is_at_least(self, role: Role) -> bool:
        return _RANK[self.role] >= _RANK[role]

    def sees(self, owner: str) -> bool:
        """Whether they may look at, and touch, what belongs to ``owner``."""
        return self.name == owner or self.role is Role.ADMINISTRATOR
