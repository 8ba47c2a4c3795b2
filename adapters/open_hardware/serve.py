"""Puts a device behind the open hardware API: ``qcpaas device serve``."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
import threading
from contextlib import suppress

import uvicorn

from adapters.contract import DeviceAdapter
from adapters.module_device import is_module, open_module
from adapters.open_hardware.app import make_app
from adapters.open_hardware.desk import Desk
from adapters.open_hardware.job_file import JobFile
from adapters.open_hardware.tokens import Tokens
from adapters.registry import open_device
from qcpaas.errors import InputError
from qcpaas.services import DeviceService

_GRACE_S = 3
_IDLE_S = 75  # longer than proxies keep a connection, so that they close it and not this side
_CONNECTIONS = 1000


def serve(service: DeviceService) -> None:
    """Serve until the process is ended; says where on standard output.

    Raises:
        InputError: Something is configured that cannot be, or would let anybody in.
        UnknownDevice: There is no such device.
        DeviceUnavailable: It cannot be reached.
    """
    _check(service)
    tokens = Tokens(service.token_file)
    adapter = open_adapter(service.device)
    durable = not adapter.capabilities().simulator
    with JobFile(service.state, durable=durable) as file, _listening(service) as listening:
        days = service.keep_results_days
        desk = Desk(adapter, file, kept_s=None if days is None else days * 86400.0)
        app = make_app(
            desk, tokens, prefix=service.prefix, max_body_bytes=service.max_body_mib * 2**20
        )
        desk.start()
        if service.with_parent:
            threading.Thread(target=_end_with_parent, daemon=True).start()
        _say(service, adapter.name, listening.getsockname()[1])
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                ssl_certfile=service.tls_cert,
                ssl_keyfile=service.tls_key,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_keep_alive=_IDLE_S,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
        desk.end()


def open_adapter(device: str) -> DeviceAdapter:
    """A device of a module, or of the registry."""
    return open_module(device) if is_module(device) else open_device(device)


def _check(service: DeviceService) -> None:
    if (service.tls_cert is None) != (service.tls_key is None):
        raise InputError("--tls-cert and --tls-key belong together. Give both, or neither.")
    for file in (service.tls_cert, service.tls_key):
        if file is not None and not file.is_file():
            raise InputError(f"there is no file {file}.")
    if service.token_file is None and not _is_loopback(service.host):
        raise InputError(
            f"without a token everybody who reaches {service.host} could use the device. Make a "
            "token (qcpaas device token NAME --token-file FILE) and give --token-file, or serve "
            "on 127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(service: DeviceService) -> socket.socket:
    """Bound here, so that its port is known before anything is said."""
    try:
        family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
        listening = socket.create_server((service.host, service.port), family=family, backlog=256)
    except OSError as error:
        raise InputError(
            f"nothing can listen on {service.host}:{service.port}: {error.strerror or error}. "
            "Choose another --host or --port."
        ) from error
    # Connections inherit it; asyncio sets it on sockets of its own making alone, and without it
    # every answer waits 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _say(service: DeviceService, name: str, port: int) -> None:
    scheme = "http" if service.tls_cert is None else "https"
    host = f"[{service.host}]" if ":" in service.host else service.host
    sys.stdout.write(f"ready {scheme}://{host}:{port}{service.prefix} {name}\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """Standard input ends with the process that holds its other side."""
    sys.stdin.read()
    os._exit(0)
