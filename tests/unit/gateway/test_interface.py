"""What comes by the description of the interface, and beside it, is answered as it says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.app import create_app
from qcpaas.scheduling import Role
from qcpaas.schemas import ErrorReport

CHECKS: list[CheckFunction] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# A stream ends with its job; there is none here.
WITHOUT_END = {"job.events"}


@pytest.fixture
def app(open_platform: Callable[..., Any]) -> FastAPI:
    return create_app(open_platform(requests_a_minute=1_000_000))


def probe(app: FastAPI, token: str, examples: int) -> None:
    """Send every operation what its description allows, and what it does not."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.definition.raw["operationId"] in WITHOUT_END:
            continue

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answered(case: schemathesis.Case) -> None:
            response = case.call(headers={"Authorization": f"Bearer {token}"})
            assert response.status_code != 500, response.text
            case.validate_response(response, checks=CHECKS)
            if response.status_code >= 400:
                ErrorReport.model_validate_json(response.content)

        answered()


def test_the_interface_answers_as_described(app, token_of):
    probe(app, token_of("root", Role.ADMINISTRATOR), examples=2)


@pytest.mark.slow
def test_the_interface_answers_as_described_to_many_requests(app, token_of):
    logging.getLogger("gateway").setLevel(logging.ERROR)
    probe(app, token_of("root", Role.ADMINISTRATOR), examples=100)


def test_every_operation_has_a_name_of_its_own(app):
    told = app.openapi()
    names = [each["operationId"] for path in told["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
    assert all(name.count(".") == 1 for name in names), names
