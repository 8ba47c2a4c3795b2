"""The release of Prefect that the warm worker is made for."""

from __future__ import annotations

from importlib.metadata import version

from qcpaas.errors import PlatformError

RELEASE = "3.8.8"


def check_release(found: str | None = None) -> None:
    """Raises `PlatformError` where another Prefect is installed."""
    found = found or version("prefect")
    if found != RELEASE:
        raise PlatformError(
            f"the warm worker is made for Prefect {RELEASE}, and uses parts of it that other "
            f"releases change; {found} is installed. Install {RELEASE}, or start the worker with "
            "--process."
        )
