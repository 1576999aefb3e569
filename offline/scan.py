"""The bump hunt: one pair of fits at every tested mass, and its local significance.

Approximate: neighbouring masses share events and wrong combinations enter up to three times an event, so the counts of
a spectrum are a little more correlated than Poisson; the significance is local, without trials factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from daq.errors import InputError
from daq.jit import Array
from offline.dataset import Dataset
from offline.fit import Fit, fit
from offline.models import SpectrumModel, spectrum_model
from offline.observables import Frame, observables, select
from offline.search import Search
from offline.shapes import Shapes, Signal

Progress = Callable[[int, int], None]
"""Called with (points done, points in all)."""


@dataclass(frozen=True, slots=True)
class ScanPoint:
    """One mass hypothesis: its spectrum, its model, its fits, and what became of them."""

    mass_gev: float
    observable: str
    edges: Array
    counts: Array
    signal: Signal
    model: SpectrumModel
    signal_and_background: Fit
    background: Fit
    status: str
    """"ok", or "no result: reason"."""
    significance: float | None
    """Local significance sign(yield) sqrt(2 dNLL) [standard deviations]; None unless the status is ok."""

    @property
    def ok(self) -> bool:
        """Return whether there is a result."""
        return self.status == "ok"

    def record(self) -> dict[str, Any]:
        """Return the point as JSON-able numbers."""
        best = self.signal_and_background
        return {
            "mass_gev": self.mass_gev,
            "observable": self.observable,
            "window_gev2": [float(self.edges[0]), float(self.edges[-1])],
            "events_in_window": int(self.counts.sum()),
            "efficiency": self.signal.efficiency,
            "status": self.status,
            "significance": self.significance,
            "yield": best.yield_events if best.valid else None,
            "yield_error": best.yield_error if best.valid else None,
            "at_edge": best.at_edge,
            "nll_signal_and_background": best.nll if best.valid else None,
            "nll_background": self.background.nll if self.background.valid else None,
        }


@dataclass(frozen=True, slots=True)
class ScanResult:
    """All mass hypotheses of a search on a dataset."""

    search: Search
    dataset: Dataset
    shapes: Shapes
    selected: dict[str, int]
    """Events in each mass range ("0.2-0.5 GeV") after trigger and selection."""
    points: list[ScanPoint]

    @property
    def best(self) -> ScanPoint | None:
        """Return the point of the largest significance; None if no point has a result."""
        return max((p for p in self.points if p.ok), key=lambda p: p.significance or 0.0, default=None)

    def record(self) -> dict[str, Any]:
        """Return the scan as JSON-able tables."""
        best = self.best
        return {
            "selected": self.selected,
            "most_significant_mass_gev": best.mass_gev if best else None,
            "points": [point.record() for point in self.points],
        }

    def text(self) -> str:
        """Return what a person wants to know first."""
        failed = [point for point in self.points if not point.ok]
        lines = [f"{self.search.title}: {len(self.points)} masses tested, {len(failed)} without result"]
        lines += [f"  {point.mass_gev:.4f} GeV: {point.status}" for point in failed[:5]]
        if len(failed) > 5:
            lines.append(f"  ... and {len(failed) - 5} more")
        if (best := self.best) is not None:
            found = best.signal_and_background
            lines.append(
                f"largest local significance {best.significance:.2f} sigma at {best.mass_gev:.4f} GeV "
                f"(yield {found.yield_events:.1f} +- {found.yield_error:.1f} events; no trials factor)"
            )
        return "\n".join(lines)


def mass_hypotheses(search: Search, shapes: Shapes) -> list[float]:
    """Return the masses to test [GeV]: a fixed part of the Crystal Ball width apart, anew from each range's begin.

    A width in M2 is one in mass by dm = dM2 / (2 m).
    """
    masses: list[float] = []
    for index, mass_range in enumerate(search.ranges):
        signal = shapes.interpolation(index)
        mass, end = mass_range.mass_gev
        while mass < end:
            masses.append(mass)
            mass += search.scan.step_sigma * signal(mass).peak.sigma / (2.0 * mass)
    return masses


def scan(
    search: Search,
    dataset: Dataset,
    shapes: Shapes,
    *,
    max_points: int | None = None,
    progress: Progress | None = None,
) -> ScanResult:
    """Fit background alone, and signal and background, at every mass of a search.

    With ``max_points`` at most so many of the masses are tested, evenly thinned: a peak may then fall between two.

    Raises
    ------
    InputError
        If the run has not the lines of the search, or shapes, prescales and beam do not belong together.
    """
    frame = Frame.of(dataset.beam)
    lines = search.trigger.model_dump()
    prescales = {level: dataset.prescales(level, names) for level, names in lines.items()}
    shapes.check(search, prescales, frame.s_gev2)
    table = observables(
        dataset.triggered(lines, ("event", "weight", "clusters", "tracks")), search.photons, search.tracks, frame
    )
    spectra, selected = [], {}
    for index, mass_range in enumerate(search.ranges):
        chosen = select(table, search.cuts(index))
        if (chosen["weight"] != 1.0).any():
            raise InputError("selected events have weights: the Poisson likelihood is for unweighted events")
        selected["{:g}-{:g} GeV".format(*mass_range.mass_gev)] = chosen.height
        spectra.append(np.sort(chosen[mass_range.observable].to_numpy().ravel()))

    masses = _thinned(mass_hypotheses(search, shapes), max_points)
    signals = [shapes.interpolation(index) for index in range(len(search.ranges))]
    points = []
    for mass in masses:
        index = search.range_of(mass)
        points.append(_point(search, index, mass, signals[index](mass), spectra[index]))
        if progress is not None:
            progress(len(points), len(masses))
    return ScanResult(search, dataset, shapes, selected, points)


def _thinned(masses: list[float], max_points: int | None) -> list[float]:
    if max_points is None or len(masses) <= max_points:
        return masses
    return [masses[round(place)] for place in np.linspace(0, len(masses) - 1, max_points)]


def _point(search: Search, index: int, mass_gev: float, signal: Signal, spectrum: Array) -> ScanPoint:
    mass_range = search.ranges[index]
    window = search.observables[mass_range.observable].window(signal.peak.mean, signal.peak.sigma)
    edges = np.linspace(*window, search.scan.bins + 1)
    counts = np.diff(np.searchsorted(spectrum, edges))
    efficiency_error, resolution_error = search.systematics.at(mass_gev)
    model = spectrum_model(
        edges,
        peak=signal.peak,
        peak_fraction=signal.peak_fraction,
        wrong=signal.wrong,
        order=mass_range.background_order,
        efficiency_error=math.hypot(efficiency_error, signal.efficiency_error / signal.efficiency),
        resolution_error=resolution_error,
    )
    background = fit(counts, model, signal=0.0)
    best = fit(counts, model, start=background.parameters if background.valid else None)
    status, significance = _significance(int(counts.sum()), best, background)
    return ScanPoint(
        mass_gev, mass_range.observable, edges, counts, signal, model, best, background, status, significance
    )


def _significance(events: int, best: Fit, background: Fit) -> tuple[str, float | None]:
    if events == 0:
        return "no result: no event in the fit window", None
    for name, result in (("background", background), ("signal and background", best)):
        if not result.valid:
            return f"no result: {name} fit: {result.reason}", None
    gain = background.nll - best.nll
    if gain < -1e-4:
        return f"no result: the background fit alone is better by {-gain:.2g}", None
    return "ok", math.copysign(math.sqrt(2.0 * max(gain, 0.0)), best.yield_events)
