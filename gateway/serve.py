"""Runs a gateway until it is told to end."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import uvicorn

from gateway.app import create_app
from gateway.auth.choose import open_authenticator
from gateway.auth.nobody import is_loopback
from gateway.engine.prefect import open_engine
from gateway.platform import Platform
from gateway.reading.readers import Readers
from gateway.settings import GatewaySettings
from gateway.telemetry.tracing import open_tracing
from qcpaas.errors import InputError
from store.database import open_store

GRACE_S = 5
_IDLE_S = 75  # longer than proxies keep a connection, so that they close it and not this side
_CONNECTIONS = 2000

log = logging.getLogger(__name__)


def serve(settings: GatewaySettings, store_url: str) -> None:
    """Serve until SIGTERM or Ctrl-C; says where on standard output.

    Raises:
        InputError: Something is configured that cannot be, or would let anybody in.
        PlatformUnavailable: The store cannot be reached.
    """
    _check(settings)
    with _listening(settings) as listening, opened(settings, store_url) as platform:
        server = uvicorn.Server(_config(settings, platform))
        with _ended_in_order(), releasing(platform), suppress(KeyboardInterrupt):
            _say(settings, listening.getsockname()[1])
            server.run(sockets=[listening])


@contextmanager
def opened(settings: GatewaySettings, store_url: str) -> Iterator[Platform]:
    """A platform with everything that its requests reach."""
    with open_store(store_url) as store, open_tracing(settings.otlp_endpoint) as tracing:
        engine = open_engine(settings)
        authenticator = open_authenticator(settings, store)
        readers = Readers(store_url)
        try:
            yield Platform(settings, store, engine, authenticator, tracing=tracing, readers=readers)
        finally:
            readers.close()
            engine.close()


@contextmanager
def releasing(platform: Platform) -> Iterator[None]:
    """Hand waiting jobs over for as long as the block runs."""
    from gateway.admission.releaser import Releaser
    from gateway.scheduling.choose_policy import open_policy

    releaser = Releaser(platform, open_policy(platform.settings.policy))
    releaser.start()
    try:
        yield
    finally:
        releaser.close()


def _config(settings: GatewaySettings, platform: Platform) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(platform),
        http="h11",  # bounds the headers of a request; the other parser does not
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        log_level=logging.WARNING,
        access_log=False,  # the front door's line has the user and the request id
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _check(settings: GatewaySettings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise InputError(
            "QCPAAS_GATEWAY_TLS_CERT and QCPAAS_GATEWAY_TLS_KEY belong together. Set both, or "
            "neither."
        )
    for file in (settings.tls_cert, settings.tls_key):
        if file is not None and not file.is_file():
            raise InputError(f"there is no file {file}.")
    plain = settings.tls_cert is None and not settings.trusted_proxies
    if plain and not is_loopback(settings.host):
        log.warning(
            "tokens will travel to %s without TLS: set QCPAAS_GATEWAY_TLS_CERT and _KEY, or put a "
            "proxy in front and name it in QCPAAS_GATEWAY_TRUSTED_PROXIES",
            settings.host,
        )


def _listening(settings: GatewaySettings) -> socket.socket:
    """Bound here, so that its port is known before anything is said."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=512)
    except OSError as error:
        raise InputError(
            f"nothing can listen on {settings.host}:{settings.port}: {error.strerror or error}. "
            "Choose another QCPAAS_GATEWAY_PORT."
        ) from error
    # Connections inherit it; asyncio sets it on sockets of its own making alone, and without it
    # every answer waits 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Uvicorn raises the signal that ended it again: what comes after it still has to run."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(settings: GatewaySettings, port: int) -> None:
    scheme = "http" if settings.tls_cert is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    sys.stdout.write(f"ready {scheme}://{host}:{port}\n")
    sys.stdout.flush()
