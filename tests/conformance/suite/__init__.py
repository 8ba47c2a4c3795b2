"""The tests that every adapter passes; a test module of `tests/conformance` takes all of them.

They use the fixtures ``device`` and ``server`` of ``tests/conformance/conftest.py``.
"""

from conformance.suite.acceptance import TestAcceptance, TestLedger
from conformance.suite.calibration import TestCalibration
from conformance.suite.credentials import TestCredentials
from conformance.suite.jobs import TestJobs, TestLongJobs
from conformance.suite.limits import TestLimits
from conformance.suite.outages import TestAvailability, TestOperations, TestOutages
from conformance.suite.outcomes import TestEstimates, TestOutcomes
from conformance.suite.replies import TestReplies
from conformance.suite.sessions import TestReservations, TestSessions

__all__ = [
    "TestAcceptance",
    "TestAvailability",
    "TestCalibration",
    "TestCredentials",
    "TestEstimates",
    "TestJobs",
    "TestLedger",
    "TestLimits",
    "TestLongJobs",
    "TestOperations",
    "TestOutages",
    "TestOutcomes",
    "TestReplies",
    "TestReservations",
    "TestSessions",
]
