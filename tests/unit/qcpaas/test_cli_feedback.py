"""``qcpaas feedback`` over a platform in memory."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from qcpaas import RuntimeProvider
from qcpaas.binding import FeedbackReport, LearntFactor, Observation
from qcpaas.cli import app

NOW = datetime.now(UTC)
SEEN = Observation(
    job_id="j-1", observed_at=NOW - timedelta(days=5), log_fidelity=-0.5, std_error=0.02,
    predicted=-0.2, source="echo",
)  # fmt: skip
FACTORS = [
    LearntFactor(kind="two_qubit", qubits=(3, 5), factor=4.0, log_std_error=0.25),
    LearntFactor(kind="readout", qubits=(7,), factor=0.8, log_std_error=0.2),
]
REPORT = FeedbackReport(
    device="FakeKolkata", observations=12, updated_at=SEEN.observed_at, factors=tuple(FACTORS),
    newest=(SEEN,),
)  # fmt: skip


@pytest.fixture
def qcpaas(platform):
    platform.asked = []

    def answering(name, report):
        def answer(*arguments):
            platform.asked.append((name, *arguments))
            return report

        return answer

    platform.feedback = answering("feedback", REPORT)
    platform.observe_fidelity = answering("observe", REPORT)
    platform.reset_feedback = answering("reset", FeedbackReport(device="FakeKolkata"))

    def invoke(*arguments):
        connect = lambda _: RuntimeProvider(transport=platform)  # noqa: E731
        return CliRunner(env={"COLUMNS": "120"}).invoke(app, list(arguments), obj=connect)

    return invoke


def test_factors_and_observations_are_shown_with_their_uncertainty(qcpaas, platform):
    done = qcpaas("feedback", "FakeKolkata")
    assert done.exit_code == 0, done.stderr
    assert platform.asked == [("feedback", "FakeKolkata")]
    assert "FakeKolkata: 12 fidelities observed, the last 5 days ago" in done.stdout
    (coupler,) = [line for line in done.stdout.splitlines() if "coupler" in line]
    assert "3-5" in coupler
    assert "4.00" in coupler
    assert "3.12 and 5.14" in coupler
    (seen,) = [line for line in done.stdout.splitlines() if "j-1" in line]
    assert "0.607 ± 0.012" in seen
    assert "0.819" in seen


def test_json_is_the_report_alone(qcpaas):
    done = qcpaas("feedback", "FakeKolkata", "--json")
    assert FeedbackReport.model_validate(json.loads(done.stdout)) == REPORT


def test_fidelity_of_a_job_is_handed_over(qcpaas, platform):
    done = qcpaas(
        "feedback", "FakeKolkata", "--job", "j-1", "--fidelity", "0.87", "--error", "0.02"
    )
    assert done.exit_code == 0, done.stderr
    assert platform.asked == [("observe", "j-1", 0.87, 0.02, "FakeKolkata")]


def test_reset_forgets_and_says_how_to_observe(qcpaas, platform):
    done = qcpaas("feedback", "FakeKolkata", "--reset")
    assert platform.asked == [("reset", "FakeKolkata")]
    assert "no fidelity was observed" in done.stdout
    assert "echo_rate" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--job", "j-1"], "--job, --fidelity and --error go together"),
        (["--fidelity", "0.9", "--error", "0.1"], "go together"),
        (
            ["--reset", "--job", "j-1", "--fidelity", "0.9", "--error", "0.1"],
            "--reset forgets, and --job adds",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(qcpaas, platform, arguments, reason):
    done = qcpaas("feedback", "FakeKolkata", *arguments)
    assert isinstance(done.exit_code, int)
    assert done.exit_code != 0
    assert reason in done.stderr
    assert platform.asked == []
