"""What a vendor lets its users in with; no text that leaves an adapter holds any of it."""

from __future__ import annotations

import os
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SecretStr

HIDDEN = "***"
_SHORTEST = 4  # characters: hiding less would blot out ordinary words


class Credentials(BaseModel):
    """The base of each vendor's; secrets are `SecretStr`.

    A field that is read from the environment names its variables, the first one set counting:
    ``token: SecretStr | None = Field(None, json_schema_extra={"environment": ["IQM_TOKEN"]})``.
    Files that a vendor's own client reads are left to it, or read in `from_environment`.
    """

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def from_environment(cls) -> Self:
        """From the vendor's usual variables; what none of them gives is left unset.

        Raises:
            CredentialsRefused: What is there cannot be read.
        """
        found: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            variables = extra.get("environment", ()) if isinstance(extra, dict) else ()
            assert isinstance(variables, list | tuple)
            values = (os.environ.get(str(variable)) for variable in variables)
            value = next(filter(None, values), None)
            if value is not None:
                found[name] = value
        return cls.model_validate(found)

    def secrets(self) -> tuple[str, ...]:
        """Every secret value."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(v.get_secret_value() for v in values if isinstance(v, SecretStr))

    def scrubbed(self, text: str) -> str:
        """A text without any of the secrets in it."""
        for secret in sorted(self.secrets(), key=len, reverse=True):
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, HIDDEN)
        return text


class NoCredentials(Credentials):
    """Of a device that lets everybody in."""
