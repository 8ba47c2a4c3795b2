"""What workloads return, there and back through JSON text."""

import dataclasses
import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, StrEnum
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import BaseModel
from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.quantum_info import SparsePauliOp
from scipy.optimize import minimize

from qcpaas.errors import InputError
from qcpaas.values import decode, encode


def through_json(value):
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


def same(left, right):
    """Equal in type and in every bit, NaN included."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float | complex):
        return type(left) is type(right) and repr(left) == repr(right)
    return type(left) is type(right) and left == right


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.complex_numbers()
    | st.datetimes(timezones=st.none() | st.just(UTC))
)
keys = st.text() | st.just("$type") | st.integers()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12
)


@settings(deadline=None)
@given(values)
def test_plain_values_come_back_bit_for_bit(value):
    assert same(through_json(value), value)


dtypes = (
    hnp.floating_dtypes(endianness="?")
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes()
    | hnp.boolean_dtypes()
    | hnp.complex_number_dtypes()
    | hnp.unicode_string_dtypes()
    | hnp.datetime64_dtypes()
)


@settings(deadline=None)
@given(hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0, max_side=9)))
def test_arrays_keep_dtype_shape_and_every_bit(array):
    found = through_json(array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes() or np.isnan(array).any()
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "scalar",
    [np.float64(0.1), np.float32(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True),
     np.complex128(1 - 2j), np.str_("hé"), np.float64("nan"), np.datetime64("2026-11-23T10:00")],
)  # fmt: skip
def test_numpy_scalars_keep_their_type(scalar):
    found = through_json(scalar)
    assert type(found) is type(scalar)
    assert found == scalar or np.isnan(found)


def test_large_and_strided_arrays_come_back_writable():
    array = np.random.default_rng(0).normal(size=(40, 30))[::2, ::-3]
    found = through_json(array)
    np.testing.assert_array_equal(found, array)
    found[0, 0] = 1


def test_a_short_array_is_readable_in_the_json():
    assert encode(np.array([1.5, 2.0])) == {
        "$type": "ndarray",
        "dtype": "<f8",
        "shape": [2],
        "values": [1.5, 2.0],
    }


class Fit(NamedTuple):
    slope: float
    error: float


@dataclasses.dataclass
class Point:
    energy: float
    where: tuple[int, ...]


class Model(BaseModel):
    name: str
    points: list[Point]


class Colour(StrEnum):
    RED = "red"


class Level(Enum):
    LOW = 1


def test_records_come_back_as_mappings_and_tuples_as_lists():
    value = {
        "model": Model(name="m", points=[Point(1.5, (0, 1))]),
        "fit": Fit(1.0, 0.1),
        "colour": Colour.RED,
        "level": Level.LOW,
    }
    assert through_json(value) == {
        "model": {"name": "m", "points": [{"energy": 1.5, "where": [0, 1]}]},
        "fit": [1.0, 0.1],
        "colour": "red",
        "level": 1,
    }


def test_a_moment_keeps_its_offset():
    moment = datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    found = through_json(moment)
    assert found == moment
    assert found.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("method", ["COBYLA", "BFGS", "L-BFGS-B", "SLSQP", "Nelder-Mead"])
def test_scipys_results_come_back_as_mappings(method):
    result = minimize(lambda x: float(((x - 1) ** 2).sum()), np.zeros(2), method=method)
    found = through_json(result)
    assert found["fun"] == result.fun
    assert found["message"] == result.message
    np.testing.assert_array_equal(found["x"], result.x)


def test_an_operator_comes_back_as_one():
    operator = SparsePauliOp(["XZ", "IY"], [0.1, 2 - 1j])
    assert through_json(operator) == operator


def test_results_of_primitives_come_back_as_mappings_of_arrays():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    evs = StatevectorEstimator().run([(circuit, [["ZZ"], ["XI"]])]).result()
    found = through_json(evs)
    np.testing.assert_array_equal(found["pub_results"][0]["data"]["evs"], evs[0].data.evs)
    circuit.measure_all()
    sampled = StatevectorSampler(seed=1).run([circuit], shots=100).result()[0]
    found = through_json(sampled)
    np.testing.assert_array_equal(found["data"]["meas"]["array"], sampled.data.meas.array)
    assert found["data"]["meas"]["num_bits"] == 2
    assert found["metadata"]["shots"] == 100


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"history": [1, 2, 3, (x for x in ())]}, r"^result\['history'\]\[3\] is a generator;"),
        ([object()], r"^result\[0\] is an object;"),
        ({"c": QuantumCircuit(1)}, r"^result\['c'\] is a QuantumCircuit;"),
        (Point(1.0, {1, 2}), r"^result\['where'\] is a set;"),
        ({(0, 1): 1}, r"^result has the key \(0, 1\) of type tuple"),
        (np.array([object()]), r"^result is an array of object"),
        (np.zeros(2, dtype=[("a", "f8")]), r"^result is an array of \[\('a'"),
        (lambda: 0, r"^result is a function;"),
        (Point, r"^result is a type;"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(value, words):
    with pytest.raises(InputError, match=words):
        encode(value)


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(InputError, match="holds itself"):
        encode(value)


@pytest.mark.parametrize(
    "stored",
    [
        {"$type": "circuit"},
        {"$type": "ndarray", "dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="},
        {"$type": "ndarray", "dtype": "<f8", "shape": [3], "values": [1.0]},
        {"$type": "ndarray", "dtype": "<f8", "shape": [1], "data": "!"},
        {"$type": "datetime", "value": "yesterday"},
        {"$type": ["list"]},
    ],
)
def test_a_damaged_stored_value_is_refused(stored):
    with pytest.raises(InputError, match="cannot be read"):
        decode(stored)


def test_plain_values_need_neither_numpy_nor_qiskit():
    code = (
        "import sys; from qcpaas.values import decode, encode; "
        "decode(encode({'a': [1, 2.5, None, 1j, float('nan')]})); "
        "sys.exit(bool({'numpy', 'qiskit', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_not_a_number_is_explicit():
    assert encode([math.inf, -math.inf]) == [
        {"$type": "float", "value": "inf"},
        {"$type": "float", "value": "-inf"},
    ]
