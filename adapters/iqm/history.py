"""Which calibration of an IQM quantum computer was in force at a past moment.

Its server lists calibration sets to those who may use its station's own interface, and to nobody
else. The set in force is taken to be the newest valid one that was finished by then, or whose
values were all measured by then: an operator who went back to an older one left no trace of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adapters.iqm.calibration import aware
from adapters.iqm.connection import Connection

if TYPE_CHECKING:
    from iqm.station_control.interface.models.observation_set import CalibrationSet

BEGINNING = datetime(2019, 1, 1, tzinfo=UTC)  # before the first of IQM's machines
AFTERWARDS = timedelta(hours=1)  # a set is made after its values, and finished after that
PAGE = 20


def has_history(connection: Connection) -> bool:
    """Whether the server lets these credentials use its station's interface."""
    from iqm.station_control.client.authentication import ClientConfigurationError

    try:
        return bool(connection.executor.client.proxy_path)
    except ClientConfigurationError:
        return False


def sets_at(connection: Connection, at: datetime) -> tuple[UUID, list[CalibrationSet]] | None:
    """The id of the calibration set in force, that set, and its newest quality metrics by then."""
    calibration = _newest(connection, at, observation_set_type="calibration-set")
    if calibration is None:
        return None
    of = calibration.observation_set_id
    kind = "quality-metric-set"
    metrics = _newest(connection, at, observation_set_type=kind, describes_id=of)
    return of, [calibration] if metrics is None else [calibration, metrics]


def _newest(connection: Connection, at: datetime, **which: Any) -> CalibrationSet | None:
    until = at.astimezone(UTC) + AFTERWARDS
    listed = connection.storage.query_observation_sets(
        **which,
        created_timestamp__range=[BEGINNING.isoformat(), until.isoformat()],
        order_by="-created_timestamp",
        limit=PAGE,
    )
    usable = [each for each in listed if not each.invalid and each.end_timestamp is not None]
    for each in sorted(usable, key=lambda found: aware(found.created_timestamp), reverse=True):
        found = _with_observations(connection, each)
        if aware(each.end_timestamp) <= at or _measured_by(found, at):
            return found
    return None


def _with_observations(connection: Connection, each: Any) -> CalibrationSet:
    from iqm.station_control.interface.models.observation_set import CalibrationSet

    known = each.model_dump(exclude={"observation_ids"})
    observations = connection.storage.get_observation_set_observations(each.observation_set_id)
    return CalibrationSet.model_validate({**known, "observations": observations})


def _measured_by(found: CalibrationSet, at: datetime) -> bool:
    return all(aware(each.created_timestamp) <= at for each in found.observations)
