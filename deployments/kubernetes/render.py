"""``python -m deployments.kubernetes.render``: the manifests that the chart makes, level by level.

Copies are kept in ``rendered``, so that they are reviewed with a change of the chart and checked on
machines without Helm. Each begins with a fingerprint of the chart that it was made from.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from qcpaas.errors import InputError, QCPaaSError

CHART = Path(__file__).parent / "chart"
RENDERED = Path(__file__).parent / "rendered"
LEVELS = {
    "minimal": ["values-minimal.yaml"],
    "enterprise": ["values-enterprise.yaml", "examples/site.yaml"],
}
NAME = "qcpaas"  # of release and namespace


def fingerprint() -> str:
    """Of all files of the chart."""
    digest = hashlib.sha256()
    for file in sorted(one for one in CHART.rglob("*") if one.is_file()):
        digest.update(f"{file.relative_to(CHART)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def rendered_from(level: str) -> str:
    """The fingerprint that a kept copy begins with."""
    with (RENDERED / f"{level}.yaml").open() as lines:
        return lines.readline().rpartition(" ")[2].strip()


def render(level: str) -> str:
    """What Helm makes of a level.

    Raises:
        InputError: There is no Helm, or it refuses the chart.
    """
    helm = shutil.which("helm")
    if helm is None:
        raise InputError("there is no helm on the PATH. Install Helm 3.14 or newer, or Helm 4.")
    values = [word for file in LEVELS[level] for word in ("--values", str(CHART / file))]
    done = subprocess.run(
        [helm, "template", NAME, str(CHART), "--namespace", NAME, *values],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(f"helm refuses the level {level}: {done.stderr.strip()}")
    return (
        f"# Made by `python -m deployments.kubernetes.render` from {fingerprint()}\n{done.stdout}"
    )


def main() -> int:
    """Write the copies; the exit code."""
    try:
        for level in LEVELS:
            (RENDERED / f"{level}.yaml").write_text(render(level))
    except QCPaaSError as error:
        sys.stderr.write(f"render: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
