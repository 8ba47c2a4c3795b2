"""What to repair, decided from what is known; nothing here acts, waits or looks at a clock.

A run's process is known to be alive or dead where it runs on a machine that we can look into, and
otherwise only through its job's lease, which it renews. Evidence counts at once. Silence counts
only after a lease's time without any disturbance: while the server or the database was away, no
process could renew anything, and none of them is judged for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from qcpaas.schemas import JobState
from qcpaas.wire import Wire
from store.leases import TTL_S

SETTLE_S = 5.0  # what was on its way when a process died, or the server came back, has arrived
TELL_S = 10.0  # between a job's end in the store and its run's in Prefect
START_S = 20.0  # from a worker's claim to the process, on a loaded machine
UNSEEN_START_S = 180.0  # the same, where nobody can look: images are pulled, machines started
HOOK_S = 20.0  # from the end of a cancelled run's process until its worker has tidied up
CANCEL_S = 60.0  # a worker ends a cancelled run's process within 30 s
SURPLUS_S = 60.0  # between taking a slot and writing down who has it lie milliseconds
GIVE_UP_AFTER = 3  # interruptions in a row, without a new call in between
LOST_RUN_S = 3600.0  # a crashed run that the store knows nothing of is taken up only when new


class Process(StrEnum):
    """What is known of the process behind a run."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Run:
    """A flow run of our pool that has not ended well.

    Attributes:
        state: Prefect's type of it, such as ``RUNNING``.
        state_id: Of this entry into the state; a repair is for this one alone.
        age_s: Seconds in this state.
        attempts: How often it has begun to run.
        pid: Of its process, where that lives on this machine.
    """

    run_id: str
    name: str
    state: str
    state_id: str
    age_s: float
    attempts: int
    job_id: str | None = None
    process: Process = Process.UNKNOWN
    pid: int | None = None


@dataclass(frozen=True)
class Job:
    """A run's job in the store.

    Attributes:
        interruptions: In a row, without a new call in between.
    """

    job_id: str
    state: JobState
    interruptions: int = 0


@dataclass(frozen=True)
class Held:
    """A lease that somebody holds, or held until it expired.

    Attributes:
        alive: Whether its holder lives; ``None`` where that cannot be known from here.
    """

    name: str
    fence: int
    job_id: str
    expired: bool
    alive: bool | None


@dataclass(frozen=True)
class Slot:
    """A slot of one of Prefect's limits, taken by a run that is running.

    Attributes:
        run: As it is after the slot was seen; ``None`` where there is no such run any more.
        superseded: Whether the run has taken another slot of this limit later.
    """

    lease_id: str
    limit: str
    run: Run | None
    superseded: bool = False


@dataclass(frozen=True)
class Surplus:
    """A limit that counts more slots as taken than anybody has.

    Attributes:
        taken: By living leases.
        age_s: For how long it has been so.
    """

    limit: str
    counted: int
    taken: int
    age_s: float


@dataclass(frozen=True)
class Facts:
    """Attributes:
    jobs: By job id; those of ``runs`` that the store knows.
    undisturbed_s: Since when server, database and this process have been there without a gap.
    """

    runs: tuple[Run, ...] = ()
    jobs: Mapping[str, Job] = field(default_factory=dict)
    leases: tuple[Held, ...] = ()
    slots: tuple[Slot, ...] = ()
    surpluses: tuple[Surplus, ...] = ()
    undisturbed_s: float = 0.0


class Kind(StrEnum):
    CRASH = "crash"  # say that a run's process has gone
    RESCHEDULE = "reschedule"  # let a worker take a run up again
    RESTART = "restart"  # the same for one that never began, whatever its job was before
    GIVE_UP = "give up"  # end a job that does not get anywhere
    CANCEL = "cancel"  # finish a cancellation that nobody is left to finish
    KILL = "kill"  # end a process that was to end long ago
    ALIGN = "align"  # let a run say what its job says
    FREE_LEASE = "free lease"
    FREE_SLOT = "free slot"
    RECOUNT = "recount"  # correct a limit's count of taken slots


class Repair(Wire):
    """One thing to put right.

    Attributes:
        what: The run, the lease or the limit, for people.
        target: Its id: of the run, the slot's lease, the limit, or the name of the lease.
        state_id: The run's state that this is for; in any other it is not done.
        number: The process to kill, the lease's fence, or the slots that are taken.
    """

    kind: Kind
    what: str
    why: str
    target: str
    job_id: str | None = None
    state_id: str | None = None
    number: int | None = None


def decide(facts: Facts) -> list[Repair]:
    """What to repair now, what others wait for first."""
    if facts.undisturbed_s < SETTLE_S:
        return []
    return [*_leases(facts), *_slots(facts), *_runs(facts)]


def _leases(facts: Facts) -> Iterator[Repair]:
    for lease in facts.leases:
        if lease.alive is False and not lease.expired:
            yield Repair(
                kind=Kind.FREE_LEASE,
                what=lease.name,
                why="its holder's process has gone",
                target=lease.name,
                job_id=lease.job_id or None,
                number=lease.fence,
            )


def _slots(facts: Facts) -> Iterator[Repair]:
    for slot in facts.slots:
        why = _unused(slot)
        if why is not None:
            yield Repair(kind=Kind.FREE_SLOT, what=slot.limit, why=why, target=slot.lease_id)
    for surplus in facts.surpluses:
        if surplus.age_s >= SURPLUS_S:
            yield Repair(
                kind=Kind.RECOUNT,
                what=surplus.limit,
                why=f"{surplus.counted} slots are counted as taken, {surplus.taken} are",
                target=surplus.limit,
                number=surplus.taken,
            )


def _unused(slot: Slot) -> str | None:
    """Why nobody uses a slot; ``None`` where somebody may."""
    run = slot.run
    if run is None:
        return "the run that took it is not there any more"
    if run.state not in {"RUNNING", "CANCELLING"}:
        return f"the run that took it is {run.state.lower()}"
    if run.process is Process.DEAD:
        return "the run that took it has no process any more"
    return "an earlier process of its run took it" if slot.superseded else None


@dataclass(frozen=True)
class _Case:
    """A run with what belongs to it."""

    run: Run
    job: Job | None
    lease: Held | None
    undisturbed_s: float

    @property
    def at_rest(self) -> bool:
        """Whether the job neither runs nor is about to."""
        return self.job is not None and (self.job.state.finished or self.job.state is JobState.HELD)

    @property
    def gone(self) -> str | None:
        """Why the run's process is taken to be gone; ``None`` where it is not."""
        run = self.run
        if _may_live(self.lease):
            return None
        if run.process is Process.DEAD:
            wait_s = START_S if run.state == "PENDING" else SETTLE_S
            return "its process has gone" if run.age_s >= wait_s else None
        if run.process is Process.ALIVE or self.undisturbed_s < TTL_S:
            return None
        if self.lease is not None and run.state != "PENDING":
            return "its process has not been heard of since its lease ran out"
        if run.age_s >= UNSEEN_START_S:
            return f"nothing has been heard of it for {run.age_s:.0f} s"
        return None

    def repair(self, kind: Kind, why: str, number: int | None = None) -> Repair:
        return Repair(
            kind=kind,
            what=self.run.name,
            why=why,
            target=self.run.run_id,
            job_id=self.run.job_id,
            state_id=self.run.state_id,
            number=number,
        )


def _runs(facts: Facts) -> Iterator[Repair]:
    leases = {lease.name: lease for lease in facts.leases}
    for run in facts.runs:
        job = None if run.job_id is None else facts.jobs.get(run.job_id)
        case = _Case(run, job, leases.get(f"job/{run.job_id}"), facts.undisturbed_s)
        rule = _RULES.get(run.state)
        repair = None if rule is None else rule(case)
        if repair is not None:
            yield repair


def _running(case: _Case) -> Repair | None:
    if case.gone is None:
        return None
    if case.at_rest:
        assert case.job is not None
        return case.repair(Kind.ALIGN, f"{case.gone}, and its job is {case.job.state}")
    return case.repair(Kind.CRASH, case.gone)


def _pending(case: _Case) -> Repair | None:
    if case.gone is None:
        return None
    return case.repair(Kind.RESTART, case.gone)


def _cancelling(case: _Case) -> Repair | None:
    run = case.run
    if case.gone is not None:
        return case.repair(Kind.CANCEL, case.gone) if run.age_s >= HOOK_S else None
    if run.pid is not None and run.age_s >= CANCEL_S:
        return case.repair(Kind.KILL, f"it was to end {run.age_s:.0f} s ago", run.pid)
    return None


def _crashed(case: _Case) -> Repair | None:
    """Also of a run that failed and could not tell the store: its job is not over."""
    run, job = case.run, case.job
    if _still_owned(case):
        return None
    if job is None:
        lost = run.state == "CRASHED" and run.age_s < LOST_RUN_S and run.attempts < GIVE_UP_AFTER
        return case.repair(Kind.RESCHEDULE, "it crashed before it had begun") if lost else None
    if case.at_rest or (run.state == "FAILED" and run.age_s < TELL_S):
        return None
    if job.state is JobState.QUEUED and run.attempts >= GIVE_UP_AFTER:
        return case.repair(Kind.GIVE_UP, f"{run.attempts} processes died before it had begun")
    if job.interruptions >= GIVE_UP_AFTER:
        why = f"interrupted {job.interruptions} times in a row without getting any further"
        return case.repair(Kind.GIVE_UP, why)
    return case.repair(Kind.RESCHEDULE, f"it {run.state.lower()}, and its job is {job.state}")


def _cancelled(case: _Case) -> Repair | None:
    if case.job is None or case.job.state.finished or _still_owned(case):
        return None
    if case.run.age_s < TELL_S:
        return None
    return case.repair(Kind.CANCEL, f"its job is still {case.job.state}")


def _completed(case: _Case) -> Repair | None:
    if case.job is None or case.at_rest or _still_owned(case) or case.run.age_s < TELL_S:
        return None
    return case.repair(Kind.GIVE_UP, "somebody called it completed, and it has no result")


_RULES: dict[str, Callable[[_Case], Repair | None]] = {
    "RUNNING": _running,
    "PENDING": _pending,
    "CANCELLING": _cancelling,
    "CRASHED": _crashed,
    "FAILED": _crashed,
    "CANCELLED": _cancelled,
    "COMPLETED": _completed,
}


def _still_owned(case: _Case) -> bool:
    """Whether a process may still work on the job, whatever Prefect says of the run."""
    return case.run.process is Process.ALIVE or _may_live(case.lease)


def _may_live(lease: Held | None) -> bool:
    if lease is None or lease.alive is False:
        return False
    return lease.alive is True or not lease.expired
