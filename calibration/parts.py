"""Compile a circuit part by part, so that a change in one leaves the others compiled.

The first part is compiled several times over, as a circuit by itself; each further one from where
the part before has left the qubits. What stands between two marks of `qcpaas.parts` is found again
by its content and by where its qubits come in: a new ending costs its own compilation alone, a new
part in the middle also that of what follows where it leaves the qubits elsewhere.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import rustworkx as rx
from qiskit import QuantumCircuit
from qiskit.transpiler import PassManager, Target
from qiskit.transpiler.passes import Optimize1qGatesDecomposition

from adapters.compiler_stages import compiling
from adapters.target import restrict
from calibration.portfolio import (
    BAD_BYTES,
    Portfolio,
    best_few,
    check_fits,
    compile_portfolio,
    length,
    portfolio_key,
    route,
)
from calibration.template import IGNORED, Template, leaves, without_qubits
from qcpaas.parts import split
from store.compiled import Codec, CompiledCache

SEEDS = (11, 23, 47)
PREFIXES = 2  # routings of the first part that are carried on; each costs the later parts again
SLACK = 2  # qubits to turn round in, besides a quarter more
PORTFOLIOS = Codec(Portfolio.to_bytes, Portfolio.from_bytes, BAD_BYTES)
TEMPLATES = Codec(Template.to_bytes, Template.from_bytes, BAD_BYTES)

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Joined:
    """A circuit's routings, and how many compilations they took.

    Attributes:
        compiled: Parts that were compiled now, once for each routing that they continue.
        reused: Those that were there already.
    """

    templates: tuple[Template, ...]
    compiled: int
    reused: int


def compile_parts(
    circuit: QuantumCircuit, target: Target, topology_id: str, cache: CompiledCache
) -> Joined:
    """Compile what no circuit with the same parts has had compiled before.

    Args:
        target: The topology's, as for `compile_portfolio`.

    Raises:
        CircuitError: A part cannot be translated to the device's gates.
    """
    check_fits(circuit, target)
    compiled: list[str] = []
    first, *later = split(circuit)
    key = portfolio_key(first, topology_id, "first part")

    def begin() -> Portfolio:
        compiled.append(key)
        return _beginning(first, target, key)

    chains = [[routing] for routing in cache.obtain(key, begin, PORTFOLIOS).templates[:PREFIXES]]
    for part in later:
        for chain in chains:
            incoming = tuple(chain[-1].home[place] for place in chain[-1].positions)
            key = portfolio_key(part, topology_id, "part", incoming, SEEDS)

            def go_on() -> Template:
                compiled.append(key)  # noqa: B023  called at once
                return _route_from(part, target, incoming)  # noqa: B023

            chain.append(cache.obtain(key, go_on, TEMPLATES))
    reused = 1 + len(chains) * len(later) - len(compiled)
    log.info("%s: %d parts compiled, %d found", circuit.name, len(compiled), reused)
    templates = best_few([_join(chain, circuit, target) for chain in chains])
    return Joined(templates, len(compiled), reused)


def _beginning(first: QuantumCircuit, target: Target, key: str) -> Portfolio:
    """Routings of the first part, its qubits near each other also where it leaves them alone.

    Compiled by itself, qubits that it does not connect could lie far apart, and the next part
    would have to bring them together.
    """
    if _is_connected(first):
        return compile_portfolio(first, target, key)
    near = _neighbourhood(target, min(target.num_qubits, 5 * first.num_qubits // 4 + SLACK))
    portfolio = compile_portfolio(first, restrict(target, near), key)
    templates = [
        replace(template, home=tuple(near[qubit] for qubit in template.home))
        for template in portfolio.templates
    ]
    return replace(portfolio, templates=tuple(templates))


def _is_connected(circuit: QuantumCircuit) -> bool:
    graph = rx.PyGraph()
    graph.add_nodes_from(range(circuit.num_qubits))
    for operation, qubits, _ in leaves(circuit):
        if operation.name not in IGNORED:
            graph.add_edges_from_no_data(list(itertools.pairwise(qubits)))
    return bool(rx.is_connected(graph))


def _neighbourhood(target: Target, size: int) -> list[int]:
    """So many qubits around the middle of the device, in ascending order."""
    graph = target.build_coupling_map().graph.to_undirected(multigraph=False)
    parts = sorted(rx.connected_components(graph), key=len)
    largest = graph.subgraph(sorted(parts[-1]))
    numbers = sorted(parts[-1])
    if len(numbers) < size:
        return list(range(target.num_qubits))
    reach = rx.distance_matrix(largest).max(axis=1)
    middle = int(reach.argmin())
    distances = rx.distance_matrix(largest)[middle]
    return sorted(numbers[index] for index in np.argsort(distances, kind="stable")[:size])


def _route_from(part: QuantumCircuit, target: Target, incoming: Sequence[int]) -> Template:
    """The shortest routing from where the qubits are."""
    found = []
    for seed in SEEDS:
        routing = route(part, target, seed, incoming)
        found.append(routing.template)
        if not routing.moved:
            break
    return min(found, key=length)


def _join(chain: Sequence[Template], circuit: QuantumCircuit, target: Target) -> Template:
    """One template of the routed parts, 1-qubit gates across their seams made one."""
    routed = without_qubits(circuit, target.num_qubits)
    routed.global_phase = 0  # its parts have it
    parameters = {parameter.name: parameter for parameter in circuit.parameters}
    for part in chain:
        # Read from the store, a part has parameters of its own with the same names.
        renewed = {
            parameter: parameters[parameter.name]
            for parameter in part.circuit.parameters
            if parameter != parameters[parameter.name]
        }
        piece = part.circuit.assign_parameters(renewed) if renewed else part.circuit
        routed.compose(piece, part.home, range(circuit.num_clbits), inplace=True)
    with compiling():
        routed = PassManager([Optimize1qGatesDecomposition(target=target)]).run(routed)
    last = chain[-1]
    return Template.compact(routed, [last.home[place] for place in last.positions])
