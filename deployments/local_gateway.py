"""The gateway as a part of the platform on one machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from deployments.prefect_server import reachable
from deployments.processes import Child, Command, Processes
from gateway.auth.nobody import check_host
from gateway.settings import GatewaySettings


@dataclass(frozen=True)
class LocalGateway:
    """What ``QCPAAS_GATEWAY_*`` variables say beside host and port holds for it too."""

    host: str
    port: int
    data_dir: Path

    @property
    def url(self) -> str:
        """For clients on this machine."""
        scheme = "http" if GatewaySettings().tls_cert is None else "https"
        return f"{scheme}://{reachable(self.host)}:{self.port}"

    def check(self) -> None:
        """Raises `InputError` where it would let everybody in who can reach it."""
        if GatewaySettings().auth == "none":
            check_host(self.host)

    def start(self, processes: Processes, prefect_url: str, env: dict[str, str]) -> Child:
        return processes.start(
            Command(
                "the gateway",
                [sys.executable, "-m", "gateway"],
                log_file=self.data_dir / "logs" / "gateway.log",
                env={
                    **env,
                    "QCPAAS_GATEWAY_HOST": self.host,
                    "QCPAAS_GATEWAY_PORT": str(self.port),
                    "QCPAAS_GATEWAY_PREFECT_URL": prefect_url,
                },
                healthy=self._healthy,
                needed=False,
            )
        )

    def _healthy(self, since: datetime) -> bool:
        try:
            # Its certificate is for the name that clients use.
            answer = httpx.get(f"{self.url}/health", timeout=5.0, trust_env=False, verify=False)  # noqa: S501
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK
