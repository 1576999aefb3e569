"""The whole way from spooled events to limits, on toys with a known signal."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daq.errors import InputError
from offline.dataset import Dataset
from offline.figures import limit_curve, rendered
from offline.limits import LimitResult, limit
from offline.models import spectrum_model
from offline.observables import observables, select
from offline.report import report
from offline.results import result_record
from offline.scan import ScanResult, mass_hypotheses, scan
from offline.search import Search
from offline.shapes import Shapes, load_shapes
from tests.offline import toy
from tests.offline.conftest import INJECTED_EVENTS, INJECTED_GEV


def test_the_injected_signal_is_found_at_its_mass(scanned: ScanResult, shapes: Shapes):
    """The most significant mass is the injected one, within one width, and its yield is the injected one."""
    best = scanned.best
    assert best is not None
    assert best.significance is not None
    assert best.significance > 5
    width_gev = best.signal.peak.sigma / (2 * INJECTED_GEV)
    assert abs(best.mass_gev - INJECTED_GEV) < width_gev
    expected = INJECTED_EVENTS * shapes.interpolation(1)(INJECTED_GEV).efficiency
    found = best.signal_and_background
    assert abs(found.yield_events - expected) < 3 * math.hypot(found.yield_error, math.sqrt(expected))


def test_significance_elsewhere_is_that_of_noise(scanned: ScanResult):
    """Away from the signal the local significances scatter about 0 with a width of about 1."""
    rest = [p.significance for p in scanned.points if p.ok and abs(p.mass_gev - INJECTED_GEV) > 0.6]
    values = np.array(rest, dtype=float)
    assert abs(values.mean()) < 0.3
    assert 0.7 < values.std() < 1.3


def test_every_point_has_a_status(scanned: ScanResult, limits: LimitResult):
    """A point either has all of its numbers or a reason; records hold no NaN."""
    for point in scanned.points:
        assert point.ok == (point.significance is not None)
        assert point.ok or point.status.startswith("no result: ")
    for point in limits.points:
        assert (point.status == "ok") == (point.coupling is not None)
        assert point.status == "ok" or point.status.startswith("no limit: ")
    json.dumps(result_record(limits.scan, limits), allow_nan=False)


def test_number_of_hypotheses_is_of_the_published_order(search: Search, shapes: Shapes):
    """Half-width steps give hundreds of hypotheses, most of them in the pair mass (published: 378 and 124)."""
    masses = np.array(mass_hypotheses(search, shapes))
    pairs, recoils = np.sum(masses < 6.85), np.sum(masses >= 6.85)
    assert 378 / 2 < pairs < 378 * 2
    assert 124 / 2 < recoils < 124 * 2
    assert np.all(np.diff(masses) > 0)
    assert {0.2, 0.5, 4.0, 6.85} <= set(masses)


def test_max_points_thins_the_scan(limits: LimitResult, scanned: ScanResult):
    """A thinned scan tests masses of the full one, from end to end."""
    few = [point.mass_gev for point in limits.points]
    full = [point.mass_gev for point in scanned.points]
    assert len(few) == 60
    assert set(few) <= set(full)
    assert (few[0], few[-1]) == (full[0], full[-1])


def test_limits_scatter_about_the_expected_ones(limits: LimitResult):
    """Away from the signal most observed limits lie in the two-sigma band; at the signal the limit is above it."""
    inside = []
    for point in limits.points:
        assert point.cross_section_fb is not None
        low, *_, high = point.cross_section_fb.expected
        if abs(point.mass_gev - INJECTED_GEV) > 0.6:
            inside.append(low < point.cross_section_fb.observed < high)
    assert np.mean(inside) > 0.8
    nearest = min(limits.points, key=lambda point: abs(point.mass_gev - INJECTED_GEV))
    assert nearest.cross_section_fb is not None
    assert nearest.cross_section_fb.observed > nearest.cross_section_fb.expected[-1]


def test_limit_is_yield_over_efficiency_and_luminosity(limits: LimitResult):
    """sigma = N / (efficiency x live luminosity), and the coupling follows from the formula."""
    point, tested = limits.points[20], limits.scan.points[20]
    assert point.yield_events is not None
    assert point.cross_section_fb is not None
    assert point.coupling is not None
    fb = point.yield_events.observed / (tested.signal.efficiency * 0.4)
    assert point.cross_section_fb.observed == pytest.approx(fb)
    at_one_per_tev = 118.39 * (1 - point.mass_gev**2 / toy.FRAME.s_gev2) ** 3
    assert point.coupling.observed == pytest.approx(1e-3 * math.sqrt(fb / at_one_per_tev), rel=1e-3)


def test_too_few_events_have_no_limit(search: Search, shapes: Shapes, tmp_path: Path):
    """Where the asymptotic formula cannot hold, the point says so; an empty window has no significance either."""
    rng = np.random.default_rng(7)
    few = toy.reconstructed(toy.background(60, rng), rng)
    result = limit(scan(search, Dataset.open(toy.write_run(tmp_path / "few", few)), shapes, max_points=12))
    statuses = [point.status for point in result.points]
    assert all(point.caution for point in result.points if point.status == "ok")
    assert any("the asymptotic formula needs 10" in status or "no event" in status for status in statuses)
    assert all(point.coupling is None for point in result.points if point.status != "ok")
    assert b"no limit" in rendered(limit_curve(result, "coupling"), "svg")  # and the figure shows the gaps


def test_weighted_events_are_refused(search: Search, shapes: Shapes, toy_events: pl.DataFrame, tmp_path: Path):
    """The Poisson likelihood is for unweighted events."""
    weighted = toy_events[:4000].with_columns(weight=pl.lit(2.0, dtype=pl.Float32))
    dataset = Dataset.open(toy.write_run(tmp_path / "run", weighted))
    with pytest.raises(InputError, match="unweighted"):
        scan(search, dataset, shapes, max_points=2)


def test_a_run_without_luminosity_can_be_scanned_but_not_limited(
    search: Search, shapes: Shapes, toy_events: pl.DataFrame, tmp_path: Path
):
    """A yield needs no luminosity, a cross-section does."""
    dataset = Dataset.open(toy.write_run(tmp_path / "run", toy_events[:4000], live_fb=None))
    result = scan(search, dataset, shapes, max_points=3)
    with pytest.raises(InputError, match="no live luminosity"):
        limit(result)


def test_shapes_of_another_prescale_selection_or_beam_are_refused(
    search: Search, shapes: Shapes, toy_events: pl.DataFrame, tmp_path: Path
):
    """An efficiency is never used for events that it was not measured for."""
    lines = {**toy.LINES, "hlt": {**toy.LINES["hlt"], "three_photons": 4}}
    dataset = Dataset.open(toy.write_run(tmp_path / "run", toy_events[:4000], lines=lines))
    with pytest.raises(InputError, match="three_photons = 4: shapes were made with prescale 1"):
        scan(search, dataset, shapes)
    other = search.model_copy(update={"selection": (*search.selection, "n_photons = 3")})
    with pytest.raises(InputError, match="another selection"):
        shapes.check(other, {}, toy.FRAME.s_gev2)
    with pytest.raises(InputError, match="shapes were made for s"):
        shapes.check(search, {}, 100.0)


def test_shapes_survive_their_file(shapes: Shapes, tmp_path: Path):
    """What is written is what is read; a damaged or missing file is named."""
    path = tmp_path / "toy.shapes.json"
    shapes.write(path)
    assert load_shapes(path) == shapes
    path.write_text(path.read_text()[:-30])
    with pytest.raises(InputError, match=r"toy\.shapes\.json: not JSON"):
        load_shapes(path)
    with pytest.raises(InputError, match="no such file"):
        load_shapes(tmp_path / "absent.json")


def test_shapes_describe_the_signal_they_come_from(search: Search, shapes: Shapes):
    """At a mass between the nodes the template predicts the spectrum of a fresh sample: peak, tails and wrong pairs."""
    mass, n = 5.2, 6000
    rng = np.random.default_rng(31)
    events = toy.reconstructed(toy.signal(mass, n, rng), rng).filter("hlt_three_photons")
    chosen = select(observables(events, search.photons, search.tracks, toy.FRAME), search.cuts(2))
    signal = shapes.interpolation(2)(mass)
    error = math.sqrt(2 * signal.efficiency * (1 - signal.efficiency) / 4000)
    assert abs(chosen.height / n - signal.efficiency) < 4 * error
    edges = np.linspace(*search.observables["m2_gamma_gamma"].window(signal.peak.mean, signal.peak.sigma), 41)
    model = spectrum_model(
        edges,
        peak=signal.peak,
        peak_fraction=signal.peak_fraction,
        wrong=signal.wrong,
        order=1,
        efficiency_error=0.0,
        resolution_error=0.0,
    )
    counts = np.histogram(chosen["m2_gamma_gamma"].to_numpy().ravel(), bins=edges)[0]
    expected = chosen.height * model.signal
    pulls = (counts - expected) / np.sqrt(expected + (0.06 * expected) ** 2)
    assert np.abs(pulls).max() < 4.5
    assert pulls.std() < 1.6


def test_report_is_one_self_contained_page(limits: LimitResult, dataset: Dataset, tmp_path: Path):
    """The page holds its figures, the reconciliation and the lists it is given, and refers to nothing outside."""
    page = report(
        dataset,
        tmp_path / "report",
        scan=limits.scan,
        limits=limits,
        exact=["L1 menu algebra"],
        approximate=["energies < 1 GeV"],
    ).read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 4
    for word in ("spooled", "live luminosity", "three_photons", "L1 menu algebra", "energies &lt; 1 GeV", "simulated"):
        assert word in page
    assert "http://" not in page
    assert "https://" not in page
    names = {path.name for path in (tmp_path / "report").iterdir()}
    figures = ("spectrum", "significance", "limit_cross_section_fb", "limit_coupling")
    assert names == {"report.html", "result.json", *(f"{name}.{kind}" for name in figures for kind in ("png", "svg"))}
    record = json.loads((tmp_path / "report" / "result.json").read_text())
    assert record["schema_version"] == 1
    assert record["inputs"]["live_fb"] == pytest.approx(0.4)
    assert len(record["limit"]["points"]) == 60


def test_report_of_a_run_without_search(dataset: Dataset, tmp_path: Path):
    """Any run has a page."""
    page = report(dataset, tmp_path / "report").read_text(encoding="utf-8")
    assert "The books balance" in page
