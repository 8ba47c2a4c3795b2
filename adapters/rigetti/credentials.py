"""Who is let in at Rigetti: QCS's own settings and secrets files, or the values themselves."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from adapters.credentials import Credentials
from qcpaas.errors import CredentialsRefused

SECRETS_FILE = "QCS_SECRETS_FILE_PATH"
SETTINGS_FILE = "QCS_SETTINGS_FILE_PATH"
ISSUER = "https://auth.qcs.rigetti.com/oauth2/aus8jcovzG0gW2TUG355"
CLIENT_ID = "0oa3ykoirzDKpkfzk357"
API_URL = "https://api.qcs.rigetti.com"
GRPC_URL = "https://grpc.qcs.rigetti.com"
QVM_URL = "http://127.0.0.1:5000"
QUILC_URL = "tcp://127.0.0.1:5555"
_HIDDEN = frozenset({"refresh_token", "access_token", "id_token", "client_secret"})


class RigettiCredentials(Credentials):
    """A QCS profile, or a refresh token of its own.

    Without ``refresh_token`` and ``client_secret`` Rigetti's client reads its files: those that
    ``QCS_SETTINGS_FILE_PATH`` and ``QCS_SECRETS_FILE_PATH`` name, else ``~/.qcs/settings.toml`` and
    ``~/.qcs/secrets.toml``. A QVM needs no credentials, only ``qvm_url``.

    Attributes:
        profile: Of the settings file; its default profile where none is named.
        refresh_token: Lets in without files.
        client_id: Of the application at the authorisation server.
        client_secret: Lets a service in, in place of a refresh token.
        issuer: Address of the authorisation server.
        api_url: Of QCS over HTTP.
        grpc_url: Of QCS's translation service.
        qvm_url: Of a QVM started with ``qvm -S``.
        quilc_url: Of a compiler started with ``quilc -R``.
    """

    profile: str | None = Field(None, json_schema_extra={"environment": ["QCS_PROFILE_NAME"]})
    refresh_token: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    issuer: str | None = None
    api_url: str | None = Field(
        None, json_schema_extra={"environment": ["QCS_SETTINGS_APPLICATIONS_API_URL"]}
    )
    grpc_url: str | None = Field(
        None, json_schema_extra={"environment": ["QCS_SETTINGS_APPLICATIONS_GRPC_URL"]}
    )
    qvm_url: str | None = Field(
        None, json_schema_extra={"environment": ["QCS_SETTINGS_APPLICATIONS_QVM_URL"]}
    )
    quilc_url: str | None = Field(
        None, json_schema_extra={"environment": ["QCS_SETTINGS_APPLICATIONS_QUILC_URL"]}
    )

    @property
    def uses_files(self) -> bool:
        return self.refresh_token is None and self.client_secret is None

    def secrets(self) -> tuple[str, ...]:
        """Its own, and those in the secrets file, of every profile there."""
        found = list(super().secrets())
        if self.uses_files:
            found += _tokens(_read(secrets_file()))
        return tuple(found)

    def applications(self) -> dict[str, Any]:
        """Addresses of QVM and quilc that the settings file gives the profile."""
        settings = _read(settings_file())
        name = self.profile or settings.get("default_profile_name", "default")
        found: Any = settings
        for key in ("profiles", name, "applications", "pyquil"):
            found = found.get(key, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}

    def qvm(self) -> str:
        """Where the QVM is."""
        return self.qvm_url or str(self.applications().get("qvm_url", QVM_URL))

    def quilc(self) -> str:
        """Where quilc is."""
        return self.quilc_url or str(self.applications().get("quilc_url", QUILC_URL))


def secrets_file() -> Path:
    return _file(SECRETS_FILE, "~/.qcs/secrets.toml")


def settings_file() -> Path:
    return _file(SETTINGS_FILE, "~/.qcs/settings.toml")


def _file(variable: str, usual: str) -> Path:
    return Path(os.path.expandvars(os.environ.get(variable, usual))).expanduser()


def _read(file: Path) -> dict[str, Any]:
    """A file's content; nothing where it is not there.

    Raises:
        CredentialsRefused: It is no TOML file.
    """
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # The parser quotes what it stumbles over, which can be a token.
        raise CredentialsRefused(
            f"QCS's file {file} cannot be read ({type(error).__name__}). Write it anew with "
            "`qcs auth login`."
        ) from None


def _tokens(content: Any) -> list[str]:
    if not isinstance(content, dict):
        return []
    found = [str(value) for key, value in content.items() if key in _HIDDEN]
    for value in content.values():
        found += _tokens(value)
    return found
