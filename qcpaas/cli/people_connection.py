"""Whose users and tokens a command is about: this machine's platform's, or a remote one's."""

from __future__ import annotations

import json
from contextlib import closing

import typer

from qcpaas.cli.connection import connect
from qcpaas.operations import Operations
from qcpaas.services import PeopleService, open_people
from qcpaas.settings import Settings


def connect_people(ctx: typer.Context, remote: str | None) -> PeopleService | Operations:
    """Through the gateway with ``--remote``; else the store of the platform on this machine.

    Raises:
        PlatformUnavailable: Neither is reached from here.
    """
    if remote is not None:
        return connect(ctx, remote).operations
    return ctx.with_resource(closing(open_people(_store_url(Settings()))))


def _store_url(settings: Settings) -> str:
    """The one that is set, that of the platform that runs here, or the one that would."""
    if settings.store_url is None and settings.platform_file.exists():
        url: str = json.loads(settings.platform_file.read_text())["store_url"]
        return url
    return settings.resolved_store_url
