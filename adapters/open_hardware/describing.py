"""What a device can do and how well, as the open hardware API's messages, and back."""

from __future__ import annotations

from datetime import datetime

from qiskit import qpy

from adapters.contract import Availability, Capabilities, DeviceSession, Window
from adapters.open_hardware.circuits import definitions, standard_names
from adapters.open_hardware.messages import (
    API_VERSION,
    Calibration,
    Description,
    GateShape,
    OpenWindow,
    Session,
    Status,
)
from qcpaas.errors import CalibrationError, MalformedReply
from store.calibrated_values import faults_of, to_readings, to_values
from store.snapshot import Snapshot

_MAX_QUBITS_OF_GATES = 100


def described(name: str, capabilities: Capabilities, shapes: dict[str, int]) -> Description:
    """What a device says of itself.

    Args:
        shapes: On how many qubits the gates of its calibration act, by name.
    """
    return Description(
        api=API_VERSION,
        name=name,
        num_qubits=capabilities.num_qubits,
        basis_gates=capabilities.basis_gates,
        own_gates=_own_gates(capabilities, shapes),
        gate_definitions=capabilities.gate_definitions,
        circuit_formats=("openqasm3", "qpy"),
        qpy_version=qpy.common.QPY_VERSION,
        max_shots=capabilities.max_shots,
        max_circuits=capabilities.max_circuits,
        max_points=capabilities.max_points,
        max_total_shots=capabilities.max_total_shots,
        equal_shots=capabilities.equal_shots,
        concurrent_jobs=capabilities.concurrent_jobs,
        rep_delay_s=capabilities.rep_delay_s,
        simulator=capabilities.simulator,
        exact=capabilities.exact,
        noise_models=capabilities.noise_models,
        estimates=capabilities.estimates,
        mid_circuit_measurement=capabilities.mid_circuit_measurement,
        control_flow=tuple(sorted(capabilities.control_flow)),
        angle_ranges=dict(capabilities.angle_ranges),
    )


def capabilities_of(told: Description) -> Capabilities:
    """What a description says; its jobs are kept, as the interface promises."""
    return Capabilities(
        num_qubits=told.num_qubits,
        basis_gates=told.basis_gates,
        max_shots=told.max_shots,
        max_circuits=told.max_circuits,
        max_points=told.max_points,
        max_total_shots=told.max_total_shots,
        equal_shots=told.equal_shots,
        simulator=told.simulator,
        exact=told.exact,
        noise_models=told.noise_models,
        concurrent_jobs=told.concurrent_jobs,
        rep_delay_s=told.rep_delay_s,
        keeps_jobs=True,
        token_lag_s=told.token_lag_s,
        control_flow=frozenset(told.control_flow),
        mid_circuit_measurement=told.mid_circuit_measurement,
        estimates=told.estimates,
        angle_ranges=told.angle_ranges,
        gate_definitions=told.gate_definitions,
    )


def _own_gates(capabilities: Capabilities, shapes: dict[str, int]) -> tuple[GateShape, ...]:
    defined = definitions(capabilities.gate_definitions)
    found = []
    for name in capabilities.basis_gates:
        if name in standard_names():
            continue
        if name in defined:
            body = defined[name]
            found.append(
                GateShape(name=name, num_qubits=body.num_qubits, num_params=body.num_parameters)
            )
        elif name in shapes:
            found.append(GateShape(name=name, num_qubits=shapes[name], num_params=0))
    return tuple(found)


def packed_calibration(snapshot: Snapshot) -> Calibration:
    """A snapshot as it is sent."""
    return Calibration(
        device=snapshot.device,
        num_qubits=snapshot.num_qubits,
        taken_at=snapshot.taken_at,
        dt_s=snapshot.dt_s,
        values=to_values(snapshot),
    )


def unpacked_calibration(told: Calibration, name: str) -> Snapshot:
    """The snapshot that was sent, under the name that the device has here.

    Raises:
        MalformedReply: A value is impossible, or has a moment without its offset.
    """
    _dated(told.taken_at)
    fault = next(faults_of(told.values, told.num_qubits), None)
    if fault is not None:
        raise MalformedReply(f"its calibration is impossible: {fault}.")
    try:
        return Snapshot.of(
            device=name,
            num_qubits=told.num_qubits,
            readings=to_readings(told.values),
            taken_at=told.taken_at,
            dt_s=told.dt_s,
        )
    except (CalibrationError, OverflowError, ValueError) as error:
        raise MalformedReply(f"its calibration is impossible: {error}") from error


def packed_availability(found: Availability, waiting: int) -> Status:
    """Args:
    waiting: Jobs in the server's own queue.
    """
    window = found.next_window
    return Status(
        online=found.online,
        queue_length=(found.queue_length or 0) + waiting,
        # What waits in the server's queue is not in the device's own estimate.
        queue_s=None if waiting else found.queue_s,
        message=found.message,
        next_window=None if window is None else packed_window(window),
    )


def unpacked_availability(told: Status) -> Availability:
    window = told.next_window
    return Availability(
        online=told.online,
        queue_length=told.queue_length,
        queue_s=told.queue_s,
        message=told.message,
        next_window=None if window is None else unpacked_window(window),
    )


def packed_window(window: Window) -> OpenWindow:
    return OpenWindow(
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        reservation_id=window.reservation_id,
        note=window.note,
    )


def unpacked_window(told: OpenWindow) -> Window:
    """Raises `MalformedReply` where it ends before it starts, or has no offset from UTC."""
    if _dated(told.ends_at) < _dated(told.starts_at):
        raise MalformedReply(f"a window starts at {told.starts_at} and ends at {told.ends_at}.")
    return Window(told.starts_at, told.ends_at, told.reservation_id, told.note)


def packed_session(session: DeviceSession) -> Session:
    return Session(
        session_id=session.session_id,
        expires_at=session.expires_at,
        max_idle_s=session.max_idle_s,
    )


def unpacked_session(told: Session) -> DeviceSession:
    if told.expires_at is not None:
        _dated(told.expires_at)
    return DeviceSession(told.session_id, told.expires_at, told.max_idle_s)


def _dated(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise MalformedReply(f"the moment {moment} has no offset from UTC.")
    return moment
