"""What people, owners and administrators do with ``--remote``, against a gateway that listens."""

import json

import pytest
from typer.testing import CliRunner

from qcpaas.cli import app
from qcpaas.devices import DeviceInfo
from qcpaas.scheduling import Role
from store.devices import Devices
from store.people import People

RUN = CliRunner()


@pytest.fixture
def command(gateway, token_of, store, tmp_path, monkeypatch):
    """Run a command in somebody's name; answers what it printed, or what it said when refused."""
    Devices(store).register(DeviceInfo(name="FakeLima", adapter="twins", num_qubits=5))
    people = {"ada": Role.USER, "own": Role.OWNER, "root": Role.ADMINISTRATOR}
    tokens = {name: token_of(name, role) for name, role in people.items()}
    monkeypatch.setenv("QCPAAS_DATA_DIR", str(tmp_path))

    def run(who, *arguments, refused=False):
        monkeypatch.setenv("QCPAAS_TOKEN", tokens.get(who, who))
        done = RUN.invoke(app, [*arguments, "--remote", gateway])
        assert (done.exit_code != 0) == refused, done.output
        return done.stderr if refused else done.stdout

    return run


def test_an_administrator_lets_somebody_in_and_out(command, store):
    command("root", "user", "add", "eve", "--weight", "2")
    token = command("root", "token", "create", "eve", "--label", "ci").strip()
    assert People(store).who(token).weight == 2.0
    (mine,) = json.loads(command(token, "token", "list", "--json"))
    assert (mine["user"], mine["label"]) == ("eve", "ci")
    command("root", "user", "set", "eve", "--running-jobs", "3")
    users = {one["name"]: one for one in json.loads(command("root", "user", "list", "--json"))}
    assert set(users) == {"ada", "eve", "own", "root"}
    assert users["eve"]["limits"]["running_jobs"] == 3
    command("root", "token", "revoke", mine["token_id"])
    assert "qcpaas: " in command(token, "token", "list", refused=True)
    assert token not in command("root", "token", "list", "eve", "--json")


def test_a_user_makes_nobody_a_user_and_reserves_nothing(command):
    assert "qcpaas: " in command("ada", "user", "add", "eve", refused=True)
    assert "qcpaas: " in command("ada", "token", "create", "own", refused=True)
    window = ("reservations", "add", "FakeLima", "--from", "+1h", "--for", "1h")
    assert "qcpaas: " in command("ada", *window, refused=True)


def test_an_owner_keeps_a_device_and_gives_it_back(command):
    window = ("--from", "+1h", "--for", "2h", "--holder", "ada", "--reason", "tuning")
    made = json.loads(command("own", "reservations", "add", "FakeLima", *window, "--json"))
    (seen,) = json.loads(command("ada", "reservations", "--device", "FakeLima", "--json"))
    assert seen == made
    assert (seen["holder"], seen["source"]) == ("ada", "platform")
    command("own", "reservations", "cancel", made["reservation_id"])
    assert json.loads(command("ada", "reservations", "--json")) == []


def test_usage_is_ones_own_and_everybodys_for_an_administrator(command, admit):
    admit("ada")
    admit("own")
    admit("own")
    (mine,) = json.loads(command("ada", "usage", "--json"))
    assert (mine["user"], mine["jobs"], mine["queued_jobs"]) == ("ada", 1, 1)
    everybody = json.loads(command("root", "usage", "--json"))
    assert {one["user"]: one["jobs"] for one in everybody if one["jobs"]} == {"ada": 1, "own": 2}
    assert "qcpaas: " in command("ada", "usage", "--user", "own", refused=True)
