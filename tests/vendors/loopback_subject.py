"""The loopback QPU, as an ideal device and as a noisy one."""

from contextlib import ExitStack, contextmanager

from benchmarks.qpu_controls import Controls
from benchmarks.qpu_process import Qpu
from vendors.subjects import NoSuchFault, Subject

LABELS = ("ideal", "FakeAthens")
FOR_EVER = 4e9  # seconds since 1970


class LoopbackServer(Qpu):
    """A loopback QPU under the names of `vendors.service.Faults`."""

    def set(self, **faults):
        controls = {
            name: faults.pop(name) for name in ("delay_s", "lose_replies") if name in faults
        }
        away = bool(faults.pop("maintenance", False))
        if faults.get("status") in {0, 503}:
            away = away or faults.pop("status") == 503
        if faults:
            raise NoSuchFault(f"a loopback QPU cannot be told {faults}")
        controls["refuse_until"] = FOR_EVER if away else 0.0
        return super().set(**controls)

    def reset(self):
        if not self.alive:
            self.start()
        super().set(**Controls().model_dump())

    def count(self):
        return len(self.log())

    def jobs(self, token=None):
        return [job for job in self.log() if token is None or job.token == token]


@contextmanager
def subjects(folder):
    with ExitStack() as started:
        found = []
        for label in LABELS:
            server = started.enter_context(LoopbackServer(folder / f"{label}.db", label))
            slack = 0.0 if label == "ideal" else 0.12
            found.append(Subject("loopback", slack, server.environment, server=server))
        yield found
