"""Jobs on the embedded platform: a real Prefect server, a real store, a real twin."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from deployments.embedded import EmbeddedTransport
from qcpaas.errors import CircuitError, JobCancelled, OptionError, UnknownDevice, WorkloadError
from qcpaas.packing import pack_file
from qcpaas.partial import PartialResult
from qcpaas.schemas import JobState
from qcpaas.settings import Settings
from store.database import open_store
from store.jobs import Jobs

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
STACK = ["ZeroNoiseExtrapolation(fit=exponential)", "ReadoutMitigation"]


@pytest.fixture(scope="module")
def finished(platform):
    """A mitigated circuit job that has ended."""
    job = platform.run_circuits(
        rotation(),
        observables=["ZZ", "XX"],
        parameter_values=[[0.3], [1.2]],
        backend="FakeKolkata",
        options=STACK,
        shots=20_000,
        seed=5,
    )
    job.result(timeout=300)
    return job


def rotation() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="rotation")
    circuit.ry(Parameter("angle"), 0)
    circuit.cx(0, 1)
    return circuit


def write_workload(folder: Path, body: str) -> Path:
    path = folder / "work.py"
    path.write_text(
        "from qcpaas import RuntimeWorkerBase\n\n"
        "class Work(RuntimeWorkerBase):\n"
        "    backend_name = 'FakeKolkata'\n\n"
        "    def run(self, steps: int = 3):\n" + body
    )
    return path


def submit(platform, path, **settings):
    worker_class, bundle = pack_file(path, None)
    return platform.run(worker_class, bundle=bundle, **settings)


def test_mitigated_values_are_nearer_to_the_exact_ones(finished):
    (answer,) = finished.result()
    exact = [
        [
            Statevector(rotation().assign_parameters([angle])).expectation_value(
                SparsePauliOp(label)
            )
            for label in ("ZZ", "XX")
        ]
        for angle in (0.3, 1.2)
    ]
    mitigated = np.abs(np.array(answer["expectation_values"]) - np.real(exact))
    raw = np.abs(np.array(answer["raw_values"]) - np.real(exact))
    assert np.all(mitigated < 5 * np.array(answer["std_errors"]) + 0.01)
    assert mitigated.mean() < raw.mean()


def test_manifest_holds_what_was_sent_and_what_came_back(finished):
    manifest = finished.manifest()
    (execution,) = manifest.executions
    assert set(execution.circuits) == set(manifest.circuits)
    assert len(execution.circuits) == 6  # two bases at three noise scales
    assert all(sum(point.values()) == 20_000 for circuit in execution.counts for point in circuit)
    assert len(manifest.calibrations[0].physical_qubits) == 2
    assert manifest.spent_qpu_s > 0
    assert manifest.estimate.qpu_s == pytest.approx(manifest.spent_qpu_s, rel=0.05)
    assert {"qiskit", "python", "prefect"} <= set(manifest.versions)
    assert {"transpile", "bind", "plan", "execute", "mitigate"} <= set(manifest.stage_seconds)


def test_result_is_read_after_the_platform_has_gone(finished, data_dir):
    reader = EmbeddedTransport(Settings(data_dir=data_dir))
    assert reader.result(finished.job_id).manifest == finished.manifest()
    reader.close()


def test_rerun_gives_the_same_bits(platform, finished):
    again = platform.rerun(finished.job_id)
    assert again.result(timeout=300) == finished.result()
    assert again.manifest().executions[0].counts == finished.manifest().executions[0].counts
    assert again.manifest().job.repeats == finished.job_id


def test_counts_come_by_register(platform):
    circuit = QuantumCircuit(3, name="ghz")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure_all()
    (answer,) = platform.run_circuits(circuit, backend="statevector", shots=1000, seed=1).result(
        timeout=300
    )
    (point,) = answer["counts"]
    assert set(point["meas"]) == {"000", "111"}
    assert sum(point["meas"].values()) == 1000


def test_pages_show_stages_progress_result_and_plots(platform, finished):
    record = finished.record()
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        ArtifactFilter,
        ArtifactFilterFlowRunId,
        FlowRunFilter,
    )

    run = FlowRunFilter.model_validate({"id": {"any_": [record.flow_run_id]}})
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[record.flow_run_id])
            )
        )
        deadline = threading.Event()
        for _ in range(60):  # task runs are recorded some seconds after they end
            names = {task.name.split("-")[0] for task in client.read_task_runs(flow_run_filter=run)}
            if "mitigate" in names:
                break
            deadline.wait(1)
    assert {"estimate", "transpile", "bind", "plan", "execute", "mitigate"} <= names
    kinds = {artifact.key.split("-")[0]: artifact for artifact in artifacts}
    assert {"progress", "partial", "result", "summary", "device"} <= set(kinds)
    assert kinds["progress"].data == 100.0
    assert json.loads(kinds["result"].data)["job_id"] == finished.job_id
    told = PartialResult.model_validate_json(kinds["partial"].data)
    assert told.calls == finished.partial().calls
    ((execution,), (call,)) = finished.manifest().executions, told.calls
    assert [outcome.counts for outcome in call.outcomes] == list(execution.counts)


def test_exception_in_the_users_class_reaches_the_user(platform, tmp_path):
    path = write_workload(tmp_path, "        return 1 / (steps - steps)\n")
    job = submit(platform, path)
    with pytest.raises(WorkloadError, match="ZeroDivisionError") as caught:
        job.result(timeout=300)
    assert "return 1 / (steps - steps)" in caught.value.traceback_text
    assert "flows/workload.py" not in caught.value.traceback_text
    assert job.status() is JobState.FAILED


def test_cancelled_job_ends_and_is_recorded(platform, tmp_path):
    body = (
        "        from qiskit import QuantumCircuit\n"
        "        circuit = QuantumCircuit(1)\n"
        "        circuit.measure_all()\n"
        "        for step in self.iterations(100_000):\n"
        "            self.sampler.run([circuit], shots=10).result()\n"
    )
    job = submit(platform, write_workload(tmp_path, body))
    for record in job.watch(timeout=120):
        if record.progress.done > 0:
            break
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result(timeout=60)
    assert job.status() is JobState.CANCELLED


def test_every_circuit_has_options_of_its_own_and_a_wide_one_is_cut(platform):
    """One submission to the device, and one to the simulator that runs half of the cut circuit."""
    wide, small = QuantumCircuit(6, name="wide"), QuantumCircuit(2, name="small")
    wide.ry(0.6, range(6))
    small.ry(0.6, range(2))
    for qubit in range(5):
        wide.cx(qubit, qubit + 1)
    small.cx(0, 1)
    counted = small.measure_all(inplace=False)
    cut = 'CircuitCutting(partition=AAABBB,devices={"A": "statevector"})'
    stacks = [[cut, "ReadoutMitigation"], ["auto"], ["ZeroNoiseExtrapolation"], []]
    job = platform.run_circuits(
        [wide, small, small, counted],
        [["IIIIZZ", "ZIIIIZ"], ["ZZ"], ["ZZ"], None],
        backend="FakeLima",
        circuit_options=stacks,
        shots=20_000,
        seed=4,
    )
    answers = job.result(timeout=300)
    for answer, circuit, observables in zip(
        answers, (wide, small, small), (["IIIIZZ", "ZIIIIZ"], ["ZZ"], ["ZZ"]), strict=False
    ):
        exact = [
            np.real(Statevector(circuit).expectation_value(SparsePauliOp(observable)))
            for observable in observables
        ]
        # What FakeLima's noise leaves uncorrected, and a few standard errors.
        assert answer["expectation_values"][0] == pytest.approx(exact, abs=0.12)
        assert len(answer["raw_values"][0]) == len(observables)
        assert min(answer["std_errors"][0]) > 0
    executed = [answer["circuit_executions"] for answer in answers]
    assert min(executed[0], executed[2]) > 1
    assert executed[3] == 1
    manifest = job.manifest()
    assert manifest.execution_count == 2
    assert sorted(record.calibration is None for record in manifest.executions) == [False, True]
    assert {"CircuitCutting", "auto"} <= {note.option for note in manifest.diagnostics}
    assert manifest.estimate.circuit_factor > 2


def test_bad_input_is_refused_before_a_job_exists(platform, data_dir):
    with open_store(Settings(data_dir=data_dir).resolved_store_url) as store:
        before = len(Jobs(store).all(limit=1000))
        with pytest.raises(UnknownDevice, match="FakeKolkata"):
            platform.run_circuits(rotation(), ["ZZ"], [[0.1]], backend="FakeKolkatta")
        with pytest.raises(CircuitError, match="28 qubits"):
            platform.run_circuits(QuantumCircuit(28), ["Z" * 28], backend="FakeKolkata")
        with pytest.raises(OptionError, match="ReadoutMitigation"):
            platform.run_circuits(
                rotation(), ["ZZ"], [[0.1]], backend="FakeKolkata", options=["ReadoutMitigatio"]
            )
        assert len(Jobs(store).all(limit=1000)) == before


def test_circuit_that_the_device_cannot_run_as_given_spends_nothing(platform):
    circuit = QuantumCircuit(27, name="loose")
    circuit.cx(0, 26)  # not coupled
    circuit.measure_all()
    job = platform.run_circuits(circuit, backend="FakeKolkata", gate_for_gate=True)
    with pytest.raises(CircuitError, match="has no cx on qubits 0, 26"):
        job.result(timeout=300)
    assert job.status() is JobState.FAILED
    assert job.record().error.type == "CircuitError"


def test_a_failed_loop_that_is_resumed_goes_on_after_its_checkpoint(platform, tmp_path):
    """The work before the checkpoint is not done again, and random numbers go on from there."""
    mended, log = tmp_path / "mended", tmp_path / "steps.log"
    body = """
        import random
        from pathlib import Path
        from qiskit import QuantumCircuit
        circuit = QuantumCircuit(1)
        circuit.h(0)
        circuit.measure_all()
        state = self.restore() or {"step": 0, "seen": []}
        seen = list(state["seen"])
        for step in range(state["step"], 6):
            counts = self.sampler.run([circuit], shots=100).result()[0].data.meas.get_counts()
            seen.append([counts.get("0", 0), self.rng.random(), random.random()])
            with Path(LOG).open("a") as file:
                file.write(f"{step}\\n")
            if step == 4 and BROKEN and not Path(MENDED).exists():
                raise ValueError("not mended yet")
            if step == 2:
                self.checkpoint({"step": step + 1, "seen": seen})
        return seen
"""

    def source(*, broken):
        text = body.replace("BROKEN", str(broken)).replace("LOG", repr(str(log)))
        return text.replace("MENDED", repr(str(mended)))

    whole = submit(platform, write_workload(tmp_path, source(broken=False)), seed=8)
    undisturbed = whole.result(timeout=120)
    log.unlink()
    job = submit(platform, write_workload(tmp_path, source(broken=True)), seed=8)
    with pytest.raises(WorkloadError, match="not mended yet"):
        job.result(timeout=120)
    partial = job.partial()
    assert partial.finished == 5
    assert partial.checkpoint["step"] == 3
    mended.touch()
    job.resume()
    assert job.result(timeout=120) == undisturbed
    assert log.read_text().split() == ["0", "1", "2", "3", "4", "3", "4", "5"]
    assert job.manifest().execution_count == 6
