"""Execution options, as the workers offer them."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from gateway.answers import TheAnswers
from qcpaas.schemas import OptionInfo

router = APIRouter(prefix="/v1", tags=["options"])


@router.get("/options", name="option.list")
def options(answers: TheAnswers) -> Sequence[OptionInfo]:
    """Outermost first."""
    return answers.options()
