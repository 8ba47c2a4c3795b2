"""Records of the ledger: exact to the bit, compact, and refused when damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from qcpaas.errors import PlatformError
from qcpaas.execution import Counts, Distribution, ExpectationValues, Outcome
from qcpaas.manifest import Diagnostic
from store.records import (
    decode_asked,
    decode_outcomes,
    decode_request,
    encode_asked,
    encode_outcomes,
    encode_request,
)

# Every pattern of bits that a double can have: NaNs with their payloads, negative zero, subnormals.
floats = st.integers(0, 2**64 - 1).map(
    lambda bits: float(np.array(bits, np.uint64).view(np.float64))
)
whole = st.integers(0, 10_000_000).map(float)


def arrays(
    shape: tuple[int, ...], elements: st.SearchStrategy[float] = floats
) -> st.SearchStrategy:
    size = math.prod(shape)
    return st.lists(elements, min_size=size, max_size=size).map(
        lambda values: np.array(values, np.float64).reshape(shape)
    )


diagnostics = st.lists(
    st.builds(
        Diagnostic,
        option=st.text(max_size=5),
        figures=st.dictionaries(
            st.text(max_size=5),
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            max_size=3,
        ),
    ),
    max_size=2,
).map(tuple)


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    num_bits = draw(st.integers(0, 20))
    width, rows = max(1, -(-num_bits // 8)), draw(st.integers(0, 5))
    return Distribution(
        outcomes=draw(hnp.arrays(np.uint8, (rows, width))),
        weights=draw(arrays((rows,), draw(st.sampled_from([whole, floats])))),
        num_bits=num_bits,
        shots=draw(st.none() | st.integers(1, 10_000_000)),
    )


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    clbits = draw(st.integers(0, 3))
    return Counts(
        points=tuple(draw(st.lists(distributions(), max_size=4))),
        registers=tuple(draw(st.lists(st.tuples(st.text(max_size=4), st.integers(0, 9))))),
        readout=draw(st.none() | arrays((clbits, 2, 2))),
        diagnostics=draw(diagnostics),
    )


@st.composite
def expectation_values(draw: st.DrawFn) -> ExpectationValues:
    shape = (draw(st.integers(0, 4)), draw(st.integers(0, 3)))
    return ExpectationValues(
        values=draw(arrays(shape)),
        variances=draw(arrays(shape)),
        raw_values=draw(st.none() | arrays(shape)),
        raw_variances=draw(st.none() | arrays(shape)),
        diagnostics=draw(diagnostics),
    )


def bits(array: NDArray[np.float64] | None) -> tuple[tuple[int, ...], str, bytes] | None:
    return None if array is None else (array.shape, array.dtype.str, array.tobytes())


def content(outcome: Outcome) -> tuple[object, ...]:
    """All of an outcome, with every array as its bytes."""
    if isinstance(outcome, ExpectationValues):
        arrays_of = (
            outcome.values,
            outcome.variances,
            outcome.raw_values,
            outcome.raw_variances,
        )
        return (*map(bits, arrays_of), outcome.diagnostics)
    points = [
        (bits(point.outcomes), bits(point.weights), point.num_bits, point.shots)
        for point in outcome.points
    ]
    return (points, outcome.registers, bits(outcome.readout), outcome.diagnostics)


@given(st.lists(counts() | expectation_values(), max_size=4))
@settings(deadline=None, max_examples=50)
def test_outcomes_survive_bit_for_bit(outcomes: list[Outcome]) -> None:
    found = decode_outcomes(encode_outcomes(outcomes))
    assert list(map(content, found)) == list(map(content, outcomes))
    assert list(map(type, found)) == list(map(type, outcomes))


@given(st.lists(counts(), max_size=4))
@settings(deadline=None, max_examples=50)
def test_answers_survive_bit_for_bit(answer: list[Counts]) -> None:
    assert list(map(content, decode_outcomes(encode_outcomes(answer)))) == list(
        map(content, answer)
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[str], list[NDArray[np.float64]], list[int | None]]:
    number = draw(st.integers(0, 4))
    return (
        draw(st.lists(st.text(max_size=8), min_size=number, max_size=number)),
        [draw(arrays((draw(st.integers(0, 3)), draw(st.integers(0, 4))))) for _ in range(number)],
        draw(st.lists(st.none() | st.integers(1, 10_000_000), min_size=number, max_size=number)),
    )


@given(requests(), st.none() | st.integers(0, 9))
@settings(deadline=None, max_examples=50)
def test_requests_survive_bit_for_bit(
    request: tuple[list[str], list[NDArray[np.float64]], list[int | None]], calibration: int | None
) -> None:
    keys, values, shots = request
    found = decode_request(encode_request(keys, values, shots, calibration))
    assert (list(found.keys), list(found.shots)) == (keys, shots)
    assert found.calibration == calibration
    assert list(map(bits, found.values)) == list(map(bits, values))


@given(requests(), st.text())
@settings(deadline=None, max_examples=50)
def test_what_was_asked_survives_bit_for_bit(
    request: tuple[list[str], list[NDArray[np.float64]], list[int | None]], options: str
) -> None:
    names, values, shots = request
    found = decode_asked(encode_asked(names, values, shots, options))
    assert (list(found.names), list(found.shots), found.options) == (names, shots, options)
    assert list(map(bits, found.values)) == list(map(bits, values))


def measured(outcomes: int, shots: int = 4096, num_bits: int = 4) -> Counts:
    rng = np.random.default_rng(5)
    width = -(-num_bits // 8)
    distribution = Distribution(
        outcomes=rng.integers(0, 255, (outcomes, width), np.uint8),
        weights=rng.multinomial(shots, np.full(outcomes, 1 / outcomes)).astype(np.float64),
        num_bits=num_bits,
        shots=shots,
    )
    return Counts((distribution,), (("meas", num_bits),))


def test_a_figure_that_is_not_a_number_is_kept() -> None:
    note = Diagnostic(option="fit", figures={"norm": math.inf, "factors": [math.nan, 0.1 + 0.2]})
    values = np.array([[math.nan]])
    (found,) = decode_outcomes(
        encode_outcomes([ExpectationValues(values, values, None, None, (note,))])
    )
    # repr, because NaN is not equal to itself
    assert repr(found.diagnostics) == repr((note,))


def test_counts_of_four_qubits_take_few_bytes() -> None:
    assert len(encode_outcomes([measured(16)])) < 130


def test_counts_take_no_more_bytes_than_their_largest_needs() -> None:
    sizes = [len(encode_outcomes([measured(50, shots)])) for shots in (500, 500_000, 10_000_000)]
    assert sizes[1] - sizes[0] == pytest.approx(50, abs=10)
    assert sizes[2] - sizes[1] == pytest.approx(100, abs=10)


def test_a_large_record_is_packed() -> None:
    values = [np.tile(np.linspace(0, 1, 8), (100, 1))] * 20
    record = encode_request(["k"] * 20, values, [4096] * 20)
    assert len(record) < 20 * 100 * 8 * 8 / 10
    assert list(map(bits, decode_request(record).values)) == list(map(bits, values))


def test_what_is_read_can_be_written_to_and_is_aligned() -> None:
    outcome = ExpectationValues(np.array([[0.5, 1.5]]), np.array([[1.0, 2.0]]))
    (found,) = decode_outcomes(encode_outcomes([outcome]))
    assert isinstance(found, ExpectationValues)
    for array in (found.values, found.variances):
        assert array.flags.aligned
        np.multiply(array, 2.0, out=array)
    assert found.values.tolist() == [[1.0, 3.0]]
    assert found.variances.tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize(
    "record",
    [b"", b"\x07abc", b"\x01\x02\x00\x00\x00[}", b"\x02not packed", encode_outcomes([])[:-4]],
    ids=["empty", "another kind", "no header", "not packed", "cut off"],
)
def test_a_damaged_record_is_refused(record: bytes) -> None:
    with pytest.raises(PlatformError, match="cannot be read"):
        decode_outcomes(record)


def test_a_record_that_ends_too_early_is_refused() -> None:
    for record in (encode_outcomes([measured(4)]), encode_outcomes([measured(4)] * 100)):
        with pytest.raises(PlatformError, match="cannot be read"):
            decode_outcomes(record[:-1])


def test_a_record_of_another_shape_is_refused() -> None:
    with pytest.raises(PlatformError, match="cannot be read"):
        decode_request(encode_outcomes([]))
