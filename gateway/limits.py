"""What somebody may have at once."""

from __future__ import annotations

from gateway.platform import Platform
from qcpaas.scheduling import Limits
from store.people import People


def limits_of(platform: Platform, user: str) -> Limits:
    """A user's own limits, those of the platform where they have none of their own."""
    found = People(platform.store).user(user) if user else None
    limits = platform.settings.limits
    return limits if found is None else found.limits.or_else(limits)
