"""What a spectrum is made of: Crystal Ball peak, wrong photon pairs, polynomial background; all integrated per bin.

Every density is integrated in closed form, so a bin far narrower or far wider than the peak costs no accuracy. The
expected count of bin i is

    mu_i = s (1 + d a) (T_i + b D_i) + sum_k c_k B_ki

with the signal yield s, the signal template T (counts per selected signal event), its change D for one standard
deviation of the resolution, the background coefficients c, and two nuisance parameters a (efficiency, relative error d)
and b (resolution), both of unit Gaussian width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from daq.jit import Array


@dataclass(frozen=True, slots=True)
class CrystalBall:
    """Parameters of a Crystal Ball: a Gaussian with a power-law tail on one side."""

    mean: float
    """Peak position, in the unit of the observable."""
    sigma: float
    """Width of the Gaussian core, in the unit of the observable."""
    alpha: float
    """Where the tail begins [sigma from the mean]."""
    n: float
    """Power of the tail, > 1."""
    tail: Literal["low", "high"] = "low"
    """Side of the tail."""

    def widened(self, factor: float) -> CrystalBall:
        """Return the same shape with ``sigma`` scaled by ``factor``."""
        return replace(self, sigma=self.sigma * factor)

    def cdf(self, x: Array) -> Array:
        """Return the cumulative distribution at ``x``, normalised on the full line.

        With t = (x - mean)/sigma the density is exp(-t^2/2) for t > -alpha, and the matching power law
        (n/alpha)^n exp(-alpha^2/2) (n/alpha - alpha - t)^-n below; both parts integrate in closed form. A tail on the
        high side is the mirror image.
        """
        t = (np.asarray(x, dtype=np.float64) - self.mean) / (self.sigma if self.tail == "low" else -self.sigma)
        tail = self.n / self.alpha / (self.n - 1.0) * math.exp(-0.5 * self.alpha**2)
        root = math.sqrt(0.5 * math.pi)
        norm = tail + root * (1.0 + math.erf(self.alpha / math.sqrt(2.0)))
        below = 1.0 + self.alpha / self.n * np.maximum(-self.alpha - t, 0.0)
        core = np.maximum(t, -self.alpha)
        gauss = root * (special.erf(core / math.sqrt(2.0)) + math.erf(self.alpha / math.sqrt(2.0)))
        cumulative: Array = (tail * below ** (1.0 - self.n) + gauss) / norm
        return cumulative if self.tail == "low" else 1.0 - cumulative

    def bins(self, edges: Array) -> Array:
        """Return the probability of each bin, given that a value lies between the first and the last edge."""
        cumulative = self.cdf(edges)
        probability: Array = np.diff(cumulative) / (cumulative[-1] - cumulative[0])
        return probability


@dataclass(frozen=True, slots=True)
class Histogram:
    """A density given by its integral over bins; inside a bin it is flat."""

    edges: Array
    contents: Array

    def bins(self, edges: Array) -> Array:
        """Return the integral of the density over other bins; it is zero outside of its own edges."""
        cumulative = np.concatenate([[0.0], np.cumsum(self.contents)])
        integral: Array = np.diff(np.interp(edges, self.edges, cumulative))
        return integral


def bernstein_bins(edges: Array, order: int) -> Array:
    """Return the Bernstein polynomials of ``order`` on [first edge, last edge], integrated per bin.

    Returns
    -------
    (bins, order + 1) float64
        Column k is the k-th basis polynomial with unit area. Coefficients are therefore in events. They are free in
        sign: only the *sum* of a spectrum has to stay positive in each bin, a wider model than positive coefficients.
    """
    x = (edges - edges[0]) / (edges[-1] - edges[0])
    k = np.arange(order + 1)
    basis: Array = np.diff(special.betainc(k + 1.0, order - k + 1.0, x[:, np.newaxis]), axis=0)
    return basis


@dataclass(frozen=True, slots=True)
class SpectrumModel:
    """Templates of one binned spectrum; see the head of this file for the formula."""

    signal: Array
    """(bins,) counts per selected signal event."""
    resolution: Array
    """(bins,) change of ``signal`` for one standard deviation of the resolution; all zero if there is no such error."""
    background: Array
    """(bins, coefficients) basis of the background."""
    efficiency_error: float
    """Relative standard deviation of the signal efficiency; 0 if there is none."""

    def expected(self, parameters: Array) -> Array:
        """Return (bins,) expected counts for parameters (s, a, b, c_0, c_1, ...)."""
        s, a, b = parameters[:3]
        expected: Array = (
            s * (1.0 + self.efficiency_error * a) * (self.signal + b * self.resolution)
            + self.background @ parameters[3:]
        )
        return expected

    def jacobian(self, parameters: Array) -> Array:
        """Return (bins, parameters) derivatives of the expected counts."""
        s, a, b = parameters[:3]
        scale = 1.0 + self.efficiency_error * a
        template = self.signal + b * self.resolution
        return np.column_stack(
            [scale * template, s * self.efficiency_error * template, s * scale * self.resolution, self.background]
        )


def spectrum_model(
    edges: Array,
    *,
    peak: CrystalBall,
    peak_fraction: float,
    wrong: Histogram,
    order: int,
    efficiency_error: float,
    resolution_error: float,
) -> SpectrumModel:
    """Build the templates of one mass hypothesis.

    Parameters
    ----------
    edges : (bins + 1,)
        Bin edges of the fit window.
    peak, peak_fraction
        Shape of the right photon combination inside of the window, and the part of the selected signal events that
        have it there.
    wrong
        Wrong combinations per selected signal event.
    order
        Order of the background polynomial.
    efficiency_error, resolution_error
        Relative standard deviations of signal efficiency and of the peak width.
    """
    signal = peak_fraction * peak.bins(edges) + wrong.bins(edges)
    wider, narrower = (peak.widened(1.0 + sign * resolution_error).bins(edges) for sign in (1.0, -1.0))
    slope = 0.5 * peak_fraction * (wider - narrower)
    return SpectrumModel(signal, slope, bernstein_bins(edges, order), efficiency_error)
