from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.scheduling.situation import Waiting
from qcpaas.scheduling import Priority

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def waiting() -> Callable[..., Waiting]:
    """A job of a minute; ``age_s`` says how long it has waited."""

    def made(job_id: str, *, age_s: float = 0.0, hold_s: float = 60.0, **changed: Any) -> Waiting:
        fields: dict[str, Any] = {
            "user": job_id,
            "device": "alpha",
            "priority": Priority.NORMAL,
            "submitted_at": NOW - timedelta(seconds=age_s),
            "qpu_s": hold_s,
            "qpu_s_hi": hold_s,
            "hold_s": hold_s,
            "hold_s_hi": hold_s,
        }
        return Waiting(job_id, **(fields | changed))

    return made
