"""Plots for the pages, as SVG."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qcpaas.manifest import Plot, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, ACCENT, ALARM, DRIFT = "#334155", "#0f766e", "#dc2626", "#ea580c"
COLORS = (ACCENT, DRIFT, INK, ALARM)


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
    return svg(figure)


def drawn(plot: Plot) -> bytes:
    """A plot of an option's diagnostics."""
    import matplotlib  # noqa: F401
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    if plot.matrix:
        _draw_matrix(figure, axes, plot)
    else:
        for series, color in zip(plot.series, itertools.cycle(COLORS), strict=False):
            _draw_series(axes, series, color)
        axes.grid(alpha=0.3)
        if len(plot.series) > 1:
            axes.legend(frameon=False)
        if plot.labels:
            axes.set_xticks(range(len(plot.labels)), plot.labels)
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    return svg(figure)


def _draw_matrix(figure: Figure, axes: Axes, plot: Plot) -> None:
    values = np.array(plot.matrix)
    most = float(np.abs(values).max(initial=0.0)) or 1.0
    image = axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most)
    figure.colorbar(image, ax=axes)
    if plot.labels:
        axes.set_xticks(range(values.shape[1]), plot.labels[: values.shape[1]])


def _draw_series(axes: Axes, series: Series, color: str) -> None:
    x, y = np.array(series.x), np.array(series.y)
    errors = np.array(series.errors) if series.errors else None
    if series.style == "bars":
        axes.bar(x, y, yerr=errors, color=color, alpha=0.8, label=series.label)
    elif series.style == "line":
        axes.plot(x, y, color=color, linewidth=1.4, label=series.label)
        if errors is not None:
            axes.fill_between(x, y - errors, y + errors, color=color, alpha=0.15)
    else:
        axes.errorbar(x, y, yerr=errors, fmt="o", color=color, capsize=2, label=series.label)


def svg(figure: Figure) -> bytes:
    """With text as text: letters drawn as outlines take several times the room."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue()
