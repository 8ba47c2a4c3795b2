"""A worker tells the platform what it has, again and again as long as it lives."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from qcpaas.errors import PlatformUnavailable
from qcpaas.schemas import Environment
from store.database import Store, open_store
from store.workers import RENEWED_EVERY_S, Workers
from tasks.environment import look_around

log = logging.getLogger(__name__)

# Somebody may register a device or install a package meanwhile.
LOOKED_AROUND_EVERY_S = 600.0


class Registration:
    """Registers a worker at once, renews that in a thread of its own, and ends it with `close`."""

    def __init__(self, name: str, pool: str, store_url: str) -> None:
        self._name = name
        self._pool = pool
        self._store_url = store_url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="registration", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Forget the worker: it takes up no more runs."""
        self._ended.set()
        self._thread.join(timeout=RENEWED_EVERY_S)
        with suppress(PlatformUnavailable), open_store(self._store_url) as store:
            Workers(store).forget(self._name)

    def _keep(self) -> None:
        since_look_s = LOOKED_AROUND_EVERY_S
        while True:
            try:
                with open_store(self._store_url) as store:
                    if since_look_s >= LOOKED_AROUND_EVERY_S:
                        self._register(store, look_around(store))
                        since_look_s = 0.0
                    elif not Workers(store).renew(self._name):
                        since_look_s = LOOKED_AROUND_EVERY_S
                        continue
            except PlatformUnavailable as error:
                log.warning("%s could not renew its registration: %s", self._name, error)
            if self._ended.wait(RENEWED_EVERY_S):
                return
            since_look_s += RENEWED_EVERY_S

    def _register(self, store: Store, environment: Environment) -> None:
        Workers(store).register(self._name, self._pool, environment)
        log.info(
            "%s registered %d options and %d devices",
            self._name,
            len(environment.options),
            len(environment.devices),
        )
