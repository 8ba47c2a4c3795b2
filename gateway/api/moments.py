"""Moments as they come in queries: UTC where they name no zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def _in_utc(given: datetime) -> datetime:
    if given.tzinfo is None:
        return given.replace(tzinfo=UTC)
    try:
        return given.astimezone(UTC)
    except OverflowError as error:  # the first and the last day that Python knows
        raise ValueError("too far from now") from error


Moment = Annotated[datetime, AfterValidator(_in_utc)]
