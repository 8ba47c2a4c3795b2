"""What the admission benchmark judges by: written by the database itself, and never changed.

A trigger logs every change of state in the transaction that makes it. Whoever counts under a lock
has seen what was logged before, so that counting along the log tells what was true at each step.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text

from qcpaas.scheduling import Limits
from store.database import Store

_SCHEMA = """
CREATE TABLE admission_log (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id text, owner text, device text, before text, after text,
    qpu_s double precision, spent double precision, ended_at timestamptz);
CREATE TABLE run_request (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id text, releaser integer);
CREATE TABLE execution (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id text);
CREATE TABLE flow_run (
    run_id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    idempotency_key text UNIQUE, taken boolean NOT NULL DEFAULT false);
CREATE FUNCTION log_admission() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO admission_log (job_id, owner, device, before, after, qpu_s, spent, ended_at)
    VALUES (NEW.job_id, NEW.owner, NEW.device,
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END,
            NEW.state, NEW.qpu_s, NEW.spent_qpu_s, NEW.ended_at);
    RETURN NULL;
END $body$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN RAISE EXCEPTION 'this log is only appended to'; END $body$;
CREATE TRIGGER logged AFTER INSERT OR UPDATE OF state ON admission
    FOR EACH ROW EXECUTE FUNCTION log_admission();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON admission_log
    FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON execution
    FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def install_log(store: Store) -> None:
    with store.write() as connection:
        for statement in _statements():
            connection.exec_driver_sql(statement)


def _statements() -> list[str]:
    """Split where a line ends with a semicolon, outside a function's body."""
    statements, current, inside = [], "", False
    for line in _SCHEMA.strip().splitlines():
        current += line + "\n"
        inside ^= line.count("$body$") % 2 == 1
        if not inside and line.rstrip().endswith(";"):
            statements.append(current)
            current = ""
    return statements


@dataclass(frozen=True)
class Rules:
    """What must hold at every step.

    Attributes:
        users: Limits of each; ``others`` of everybody else.
        devices: The most released jobs of each.
    """

    users: Mapping[str, Limits]
    others: Limits
    devices: Mapping[str, int]

    def of(self, user: str) -> Limits:
        return self.users.get(user, self.others)


@dataclass
class Verdict:
    """Attributes:
    broken: What was broken, one sentence each.
    """

    submitted: int = 0
    released: int = 0
    ended: int = 0
    double_releases: int = 0
    double_executions: int = 0
    released_without_run: int = 0
    broken: list[str] = field(default_factory=list)


def judge(store: Store, rules: Rules) -> Verdict:
    """Count along the log."""
    with store.read() as connection:
        log = connection.execute(text("SELECT * FROM admission_log ORDER BY id")).all()
        executions = Counter(connection.scalars(text("SELECT job_id FROM execution")))
        without_run = connection.scalar(
            text(
                "SELECT count(*) FROM admission a JOIN job j USING (job_id) "
                "WHERE a.state = 'released' AND j.flow_run_id IS NULL"
            )
        )
    verdict = _counted(log, rules)
    verdict.double_executions = sum(count - 1 for count in executions.values())
    verdict.released_without_run = int(without_run or 0)
    return verdict


def _counted(log: Sequence[Row[Any]], rules: Rules) -> Verdict:
    verdict, state = Verdict(), _Counts()
    times = Counter(entry.job_id for entry in log if entry.after == "released")
    verdict.double_releases = sum(count - 1 for count in times.values())
    for entry in log:
        state.apply(entry)
        if entry.after == "waiting":
            verdict.submitted += 1
            state.check_queue(entry, rules, verdict)
        elif entry.after == "released":
            verdict.released += 1
            state.check_release(entry, rules, verdict)
        else:
            verdict.ended += 1
    return verdict


class _Counts:
    """Who has what, as far as the log was read."""

    def __init__(self) -> None:
        self._jobs: Counter[tuple[str, str]] = Counter()  # by user, or device, and state
        self._open_s: dict[str, float] = defaultdict(float)
        self._spent_s: dict[tuple[str, date], float] = defaultdict(float)

    def apply(self, entry: Row[Any]) -> None:
        for name in (f"user {entry.owner}", f"device {entry.device}"):
            if entry.before is not None:
                self._jobs[name, entry.before] -= 1
            self._jobs[name, entry.after] += 1
        if entry.after == "released":
            self._open_s[entry.owner] += entry.qpu_s
        if entry.before == "released":
            self._open_s[entry.owner] -= entry.qpu_s
            self._spent_s[entry.owner, _day(entry.ended_at)] += entry.spent

    def check_queue(self, entry: Row[Any], rules: Rules, verdict: Verdict) -> None:
        most, found = (
            rules.of(entry.owner).queued_jobs,
            self._jobs[f"user {entry.owner}", "waiting"],
        )
        if most is not None and found > most:
            verdict.broken.append(f"{entry.owner} has {found} jobs waiting and may have {most}")

    def check_release(self, entry: Row[Any], rules: Rules, verdict: Verdict) -> None:
        limits = rules.of(entry.owner)
        running = self._jobs[f"user {entry.owner}", "released"]
        if limits.running_jobs is not None and running > limits.running_jobs:
            verdict.broken.append(f"{entry.owner} has {running} jobs released")
        seconds = self._open_s[entry.owner] + self._spent_s[entry.owner, _day(entry.at)]
        if limits.qpu_s_a_day is not None and seconds > limits.qpu_s_a_day + 1e-6:
            verdict.broken.append(f"{entry.owner} has {seconds:.3f} s of device time today")
        on_device = self._jobs[f"device {entry.device}", "released"]
        if on_device > rules.devices[entry.device]:
            verdict.broken.append(f"{entry.device} has {on_device} jobs released")


def _day(moment: datetime) -> date:
    return moment.date()
