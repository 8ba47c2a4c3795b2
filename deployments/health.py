"""``python -m deployments.health PART``: whether this container's part works, for health checks.

The gateway and Prefect's server are asked; a worker works as long as it renews what it has told
the store. Exits with 1 and a sentence where it does not.
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

DEADLINE_S = 8.0


def gateway() -> str:
    """What is wrong with the gateway that listens here; empty where nothing is."""
    return _asked(f"http://127.0.0.1:{os.environ.get('QCPAAS_GATEWAY_PORT', '4300')}/ready")


def server() -> str:
    """The same of a Prefect server, at its usual port."""
    return _asked("http://127.0.0.1:4200/api/health")


def worker() -> str:
    """The same of this container's worker, by its name."""
    from qcpaas.errors import QCPaaSError
    from qcpaas.settings import Settings
    from store.database import open_store
    from store.workers import Workers

    name = os.environ.get("QCPAAS_WORKER_NAME") or socket.gethostname()
    try:
        with open_store(Settings().resolved_store_url) as store:
            living = {info.name for info, _ in Workers(store).living()}
    except QCPaaSError as error:
        return str(error)
    return "" if name in living else f"worker {name} has not renewed its registration."


PARTS: dict[str, Callable[[], str]] = {"gateway": gateway, "server": server, "worker": worker}


def main(arguments: list[str]) -> int:
    """The exit code; says what is wrong on standard error."""
    if len(arguments) != 1 or arguments[0] not in PARTS:
        sys.stderr.write(f"health: name one of {', '.join(PARTS)}.\n")
        return 2
    wrong = PARTS[arguments[0]]()
    if wrong:
        sys.stderr.write(f"{arguments[0]}: {wrong}\n")
    return 1 if wrong else 0


def _asked(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=DEADLINE_S):
            return ""
    except (OSError, urllib.error.URLError) as error:
        return f"{url} does not answer well: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
