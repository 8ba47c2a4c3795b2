"""A server that speaks the protocol of IQM's, as far as ``iqm-client`` 36 uses it for circuits.

It does not prove: what IQM's real server accepts, its limits and its words; its login; time slots;
pulse-level jobs; how it compiles circuits, and their noise (circuits are simulated without any);
that it keeps the metadata of circuits as they were sent; what it says of its health and its queue
beyond the two fields that are read; how a station's interface really answers queries for past
calibrations, which only some users may use.
"""

import uuid
from datetime import UTC, datetime

from vendors.iqm_circuits import as_qiskit, keys_of
from vendors.iqm_devices import (
    CHIPS,
    calibration_set,
    dynamic_architecture,
    quality_metrics,
    set_id,
    static_architecture,
)
from vendors.service import Reply, Service, counts_of, main

# Of the form that IQM's login programme writes: it says itself that it is valid until 2100.
TOKEN = "eyJhbGciOiJub25lIn0.eyJleHAiOiA0MTAyNDQ0ODAwfQ.loopback-5f1c"
MAX_SHOTS, MAX_CIRCUITS = 20_000, 500
HISTORY = range(-3, 10)  # calibrations, each in force for twelve hours

STATES = {"queued": "waiting", "running": "processing"}
API = "/api/v1"
QC = f"{API}/quantum-computers/([^/]+)"
SET = f"{API}/calibration-sets/([^/]+)/([^/]+)"


class IqmService(Service):
    routes = (
        ("GET", f"{API}/quantum-computers", "computers"),
        ("GET", f"{QC}/health", "health"),
        ("GET", f"{QC}/queue-availability", "queue"),
        ("GET", f"{QC}/artifacts/static-quantum-architectures", "chip"),
        ("GET", f"{SET}/dynamic-quantum-architecture", "operations"),
        ("GET", f"{SET}/metrics", "metrics"),
        ("GET", SET, "calibration"),
        ("POST", f"{API}/jobs/([^/]+)/circuit", "submit"),
        ("GET", f"{API}/jobs/([^/]+)", "job"),
        ("GET", f"{API}/jobs/([^/]+)/payload", "payload"),
        ("GET", f"{API}/jobs/([^/]+)/artifacts/measurement_counts", "counts"),
        ("POST", f"{API}/jobs/([^/]+)/cancel", "cancel"),
        ("GET", "/station/([^/]+)/observation-sets", "past_sets"),
        ("GET", "/station/([^/]+)/observation-sets/([^/]+)", "past_set"),
        ("GET", "/station/([^/]+)/observation-sets/([^/]+)/observations", "past_observations"),
    )

    def answer(self, request):
        if not request.path.startswith("/_control"):
            wrong = request.headers.get("authorization") != f"Bearer {TOKEN}"
            if wrong or self.jobs.faults.refuse_credentials:
                return Reply(401, {"message": "Unauthorized: the token is wrong or has expired."})
        return super().answer(request)

    # --- quantum computers --------------------------------------------------------------------

    def computers(self, _):
        listed = [
            {
                "id": set_id(chip.alias, 0, "computer"),
                "alias": chip.alias,
                "display_name": chip.title,
                # The station of the last one is closed to this user.
                "proxy_path": None if chip.alias == "deneb" else f"station/{chip.alias}",
            }
            for chip in CHIPS.values()
        ]
        return Reply(200, {"quantum_computers": listed})

    def health(self, _, alias):
        away = self.jobs.faults.maintenance
        return Reply(200, {"healthy": not away, "message": "in maintenance" if away else ""})

    def queue(self, _, alias):
        return Reply(200, {"queue_length": self.jobs.faults.queue, "available": ["normal"]})

    def chip(self, _, alias):
        return self._of(alias, lambda chip: [static_architecture(chip)])

    # --- calibrations -------------------------------------------------------------------------

    def operations(self, _, alias, which):
        return self._of_set(alias, which, dynamic_architecture)

    def calibration(self, _, alias, which):
        return self._of_set(alias, which, calibration_set)

    def metrics(self, _, alias, which):
        return self._of_set(alias, which, quality_metrics)

    def _of(self, alias, make):
        chip = CHIPS.get(alias)
        if chip is None:
            return Reply(404, {"message": f"there is no quantum computer {alias}"})
        return Reply(200, make(chip))

    def _of_set(self, alias, which, make):
        number = self._number(alias, which)
        if number is None:
            return Reply(404, {"message": f"there is no calibration set {which}"})
        return self._of(alias, lambda chip: make(chip, number))

    def _number(self, alias, which):
        if which == "default":
            return self.jobs.faults.calibration
        return next((n for n in HISTORY if set_id(alias, n) == which), None)

    def past_sets(self, request, alias):
        kind = request.query["observation_set_type"]
        make = calibration_set if kind == "calibration-set" else quality_metrics
        found = [make(CHIPS[alias], n) for n in HISTORY if n <= self.jobs.faults.calibration]
        describes = request.query.get("describes_id")
        until = datetime.fromisoformat(request.query["created_timestamp__range"])
        items = [
            _bare(each)
            for each in found
            if datetime.fromisoformat(each["created_timestamp"]) <= until
            and describes in {None, each["describes_id"]}
        ]
        items.sort(key=lambda each: each["created_timestamp"], reverse=True)
        return Reply(200, {"items": items[: int(request.query["limit"])], "meta": None})

    def past_set(self, _, alias, which):
        return Reply(200, _bare(self._past(alias, which)))

    def past_observations(self, _, alias, which):
        return Reply(200, self._past(alias, which)["observations"])

    def _past(self, alias, which):
        made = (
            make(CHIPS[alias], n) for n in HISTORY for make in (calibration_set, quality_metrics)
        )
        return next(each for each in made if each["observation_set_id"] == which)

    # --- jobs ---------------------------------------------------------------------------------

    def submit(self, request, alias):
        if self.jobs.faults.maintenance:
            return Reply(503, {"message": f"{alias} is in maintenance"})
        asked = request.body
        problem = self._problem(asked, alias)
        if problem:
            return Reply(422, {"message": problem, "error_code": "circuit_validation_error"})
        token = (asked["circuits"][0].get("metadata") or {}).get("qcpaas", {}).get("token", "")
        number = self.jobs.faults.calibration
        chosen = asked.get("calibration_set_id") or set_id(alias, number)
        kept = {
            "alias": alias,
            "definition": asked,
            "use_timeslot": request.query.get("use_timeslot") == "true",
            "calibration_set_id": chosen,
        }
        job_id = self.jobs.accept(kept, token, str(uuid.uuid4()))
        return self.accepted(Reply(201, self._data(self.jobs.get(job_id))))

    def _problem(self, asked, alias):
        if asked["shots"] > MAX_SHOTS:
            return f"{asked['shots']} shots are more than {MAX_SHOTS}"
        if len(asked["circuits"]) > MAX_CIRCUITS:
            return f"{len(asked['circuits'])} circuits are more than {MAX_CIRCUITS}"
        chosen = asked.get("calibration_set_id") or "default"
        number = self._number(alias, chosen)
        if number is None:
            return f"there is no calibration set {chosen}"
        gates = dynamic_architecture(CHIPS[alias], number)["gates"]
        for circuit in asked["circuits"]:
            for step in circuit["instructions"]:
                if step["name"] in {"barrier", "delay"}:
                    continue
                ways = gates.get(step["name"], {}).get("implementations", {})
                loci = [locus for way in ways.values() for locus in way["loci"]]
                if step["locus"] not in loci and step["locus"][::-1] not in loci:
                    return f"{step['name']} is not calibrated on {step['locus']}"
        return ""

    def job(self, _, job_id):
        return self._with_job(job_id, self._data)

    def payload(self, _, job_id):
        return self._with_job(job_id, lambda job: job.request["definition"])

    def counts(self, _, job_id):
        job = self.jobs.get(job_id)
        if job is not None and job.state != "completed":
            return Reply(404, {"message": f"job {job_id} has no counts"})
        return self._with_job(job_id, lambda job: job.result["counts"])

    def cancel(self, _, job_id):
        self.jobs.cancel(job_id)
        return self._with_job(job_id, lambda job: None)

    def _with_job(self, job_id, answer):
        job = self.jobs.get(job_id)
        if job is None:
            return Reply(404, {"message": f"there is no job {job_id}"})
        return Reply(200, answer(job))

    def _data(self, job):
        waiting = job.state == "queued"
        station = "iqm-station-control"
        timeline = [_moment("created", "iqm-server", job.accepted_at)]
        if job.started_at:
            timeline.append(_moment("execution_started", station, job.started_at))
        if job.ended_at and job.started_at:
            timeline.append(_moment("execution_ended", station, job.ended_at))
        failed = job.state == "failed"
        message = {"message": job.message, "source": station, "error_code": "execution_error"}
        return {
            "id": job.job_id,
            "type": "circuit",
            "status": STATES.get(job.state, job.state),
            "compilation": {"calibration_set_id": job.request["calibration_set_id"]},
            "messages": [],
            "errors": [message] if failed else [],
            "queue_position": self.jobs.faults.queue if waiting else None,
            "timeline": timeline,
            "artifacts": [{"type": "measurement_counts"}] if job.state == "completed" else [],
        }

    def run(self, request):
        definition = request["definition"]
        counts = []
        for circuit in definition["circuits"]:
            found = counts_of(as_qiskit(circuit), definition["shots"])
            # Qiskit puts clbit 0 last, IQM the first measurement key first.
            by_key = {text[::-1]: number for text, number in found.items()}
            counts.append({"measurement_keys": keys_of(circuit), "counts": by_key})
        return {"counts": counts}


def _bare(each):
    ids = [observation["observation_id"] for observation in each["observations"]]
    return {k: v for k, v in each.items() if k != "observations"} | {"observation_ids": ids}


def _moment(status, source, at):
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    return {"source": source, "status": status, "timestamp": moment}


if __name__ == "__main__":
    main(IqmService)
