"""How often anybody may ask: moving windows of a minute, kept by each gateway process."""

from __future__ import annotations

import ipaddress
import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from qcpaas.errors import TooMuch

# Nobody mistypes a token this often; a program that does would fill the audit.
_FAILURES_PER_REQUEST = 1 / 20
_NOTES_A_MINUTE = 30


class RateLimits:
    """Args:
    requests_a_minute: Of one user, or of one address before anybody is let in.
    """

    def __init__(self, requests_a_minute: int) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(requests_a_minute)
        self._failures = RateLimitItemPerMinute(
            max(1, round(requests_a_minute * _FAILURES_PER_REQUEST))
        )
        self._notes = RateLimitItemPerMinute(_NOTES_A_MINUTE)

    def user(self, name: str) -> None:
        """Count a request of a user; `TooMuch` beyond the limit."""
        self._count(self._requests, "requests", "user", name)

    def address(self, address: str) -> None:
        """Count a request of somebody who need not say who they are; `TooMuch`."""
        self._count(self._requests, "requests", "address", _network(address))

    def failure(self, address: str) -> None:
        """Count a failed authentication."""
        self._windows.hit(self._failures, "failure", _network(address))

    def may_try(self, address: str) -> None:
        """Raises `TooMuch` where too many authentications failed from there."""
        key = ("failure", _network(address))
        if not self._windows.test(self._failures, *key):
            raise self._too_much(self._failures, "failed authentications", *key)

    def may_note(self, whom: str) -> bool:
        """Whether another refusal of theirs is worth a line of its own in the audit."""
        return self._windows.hit(self._notes, "note", whom)

    def _count(self, item: RateLimitItem, what: str, *key: str) -> None:
        if not self._windows.hit(item, *key):
            raise self._too_much(item, what, *key)

    def _too_much(self, item: RateLimitItem, what: str, *key: str) -> TooMuch:
        after_s = max(1.0, self._windows.get_window_stats(item, *key).reset_time - time.time())
        return TooMuch(
            f"more than {item.amount} {what} a minute of one {_KINDS[key[0]]}. "
            f"Ask again in {after_s:.0f} s.",
            retry_after_s=after_s,
        )


_KINDS = {"user": "user", "address": "address", "failure": "address"}


def _network(address: str) -> str:
    """An address; of IPv6 the /64, of which one machine can take any it likes."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
