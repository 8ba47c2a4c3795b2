"""Which jobs are a part of a submission that several share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists

from store.tables import SharedJob, table

SHARED = table(SharedJob)


def runs_by_itself(job_id: ColumnElement[str]) -> ColumnElement[bool]:
    """A condition on jobs: none that is a part of a shared submission."""
    return ~exists().where(SHARED.c.job_id == job_id)
