import json

import pytest

from adapters.ibm.credentials import IbmCredentials
from adapters.ibm.settings import IbmSettings
from adapters.ibm.vendor import IbmVendor
from adapters.vendor import read_settings
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import CredentialsRefused, InputError

SECRET = "a-secret-key-of-44-characters"


def save(home, accounts):
    text = accounts if isinstance(accounts, str) else json.dumps(accounts)
    (home / ".qiskit" / "qiskit-ibm.json").write_text(text)


def account(token=SECRET, **more):
    return {"channel": "ibm_quantum_platform", "token": token, **more}


def test_the_environment_is_read_before_the_file(home, monkeypatch):
    save(home, {"default-ibm-quantum-platform": account("another")})
    monkeypatch.setenv("QISKIT_IBM_TOKEN", SECRET)
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "crn:v1:x")
    found = IbmCredentials.from_environment()
    assert found.token.get_secret_value() == SECRET
    assert found.instance == "crn:v1:x"
    assert SECRET not in repr(found)


def test_without_a_default_the_usual_name_counts(home):
    save(home, {"x": account("x"), "default-ibm-quantum-platform": account()})
    assert IbmCredentials.from_environment().token.get_secret_value() == SECRET


def test_without_any_account_there_is_no_token(home):
    assert IbmCredentials.from_environment().token is None


@pytest.mark.parametrize(
    "content",
    [
        f'{{"default": {{"token": "{SECRET}"',
        json.dumps([SECRET]),
        json.dumps({"a": SECRET}),
        json.dumps({"a": account({SECRET: 1})}),
        json.dumps({"a": account(proxies={"urls": {"https": f"http://me:{SECRET}@proxy"}})}),
        json.dumps({"a": account(verify=False)}),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_telling_its_secret(home, content):
    save(home, content)
    with pytest.raises(CredentialsRefused, match=r"qiskit-ibm\.json") as refused:
        IbmCredentials.from_environment()
    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_an_unknown_channel_is_refused(home, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_CHANNEL", "ibm_quantum")
    with pytest.raises(CredentialsRefused, match="QISKIT_IBM_CHANNEL"):
        IbmCredentials.from_environment()


def test_settings_are_checked():
    registration = DeviceRegistration(
        name="x", adapter="ibm", address="ibm_torino", settings={"mode": "batch", "max_time_s": 60}
    )
    assert read_settings(IbmSettings, registration) == IbmSettings(mode="batch", max_time_s=60)
    wrong = registration.model_copy(update={"settings": {"mode": "forever"}})
    with pytest.raises(InputError, match="setting mode of ibm"):
        read_settings(IbmSettings, wrong)


def test_the_local_channel_opens_no_backend_of_ibm(home, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_CHANNEL", "local")
    with pytest.raises(InputError, match="local:fake_torino"):
        IbmVendor().open("ibm:ibm_torino")
