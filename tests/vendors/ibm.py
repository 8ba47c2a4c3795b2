"""A loopback server that speaks IBM Quantum's protocols.

It answers sign-in, the search for instances, the catalogue, and the Qiskit Runtime API on their
production addresses, to a client that is told to use it as a proxy (`vendors.ibm_tls`). Behind it
is Aer without noise. What it does not prove: that IBM's own service behaves so. Its replies were
written after the client's own code and IBM's public documentation, so that anything which these do
not tell (the statuses and messages of refusals, how soon a job is found by its tag, what becomes
of a session's jobs when it ends, limits of a plan, real queues and real noise) is a guess.
"""

import base64
import json
import re
import secrets
import threading
import time
from datetime import datetime
from urllib.parse import parse_qs

from vendors import ibm_device, ibm_programs, ibm_tls
from vendors.ibm_sessions import CLOSED, Sessions, date
from vendors.service import ENDED, Reply, Service, main

API_KEY = "loopback-api-key-0123456789"
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/loopback:instance-1::"
INSTANCE = "loopback-instance"
MAX_EXECUTIONS = 10_000_000
_STATES = {
    "queued": "Queued",
    "running": "Running",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
_RUNTIME = re.compile(r"/api/v1/(backends|jobs|sessions|instances)")


class Ibm(Service):
    """``token`` of a job is its first tag; ``calibration`` is explained in `vendors.ibm_device`.

    In maintenance a submission is answered with 503.
    """

    routes = (
        ("POST", r"/identity/token", "sign_in"),
        ("POST", r"/v3/resources/search", "search"),
        ("GET", r"/api/v1/backends", "backends"),
        ("GET", r"/api/v1/backends/([^/]+)/configuration", "configuration"),
        ("GET", r"/api/v1/backends/([^/]+)/properties", "properties"),
        ("GET", r"/api/v1/backends/([^/]+)/status", "status"),
        ("GET", r"/api/v1/instances/usage", "usage"),
        ("POST", r"/api/v1/jobs", "submit"),
        ("GET", r"/api/v1/jobs", "list_jobs"),
        ("GET", r"/api/v1/jobs/([^/]+)", "job"),
        ("GET", r"/api/v1/jobs/([^/]+)/results", "results"),
        ("GET", r"/api/v1/jobs/([^/]+)/metrics", "metrics"),
        ("POST", r"/api/v1/jobs/([^/]+)/cancel", "cancel"),
        ("POST", r"/api/v1/sessions", "open_session"),
        ("GET", r"/api/v1/sessions/([^/]+)", "session"),
        ("PATCH", r"/api/v1/sessions/([^/]+)", "change_session"),
        ("GET", r"/api/v1/plan-[a-z]+", "catalogue"),
    )

    def __init__(self, state):
        super().__init__(state)
        self.folder = state.parent
        self.sessions = Sessions(self.jobs)

    def run(self, request):
        return ibm_programs.run(request)

    def answer(self, request):
        if _RUNTIME.match(request.path):
            if self.jobs.faults.refuse_credentials or not _knows(request.headers):
                return refusal(401, "The authentication token is not valid.")
            if request.headers.get("service-crn") != CRN:
                return refusal(403, "The token does not open this instance.")
        return super().answer(request)

    # --- IBM Cloud --------------------------------------------------------------------------

    def sign_in(self, request):
        key = parse_qs(request.raw.decode()).get("apikey", [""])[0]
        if self.jobs.faults.refuse_credentials or key != API_KEY:
            said = f"Provided API key could not be found: {key}."
            return Reply(400, {"errorCode": "BXNIM0415E", "errorMessage": said})
        now = int(time.time())
        token = {"access_token": _token(now), "refresh_token": "none", "token_type": "Bearer"}
        return Reply(200, {**token, "expires_in": 3600, "expiration": now + 3600})

    def search(self, request):
        instance = {
            "crn": CRN,
            "name": INSTANCE,
            "service_plan_unique_id": "plan-open",
            "doc": {"extensions": [{"key": "backends"}]},
            "tags": [],
        }
        return Reply(200, {"items": [instance], "limit": 100})

    def catalogue(self, request):
        overview = {"en": {"display_name": "Open"}}
        return Reply(
            200, {"overview_ui": overview, "metadata": {"pricing": {"type": "free"}}, "id": "plan"}
        )

    # --- backends ---------------------------------------------------------------------------

    def backends(self, request):
        return Reply(200, {"devices": [self._listed(name) for name in ibm_device.CITIES]})

    def configuration(self, request, name):
        return self._of_backend(name) or Reply(200, ibm_device.configuration(name))

    def properties(self, request, name):
        hours, before = self.jobs.faults.calibration, request.query.get("updated_before")
        missing = self._of_backend(name)
        if missing or not before:
            return missing or Reply(200, ibm_device.properties(name, hours))
        return Reply(200, ibm_device.history(name, hours, datetime.fromisoformat(before)) or {})

    def status(self, request, name):
        away = self.jobs.faults.maintenance
        told = {
            "state": not away,
            "status": "maintenance" if away else "active",
            "message": "planned maintenance" if away else "available",
            "length_queue": self._queue(),
            "backend_version": "1.0.0",
        }
        return self._of_backend(name) or Reply(200, told)

    def usage(self, request):
        limits = {"usage_limit_seconds": 600, "usage_consumed_seconds": 12}
        return Reply(200, {"instance_id": CRN, "usage_limit_reached": False, **limits})

    # --- jobs -------------------------------------------------------------------------------

    def submit(self, request):
        body = request.body
        refused = self._of_backend(body["backend"]) or self._refused(body)
        if refused:
            return refused
        session_id = body.get("session_id")
        if session_id:
            session = self.sessions.get(session_id)
            if session is None or not session["accepting_jobs"]:
                return refusal(400, CLOSED)
            self.sessions.used(session)
        tags = body.get("tags") or []
        job_id = self.jobs.accept(body, next(iter(tags), ""), f"d{secrets.token_hex(9)}")
        told = {"id": job_id, "backend": body["backend"]}
        return self.accepted(Reply(200, told | ({"session_id": session_id} if session_id else {})))

    def list_jobs(self, request):
        wanted = request.query.get("tags")
        jobs = [
            job
            for job in self.jobs.all()
            if not wanted or wanted in (job.request.get("tags") or ())
        ]
        if request.query.get("sort") != "ASC":
            jobs.reverse()
        start, limit = (int(request.query.get(n, d)) for n, d in (("offset", 0), ("limit", 20)))
        page = [self._told(job) for job in jobs[start : start + limit]]
        return Reply(200, {"jobs": page, "count": len(jobs), "limit": limit, "offset": start})

    def job(self, request, job_id):
        return self._of_job(job_id, lambda job: Reply(200, self._told(job)))

    def results(self, request, job_id):
        def found(job):
            return Reply(200, job.result) if job.result is not None else Reply(204, b"")

        return self._of_job(job_id, found)

    def metrics(self, request, job_id):
        return self._of_job(job_id, lambda job: Reply(200, _metrics(job)))

    def cancel(self, request, job_id):
        def stopped(job):
            if job.state in ENDED:
                return refusal(409, f"Job cannot be cancelled, it is {_STATES[job.state]}.")
            self.jobs.cancel(job.job_id)
            return Reply(204, b"")

        return self._of_job(job_id, stopped)

    # --- sessions ---------------------------------------------------------------------------

    def open_session(self, request):
        return self._of_backend(request.body["backend"]) or Reply(
            200, self.sessions.open(request.body)
        )

    def session(self, request, session_id):
        kept = self.sessions.get(session_id)
        missing = refusal(404, f"Session {session_id} not found.")
        return missing if kept is None else Reply(200, self.sessions.told(kept))

    def change_session(self, request, session_id):
        kept = self.sessions.get(session_id)
        if kept is None:
            return refusal(404, f"Session {session_id} not found.")
        self.sessions.stop(kept)
        return Reply(204, b"")

    # --- what they share --------------------------------------------------------------------

    def _refused(self, body):
        if self.jobs.faults.maintenance:
            return refusal(503, "The service is in maintenance.")
        if body["program_id"] == "sampler":
            total = sum(shots * _points(values) for _, values, shots in body["params"]["pubs"])
            if total > MAX_EXECUTIONS:
                said = f"The job asks for {total} executions; {MAX_EXECUTIONS} are allowed."
                return refusal(400, said)
        return None

    def _of_backend(self, name):
        known = name in ibm_device.CITIES
        return None if known else refusal(404, f"Backend {name} not found.")

    def _of_job(self, job_id, answer):
        for session_id in self.jobs.keep("sessions") or ():
            self.sessions.get(session_id)  # which cancels the jobs of one that is over
        job = self.jobs.get(job_id)
        return refusal(404, f"Job {job_id} not found.") if job is None else answer(job)

    def _queue(self):
        waiting = sum(job.state == "queued" for job in self.jobs.all())
        return self.jobs.faults.queue + waiting

    def _listed(self, name):
        away = self.jobs.faults.maintenance
        return {
            "name": name,
            "status": {"name": "paused" if away else "online", "reason": "available"},
            "is_simulator": False,
            "qubits": ibm_device.configuration(name)["n_qubits"],
            "queue_length": self._queue(),
        }

    def _told(self, job):
        state = {"status": _STATES[job.state]}
        session_id = job.request.get("session_id")
        session = self.sessions.get(session_id) if session_id else None
        if session and job.job_id in session["dropped"]:
            state["reason"] = CLOSED
        elif job.message:
            state |= {"reason": job.message, "reasonCode": 1517}
        return {
            "id": job.job_id,
            "backend": job.request["backend"],
            "program": {"id": job.request["program_id"]},
            "state": state,
            "status": state["status"],
            "created": date(job.accepted_at),
            "runtime": "",
            "session_id": session_id,
            "tags": job.request.get("tags") or [],
            "estimated_running_time_seconds": 2.5,
            "private": False,
        }


def refusal(status, message):
    return Reply(status, {"errors": [{"code": status, "message": message}]})


def _metrics(job):
    ran = (job.ended_at or 0) - (job.started_at or 0) if job.ended_at and job.started_at else 0.0
    stamps = {"created": job.accepted_at, "running": job.started_at, "finished": job.ended_at}
    return {
        "timestamps": {name: date(moment) for name, moment in stamps.items()},
        "bss": {"seconds": ran},
        "usage": {"quantum_seconds": ran, "seconds": ran},
        "num_circuits": len(job.request["params"]["pubs"]),
    }


def _points(values):
    from qiskit_ibm_runtime.utils import RuntimeDecoder

    shape = json.loads(json.dumps(values), cls=RuntimeDecoder).shape[:-1]
    total = 1
    for size in shape:
        total *= size
    return total


def _token(now):
    header, payload = {"alg": "RS256"}, {"iat": now, "exp": now + 3600, "sub": "loopback"}
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode() for p in (header, payload)]
    return ".".join([*(part.rstrip("=") for part in parts), "bG9vcGJhY2s"])


def _knows(headers):
    return headers.get("authorization", "").endswith(".bG9vcGJhY2s")


def prepare(server):
    ibm_tls.prepare(server)
    threading.Thread(target=ibm_programs.warm_up, daemon=True).start()


if __name__ == "__main__":
    main(Ibm, prepare)
