"""Fits find the minimum, also where it sits on an edge, and say so when they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iminuit import Minuit

from offline.fit import PSEUDO_COUNT, fit
from offline.limits import observed_limit
from offline.models import CrystalBall, SpectrumModel, bernstein_bins

BINS = 100


def bump_model(mass: float = 2.0, sigma: float = 0.01, beta: float = 1.5, m: float = 4.0) -> SpectrumModel:
    """Return the model of the reference bump fits: Crystal Ball of the full line on a cubic background."""
    edges = np.linspace(mass - 10 * sigma, mass + 10 * sigma, BINS + 1)
    signal = np.diff(CrystalBall(mass, sigma, beta, m).cdf(edges))
    return SpectrumModel(signal, np.zeros(BINS), bernstein_bins(edges, 3), 0.0)


def reference(shared: Path, kind: str) -> list[dict[str, Any]]:
    """Return the reference cases of a kind."""
    cases = json.loads((shared / "data" / "stats_reference.json").read_text())["cases"]
    chosen = [case for case in cases if case["kind"] == kind]
    assert chosen
    return chosen


def test_bump_fits_have_the_reference_results(shared: Path):
    """Yield, error, likelihood ratio and limit are those of the reference, down to two events a bin."""
    for case in reference(shared, "bump_fit"):
        given, expected, tolerance = case["inputs"], case["expected"], case["tolerance"]
        model = bump_model(given["mass"], given["sigma"], given["beta"], given["m"])
        counts = np.array(given["counts"])
        best, background = fit(counts, model), fit(counts, model, signal=0.0)
        assert best.valid
        assert background.valid
        error = expected["s_error_hesse"]
        assert abs(best.yield_events - expected["s_hat"]) < tolerance["s_abs_in_sigma"] * error
        assert best.yield_error == pytest.approx(error, rel=1e-3)
        assert 2 * (background.nll - best.nll) == pytest.approx(expected["q_s0_two_sided"], abs=tolerance["q_abs"])
        upper = expected.get("upper95_profile_bounded_at_zero", expected["upper95_profile_unbounded"])
        assert observed_limit(counts, model, 0.95) == pytest.approx(upper, rel=tolerance["upper_rel"])


def test_minimum_on_the_edge_is_found_and_marked(shared: Path):
    """Empty bins do not lure the fit to negative means: the reference minimum has a bin mean of 1e-9."""
    for case in reference(shared, "bump_fit_edge"):
        given, expected, tolerance = case["inputs"], case["expected"], case["tolerance"]
        model = bump_model(given["mass"], given["sigma"], given["beta"], given["m"])
        counts = np.array(given["counts"])
        best, background = fit(counts, model), fit(counts, model, signal=0.0)
        assert best.valid
        assert best.at_edge
        assert model.expected(best.parameters).min() > 0
        assert best.yield_events == pytest.approx(expected["s_hat"], abs=tolerance["s_abs"])
        assert 2 * (background.nll - best.nll) == pytest.approx(expected["q_s0_two_sided"], abs=tolerance["q_abs"])


def test_agrees_with_a_general_minimiser():
    """Minuit on the same cost, with a resolution nuisance, stops at the same place."""
    rng = np.random.default_rng(11)
    base = bump_model()
    wider, narrower = (bump_model(sigma=0.01 * factor) for factor in (1.1, 0.9))
    edges_same = 0.5 * (wider.signal - narrower.signal)
    model = SpectrumModel(base.signal, edges_same, base.background, 0.0)
    counts = rng.poisson(model.expected(np.array([200.0, 0, 0, 700.0, 800.0, 600.0, 500.0])))

    def cost(free: np.ndarray) -> float:
        parameters = np.array([free[0], 0.0, *free[1:]])
        mean = model.expected(parameters)
        if mean.min() <= 0:
            return 1e10
        return float(np.sum(mean - (counts + PSEUDO_COUNT) * np.log(mean)) + 0.5 * free[1] ** 2)

    minuit = Minuit(cost, np.array([100.0, 0.0, *[counts.sum() / 4] * 4]))
    minuit.errordef, minuit.strategy = Minuit.LIKELIHOOD, 2
    minuit.migrad()
    assert minuit.valid
    best = fit(counts, model)
    assert best.valid
    assert best.nll <= minuit.fval + 1e-6
    assert best.yield_events == pytest.approx(minuit.values[0], abs=0.02 * minuit.errors[0])
    assert best.yield_error == pytest.approx(minuit.errors[0], rel=0.02)


def test_toys_have_no_bias_and_honest_errors():
    """Over 200 toys the pull of the yield has mean 0 and width 1, within three of their own errors."""
    rng = np.random.default_rng(3)
    model = bump_model()
    truth = np.array([120.0, 0, 0, 900.0, 1000.0, 800.0, 700.0])
    mean = model.expected(truth)
    fits = [fit(rng.poisson(mean), model) for _ in range(200)]
    assert all(one.valid for one in fits)
    pulls = np.array([(one.yield_events - truth[0]) / one.yield_error for one in fits])
    assert abs(pulls.mean()) < 3 / np.sqrt(200)
    assert abs(pulls.std() - 1) < 3 / np.sqrt(400)


def test_a_spectrum_without_signal_template_is_not_valid():
    """A yield that nothing depends on is refused, not returned as some number."""
    base = bump_model()
    blind = SpectrumModel(np.zeros(BINS), np.zeros(BINS), base.background, 0.0)
    result = fit(np.full(BINS, 5), blind)
    assert not result.valid
    assert "singular" in result.reason


@pytest.mark.parametrize("events", [0, 1, 2])
def test_hardly_any_events(events: int):
    """Empty and nearly empty windows end in a valid fit or a reason, always with positive means."""
    counts = np.zeros(BINS, dtype=int)
    counts[40 : 40 + events] = 1
    for signal in (None, 0.0, 3.0):
        result = fit(counts, bump_model(), signal=signal)
        assert result.valid or result.reason
        assert bump_model().expected(result.parameters).min() > 0


def test_where_a_fit_starts_does_not_matter():
    """From the pulled nuisances of another fit, every fit comes to its own minimum."""
    base = bump_model()
    slope = 0.5 * (bump_model(sigma=0.011).signal - bump_model(sigma=0.009).signal)
    model = SpectrumModel(base.signal, slope, base.background, 0.08)
    counts = np.random.default_rng(12).poisson(model.expected(np.array([300.0, 0, 0, 700.0, 800.0, 600.0, 500.0])))
    pulled = fit(counts, model, signal=600.0)
    assert abs(pulled.parameters[1]) > 0.1
    for signal in (None, 0.0, 100.0):
        cold, warm = fit(counts, model, signal=signal), fit(counts, model, signal=signal, start=pulled.parameters)
        assert warm.nll == pytest.approx(cold.nll, abs=1e-6)
        assert warm.yield_events == pytest.approx(cold.yield_events, abs=0.1)
