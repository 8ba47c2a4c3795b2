"""Pull the calibration of every registered device; one that does not answer stops no other."""

from __future__ import annotations

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from adapters.registry import open_device
from qcpaas.errors import QCPaaSError
from qcpaas.settings import Settings
from store.calibrations import Calibrations
from store.database import Store, open_store
from store.devices import Devices
from tasks.device import pull_calibration


@flow(name="refresh-calibration")
def refresh_calibration(devices: list[str] | None = None) -> None:
    """Pull snapshots into the store.

    Args:
        devices: Names; every registered device that reports a calibration when not given.
    """
    with open_store(Settings().resolved_store_url) as store:
        names = devices or [info.name for info in Devices(store).all()]
        pulls = [pull.submit(name, store) for name in names]
        rows = [future.result() for future in pulls]
    create_table_artifact(table=rows, key="calibrations", description="Newest calibrations")


@task(name="pull", task_run_name="pull {name}", retries=2, retry_delay_seconds=5)
def pull(name: str, store: Store) -> dict[str, object]:
    """One device's newest calibration; its old one stays where it does not answer."""
    calibrations = Calibrations(store)
    before = calibrations.latest_id(name)
    try:
        snapshot = pull_calibration(open_device(name), store)
    except QCPaaSError as error:
        get_run_logger().warning("%s keeps its calibration %s: %s", name, before, error)
        return {"device": name, "calibration": before or "none", "note": str(error)}
    return {
        "device": name,
        "calibration": snapshot.content_id,
        "note": "unchanged" if snapshot.content_id == before else "new",
    }
