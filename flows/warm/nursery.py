"""The worker's side of its zygotes: keeps them there, asks for children, hears of their ends.

A child's end is known from a descriptor of its own, whatever becomes of the zygote. Where the
zygote has gone, its children are this process's, which then learns their exit codes itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from flows.run_processes import VARIABLE
from flows.warm.child import NO_RUN
from flows.warm.zygote import (
    LENGTH,
    MESSAGE_BYTES,
    Ended,
    become_subreaper,
    collected,
    ended_process,
    kill_group,
)

COMMAND = (sys.executable, "-m", "flows.warm")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # or a fork's BLAS hangs
PROJECT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN_S = 60.0  # imports take 3 s, and 15 s on a loaded machine
FORKED_WITHIN_S = 5.0  # once one was ready: a second look follows
TOLD_WITHIN_S = 2.0  # from a child's end to its zygote's word on it
PAUSES_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)  # before the next zygote, where none held
UNKNOWN = -9  # the status of a child that nobody could ask any more


class NoZygote(RuntimeError):
    """None was ready in time, or it went before it had a child."""


class Child:
    """A forked process.

    Attributes:
        ended: Set once it has gone and its status is known.
        excused: Its end is as somebody here wanted it: it counts as a good one.
    """

    def __init__(self, pid: int, handle: int, pipe: int) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        self.excused = False
        self.status: int | None = None
        self.peak_bytes = 0
        self._pipe = pipe
        self._handle = handle
        loop = asyncio.get_running_loop()
        loop.add_reader(handle, self._gone)
        self._ending: asyncio.Task[None] | None = None

    @property
    def returncode(self) -> int | None:
        """As `subprocess` has it; `ProcessHandle` asks for it."""
        return 0 if self.excused and self.status is not None else self.status

    async def assign(self, payload: bytes) -> None:
        """Tell it what to do: until then it does nothing."""
        pipe, self._pipe = self._pipe, -1
        await asyncio.to_thread(_write_all, pipe, LENGTH.pack(len(payload)) + payload)

    def dismiss(self) -> None:
        """Let a child go that was assigned nothing."""
        if self._pipe >= 0:
            pipe, self._pipe = self._pipe, -1
            os.close(pipe)

    def signal(self, number: int) -> None:
        """Of the child alone; nothing where it has gone, whoever has its process id now."""
        if self._handle >= 0:
            with suppress(ProcessLookupError):
                # By its descriptor: a process id may mean another process by now.
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """With all that it has started and that has not left its group."""
        if self._handle >= 0 and self.status is None:
            kill_group(self.pid)
            self.signal(signal.SIGKILL)

    def hear(self, ended: Ended) -> None:
        """What its parent has learnt."""
        self.status, self.peak_bytes = ended.status, ended.peak_bytes

    def _gone(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._handle)
        self._ending = loop.create_task(self._learn_status())

    async def _learn_status(self) -> None:
        deadline = time.monotonic() + TOLD_WITHIN_S
        while self.status is None and time.monotonic() < deadline:
            with suppress(ChildProcessError):
                self.hear(collected(self.pid))
                break
            await asyncio.sleep(0.005)
        if self.status is None:
            self.status = UNKNOWN
        os.close(self._handle)
        self._handle = -1
        self.dismiss()
        self.ended.set()


class Zygote:
    """One process that forks.

    Args:
        children: Where it enters those that it has, by process id.
        ready: Called once when it can fork.
        gone: Called once when it has ended.

    Attributes:
        ready: Whether everything is imported.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        children: dict[int, Child],
        ready: Callable[[], None],
        gone: Callable[[Zygote], None],
    ) -> None:
        self.ready, self.lives = False, True
        self._tell_ready, self._tell_gone = ready, gone
        self._children = children
        self._asked = 0
        self._waiting: dict[int, tuple[asyncio.Future[Child], int]] = {}
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self.process = subprocess.Popen(
                [*command, str(its.fileno())],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=PROJECT,
                env={**env, VARIABLE: NO_RUN, **ONE_THREAD},
            )
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._read)

    async def fork(self) -> Child:
        """A child that waits for its assignment.

        Raises:
            NoZygote: The zygote went.
        """
        if not self.lives:
            raise NoZygote("the zygote has gone")
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        reads, writes = os.pipe()
        try:
            socket.send_fds(self._control, [json.dumps({"number": number}).encode()], [reads])
        except OSError as error:
            os.close(writes)
            raise NoZygote("the zygote has gone") from error
        finally:
            os.close(reads)
        self._waiting[number] = (answer, writes)
        return await answer

    def close(self) -> None:
        """It stays until its children have ended, and forks no more."""
        if self.lives:
            self.lives = False
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()

    def _read(self) -> None:
        try:
            message, handles, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            message, handles = b"", []
        if message:
            self._take(json.loads(message), handles)
        else:
            self._lost()

    def _take(self, message: dict[str, Any], handles: list[int]) -> None:
        if "ready" in message:
            self.ready = True
            self._tell_ready()
        elif "started" in message:
            answer, pipe = self._waiting.pop(message["started"])
            child = Child(message["pid"], handles[0], pipe)
            self._children[child.pid] = child
            if answer.cancelled():
                child.kill()
            else:
                answer.set_result(child)
        else:
            ended = Ended(message["ended"], message["status"], message["peak"])
            if ended.pid in self._children:
                self._children[ended.pid].hear(ended)

    def _lost(self) -> None:
        self.close()
        for answer, pipe in self._waiting.values():
            os.close(pipe)  # a child that was forked and not introduced reads the end, and leaves
            if not answer.done():
                answer.set_exception(NoZygote("the zygote went before it had a child"))
        self._waiting.clear()
        self._tell_gone(self)


class Nursery:
    """Keeps zygotes ready. An asynchronous context manager.

    Args:
        count: Of zygotes. One forks in milliseconds; a second one forks on while the first, if it
            went, is being replaced.
        tell: Called with a sentence when a zygote has gone.
        env: Of zygotes: what runs have in common.
    """

    def __init__(
        self,
        count: int,
        tell: Callable[[str], None],
        env: Mapping[str, str],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._count, self._tell, self._command, self._env = count, tell, command, env
        self._zygotes: list[Zygote] = []
        self._children: dict[int, Child] = {}
        self._changed = asyncio.Event()
        self._failures = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._waiting_since = time.monotonic()

    async def __aenter__(self) -> Nursery:
        become_subreaper()
        for _ in range(self._count):
            self._start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for zygote in self._zygotes:
            zygote.close()
        for zygote in self._zygotes:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(zygote.process.wait, TOLD_WITHIN_S)

    @property
    def ready(self) -> bool:
        """Whether `fork` would not wait, or has nothing to wait for: none has come for long."""
        hopeless = time.monotonic() - self._waiting_since > READY_WITHIN_S
        return hopeless or any(one.lives and one.ready for one in self._zygotes)

    @property
    def pids(self) -> list[int]:
        """Of the zygotes."""
        return [zygote.process.pid for zygote in self._zygotes]

    async def fork(self, patience_s: float = FORKED_WITHIN_S) -> Child:
        """A child that waits for its assignment.

        Raises:
            NoZygote: No zygote was there for so long.
        """
        deadline = time.monotonic() + patience_s
        while True:
            zygote = await self._ready(deadline - time.monotonic())
            with suppress(NoZygote):
                return await zygote.fork()

    def collect_orphans(self) -> None:
        """Take the exit codes of processes that a gone zygote has left to this one."""
        for pid in [pid for pid, child in self._children.items() if child.ended.is_set()]:
            del self._children[pid]
        while (found := ended_process()) is not None:
            if found in self._children or found in self.pids:
                return  # whoever waits for it takes it
            collected(found)

    async def _ready(self, patience_s: float) -> Zygote:
        try:
            async with asyncio.timeout(max(0.0, patience_s)):
                while True:
                    self._changed.clear()
                    for zygote in self._zygotes:
                        if zygote.lives and zygote.ready:
                            return zygote
                    await self._changed.wait()
        except TimeoutError:
            raise NoZygote(f"no zygote was ready within {patience_s:g} s") from None

    def _start(self) -> None:
        self._zygotes.append(
            Zygote(self._command, self._env, self._children, self._changed.set, self._replace)
        )

    def _replace(self, gone: Zygote) -> None:
        if not self._closing:
            self._waiting_since = time.monotonic()
            task = asyncio.create_task(self._start_again(gone))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _start_again(self, gone: Zygote) -> None:
        self._failures = 0 if gone.ready else self._failures + 1
        code = await asyncio.to_thread(gone.process.wait)
        self._zygotes.remove(gone)
        self._tell(f"zygote {gone.process.pid} has gone (exit code {code}); another one comes")
        await asyncio.sleep(PAUSES_S[min(self._failures, len(PAUSES_S) - 1)])
        self._start()


def _write_all(pipe: int, payload: bytes) -> None:
    """Into a pipe that is closed then; nothing where its reader has gone."""
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as stream:
        stream.write(payload)
