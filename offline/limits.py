"""Upper limits: one-sided profile likelihood, observed and expected, on yield, cross-section and coupling.

The test statistic is q(s) = 2 [NLL(s) - NLL(max(s_hat, 0))] for s above the best fit, all nuisances profiled; the
limit is the s with q(s) = z^2, z = 1.645 at 95 % (Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554).
Because the best fit is bounded at zero, a downward fluctuation cannot exclude every yield: the limit over-covers there.

Expected limits come from the Asimov data set of the fitted background. With its q_A(s) = (s/sigma)^2, a fluctuation of
s_hat by k sigma has the limit with sqrt(q_A) = k + z for k >= 0 and k + sqrt(k^2 + z^2) for k < 0 (the bound at zero).

Approximate: asymptotic in the number of events. A window with too few events has no limit; a limit with little
background under its peak carries a caution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from daq.errors import DarklineError, InputError
from daq.jit import Array
from offline.couplings import FORMULAS
from offline.fit import Fit, fit
from offline.models import SpectrumModel
from offline.observables import Frame
from offline.scan import Progress, ScanPoint, ScanResult

BAND = (-2, -1, 0, 1, 2)
"""Fluctuations of the expected limits [standard deviations]; the middle one is the median."""


class NoLimitError(DarklineError):
    """The limit cannot be computed; the text says why."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An observed upper limit and the expected ones of `BAND`, in the same unit."""

    observed: float
    expected: tuple[float, ...]

    def map(self, function: Callable[[float], float]) -> Interval:
        """Return the limits on a rising function of the quantity."""
        return Interval(function(self.observed), tuple(function(value) for value in self.expected))

    def record(self) -> dict[str, Any]:
        """Return the limits as JSON-able numbers."""
        names = ("minus2", "minus1", "median", "plus1", "plus2")
        return {"observed": self.observed, "expected": dict(zip(names, self.expected, strict=True))}


@dataclass(frozen=True, slots=True)
class LimitPoint:
    """Limits at one mass; the intervals are None unless the status is "ok"."""

    mass_gev: float
    status: str
    """"ok", or "no limit: reason"."""
    caution: str = ""
    """Why the limit may be too strong; empty if there is no doubt."""
    yield_events: Interval | None = None
    cross_section_fb: Interval | None = None
    coupling: Interval | None = None

    def record(self) -> dict[str, Any]:
        """Return the point as JSON-able numbers."""
        intervals = {
            "yield": self.yield_events,
            "cross_section_fb": self.cross_section_fb,
            "coupling": self.coupling,
        }
        return {
            "mass_gev": self.mass_gev,
            "status": self.status,
            "caution": self.caution,
            **{name: interval and interval.record() for name, interval in intervals.items()},
        }


@dataclass(frozen=True, slots=True)
class LimitResult:
    """Limits of a search on a dataset, with the scan that they come from."""

    scan: ScanResult
    luminosity_fb: float
    points: list[LimitPoint]

    def record(self) -> dict[str, Any]:
        """Return the limits as JSON-able tables."""
        method = self.scan.search.method
        return {
            "method": method.name,
            "level": method.level,
            "luminosity_fb": self.luminosity_fb,
            "coupling": self.scan.search.coupling,
            "points": [point.record() for point in self.points],
        }

    def text(self) -> str:
        """Return what a person wants to know first."""
        good = [point for point in self.points if point.coupling is not None and point.cross_section_fb is not None]
        search = self.scan.search
        lines = [
            f"{search.title}: {100 * search.method.level:g} % CL upper limits at {len(good)} of {len(self.points)} "
            f"masses, {self.luminosity_fb:.4g} fb-1"
        ]
        bad = [point for point in self.points if point.status != "ok"]
        lines += [f"  {point.mass_gev:.4f} GeV: {point.status}" for point in bad[:5]]
        if len(bad) > 5:
            lines.append(f"  ... and {len(bad) - 5} more")
        if cautioned := sum(bool(point.caution) for point in self.points):
            lines.append(f"{cautioned} of them rest on few events: asymptotic, up to about a factor 2 too strong")
        unit_of = FORMULAS[search.coupling].unit
        for name, unit, interval in (("cross-section", "fb", "cross_section_fb"), ("coupling", unit_of, "coupling")):
            limits = [getattr(point, interval).observed for point in good]
            if limits:
                lines.append(f"{name}: {min(limits):.3g} to {max(limits):.3g} {unit}".rstrip())
        return "\n".join(lines)


def limit(result: ScanResult, *, progress: Progress | None = None) -> LimitResult:
    """Set upper limits at every point of a scan.

    Raises
    ------
    InputError
        If the run has no live luminosity: a yield can then not be turned into a cross-section.
    """
    luminosity_fb = result.dataset.live_fb
    if not luminosity_fb:
        raise InputError(
            "the run has no live luminosity: only a scan is possible",
            file=result.dataset.directory / "sections.parquet",
            key="live_fb",
            value=luminosity_fb,
        )
    points = []
    for point in result.points:
        points.append(_limit_point(result, point, luminosity_fb))
        if progress is not None:
            progress(len(points), len(result.points))
    return LimitResult(result, luminosity_fb, points)


def _limit_point(result: ScanResult, point: ScanPoint, luminosity_fb: float) -> LimitPoint:
    method = result.search.method
    events = int(point.counts.sum())
    if not point.ok:
        return LimitPoint(point.mass_gev, point.status.replace("no result", "no limit"))
    if events < method.min_events:
        rule = f"{events} events in the window, the asymptotic formula needs {method.min_events}"
        return LimitPoint(point.mass_gev, f"no limit: {rule}")
    try:
        yields = Interval(
            observed_limit(point.counts, point.model, method.level),
            expected_limits(point.counts, point.model, method.level),
        )
    except NoLimitError as error:
        return LimitPoint(point.mass_gev, f"no limit: {error}")
    formula, s_gev2 = FORMULAS[result.search.coupling], Frame.of(result.dataset.beam).s_gev2
    cross_section = yields.map(lambda events: events / (point.signal.efficiency * luminosity_fb))
    coupling = cross_section.map(lambda fb: formula.coupling(fb, point.mass_gev, s_gev2))
    return LimitPoint(point.mass_gev, "ok", _caution(point, method.caution_events), yields, cross_section, coupling)


def _caution(point: ScanPoint, minimum: float) -> str:
    """Return a warning if the background under the peak is small; with none at all, 95 % CL is 3.0 events, not 1.35."""
    centres = 0.5 * (point.edges[1:] + point.edges[:-1])
    under = np.abs(centres - point.signal.peak.mean) < 2.0 * point.signal.peak.sigma
    expected = float(point.model.expected(point.background.parameters)[under].sum())
    return f"{expected:.1f} background events under the peak" if expected < minimum else ""


def observed_limit(counts: Array, model: SpectrumModel, level: float) -> float:
    """Return the upper limit on the signal yield, at nominal efficiency.

    Raises
    ------
    NoLimitError
        If a fit on the way is not valid, or no yield is excluded.
    """
    best, background = _valid(fit(counts, model)), _valid(fit(counts, model, signal=0.0))
    reference = best if best.yield_events > 0 else background
    root_q = _root_q(counts, model, reference.nll, best.parameters)
    return upper_crossing(root_q, reference.yield_events, _scale(best), float(norm.ppf(level)))


def expected_limits(counts: Array, model: SpectrumModel, level: float) -> tuple[float, ...]:
    """Return the upper limits of `BAND` that a spectrum without signal would give; ``counts`` fix its background.

    Raises
    ------
    NoLimitError
        If a fit on the way is not valid, or no yield is excluded.
    """
    background = _valid(fit(counts, model, signal=0.0))
    asimov = model.expected(background.parameters)
    null = _valid(fit(asimov, model, signal=0.0, start=background.parameters))
    scale = _scale(_valid(fit(asimov, model, start=null.parameters)))
    root_q, z = _root_q(asimov, model, null.nll, null.parameters), float(norm.ppf(level))
    limits = []
    for k in BAND:
        target = k + z if k >= 0 else k + math.sqrt(k * k + z * z)
        limits.append(upper_crossing(root_q, 0.0, scale, target))
        scale = limits[-1] / target  # nearly the same for the next
    return tuple(limits)


def _valid(result: Fit) -> Fit:
    if not result.valid:
        raise NoLimitError(result.reason)
    return result


def _scale(best: Fit) -> float:
    """Return a first guess of the yield that costs one standard deviation; 0 cannot be doubled."""
    return max(best.yield_error, 1e-3)


def _root_q(counts: Array, model: SpectrumModel, nll_best: float, start: Array) -> Callable[[float], float]:
    """Return s -> sqrt(q(s)): nearly linear in s, so that its root is found in a few steps."""

    def root_q(signal: float) -> float:
        nonlocal start
        result = _valid(fit(counts, model, signal=signal, start=start))
        start = result.parameters
        return math.sqrt(max(0.0, 2.0 * (result.nll - nll_best)))

    return root_q


def upper_crossing(root_q: Callable[[float], float], best: float, scale: float, target: float) -> float:
    """Return the s above ``best`` where a rising function reaches ``target``, to 1e-4 of its distance from ``best``.

    The function is 0 at ``best``; ``scale`` is a first guess of the distance over which it grows by 1.

    Raises
    ------
    NoLimitError
        If it is not reached within 2^40 of these distances.
    """

    def missing(s: float) -> float:
        return root_q(s) - target if s > best else -target

    below, above = best, best + 1.05 * scale * target
    for _ in range(40):
        if missing(above) > 0:
            break
        below, above = above, best + 2.0 * (above - best)
    else:
        raise NoLimitError("no yield is excluded: the likelihood does not fall far enough")
    return float(brentq(missing, below, above, xtol=1e-4 * (above - best), rtol=1e-12))
