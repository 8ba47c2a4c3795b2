"""What a workload returns, as JSON.

JSON's own types stand for themselves, and what JSON lacks is a mapping with the key ``$type``.
Tuples come back as lists; dataclasses, pydantic models, SciPy's results and Qiskit's primitive
results come back as mappings of their fields. NumPy and Qiskit are imported only for values of
theirs.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel, JsonValue

from qcpaas.errors import InputError

MAX_DEPTH = 100
_TAG = "$type"
_PLAIN_KEYS = (str, int, float, bool, type(None))
_READABLE_SIZE = 64  # arrays up to this many numbers are written as numbers
_ARRAY_KINDS = "biufcSUMm"  # no Python objects, no records


def encode(value: Any) -> JsonValue:
    """A JSON value that `decode` turns back into ``value``.

    Floats, complex numbers and arrays keep every bit, arrays and NumPy's scalars their dtype,
    and arrays their shape.

    Raises:
        InputError: Something inside cannot be stored; says where, and what it is.
    """
    return _encode(value, "result", 0)


def decode(value: JsonValue) -> Any:
    """The inverse of `encode`.

    Raises:
        InputError: This is nothing that `encode` wrote.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: decode(item) for key, item in value.items()}
    kind = value[_TAG]
    try:
        return _DECODERS[str(kind)](value)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"a stored value of type {kind!r} cannot be read ({type(error).__name__}: {error}). "
            "It is damaged, or another version wrote it."
        ) from error


def _encode(value: Any, path: str, depth: int) -> JsonValue:
    if depth > MAX_DEPTH:
        raise InputError(f"{path[:60]}... is nested more than {MAX_DEPTH} deep, or holds itself")
    if value is None or type(value) in {bool, int, str}:
        return value  # type: ignore[no-any-return]
    if type(value) is float:
        return value if math.isfinite(value) else {_TAG: "float", "value": repr(value)}
    fields = _fields(value)
    if fields is not None:
        return _mapping(fields, path, depth)
    if isinstance(value, list | tuple):
        return [_encode(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    encoded = _numpy(value, path) or _scalar(value, path, depth) or _operator(value, path)
    if encoded is None:
        name = type(value).__name__
        raise InputError(
            f"{path} is {'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}; a result holds numbers, "
            "text, lists, mappings, NumPy arrays, dates, dataclasses, pydantic models, and "
            "results of SciPy and Qiskit. Return one of these in its place."
        )
    return encoded[0]


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """What is stored as a mapping, as one."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return dict(value)
    return _primitive_result(value)


def _primitive_result(value: Any) -> Mapping[str, Any] | None:
    if "qiskit.primitives" not in sys.modules:
        return None
    from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult

    if isinstance(value, PrimitiveResult):
        return {"pub_results": list(value), "metadata": value.metadata}
    if isinstance(value, PubResult):
        return {"data": value.data, "metadata": value.metadata}
    if isinstance(value, DataBin):
        return dict(value.items())
    if isinstance(value, BitArray):
        return {"array": value.array, "num_bits": value.num_bits}
    return None


def _mapping(value: Mapping[Any, Any], path: str, depth: int) -> JsonValue:
    for key in value:
        if type(key) not in _PLAIN_KEYS:
            raise InputError(
                f"{path} has the key {key!r:.60} of type {type(key).__name__}; keys in a result "
                "are text or numbers. Use str(key)."
            )
    items = [(key, _encode(item, f"{path}[{key!r}]", depth + 1)) for key, item in value.items()]
    if all(type(key) is str for key in value) and _TAG not in value:
        return dict(items)
    return {_TAG: "mapping", "items": [[_encode(key, path, depth), item] for key, item in items]}


def _scalar(value: Any, path: str, depth: int) -> tuple[JsonValue] | None:
    """Dates, complex numbers, and what only derives from JSON's types."""
    if isinstance(value, Enum):
        return (_encode(value.value, path, depth + 1),)
    if isinstance(value, datetime):
        return ({_TAG: "datetime", "value": value.isoformat()},)
    if isinstance(value, complex):
        parts = [_encode(float(part), path, depth) for part in (value.real, value.imag)]
        return ({_TAG: "complex", "real": parts[0], "imag": parts[1]},)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return (_encode(kind(value), path, depth),)
    return None


def _numpy(value: Any, path: str) -> tuple[JsonValue] | None:
    if "numpy" not in sys.modules:
        return None
    import numpy as np

    if isinstance(value, np.generic | np.ndarray):
        array = np.asarray(value)
    elif "scipy.sparse.linalg" in sys.modules and hasattr(value, "todense"):
        array = np.asarray(value.todense())  # such as the inverse Hessian of L-BFGS-B
    else:
        return None
    if array.dtype.kind not in _ARRAY_KINDS:
        raise InputError(
            f"{path} is an array of {array.dtype}; a result holds arrays of numbers, text or "
            "dates. Convert it with astype, or to a list."
        )
    encoded: dict[str, JsonValue] = {
        _TAG: "scalar" if isinstance(value, np.generic) else "ndarray",
        "dtype": array.dtype.str,
        "shape": list(array.shape),
    }
    plain = array.dtype.kind in "biu" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)
    if plain and array.size <= _READABLE_SIZE and np.isfinite(array).all():
        encoded["values"] = array.ravel().tolist()
    else:
        encoded["data"] = base64.b64encode(array.tobytes()).decode("ascii")
    return (encoded,)


def _operator(value: Any, path: str) -> tuple[JsonValue] | None:
    if "qiskit.quantum_info" not in sys.modules:
        return None
    from qiskit.quantum_info import SparsePauliOp

    if not isinstance(value, SparsePauliOp):
        return None
    coefficients = _numpy(value.coeffs, f"{path}.coeffs")
    assert coefficients is not None
    labels: list[JsonValue] = list(value.paulis.to_labels())
    return ({_TAG: "SparsePauliOp", "paulis": labels, "coeffs": coefficients[0]},)


def _decode_array(value: Mapping[str, Any]) -> Any:
    import numpy as np

    dtype = np.dtype(value["dtype"])
    if dtype.kind not in _ARRAY_KINDS:
        raise ValueError(f"dtype {dtype}")
    if "values" in value:
        return np.array(value["values"], dtype=dtype).reshape(value["shape"])
    data = bytearray(base64.b64decode(value["data"], validate=True))
    return np.frombuffer(data, dtype=dtype).reshape(value["shape"])


def _decode_operator(value: Mapping[str, Any]) -> Any:
    from qiskit.quantum_info import SparsePauliOp

    return SparsePauliOp(value["paulis"], decode(value["coeffs"]))


_DECODERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "float": lambda value: float(value["value"]),
    "complex": lambda value: complex(decode(value["real"]), decode(value["imag"])),
    "datetime": lambda value: datetime.fromisoformat(value["value"]),
    "mapping": lambda value: {decode(key): decode(item) for key, item in value["items"]},
    "ndarray": _decode_array,
    "scalar": lambda value: _decode_array(value)[()],
    "SparsePauliOp": _decode_operator,
}
