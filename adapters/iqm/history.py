"""Which calibration of an IQM quantum computer was in force at a past moment.

Its server lists calibration sets to those who may use its station's own interface, and to nobody
else. The set in force is taken to be the newest valid one that was finished by then: an operator
who went back to an older one left no trace of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adapters.iqm.calibration import aware
from adapters.iqm.connection import Connection

if TYPE_CHECKING:
    from iqm.station_control.interface.models.observation_set import CalibrationSet

BEGINNING = datetime(2019, 1, 1, tzinfo=UTC)  # before the first of IQM's machines
PAGE = 50


def has_history(connection: Connection) -> bool:
    """Whether the server lets these credentials use its station's interface."""
    from iqm.station_control.client.authentication import ClientConfigurationError

    try:
        return bool(connection.executor.client.proxy_path)
    except ClientConfigurationError:
        return False


def calibration_set_at(connection: Connection, at: datetime) -> UUID | None:
    """The newest valid calibration set that was finished by then."""
    found = _newest(connection, at, observation_set_type="calibration-set")
    return None if found is None else found.observation_set_id


def metrics_at(connection: Connection, of: UUID, at: datetime) -> list[CalibrationSet]:
    """The newest valid quality metrics of a calibration set by then, if there are any."""
    from iqm.station_control.interface.models.observation_set import CalibrationSet

    kind = "quality-metric-set"
    found = _newest(connection, at, observation_set_type=kind, describes_id=of)
    if found is None:
        return []
    known = found.model_dump(exclude={"observation_ids"})
    observations = connection.storage.get_observation_set_observations(found.observation_set_id)
    return [CalibrationSet.model_validate({**known, "observations": observations})]


def _newest(connection: Connection, at: datetime, **which: Any) -> Any:
    listed = connection.storage.query_observation_sets(
        **which,
        created_timestamp__range=[BEGINNING.isoformat(), at.astimezone(UTC).isoformat()],
        order_by="-created_timestamp",
        limit=PAGE,
    )
    finished = (
        each
        for each in listed
        if not each.invalid and each.end_timestamp is not None and aware(each.end_timestamp) <= at
    )
    return max(finished, key=lambda each: aware(each.end_timestamp), default=None)
