"""What IBM Quantum lets its users in with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError

from adapters.credentials import Credentials
from qcpaas.errors import CredentialsRefused

Channel = Literal["ibm_quantum_platform", "ibm_cloud", "local"]

_DEFAULT_CHANNEL: Channel = "ibm_quantum_platform"
_SAVED = ("channel", "token", "instance", "url", "private_endpoint")


class IbmCredentials(Credentials):
    """An IBM Cloud API key, and the service instance that it is used on.

    Attributes:
        token: API key. Where it is not given, the account that qiskit-ibm-runtime has saved in
            ``~/.qiskit/qiskit-ibm.json`` is taken.
        instance: Cloud resource name (CRN) or name of the instance. Where it is not given, the
            first of the account's instances that has the device is taken, which takes more calls.
        channel: ``ibm_quantum_platform``, or ``local`` where nothing but local testing is meant.
        url: Of IBM Cloud, where it is another than ``https://cloud.ibm.com``.
        private_endpoint: Whether the service is reached through IBM Cloud's private network.
    """

    token: SecretStr | None = Field(None, json_schema_extra={"environment": ["QISKIT_IBM_TOKEN"]})
    instance: str | None = Field(None, json_schema_extra={"environment": ["QISKIT_IBM_INSTANCE"]})
    channel: Channel = Field(
        _DEFAULT_CHANNEL, json_schema_extra={"environment": ["QISKIT_IBM_CHANNEL"]}
    )
    url: str | None = Field(None, json_schema_extra={"environment": ["QISKIT_IBM_URL"]})
    private_endpoint: bool = False

    @classmethod
    def from_environment(cls) -> Self:
        """From the variables; without a token among them, from the saved account."""
        try:
            found = super().from_environment()
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise CredentialsRefused(
                f"QISKIT_IBM_{str(first['loc'][0]).upper()}: {first['msg']}. Correct the variable."
            ) from None
        return found if found.token or found.channel == "local" else found.completed()

    def completed(self) -> Self:
        """With the saved account's values where none are given here; the same without a file.

        Raises:
            CredentialsRefused: The file cannot be read, or asks for what is not supported.
        """
        file = Path("~/.qiskit/qiskit-ibm.json").expanduser()
        if not file.is_file():
            return self
        try:
            account = _default_account(json.loads(file.read_text()), self.channel)
            if account is None:
                return self
            _check_supported(account, file)
            saved = {name: account[name] for name in _SAVED if account.get(name) is not None}
            given = self.model_dump(exclude_unset=True, exclude_none=True)
            return type(self).model_validate({**saved, **given})
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            # What it holds is a secret: nothing of it goes into a message.
            raise CredentialsRefused(
                f"{file} is not an account file of qiskit-ibm-runtime. Save the account again with "
                "QiskitRuntimeService.save_account(), or set QISKIT_IBM_TOKEN."
            ) from None


def _default_account(accounts: Mapping[str, Any], channel: str) -> Mapping[str, Any] | None:
    """As the client chooses: marked as default, else of the channel, the default name first."""
    of_channel = {
        name: account for name, account in accounts.items() if account.get("channel") == channel
    }
    for candidates in (of_channel, accounts):
        for account in candidates.values():
            if account.get("is_default_account"):
                return dict(account)
    name = f"default-{channel.replace('_', '-')}"
    if name in of_channel:
        return dict(of_channel[name])
    chosen: Mapping[str, Any] | None = next(iter(of_channel.values()), None)
    return chosen


def _check_supported(account: Mapping[str, Any], file: Path) -> None:
    if account.get("proxies") or account.get("verify") is False:
        raise CredentialsRefused(
            f"the account in {file} names proxies, or turns certificates off; this adapter takes "
            "neither from there. Set HTTPS_PROXY, and REQUESTS_CA_BUNDLE to the certificates."
        )
