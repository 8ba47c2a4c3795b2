"""The main job, from an empty machine: ``make demo``.

A variational eigensolver for H2 on the digital twin of a 27-qubit device, as a workload on the
embedded platform: SQLite, a local Prefect server, nothing but this machine.
"""

import resource
import time

from rich.console import Console
from rich.table import Table

from examples.h2_vqe import H2GroundState
from qcpaas import RuntimeProvider
from qcpaas.cli.live import follow
from qcpaas.manifest import Manifest

CHEMICAL_ACCURACY = 1.6e-3  # hartree


def main() -> None:
    console = Console(highlight=False)
    console.print(
        "[bold]H2 ground state by VQE[/bold] on the digital twin of FakeKolkata (27 qubits), then\n"
        "its energy raw and with zero-noise extrapolation and readout mitigation stacked."
    )
    started = time.monotonic()
    with RuntimeProvider() as provider:
        with console.status("Starting the embedded platform: SQLite, a local Prefect server"):
            job = provider.run(H2GroundState, seed=7)
        follow(job, quiet=False)
        answer, manifest = job.answer()
    console.print(energies(answer))
    console.print(verdict(answer))
    console.print(provenance(job.job_id, manifest, time.monotonic() - started))


def energies(answer: dict[str, float]) -> Table:
    """Exact, raw and mitigated energy."""
    exact = answer["exact_energy"]
    raw_error = answer["raw_energy"] - exact
    mitigated_error = answer["mitigated_energy"] - exact
    table = Table(title="Energy of H2 (STO-3G, 0.735 Å) in hartree")
    for column in ("", "energy", "standard error", "error"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("exact", f"{exact:.6f}", "", "")
    for name, error in (("raw", raw_error), ("mitigated", mitigated_error)):
        value, spread = answer[f"{name}_energy"], answer[f"{name}_energy_std_error"]
        table.add_row(name, f"{value:.6f}", f"{spread:.6f}", f"{error:+.6f}")
    return table


def verdict(answer: dict[str, float]) -> str:
    """What mitigation made of the error, whichever way it fell."""
    exact = answer["exact_energy"]
    raw, mitigated = (abs(answer[f"{name}_energy"] - exact) for name in ("raw", "mitigated"))
    if mitigated < raw:
        change = f"{raw / mitigated:.1f} times smaller" if mitigated else "gone"
    else:
        change = f"{mitigated / raw:.1f} times larger: mitigation did harm in this run"
    return (
        f"Mitigation made the error {change} (chemical accuracy is {CHEMICAL_ACCURACY} hartree).\n"
    )


def provenance(job_id: str, manifest: Manifest, seconds: float) -> Table:
    """Where the figures come from, what they cost, and where to look further."""
    table = Table(show_header=False, box=None, title="How it came about", title_justify="left")
    table.add_row("job", job_id)
    for use in manifest.calibrations:
        table.add_row("device", use.device)
        table.add_row("calibration", f"{use.snapshot_id}, {use.age_s / 86400:.0f} days old")
        table.add_row("physical qubits", f"{use.physical_qubits} ({use.reason})")
    if manifest.estimate is not None:
        estimate = manifest.estimate
        table.add_row("QPU seconds estimated", f"{estimate.qpu_s:.2f} to {estimate.qpu_s_hi:.2f}")
    table.add_row("QPU seconds spent", f"{manifest.spent_qpu_s:.2f}")
    table.add_row("submissions", str(manifest.execution_count))
    stages = ", ".join(f"{name} {spent:.2f}" for name, spent in manifest.stage_seconds.items())
    table.add_row("seconds a stage", stages)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table.add_row("this process", f"{seconds:.0f} s in all, at most {peak_mb:.0f} MB")
    for what, command in (
        ("the job", f".venv/bin/qcpaas job {job_id}"),
        ("its result and manifest", f".venv/bin/qcpaas result {job_id} --manifest"),
        ("the same bits again", f".venv/bin/qcpaas rerun {job_id}"),
        ("its pages in Prefect's UI", "make ui"),
    ):
        table.add_row(what, command)
    return table


if __name__ == "__main__":
    main()
