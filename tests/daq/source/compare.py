"""Histograms against densities: chi-square at the 0.1 % level, used with fixed seeds."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

LEVEL = 1e-3
"""A right generator fails one test in a thousand; with a fixed seed it fails never or always."""


def p_value(counts, expected) -> float:
    """Return the chi-square p-value of counts, with the expectation scaled to their sum."""
    expected = np.asarray(expected) * np.sum(counts) / np.sum(expected)
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), np.size(counts) - 1))


def agrees(values, density, low: float, high: float, bins: int = 20) -> bool:
    """Tell whether the values, those between ``low`` and ``high``, follow the density."""
    counts = np.histogram(values, np.linspace(low, high, bins + 1))[0]
    fine = np.linspace(low, high, 200 * bins + 1)
    weights = density(0.5 * (fine[1:] + fine[:-1])).reshape(bins, 200).sum(axis=1)
    return p_value(counts, weights) > LEVEL


def is_exponential(values, mean: float, bins: int = 20) -> bool:
    """Tell whether the values are exponential with the mean: the probability to be below each of them is flat."""
    return p_value(np.histogram(-np.expm1(-values / mean), bins, (0, 1))[0], np.ones(bins)) > LEVEL
