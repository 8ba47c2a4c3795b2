"""A calibration inside this process: its flow in a thread, watched through Prefect's records."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from deployments.job_thread import DRAIN_S
from gateway.engine.calibrations import CalibrationRuns, calibration_parameters, with_outcome
from qcpaas.calibration import CalibrationRun, Characterisation
from qcpaas.errors import PlatformError
from store.database import Store

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas import FlowRun

STOPPED = "its flow stopped before it had told how it ended. Its log has the reason"


class EmbeddedCalibrations:
    """The calibrations that this process has been asked for; its Prefect server runs."""

    def __init__(self, store: Store, calibrations: CalibrationRuns) -> None:
        self._store = store
        self._calibrations = calibrations
        self._threads: dict[str, threading.Thread] = {}

    def start(self, device: str, measured: Characterisation | None) -> CalibrationRun:
        parameters = calibration_parameters(device, measured)
        flow = _flow(characterise=measured is not None)
        flow_run = _scheduled(flow, parameters)
        thread = threading.Thread(
            target=_run, args=(flow, flow_run, parameters), name=f"calibrate {device}", daemon=True
        )
        self._threads[str(flow_run.id)] = thread
        thread.start()
        return CalibrationRun(run_id=str(flow_run.id), device=device, finished=False)

    def run(self, run_id: str) -> CalibrationRun:
        """How it goes; `UnknownJob` where it was never asked for."""
        thread = self._threads.get(run_id)
        ended = thread is None or not thread.is_alive()
        run = self._calibrations.progress(run_id)
        if not run.finished:
            lost = {"finished": True, "failed": True, "message": STOPPED}
            return run.model_copy(update=lost) if ended else run
        return with_outcome(run, self._store)

    def close(self) -> None:
        """Let what has ended tell its last; what still runs ends with this process."""
        with suppress(PlatformError):  # the server has gone
            for run_id, thread in self._threads.items():
                if thread.is_alive() and self._calibrations.progress(run_id).finished:
                    thread.join(DRAIN_S)


def _flow(*, characterise: bool) -> Flow[..., Any]:
    if characterise:
        from flows.characterise import characterise as chosen

        return chosen
    from flows.refresh_calibration import refresh_calibration

    return refresh_calibration


def _scheduled(flow: Flow[..., Any], parameters: dict[str, Any]) -> FlowRun:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.create_flow_run(flow, parameters=parameters, tags=["qcpaas-flow"])


def _run(flow: Flow[..., Any], flow_run: FlowRun, parameters: dict[str, Any]) -> None:
    from prefect.flow_engine import run_flow

    run_flow(flow, flow_run=flow_run, parameters=parameters, return_type="state")
