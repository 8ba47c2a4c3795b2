import json
import os
import stat
import subprocess
import sys
import threading

import pytest

from deployments.data_folder import PlatformAddresses, claimed
from deployments.guardian import MARK_VARIABLE, marked_processes
from qcpaas.errors import PlatformError
from qcpaas.settings import Settings


def test_a_folder_in_use_is_refused_with_its_user(tmp_path):
    script = (
        "import pathlib, sys\nfrom deployments.data_folder import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1]), 'm'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        told = rf"process {holder.pid}\) uses the data folder {tmp_path}"
        with pytest.raises(PlatformError, match=told), claimed(tmp_path, "mark"):
            pass
        holder.kill()
    with claimed(tmp_path, "mark"):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(PlatformError, match="cannot be used"),
        claimed(tmp_path / "file" / "x", "mark"),
    ):
        pass


def test_commands_on_this_machine_find_the_platform(tmp_path):
    file = Settings(data_dir=tmp_path).platform_file
    addresses = PlatformAddresses("http://h:2", "http://h:1", "http://h:1/api", "postgresql://x", 7)
    addresses.write(file)
    assert Settings(data_dir=tmp_path).resolved_api_url == "http://h:2"
    assert json.loads(file.read_text())["pid"] == 7
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_remains_of_a_killed_platform_are_waited_for(tmp_path):
    script = (
        "import pathlib, sys\nfrom deployments.data_folder import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1]), 'remains'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    marked = {**os.environ, MARK_VARIABLE: "remains"}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"], env=marked) as left:
        threading.Thread(target=left.wait).start()  # as its new parent does, once it has none
        with claimed(tmp_path, "next"):
            assert marked_processes("remains") == []
    assert (tmp_path / "platform.lock").read_text().split()[1] == "next"
