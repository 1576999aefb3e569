"""Efficiencies: counts in bins, their intervals, and the fit of a turn-on.

Intervals are those of Clopper and Pearson (Biometrika 26 (1934) 404): central, from the exact binomial distribution,
and so never too short. They are made for counts. Events of equal weight are counted as they are; for unequal weights
``total`` and ``passed`` are *effective* counts, (sum w)^2 / sum w^2 and the same times the weighted efficiency, for
which the coverage is only approximate; the record says which.

The turn-on is fitted with a binomial likelihood of single events (in bins so fine that their width does not matter),
not to the points of the figure:

    efficiency(x) = plateau S((x - threshold) / width),   S(z) = (1 + erf(z / sqrt 2)) / 2   or   1 / (1 + exp(-z))

``threshold`` is where half of the plateau is reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import erf, expit, xlogy
from scipy.stats import beta, chi2

from daq.jit import Array

SIGMA = 0.6826894921370859
"""Confidence level of the intervals: one standard deviation."""
Shape = Literal["erf", "fermi"]
PARAMETERS = ("plateau", "threshold", "width")
_FINE_BINS = 4096
_TINY = 1e-12  # an event that the curve excludes costs this, not infinity
_MIN_EXPECTED = 5.0  # passing and failing events in a bin of the goodness of fit


def clopper_pearson(passed: Array, total: Array, level: float = SIGMA) -> tuple[Array, Array]:
    """Return the central interval of each binomial probability; (0, 1) where nothing was tried.

    Parameters
    ----------
    passed, total : (n,)
        Counts, or effective counts, 0 <= passed <= total.
    level
        Confidence level.

    Raises
    ------
    ValueError
        If more passed than were tried.
    """
    passed, total = np.asarray(passed, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if (passed < 0).any() or (passed > total * (1 + 1e-9)).any():
        raise ValueError("passed must lie between 0 and total")
    failed = np.maximum(total - passed, 0.0)
    tail = 0.5 * (1.0 - level)
    with np.errstate(invalid="ignore"):  # a beta distribution without events on one side
        low = np.where(passed > 0, beta.ppf(tail, passed, failed + 1), 0.0)
        high = np.where(failed > 0, beta.ppf(1 - tail, passed + 1, failed), 1.0)
    return low, high


@dataclass(frozen=True, slots=True)
class Curve:
    """Efficiency in bins of a quantity."""

    edges: Array
    """(bins + 1,)"""
    total: Array
    """(bins,) events tried, or effective events."""
    passed: Array
    """(bins,) events that passed."""
    is_weighted: bool
    """The counts are effective ones."""

    @classmethod
    def of(cls, x: Array, passed: Array, edges: Array, weights: Array | None = None) -> Curve:
        """Count events; the last bin holds its upper edge, what is outside or NaN is left out.

        Parameters
        ----------
        x, passed, weights : (N,)
            Quantity, whether the event passed, its weight (all alike if not given).
        edges : (bins + 1,)
            Rising.
        """
        passed = np.asarray(passed, dtype=np.bool_)
        total, good = (np.histogram(x[rows], edges)[0] for rows in (np.isfinite(x), np.isfinite(x) & passed))
        if weights is None or weights.size == 0 or (weights == weights[0]).all():
            return cls(edges, total.astype(np.float64), good.astype(np.float64), is_weighted=False)
        w = np.asarray(weights, dtype=np.float64)
        finite = np.isfinite(x)
        sums, squares, kept = (
            np.histogram(x[finite], edges, weights=values[finite])[0] for values in (w, w * w, w * passed)
        )
        filled = (squares > 0) & (sums > 0)
        effective = np.divide(sums**2, squares, out=np.zeros_like(sums), where=filled)
        share = np.divide(kept, sums, out=np.zeros_like(sums), where=filled)
        return cls(edges, effective, effective * share, is_weighted=True)

    @property
    def efficiency(self) -> Array:
        """(bins,) NaN where nothing was tried."""
        out: Array = np.full(self.total.size, np.nan)
        return np.divide(self.passed, self.total, out=out, where=self.total > 0)

    def interval(self, level: float = SIGMA) -> tuple[Array, Array]:
        """Return the (bins,) ends of the Clopper-Pearson interval."""
        return clopper_pearson(self.passed, self.total, level)

    def record(self) -> list[dict[str, Any]]:
        """Return one JSON-able record a bin; null where nothing was tried."""
        low, high = self.interval()
        return [
            {
                "low": float(self.edges[i]),
                "high": float(self.edges[i + 1]),
                "total": float(self.total[i]),
                "passed": float(self.passed[i]),
                "efficiency": float(self.efficiency[i]) if self.total[i] > 0 else None,
                "interval": [float(low[i]), float(high[i])] if self.total[i] > 0 else None,
            }
            for i in range(self.total.size)
        ]


@dataclass(frozen=True, slots=True)
class TurnOn:
    """A fitted turn-on."""

    shape: Shape
    values: dict[str, float]
    """`PARAMETERS`: value."""
    errors: dict[str, tuple[float, float]]
    """`PARAMETERS`: distances down and up to where the likelihood falls by one half (0 at a limit)."""
    deviance: float
    """Twice the log-likelihood ratio to the counts, in bins that expect at least 5 of either kind."""
    degrees_of_freedom: int
    events: int

    @property
    def p_value(self) -> float | None:
        """Probability of a larger deviance; None without degrees of freedom."""
        return float(chi2.sf(self.deviance, self.degrees_of_freedom)) if self.degrees_of_freedom > 0 else None

    def __call__(self, x: Array) -> Array:
        """Return the efficiency at ``x``."""
        return _turn_on(self.shape, x, *(self.values[name] for name in PARAMETERS))

    def record(self) -> dict[str, Any]:
        """Return a JSON-able record."""
        parameters = {
            name: {"value": self.values[name], "error_down": self.errors[name][0], "error_up": self.errors[name][1]}
            for name in PARAMETERS
        }
        goodness = {"deviance": self.deviance, "ndf": self.degrees_of_freedom, "p_value": self.p_value}
        return {"shape": self.shape, **parameters, **goodness, "events": self.events}


class FitFailed(ValueError):
    """The events do not determine a turn-on; the text says why."""


def fit_turn_on(x: Array, passed: Array, edges: Array, weights: Array | None = None, *, shape: Shape = "erf") -> TurnOn:
    """Fit plateau, threshold and width to the events between the first and the last edge.

    Unequal weights enter the likelihood divided by their mean square over their mean, so that its curvature is that of
    as many effective events; the errors are then approximate.

    Parameters
    ----------
    x, passed, weights
        (N,) quantity, whether the event passed, its weight (all alike if not given).
    edges
        (bins + 1,) range of the fit; bins of the goodness of fit, before small ones are joined.
    shape
        Rise of the turn-on.

    Raises
    ------
    FitFailed
        If no event passes, the events show no rise, or the minimum is not found.
    """
    from iminuit import Minuit

    inside = (x >= edges[0]) & (x <= edges[-1])
    x, passed = np.asarray(x[inside], dtype=np.float64), np.asarray(passed[inside], dtype=np.bool_)
    w = np.ones(x.size) if weights is None else np.asarray(weights[inside], dtype=np.float64)
    if not passed.any():
        raise FitFailed("no event passes in this range")
    w = w * (w.sum() / (w @ w))
    fine = np.minimum((_FINE_BINS * (x - edges[0]) / (edges[-1] - edges[0])).astype(np.int64), _FINE_BINS - 1)
    total, good, first = (np.bincount(fine, values, minlength=_FINE_BINS) for values in (w, w * passed, w * x))
    filled = total > 0
    total, good = total[filled], good[filled]
    at = first[filled] / total

    def cost(plateau: float, threshold: float, width: float) -> float:
        p = np.clip(_turn_on(shape, at, plateau, threshold, width), _TINY, 1 - _TINY)
        return -float(good @ np.log(p) + (total - good) @ np.log1p(-p))

    start = _start(at, total, good)
    span = float(edges[-1] - edges[0])
    best: Any = None
    for width in (0.01 * span, 0.05 * span, 0.2 * span):
        minuit = Minuit(cost, **start, width=width)
        minuit.errordef = Minuit.LIKELIHOOD
        minuit.limits = [(0.0, 1.0), (edges[0] - span, edges[-1] + span), (1e-4 * span, 10 * span)]
        minuit.migrad()
        if best is None or minuit.fval < best.fval:
            best = minuit
    if not (best.valid and edges[0] < best.values["threshold"] < edges[-1]):
        raise FitFailed("no rise from nothing to a plateau in this range")
    deviance, bins = _goodness(at, total, good, _turn_on(shape, at, *best.values), edges)
    return TurnOn(
        shape=shape,
        values={name: float(best.values[name]) for name in PARAMETERS},
        errors=_errors(best),
        deviance=deviance,
        degrees_of_freedom=max(0, bins - len(PARAMETERS)),
        events=x.size,
    )


def _turn_on(shape: Shape, x: Array, plateau: float, threshold: float, width: float) -> Array:
    z = (x - threshold) / width
    rise: Array = 0.5 * (1.0 + erf(z / math.sqrt(2.0))) if shape == "erf" else expit(z)
    return plateau * rise


def _start(at: Array, total: Array, good: Array) -> dict[str, float]:
    """Return a first guess: the efficiency of the upper half of the passing events, and where half of it is passed."""
    seen = np.cumsum(good)
    upper = seen >= 0.5 * seen[-1]
    plateau = float(np.clip(good[upper].sum() / total[upper].sum(), 0.01, 0.999))
    # As many events are lost below the threshold as a step there would lose.
    lost = total.sum() - good.sum() / plateau
    threshold = float(at[min(int(np.searchsorted(np.cumsum(total), lost)), at.size - 1)])
    return {"plateau": plateau, "threshold": threshold}


def _errors(minuit: Any) -> dict[str, tuple[float, float]]:
    """Return asymmetric errors; those of the curvature where the likelihood cannot be followed."""
    try:
        minuit.minos()
    except RuntimeError:  # the scan found a better minimum, or none: the curvature remains
        minuit.hesse()
    errors = {}
    for name in PARAMETERS:
        scan = minuit.merrors.get(name)
        value, (low, high), width = minuit.values[name], minuit.limits[name], minuit.errors[name]
        down = -scan.lower if scan is not None and scan.lower_valid else width
        up = scan.upper if scan is not None and scan.upper_valid else width
        errors[name] = (float(min(down, value - low)), float(min(up, high - value)))
    return errors


def _goodness(at: Array, total: Array, good: Array, p: Array, edges: Array) -> tuple[float, int]:
    """Return the deviance and the number of bins, neighbours joined until each expects enough of either kind."""
    place = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, edges.size - 2)
    n, k, expected = (np.bincount(place, values, minlength=edges.size - 1) for values in (total, good, total * p))
    joined: list[list[float]] = [[0.0, 0.0, 0.0]]
    for row in zip(n, k, expected, strict=True):
        tried, _, mean = joined[-1]
        if min(mean, tried - mean) >= _MIN_EXPECTED:
            joined.append([0.0, 0.0, 0.0])
        joined[-1] = [a + b for a, b in zip(joined[-1], row, strict=True)]
    tried, _, mean = joined[-1]
    if len(joined) > 1 and min(mean, tried - mean) < _MIN_EXPECTED:
        last = joined.pop()
        joined[-1] = [a + b for a, b in zip(joined[-1], last, strict=True)]
    n, k, expected = np.array(joined).T
    missing, unexpected = np.maximum(n - k, 0.0), np.maximum(n - expected, _TINY)
    terms = xlogy(k, k / np.maximum(expected, _TINY)) + xlogy(missing, missing / unexpected)
    return float(2 * terms.sum()), len(joined)
