"""What lets a user in at an IQM server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from adapters.credentials import Credentials
from qcpaas.errors import CredentialsRefused


class IqmCredentials(Credentials):
    """An IQM server, and the token that it knows its user by.

    Attributes:
        server_url: Such as ``https://resonance.iqm.tech``; without a quantum computer's name.
        token: Long-lived; of this and ``tokens_file`` one at most.
        tokens_file: Kept up to date by IQM's own login programme, and read at every request.
    """

    server_url: str | None = Field(
        default=None, json_schema_extra={"environment": ["IQM_SERVER_URL"]}
    )
    token: SecretStr | None = Field(default=None, json_schema_extra={"environment": ["IQM_TOKEN"]})
    tokens_file: Path | None = Field(
        default=None, json_schema_extra={"environment": ["IQM_TOKENS_FILE"]}
    )

    def address(self) -> str:
        """The server's address.

        Raises:
            CredentialsRefused: None is given, or both a token and a file of tokens are.
        """
        if not self.server_url:
            raise CredentialsRefused(
                "no IQM server is given. Set IQM_SERVER_URL, such as https://resonance.iqm.tech, "
                "or name a credentials block that has it."
            )
        if self.token is not None and self.tokens_file is not None:
            raise CredentialsRefused(
                "both a token and a tokens file are given for IQM. Leave out one of IQM_TOKEN and "
                "IQM_TOKENS_FILE."
            )
        return self.server_url
