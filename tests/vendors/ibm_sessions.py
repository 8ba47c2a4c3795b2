"""Sessions and batches of IBM's loopback server, kept on disk."""

import secrets
import time
from datetime import UTC, datetime

MAX_TTL_S = 28_800
INTERACTIVE_TTL_S = 60
CLOSED = "The session has been closed."


class Sessions:
    """Over `vendors.service.Jobs`.

    The longest time runs from the first job; when it is over, jobs that have not begun are
    cancelled. An idle session is inactive, and takes jobs again.
    """

    def __init__(self, jobs):
        self._jobs = jobs

    def open(self, asked):
        session_id = secrets.token_hex(10)
        kept = {
            "id": session_id,
            "backend_name": asked["backend"],
            "mode": asked.get("mode", "dedicated"),
            "max_ttl": asked.get("max_ttl", MAX_TTL_S),
            "interactive_ttl": INTERACTIVE_TTL_S,
            "created_at": time.time(),
            "started_at": None,
            "used_at": None,
            "closed_at": None,
            "accepting_jobs": True,
            "dropped": [],
        }
        self._keep(kept)
        return self.told(kept)

    def get(self, session_id):
        """As it is kept, closed where its time is over; ``None`` where there is none."""
        kept = (self._jobs.keep("sessions") or {}).get(session_id)
        if kept is None:
            return None
        started = kept["started_at"]
        if kept["closed_at"] is None and started and time.time() > started + kept["max_ttl"]:
            self._close(kept)
        return kept

    def used(self, kept):
        """By one more job."""
        kept["used_at"] = time.time()
        kept["started_at"] = kept["started_at"] or kept["used_at"]
        self._keep(kept)

    def stop(self, kept):
        """Take no more jobs; those that were taken run to their end."""
        kept["accepting_jobs"] = False
        if not self._waiting(kept):
            kept["closed_at"] = kept["closed_at"] or time.time()
        self._keep(kept)

    def told(self, kept):
        """As the API tells it."""
        return {
            "id": kept["id"],
            "backend_name": kept["backend_name"],
            "mode": kept["mode"],
            "state": self._state(kept),
            "accepting_jobs": kept["accepting_jobs"],
            "max_ttl": kept["max_ttl"],
            "interactive_ttl": kept["interactive_ttl"],
            "active_ttl": kept["max_ttl"],
            "started_at": date(kept["started_at"]),
            "activated_at": date(kept["started_at"]),
            "closed_at": date(kept["closed_at"]),
            "elapsed_time": 0,
        }

    def _state(self, kept):
        if kept["closed_at"]:
            return "closed"
        if not kept["started_at"]:
            return "open"
        idle = time.time() - kept["used_at"] > kept["interactive_ttl"]
        return "inactive" if idle else "active"

    def _close(self, kept):
        kept["closed_at"] = time.time()
        kept["accepting_jobs"] = False
        for job in self._waiting(kept):
            if job.state == "queued":
                self._jobs.cancel(job.job_id)
                kept["dropped"].append(job.job_id)
        self._keep(kept)

    def _waiting(self, kept):
        mine = [job for job in self._jobs.all() if job.request.get("session_id") == kept["id"]]
        return [job for job in mine if job.state in {"queued", "running"}]

    def _keep(self, kept):
        everything = self._jobs.keep("sessions") or {}
        self._jobs.keep("sessions", {**everything, kept["id"]: kept})


def date(moment):
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()
