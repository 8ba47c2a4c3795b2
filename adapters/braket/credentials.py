"""What AWS lets its users in with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from adapters.credentials import Credentials
from qcpaas.errors import CredentialsRefused

if TYPE_CHECKING:
    from boto3 import Session


class BraketCredentials(Credentials):
    """An AWS identity. What is left out is found as boto3 always finds it.

    Attributes:
        access_key_id: Together with ``secret_access_key``, and of temporary credentials with
            ``session_token``. Without them boto3 looks in ``~/.aws``, at the container's or
            machine's role, and at single sign-on.
        region: For simulators, which every region has, and for the results' bucket. A QPU's ARN
            names its own.
        profile: In ``~/.aws/config`` and ``~/.aws/credentials``; keys given here win.
    """

    access_key_id: SecretStr | None = Field(
        None, json_schema_extra={"environment": ["AWS_ACCESS_KEY_ID"]}
    )
    secret_access_key: SecretStr | None = Field(
        None, json_schema_extra={"environment": ["AWS_SECRET_ACCESS_KEY"]}
    )
    session_token: SecretStr | None = Field(
        None, json_schema_extra={"environment": ["AWS_SESSION_TOKEN"]}
    )
    region: str | None = Field(
        None, json_schema_extra={"environment": ["AWS_REGION", "AWS_DEFAULT_REGION"]}
    )
    profile: str | None = Field(
        None, json_schema_extra={"environment": ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]}
    )

    def session(self, region: str = "") -> Session:
        """A session of boto3, which reads the files and roles that stand in for missing keys.

        Args:
            region: In place of the credentials' own.

        Raises:
            CredentialsRefused: The profile is not there, a key lacks its other half, or no region
                is named anywhere.
        """
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            session = boto3.Session(
                aws_access_key_id=_value(self.access_key_id),
                aws_secret_access_key=_value(self.secret_access_key),
                aws_session_token=_value(self.session_token),
                region_name=region or self.region,
                profile_name=None if self.access_key_id else self.profile,
            )
        except BotoCoreError as error:
            raise CredentialsRefused(f"AWS: {self.scrubbed(str(error))}.") from None
        if not session.region_name:
            raise CredentialsRefused(
                "no AWS region is named. Set AWS_REGION, or give the credentials a region."
            )
        return session


def _value(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
