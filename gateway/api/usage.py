"""What people have and had of the platform, and how good its forecasts were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from gateway.api.moments import Moment
from gateway.api.names import DeviceName
from gateway.limits import limits_of
from gateway.platform import ThePerson, ThePlatform
from qcpaas.errors import Forbidden
from qcpaas.scheduling import ForecastAccuracy, Role, Usage
from store.forecasts import Forecasts
from store.people import People
from store.usage import UsageBook

MONTH = timedelta(days=30)
WEEK = timedelta(days=7)

router = APIRouter(prefix="/v1", tags=["usage"])


@router.get("/usage", name="usage.read")
def usage(
    platform: ThePlatform,
    person: ThePerson,
    since: Moment | None = None,
    user: Annotated[str, Query(max_length=128, pattern=r"^[^\x00]*$")] = "",
) -> list[Usage]:
    """Yours of the last 30 days, or since a moment; as an administrator everybody's.

    Costs are what vendors ask for the jobs as estimated.
    """
    begin = since or datetime.now(UTC) - MONTH
    book = UsageBook(platform.store)
    if not user and person.is_at_least(Role.ADMINISTRATOR):
        platforms = platform.settings.limits
        own = {one.name: one.limits.or_else(platforms) for one in People(platform.store).all()}
        return [
            one.model_copy(update={"limits": own.get(one.user, platforms)})
            for one in book.all(begin)
        ]
    whose = user or person.name
    if not person.sees(whose):
        raise Forbidden(f"the usage of {whose} is theirs to see; you are {person.name}.")
    return [book.of(whose, begin, limits_of(platform, whose))]


@router.get("/forecasts/accuracy", name="forecast.accuracy")
def accuracy(
    platform: ThePlatform,
    person: ThePerson,
    since: Moment | None = None,
    device: DeviceName | None = None,
) -> ForecastAccuracy:
    """How good 'starts in' was, by what jobs were told first; of the last week unless asked."""
    return Forecasts(platform.store).accuracy(since or datetime.now(UTC) - WEEK, device or "")
