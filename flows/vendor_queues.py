"""A worker asks vendors, again and again, whether their devices take work and how long they queue.

It reaches them: it has their clients and opens their credentials. Several workers share the asking.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

from qcpaas.errors import PlatformUnavailable, QCPaaSError
from store.database import Store, open_store
from store.devices import Devices
from tasks.registered import open_registered
from tasks.vendor_calendar import refresh_vendor_calendar

log = logging.getLogger(__name__)

ASKED_EVERY_S = 60.0


class VendorQueues:
    """Asks in a thread of its own, from `start` to `close`."""

    def __init__(self, store_url: str) -> None:
        self._store_url = store_url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="vendor-queues", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ask no more; a vendor who takes long to answer is not waited for."""
        self._ended.set()

    def _keep(self) -> None:
        silent: frozenset[str] = frozenset()
        while not self._ended.wait(ASKED_EVERY_S):
            try:
                with open_store(self._store_url) as store:
                    silent = ask_vendors(store, silent)
            except QCPaaSError as error:
                log.warning("vendors' queues are not renewed: %s", error)
            except Exception:  # a defect of an adapter, say: the worker goes on, and asks again
                log.exception("vendors' queues are not renewed")


def ask_vendors(store: Store, silent: frozenset[str] = frozenset()) -> frozenset[str]:
    """Ask each device that nobody has asked lately; one that does not answer stops no other.

    Args:
        silent: Devices that did not answer before: of them nothing more is logged.

    Returns:
        Those that did not answer now.

    Raises:
        PlatformUnavailable: The store is away.
    """
    devices = Devices(store)
    lately = datetime.now(UTC) - timedelta(seconds=ASKED_EVERY_S / 2.0)
    failed = set()
    for name in devices.unheard_since(lately):
        try:
            refresh_vendor_calendar(name, open_registered(name, store), store)
        except PlatformUnavailable:
            raise
        except QCPaaSError as error:
            devices.note_silence(name, f"not renewed: {error!s:.200}")
            failed.add(name)
            if name not in silent:
                log.warning("%s does not tell its queue: %s", name, error)
    return frozenset(failed)
