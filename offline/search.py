"""A search is one TOML file: what to select, what to fit, and how to state a limit.

Cuts are Polars SQL expressions over the columns of `offline.observables`; cuts that depend on the tested mass stand in
the ``[[ranges]]`` that they belong to. Everything is checked when the file is read.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from daq.errors import InputError
from daq.settings import CONFIGS, Settings, load
from offline.couplings import FORMULAS
from offline.observables import SCHEMA, ObservableName, PhotonCuts, TrackCuts

Pair = tuple[float, float]
CurvePoints = Annotated[tuple[Pair, ...], Field(min_length=1)]


class TriggerSettings(Settings):
    """Lines that may bring an event into the search: at least one of each level must have accepted it."""

    l1: Annotated[tuple[str, ...], Field(min_length=1)]
    """L1 lines, after prescale."""
    hlt: Annotated[tuple[str, ...], Field(min_length=1)]
    """HLT lines, after prescale."""


class ObservableSettings(Settings):
    """How one observable is windowed and binned."""

    window_sigma: Pair
    """Fit window about the peak [widths of the Crystal Ball], e.g. (-20, 30)."""
    limits_gev2: Pair
    """The window is clipped to this [GeV2]."""
    tail: Literal["low", "high"]
    """Side of the Crystal Ball's tail: where a photon goes that leaked energy out of its cluster."""

    @model_validator(mode="after")
    def _ordered(self) -> ObservableSettings:
        if not self.window_sigma[0] < 0 < self.window_sigma[1]:
            raise ValueError("window_sigma must begin below 0 and end above")
        if not self.limits_gev2[0] < self.limits_gev2[1]:
            raise ValueError("limits_gev2 must rise")
        return self

    def window(self, mean: float, sigma: float) -> Pair:
        """Return the fit window of a peak [GeV2]."""
        (below, above), (low, high) = self.window_sigma, self.limits_gev2
        return max(mean + below * sigma, low), min(mean + above * sigma, high)


class MassRange(Settings):
    """A range of tested masses with its observable, its background and its own cuts."""

    mass_gev: Pair
    """From (included) to (excluded; included in the last range) [GeV]."""
    observable: ObservableName
    """The quantity whose spectrum is fitted."""
    background_order: int = Field(ge=0, le=8)
    """Order of the background polynomial."""
    selection: tuple[str, ...] = ()
    """Cuts of this range alone, as SQL expressions."""

    @model_validator(mode="after")
    def _rising(self) -> MassRange:
        if not 0 < self.mass_gev[0] < self.mass_gev[1]:
            raise ValueError("mass_gev must be positive and rise")
        return self


class ScanSettings(Settings):
    """Which masses are tested."""

    step_sigma: float = Field(default=0.5, gt=0)
    """Step between masses [widths of the Crystal Ball in M2, converted to mass]."""
    bins: int = Field(default=100, ge=10, le=1000)
    """Bins of each fit window."""


class SystematicsSettings(Settings):
    """Gaussian nuisances, each a list of (mass [GeV], relative error): linear between, flat outside."""

    efficiency: CurvePoints = ((1.0, 0.0),)
    """Relative error of the signal efficiency."""
    resolution: CurvePoints = ((1.0, 0.0),)
    """Relative error of the peak width."""

    @model_validator(mode="after")
    def _sane(self) -> SystematicsSettings:
        for name in ("efficiency", "resolution"):
            points = getattr(self, name)
            if any(b[0] <= a[0] for a, b in itertools.pairwise(points)):
                raise ValueError(f"{name}: masses must rise")
            if any(not 0 <= error < 0.25 for _, error in points):  # from 0.27 on, +2 sigma has no expected limit
                raise ValueError(f"{name}: relative errors must lie in [0, 0.25)")
        return self

    def at(self, mass_gev: float) -> Pair:
        """Return the relative errors of (efficiency, resolution) at a mass."""
        efficiency, resolution = np.array(self.efficiency), np.array(self.resolution)
        return float(np.interp(mass_gev, *efficiency.T)), float(np.interp(mass_gev, *resolution.T))


class MethodSettings(Settings):
    """How the limit is stated."""

    name: Literal["profile_one_sided"] = "profile_one_sided"
    """One-sided profile likelihood with the yield bounded at zero, in the asymptotic approximation."""
    level: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence level."""
    min_events: int = Field(default=10, ge=0)
    """Fewest events in a window for which the asymptotic formula is used; below there is no limit."""
    caution_events: float = Field(default=5.0, ge=0)
    """Background under the peak (two widths each side) below which a limit is marked as perhaps too strong [events]."""


class Search(Settings):
    """One search; see the fields for the meaning of each table."""

    title: str
    reference: str
    """Where the numbers come from."""
    coupling: str
    """Name of a formula in offline/couplings.py."""
    trigger: TriggerSettings
    photons: PhotonCuts
    tracks: TrackCuts
    selection: Annotated[tuple[str, ...], Field(min_length=1)]
    """Cuts of all ranges, as SQL expressions."""
    shape_masses_gev: tuple[float, ...]
    """Masses at which signal is simulated [GeV]; both ends of each range must be among them."""
    observables: dict[ObservableName, ObservableSettings]
    ranges: Annotated[tuple[MassRange, ...], Field(min_length=1)]
    scan: ScanSettings = ScanSettings()
    systematics: SystematicsSettings = SystematicsSettings()
    method: MethodSettings = MethodSettings()

    @model_validator(mode="after")
    def _coherent(self) -> Search:
        if self.coupling not in FORMULAS:
            raise ValueError(f"coupling = {self.coupling!r}: no such formula (known: {', '.join(FORMULAS)})")
        for index, mass_range in enumerate(self.ranges):
            if mass_range.observable not in self.observables:
                raise ValueError(f"range {index + 1}: observable {mass_range.observable!r} has no table in observables")
            if index and mass_range.mass_gev[0] != self.ranges[index - 1].mass_gev[1]:
                raise ValueError(f"range {index + 1}: must begin where range {index} ends")
            if not set(mass_range.mass_gev) <= set(self.shape_masses_gev):
                raise ValueError(f"range {index + 1}: shape_masses_gev must hold both of its ends")
        for expression in (*self.selection, *(cut for mass_range in self.ranges for cut in mass_range.selection)):
            _check_cut(expression)
        return self

    def range_of(self, mass_gev: float) -> int:
        """Return the index of the range that tests a mass; raise `InputError` if none does."""
        first, last = self.ranges[0].mass_gev[0], self.ranges[-1].mass_gev[1]
        if not first <= mass_gev <= last:
            raise InputError(f"must lie in {first:g} to {last:g} GeV", key="mass_gev", value=mass_gev)
        return next((i for i, r in enumerate(self.ranges) if mass_gev < r.mass_gev[1]), len(self.ranges) - 1)

    def cuts(self, index: int) -> list[str]:
        """Return all cuts of a range."""
        return [*self.selection, *self.ranges[index].selection]


def _check_cut(expression: str) -> None:
    """Raise `ValueError` unless ``expression`` is a condition on the columns that there are."""
    try:
        result = pl.DataFrame(schema=SCHEMA).select(pl.sql_expr(expression).alias("cut"))
    except pl.exceptions.ColumnNotFoundError as error:
        name = str(error).split("\n", maxsplit=1)[0]
        known = ", ".join(SCHEMA)
        raise ValueError(f"cut {expression!r}: no such column: {name} (known: {known})") from None
    except pl.exceptions.PolarsError as error:
        text = str(error).split("\n", maxsplit=1)[0]
        raise ValueError(f"cut {expression!r}: not a SQL expression: {text}") from None
    if result.schema["cut"] != pl.Boolean:
        raise ValueError(f"cut {expression!r}: must be true or false, is {result.schema['cut']}")


def find(name: str | Path) -> Path:
    """Return the file of a search: a path, or the name of a file in configs/searches."""
    path = Path(name)
    if path.suffix == ".toml":
        return path
    if not (found := CONFIGS / "searches" / f"{name}.toml").is_file():
        known = ", ".join(sorted(search.stem for search in found.parent.glob("*.toml")))
        raise InputError(f"no such search (known: {known})", key="search", value=str(name))
    return found


def load_search(name: str | Path) -> Search:
    """Read a search; raise `InputError` with every broken rule, one a line."""
    return load(find(name), Search)
