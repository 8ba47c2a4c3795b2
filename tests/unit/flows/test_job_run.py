"""What Prefect does with the run that the stages share."""

from unittest.mock import sentinel

from prefect.utilities.collections import visit_collection

from flows.job_run import JobRun


def test_a_task_does_not_walk_through_what_another_thread_changes():
    """Prefect looks for futures in a task's parameters while other devices take their slots."""
    run = JobRun(
        sentinel.job, sentinel.store, sentinel.backend, sentinel.progress, sentinel.ownership
    )
    visited = []
    visit_collection(run, visited.append, return_data=False)
    assert visited == [run]
