"""Errors keep their class, their message and the user's own lines across a process boundary."""

from pathlib import Path

import pytest

from qcpaas import errors
from qcpaas.reports import rebuild, report_error
from qcpaas.schemas import Bundle, ErrorReport
from qcpaas.unpacking import loaded

SOURCE = """\
from qcpaas.worker import RuntimeWorkerBase
from qcpaas.errors import CircuitError
import helper

class Work(RuntimeWorkerBase):
    def run(self, own=False):
        if own:
            raise CircuitError("too wide")
        return helper.divide(1)  # here
"""
HELPER = "def divide(x):\n    return x / 0\n"


def raised(**inputs):
    with loaded(Bundle(entry="lab:Work", modules={"lab": SOURCE, "helper": HELPER})) as work:
        try:
            work.run(object.__new__(work), **inputs)
        except Exception as error:  # noqa: BLE001  whatever the workload raises
            return error
    raise AssertionError


def all_errors(kind=errors.QCPaaSError):
    """Those of the tree; other modules may have derived more."""
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(found for child in children for found in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_of_the_tree_comes_back_as_itself(kind):
    again = rebuild(report_error(kind("a message")))
    assert type(again) is kind
    assert str(again) == "a message"


def test_an_error_derived_elsewhere_comes_back_as_the_one_that_it_comes_from():
    class Derived(errors.MalformedReply):
        pass

    assert type(rebuild(report_error(Derived("a message")))) is errors.MalformedReply


def test_users_exception_becomes_a_workload_error_with_the_users_lines_only():
    report = report_error(raised())
    assert report.type == "WorkloadError"
    assert report.message == "ZeroDivisionError: division by zero"
    lines = report.traceback_text.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "lab.py", line 9, in run',
        "    return helper.divide(1)  # here",
    ]
    assert '  File "helper.py", line 2, in divide' in lines
    assert "_qcpaas" not in report.traceback_text
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "test_reports" not in report.traceback_text


def test_lines_of_the_platform_are_left_out_between_and_below_the_users():
    source = (
        "import json\n"
        "from qcpaas.worker import RuntimeWorkerBase\n"
        "class Work(RuntimeWorkerBase):\n"
        "    def run(self, what):\n"
        "        if what == 'import':\n"
        "            import helper\n"
        "        if what == 'library':\n"
        "            json.loads('{')\n"
        "        self.log.info('a platform attribute, without a platform')\n"
    )
    modules = {"lab": source, "helper": "import absent_module\n"}
    with loaded(Bundle(entry="lab:Work", modules=modules)) as work:
        told = {}
        for what in ("import", "library", "platform"):
            try:
                work.run(object.__new__(work), what)
            except Exception as error:  # noqa: BLE001  whatever the workload raises
                told[what] = report_error(error).traceback_text
    files = {
        what: [Path(line.split('"')[1]).name for line in text.splitlines() if 'File "' in line]
        for what, text in told.items()
    }
    assert files["import"] == ["lab.py", "helper.py"]
    assert files["library"] == ["lab.py", "__init__.py", "decoder.py", "decoder.py"]
    assert files["platform"] == ["lab.py"]


def test_modules_are_named_as_the_user_names_them():
    error = errors.WorkloadError(
        "module '_qcpaas_workload_1a_2b.lab.fit' has no attribute 'x'",
        'File "_qcpaas_workload_1a_2b/lab/fit.py", line 3',
    )
    report = report_error(error)
    assert report.message == "module 'lab.fit' has no attribute 'x'"
    assert report.traceback_text == 'File "lab/fit.py", line 3'


def test_our_error_raised_by_the_user_keeps_its_class_and_shows_where():
    report = report_error(raised(own=True))
    assert (report.type, report.message) == ("CircuitError", "too wide")
    assert 'File "lab.py", line 8' in report.traceback_text


@pytest.mark.parametrize("kind", [errors.JobHeld, errors.JobCancelled])
def test_what_stops_a_job_from_outside_has_no_traceback(kind):
    source = SOURCE.replace("CircuitError", kind.__name__)
    bundle = Bundle(entry="lab:Work", modules={"lab": source, "helper": HELPER})
    with loaded(bundle) as work, pytest.raises(kind) as caught:
        work.run(object.__new__(work), own=True)
    assert report_error(caught.value) == ErrorReport(type=kind.__name__, message="too wide")


def test_rebuilt_workload_error_carries_the_traceback():
    again = rebuild(report_error(raised()))
    assert isinstance(again, errors.WorkloadError)
    assert "lab.py" in again.traceback_text
    assert "lab.py" in "".join(again.__notes__)


def test_exception_outside_the_users_code_is_a_failed_job():
    try:
        {}[1]
    except KeyError as error:
        report = report_error(error)
    assert report.type == "JobFailed"
    assert "test_reports.py" in report.traceback_text


@pytest.mark.parametrize("name", ["Unheard", "nearest", "annotations"])
def test_unknown_class_comes_back_as_a_failed_job_that_names_it(name):
    again = rebuild(ErrorReport(type=name, message="what"))
    assert type(again) is errors.JobFailed
    assert str(again) == f"{name}: what"
