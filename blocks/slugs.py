"""Names of block types; light to import, for whoever reads them over Prefect's API."""

from __future__ import annotations

PREFIX = "qcpaas-"  # Prefect has block types of its own for other services


def block_slug(adapter: str) -> str:
    """Slug of the block type of an adapter's credentials."""
    return f"{PREFIX}{adapter}"
