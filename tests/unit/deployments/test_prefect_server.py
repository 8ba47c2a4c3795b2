import pytest

from deployments.prefect_server import prefect_environment


def test_everything_of_prefects_lies_in_the_data_folder(tmp_path):
    variables = prefect_environment(tmp_path)
    folders = ("PREFECT_HOME", "PREFECT_LOCAL_STORAGE_PATH", "PREFECT_PROFILES_PATH")
    assert all(variables[name].startswith(f"{tmp_path}/prefect") for name in folders)
    assert variables["PREFECT_API_DATABASE_CONNECTION_URL"].startswith("sqlite+aiosqlite:///")
    assert "PREFECT_API_URL" not in variables


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("", "127.0.0.1,localhost"),
        ("lab.example", "lab.example,127.0.0.1,localhost"),
        ("localhost,127.0.0.1", "localhost,127.0.0.1"),
    ],
)
def test_the_users_proxy_is_not_asked_for_the_local_server(tmp_path, monkeypatch, named, wanted):
    monkeypatch.setenv("NO_PROXY", named)
    monkeypatch.delenv("no_proxy", raising=False)
    assert prefect_environment(tmp_path)["NO_PROXY"] == wanted
