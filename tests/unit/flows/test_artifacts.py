"""What is shown on Prefect's pages while Prefect's server is away."""

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.processes import free_port
from flows import artifacts
from qcpaas.errors import PlatformUnavailable
from qcpaas.schemas import ErrorReport


@pytest.mark.timeout(60)
def test_a_server_that_is_away_is_worth_another_try():
    away = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    report = ErrorReport(type="JobFailed", message="why")
    with temporary_settings(away), pytest.raises(PlatformUnavailable, match="does not answer"):
        artifacts.publish_error("one", report)
