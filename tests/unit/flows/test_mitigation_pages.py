"""What an option's page says and draws."""

import base64
import re

from flows.mitigation_pages import section
from flows.plots import drawn
from qcpaas.execution import EnrichedExecutionBackend
from qcpaas.manifest import Diagnostic, Plot, Series


class Drawn(EnrichedExecutionBackend):
    """Shows a curve."""

    @classmethod
    def plots(cls, figures):
        curve = Series(label="measured", x=(1.0, 2.0), y=(0.9, figures["last"]), errors=(0.1, 0.1))
        line = Series(label="fitted", x=(0.0, 2.0), y=(1.0, 0.8), style="line")
        return (Plot(title="Decay", x_label="noise scale", series=(curve, line)),)

    def expand(self, experiments):
        raise NotImplementedError

    def reduce(self, context, outcomes):
        raise NotImplementedError


def test_a_section_has_the_figures_the_plot_and_the_warning():
    note = Diagnostic(
        option="Drawn", figures={"last": 0.8, "why": "a|b", "long": "x" * 200}, warning="do not"
    )
    page = section(note)
    assert "## Drawn" in page
    assert "> **Warning.** do not" in page
    assert "| last | 0.8 |" in page
    assert "a\\|b" in page
    assert "x" * 117 + "..." in page
    svg = base64.b64decode(re.search(r"base64,([\w+/=]+)", page)[1]).decode()
    assert "noise scale" in svg
    assert "measured" in svg


def test_an_option_that_is_not_here_any_more_keeps_its_figures():
    assert "| norm | 1.25 |" in section(Diagnostic(option="Gone", figures={"norm": 1.25}))


def test_a_matrix_is_drawn_with_its_labels():
    picture = drawn(Plot(title="Transfer", matrix=((1.0, 0.0), (0.2, 0.8)), labels=("II", "ZZ")))
    assert b"Transfer" in picture
    assert b"ZZ" in picture
