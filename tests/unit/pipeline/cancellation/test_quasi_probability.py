import numpy as np
import pytest

from pipeline.cancellation.quasi_probability import FEWEST, PauliErrors, stratify
from pipeline.noise.circuit_noise import NoiseSite
from pipeline.pauli.algebra import codes_of

SITES = (
    NoiseSite(((3, 0), (5, 1)), codes_of(["XI", "ZY"]), np.array([0.02, 0.3])),
    NoiseSite(((4, 2),), codes_of(["Z"]), np.array([0.15])),
)


def test_generators_act_where_their_sites_say():
    errors = PauliErrors(SITES)
    assert errors.norm == pytest.approx(np.exp(0.94))
    assert errors.insertions(np.array([True, False, False])) == {5: [(1, 1)]}
    assert errors.insertions(np.array([True, True, True])) == {
        3: [(0, 3)],
        4: [(2, 2)],
        5: [(1, 1), (1, 2)],
    }
    kept = 1 - 2 * errors.chances(2.5)
    assert kept == pytest.approx(np.exp(-2 * 2.5 * errors.rates))


def test_strata_together_flip_generators_as_often_as_they_should():
    chances = PauliErrors(SITES).chances()
    strata = stratify(chances, 30_000, np.random.default_rng(2))
    assert [set(s.errors.sum(axis=1)) for s in strata] == [{0}, {1}, {2, 3}]
    none, one, more = (s.chance for s in strata)
    assert none == pytest.approx(np.prod(1 - chances))
    assert none + one + more == pytest.approx(1)
    flips = sum(s.chance * s.errors.mean(axis=0) for s in strata)
    assert flips == pytest.approx(chances, abs=0.003)
    both = sum(s.chance * (s.errors[:, 1] & s.errors[:, 2]).mean() for s in strata)
    assert both == pytest.approx(chances[1] * chances[2], abs=0.003)


def test_the_signed_sum_undoes_the_noise():
    """A Pauli string that all generators anticommute with keeps ``exp(-2 rate)`` of each."""
    errors = PauliErrors(SITES)
    strata = stratify(errors.chances(), 20_000, np.random.default_rng(3))
    signed = sum(
        s.chance * (s.signs * (1.0 - 2 * (s.errors.sum(axis=1) % 2))).mean() for s in strata
    )
    noisy = np.exp(-2 * errors.rates.sum())
    assert errors.norm * signed * noisy == pytest.approx(1)
    unharmed = sum(s.chance * s.signs.mean() for s in strata)
    assert errors.norm * unharmed == pytest.approx(1, abs=0.02)


def test_rare_errors_still_get_draws_that_show_their_spread():
    strata = stratify(np.full(6, 1e-3), sum(FEWEST) + 5, np.random.default_rng(1))
    assert [len(s.errors) for s in strata] == [13, 8, 4]
    (only,) = stratify(np.zeros(3), 40, np.random.default_rng(1))
    assert (only.chance, len(only.errors)) == (1.0, 40)
