import numpy as np
import pytest
import rustworkx as rx
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit

from calibration.beam import likely_placements
from calibration.embedding import Embeddings, Fit, connected_parts
from calibration.pattern import Pattern
from calibration.template import Template
from calibration.trie import Costs, Trie, every_placement
from store.compiled import CompiledCache
from store.couplers import Couplers
from store.database import open_store

PLENTY = 1_000_000


def square(rows, columns):
    across = [
        (r * columns + c, r * columns + c + 1) for r in range(rows) for c in range(columns - 1)
    ]
    down = [
        (r * columns + c, (r + 1) * columns + c) for r in range(rows - 1) for c in range(columns)
    ]
    return Couplers.of(rows * columns, across + down)


def heavy_hex(distance):
    graph = rx.generators.heavy_hex_graph(distance)
    return Couplers.of(graph.num_nodes(), graph.edge_list())


def chain(length):
    return Pattern(length, tuple((q, q + 1) for q in range(length - 1)))


def ring(length):
    return Pattern(length, tuple(sorted([*chain(length).edges, (0, length - 1)])))


def pattern_of(couplers, qubits):
    """The couplers among some qubits, numbered by their place."""
    number = {qubit: place for place, qubit in enumerate(qubits)}
    pairs = [(number[a], number[b]) for a, b in couplers.pairs if a in number and b in number]
    return Pattern(len(qubits), tuple(sorted((min(p), max(p)) for p in pairs)))


def grown(couplers, size, rng):
    """Connected qubits, found one by one."""
    found = [int(rng.integers(couplers.num_qubits))]
    while len(found) < size:
        around = {int(couplers.second[e]) for q in found for e in couplers.out[q] if e >= 0} - set(
            found
        )
        found.append(int(rng.choice(sorted(around))))
    return found


def rows_of(trie, pattern, couplers):
    return list(map(tuple, trie.rows(pattern, couplers, np.arange(len(trie))).T.tolist()))


def by_vf2(pattern, couplers):
    wanted, device = rx.PyGraph(), rx.PyGraph()
    wanted.add_nodes_from(range(pattern.size))
    wanted.add_edges_from_no_data(list(pattern.edges))
    device.add_nodes_from(range(couplers.num_qubits))
    device.add_edges_from_no_data(couplers.pairs)
    mappings = rx.graph_vf2_mapping(device, wanted, subgraph=True, induced=False, id_order=False)
    for mapping in mappings:
        place = {node: qubit for qubit, node in mapping.items()}
        yield tuple(place[node] for node in range(pattern.size))


MAPS = {
    "heavy hex 57": heavy_hex(5),
    "square 5x6": square(5, 6),
    "ring 9": Couplers.of(9, ring(9).edges),
}
PATTERNS = {
    "chain 2": chain(2),
    "chain 7": chain(7),
    "ring 4": ring(4),
    "ring 12": ring(12),
    "star": Pattern(4, ((0, 1), (0, 2), (0, 3))),
    "tree": Pattern(8, ((0, 1), (1, 2), (2, 3), (2, 4), (4, 5), (4, 6), (6, 7))),
    "brick": Pattern(6, ((0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (3, 5), (4, 5))),
    "ring with a tail": Pattern(6, ((0, 1), (0, 3), (1, 2), (2, 3), (3, 4), (4, 5))),
}


@pytest.mark.parametrize("device", MAPS)
@pytest.mark.parametrize("name", PATTERNS)
def test_the_placements_are_those_of_vf2(device, name):
    pattern, couplers = PATTERNS[name], MAPS[device]
    found = rows_of(every_placement(pattern, couplers, PLENTY, 2**28), pattern, couplers)
    expected = set(by_vf2(pattern, couplers))
    assert len(found) == len(expected)
    assert set(found) == expected


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 11), thin=st.booleans())
def test_the_placements_of_any_patch_are_those_of_vf2(seed, size, thin):
    """Patches with cycles and without, some with fewer couplers than the device has there."""
    rng = np.random.default_rng(seed)
    couplers = [heavy_hex(3), square(4, 5)][seed % 2]
    pattern = pattern_of(couplers, grown(couplers, size, rng))
    if thin:
        graph = rx.PyGraph()
        graph.add_nodes_from(range(size))
        graph.add_edges_from([(a, b, 1.0) for a, b in pattern.edges])
        tree = rx.minimum_spanning_tree(graph).edge_list()
        pattern = Pattern(size, tuple(sorted((min(p), max(p)) for p in tree)))
    trie = every_placement(pattern, couplers, PLENTY, 2**28)
    found = rows_of(trie, pattern, couplers)
    assert len(found) == len(set(found))
    assert set(found) == set(by_vf2(pattern, couplers))


@pytest.mark.parametrize("couplers", [heavy_hex(7), square(10, 10)], ids=["heavy hex", "square"])
def test_a_pattern_that_covers_the_device_fits_as_often_as_the_device_is_symmetric(couplers):
    pattern = Pattern(couplers.num_qubits, tuple(couplers.pairs))
    trie = every_placement(pattern, couplers, 1_000, 2**20)  # bytes: it never grows in the middle
    assert trie is not None
    everywhere = tuple(range(couplers.num_qubits))
    assert everywhere in rows_of(trie, pattern, couplers)
    assert len(trie) == {100: 8, 115: 2}[couplers.num_qubits]


def random_costs(pattern, couplers, seed):
    rng = np.random.default_rng(seed)
    return Costs(
        rng.normal(size=couplers.num_qubits),
        [rng.normal(size=len(couplers.first)) for _ in pattern.steps[1:]],
        [rng.normal(size=(len(s.back), len(couplers.first))) for s in pattern.steps[1:]],
    )


def sum_of(costs, pattern, couplers, row):
    total = costs.root[row[pattern.steps[0].node]]
    order = [step.node for step in pattern.steps]
    for place, step in enumerate(pattern.steps[1:]):
        total += costs.edge[place][couplers.number[row[order[step.parent]], row[step.node]]]
        for cost, other in zip(costs.back[place], step.back, strict=True):
            total += cost[couplers.number[row[order[other]], row[step.node]]]
    return total


@pytest.mark.parametrize("name", PATTERNS)
def test_scores_are_sums_over_qubits_and_couplers(name):
    pattern, couplers = PATTERNS[name], square(4, 5)
    trie = every_placement(pattern, couplers, PLENTY, 2**28)
    costs = random_costs(pattern, couplers, 7)
    expected = [sum_of(costs, pattern, couplers, row) for row in rows_of(trie, pattern, couplers)]
    np.testing.assert_allclose(trie.scores(costs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [*PATTERNS, "patch"])
def test_a_wide_search_finds_the_best_placement(name):
    couplers = square(5, 5)
    patch = pattern_of(couplers, grown(couplers, 14, np.random.default_rng(2)))
    pattern = PATTERNS.get(name, patch)
    trie = every_placement(pattern, couplers, PLENTY, 2**28)
    costs = random_costs(pattern, couplers, 3)
    home = np.array(rows_of(trie, pattern, couplers)[0])
    rows, scores = likely_placements(Fit(pattern, couplers, None), costs, home, 3_000)
    assert scores.max() == pytest.approx(trie.scores(costs).max())
    assert sum_of(costs, pattern, couplers, rows[:, scores.argmax()]) == pytest.approx(scores.max())
    assert set(map(tuple, rows.T.tolist())) <= set(rows_of(trie, pattern, couplers))


def test_a_narrow_search_keeps_the_way_home():
    """A chain through a whole row after row: hardly any beginning leads to an end."""
    couplers = square(6, 6)
    pattern = chain(36)
    home = np.array([r * 6 + (c if r % 2 == 0 else 5 - c) for r in range(6) for c in range(6)])
    costs = random_costs(pattern, couplers, 5)
    rows, _ = likely_placements(Fit(pattern, couplers, None), costs, home, 5)
    assert tuple(home) in set(map(tuple, rows.T.tolist()))


def test_too_many_placements_are_given_up():
    assert every_placement(chain(6), square(5, 5), 100, 2**28) is None
    assert every_placement(chain(6), square(5, 5), PLENTY, 10_000) is None


def test_a_pattern_without_a_place_has_none():
    trie = every_placement(ring(5), square(4, 4), PLENTY, 2**28)  # no odd cycles in a square map
    assert len(trie) == 0
    assert trie.rows(ring(5), square(4, 4), np.arange(0)).shape == (5, 0)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_trie_survives_its_bytes(name):
    trie = every_placement(PATTERNS[name], square(4, 5), PLENTY, 2**28)
    again = Trie.from_bytes(trie.to_bytes())
    pattern, couplers = PATTERNS[name], square(4, 5)
    assert rows_of(again, pattern, couplers) == rows_of(trie, pattern, couplers)
    costs = random_costs(pattern, couplers, 1)
    assert (again.scores(costs) == trie.scores(costs)).all()


def test_embeddings_are_found_once_for_all_processes(tmp_path, monkeypatch):
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    couplers, pattern = heavy_hex(3), chain(5)
    first = Embeddings(CompiledCache(store)).fit(pattern, couplers)
    monkeypatch.setattr("calibration.embedding.every_placement", None)  # must not be needed again
    second = Embeddings(CompiledCache(store)).fit(pattern, couplers)
    assert rows_of(second.trie, pattern, couplers) == rows_of(first.trie, pattern, couplers)


def test_memory_holds_what_was_used_last(monkeypatch):
    couplers = heavy_hex(3)
    embeddings = Embeddings(max_bytes=1)
    first = embeddings.fit(chain(3), couplers)
    assert embeddings.fit(chain(3), couplers) is first
    embeddings.fit(chain(4), couplers)
    assert embeddings.fit(chain(3), couplers) is not first


def test_another_device_has_embeddings_of_its_own():
    embeddings = Embeddings()
    for couplers in (square(2, 3), heavy_hex(3)):
        around = couplers.degree  # a chain of three is a qubit and two of its neighbours, in order
        assert len(embeddings.fit(chain(3), couplers).trie) == (around * (around - 1)).sum()


def test_parts_are_told_apart_largest_first():
    circuit = QuantumCircuit(6)
    circuit.cz(4, 1)
    circuit.cz(1, 5)
    circuit.cz(0, 3)
    parts = connected_parts(Template(circuit, tuple(range(6)), tuple(range(6))))
    assert [qubits for qubits, _ in parts] == [(1, 4, 5), (0, 3), (2,)]
    assert [pattern.edges for _, pattern in parts] == [((0, 1), (0, 2)), ((0, 1),), ()]
