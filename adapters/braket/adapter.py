"""A Braket device on AWS.

Requests go through boto3 alone, which takes a tenth of the Braket SDK's time to import.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from adapters.backend import check_points
from adapters.braket.aws import Aws
from adapters.braket.calibration import read_calibration
from adapters.braket.circuits import Dialect, write_program
from adapters.braket.credentials import BraketCredentials
from adapters.braket.errors import Conflict, Malformed, NotFound
from adapters.braket.properties import DeviceReply, Facts, facts_of
from adapters.braket.replies import ENDED, Accepted, TaskPage, TaskReply, arns_of, together
from adapters.braket.results import Outcome, joined, read_result
from adapters.braket.settings import BraketSettings
from adapters.braket.tasks import (
    PART_TAG,
    SEPARATOR,
    TOKEN_TAG,
    Limits,
    Task,
    client_token,
    divide,
    part_of,
    write_action,
)
from adapters.braket.windows import next_window
from adapters.contract import (
    Availability,
    Capabilities,
    DeviceAdapter,
    DeviceJobState,
    DeviceResult,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.limits import check_limits
from adapters.waiting import await_result
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    DeviceUnavailable,
    ExecutionFailed,
    SubmissionRefused,
    UnknownDevice,
    UnknownDeviceJob,
)
from store.snapshot import Snapshot

TOKEN_LAG_S = 5.0
SEARCHED_PAGES = 100  # of a hundred tasks each
_FOUND_LATE_S = (0.3, 0.7, 1.5)  # a new task can be missing for a moment


class BraketAdapter(DeviceAdapter):
    """One device of Braket.

    Args:
        name: That it has here.
        arn: Of the device. A region in it is where its tasks are made.
    """

    def __init__(
        self, name: str, arn: str, credentials: BraketCredentials, settings: BraketSettings
    ) -> None:
        self.name = name
        self._arn = arn
        self._settings = settings
        self._aws = Aws(name, credentials)
        self._facts: Facts | None = None
        self._folder: tuple[str, str] | None = None

    # --- the device -------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Asks Braket once, and keeps the answer."""
        facts = self._known_facts()
        limits = self._limits(facts)
        service = facts.properties.service
        reserved = self._settings.reservation_arn and service.reservation_shots_range
        return Capabilities(
            num_qubits=facts.num_qubits,
            basis_gates=(*facts.gates, "measure") if facts.qpu else (),
            max_shots=(reserved or service.shots_range)[1],
            max_circuits=limits.executables,
            max_points=limits.executables,
            equal_shots=True,
            simulator=not facts.qpu,
            concurrent_jobs=self._settings.concurrent_tasks,
            keeps_jobs=True,
            token_lag_s=TOKEN_LAG_S,
            control_flow=frozenset(),
            mid_circuit_measurement=False,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        _, facts = self._ask_device()
        if not facts.qpu:
            return Unsupported("calibration", f"{self.name} is a simulator without noise")
        snapshot = read_calibration(facts, self.name, datetime.now(UTC))
        newest = max(snapshot.measured_at_s.tolist(), default=0.0)
        if at is not None and at.timestamp() < newest:
            return Unsupported("calibration", f"Braket keeps no history of {self.name}")
        return snapshot

    def availability(self) -> Availability:
        """Online where Braket takes tasks; they run in its execution windows."""
        try:
            reply, facts = self._ask_device()
        except DeviceUnavailable as error:
            return Availability(online=False, message=str(error))
        online = reply.device_status == "ONLINE"
        sizes = [info.queue_size for info in reply.device_queue_info if "TASKS" in info.queue]
        # Braket says ">4000" of a long queue.
        numbers = [size.lstrip(">") for size in sizes]
        if not all(number.isdecimal() and len(number) < 10 for number in numbers):
            raise Malformed.of(f"the queues of {self.name}", sizes)
        return Availability(
            online=online,
            queue_length=sum(map(int, numbers)) if numbers else None,
            message="" if online else f"{self.name} is {reply.device_status}",
            next_window=next_window(facts.properties.service.execution_windows, datetime.now(UTC)),
        )

    def reservations(self) -> Unsupported:
        known = self._settings.reservation_arn
        reason = "Braket has no request that lists reservations"
        return Unsupported(
            "reservations",
            f"{reason}; tasks run in {known}, whose times its console shows"
            if known
            else f"{reason}; name one in the setting reservation_arn",
        )

    # --- jobs -------------------------------------------------------------------------------

    def submit(self, submission: Submission, token: str) -> JobHandle:
        """Send a submission's tasks, each with a token of its own that Braket knows again.

        One that fails after others were taken leaves an `AcceptanceUnknown`: to send all again
        under the same token takes those up and makes what is missing.
        """
        facts = self._known_facts()
        tasks, actions = self._written(submission, facts)
        bucket, prefix = self._results()
        accepted: list[str] = []
        for part, (task, action) in enumerate(zip(tasks, actions, strict=True), 1):
            given: dict[str, Any] = {
                "clientToken": client_token(token, part),
                "deviceArn": self._arn,
                "shots": task.total_shots,
                "outputS3Bucket": bucket,
                "outputS3KeyPrefix": prefix,
                "action": action,
                "tags": {TOKEN_TAG: token[:256], PART_TAG: f"{part}/{len(tasks)}"},
            }
            if self._settings.reservation_arn:
                kind = "RESERVATION_TIME_WINDOW_ARN"
                given["associations"] = [{"arn": self._settings.reservation_arn, "type": kind}]
            accepted.append(self._create(given, accepted))
        return self._handle(accepted, token)

    def status(self, handle: JobHandle) -> DeviceJobState:
        return together([task.state for task in self._tasks(handle)])

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        def ended() -> list[TaskReply] | None:
            tasks = self._tasks(handle)
            return tasks if all(task.state in ENDED for task in tasks) else None

        tasks = await_result(handle, ended, timeout_s)
        for task in tasks:
            if task.state is not DeviceJobState.COMPLETED:
                said = f": {task.failure_reason}" if task.failure_reason else ""
                raise ExecutionFailed(
                    f"task {task.quantum_task_arn} on {self.name} has {task.state.value}{said}"
                    if task.state is DeviceJobState.FAILED
                    else f"task {task.quantum_task_arn} on {self.name} was {task.state.value}{said}"
                )
        outcomes = [self._outcome(task) for task in tasks]
        counts = joined(program for outcome in outcomes for program in outcome.programs)
        times = [outcome.device_s for outcome in outcomes]
        told = [seconds for seconds in times if seconds is not None]
        return DeviceResult(counts, sum(told), details=self._details(tasks, times))

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        for arn in arns_of(handle):
            try:
                self._aws.ask(
                    "braket", self._aws.region(arn), "cancel_quantum_task", quantumTaskArn=arn
                )
            except Conflict:
                continue  # it has ended
            except (NotFound, SubmissionRefused) as error:
                raise self._unknown(arn) from error
        return None

    def find_by_token(self, token: str) -> JobHandle | Unsupported | None:
        """By the tags of the device's tasks, which the search can't filter by.

        Where tasks are missing, ``None``: sending all again takes up those that are there.
        """
        found: dict[int, tuple[str, int]] = {}
        filters = [{"name": "deviceArn", "operator": "EQUAL", "values": [self._arn]}]
        given: dict[str, Any] = {"filters": filters, "maxResults": 100}
        for _ in range(SEARCHED_PAGES):
            page = self._aws.read(
                TaskPage, "braket", self._aws.region(self._arn), "search_quantum_tasks", **given
            )
            for task in page.quantum_tasks:
                part = part_of(task.tags.get(PART_TAG, ""))
                if task.tags.get(TOKEN_TAG) == token[:256] and part is not None:
                    found[part[0]] = (task.quantum_task_arn, part[1])
            if found and len(found) == next(iter(found.values()))[1]:
                return self._handle([found[part][0] for part in sorted(found)], token)
            if page.next_token is None:
                return None
            given["nextToken"] = page.next_token
        return Unsupported(
            "find_by_token",
            f"the account has more than {SEARCHED_PAGES * 100} tasks on {self.name}, and Braket's "
            "search knows no tags",
        )

    # --- requests ---------------------------------------------------------------------------

    def _ask_device(self) -> tuple[DeviceReply, Facts]:
        region = self._aws.region(self._arn)
        try:
            reply = self._aws.read(DeviceReply, "braket", region, "get_device", deviceArn=self._arn)
        except (NotFound, SubmissionRefused) as error:
            raise UnknownDevice(
                f"Braket in {region} has no device {self._arn}: {error} List what there is."
            ) from error
        facts = facts_of(reply)
        if facts is None:
            raise UnknownDevice(f"{self._arn} runs no circuits. Choose a gate-model device.")
        self._facts = facts
        return reply, facts

    def _known_facts(self) -> Facts:
        return self._facts or self._ask_device()[1]

    def _limits(self, facts: Facts) -> Limits:
        sets = facts.program_set if self._settings.program_sets else None
        if sets is None or sets.maximum_executables is None:
            return Limits()
        return Limits(sets.maximum_executables, sets.maximum_total_shots)

    def _written(self, submission: Submission, facts: Facts) -> tuple[list[Task], list[str]]:
        experiments = submission.experiments
        check_limits(submission, self.name, self.capabilities())
        for experiment in experiments:
            check_points(experiment)
        shots = experiments[0].shots
        assert shots is not None  # the limits were checked
        dialect = Dialect.of(self.name, facts)
        programs = [write_program(e, place, dialect) for place, e in enumerate(experiments)]
        tasks = divide([e.points for e in experiments], shots, self._limits(facts))
        return tasks, [write_action(task, programs) for task in tasks]

    def _create(self, given: dict[str, Any], accepted: Sequence[str]) -> str:
        region = self._aws.region(self._arn)
        try:
            found = self._aws.ask("braket", region, "create_quantum_task", submits=True, **given)
            try:
                return Accepted.model_validate(found).quantum_task_arn
            except ValueError:
                arn = str(found.get("quantumTaskArn"))[:80]
                raise AcceptanceUnknown(
                    f"a task was sent to {self.name}, and what came back names no task: {arn}"
                ) from None
        except AcceptanceUnknown as error:
            tag = given["tags"][TOKEN_TAG]
            raise AcceptanceUnknown(f"{error} Its token is {tag}.") from None
        except AdapterError as error:
            if not accepted:
                raise
            if isinstance(error, SubmissionRefused):
                self.cancel(self._handle(accepted, ""))
                raise
            raise AcceptanceUnknown(
                f"{len(accepted)} tasks of a submission were taken by {self.name}, the next was "
                f"not: {error}"
            ) from error

    def _results(self) -> tuple[str, str]:
        """Bucket and prefix for results."""
        if self._folder is None:
            settings = self._settings
            uri = os.environ.get("AMZN_BRAKET_TASK_RESULTS_S3_URI", "")
            if settings.s3_bucket:
                self._folder = (settings.s3_bucket, settings.s3_prefix)
            elif uri.startswith("s3://") and "/" in uri[5:].strip("/"):
                bucket, _, prefix = uri[5:].strip("/").partition("/")
                self._folder = (bucket, prefix)
            else:
                bucket = self._aws.bucket(self._aws.region(self._arn))
                self._folder = (bucket, settings.s3_prefix)
        return self._folder

    def _tasks(self, handle: JobHandle) -> list[TaskReply]:
        return [self._task(arn) for arn in arns_of(handle)]

    def _task(self, arn: str) -> TaskReply:
        for pause in (*_FOUND_LATE_S, None):
            try:
                return self._aws.read(
                    TaskReply,
                    "braket",
                    self._aws.region(arn),
                    "get_quantum_task",
                    quantumTaskArn=arn,
                )
            except SubmissionRefused as error:  # it is not the ARN of a task
                raise self._unknown(arn) from error
            except NotFound as error:
                if pause is None:
                    raise self._unknown(arn) from error
                time.sleep(pause)
        raise self._unknown(arn)

    def _outcome(self, task: TaskReply) -> Outcome:
        region = self._aws.region(task.quantum_task_arn)
        folder = task.output_s3_directory

        def fetch(path: str, place: tuple[str, str] | None = None) -> Any:
            bucket, within = place or (task.output_s3_bucket, folder)
            return self._aws.stored(bucket, f"{within}/{path}", region)

        what = f"for the result of {task.quantum_task_arn}"
        try:
            outcome = read_result(fetch("results.json"), task.shots, fetch, what)
        except NotFound as error:
            raise ExecutionFailed(
                f"task {task.quantum_task_arn} has completed, and its result is not in "
                f"s3://{task.output_s3_bucket}/{folder}: {error}"
            ) from error
        if outcome.failures:
            raise ExecutionFailed(
                f"{len(outcome.failures)} executables of task {task.quantum_task_arn} failed: "
                f"{outcome.failures[0]}"
            )
        return outcome

    def _details(
        self, tasks: Sequence[TaskReply], times: Sequence[float | None]
    ) -> dict[str, JsonValue]:
        """What AWS bills by, and when things happened."""
        told: list[JsonValue] = [
            {
                "arn": task.quantum_task_arn,
                "shots": task.shots,
                "successful_shots": task.num_successful_shots,
                "created_at": task.created_at.isoformat(),
                "ended_at": None if task.ended_at is None else task.ended_at.isoformat(),
                "device_s": seconds,
                "s3": f"s3://{task.output_s3_bucket}/{task.output_s3_directory}",
            }
            for task, seconds in zip(tasks, times, strict=True)
        ]
        return {
            "device_arn": self._arn,
            "tasks": told,
            "shots": sum(task.shots for task in tasks),
            "device_time_told": None not in times,
        }

    def _handle(self, arns: Sequence[str], token: str) -> JobHandle:
        return JobHandle(device=self.name, device_job_id=SEPARATOR.join(arns), token=token)

    def _unknown(self, arn: str) -> UnknownDeviceJob:
        return UnknownDeviceJob(f"{self.name} has no task {arn}. Look for it in Braket's console.")
