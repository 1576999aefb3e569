"""What a signal of any mass looks like: shape and efficiency from simulated samples, interpolated in mass.

The samples go through the real chain (detector, L1, HLT, spool) with the menus of the data, so the efficiency is that
of trigger, prescale and selection together, and a yield is simply cross-section x live luminosity x efficiency.

Approximate: the right combination is taken to be the one nearest to the true mass; its Crystal Ball is interpolated
between the simulated masses, the wrong combinations linearly between their histograms (1/100 of s wide, smoothed).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from iminuit import Minuit
from pydantic import Field
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from daq.errors import InputError
from daq.jit import Array
from daq.settings import Settings, parse, read_json
from offline.dataset import accepted_by
from offline.models import CrystalBall, Histogram
from offline.observables import Frame, observables, select
from offline.search import ObservableSettings, Search, find

MIN_SELECTED = 100
"""Fewest selected events that a shape can be taken from."""
_WRONG_BINS = 110
_FIT_BINS = 1000


@dataclass(frozen=True, slots=True)
class SignalSample:
    """Simulated signal of one mass: the kept events (spool columns), and how many were generated."""

    mass_gev: float
    events: pl.DataFrame
    n_generated: int


class ShapeNode(Settings):
    """Shape and efficiency at one simulated mass, in one range of the search."""

    mass_gev: float
    mean: float
    """Peak of the Crystal Ball [GeV2]."""
    sigma: float = Field(gt=0)
    """Width of the Crystal Ball [GeV2]."""
    alpha: float = Field(gt=0)
    n: float = Field(gt=1)
    tail: Literal["low", "high"]
    peak_fraction: float = Field(gt=0, le=1)
    """Part of the selected events whose right combination is in the Crystal Ball, inside of the fit window."""
    efficiency: float = Field(gt=0, le=1)
    """Trigger and selection together."""
    efficiency_error: float = Field(ge=0)
    """Binomial standard deviation of ``efficiency``."""
    selected: int
    wrong: tuple[float, ...]
    """Wrong combinations per selected event, in equal bins from -0.1 s to s."""


class RangeShapes(Settings):
    """The nodes of one mass range, by rising mass."""

    nodes: tuple[ShapeNode, ...] = Field(min_length=2)


@dataclass(frozen=True, slots=True)
class Signal:
    """The signal at one mass: the answer of the interpolation."""

    peak: CrystalBall
    peak_fraction: float
    efficiency: float
    efficiency_error: float
    wrong: Histogram


class Shapes(Settings):
    """Shapes of a search; written by ``darkline shapes``, read by every scan."""

    schema_version: Literal[1]
    selection_hash: str
    """Hash of all that the shapes depend on in the search; see `selection_hash`."""
    s_gev2: float
    prescales: dict[str, dict[str, int]]
    """Prescale of each line of the search, as simulated: level -> line -> prescale."""
    provenance: dict[str, Any]
    """How the samples were made: events, seed, menus."""
    ranges: tuple[RangeShapes, ...]

    def interpolation(self, index: int) -> Callable[[float], Signal]:
        """Return mass [GeV] -> `Signal` for a range of the search; monotone cubic between the nodes."""
        nodes = self.ranges[index].nodes
        masses = np.array([node.mass_gev for node in nodes])
        curves = np.array(
            [
                (
                    math.log(node.sigma),
                    (node.mean - node.mass_gev**2) / node.sigma,
                    math.log(node.alpha),
                    math.log(node.n - 1.0),
                    node.peak_fraction,
                    node.efficiency,
                    node.efficiency_error,
                )
                for node in nodes
            ]
        )
        wrong = np.array([node.wrong for node in nodes])
        curve = PchipInterpolator(masses, curves, extrapolate=False)
        edges = _wrong_edges(self.s_gev2)

        def signal(mass_gev: float) -> Signal:
            if not masses[0] <= mass_gev <= masses[-1]:
                raise InputError(f"shapes cover {masses[0]:g} to {masses[-1]:g} GeV", key="mass_gev", value=mass_gev)
            log_sigma, pull, log_alpha, log_tail, peak_fraction, efficiency, error = curve(mass_gev)
            sigma = math.exp(log_sigma)
            peak = CrystalBall(
                mass_gev**2 + pull * sigma, sigma, math.exp(log_alpha), 1.0 + math.exp(log_tail), nodes[0].tail
            )
            right = min(max(int(np.searchsorted(masses, mass_gev)), 1), masses.size - 1)
            part = (mass_gev - masses[right - 1]) / (masses[right] - masses[right - 1])
            contents = (1.0 - part) * wrong[right - 1] + part * wrong[right]
            return Signal(peak, float(peak_fraction), float(efficiency), float(error), Histogram(edges, contents))

        return signal

    def check(self, search: Search, prescales: Mapping[str, Mapping[str, int]], s_gev2: float) -> None:
        """Raise `InputError` unless the shapes belong to this search, these prescales and this beam."""
        again = "make them again with `darkline shapes`"
        if self.selection_hash != selection_hash(search):
            raise InputError(f"shapes were made for another selection: {again}", key="selection_hash")
        if not math.isclose(self.s_gev2, s_gev2, rel_tol=1e-6):
            raise InputError(f"shapes were made for s = {self.s_gev2:g} GeV2: {again}", key="s", value=s_gev2)
        for level, lines in prescales.items():
            for line, prescale in lines.items():
                if (simulated := self.prescales.get(level, {}).get(line)) != prescale:
                    rule = f"shapes were made with prescale {simulated} of this {level} line: {again}"
                    raise InputError(rule, key=line, value=prescale)

    def write(self, path: Path) -> None:
        """Write as JSON; the file appears whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(self.model_dump(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(path)


def shapes_path(search: str | Path) -> Path:
    """Return the file of the shapes of a search, beside its TOML file."""
    return find(search).with_suffix(".shapes.json")


def load_shapes(path: Path) -> Shapes:
    """Read shapes; raise `InputError` naming the file if they are missing or damaged."""
    return parse(read_json(path, if_missing="make it with `darkline shapes`"), Shapes, file=path)


def selection_hash(search: Search) -> str:
    """Return a hash of trigger lines, object definitions, cuts and windows: all that a shape depends on."""
    parts = search.model_dump(include={"trigger", "photons", "tracks", "selection", "observables", "ranges"})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def fit_shapes(
    search: Search,
    samples: Iterable[SignalSample],
    frame: Frame,
    *,
    prescales: dict[str, dict[str, int]],
    provenance: dict[str, Any],
) -> Shapes:
    """Fit shape and efficiency of every range of a search at every simulated mass in it.

    Parameters
    ----------
    search
        The search, with its cuts and windows.
    samples
        One for each mass of ``search.shape_masses_gev``; they may come one by one, each is used and dropped.
    frame
        Centre of mass of the simulated beams.
    prescales
        Level ("l1", "hlt") -> line of the search -> prescale, as simulated.
    provenance
        JSON-able record of how the samples were made.

    Raises
    ------
    InputError
        If too few events of a mass are selected, or a range lacks a mass.
    """
    nodes: list[list[ShapeNode]] = [[] for _ in search.ranges]
    for sample in sorted(samples, key=lambda sample: sample.mass_gev):
        events = accepted_by(sample.events.lazy(), search.trigger.model_dump()).collect()
        table = observables(events, search.photons, search.tracks, frame)
        for index, mass_range in enumerate(search.ranges):
            low, high = mass_range.mass_gev
            if low <= sample.mass_gev <= high:
                chosen = select(table, search.cuts(index))[mass_range.observable].to_numpy()
                window = search.observables[mass_range.observable]
                nodes[index].append(_fit_node(chosen, sample, window, frame.s_gev2))
    for mass_range, found in zip(search.ranges, nodes, strict=True):
        masses = [node.mass_gev for node in found]
        if not set(mass_range.mass_gev) <= set(masses):
            raise InputError("a range needs samples at both of its ends", key="mass_gev", value=mass_range.mass_gev)
    return Shapes(
        schema_version=1,
        selection_hash=selection_hash(search),
        s_gev2=frame.s_gev2,
        prescales=prescales,
        provenance=provenance,
        ranges=tuple(RangeShapes(nodes=tuple(found)) for found in nodes),
    )


def _wrong_edges(s_gev2: float) -> Array:
    return np.linspace(-0.1 * s_gev2, s_gev2, _WRONG_BINS + 1)


def _fit_node(values: Array, sample: SignalSample, window: ObservableSettings, s_gev2: float) -> ShapeNode:
    """Return the node of (selected events, 3) values of the observable."""
    selected = values.shape[0]
    if selected < MIN_SELECTED:
        rule = f"only {selected} of {sample.n_generated} signal events are selected, a shape needs {MIN_SELECTED}"
        raise InputError(rule, key="mass_gev", value=sample.mass_gev)
    nearest = np.argmin(np.abs(values - sample.mass_gev**2), axis=1)
    right = values[np.arange(selected), nearest]
    wrong = np.delete(values.ravel(), np.arange(selected) * 3 + nearest)
    low, middle, high = np.quantile(right, [0.159, 0.5, 0.841])
    peak, core = CrystalBall(float(middle), 0.5 * float(high - low), 1.5, 5.0, window.tail), 1.0
    for _ in range(3):  # the window follows the width that is fitted in it
        edges = np.linspace(*window.window(peak.mean, peak.sigma), _FIT_BINS + 1)
        peak, core = _fit_crystal_ball(right, edges, peak)
    inside = np.count_nonzero((right >= edges[0]) & (right < edges[-1]))
    per_event = np.histogram(wrong, bins=_wrong_edges(s_gev2))[0] / selected
    efficiency = selected / sample.n_generated
    return ShapeNode(
        mass_gev=sample.mass_gev,
        mean=_rounded(peak.mean),
        sigma=_rounded(peak.sigma),
        alpha=_rounded(peak.alpha),
        n=_rounded(peak.n),
        tail=peak.tail,
        peak_fraction=_rounded(core * inside / selected),
        efficiency=_rounded(efficiency),
        efficiency_error=_rounded(math.sqrt(efficiency * (1.0 - efficiency) / sample.n_generated)),
        selected=selected,
        wrong=tuple(_rounded(content, 4) for content in gaussian_filter1d(per_event, 1.0, mode="constant")),
    )


def _fit_crystal_ball(values: Array, edges: Array, start: CrystalBall) -> tuple[CrystalBall, float]:
    """Fit a Crystal Ball on a free flat floor of mismeasured events; return it and its part of the values.

    Raises
    ------
    InputError
        If the fit does not converge.
    """
    counts = np.histogram(values, bins=edges)[0]
    filled = counts > 0
    flat = 1.0 / (edges.size - 1)

    def cost(mean: float, sigma: float, alpha: float, n: float, floor: float) -> float:
        bins = CrystalBall(mean, sigma, alpha, n, start.tail).bins(edges)
        return -float(np.sum(counts[filled] * np.log((1.0 - floor) * bins[filled] + floor * flat)))

    # Steps and limits in units of the first guess of the width, so that masses of 0.2 and 9 GeV look alike.
    minuit = Minuit(cost, start.mean, start.sigma, start.alpha, start.n, 0.01)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.errors = (0.1 * start.sigma, 0.1 * start.sigma, 0.1, 0.5, 0.01)
    minuit.limits = (
        (start.mean - 3.0 * start.sigma, start.mean + 3.0 * start.sigma),
        (0.2 * start.sigma, 3.0 * start.sigma),
        (0.3, 4.0),
        (1.1, 30.0),
        (1e-5, 0.5),
    )
    minuit.migrad(ncall=5000)
    if not minuit.valid:
        raise InputError(f"Crystal Ball fit failed near {start.mean:.4g} GeV2", value=str(minuit.fmin))
    mean, sigma, alpha, n, floor = minuit.values
    return CrystalBall(mean, sigma, alpha, n, start.tail), 1.0 - floor


def _rounded(value: float, digits: int = 7) -> float:
    return float(f"{value:.{digits}g}")
