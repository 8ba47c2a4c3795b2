"""Gates whose angle a device takes in a range only."""

from __future__ import annotations

from collections.abc import Iterable

from qiskit.circuit import Parameter, ParameterExpression

from adapters.contract import Capabilities
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Experiment

_ROUNDING = 1e-9  # rad


def check_angles(experiment: Experiment, device: str, capabilities: Capabilities) -> None:
    """Refuse angles outside `Capabilities.angle_ranges`, at any of the experiment's points.

    Raises:
        SubmissionRefused: With the gate, its angle and the range.
    """
    ranges, circuit = capabilities.angle_ranges, experiment.circuit
    for item in circuit.data if ranges else ():
        if item.operation.name not in ranges:
            continue
        low, high = ranges[item.operation.name]
        for row in experiment.parameter_values:
            angle = _value(item.operation.params[0], circuit.parameters, row)
            if not low - _ROUNDING <= angle <= high + _ROUNDING:
                raise SubmissionRefused(
                    f"circuit {circuit.name} has {item.operation.name} by {angle:.6g} rad; "
                    f"{device} takes {low:.6g} to {high:.6g}. Write it with another angle."
                )


def _value(angle: object, parameters: Iterable[Parameter], row: Iterable[float]) -> float:
    if not isinstance(angle, ParameterExpression):
        return float(angle)  # type: ignore[arg-type]
    known = angle.parameters
    return float(angle.bind({p: v for p, v in zip(parameters, row, strict=True) if p in known}))
