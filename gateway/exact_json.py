"""Replies in which every float is exactly what it was, those that are no number included."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Response
from pydantic import BaseModel
from pydantic_core import to_json


def exact(answer: BaseModel | Sequence[BaseModel], status_code: int = 200) -> Response:
    """A reply as `store.payloads` writes it.

    Left to itself pydantic writes ``null`` for NaN, and a client could not read its figure back.
    """
    if isinstance(answer, BaseModel):
        plain: object = answer.model_dump(mode="json")
    else:
        plain = [one.model_dump(mode="json") for one in answer]
    text = to_json(plain, inf_nan_mode="constants")
    return Response(text, status_code, media_type="application/json")
