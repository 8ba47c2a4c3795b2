"""What all workers have together, for refusing a job before it is scheduled."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.version import InvalidVersion, Version

from qcpaas.errors import NoWorker
from qcpaas.schemas import Environment


def merged_environment(environments: Sequence[Environment]) -> Environment:
    """The union; of a distribution that several have, the newest version.

    It says what the platform can do at all. Whether one worker has everything that a job needs is
    `gateway.matching.match.find_pool`'s business.

    Raises:
        NoWorker: None is alive.
    """
    if not environments:
        raise NoWorker("no worker is alive yet. Wait until one has registered, then try again.")
    distributions: dict[str, str] = {}
    for environment in environments:
        for name, version in environment.distributions.items():
            distributions[name] = _newer(version, distributions.get(name))
    options = {one.name: one for each in reversed(environments) for one in each.options}
    devices = {one.name: one for each in reversed(environments) for one in each.devices}
    return Environment(
        python=environments[0].python,
        distributions=distributions,
        options=tuple(sorted(options.values(), key=lambda one: (one.rank, one.name))),
        devices=tuple(devices.values()),
        adapters=tuple(dict.fromkeys(name for each in environments for name in each.adapters)),
        cpus=max(each.cpus for each in environments),
        memory_mib=max(each.memory_mib for each in environments),
        gpus=max((each.gpus for each in environments), key=len),
    )


def _newer(version: str, other: str | None) -> str:
    if other is None:
        return version
    try:
        return max(version, other, key=Version)
    except InvalidVersion:
        return other
