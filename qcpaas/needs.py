"""What a workload asks of its worker's environment, as PEP 508 writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from qcpaas.errors import PackingError


def read_needs(needs: Sequence[str]) -> tuple[str, ...]:
    """Requirements in their usual spelling.

    Raises:
        PackingError: One is no requirement, or names a file or an address: nothing is installed
            for a job.
    """
    return tuple(str(_read(text)) for text in needs)


def unmet(needs: Sequence[str], distributions: Mapping[str, str], python: str) -> list[str]:
    """What an environment lacks, one sentence each.

    Args:
        distributions: Versions by name.
        python: Its version; a requirement whose marker does not hold there asks for nothing.
    """
    installed: dict[str, str] = {
        canonicalize_name(name): version for name, version in distributions.items()
    }
    there: dict[str, str] = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
    }
    return [
        sentence for text in needs if (sentence := _lacking(_read(text), installed, there)) != ""
    ]


def _lacking(
    requirement: Requirement, installed: Mapping[str, str], there: Mapping[str, str]
) -> str:
    if requirement.marker is not None and not requirement.marker.evaluate(dict(there)):
        return ""
    version = installed.get(canonicalize_name(requirement.name))
    if version is None:
        return f"the workload needs {requirement}, which the worker does not have."
    try:
        fits = requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        fits = False
    return "" if fits else f"the workload needs {requirement}; the worker has {version}."


def _read(text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise PackingError(
            f"{text!r} is no requirement: {str(error).splitlines()[0]}. Write it as pip takes it, "
            "such as 'torch>=2.4'."
        ) from error
    if requirement.url is not None:
        raise PackingError(
            f"{text!r} names an address. Name the package, and have it in the worker's image."
        )
    return requirement
