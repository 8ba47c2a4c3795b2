"""Plots for the pages, as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import rustworkx as rx

from calibration.placement import DeviceErrors
from store.snapshot import Snapshot

INK, ACCENT = "#334155", "#0f766e"


def curve(points: Sequence[tuple[float, float]], name: str) -> bytes:
    """A figure over the iterations."""
    import matplotlib  # noqa: F401 - whole before its parts: two threads may draw first at once
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    steps, values = np.array(points).T
    axes.plot(steps, values, color=ACCENT, linewidth=1.4)
    axes.set_xlabel("iteration")
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def device_map(snapshot: Snapshot, chosen: Sequence[int]) -> bytes:
    """The coupling map: couplers by 2-qubit error, qubits by readout error, chosen ones ringed."""
    import matplotlib  # noqa: F401 - whole before its parts: two threads may draw first at once
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    errors = DeviceErrors.of(snapshot)
    pairs = sorted(
        {
            (min(qubits), max(qubits))
            for places in snapshot.gates.values()
            for qubits in places
            if len(qubits) == 2
        }
    )
    where = _positions(snapshot.num_qubits, pairs)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    colour = ScalarMappable(LogNorm(1e-3, 1e-1), "viridis_r")
    for first, second in pairs:
        ends = np.array([where[first], where[second]])
        shade = colour.to_rgba(np.clip(errors.two_qubit[first, second], 1e-3, 1e-1))
        axes.plot(*ends.T, color=shade, linewidth=4, zorder=1)
    readout = np.clip(errors.readout, 1e-3, 1e-1)
    axes.scatter(
        where[:, 0], where[:, 1], c=colour.to_rgba(readout), s=260, edgecolors=INK, zorder=2
    )
    ringed = where[sorted(set(chosen))]
    axes.scatter(
        ringed[:, 0], ringed[:, 1], s=420, facecolors="none", edgecolors="#dc2626", linewidths=2.5
    )
    for qubit, (x, y) in enumerate(where):
        axes.annotate(str(qubit), (x, y), ha="center", va="center", fontsize=8, color="white")
    figure.colorbar(colour, ax=axes, label="2-qubit error (couplers), readout error (qubits)")
    axes.set_axis_off()
    return _svg(figure)


def _positions(num_qubits: int, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Coordinates that keep coupled qubits together, the same at every call."""
    graph = rx.PyGraph()
    graph.add_nodes_from(range(num_qubits))
    graph.add_edges_from_no_data(list(pairs))
    steps = rx.graph_floyd_warshall_numpy(graph, weight_fn=lambda _: 1.0)
    far = np.where(np.isfinite(steps), steps, steps[np.isfinite(steps)].max(initial=1.0) + 1)
    # Classical multidimensional scaling of the hop distances: no random start, no iteration.
    centring = np.eye(num_qubits) - 1 / num_qubits
    values, vectors = np.linalg.eigh(-0.5 * centring @ far**2 @ centring)
    return np.asarray(vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 1e-9)))[:, ::-1]


def _svg(figure: object) -> bytes:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()
