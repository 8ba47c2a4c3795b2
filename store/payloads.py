"""Wire schemas as compact bytes, every float exactly as it was.

NaN and the infinities are kept, written as JavaScript writes them (``NaN``, ``Infinity``), which
pydantic and Python's ``json`` both read. Left to itself pydantic writes ``null``, and a result
that was not a number would come back as no result, or not at all.
"""

from __future__ import annotations

import zlib
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

Model = TypeVar("Model", bound=BaseModel)


def to_text(model: BaseModel) -> str:
    # Two steps: given a model, to_json follows the model's own rule for NaN, not the argument.
    return to_json(model.model_dump(mode="json"), inf_nan_mode="constants").decode()


def pack(model: BaseModel) -> bytes:
    return zlib.compress(to_text(model).encode())


def unpack(kind: type[Model] | TypeAdapter[Model], payload: bytes) -> Model:
    text = zlib.decompress(payload)
    if isinstance(kind, TypeAdapter):
        return kind.validate_json(text)
    return kind.model_validate_json(text)
