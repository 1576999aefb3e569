"""The fit from the crossing of the circles, and the variables of lines that Belle II does not have."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from commands.vertex_acceptance import acceptance, displaced_pairs
from daq.errors import InputError
from daq.settings import BeamSettings, parse
from daq.source.helix import perigee, position
from hlt.displaced.helix import constraints, crossings, z_at
from hlt.displaced.settings import VertexSettings
from hlt.displaced.variables import BAD_VERTEX, DEFINED, MEANINGS, VERTEX_VARIABLES
from hlt.kinematics import cm_frame
from hlt.variables import VARIABLES, filter_variables
from tests.hlt import hostile
from tests.hlt.pairs import decay, helix_events, measured
from tests.hlt.vectors import BEAM, events_of, l1_of

CIRCLES = VertexSettings(seed="circles")
FRAME = cm_frame(BeamSettings())
ELECTRON, MUON, PION, PROTON = 0.51099895e-3, 0.1056583755, 0.13957039, 0.93827209

signs, places, momenta = st.sampled_from([-1, 1]), st.floats(-40, 40), st.floats(-2, 2)
helices = st.tuples(
    st.floats(-20, 20), st.floats(-3.1, 3.1), st.floats(5e-4, 2e-2), st.floats(-30, 30), st.floats(-2, 2), signs
).map(lambda h: (h[0], h[1], h[2] * h[5], h[3], h[4]))


def variables(events, vertex: VertexSettings = CIRCLES):
    """Return the wide table of events."""
    return filter_variables(events, {}, FRAME, vertex=vertex)[0]


# ---- geometry


@given(helices, st.floats(-60, 60))
def test_a_point_of_the_helix_meets_both_constraints(helix, arc):
    """On the helix, within half a turn of its perigee, both constraints vanish."""
    assume(abs(helix[2] * arc) < 3.0)
    g1, g2, *_ = constraints(helix, position(*helix, arc))
    assert abs(g1) < 1e-9
    assert abs(g2) < 1e-7


@given(helices, places, places, places)
def test_derivatives_of_the_constraints(helix, x, y, z):
    """The derivatives agree with difference quotients, away from the centre of the circle and from its far side."""
    d0, phi0, omega, _, _ = helix
    across = x * math.sin(phi0) - y * math.cos(phi0) - d0
    assume(1.0 - omega * across > 0.2)
    _, _, d1, d2, e1, e2 = constraints(helix, (x, y, z))
    expected = np.array([[*d1, *e1, 0.0], [*d2, *e2]])
    start = np.array([*helix, x, y, z])
    for k, step in enumerate((1e-4, 1e-6, 1e-9, 1e-4, 1e-6, 1e-4, 1e-4, 1e-4)):
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved[k] += sign * step
            sides.append(np.array(constraints(tuple(moved[:5]), tuple(moved[5:]))[:2]))
        quotient = (sides[0] - sides[1]) / (2 * step)
        assert_allclose(quotient, expected[:, k], rtol=2e-4, atol=2e-4 * np.abs(expected).max(axis=1).min())


@given(helices, helices)
def test_crossings_lie_on_both_circles(one, two):
    """Both points have the distance of the radius from either centre; circles that miss have one point between them."""

    def centre(helix):
        rho = helix[0] + 1 / helix[2]
        return rho * math.sin(helix[1]), -rho * math.cos(helix[1]), abs(1 / helix[2])

    (x1, y1, r1), (x2, y2, r2) = centre(one), centre(two)
    distance = math.hypot(x2 - x1, y2 - y1)
    assume(distance > 1e-3)
    assume(min(abs(distance - r1 - r2), abs(distance - abs(r1 - r2))) > 1e-3)
    found = crossings(one, two)
    for x, y in ((found.x1, found.y1), (found.x2, found.y2)):
        off = [abs(math.hypot(x - a, y - b) - r) for a, b, r in (centre(one), centre(two))]
        if abs(r1 - r2) < distance < r1 + r2:
            assert max(off) < 1e-5
        else:
            gap = max(distance - r1 - r2, abs(r1 - r2) - distance)
            assert off == pytest.approx([gap / 2, gap / 2], abs=1e-5)


@given(helices, st.floats(-60, 60))
def test_height_at_a_point(helix, arc):
    """The height of the helix at one of its own points is that point's."""
    assume(abs(helix[2] * arc) < 3.0)
    x, y, z = position(*helix, arc)
    assert z_at(helix, x, y) == pytest.approx(z, abs=1e-6)


# ---- the fit


@settings(deadline=None)
@given(st.tuples(places, places, places), st.tuples(*[momenta] * 3), st.tuples(*[momenta] * 3))
def test_a_perfect_pair_is_fitted_to_its_vertex(vertex, first, second):
    """Helices without error: the vertex is where they begin, the momenta those of the start, chi2 is zero.

    Pairs that cross twice at the same height are excluded: both crossings are as good.
    """
    x, y, z = vertex
    sine = first[0] * second[1] - first[1] * second[0]
    pts = math.hypot(*first[:2]), math.hypot(*second[:2])
    assume(min(pts) > 0.15)
    assume(abs(sine) > 0.05 * pts[0] * pts[1])
    one, two = perigee(x, y, z, *first, -1), perigee(x, y, z, *second, 1)
    turned = [abs(math.remainder(math.atan2(q[1], q[0]) - h[1], 2 * math.pi)) for q, h in ((first, one), (second, two))]
    assume(max(turned) < 2.5)
    at = crossings(one, two)
    far = max(((at.x1, at.y1), (at.x2, at.y2)), key=lambda point: math.hypot(point[0] - x, point[1] - y))
    assume(abs(z_at(one, *far) - z_at(two, *far)) > 1.0)
    row = variables(helix_events([[(-1, vertex, first), (1, vertex, second)]]))[0]
    assert row["dv_status"] == 0
    assert [row[f"dv_{axis}_cm"] for axis in "xyz"] == pytest.approx(vertex, abs=2e-4)
    assert row["dv_chi2"] == pytest.approx(0, abs=1e-4)
    assert row["dv_p_negative_gev"] == pytest.approx(math.dist(first, (0, 0, 0)), rel=1e-4)
    assert row["dv_p_positive_gev"] == pytest.approx(math.dist(second, (0, 0, 0)), rel=1e-4)
    both = np.add(first, second)
    assert row["dv_p_gev"] == pytest.approx(math.hypot(*both), rel=1e-3, abs=1e-3)
    assert row["dv_pt_gev"] == pytest.approx(math.hypot(*both[:2]), rel=1e-3, abs=1e-3)


def test_errors_are_honest():
    """Fitted minus true vertex in units of the error has mean 0 and width 1; chi2 has the mean of one degree."""
    particles, true = displaced_pairs(1.0, 8000, seed=3)
    table = variables(measured(particles, seed=3))
    good = (table["dv_status"] == 0) & (table["dv_radius_cm"] < 50)
    assert good.sum() > 3000
    for k, axis in enumerate("xyz"):
        off = (table[f"dv_{axis}_cm"] - true[:, k])[good] / table[f"dv_sigma_{axis}_cm"][good]
        off = off[np.abs(off) < 5]  # the other crossing, in one pair of a hundred
        assert off.size > 0.98 * good.sum()
        assert abs(off.mean()) < 4 / math.sqrt(off.size)
        assert abs(off.std() - 1) < 0.05
    # Cut at a probability of 0.005 the mean is 0.9535 (numerical integral).
    assert abs(table["dv_chi2"][good].mean() - 0.9535) < 4 * 1.3 / math.sqrt(good.sum())


def test_it_agrees_with_kfit_where_both_find_the_vertex(vectors: pl.DataFrame):
    """Two fits of the same model: where the only pair of a reference event is good and near, they give the same.

    Up to a fiftieth of the spread of chi2 and a tenth of the error in place: for KFit the errors of momenta and places
    are normal, for this fit those of the helix.
    """
    table, fits = filter_variables(events_of(vectors), l1_of(vectors), cm_frame(BEAM), vertex=CIRCLES)
    single = (table["dv_n_pairs"] == 1) & (table["dv_status"] == 0) & (fits["status"] == 0)
    distance = np.sqrt(sum((fits[f"{axis}_cm"] - table[f"dv_{axis}_cm"]) ** 2 for axis in "xyz"))
    error = np.sqrt(sum(table[f"dv_sigma_{axis}_cm"] ** 2 for axis in "xyz"))
    same = single & (distance < 1.0)
    assert same.sum() > 0.95 * single.sum() > 50
    assert np.quantile(distance[same] / error[same], 0.98) < 0.1
    assert np.quantile(np.abs(fits["chi2"] - table["dv_chi2"])[same], 0.98) < 0.02 * math.sqrt(2)


def test_it_reaches_farther_than_kfit():
    """Of light pairs from 20 to 60 cm, the crossing finds 98 %, the origin loses more than a tenth."""
    found = acceptance(0.5, 12_000, seed=5, n_bins=6)
    assert (found.good["circles"] > 0.98).all()
    assert (found.good["kfit"][3:] < 0.95).all()
    assert found.good["kfit"][-1] < 0.85
    assert (found.near["circles"] >= found.near["kfit"] - 0.01).all()


# ---- what the variables say


def particle(mass, daughters, charges, vertex, momentum):
    """Return the two tracks of a decay."""
    first, second = decay(mass, daughters, momentum, (0.36, 0.48, 0.8))
    return [(charges[0], vertex, first), (charges[1], vertex, second)]


K0S = particle(0.497611, (PION, PION), (1, -1), (6.0, 3.0, 2.0), (1.2, 0.6, 0.4))
LAMBDA = particle(1.115683, (PROTON, PION), (1, -1), (6.0, 3.0, 2.0), (1.2, 0.6, 0.4))
ANTI_LAMBDA = particle(1.115683, (PROTON, PION), (-1, 1), (-6.0, 3.0, 2.0), (-1.2, 0.6, 0.4))
PHOTON = particle(0.002, (ELECTRON, ELECTRON), (1, -1), (1.5, 0.0, 0.3), (0.5, 0.0, 0.1))
EXOTIC = particle(0.9, (MUON, MUON), (1, -1), (-2.0, 1.0, 0.5), (-1.0, 0.5, 0.25))


@pytest.mark.parametrize(
    ("tracks", "flag", "mass", "value"),
    [
        (K0S, "dv_k0s", "dv_mass_pipi_gev", 0.497611),
        (LAMBDA, "dv_lambda", "dv_mass_ppi_gev", 1.115683),
        (ANTI_LAMBDA, "dv_lambda", "dv_mass_ppi_gev", 1.115683),
        (PHOTON, "dv_conversion", "dv_mass_ee_gev", 0.002),
        (EXOTIC, None, "dv_mass_mumu_gev", 0.9),
    ],
)
def test_known_particles_are_flagged(tracks, flag, mass, value):
    """Mass and flag of a decay of each kind; a particle from the beam points back to it.

    The pions of a Lambda may have the mass of a K0S: each flag is about one hypothesis.
    """
    row = variables(helix_events([tracks]))[0]
    assert row[mass] == pytest.approx(value, abs=2e-4)
    if flag is not None:
        assert row[flag] == row[flag.replace("dv_", "dv_n_")] == 1
    else:
        assert not any(row[name] for name in ("dv_k0s", "dv_lambda", "dv_conversion"))
    assert row["dv_pointing_deg"] < 0.1
    assert row["dv_pointing_xy_deg"] < 0.1
    vertex = np.array(tracks[0][1])
    assert row["dv_flight_cm"] == pytest.approx(np.linalg.norm(vertex), abs=1e-3)
    assert row["dv_flight_xy_cm"] == row["dv_radius_cm"] == pytest.approx(np.hypot(*vertex[:2]), abs=1e-3)
    assert row["dv_theta_deg"] == pytest.approx(math.degrees(math.acos(vertex[2] / np.linalg.norm(vertex))), abs=1e-2)
    assert row["dv_flight_significance"] > 5 or flag == "dv_conversion"  # along its flight a narrow pair says little


def test_the_same_masses_from_another_beam_spot():
    """Flight and angles are counted from the beam spot, the radius from the origin."""
    moved = CIRCLES.model_copy(update={"beam_spot_cm": (1.0, -1.0, 0.5)})
    row = variables(helix_events([EXOTIC]), moved)[0]
    assert row["dv_flight_cm"] == pytest.approx(math.dist((-2, 1, 0.5), (1, -1, 0.5)), abs=1e-3)
    assert row["dv_radius_cm"] == pytest.approx(math.hypot(-2, 1), abs=1e-3)
    assert row["dv_pointing_deg"] > 5


def test_the_best_vertex_is_the_unknown_one():
    """An unknown vertex goes before a K0S that flew farther; alone, the K0S is the best."""
    alone, both = variables(helix_events([K0S, [*K0S, *EXOTIC]]))
    assert alone["dv_k0s"] == 1
    assert both["dv_n_pairs"] == 4
    assert both["dv_n_k0s"] >= 1
    assert both["dv_k0s"] == 0
    assert both["dv_mass_mumu_gev"] == pytest.approx(0.9, abs=1e-3)


def test_the_cap_keeps_the_fastest_pair():
    """With one pair allowed, it is that of the highest transverse momenta, as in Belle II's line; the rest is told."""
    slow = [(q, v, tuple(0.4 * x for x in p)) for q, v, p in EXOTIC]
    capped = CIRCLES.model_copy(update={"max_pairs": 1})
    row, free = variables(helix_events([[*slow, *K0S]]), capped)[0], variables(helix_events([[*slow, *K0S]]))[0]
    assert (row["dv_n_pairs"], row["dv_over_cap"], row["dv_k0s"]) == (1, 1, 1)
    assert (free["dv_n_pairs"], free["dv_over_cap"]) == (4, 0)


def test_events_without_a_vertex_are_undefined():
    """No pair, and a pair whose tracks do not meet: counts say so, all else is NaN."""
    apart = [(-1, (0.0, 0.0, 0.0), (1.0, 0.2, 0.1)), (1, (0.0, 0.0, 1.0), (0.2, 1.0, 0.1))]
    none, bad = variables(helix_events([[EXOTIC[0]], apart]))
    assert none["dv_status"] == -1
    assert none["dv_n_pairs"] == 0
    assert bad["dv_status"] == BAD_VERTEX
    assert bad["dv_n_pairs"] == 1
    for row in (none, bad):
        assert row["dv_n_good"] == 0
        for name in VERTEX_VARIABLES:
            assert np.isnan(row[name]) == (name not in DEFINED), name


def test_the_faithful_variables_stay_as_they_are(vectors: pl.DataFrame):
    """The seed adds columns; those of Belle II, and its vertex, do not change by a bit."""
    events, l1, frame = events_of(vectors), l1_of(vectors), cm_frame(BEAM)
    skip = np.arange(len(vectors)) % 7 == 0
    table, fits = filter_variables(events, l1, frame, skip)
    wide, same = filter_variables(events, l1, frame, skip, CIRCLES)
    for name in VARIABLES:
        assert_array_equal(wide[name], table[name], err_msg=name)
    assert same.tobytes() == fits.tobytes()
    assert wide.dtype.names == (*VARIABLES, *VERTEX_VARIABLES)
    assert (wide["dv_n_pairs"][skip] == 0).all()
    assert (wide["dv_status"][skip] == -1).all()


@pytest.mark.parametrize("seed", range(3))
def test_hostile_events_have_no_half_vertex(seed):
    """Whatever the numbers: a good vertex is finite with positive errors, the rest is undefined; and again the same."""
    batch = hostile.hostile_batch(seed)
    table = variables(batch)
    good = table["dv_status"] == 0
    for name in VERTEX_VARIABLES[len(DEFINED) :]:
        assert np.isnan(table[name][~good]).all(), name
    for name in ("dv_chi2", "dv_x_cm", "dv_y_cm", "dv_z_cm", "dv_sigma_x_cm", "dv_sigma_y_cm", "dv_sigma_z_cm"):
        assert np.isfinite(table[name][good]).all(), name
    assert (table["dv_n_good"] > 0).tolist() == good.tolist()
    assert variables(batch).tobytes() == table.tobytes()


def test_settings_refuse_nonsense():
    """A window that is upside down and an unknown seed are named."""
    for key, value in (("k0s_window_gev", (0.5, 0.4)), ("seed", "origin"), ("max_pairs", 0), ("min_probability", 1.0)):
        with pytest.raises(InputError, match=key):
            parse({key: value}, VertexSettings)


def test_the_page_names_every_variable():
    """docs/vertex.md has one row for each variable, with its meaning."""
    page = (Path(__file__).parents[2] / "docs" / "vertex.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(dv_\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == MEANINGS
