"""Artifacts of which versions are kept: only news are published, and only so many of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from prefect.artifacts import Artifact, create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from qcpaas.errors import PlatformError
from qcpaas.prefect_api import read_artifact
from qcpaas.wire import Wire

PAGE = 50

T = TypeVar("T", bound=Wire)


def publish_news(
    kind: str,
    key: str,
    content: T,
    *,
    same: Callable[[T], bool] | None = None,
    keep: int = 1,
) -> bool:
    """Whether it was news: what is published already is not published again.

    Args:
        kind: Type of the artifact, by which pages and clients tell what it is.
        same: Whether what was published says the same; where it is equal unless given.
        keep: How many versions stay.
    """
    held = _newest(key, type(content))
    if held is not None and (held == content if same is None else same(held)):
        return False
    Artifact(type=kind, key=key, data=content.model_dump(mode="json")).create()
    _drop_old(key, keep)
    return True


def publish_page(key: str, markdown: str, title: str) -> None:
    """A page of which the newest version stays."""
    create_markdown_artifact(markdown=markdown, key=key, description=title)
    _drop_old(key, 1)


def _newest(key: str, kind: type[T]) -> T | None:
    """Nothing where another version of the platform published it."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=_of(key), sort=ArtifactSort.CREATED_DESC, limit=1
        )
    with suppress(PlatformError):
        return read_artifact(kind, {"key": key, "data": found[0].data}) if found else None
    return None


def _drop_old(key: str, keep: int) -> None:
    """A page of them at a time, so that an upgrade catches up over some runs."""
    with get_client(sync_client=True) as client:
        old = client.read_artifacts(
            artifact_filter=_of(key), sort=ArtifactSort.CREATED_DESC, offset=keep, limit=PAGE
        )
        for artifact in old:
            client.delete_artifact(artifact.id)


def _of(key: str) -> ArtifactFilter:
    return ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
