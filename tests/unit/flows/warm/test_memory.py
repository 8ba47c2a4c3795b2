"""Memory limits of runs: in control groups, and of the process itself."""

import os
import resource

from flows.warm.memory import MIB, Groups, data_bytes, find_groups, limit_memory


def group_files(folder, names):
    """A folder in which a new folder has files, as in the kernel's."""
    folder.mkdir(parents=True, exist_ok=True)
    return Groups(folder, *names)


def test_without_control_groups_there_is_nowhere_to_make_one(tmp_path):
    own = tmp_path / "own"
    assert find_groups(tmp_path, own) is None
    own.write_text("0::/somewhere\n")
    assert find_groups(tmp_path, own) is None


def test_a_folder_whose_groups_have_no_limit_is_not_used(tmp_path):
    (tmp_path / "user").mkdir()
    (tmp_path / "own").write_text("0::/user\n")
    assert find_groups(tmp_path, tmp_path / "own") is None
    assert list((tmp_path / "user").iterdir()) == []


def test_a_kill_in_a_group_is_told_and_groups_of_the_gone_are_removed(tmp_path):
    groups = group_files(tmp_path, ("memory.max", "memory.events"))
    for pid, kills in ((os.getpid(), 0), (2**22 + 1, 2)):
        (tmp_path / f"qcpaas-run-{pid}").mkdir()
        (tmp_path / f"qcpaas-run-{pid}" / "memory.events").write_text(f"oom 3\noom_kill {kills}\n")
    assert groups.leave(2**22 + 1)
    assert not groups.leave(os.getpid())
    assert not groups.leave(2**22 + 2)
    for entry in tmp_path.glob("*/memory.events"):
        entry.unlink()
    groups.sweep()
    assert [entry.name for entry in tmp_path.iterdir()] == [f"qcpaas-run-{os.getpid()}"]


def test_beyond_its_own_limit_a_process_gets_no_memory(monkeypatch, fork):
    monkeypatch.setattr("flows.warm.memory.find_groups", lambda: None)

    def limited():
        before = data_bytes()
        assert limit_memory(64)
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] >= before + 64 * MIB
        kept = bytearray(32 * MIB)
        try:
            bytearray(128 * MIB)
        except MemoryError:
            assert kept
            return
        raise AssertionError("it got more than its limit")

    process = fork(limited)
    process.join(30)
    assert process.exitcode == 0
