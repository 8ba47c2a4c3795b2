"""By what the runs of one workload are known again."""

from __future__ import annotations

import hashlib
import json

from qcpaas.schemas import WorkloadJob


def workload_key(job: WorkloadJob) -> str:
    """Equal for jobs with the same source, entry, options and shots, whatever their inputs."""
    content = [job.bundle.entry, sorted(job.bundle.modules.items())]
    execution = job.execution
    how = [[option.model_dump() for option in execution.options], execution.shots, execution.exact]
    text = json.dumps([content, how], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def inputs_bytes(job: WorkloadJob) -> int:
    """Length of a job's inputs as JSON."""
    return len(json.dumps(job.inputs, sort_keys=True))
