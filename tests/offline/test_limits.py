"""Limits have the values of closed forms, cover, and refuse rather than guess."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from offline.fit import fit
from offline.limits import NoLimitError, expected_limits, observed_limit, upper_crossing
from offline.models import SpectrumModel
from tests.offline.test_fit import bump_model

TRUTH = np.array([0.0, 0.0, 0.0, 900.0, 1000.0, 800.0, 700.0])


def test_counting_with_known_background(shared: Path):
    """The crossing of the closed-form profile likelihood of one bin is the reference limit, bounded at zero."""
    cases = json.loads((shared / "data" / "stats_reference.json").read_text())["cases"]
    chosen = [case for case in cases if case["kind"] == "profile_one_sided_known_b"]
    assert chosen
    for case in chosen:
        n, b, level = (case["inputs"][key] for key in ("n", "b", "cl"))
        z = {0.9: 1.2815515655446004, 0.95: 1.6448536269514722}[level]
        best = max(n - b, 0.0)

        def nll(s: float, n: int = n, b: float = b) -> float:
            return s + b - (n * math.log(s + b) if n else 0.0)

        def root_q(s: float, best: float = best, nll=nll) -> float:
            return math.sqrt(max(0.0, 2 * (nll(s) - nll(best))))

        upper = upper_crossing(root_q, best, 1.0, z)
        assert upper == pytest.approx(case["expected"]["upper_bounded_at_zero"], rel=1e-4)


def test_likelihood_ratio_at_the_limit_is_the_threshold():
    """Profiling at the limit gives back q = 1.645^2, with all nuisances in play."""
    base = bump_model()
    slope = 0.5 * (bump_model(sigma=0.011).signal - bump_model(sigma=0.009).signal)
    model = SpectrumModel(base.signal, slope, base.background, 0.08)
    counts = np.random.default_rng(8).poisson(model.expected(TRUTH + np.array([80, 0, 0, 0, 0, 0, 0])))
    upper = observed_limit(counts, model, 0.95)
    best, there = fit(counts, model), fit(counts, model, signal=upper)
    assert best.yield_events > 0
    assert 2 * (there.nll - best.nll) == pytest.approx(1.6448536**2, rel=1e-3)
    assert there.parameters[1] < 0  # the likelihood would rather believe in a low efficiency


def test_expected_band_of_a_gaussian_case():
    """With much background the band is that of a Gaussian of the fit's own width."""
    model = bump_model()
    mean = 100.0 * model.expected(TRUTH)
    sigma, z = fit(mean, model).yield_error, 1.6448536
    band = np.array(expected_limits(mean, model, 0.95)) / sigma
    expected = [math.sqrt(4 + z * z) - 2, math.sqrt(1 + z * z) - 1, z, 1 + z, 2 + z]
    assert band == pytest.approx(expected, rel=0.02)


def test_limits_of_background_toys_fill_the_expected_band():
    """Of 200 background toys 68 % lie in the one-sigma band of the truth, 95 % in the two-sigma band, +- 4 errors."""
    rng = np.random.default_rng(21)
    model = bump_model()
    mean = model.expected(TRUTH)
    low2, low1, median, high1, high2 = expected_limits(mean, model, 0.95)
    observed = np.array([observed_limit(rng.poisson(mean), model, 0.95) for _ in range(200)])
    assert np.mean((observed > low1) & (observed < high1)) == pytest.approx(0.683, abs=4 * 0.033)
    assert np.mean((observed > low2) & (observed < high2)) == pytest.approx(0.954, abs=4 * 0.015)
    assert np.mean(observed < median) == pytest.approx(0.5, abs=4 * 0.035)


def test_limit_covers_the_injected_yield():
    """A 95 % limit lies above the true yield in 95 % of 200 toys, within four errors."""
    rng = np.random.default_rng(22)
    model = bump_model()
    mean = model.expected(TRUTH + np.array([100.0, 0, 0, 0, 0, 0, 0]))
    above = np.mean([observed_limit(rng.poisson(mean), model, 0.95) > 100.0 for _ in range(200)])
    assert above == pytest.approx(0.95, abs=4 * 0.0154)


def test_an_efficiency_error_weakens_the_limit():
    """The larger the error of the efficiency, the larger the limit."""
    counts = np.random.default_rng(9).poisson(bump_model().expected(TRUTH))
    base = bump_model()
    uppers = [
        observed_limit(counts, SpectrumModel(base.signal, base.resolution, base.background, error), 0.95)
        for error in (0.0, 0.1, 0.2)
    ]
    assert uppers[0] < uppers[1] < uppers[2]


def test_a_likelihood_that_excludes_nothing_has_no_limit():
    """If q never reaches the threshold there is a reason instead of a number."""
    with pytest.raises(NoLimitError, match="no yield is excluded"):
        upper_crossing(math.tanh, 0.0, 1.0, 1.645)
