"""Intervals cover, fits recover what was put in, and a tag that knows the probe misleads."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import erf, expit
from scipy.stats import binom, binomtest

from offline.efficiency import PARAMETERS, SIGMA, Curve, FitFailed, clopper_pearson, fit_turn_on


def rise(x, plateau=0.95, threshold=1.0, width=0.05):
    """Return a turn-on."""
    return plateau * 0.5 * (1 + erf((x - threshold) / (width * np.sqrt(2))))


@pytest.mark.parametrize("level", [SIGMA, 0.9, 0.95])
@pytest.mark.parametrize("total", [1, 2, 7, 30, 200])
def test_the_interval_covers_at_least_as_often_as_it_says(total, level):
    """Exactly summed over all outcomes, at every true efficiency: the coverage is never below the level."""
    counts = np.arange(total + 1)
    low, high = clopper_pearson(counts, np.full(total + 1, total), level)
    for truth in np.linspace(0.001, 0.999, 333):
        covered = (low <= truth) & (truth <= high)
        assert binom.pmf(counts[covered], total, truth).sum() >= level


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_interval_is_that_of_scipy(passed, total):
    """For whole counts scipy has the same interval; it holds the efficiency and lies within 0 and 1."""
    passed = min(passed, total)
    low, high = clopper_pearson(np.array([passed]), np.array([total]), 0.9)
    reference = binomtest(passed, total).proportion_ci(0.9, "exact")
    assert_allclose([low[0], high[0]], [reference.low, reference.high], rtol=1e-9, atol=1e-12)
    assert 0 <= low[0] <= passed / total <= high[0] <= 1


def test_nothing_tried_says_nothing_and_more_than_tried_is_an_error():
    """No event: any efficiency is possible. Passing more often than trying is a mistake of the caller."""
    low, high = clopper_pearson(np.array([0.0]), np.array([0.0]))
    assert (low[0], high[0]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and total"):
        clopper_pearson(np.array([3]), np.array([2]))


def test_events_are_counted_in_their_bins():
    """The last bin holds its upper edge; what is outside or not a number is left out."""
    x = np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.1, np.nan, np.inf])
    passed = np.array([True, True, False, True, False, True, True, True, True])
    curve = Curve.of(x, passed, np.array([0.0, 1.0, 2.0]), np.full(9, 2.5))
    assert not curve.is_weighted
    assert_array_equal(curve.total, [2, 3])
    assert_array_equal(curve.passed, [1, 2])
    empty = Curve.of(x, passed, np.array([5.0, 6.0]))
    assert json.loads(json.dumps(empty.record(), allow_nan=False))[0]["efficiency"] is None


def test_unequal_weights_give_effective_counts():
    """The efficiency is that of the weights; the interval is wider than that of as many plain events."""
    rng = np.random.default_rng(3)
    x, passed, weights = rng.random(4000), rng.random(4000) < 0.8, rng.choice([1.0, 9.0], 4000)
    edges = np.array([0.0, 1.0])
    curve, plain = Curve.of(x, passed, edges, weights), Curve.of(x, passed, edges)
    assert curve.is_weighted
    assert_allclose(curve.efficiency, np.average(passed, weights=weights))
    assert_allclose(curve.total, weights.sum() ** 2 / (weights**2).sum())
    assert np.subtract(*curve.interval()) < np.subtract(*plain.interval()) < 0


def test_the_intervals_of_a_toy_turn_on_cover_it():
    """In repeated toys the true efficiency at hand lies in the interval at least at the nominal rate."""
    rng, edges = np.random.default_rng(11), np.linspace(0.5, 1.5, 21)
    inside = tried = 0
    for _ in range(100):
        x = rng.uniform(0.5, 1.5, 1500)
        truth = rise(x)
        curve = Curve.of(x, rng.random(x.size) < truth, edges)
        low, high = curve.interval()
        mean = np.histogram(x, edges, weights=truth)[0] / curve.total
        inside += np.count_nonzero((low <= mean) & (mean <= high))
        tried += mean.size
    assert inside / tried >= SIGMA


@pytest.mark.parametrize("shape", ["erf", "fermi"])
def test_the_fit_has_no_bias_and_honest_errors(shape):
    """Pulls of plateau, threshold and width have mean 0 and width 1, and the goodness of fit is not always bad."""
    rng, truth, edges = (
        np.random.default_rng(5),
        {"plateau": 0.93, "threshold": 1.02, "width": 0.06},
        np.linspace(0.5, 2, 16),
    )
    pulls, p_values = [], []
    for _ in range(80):
        x = rng.uniform(0.5, 2.0, 2500)
        z = (x - truth["threshold"]) / truth["width"]
        p = truth["plateau"] * (0.5 * (1 + erf(z / np.sqrt(2))) if shape == "erf" else expit(z))
        fit = fit_turn_on(x, rng.random(x.size) < p, edges, shape=shape)
        above = {name: fit.values[name] > truth[name] for name in PARAMETERS}
        pulls.append([(fit.values[n] - truth[n]) / fit.errors[n][0 if above[n] else 1] for n in PARAMETERS])
        p_values.append(fit.p_value)
    mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    assert (np.abs(mean) < 4 / np.sqrt(80)).all(), mean
    assert (np.abs(spread - 1) < 4 / np.sqrt(160)).all(), spread
    assert 0.3 < np.mean(p_values) < 0.7


def test_a_full_plateau_is_found_at_its_limit():
    """Where every event passes, the plateau is 1 with an error only downwards."""
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 4, 20_000)
    fit = fit_turn_on(x, rng.random(x.size) < rise(x, 1.0, 2.0, 0.04), np.linspace(0, 4, 41))
    assert fit.values["plateau"] > 0.9999
    assert fit.values["threshold"] == pytest.approx(2.0, abs=0.01)
    assert fit.errors["plateau"][1] < 1e-4
    json.dumps(fit.record(), allow_nan=False)


def test_weights_do_not_move_the_fit():
    """Events of unequal weight, passing independently of it, give the same curve with larger errors."""
    rng = np.random.default_rng(8)
    x, weights = rng.uniform(0.5, 2, 20_000), rng.choice([1.0, 10.0], 20_000)
    passed, edges = rng.random(x.size) < rise(x), np.linspace(0.5, 2, 16)
    plain, weighted = fit_turn_on(x, passed, edges), fit_turn_on(x, passed, edges, weights)
    for name, value in (("plateau", 0.95), ("threshold", 1.0), ("width", 0.05)):
        assert weighted.values[name] == pytest.approx(value, abs=4 * max(weighted.errors[name]))
        assert max(weighted.errors[name]) > max(plain.errors[name])


def test_the_shape_that_is_not_there_is_refused_by_the_goodness_of_fit():
    """A curve that falls again after its plateau is no turn-on."""
    rng = np.random.default_rng(4)
    x = rng.uniform(0.5, 2, 30_000)
    passed = rng.random(x.size) < rise(x) * np.where(x > 1.6, 0.7, 1.0)
    assert (fit_turn_on(x, passed, np.linspace(0.5, 2, 31)).p_value or 0) < 1e-6


@pytest.mark.parametrize(
    ("passes", "reason"),
    [
        (lambda x, u: np.zeros(x.size, dtype=bool), "no event passes"),
        (lambda x, u: u < 0.9, "no rise"),
        (lambda x, u: x < 1.0, "no rise"),
    ],
)
def test_events_without_a_turn_on_are_no_fit(passes, reason):
    """Nothing passes, everything does alike, or the efficiency falls: an error that says so."""
    rng = np.random.default_rng(9)
    x = rng.uniform(0.5, 2, 2000)
    with pytest.raises(FitFailed, match=reason):
        fit_turn_on(x, passes(x, rng.random(x.size)), np.linspace(0.5, 2, 16))


def test_a_tag_that_knows_the_probe_misleads():
    """An independent tag gives the efficiency, at any tag efficiency; one that asks for part of the same does not.

    The probe line wants a good photon (90 %) above its threshold. A tag that fires on the photon as well, even now and
    then, selects good photons: the plateau comes out too high, by far more than its error.
    """
    rng = np.random.default_rng(12)
    n = 200_000
    x = rng.uniform(0.5, 2.0, n)
    good = rng.random(n) < 0.9
    probe = good & (rng.random(n) < rise(x, plateau=1.0))
    edges = np.linspace(0.5, 2, 31)
    independent = rng.random(n) < 0.2
    correlated = independent | (good & (rng.random(n) < 0.2))
    fits = {name: fit_turn_on(x[tag], probe[tag], edges) for name, tag in (("good", independent), ("bad", correlated))}
    assert fits["good"].values["plateau"] == pytest.approx(0.9, abs=4 * max(fits["good"].errors["plateau"]))
    # Tagged: 0.2 + 0.8 * 0.2 of the good photons, 0.2 of the others.
    expected = 0.9 * 0.36 / (0.9 * 0.36 + 0.1 * 0.2)
    assert fits["bad"].values["plateau"] == pytest.approx(expected, abs=4 * max(fits["bad"].errors["plateau"]))
    assert fits["bad"].values["plateau"] - 0.9 > 10 * max(fits["bad"].errors["plateau"])
