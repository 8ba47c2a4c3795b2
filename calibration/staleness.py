"""Whether a binding still holds under a newer calibration."""

from __future__ import annotations

from dataclasses import dataclass

from qiskit import QuantumCircuit

from calibration.elements import NO_CORRECTIONS, Corrections, Element
from calibration.placement import Placer
from calibration.portfolio import Portfolio
from calibration.template import Template
from qcpaas.binding import BindingPolicy
from qcpaas.errors import CalibrationError
from qcpaas.execution import Binding
from store.snapshot import Snapshot

OUT_OF_ORDER = 10.0  # nats: nothing that works loses so much at one element


@dataclass(frozen=True)
class Assessment:
    """What a newer calibration means for a binding.

    Attributes:
        stale: Whether the policy's thresholds are passed.
        element_change: Largest loss of a used element, nats.
        gain: What the best placement promises above this one under the newer calibration, nats.
        reason: Both in words, with the element.
    """

    stale: bool
    element_change: float
    gain: float
    reason: str


def assess(
    placer: Placer,
    portfolio: Portfolio,
    binding: Binding,
    *,
    then: Snapshot,
    now: Snapshot,
    policy: BindingPolicy,
    corrections: Corrections = NO_CORRECTIONS,
    circuit: QuantumCircuit | None = None,
) -> Assessment:
    """Compare what a bound circuit was promised with what the newest calibration promises.

    Two things make a binding stale: a used element that lost more than the policy allows, and
    another placement that is better by more than it allows. Losses are looked at element by
    element, so that one that improved does not hide another one that broke.

    Args:
        portfolio: What was bound; ``binding.routing`` says which of its templates.
        then: The snapshot of the binding.
        circuit: As it will be executed, where gates were turned or added for its place.
    """
    template = portfolio.templates[binding.routing]
    physical = binding.physical_qubits
    used = template if circuit is None else Template.in_place(circuit, physical)
    before = placer.contributions(used, physical, then, corrections)
    after = placer.contributions(used, physical, now, corrections)
    element, change = _worst(before, after)
    try:
        best = placer.choose(portfolio, now, corrections)
    except CalibrationError:
        return Assessment(
            True, change, 0.0, f"{_named(element, change)}; no placement of it works any more"
        )
    gain = max(0.0, best.log_fidelity - placer.value(template, physical, now, corrections))
    stale = change > policy.max_element_change or gain > policy.min_gain
    moved = tuple(best.physical_qubits) != tuple(physical)
    better = f"another placement is better by {gain:.3g} nats" if moved else "it is still the best"
    return Assessment(stale, change, gain, f"{_named(element, change)}; {better}")


def _worst(
    before: dict[Element, float], after: dict[Element, float]
) -> tuple[Element | None, float]:
    """The element that lost most, and how much; 0 where none lost anything."""
    losses = {element: value - after.get(element, 0.0) for element, value in before.items()}
    if not losses:
        return None, 0.0
    element = max(losses, key=lambda each: losses[each])
    return element, max(0.0, losses[element])


def _named(element: Element | None, change: float) -> str:
    if element is None or change == 0.0:
        return "no used element lost anything"
    place = "-".join(map(str, element.qubits))
    what = {"two_qubit": "coupler", "one_qubit": "gates of qubit", "readout": "readout of qubit"}
    name = f"{what.get(element.kind, 'waiting of qubit')} {place}"
    return f"{name} is out of order" if change >= OUT_OF_ORDER else f"{name} lost {change:.3g} nats"
