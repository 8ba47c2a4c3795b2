"""What an image is made of, as other tools read it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from packaging.utils import canonicalize_name

from qcpaas.schemas import Environment


def bill_of_materials(image: str, environment: Environment) -> dict[str, Any]:
    """The Python distributions of an image as a CycloneDX document; none of its system packages.

    Source: CycloneDX 1.5, https://cyclonedx.org/docs/1.5/json; package URLs as purl-spec has them.
    """
    installed = sorted(environment.distributions.items(), key=lambda one: one[0].casefold())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": image}},
        "components": [_component(name, version) for name, version in installed],
    }


def _component(name: str, version: str) -> dict[str, str]:
    where = f"pkg:pypi/{canonicalize_name(name)}@{quote(version, safe='')}"
    return {"type": "library", "name": name, "version": version, "purl": where, "bom-ref": where}
