"""What an installation can configure, read from ``QCPAAS_*`` variables."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the platform keeps its data and where it is reached.

    Attributes:
        data_dir: Folder of the embedded platform's databases, results and logs.
        store_url: SQLAlchemy URL of the store; SQLite in ``data_dir`` unless set.
        api_url: Address of a running platform; unset, the one that ``data_dir`` remembers.
        token: Credential for that platform.
        loopback_url: Address of a loopback QPU, the device that it imitates as its last part; the
            device ``loopback`` is there where it is set.
        platforms_dir: Folder of Qibolab platforms, each named as the device that it controls;
            ``platforms`` in ``data_dir`` unless set.
        notify_url: Where the platform posts, as JSON, that a device has drifted or that a qubit
            was taken out of use.
        otlp_endpoint: Where a worker sends the traces of its jobs (OTLP over HTTP), such as
            ``http://collector:4318/v1/traces``; nowhere where empty.
        prices: A price list of the owner's own, in the form of ``tasks/estimation/prices.json``,
            asked before the published ones.
        drift_false_alarms: How many false marks of drift a qubit may cost in a day.
    """

    model_config = SettingsConfigDict(env_prefix="QCPAAS_")

    data_dir: Path = Path.home() / ".qcpaas"
    store_url: str | None = None
    api_url: str | None = None
    token: SecretStr | None = None
    loopback_url: str | None = None
    platforms_dir: Path | None = None
    notify_url: SecretStr | None = None
    otlp_endpoint: str = ""
    prices: Path | None = None
    drift_false_alarms: float = Field(default=0.01, gt=0, le=1)

    @property
    def resolved_store_url(self) -> str:
        return self.store_url or f"sqlite:///{self.data_dir.resolve() / 'qcpaas.db'}"

    @property
    def resolved_platforms_dir(self) -> Path:
        return self.platforms_dir or self.data_dir.resolve() / "platforms"

    @property
    def platform_file(self) -> Path:
        """Written by a running platform: its addresses, for commands on the same machine."""
        return self.data_dir / "platform.json"

    @property
    def resolved_api_url(self) -> str | None:
        if self.api_url or not self.platform_file.exists():
            return self.api_url
        address: str = json.loads(self.platform_file.read_text())["api_url"]
        return address
