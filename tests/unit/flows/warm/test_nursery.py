"""Forking, and hearing of ends, with zygotes that have imported next to nothing."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from flows.run_processes import run_processes
from flows.warm.nursery import NoZygote, Nursery

TINY = """
import os, socket, sys, time
from flows.warm.zygote import Zygote
BEFORE
payload = Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()
if payload is not None:
    exec(payload)
"""


def command(before=""):
    return [sys.executable, "-c", TINY.replace("BEFORE", before)]


def within(scenario, before="", count=1):
    """Run a scenario in a nursery; what it returns, and what the nursery told."""
    told = []

    async def run():
        async with Nursery(count, told.append, os.environ, command(before)) as nursery:
            return await asyncio.wait_for(scenario(nursery), 30)

    return asyncio.run(run()), told


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what it looks at sets no event
        await asyncio.sleep(0.01)


async def started(nursery, code):
    child = await nursery.fork(20)
    await child.assign(code.encode())
    return child


def test_a_child_does_what_it_is_assigned_and_its_status_is_told():
    async def scenario(nursery):
        children = [await started(nursery, f"sys.exit({code})") for code in (0, 3)]
        for child in children:
            await child.ended.wait()
        return [child.returncode for child in children]

    assert within(scenario)[0] == [0, 3]


def test_children_share_neither_memory_nor_session_nor_what_is_drawn_at_random(tmp_path):
    code = f"""
from flows.warm.child import reseed
import random
reseed()
STATE.append(os.getpid())
open({str(tmp_path)!r} + f"/{{os.getpid()}}", "w").write(
    f"{{len(STATE)}} {{os.getsid(0) == os.getpid()}} {{random.random()}}")
"""

    async def scenario(nursery):
        for child in [await started(nursery, code) for _ in range(3)]:
            await child.ended.wait()

    within(scenario, before="STATE = []; import random")
    lines = [file.read_text().split() for file in tmp_path.iterdir()]
    assert [line[:2] for line in lines] == [["1", "True"]] * 3
    assert len({line[2] for line in lines}) == 3


def test_a_killed_child_is_known_and_harms_no_other():
    async def scenario(nursery):
        victim, other = [await started(nursery, "time.sleep(0.5)") for _ in range(2)]
        os.kill(victim.pid, signal.SIGKILL)
        await victim.ended.wait()
        early = other.ended.is_set()
        await other.ended.wait()
        return victim.returncode, early, other.returncode

    assert within(scenario)[0] == (-signal.SIGKILL, False, 0)


def test_what_a_child_leaves_behind_in_its_group_goes_with_it():
    code = "import subprocess; print(subprocess.Popen(['sleep', '100']).pid, file=open(PATH, 'w'))"

    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"left-{uuid.uuid4()}"

    async def scenario(nursery):
        child = await started(nursery, code)
        await child.ended.wait()
        left = Path("/proc") / path.read_text().strip()
        await until(lambda: not left.exists())  # a killed process takes a moment to go

    try:
        within(scenario, before=f"PATH = {str(path)!r}")
    finally:
        path.unlink(missing_ok=True)


def test_children_outlive_their_zygote_are_still_known_and_another_zygote_comes():
    async def scenario(nursery):
        child = await started(nursery, "time.sleep(1); sys.exit(7)")
        gone = nursery.pids[0]
        os.kill(gone, signal.SIGKILL)
        later = await started(nursery, "sys.exit(5)")
        await later.ended.wait()
        early = child.ended.is_set()
        await child.ended.wait()
        return early, child.returncode, later.returncode, nursery.pids != [gone]

    found, told = within(scenario)
    assert found == (False, 7, 5, True)
    assert "has gone (exit code -9)" in told[0]


def test_of_two_zygotes_the_other_forks_on_at_once():
    async def scenario(nursery):
        await until(lambda: all(zygote.ready for zygote in nursery._zygotes))
        first, second = nursery.pids
        gone = nursery._zygotes[0]
        os.kill(first, signal.SIGKILL)
        await until(lambda: not gone.lives)
        child = await started(nursery, "sys.exit(os.getppid() % 256)")
        await child.ended.wait()
        return child.returncode == second % 256

    assert within(scenario, count=2)[0]


def test_a_child_that_gets_no_assignment_leaves():
    async def scenario(nursery):
        child = await nursery.fork(20)
        child.dismiss()
        await child.ended.wait()
        return child.returncode

    assert within(scenario)[0] == 0


def test_a_zygote_with_a_thread_refuses_to_fork():
    threads = (
        "import threading; threading.Thread(target=time.sleep, args=(30,), daemon=True).start()"
    )

    async def scenario(nursery):
        await until(lambda: nursery._failures > 0)
        with pytest.raises(NoZygote, match="no zygote was ready"):
            await nursery.fork(0)
        return nursery.ready

    assert within(scenario, before=threads)[0] is False


def test_a_large_assignment_arrives_whole():
    code = "sys.exit(len(payload) % 251)" + " " * 3_000_000

    async def scenario(nursery):
        child = await started(nursery, code)
        await child.ended.wait()
        return child.returncode

    assert within(scenario)[0] == len(code) % 251


def test_a_child_is_found_by_its_run_and_its_zygote_is_not():
    run_id = str(uuid.uuid4())

    async def scenario(nursery):
        child = await started(nursery, f"MARK.write({run_id!r}); time.sleep(0.5)")
        await until(lambda: run_id in run_processes() or child.ended.is_set())
        return run_processes().get(run_id) == [child.pid]

    before = "from flows.warm.child import EnvironmentMark; MARK = EnvironmentMark()"
    assert within(scenario, before=before)[0]


def test_the_children_of_a_killed_worker_finish_and_its_zygote_goes(tmp_path):
    worker = f"""
import asyncio, os, sys
from flows.warm.nursery import Nursery
async def main():
    async with Nursery(1, print, os.environ, {command()!r}) as nursery:
        child = await nursery.fork(20)
        await child.assign(b"time.sleep(0.5); open({str(tmp_path / "done")!r}, 'w').close()")
        print(child.pid, *nursery.pids, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in process.stdout.readline().split()]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(living(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "done").exists()
    assert not any(living(pid) for pid in pids)


def living(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
