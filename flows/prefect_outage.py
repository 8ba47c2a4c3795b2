"""Telling an outage of Prefect's server from an error, where Prefect's own client does not wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from qcpaas.errors import PlatformUnavailable


@contextmanager
def reaching_prefect() -> Iterator[None]:
    """For calls that make a client of their own, which gives up at once where its first one fails.

    Raises:
        PlatformUnavailable: Prefect's server does not answer; it is worth another try.
    """
    try:
        yield
    except Exception as error:
        met = error if isinstance(error, httpx.TransportError) else error.__cause__
        if not isinstance(met, httpx.TransportError):
            raise
        raise PlatformUnavailable(
            f"Prefect's server does not answer ({type(met).__name__})."
        ) from error
