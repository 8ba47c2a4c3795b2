"""A process of one thread that forks a child whenever its worker asks for one.

It talks to its worker over a socket that keeps messages apart. The worker sends a number and the
reading end of a pipe; it gets back that number, the child's process id and a file descriptor that
becomes readable when the child ends. What the child is to do goes through the pipe, past the
zygote: a child whose worker has not heard of it reads the pipe's end, and leaves. When the worker
goes, the zygote stays until its last child has ended.

Only the standard library is imported here: who starts a zygote decides what is loaded before.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: processes whose parents die are given to this one
MESSAGE_BYTES = 4096
LENGTH = struct.Struct("!Q")
READY = {"ready": True}


@dataclass(frozen=True)
class Ended:
    """Attributes:
    status: Exit code, or minus the signal that ended it.
    peak_bytes: The most that it had in memory at once.
    """

    pid: int
    status: int
    peak_bytes: int


class Threaded(RuntimeError):
    """Something has started a thread: a fork would inherit its locks and not the thread."""


class Zygote:
    """Args:
    control: The socket to the worker, of type ``SOCK_SEQPACKET``.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control: socket.socket | None = control
        self._children: set[int] = set()
        self._woken, self._wakes = os.pipe()

    def serve(self) -> bytes | None:
        """Returns in every child with what it is to do, and at the end here, with nothing.

        Raises:
            Threaded: This process has more than one thread.
        """
        check_single_threaded()
        become_subreaper()
        self._attend_signals()
        gc.collect()
        gc.freeze()  # a collection in a child would copy every page that it looks at
        self._tell(READY)
        while self._control is not None or self._children:
            pipe = self._next_request()
            if pipe is not None:
                return assignment_from(pipe)
        return None

    def _attend_signals(self) -> None:
        os.set_blocking(self._wakes, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        # They are meant for the worker, in whose process group this is: it closes the socket.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _next_request(self) -> int | None:
        """Wait for something to do, and do it; the pipe to read where this is the new child."""
        waiting: list[Any] = [self._woken]
        if self._control is not None:
            waiting.append(self._control)
        readable, _, _ = select.select(waiting, [], [])
        if self._woken in readable:
            os.read(self._woken, MESSAGE_BYTES)
            self._reap()
        if self._control is not None and self._control in readable:
            return self._answer(self._control)
        return None

    def _answer(self, control: socket.socket) -> int | None:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 1)
        except OSError:
            message, descriptors = b"", []
        if not message:
            self._hang_up()
            return None
        (pipe,) = descriptors
        pid = os.fork()
        if pid == 0:
            self._leave_the_nest(control)
            return pipe
        os.close(pipe)
        self._children.add(pid)
        self._introduce(control, json.loads(message)["number"], pid)
        return None

    def _introduce(self, control: socket.socket, number: int, pid: int) -> None:
        handle = os.pidfd_open(pid)
        try:
            told = json.dumps({"started": number, "pid": pid}).encode()
            socket.send_fds(control, [told], [handle])
        except OSError:
            self._hang_up()
        finally:
            os.close(handle)

    def _leave_the_nest(self, control: socket.socket) -> None:
        """Keep nothing that belongs to the zygote; lead a session and a process group."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        control.close()
        os.close(self._woken)
        os.close(self._wakes)
        gc.unfreeze()

    def _reap(self) -> None:
        """Collect all that have ended: children, and orphans of theirs."""
        while (pid := ended_process()) is not None:
            ended = collected(pid)
            if pid in self._children:
                self._children.discard(pid)
                self._tell({"ended": pid, "status": ended.status, "peak": ended.peak_bytes})

    def _tell(self, message: Mapping[str, object]) -> None:
        if self._control is None:
            return
        try:
            self._control.send(json.dumps(message).encode())
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


def ended_process() -> int | None:
    """A child of this process that has ended and that nobody has collected."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def collected(pid: int) -> Ended:
    """Collect a child of this process that has ended, and kill what is left of its group.

    That is done while the child's process id, which names the group, cannot mean anybody else.

    Raises:
        ChildProcessError: It is no child of this process.
    """
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    kill_group(pid)
    _, code, usage = os.wait4(pid, 0)
    return Ended(pid, os.waitstatus_to_exitcode(code), usage.ru_maxrss * 1024)


def kill_group(pid: int) -> None:
    """Kill the process group that a process leads; it may lead none, or be gone."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def assignment_from(pipe: int) -> bytes:
    """What the worker has to say to a new child.

    Raises:
        SystemExit: Nothing, or not all: the worker has gone, or does not know this child.
    """
    with os.fdopen(pipe, "rb") as stream:
        head = stream.read(LENGTH.size)
        body = stream.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""
    if len(head) < LENGTH.size or len(body) < LENGTH.unpack(head)[0]:
        raise SystemExit(0)
    return body


def check_single_threaded() -> None:
    """Raises `Threaded` where this process has more than one thread."""
    threads = list(Path("/proc/self/task").iterdir())
    if len(threads) > 1:
        names = [(thread / "comm").read_text().strip() for thread in threads]
        raise Threaded(
            f"{len(threads)} threads run before the first fork: {', '.join(names)}. Something that "
            "is imported starts them: import it in the runs that need it."
        )


def become_subreaper() -> None:
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
