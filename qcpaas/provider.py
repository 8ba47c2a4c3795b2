"""The client: hands jobs to a platform and finds them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ValidationError

from qcpaas.binding import BindingPolicy, FeedbackReport
from qcpaas.calibration import (
    CalibrationDiff,
    CalibrationReport,
    CalibrationRun,
    Characterisation,
    Fit,
    Quantity,
    ValueHistory,
)
from qcpaas.calibration_changes import difference
from qcpaas.calibration_units import read_quantity
from qcpaas.checks import check_inputs, check_job
from qcpaas.devices import DeviceInfo
from qcpaas.errors import InputError
from qcpaas.jobs import RuntimeJob
from qcpaas.noise import NoiseReport
from qcpaas.scheduling import JobEstimate, Scheduling
from qcpaas.schemas import (
    CircuitJob,
    ExecutionSettings,
    JobRecord,
    OptionInfo,
    OptionSpec,
    Recovery,
    WorkloadJob,
    new_job_id,
)
from qcpaas.transport import Transport, embedded_transport

if TYPE_CHECKING:
    from pydantic import JsonValue, SecretStr

    from qcpaas.administration import Administration
    from qcpaas.circuit_items import CircuitLike, ObservableLike, OptionLike
    from qcpaas.operations import Operations
    from qcpaas.schemas import Bundle
    from qcpaas.worker import RuntimeWorkerBase


class RuntimeProvider:
    """A platform: the one inside this process, or a running one by its address.

    ```python
    with RuntimeProvider() as provider:
        job = provider.run(Ground, inputs={"steps": 50}, backend="FakeKolkata")
        print(job.result())
    ```
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | SecretStr | None = None,
        *,
        transport: Transport | None = None,
    ) -> None:
        self._transport = transport if transport is not None else _transport(url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def run(
        self,
        worker_class: type[RuntimeWorkerBase],
        inputs: Mapping[str, Any] | None = None,
        backend: str | None = None,
        options: Sequence[OptionLike] | None = None,
        shots: int | None = None,
        *,
        seed: int | None = None,
        exact: bool = False,
        gate_for_gate: bool = False,
        noise_model: Any = None,
        recovery: Recovery | None = None,
        max_calibration_age_s: float | None = None,
        binding: BindingPolicy | None = None,
        scheduling: Scheduling | None = None,
        name: str = "",
        bundle: Bundle | None = None,
    ) -> RuntimeJob:
        """Submit a workload.

        Args:
            worker_class: Packed as source with the local modules that it imports.
            inputs: Keyword arguments of its ``run``, JSON.
            backend: Device; the class's ``backend_name`` unless given. Where neither names one, a
                running platform chooses.
            options: Outermost first; the class's own unless given.
            shots: For each circuit and point; the class's own unless given.
            seed: Root of every random choice; drawn unless given.
            exact: Expectation values without shot noise, where the device can give them.
            gate_for_gate: Run circuits as given on the qubits as numbered, uncompiled.
            noise_model: An Aer ``NoiseModel``, or its dictionary, in place of the twin's noise.
            recovery: Decisions for going on after an interruption.
            max_calibration_age_s: A device that reported its calibration longer ago is asked again
                before a circuit is bound.
            binding: When a placement is given up for a newer calibration's.
            scheduling: Priority, deadline, and where it may run, on a platform of many users.
            bundle: The class already packed.

        Raises:
            InputError: The job cannot run as asked; nothing was spent.
            PlatformUnavailable: There is no platform at that address.
        """
        from qcpaas.packing import pack

        given = check_inputs(worker_class, inputs or {})
        execution = _settings(
            backend=worker_class.backend_name if backend is None else backend,
            options=worker_class.options if options is None else options,
            shots=worker_class.shots if shots is None else shots,
            seed=seed,
            exact=exact,
            gate_for_gate=gate_for_gate,
            noise_model=noise_model,
            recovery=recovery,
            max_calibration_age_s=max_calibration_age_s,
            binding=binding,
        )
        names = [option.name for option in execution.options]
        job = WorkloadJob(
            name=name or worker_class.__name__,
            execution=execution,
            scheduling=scheduling or Scheduling(),
            bundle=bundle or pack(worker_class, also=names),
            inputs=given,
        )
        return self.submit(job)

    def run_circuits(
        self,
        circuits: CircuitLike | Sequence[CircuitLike],
        observables: ObservableLike | Sequence[Any] | None = None,
        parameter_values: Any = None,
        backend: str = "",
        options: Sequence[OptionLike] = (),
        *,
        shots: int = 4096,
        seed: int | None = None,
        circuit_options: Sequence[Sequence[OptionLike] | None] | None = None,
        circuit_shots: Sequence[int | None] | None = None,
        exact: bool = False,
        gate_for_gate: bool = False,
        noise_model: Any = None,
        recovery: Recovery | None = None,
        max_calibration_age_s: float | None = None,
        binding: BindingPolicy | None = None,
        scheduling: Scheduling | None = None,
        name: str = "",
    ) -> RuntimeJob:
        """Submit circuits; `qcpaas.circuit_items.circuit_items` says what they may look like.

        Args:
            backend: Device; a running platform chooses one unless given.
            gate_for_gate: Run the gates as given on the qubits as numbered, uncompiled.
            recovery: Decisions for going on after an interruption.
            max_calibration_age_s: A device that reported its calibration longer ago is asked again
                before a circuit is bound.
            binding: When a placement is given up for a newer calibration's.
            scheduling: Priority, deadline, and where it may run, on a platform of many users.

        Raises:
            InputError: The job cannot run as asked; nothing was spent.
            PlatformUnavailable: There is no platform at that address.
        """
        from qcpaas.circuit_items import circuit_items

        items = circuit_items(
            circuits, observables, parameter_values, circuit_options, circuit_shots
        )
        execution = _settings(
            backend=backend,
            options=options,
            shots=shots,
            seed=seed,
            exact=exact,
            noise_model=noise_model,
            gate_for_gate=gate_for_gate,
            recovery=recovery,
            max_calibration_age_s=max_calibration_age_s,
            binding=binding,
        )
        first = items[0].circuit.name or "circuit"
        label = first if len(items) == 1 else f"{first} and {len(items) - 1} more"
        job = CircuitJob(
            name=name or label,
            execution=execution,
            scheduling=scheduling or Scheduling(),
            items=items,
        )
        return self.submit(job)

    def submit(self, job: CircuitJob | WorkloadJob) -> RuntimeJob:
        """Check a job against what the workers have, and schedule it."""
        check_job(job, self._transport.environment())
        return RuntimeJob(self._transport.submit(job).job_id, self._transport)

    def estimate(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[str] = (),
        *,
        fault_tolerant: bool = False,
    ) -> Sequence[JobEstimate]:
        """What a job would take on each device; nothing is submitted, and nothing of it is run.

        Args:
            devices: Every one that can run it where empty, without ideal simulators.
            fault_tolerant: Also on an error-corrected machine, which takes a second a circuit.
        """
        return self._transport.estimates(job, devices, fault_tolerant=fault_tolerant)

    def rerun(self, job_id: str) -> RuntimeJob:
        """Repeat a finished job from its manifest, with its seed and its calibration.

        Raises:
            UnknownJob: The platform has no such job.
            NotReady: It is unfinished.
        """
        manifest = self._transport.result(job_id).manifest
        changed: dict[str, Any] = {"recovery": Recovery()}  # what was decided for that run alone
        if manifest.calibrations:
            changed["snapshot_id"] = manifest.calibrations[0].snapshot_id
        execution = manifest.job.execution.model_copy(update=changed)
        again = {"job_id": new_job_id(), "repeats": job_id, "execution": execution}
        return self.submit(manifest.job.model_copy(update=again))

    def resume(
        self,
        job_id: str,
        *,
        resubmit: bool = False,
        adopt: str | None = None,
        divergence: Literal["fail", "continue"] | None = None,
    ) -> RuntimeJob:
        """Let a job go on from where it was; `RuntimeJob.resume` says more."""
        job = RuntimeJob(job_id, self._transport)
        return job.resume(resubmit=resubmit, adopt=adopt, divergence=divergence)

    def job(self, job_id: str) -> RuntimeJob:
        """Find a job again; raises `UnknownJob`."""
        self._transport.job(job_id)
        return RuntimeJob(job_id, self._transport)

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        """The newest first."""
        return self._transport.jobs(limit)

    def devices(self) -> Sequence[DeviceInfo]:
        return self._transport.devices()

    @property
    def administration(self) -> Administration:
        """Adds and removes devices, and the credentials that open them."""
        return self._transport.administration()

    @property
    def operations(self) -> Operations:
        """Users, reservations, workers and usage of a platform of many people.

        Raises:
            PlatformUnavailable: This is the platform of one process.
        """
        return self._transport.operations()

    def options(self) -> Sequence[OptionInfo]:
        return self._transport.options()

    def calibration(self, device: str, at: datetime | None = None) -> CalibrationReport:
        """What is known of a device, or was known at a moment.

        Raises:
            UnknownDevice: The platform has no such device.
            CalibrationError: It has no calibration, or had none by then.
        """
        return self._transport.calibration(device, at)

    def calibration_changes(
        self, device: str, before: datetime, after: datetime | None = None
    ) -> CalibrationDiff:
        """What changed between two moments, the second of which is now unless given."""
        then = self._transport.calibration(device, before)
        return difference(then, self._transport.calibration(device, after))

    def calibration_history(
        self,
        device: str,
        quantity: Quantity | str,
        *qubits: int,
        gate: str = "",
        since: datetime | None = None,
    ) -> ValueHistory:
        """One value over time, with its drift marks; empty where it was never reported.

        Args:
            qubits: One, or those that ``gate`` acts on in its order.
        """
        if not qubits:
            raise InputError("a history is of one element. Name its qubit, or a gate's qubits.")
        named = read_quantity(quantity)
        return self._transport.calibration_history(device, named, qubits, gate, since)

    def fits(self, device: str, limit: int = 50) -> Sequence[Fit]:
        """What protocols found, promoted or rejected, the newest first."""
        return self._transport.fits(device, limit)

    def calibrate(self, device: str, measured: Characterisation | None = None) -> CalibrationRun:
        """Renew a device's calibration, and return at once; `calibration_run` says how it goes.

        Args:
            measured: What to measure with protocols, instead of asking the device for what its
                vendor knows.
        """
        return self._transport.calibrate(device, measured)

    def calibration_run(self, run_id: str) -> CalibrationRun:
        return self._transport.calibration_run(run_id)

    def feedback(self, device: str) -> FeedbackReport:
        """What observed fidelities say about a device's calibration; `UnknownDevice`."""
        return self._transport.feedback(device)

    def observe_fidelity(
        self, job_id: str, fidelity: float, std_error: float, device: str | None = None
    ) -> FeedbackReport:
        """Learn from a fidelity that you know of a finished job's circuit.

        Args:
            fidelity: Above 0 and at most 1, as it was measured, readout errors included.
            std_error: Of ``fidelity``.
            device: Where the job is believed to have run; left out, wherever it did.

        Raises:
            InputError: The figures make no sense, the job ran several circuits, or elsewhere.
            UnknownJob: The platform has no such job.
            NotReady: It is unfinished.
            CalibrationError: It ran without a calibration.
        """
        return self._transport.observe_fidelity(job_id, fidelity, std_error, device)

    def reset_feedback(self, device: str) -> FeedbackReport:
        """Forget what was observed and learnt of a device."""
        return self._transport.reset_feedback(device)

    def learnt_noise(self, device: str) -> NoiseReport:
        """Noise of gate layers that jobs have learnt on a device; `UnknownDevice`."""
        return self._transport.learnt_noise(device)


def _transport(url: str | None, token: str | SecretStr | None) -> Transport:
    if url is None:
        from qcpaas.settings import Settings

        return embedded_transport(Settings())
    from qcpaas.gateway_transport import GatewayTransport

    return GatewayTransport(url, token)


def _settings(
    *,
    backend: str,
    options: Sequence[OptionLike],
    shots: int,
    seed: int | None,
    exact: bool,
    noise_model: Any,
    gate_for_gate: bool,
    recovery: Recovery | None,
    max_calibration_age_s: float | None,
    binding: BindingPolicy | None,
) -> ExecutionSettings:
    asked: dict[str, Any] = {
        "backend": backend,
        "options": tuple(OptionSpec.parse(option) for option in options),
        "shots": shots,
        "exact": exact,
        "gate_for_gate": gate_for_gate,
        "noise_model": _noise_model(noise_model),
        "recovery": recovery or Recovery(),
        "max_calibration_age_s": max_calibration_age_s,
        "binding": binding or BindingPolicy(),
    }
    if seed is not None:
        asked["seed"] = seed
    try:
        return ExecutionSettings.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(f"{name} is {first['input']!r}: {first['msg']}.") from error


def _noise_model(model: Any) -> dict[str, JsonValue] | None:
    if model is None or isinstance(model, dict):
        return model
    as_dictionary: dict[str, JsonValue] = model.to_dict(serializable=True)
    return as_dictionary
