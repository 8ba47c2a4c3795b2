"""Requests to AWS: Braket's, and those to S3 and STS that its tasks need."""

from __future__ import annotations

import json
import logging
import os
import threading
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from adapters.braket.credentials import BraketCredentials
from adapters.braket.errors import Malformed, translated
from qcpaas.errors import AdapterError, CredentialsRefused

CONNECT_S = 4.0
READ_S = 20.0
# What breaks when botocore reads a body that does not fit its model.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_THERE = ("BucketAlreadyOwnedByYou", "OperationAborted")  # just now, by somebody else of ours

Model = TypeVar("Model", bound="Reply")


class Reply(BaseModel):
    """The base of what AWS answers; fields that are not asked for are left alone."""

    model_config = ConfigDict(
        alias_generator=to_camel, frozen=True, extra="ignore", allow_inf_nan=False
    )


class Identity(Reply):
    account: str = Field(alias="Account")


class Aws:
    """One identity's way to AWS; clients are made when they are first used.

    Nothing is tried twice here: who calls knows what may be.

    Args:
        device: That errors name.
    """

    def __init__(self, device: str, credentials: BraketCredentials) -> None:
        self._device = device
        self._credentials = credentials
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def region(self, arn: str = "") -> str:
        """The one that an ARN names, else the credentials'."""
        parts = arn.split(":")
        named = parts[3] if len(parts) > 3 else ""
        return named or str(self._credentials.session().region_name)

    def ask(
        self, service: str, region: str, operation: str, *, submits: bool = False, **given: Any
    ) -> dict[str, Any]:
        """One request; the reply is not checked.

        Args:
            submits: Whether it makes a task.

        Raises:
            NotFound: AWS has no such thing.
            AdapterError: As `adapters.braket.errors` translates it.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client(service, region)
        what = "".join(word.capitalize() for word in operation.split("_"))
        try:
            found = getattr(client, operation)(**given)
            if "Body" in found:
                found["Body"] = found["Body"].read()
        except (BotoCoreError, ClientError, *_UNREADABLE) as error:
            told = translated(error, self._device, what, self._credentials, submits=submits)
            # Without its cause: that one's text may hold a secret.
            raise told from None
        assert isinstance(found, dict)
        return found

    def read(
        self, kind: type[Model], service: str, region: str, operation: str, **given: Any
    ) -> Model:
        """One request with its reply checked; raises `MalformedReply` beside what `ask` does."""
        found = self.ask(service, region, operation, **given)
        found.pop("ResponseMetadata", None)
        return checked(kind, found, f"{operation} of {self._device}")

    def stored(self, bucket: str, key: str, region: str) -> Any:
        """A JSON file in S3.

        Raises:
            NotFound: There is no such file.
            MalformedReply: It is not JSON.
        """
        body = self.ask("s3", region, "get_object", Bucket=bucket, Key=key)["Body"]
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Malformed.of(f"s3://{bucket}/{key}", body[:400]) from None

    def bucket(self, region: str) -> str:
        """Braket's own bucket of the account, made where it is not there yet.

        The same as the Braket SDK takes: ``amazon-braket-REGION-ACCOUNT``, or what
        ``AMZN_BRAKET_OUT_S3_BUCKET`` names.
        """
        named = os.environ.get("AMZN_BRAKET_OUT_S3_BUCKET")
        if named:
            return named
        account = self.read(Identity, "sts", region, "get_caller_identity").account
        name = f"amazon-braket-{region}-{account}"
        self._make_bucket(name, region)
        return name

    def _make_bucket(self, name: str, region: str) -> None:
        # us-east-1 is where buckets are made by default, and must not be named.
        given: dict[str, Any] = {}
        if region != "us-east-1":
            given["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            self.ask("s3", region, "create_bucket", Bucket=name, **given)
        except CredentialsRefused:
            # Who may not make buckets may still use the one that is there.
            self.ask("s3", region, "head_bucket", Bucket=name)
        except AdapterError as error:
            if not any(code in str(error) for code in _THERE):
                raise

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = self._new_client(service, region)
            return self._clients[key]

    def _new_client(self, service: str, region: str) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        _keep_quiet()
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="qcpaas",
        )
        endpoint = os.environ.get("BRAKET_ENDPOINT") if service == "braket" else None
        session = self._credentials.session(region)
        try:
            return session.client(service, config=config, endpoint_url=endpoint)
        except (BotoCoreError, ValueError) as error:
            raise translated(
                error, self._device, f"a client of {service}", self._credentials, submits=False
            ) from None


def _keep_quiet() -> None:
    """Botocore's debug messages hold session tokens; who wants them asks botocore's logger."""
    logger = logging.getLogger("botocore")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def checked(kind: type[Model], found: object, what: str) -> Model:
    """Raises `MalformedReply` where it does not fit."""
    try:
        return kind.model_validate(found)
    except (ValidationError, RecursionError) as error:
        raise Malformed.of(what, _first(error)) from None


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}, found {str(first['input'])[:80]}"
