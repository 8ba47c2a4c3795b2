"""Our own server of the open hardware API, with faults on demand: `vendors.process` starts it.

Everything behind the HTTP interface is the product's: the job file, the desk, the application. The
state file's name says which device is served: ``FakeAthens.db`` the twin of that name, ``trio.db``
the homemade device of the examples. Between them and the product stand faults alone.

Not proven here: TLS, a proxy in between, and a real machine behind the interface.
"""

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import uvicorn

from adapters.contract import Availability, DeviceAdapter
from adapters.open_hardware.app import make_app
from adapters.open_hardware.desk import Desk
from adapters.open_hardware.job_file import JobFile
from adapters.open_hardware.serve import open_adapter
from adapters.open_hardware.tokens import Tokens, add_token
from qcpaas.calibration import Quantity
from qcpaas.errors import DeviceUnavailable, ExecutionFailed
from store.snapshot import Snapshot
from vendors.service import Faults, spoilt

EXAMPLE = Path(__file__).parents[2] / "examples" / "homemade_device.py"
MOVED = {Quantity.T1_S, Quantity.T2_S, Quantity.T2_ECHO_S}


def device_named(stem):
    return open_adapter(f"{EXAMPLE}:Trio" if stem == "trio" else stem)


def readings(stem, number=0):
    """What calibration ``number`` says: coherence times move by a part in a thousand a number."""
    return [
        replace(
            reading,
            value=reading.value * (1 + number / 1000),
            measured_at=reading.measured_at + timedelta(hours=number),
        )
        if reading.quantity in MOVED
        else reading
        for reading in device_named(stem).calibration().readings()
    ]


def token_file(state):
    return state.with_suffix(".tokens")


class Control:
    """The faults in force, in a file beside the jobs."""

    def __init__(self, state):
        self._file = state.with_suffix(".faults")
        self._lock = threading.Lock()

    @property
    def faults(self):
        with self._lock:
            text = self._file.read_text() if self._file.exists() else "{}"
        return Faults.model_validate_json(text)

    def set(self, **changes):
        faults = Faults.model_validate({**self.faults.model_dump(), **changes})
        with self._lock:
            self._file.write_text(faults.model_dump_json())
        return faults


class Faulty(DeviceAdapter):
    """A device whose owner sets how it behaves."""

    def __init__(self, stem, control):
        self._stem = stem
        self._control = control
        self._inner = device_named(stem)
        self.name = self._inner.name

    def capabilities(self):
        return self._inner.capabilities()

    def calibration(self, at=None):
        found = self._inner.calibration(at)
        number = self._control.faults.calibration
        if not number or not isinstance(found, Snapshot):
            return found
        moved = readings(self._stem, number)
        if at is not None and at <= max(reading.measured_at for reading in readings(self._stem)):
            return found
        return Snapshot.of(self.name, found.num_qubits, moved, found.taken_at, found.dt_s)

    def availability(self):
        faults = self._control.faults
        message = "in maintenance" if faults.maintenance else ""
        return Availability(not faults.maintenance, faults.queue, message)

    def submit(self, submission, token):
        began = time.monotonic()
        while time.monotonic() - began < self._control.faults.delay_s:
            time.sleep(0.02)
        if self._control.faults.fail_jobs:
            raise ExecutionFailed(self._control.faults.fail_jobs)
        return self._inner.submit(submission, token)

    def status(self, handle):
        return self._inner.status(handle)

    def result(self, handle, timeout_s=None):
        return self._inner.result(handle, timeout_s)

    def cancel(self, handle):
        return self._inner.cancel(handle)


class Middle:
    """Between the network and the application."""

    def __init__(self, app, control, file):
        self._app, self._control, self._file = app, control, file

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith("/_control"):
            await self._controlled(scope, receive, send)
        else:
            await self._disturbed(scope, receive, send)

    async def _controlled(self, scope, receive, send):
        if scope["path"] == "/_control/jobs":
            rows = self._file._rows("select job_id, token, state, accepted_at from job")
            names = ("job_id", "token", "state", "accepted_at")
            answer = [dict(zip(names, row, strict=True)) for row in rows]
        elif scope["path"] == "/_control/count":
            ((answer,),) = self._file._rows("select count(*) from job")
        else:
            body = b""
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
            answer = self._control.set(**json.loads(body or b"{}")).model_dump()
        await reply(send, 200, json.dumps(answer).encode())

    async def _disturbed(self, scope, receive, send):
        faults = self._control.faults
        await asyncio.sleep(faults.reply_delay_s)
        submits = (scope["method"], scope["path"]) == ("POST", "/v1/jobs")
        if faults.status:
            await reply(send, faults.status, b'{"message": "as was wished"}')
            return
        if faults.refuse_credentials:
            scope["headers"] = [h for h in scope["headers"] if h[0] != b"authorization"]
        if faults.maintenance and submits:
            problem = {"error": DeviceUnavailable.__name__, "message": "in maintenance"}
            await reply(send, 503, json.dumps(problem).encode())
            return
        messages = []

        async def keep(message):
            messages.append(message)

        await self._app(scope, receive, keep)
        status = messages[0]["status"]
        body = b"".join(message.get("body", b"") for message in messages[1:])
        if submits and faults.lose_replies and status == 201:
            self._control.set(lose_replies=faults.lose_replies - 1)
            await send({**messages[0]})
            return  # the connection breaks: less came than was promised
        if faults.spoil and faults.spoil_path in scope["path"]:
            body = spoilt(body, faults.spoil)
        await reply(send, status, body)


async def reply(send, status, body):
    headers = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    control = Control(given.state)
    adapter = Faulty(given.state.stem, control)
    tokens = token_file(given.state)
    if not tokens.exists():
        tokens.with_suffix(".token").write_text(add_token(tokens, "tester"))
    with (
        JobFile(given.state, durable=False) as file,
        socket.create_server(("127.0.0.1", given.port)) as listening,
    ):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        desk = Desk(adapter, file)
        app = Middle(make_app(desk, Tokens(tokens)), control, file)
        desk.start()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        running = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        running.start()
        print(f"ready http://127.0.0.1:{listening.getsockname()[1]}", flush=True)  # noqa: T201
        sys.stdin.read()  # ends with the process that started this one


if __name__ == "__main__":
    main()
