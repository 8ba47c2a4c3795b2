"""``python -m flows.maintenance``: puts right what a crash, a kill or an outage left behind.

Prefect's open-source server notices neither that a run's process has gone together with its worker
nor that a run hangs between two states. This service looks every few seconds (`flows.observation`),
decides (`flows.recovery`), and acts (`flows.repairs`). Whatever it did is shown as a flow run
`maintenance` with a task for each repair and a table; where nothing was to be done it leaves no
trace. Several may run, one on each machine with workers: each repairs what it can know.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flows import image_workers
from flows.image_workers import renew_images
from flows.observation import Observer
from flows.recovery import Kind, Repair, decide
from flows.repairs import Workshop
from flows.shown_repairs import ShownRepairs
from flows.upkeep import renew_for_the_living
from qcpaas.errors import QCPaaSError
from qcpaas.prefect_api import PrefectApi
from qcpaas.settings import Settings
from store.database import Store, open_store
from store.leases import RENEWED_EVERY_S, TTL_S

LOOK_EVERY_S = 2.0
GAP_S = 15.0  # between two looks: this process, or the whole machine, stood still
TRIED_AGAIN_S = 30.0


class Service:
    """Looks, decides and acts; an outage only makes it wait.

    Args:
        shown: Where people see what was done.
    """

    def __init__(self, observer: Observer, workshop: Workshop, shown: ShownRepairs) -> None:
        self._observer, self._workshop, self._shown = observer, workshop, shown
        self._undisturbed_from = self._looked_at = time.monotonic()
        self._tried: dict[tuple[Kind, str, str | None], float] = {}
        self._away = False

    def look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at > GAP_S:
            self._undisturbed_from = now
        try:
            facts = self._observer.look(now - self._undisturbed_from)
            self._act([repair for repair in decide(facts) if self._is_due(repair)])
        except QCPaaSError as error:
            self._disturbed(error)
        else:
            if self._away:
                _say("the server and the database answer again")
            self._away = False
        self._looked_at = time.monotonic()

    def _act(self, repairs: Sequence[Repair]) -> None:
        done = []
        for repair in repairs:
            self._tried[_identity(repair)] = time.monotonic()
            outcome = self._outcome(repair)
            done.append((repair, outcome))
            _say(f"{repair.kind} {repair.what}, because {repair.why}: {outcome}")
        if done:
            self._shown.put(done)

    def _outcome(self, repair: Repair) -> str:
        """One that fails stops no other."""
        try:
            return self._workshop.carry_out(repair)
        except QCPaaSError as error:
            return f"failed: {error}"

    def _is_due(self, repair: Repair) -> bool:
        """Not the same thing again at once: it may take effect only by and by, or not at all."""
        tried = self._tried.get(_identity(repair))
        return tried is None or time.monotonic() - tried > TRIED_AGAIN_S

    def _disturbed(self, error: QCPaaSError) -> None:
        if not self._away:
            _say(f"cannot look: {error} Nobody is judged until {TTL_S:.0f} s after this is over.")
        self._away = True
        self._undisturbed_from = time.monotonic()


def main(
    here: Annotated[str, typer.Option(help="Workers on this machine, with commas between.")] = "",
    slots: Annotated[
        Path | None, typer.Option(help="Where the server keeps its leases, if that is here.")
    ] = None,
) -> None:
    """Look after the platform that ``PREFECT_API_URL`` and ``QCPAAS_STORE_URL`` name."""
    api = PrefectApi(os.environ["PREFECT_API_URL"])
    workers = [name for name in here.split(",") if name]
    with _patiently_opened() as store, ShownRepairs(_say) as shown:
        threading.Thread(target=_renew, args=(store,), name="renew", daemon=True).start()
        threading.Thread(target=_images, args=(api, store), name="images", daemon=True).start()
        observer = Observer(api, store, workers, slots)
        service = Service(observer, Workshop(api, store), shown)
        _say(f"looking every {LOOK_EVERY_S:g} s")
        while True:
            service.look()
            time.sleep(LOOK_EVERY_S)


def _renew(store: Store) -> NoReturn:
    """In a thread of its own: the rest may wait long for a server that is away."""
    while True:
        try:
            renew_for_the_living(store, TTL_S)
        except QCPaaSError as error:
            _say(f"cannot renew leases: {error}")
        time.sleep(RENEWED_EVERY_S)


def _images(api: PrefectApi, store: Store) -> NoReturn:
    while True:
        try:
            renew_images(api, store)
        except QCPaaSError as error:
            _say(f"cannot renew what images have: {error}")
        time.sleep(image_workers.RENEWED_EVERY_S)


def _patiently_opened() -> Store:
    while True:
        try:
            return open_store(Settings().resolved_store_url)
        except QCPaaSError as error:
            _say(f"{error}")
            time.sleep(LOOK_EVERY_S)


def _identity(repair: Repair) -> tuple[Kind, str, str | None]:
    return repair.kind, repair.target, repair.state_id


def _say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
