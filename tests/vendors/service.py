"""What the loopback servers of the vendors share: jobs on disk, a simulator, and faults on demand.

Each vendor's server is a script beside this one (``python tests/vendors/ibm.py --state FILE``) that
speaks the vendor's protocol, well enough for the vendor's unmodified client. What a server does
not prove stands at its top. Its owner controls it below ``/_control``, which no vendor has.

A job runs in a thread; it is on disk before its acceptance is told, and a server that was killed
goes on with what it had accepted.
"""

import argparse
import contextlib
import json
import random
import re
import secrets
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict

ENDED = {"completed", "failed", "cancelled"}


class Faults(BaseModel):
    """What goes wrong from now on; kept on disk, so that a restarted server goes on with it.

    Attributes:
        delay_s: A job takes so much longer than its simulation.
        reply_delay_s: Every reply comes so much later.
        lose_replies: Submissions that are accepted and never told: the connection breaks.
        status: Every request is answered with this HTTP status in place of its answer; 0 for none.
        refuse_credentials: Whatever token comes is wrong.
        maintenance: The device takes nothing now.
        fail_jobs: Jobs end as failed, with this message.
        spoil: How replies with a body are spoilt: ``truncated``, ``types``, ``nan``, ``negative``,
            ``huge``, ``empty`` or ``html``; "" for not at all.
        spoil_path: Only replies to paths that this regular expression finds.
        calibration: Which of the server's calibrations is in force; the vendor's script says what
            the number means, and each one has values and dates of its own.
        queue: Jobs before ours, as the vendor tells it.
    """

    model_config = ConfigDict(extra="forbid")

    delay_s: float = 0.0
    reply_delay_s: float = 0.0
    lose_replies: int = 0
    status: int = 0
    refuse_credentials: bool = False
    maintenance: bool = False
    fail_jobs: str = ""
    spoil: str = ""
    spoil_path: str = ""
    calibration: int = 0
    queue: int = 0


@dataclass(frozen=True)
class Job:
    """As the server keeps it; ``token`` is whatever the client marked it with."""

    job_id: str
    token: str
    request: dict
    state: str
    result: dict | None
    message: str
    accepted_at: float
    started_at: float | None
    ended_at: float | None


class Jobs:
    """Accepted jobs, on disk, and the thread that runs them one after another.

    Args:
        run: Simulates a request and returns its result, both JSON.
    """

    def __init__(self, file, run):
        self._file = str(file)
        self._run = run
        self._woken = threading.Event()
        with self._open() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS job (job_id TEXT PRIMARY KEY, token TEXT, request TEXT,"
                " state TEXT, result TEXT, message TEXT, accepted_at REAL, started_at REAL,"
                " ended_at REAL)"
            )
            db.execute("CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT)")
            db.execute("UPDATE job SET state='queued' WHERE state='running'")

    def start(self):
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def faults(self):
        kept = self.keep("faults")
        return Faults() if kept is None else Faults.model_validate(kept)

    def set_faults(self, **changes):
        faults = Faults.model_validate({**self.faults.model_dump(), **changes})
        self.keep("faults", faults.model_dump())
        return faults

    def keep(self, name, value=None):
        """Whatever else a server must remember, such as sessions; reads where nothing is given."""
        with self._open() as db:
            if value is not None:
                db.execute("REPLACE INTO kept VALUES (?, ?)", (name, json.dumps(value)))
            row = db.execute("SELECT value FROM kept WHERE name=?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def accept(self, request, token="", job_id=None):
        job_id = job_id or secrets.token_hex(8)
        with self._open() as db:
            db.execute(
                "INSERT INTO job VALUES (?, ?, ?, 'queued', NULL, '', ?, NULL, NULL)",
                (job_id, token, json.dumps(request), time.time()),
            )
        self._woken.set()
        return job_id

    def get(self, job_id):
        """The job, or ``None``."""
        return next(iter(self._read("WHERE job_id=?", (job_id,))), None)

    def all(self, token=None):
        """In the order of their acceptance."""
        if token is None:
            return self._read("", ())
        return self._read("WHERE token=?", (token,))

    def count(self):
        """How many were accepted."""
        with self._open() as db:
            return db.execute("SELECT COUNT(*) FROM job").fetchone()[0]

    def cancel(self, job_id):
        with self._open() as db:
            db.execute(
                "UPDATE job SET state='cancelled', ended_at=? WHERE job_id=? AND state IN"
                " ('queued', 'running')",
                (time.time(), job_id),
            )

    def _work(self):
        while True:
            waiting = self._read("WHERE state='queued'", ())
            if not waiting:
                self._woken.wait(0.5)
                self._woken.clear()
                continue
            self._perform(waiting[0])

    def _perform(self, job):
        began = time.time()
        self._change(job.job_id, "queued", state="running", started_at=began)
        try:
            ended = {"state": "completed", "result": json.dumps(self._run(job.request))}
        except Exception as error:  # noqa: BLE001 - a vendor tells of any failure
            ended = {"state": "failed", "message": f"{type(error).__name__}: {error}"}
        while time.time() - began < self.faults.delay_s and self.get(job.job_id).state == "running":
            time.sleep(0.02)
        if self.faults.fail_jobs:
            ended = {"state": "failed", "message": self.faults.fail_jobs}
        self._change(job.job_id, "running", **ended, ended_at=time.time())

    def _change(self, job_id, state, /, **values):
        """Of a job that is in this state."""
        names = ", ".join(f"{name}=?" for name in values)
        with self._open() as db:
            db.execute(
                f"UPDATE job SET {names} WHERE job_id=? AND state=?",
                (*values.values(), job_id, state),
            )

    def _read(self, where, values):
        with self._open() as db:
            rows = db.execute(f"SELECT * FROM job {where} ORDER BY accepted_at", values).fetchall()
        return [
            Job(row[0], row[1], json.loads(row[2]), row[3], row[4] and json.loads(row[4]), *row[5:])
            for row in rows
        ]

    @contextlib.contextmanager
    def _open(self):
        connection = sqlite3.connect(self._file, timeout=20)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


class Hangup(Exception):
    """Ends the connection without a reply."""


@dataclass(frozen=True)
class Request:
    """One request: ``body`` as JSON where it is JSON, else bytes; header names in lower case."""

    method: str
    path: str
    query: dict
    headers: dict
    body: object
    raw: bytes


@dataclass(frozen=True)
class Reply:
    """``body`` is sent as JSON unless it is bytes."""

    status: int = 200
    body: object = None
    headers: tuple = ()


class Service:
    """A vendor's protocol over `Jobs`; a subclass fills ``routes`` and `run`.

    ``routes`` holds (method, regular expression of the whole path, name of a method), which is
    called with the request and the expression's groups, and answers a `Reply`.
    """

    routes = ()

    def __init__(self, state):
        self.jobs = Jobs(state, self.run)

    def run(self, request):
        raise NotImplementedError

    def accepted(self, reply):
        """The reply to a submission that is on disk by now, unless it is to be lost."""
        faults = self.jobs.faults
        if faults.lose_replies:
            self.jobs.set_faults(lose_replies=faults.lose_replies - 1)
            raise Hangup
        return reply

    def failing(self, faults):
        """The status that every request over HTTP is answered with now, or 0."""
        return faults.status

    def answer(self, request):
        faults = self.jobs.faults
        if request.path.startswith("/_control"):
            return self._control(request)
        time.sleep(faults.reply_delay_s)
        status = self.failing(faults)
        if status:
            return Reply(status, {"message": "as was wished", "detail": "as was wished"})
        for method, pattern, name in self.routes:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                reply = getattr(self, name)(request, *map(unquote, match.groups()))
                return self._spoilt(reply, request, faults)
        return Reply(404, {"message": f"nothing at {request.method} {request.path}"})

    def _control(self, request):
        if request.path == "/_control/jobs":
            return Reply(200, [vars(job) for job in self.jobs.all(request.query.get("token"))])
        if request.path == "/_control/count":
            return Reply(200, self.jobs.count())
        return Reply(200, self.jobs.set_faults(**(request.body or {})).model_dump())

    def _spoilt(self, reply, request, faults):
        if not faults.spoil or not re.search(faults.spoil_path, request.path):
            return reply
        return Reply(reply.status, spoilt(reply.body, faults.spoil), reply.headers)


def spoilt(body, how):
    """A reply's body as a broken vendor would send it; bytes."""
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    if how == "truncated":
        return whole[: len(whole) // 2]
    if how == "empty":
        return b""
    if how == "html":
        return b"<html><body>502 Bad Gateway</body></html>"
    changes = {
        "types": lambda value: {"unexpected": str(value)},
        "nan": lambda value: float("nan") if _is_number(value) else value,
        "negative": lambda value: -abs(value) - 1 if _is_number(value) else value,
        "huge": lambda value: 10**400 if _is_number(value) else value,
    }
    return json.dumps(_changed(json.loads(whole or b"null"), changes[how])).encode()


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _changed(value, change):
    if isinstance(value, dict):
        return {name: _changed(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_changed(each, change) for each in value]
    return change(value)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def serve(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        request = Request(self.command, address.path, query, headers, body, raw)
        try:
            self.reply(self.server.service.answer(request))
        except Hangup:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = serve  # noqa: N815

    def reply(self, reply):
        is_bytes = isinstance(reply.body, bytes)
        body = reply.body if is_bytes else json.dumps(reply.body).encode()
        headers = dict(reply.headers)
        headers.setdefault("Content-Type", "application/json")
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, service, port, handler=Handler):
        super().__init__(("127.0.0.1", port), handler)
        self.service = service

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def counts_of(circuit, shots, seed=None):
    """Sampled outcomes of a Qiskit circuit without noise: bit string, clbit 0 rightmost."""
    import numpy as np

    from adapters.aer import AerRunner
    from adapters.contract import Submission
    from qcpaas.execution import Experiment

    experiment = Experiment(circuit, np.zeros((1, 0)), shots=shots)
    seed = random.randrange(2**31) if seed is None else seed
    result = AerRunner("loopback").run(Submission((experiment,), seed))
    return {key: int(n) for key, n in result.counts[0].points[0].to_dict().items()}


def main(make, prepare=None):
    """Serve until standard input ends: ``make(state)`` is the vendor's service.

    Args:
        prepare: Called with the server before it answers, for what only this vendor needs.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    service = make(given.state)
    server = Server(service, given.port)
    if prepare is not None:
        prepare(server)
    service.jobs.start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    sys.stdin.read()  # ends with the process that started this one
