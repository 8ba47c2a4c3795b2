"""Pull the calibration of every registered device; one that does not answer stops no other."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from flows.calibration_pages import publish_calibration, publish_devices
from flows.drift_events import look_for_drift
from flows.stages import RETRY_DELAYS_S, is_retryable
from qcpaas.errors import AdapterError, CalibrationError, UnknownDevice
from qcpaas.settings import Settings
from store.calibrations import Calibrations
from store.database import Store, open_store
from store.devices import Devices
from tasks.calibrate import shared_pull
from tasks.registered import open_registered
from tasks.vendor_calendar import refresh_vendor_calendar

RETRIES = 2


@flow(name="refresh-calibration")
def refresh_calibration(devices: list[str] | None = None) -> None:
    """Pull snapshots into the store, look for drift, and show what is new.

    Args:
        devices: Names; every registered device when not given.
    """
    asked_at = datetime.now(UTC)
    with open_store(Settings().resolved_store_url) as store:
        names = devices or [info.name for info in Devices(store).all()]
        before = {name: Calibrations(store).latest_id(name) for name in names}
        pulls = {name: pull.submit(name, store, asked_at) for name in names}
        notes = {name: _note(future, before[name]) for name, future in pulls.items()}
        rows = [_row(name, note, store) for name, note in notes.items()]
        for name in names:
            if Calibrations(store).latest_id(name) != before[name]:
                look_for_drift(store, name)
            publish_calibration(store, name)  # also what a job had pulled before
        publish_devices(store)
    create_table_artifact(table=rows, key="calibrations", description="Newest calibrations")


@task(
    name="pull",
    task_run_name="pull {name}",
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS_S[:RETRIES],
    retry_condition_fn=is_retryable,
)
def pull(name: str, store: Store, asked_at: datetime) -> str | None:
    """One device's newest calibration, and what is reserved on it; ``None`` where it has none."""
    adapter = open_registered(name, store)
    try:
        refresh_vendor_calendar(name, adapter, store)
    except (AdapterError, UnknownDevice) as error:
        get_run_logger().warning("the calendar of %s is not renewed: %s", name, error)
    try:
        return shared_pull(adapter, store, asked_at).content_id
    except CalibrationError as error:
        get_run_logger().info("%s", error)
        return None


def _note(future: PrefectFuture[str | None], before: str | None) -> str:
    """What came of a pull; one that failed fails alone."""
    outcome = future.result(raise_on_failure=False)
    if isinstance(outcome, BaseException):
        return f"keeps its calibration: {outcome}"
    if outcome is None:
        return "has no calibration"
    return "unchanged" if outcome == before else "new"


def _row(name: str, note: str, store: Store) -> dict[str, str]:
    info = Devices(store).get(name)
    answered_at = None if info is None else info.answered_at
    return {
        "device": name,
        "calibration": (info and info.snapshot_id) or "none",
        "answered at": "never" if answered_at is None else f"{answered_at:%Y-%m-%d %H:%M:%S} UTC",
        "note": note,
    }
