"""The loop that hands waiting jobs to Prefect, a few per device; one in every gateway.

Any number of them may run side by side: whatever matters is decided in the store
(`store.releases`), and each step that one leaves undone another finishes.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

from gateway.admission.foretelling import Foretelling
from gateway.admission.handover import Handover
from gateway.admission.sharing import SharedHandover
from gateway.admission.situation import situation
from gateway.platform import Platform
from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.release import next_jobs
from gateway.scheduling.situation import Situation
from qcpaas.errors import QCPaaSError
from store.releases import AT_ONCE, Ended, Releases
from store.reservations import Reservations

LOOK_EVERY_S = 1.0
TIDY_EVERY_S = 15.0
LOOKED_AT = 20  # jobs that may go along with the one whose turn it is

log = logging.getLogger(__name__)


class Releaser:
    """Looks at the backlog every second and whenever it is woken, in a thread of its own."""

    def __init__(self, platform: Platform, policy: SchedulingPolicy) -> None:
        self._platform = platform
        self._policy = policy
        self._releases = Releases(platform.store)
        self._reservations = Reservations(platform.store)
        self._handover = Handover(platform.store, platform.engine)
        self._sharing = SharedHandover(platform.store, platform.engine)
        self._foretelling = Foretelling(platform.store, policy, platform.outlook)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="releaser", daemon=True)
        self._tidied_at = float("-inf")
        self._away = False
        self._stuck: set[str] = set()

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have it look now; costs nothing where it looks already."""
        self._platform.news.set()

    def close(self) -> None:
        """End it after the look that it is at."""
        self._ended.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> int:
        """Do what is to be done now; how many jobs were released.

        Raises:
            QCPaaSError: The store is away.
        """
        ended = self._end_finished()
        self._handover.finish_lost()
        self._sharing.tidy()
        self._tidy()
        seen = self._seen()
        released = sum(self._release_safely(seen, device) for device in seen.devices)
        self._foretelling.ended(one.job_id for one in ended)
        self._foretelling.started(
            one.job.job_id
            for view in seen.devices.values()
            for one in view.running
            if one.began_at is not None
        )
        if self._foretelling.is_due:
            self._foretelling.look(self._seen() if released else seen)
        return released

    def _release_safely(self, seen: Situation, device: str) -> int:
        """One device's backlog that cannot be ranked keeps no other's waiting."""
        try:
            released = self._release(seen, device)
        except QCPaaSError:
            raise
        except Exception:
            if device not in self._stuck:  # once, not every second
                log.exception("the backlog of %s waits: this look failed", device)
            self._stuck.add(device)
            return 0
        if device in self._stuck:
            self._stuck.discard(device)
            log.warning("the backlog of %s moves again", device)
        return released

    def _release(self, seen: Situation, device: str) -> int:
        view = seen.devices[device]
        most = view.slots + self._platform.settings.released_per_device
        free = most - self._sharing.places(view.running)
        if free < 1 or not any(job.device == device for job in seen.waiting):
            return 0
        # Those behind may go along with one that shares its device, and take no place of their own.
        sharing = any(job.shared and job.device == device for job in seen.waiting)
        ranked = next_jobs(self._policy, seen, device, max(free, LOOKED_AT) if sharing else free)
        released: set[str] = set()
        turns = 0
        for place, one in enumerate(ranked):
            if turns == free:
                break
            if one.job.job_id in released:
                continue
            left = [other for other in ranked[place:] if other.job.job_id not in released]
            together = self._sharing.release(seen, left, most) if one.job.shared else []
            if together:
                released.update(together)
            elif self._handover.release(one.job.job_id, seen.user(one.job.user).limits, most):
                released.add(one.job.job_id)
            turns += 1
        return len(released)

    def _end_finished(self) -> list[Ended]:
        half_life_s = self._policy.usage_half_life_s()
        ended: list[Ended] = []
        while True:
            some = self._releases.end_finished(half_life_s)
            ended += some
            if len(some) < AT_ONCE:
                return ended

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_at > TIDY_EVERY_S:
            self._tidied_at = time.monotonic()
            self._reservations.leave_ended()
            self._handover.look_for_silent()
            self._sharing.look_for_silent()

    def _seen(self) -> Situation:
        limits = self._platform.settings.limits
        half_life_s = self._policy.usage_half_life_s()
        return situation(self._platform.store, datetime.now(UTC), limits, half_life_s)

    def _run(self) -> None:
        news = self._platform.news
        while not self._ended.is_set():
            news.clear()
            began = time.monotonic()
            self._look_safely()
            # At 10,000 jobs a look takes a second: at most half of the time, whatever comes in.
            self._ended.wait(time.monotonic() - began)
            news.wait(LOOK_EVERY_S)

    def _look_safely(self) -> None:
        """Whatever goes wrong is waited out: the backlog is in the store, and safe."""
        try:
            self.look()
        except QCPaaSError as error:
            if not self._away:
                log.warning("the backlog waits: %s", error)
            self._away = True
        except Exception:
            if not self._away:  # a defect of a policy, say: once, not every second
                log.exception("the backlog waits: this look failed")
            self._away = True
        else:
            if self._away:
                log.warning("the backlog moves again")
            self._away = False
