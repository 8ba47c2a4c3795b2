"""What a gateway's owner can configure, read from ``QCPAAS_GATEWAY_*`` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from qcpaas.scheduling import Limits

MIB = 1024 * 1024


class GatewaySettings(BaseSettings):
    """Where the gateway listens, whom it lets in, and what it lets them do.

    Attributes:
        port: 0 takes a free one.
        prefect_url: Prefect's API, ending in ``/api``; users never learn it.
        prefect_auth: The string that opens it.
        auth: ``none`` lets everybody on this machine in as an administrator, and refuses to
            listen anywhere else; ``tokens``; ``oidc``; or ``package.module:Class`` of an
            `gateway.auth.Authenticator`.
        oidc_issuer, oidc_audience, oidc_jwks_url: Of tokens that an identity provider signs; the
            keys' address is asked of the issuer unless given.
        oidc_roles_claim: The claim that lists roles; who has none is a user.
        max_body_mib: Of one request, and of a bundle unpacked.
        requests_a_minute: Of one user, or of one address before anybody is let in.
        limits: What each user may have at once, unless told otherwise for them.
        released_per_device: Jobs handed to Prefect beyond those that a device runs at once.
        policy: ``package.module:Class`` of a `gateway.scheduling.policy.SchedulingPolicy`.
        metrics: Who reads /metrics without a token of an administrator: this machine, or nobody.
        trusted_proxies: Addresses or networks, with commas between, whose X-Forwarded headers
            say where a request comes from; nobody's unless given.
        otlp_endpoint: Where traces go (OTLP over HTTP); nowhere where empty.
    """

    model_config = SettingsConfigDict(env_prefix="QCPAAS_GATEWAY_", env_nested_delimiter="__")

    host: str = "127.0.0.1"
    port: int = Field(default=4300, ge=0, le=65535)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    prefect_url: str = "http://127.0.0.1:4200/api"
    prefect_auth: SecretStr | None = None
    auth: str = "none"
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_jwks_url: str = ""
    oidc_roles_claim: str = "roles"
    max_body_mib: int = Field(default=64, ge=1)
    requests_a_minute: int = Field(default=600, ge=1)
    limits: Limits = Limits(running_jobs=10, queued_jobs=1000)
    released_per_device: int = Field(default=1, ge=0)
    policy: str = "gateway.scheduling.fair:FairPolicy"
    metrics: Literal["local", "administrator"] = "local"
    trusted_proxies: str = ""
    otlp_endpoint: str = ""

    @property
    def max_body_bytes(self) -> int:
        return self.max_body_mib * MIB
