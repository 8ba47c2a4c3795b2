"""A server that speaks the protocols of Amazon Braket, S3 and STS, as far as boto3 asks for tasks.

It does not prove: what AWS really accepts, its limits and its words; that a request's signature is
right (the key and the session token are looked at, the signature is not); permissions; what Braket
does with a ``clientToken`` that comes again with another request (refused here), and for how long
it knows one; how soon a new task is found by a search; that a QPU's result repeats the program with
its comments; Braket's own compilers, and noise (programs run on the SDK's state-vector simulator).
"""

import json
import re
import uuid
from datetime import UTC, datetime
from functools import cache

from vendors.braket_devices import MACHINES, text
from vendors.braket_programs import problem_of, simulated
from vendors.service import Reply, Service, main

ACCOUNT = "123456789012"
KEY_ID, SECRET, SESSION_TOKEN = (
    "AKIALOOPBACK0000BRKT",
    "loopback/secret+of/braket",
    "loopback-token",
)
STATES = {"queued": "QUEUED", "running": "RUNNING"}
_text = cache(text)


class BraketService(Service):
    routes = (
        ("GET", "/device/([^/]+)", "device"),
        ("POST", "/devices", "devices"),
        ("POST", "/quantum-task", "create"),
        ("GET", "/quantum-task/([^/]+)", "task"),
        ("PUT", "/quantum-task/([^/]+)/cancel", "cancel"),
        ("POST", "/quantum-tasks", "search"),
        ("POST", "/", "identity"),
        ("PUT", "/([a-z0-9.-]+)/?", "make_bucket"),
        ("HEAD", "/([a-z0-9.-]+)/?", "see_bucket"),
        ("GET", "/([a-z0-9.-]+)/(.+)", "stored"),
    )

    def answer(self, request):
        if not request.path.startswith("/_control"):
            scope = _scope(request)
            token = request.headers.get("x-amz-security-token")
            wrong = scope is None or scope[0] != KEY_ID or token != SESSION_TOKEN
            if wrong or self.jobs.faults.refuse_credentials:
                return _refused(scope)
        return super().answer(request)

    # --- devices ------------------------------------------------------------------------------

    def device(self, request, arn):
        machine = MACHINES.get(arn)
        if machine is None or not self._is_here(machine, request):
            return _error(404, "ResourceNotFoundException", f"there is no device {arn}")
        faults = self.jobs.faults
        tasks = {"queue": "QUANTUM_TASKS_QUEUE"}
        queue = [
            tasks | {"queueSize": str(faults.queue), "queuePriority": "Normal"},
            tasks | {"queueSize": "0", "queuePriority": "Priority"},
            {"queue": "JOBS_QUEUE", "queueSize": "0 (1 prioritized job(s) running)"},
        ]
        return Reply(
            200,
            self._summary(machine)
            | {
                "deviceCapabilities": _text(machine, faults.calibration),
                "deviceQueueInfo": queue,
            },
        )

    def devices(self, request):
        found = [m for m in MACHINES.values() if self._is_here(m, request)]
        return Reply(200, {"devices": [self._summary(machine) for machine in found]})

    def _summary(self, machine):
        return {
            "deviceArn": machine.arn,
            "deviceName": machine.name,
            "providerName": machine.provider,
            "deviceType": "QPU" if machine.qpu else "SIMULATOR",
            "deviceStatus": "OFFLINE" if self.jobs.faults.maintenance else "ONLINE",
        }

    def _is_here(self, machine, request):
        return machine.region in {"", _scope(request)[1]}

    # --- tasks --------------------------------------------------------------------------------

    def create(self, request):
        asked = request.body
        machine = MACHINES.get(asked["deviceArn"])
        if machine is None or not self._is_here(machine, request):
            return _error(400, "ValidationException", f"no device {asked['deviceArn']}")
        if self.jobs.faults.maintenance:
            return _error(424, "DeviceOfflineException", f"{machine.name} is offline.")
        for job in self.jobs.all():
            if job.request["asked"]["clientToken"] == asked["clientToken"]:
                if job.request["asked"] != asked:
                    return _error(400, "ValidationException", "clientToken of another request")
                return self.accepted(Reply(201, {"quantumTaskArn": job.job_id}))
        problem = problem_of(asked, machine)
        if asked["outputS3Bucket"] not in self._buckets():
            problem = f"there is no bucket {asked['outputS3Bucket']}"
        if problem:
            return _error(400, "ValidationException", problem)
        arn = f"arn:aws:braket:{_scope(request)[1]}:{ACCOUNT}:quantum-task/{uuid.uuid4()}"
        kept = {"asked": asked, "folder": f"{asked['outputS3KeyPrefix']}/{arn.rpartition('/')[2]}"}
        self.jobs.accept(kept, asked.get("tags", {}).get("qcpaas-token", ""), arn)
        return self.accepted(Reply(201, {"quantumTaskArn": arn}))

    def task(self, request, arn):
        job = self.jobs.get(arn)
        if job is None:
            return _error(404, "ResourceNotFoundException", f"there is no task {arn}")
        action = json.loads(job.request["asked"]["action"])
        kind = action["braketSchemaHeader"]["name"]
        waiting = job.state == "queued"
        told = _told(job) | {
            "deviceParameters": "{}",
            "associations": job.request["asked"].get("associations", []),
            "actionMetadata": {"actionType": kind},
        }
        if "QueueInfo" in request.query.get("additionalAttributeNames", ""):
            position = str(self.jobs.faults.queue) if waiting else "None"
            told["queueInfo"] = {
                "queue": "QUANTUM_TASKS_QUEUE",
                "position": position,
                "queuePriority": "Normal",
            }
        if job.state == "completed":
            told["numSuccessfulShots"] = job.request["asked"]["shots"]
        if job.state == "failed":
            told["failureReason"] = job.message
        return Reply(200, told)

    def cancel(self, _, arn):
        job = self.jobs.get(arn)
        if job is None:
            return _error(404, "ResourceNotFoundException", f"there is no task {arn}")
        if job.state not in STATES:
            return _error(409, "ConflictException", f"the task is {job.state.upper()}")
        self.jobs.cancel(arn)
        return Reply(200, {"quantumTaskArn": arn, "cancellationStatus": "CANCELLING"})

    def search(self, request):
        wanted = {
            each["name"]: each["values"]
            for each in request.body["filters"]
            if each["operator"] == "EQUAL"
        }
        jobs = [
            job
            for job in reversed(self.jobs.all())
            if job.request["asked"]["deviceArn"]
            in wanted.get("deviceArn", [job.request["asked"]["deviceArn"]])
        ]
        start = int(request.body.get("nextToken", 0))
        stop = start + request.body.get("maxResults", 100)
        page = {"quantumTasks": [_told(job) for job in jobs[start:stop]]}
        return Reply(200, page | ({"nextToken": str(stop)} if stop < len(jobs) else {}))

    def run(self, request):
        return simulated(
            request["asked"], request["folder"], MACHINES[request["asked"]["deviceArn"]]
        )

    # --- STS and S3 ---------------------------------------------------------------------------

    def identity(self, _):
        account = f"<Account>{ACCOUNT}</Account>"
        inner = f"<Arn>arn:aws:iam::{ACCOUNT}:user/me</Arn><UserId>me</UserId>{account}"
        result = f"<GetCallerIdentityResult>{inner}</GetCallerIdentityResult>"
        space = "https://sts.amazonaws.com/doc/2011-06-15/"
        body = f'<GetCallerIdentityResponse xmlns="{space}">{result}</GetCallerIdentityResponse>'
        return Reply(200, body.encode(), (("Content-Type", "text/xml"),))

    def make_bucket(self, _, name):
        known = self._buckets()
        if name in known:
            return _xml_error(409, "BucketAlreadyOwnedByYou", f"you have {name} already")
        self.jobs.keep("buckets", [*known, name])
        return Reply(200, b"", (("Location", f"/{name}"),))

    def see_bucket(self, _, name):
        return Reply(200 if name in self._buckets() else 404, b"")

    def stored(self, _, bucket, key):
        for job in self.jobs.all():
            folder = f"{job.request['folder']}/"
            if bucket == job.request["asked"]["outputS3Bucket"] and key.startswith(folder):
                found = (job.result or {}).get(key.removeprefix(folder))
                if found is not None:
                    return Reply(200, json.dumps(found).encode())
        return _xml_error(404, "NoSuchKey", "The specified key does not exist.")

    def _buckets(self):
        return self.jobs.keep("buckets") or []

    def _spoilt(self, reply, request, faults):
        xml = isinstance(reply.body, bytes) and reply.body.startswith(b"<")
        if xml and faults.spoil in {"types", "nan", "negative", "huge"}:
            return reply
        return super()._spoilt(reply, request, faults)


def _told(job):
    told = {
        "quantumTaskArn": job.job_id,
        "status": STATES.get(job.state, job.state.upper()),
        "deviceArn": job.request["asked"]["deviceArn"],
        "shots": job.request["asked"]["shots"],
        "outputS3Bucket": job.request["asked"]["outputS3Bucket"],
        "outputS3Directory": job.request["folder"],
        "createdAt": _moment(job.accepted_at),
        "tags": job.request["asked"].get("tags", {}),
    }
    return told if job.ended_at is None else told | {"endedAt": _moment(job.ended_at)}


def _moment(at):
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _scope(request):
    """Access key, region and service that a request is signed for."""
    found = re.search(
        r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", request.headers.get("authorization", "")
    )
    return None if found is None else found.groups()


def _refused(scope):
    service = "braket" if scope is None else scope[2]
    said = "The security token included in the request is invalid."
    if service == "s3":
        return _xml_error(403, "InvalidAccessKeyId", said)
    if service == "sts":
        error = f"<Error><Code>InvalidClientTokenId</Code><Message>{said}</Message></Error>"
        body = f"<ErrorResponse>{error}</ErrorResponse>".encode()
        return Reply(403, body, (("Content-Type", "text/xml"),))
    return _error(403, "UnrecognizedClientException", said)


def _error(status, code, message):
    return Reply(status, {"message": message}, (("x-amzn-ErrorType", code),))


def _xml_error(status, code, message):
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, body.encode(), (("Content-Type", "application/xml"),))


if __name__ == "__main__":
    import braket.default_simulator  # noqa: F401 - seconds, before anybody waits for a task

    main(BraketService)
