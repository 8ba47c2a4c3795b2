from __future__ import annotations

import pytest

from qcpaas.errors import PackingError
from qcpaas.needs import read_needs, unmet


def test_needs_are_brought_into_their_usual_spelling():
    assert read_needs(["torch >= 2.4", "My_Lab.tools"]) == ("torch>=2.4", "My_Lab.tools")


@pytest.mark.parametrize("text", ["torch >", "", "-r requirements.txt"])
def test_what_is_no_requirement_is_refused(text):
    with pytest.raises(PackingError, match="is no requirement"):
        read_needs([text])


def test_an_address_is_refused_since_nothing_is_installed_for_a_job():
    with pytest.raises(PackingError, match="names an address"):
        read_needs(["evil @ https://example.org/evil.whl"])


def test_names_match_however_they_are_spelt():
    assert unmet(["my_lab-tools>=1"], {"My.Lab.Tools": "1.2"}, "3.11.7") == []


def test_a_version_that_does_not_fit_is_told_with_the_one_there():
    assert unmet(["torch>=3"], {"torch": "2.5.1"}, "3.11.7") == [
        "the workload needs torch>=3; the worker has 2.5.1."
    ]


def test_a_version_of_no_form_fits_nothing():
    assert len(unmet(["lab>=3"], {"lab": "final-final"}, "3.11.7")) == 1
