"""Densities integrate to what their definitions say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba_stats import crystalball
from numpy.testing import assert_allclose

from offline.models import CrystalBall, Histogram, bernstein_bins, spectrum_model

PEAKS = st.builds(
    CrystalBall,
    mean=st.floats(-5, 5),
    sigma=st.floats(1e-3, 10),
    alpha=st.floats(0.3, 4),
    n=st.floats(1.05, 30),
    tail=st.sampled_from(["low", "high"]),
)


@given(PEAKS)
def test_crystal_ball_agrees_with_numba_stats(peak: CrystalBall):
    """Bin contents are those of an independent implementation; a high tail is its mirror image."""
    edges = peak.mean + peak.sigma * np.linspace(-30, 30, 61)
    side = 1.0 if peak.tail == "low" else -1.0
    x = side * (edges - peak.mean)
    reference = crystalball.cdf(x if side > 0 else x[::-1], peak.alpha, peak.n, 0.0, peak.sigma)
    expected = np.diff(reference) if side > 0 else np.diff(reference)[::-1]
    assert_allclose(np.diff(peak.cdf(edges)), expected, atol=1e-8)


def test_crystal_ball_reference_values(shared: Path):
    """The cumulative distribution has the reference values computed with 25 digits."""
    cases = json.loads((shared / "data" / "stats_reference.json").read_text())["cases"]
    chosen = [case for case in cases if case["kind"] == "crystal_ball"]
    assert chosen
    for case in chosen:
        given_ = case["inputs"]
        peak = CrystalBall(given_["loc"], given_["scale"], given_["beta"], given_["m"])
        assert_allclose(peak.cdf(np.array(given_["x"])), case["expected"]["cdf"], rtol=case["tolerance"]["rel"])


@given(PEAKS, st.integers(1, 200))
def test_peak_in_a_window_has_unit_area(peak: CrystalBall, bins: int):
    """Given that it lies in the window, a value lies in one of its bins."""
    probability = peak.bins(peak.mean + peak.sigma * np.linspace(-20, 30, bins + 1))
    assert probability.sum() == pytest.approx(1.0)
    assert np.all(probability >= 0)


@given(st.integers(0, 8), st.integers(1, 150))
def test_bernstein_columns_have_unit_area_and_sum_to_flat(order: int, bins: int):
    """Each basis polynomial holds one event, and equal coefficients make a flat spectrum."""
    basis = bernstein_bins(np.linspace(2.0, 7.0, bins + 1), order)
    assert_allclose(basis.sum(axis=0), 1.0)
    assert_allclose(basis.sum(axis=1), (order + 1) / bins)


def test_histogram_integral_is_kept_by_any_binning():
    """Rebinning moves no event; outside of its edges the density is zero."""
    density = Histogram(np.linspace(-1.0, 1.0, 21), np.arange(20.0))
    assert density.bins(np.array([-3.0, -0.33, 0.02, 5.0])).sum() == pytest.approx(190.0)
    assert_allclose(density.bins(np.array([1.0, 2.0, 3.0])), 0.0)
    assert_allclose(density.bins(density.edges), density.contents)


def test_jacobian_is_the_derivative_of_the_expectation():
    """Finite differences agree with the analytic derivatives, nuisances included."""
    edges = np.linspace(3.0, 6.0, 41)
    model = spectrum_model(
        edges,
        peak=CrystalBall(4.0, 0.1, 1.5, 4.0),
        peak_fraction=0.9,
        wrong=Histogram(np.linspace(0.0, 10.0, 11), np.full(10, 0.1)),
        order=3,
        efficiency_error=0.06,
        resolution_error=0.1,
    )
    at = np.array([50.0, 0.3, -0.4, 10.0, 20.0, 30.0, 15.0])
    jacobian = model.jacobian(at)
    for column in range(at.size):
        step = np.zeros(at.size)
        step[column] = 1e-4
        numeric = (model.expected(at + step) - model.expected(at - step)) / 2e-4
        assert_allclose(jacobian[:, column], numeric, atol=1e-7)
