import json
import stat
import subprocess
import sys

import pytest

from deployments.data_folder import PlatformAddresses, claimed
from qcpaas.errors import PlatformError
from qcpaas.settings import Settings


def test_a_folder_in_use_is_refused_with_its_user(tmp_path):
    script = (
        "import pathlib, sys\nfrom deployments.data_folder import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        told = rf"process {holder.pid}\) uses the data folder {tmp_path}"
        with pytest.raises(PlatformError, match=told), claimed(tmp_path):
            pass
        holder.kill()
    with claimed(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PlatformError, match="cannot be used"), claimed(tmp_path / "file" / "x"):
        pass


def test_commands_on_this_machine_find_the_platform(tmp_path):
    file = Settings(data_dir=tmp_path).platform_file
    addresses = PlatformAddresses("http://h:1/api", "http://h:1", "postgresql://x", 7)
    addresses.write(file)
    assert Settings(data_dir=tmp_path).resolved_api_url == "http://h:1/api"
    assert json.loads(file.read_text())["pid"] == 7
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
