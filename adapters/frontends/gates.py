"""Gates that several frameworks have under different names."""

from __future__ import annotations

from math import pi

from qiskit.circuit.library import (
    CPhaseGate,
    CXGate,
    HGate,
    MCPhaseGate,
    PhaseGate,
    RGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZZGate,
    SwapGate,
    XGate,
    iSwapGate,
)

from adapters.frontends.bodies import Body, one, steps
from adapters.frontends.expressions import Angle

ROTATIONS = {"x": RXGate, "y": RYGate}
COUPLINGS = {"xx": RXXGate, "yy": RYYGate, "zz": RZZGate}


def pauli_power(axis: str, exponent: Angle) -> Body:
    """``P**t`` for one Pauli matrix or a product of two equal ones: 1 and ``exp(i pi t)``."""
    if axis == "z":
        return one(PhaseGate(pi * exponent))
    gate = (ROTATIONS | COUPLINGS)[axis](pi * exponent)
    return one(gate, pi * exponent / 2)


def hadamard_power(exponent: Angle) -> Body:
    turn, back = RYGate(pi / 4), RYGate(-pi / 4)
    middle = RXGate(pi * exponent)
    return steps(1, (turn, (0,)), (middle, (0,)), (back, (0,)), phase=pi * exponent / 2)


def controlled_z_power(exponent: Angle, controls: int = 1) -> Body:
    if controls == 1:
        return one(CPhaseGate(pi * exponent))
    return one(MCPhaseGate(pi * exponent, controls))


def controlled_x_power(exponent: Angle, controls: int = 1) -> Body:
    """The last qubit is the target."""
    middle = controlled_z_power(exponent, controls).steps[0]
    target = (HGate(), (controls,))
    return steps(controls + 1, target, middle, target)


def swap_power(exponent: Angle) -> Body:
    outer = (CXGate(), (0, 1))
    inner = tuple(
        (gate, tuple(1 - p for p in places)) for gate, places in controlled_x_power(exponent).steps
    )
    return steps(2, outer, *inner, outer)


def exchange(angle: Angle) -> Body:
    """``exp(i angle (XX + YY) / 4)``: iSWAP for pi, XY of Quil and Braket, IsingXY."""
    if isinstance(angle, float) and angle == pi:
        return one(iSwapGate())
    return steps(2, (RXXGate(-angle / 2), (0, 1)), (RYYGate(-angle / 2), (0, 1)))


def fermionic_simulation(theta: Angle, phi: Angle) -> Body:
    """Cirq's FSim: exchange by theta, then the phase ``-phi`` of 11."""
    both = exchange(-2 * theta).steps
    return steps(2, *both, (CPhaseGate(-phi), (0, 1)))


def phase_swap(angle: Angle) -> Body:
    """SWAP with ``exp(i angle)`` on what was exchanged."""
    parity = (CXGate(), (0, 1))
    return steps(2, (SwapGate(), (0, 1)), parity, (PhaseGate(angle), (1,)), parity)


def phase_of(outcome: str, angle: Angle) -> Body:
    """``exp(i angle)`` on one basis state of two qubits, the first qubit written first."""
    flips = tuple((XGate(), (place,)) for place, bit in enumerate(outcome) if bit == "0")
    return steps(2, *flips, (CPhaseGate(angle), (0, 1)), *flips)


def turned_x(angle: Angle, axis: Angle) -> Body:
    """A rotation about an axis in the plane of X and Y, ``axis`` from X."""
    return one(RGate(angle, axis))


def ion_trap(angle: Angle) -> Body:
    """GPi: X turned by ``angle`` about Z."""
    return steps(1, (RGate(pi, angle), (0,)), phase=pi / 2)


def molmer_sorensen(first: Angle, second: Angle, angle: Angle) -> Body:
    """Braket's MS: XX by ``angle`` with each qubit's axis turned in the plane."""
    before = ((RZGate(-first), (0,)), (RZGate(-second), (1,)))
    after = ((RZGate(first), (0,)), (RZGate(second), (1,)))
    return steps(2, *before, (RXXGate(angle), (0, 1)), *after)


def euler(first: Angle, middle: Angle, last: Angle) -> Body:
    """Rotations about Z, Y and Z, in the order of time."""
    return steps(1, (RZGate(first), (0,)), (RYGate(middle), (0,)), (RZGate(last), (0,)))
