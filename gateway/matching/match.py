"""The work pool whose workers have what a job needs, or what is missing and where it is least."""

from __future__ import annotations

from collections.abc import Sequence

from qcpaas.checks import bundle_classes, check_levels, check_options, missing
from qcpaas.errors import NoWorker, OptionError
from qcpaas.scheduling import WorkerInfo
from qcpaas.schemas import CircuitJob, Environment, WorkloadJob

Known = tuple[WorkerInfo, Environment]


def find_pool(job: CircuitJob | WorkloadJob, workers: Sequence[Known]) -> str:
    """The pool to run a job in: of those that can, the one with the least beside.

    A plain job then leaves the images with rare packages, much memory or graphics cards to those
    that need them.

    Raises:
        NoWorker: None has what it needs; says what the nearest one lacks.
    """
    if not workers:
        raise NoWorker(
            "no worker is alive. Start one (`make up`, or `python -m flows.worker`), then submit "
            "again."
        )
    lacking = {info.name: lacks(job, environment) for info, environment in workers}
    able = [(info, environment) for info, environment in workers if not lacking[info.name]]
    if able:
        return min(able, key=_surplus)[0].pool
    nearest, _ = min(workers, key=lambda known: (len(lacking[known[0].name]), *_surplus(known)))
    raise NoWorker(_nothing_fits(nearest, lacking[nearest.name], len(workers)))


def lacks(job: CircuitJob | WorkloadJob, environment: Environment) -> list[str]:
    """What a worker lacks to run a job, one sentence each."""
    wishes = job.scheduling
    lacking = _unknown_options(job, environment)
    if isinstance(job, WorkloadJob):
        lacking += missing(job.bundle, environment)
    if wishes.memory_mib > environment.memory_mib:
        lacking.append(
            f"the job asks for {wishes.memory_mib} MiB; the worker has {environment.memory_mib}."
        )
    if wishes.gpus > len(environment.gpus):
        lacking.append(f"the job asks for {wishes.gpus} GPUs; the worker has {_gpus(environment)}.")
    adapter = _adapter(job, environment)
    if adapter is not None:
        lacking.append(f"the job's device needs the adapter {adapter!r}, which the worker lacks.")
    return lacking


def _unknown_options(job: CircuitJob | WorkloadJob, environment: Environment) -> list[str]:
    try:
        if isinstance(job, WorkloadJob):
            own = bundle_classes(job.bundle) - {job.bundle.entry.partition(":")[2]}
            check_options(job.execution.options, environment, own)
            return []
        for item in job.items:
            options = job.execution.options if item.options is None else item.options
            check_options(options, environment)
            level = "counts" if item.observables is None else "expectation"
            check_levels(options, environment, level)
    except OptionError as error:
        return [str(error)]
    return []


def _adapter(job: CircuitJob | WorkloadJob, environment: Environment) -> str | None:
    """The adapter of the job's device, where the worker does not have it."""
    prefix, _, address = job.execution.backend.partition(":")
    if address:
        return None if prefix in environment.adapters else prefix
    for device in environment.devices:
        if device.name == job.execution.backend and device.address:  # it was registered
            return None if device.adapter in environment.adapters else device.adapter
    return None


def _surplus(known: Known) -> tuple[int, int, int, str]:
    info, environment = known
    return (
        len(environment.gpus),
        len(environment.distributions),
        environment.memory_mib,
        info.name,
    )


def _gpus(environment: Environment) -> str:
    return ", ".join(environment.gpus) or "none"


def _nothing_fits(nearest: WorkerInfo, lacking: Sequence[str], count: int) -> str:
    where = f"image {nearest.image}" if nearest.image else f"worker {nearest.name}"
    return (
        f"none of {count} workers has what the job needs. Nearest is {where} of the pool "
        f"{nearest.pool}: {' '.join(lacking)} Build an image that has it, and start a worker of it."
    )
