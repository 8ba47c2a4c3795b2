import json

import pytest
from typer.testing import CliRunner

from qcpaas.cli import app
from store.database import open_store
from store.people import People

RUN = CliRunner()


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setenv("QCPAAS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("QCPAAS_STORE_URL", raising=False)
    return f"sqlite:///{tmp_path / 'qcpaas.db'}"


def run(*arguments: str) -> str:
    done = RUN.invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_user_and_their_token_from_making_to_revoking(url):
    assert "ada is owner now" in run("user", "add", "ada", "--role", "owner", "--weight", "2")
    token = run("token", "create", "ada", "--label", "ci", "--expires", "90d").strip()
    with open_store(url) as store:
        assert People(store).who(token).weight == 2.0
    listed = run("token", "list", "--json")
    assert token not in listed
    (info,) = json.loads(listed)
    run("user", "set", "ada", "--running-jobs", "3", "--disable")
    (user,) = json.loads(run("user", "list", "--json"))
    assert (user["limits"]["running_jobs"], user["disabled"], user["weight"]) == (3, True, 2.0)
    run("token", "revoke", info["token_id"])
    with open_store(url) as store:
        assert People(store).who(token) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "create", "nobody"],
        ["token", "revoke", "000000000000"],
        ["user", "set", "nobody", "--weight", "2"],
        ["user", "add", "a b"],
        ["user", "add", "eve", "--weight", "-1"],
    ],
)
def test_what_cannot_be_is_refused(url, arguments):
    done = RUN.invoke(app, arguments)
    assert done.exit_code == 2
    assert "qcpaas: " in done.stderr
