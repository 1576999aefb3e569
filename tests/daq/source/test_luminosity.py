"""The luminosity against time: a Poisson process that follows it, its integral, and the bunches of a turn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.integrate import quad

from daq.clock import TICK_NS, TICKS_A_TURN
from daq.errors import InputError
from daq.settings import BeamSettings, parse
from daq.source.beam import Beam
from daq.source.luminosity import Pattern, Profile, time_of

RATE_HZ, LUMINOSITY = 2e5, 6e34
DECAYING = {"kind": "decaying", "lifetime_s": 0.3, "fill_s": 0.7}
LEVELLED = {"kind": "levelled", "lifetime_s": 0.2, "fill_s": 0.8, "levelled_s": 0.3}

profiles = st.builds(
    lambda levelled, lifetime, lifetimes: {
        "lifetime_s": lifetime,
        "fill_s": levelled + lifetimes * lifetime,
        **({"kind": "levelled", "levelled_s": levelled} if levelled else {"kind": "decaying"}),
    },
    st.one_of(st.just(0.0), st.floats(0.01, 1e4)),
    st.floats(0.01, 1e5),
    st.floats(0.01, 19.9),
)


def beam_of(profile=None, bunches=None, **rest) -> BeamSettings:
    given = {"profile": profile or {}, "bunches": bunches or {}, "luminosity_cm2_s": LUMINOSITY}
    return parse(given | rest, BeamSettings)


def clock(profile=None, bunches=None, **injection) -> Beam:
    return Beam(beam_of(profile, bunches, injection=injection), rate_hz=RATE_HZ, seed=5, run=2)


def relative(profile, time_s):
    """Return the luminosity over its full value, written out as the settings define it."""
    in_fill = time_s % profile["fill_s"]
    return math.exp(-max(0.0, in_fill - profile.get("levelled_s", 0.0)) / profile["lifetime_s"])


@pytest.mark.parametrize("profile", [DECAYING, LEVELLED], ids=lambda profile: profile["kind"])
def test_collisions_follow_the_luminosity(profile):
    """Numbers of collisions in slices of 10 ms over three fills: chi-square against rate times luminosity."""
    times = clock(profile).stamp(0, 600_000)["time_ns"] * 1e-9
    edges = np.arange(0.0, 3 * profile["fill_s"] + 1e-9, 0.01)
    assert times[-1] > edges[-1]
    counts = np.histogram(times, edges)[0]
    expected = [RATE_HZ * quad(lambda t: relative(profile, t), low, high)[0] for low, high in itertools.pairwise(edges)]
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - counts.size) < 4.5 * math.sqrt(2 * counts.size)
    assert counts.min() < 0.35 * counts.max()


@pytest.mark.parametrize("profile", [DECAYING, LEVELLED], ids=lambda profile: profile["kind"])
def test_delivered_luminosity_is_its_integral(profile):
    """Over any stretch, also across fills; and the collisions in it are the rate times it."""
    beam = clock(profile)
    for begin_s, end_s in ((0.0, 0.1), (0.25, 0.35), (0.5, 1.7), (3.0, 3.001)):
        breaks = [fill * profile["fill_s"] + part for fill in range(6) for part in (0.0, profile.get("levelled_s", 0))]
        inside = sorted(point for point in breaks if begin_s < point < end_s)
        edges = [begin_s, *inside, end_s]
        full = sum(quad(lambda t: relative(profile, t), low, high)[0] for low, high in itertools.pairwise(edges))
        delivered = beam.delivered_fb(round(begin_s * 1e9), round(end_s * 1e9))
        assert math.isclose(delivered, LUMINOSITY * full * 1e-39, rel_tol=1e-9)
    _, end_ns = beam.interval_ns(0, 400_000)
    expected = beam.delivered_fb(0, end_ns) / (LUMINOSITY * 1e-39) * RATE_HZ
    assert abs(400_000 - expected) < 5 * math.sqrt(400_000)


@given(profiles, st.floats(0, 1e6))
def test_time_and_full_time_are_inverse(settings, full_s):
    """To a tick, as far as one lifetime of doubles reaches: where luminosity is left."""
    profile = Profile.of(parse({"profile": settings}, BeamSettings).profile)
    time_s = time_of(profile, full_s * 1e9 / TICK_NS) * TICK_NS * 1e-9
    assert math.isclose(profile.full_s(time_s), full_s, rel_tol=1e-9, abs_tol=1e-8)


@given(profiles, st.lists(st.floats(0, 1e6), min_size=2, max_size=20))
def test_time_never_runs_backwards(settings, full_s):
    """Later full time is later time, also over the ends of fills."""
    profile = Profile.of(parse({"profile": settings}, BeamSettings).profile)
    times = [time_of(profile, one * 1e9 / TICK_NS) for one in sorted(full_s)]
    assert times == sorted(times)


@given(st.integers(0, 5000), st.integers(1, 3000), st.data())
def test_times_do_not_depend_on_the_cut(first, count, data):
    """With a profile, trains and injections, any range split anywhere gives the same columns."""
    split = data.draw(st.integers(0, count))
    settings = LEVELLED, {"trains": 2, "gap_ticks": 13, "spacing_ticks": 2}
    whole = clock(*settings, ler_hz=200.0).stamp(first, count)
    other = clock(*settings, ler_hz=200.0)
    tail, head = other.stamp(first + split, count - split), other.stamp(first, split)
    for name, values in whole.items():
        assert_array_equal(np.concatenate([head[name], tail[name]]), values, err_msg=name)


@pytest.mark.parametrize("bunches", [{"gap_ticks": 40}, {"trains": 2, "gap_ticks": 30, "spacing_ticks": 3}])
def test_only_ticks_with_bunches_have_collisions(bunches):
    """All of them, alike, at the same mean rate; the last ticks of each train have none."""
    columns = clock(None, bunches).stamp(0, 300_000)
    filled = Pattern.of(beam_of(None, bunches).bunches).filled
    counts = np.bincount(columns["bunch"], minlength=TICKS_A_TURN)
    assert_array_equal(np.flatnonzero(counts), filled)
    chi2 = ((counts[filled] - 300_000 / filled.size) ** 2).sum() / (300_000 / filled.size)
    assert abs(chi2 - filled.size) < 5 * math.sqrt(2 * filled.size)
    assert abs(columns["time_ns"][-1] * 1e-9 * RATE_HZ / 300_000 - 1) < 5 / math.sqrt(300_000)
    length = TICKS_A_TURN // bunches.get("trains", 1)
    for train in range(bunches.get("trains", 1)):
        assert not counts[(train + 1) * length - bunches["gap_ticks"] : (train + 1) * length].any()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"luminosity_cm2_s": 0.0}, "luminosity_cm2_s"),
        ({"luminosity_cm2_s": math.inf}, "luminosity_cm2_s"),
        ({"profile": {"kind": "decaying", "lifetime_s": 600.0}}, "fill_s must be given"),
        ({"profile": {"kind": "decaying", "fill_s": 600.0}}, "lifetime_s must be given"),
        ({"profile": {"lifetime_s": 600.0}}, "lifetime_s cannot be given"),
        ({"profile": DECAYING | {"levelled_s": 0.1}}, "levelled_s cannot be given"),
        ({"profile": LEVELLED | {"levelled_s": 0.9}}, "longer than fill_s"),
        ({"profile": DECAYING | {"fill_s": 7.0}}, "20 lifetimes"),
        ({"profile": DECAYING | {"lifetime_s": -1.0}}, "greater than 0"),
        ({"profile": DECAYING | {"kind": "leveled"}}, "'levelled'"),
        ({"bunches": {"trains": 2, "gap_ticks": 640}}, "must leave bunches"),
        ({"bunches": {"spacing_ticks": 0}}, "spacing_ticks"),
    ],
)
def test_impossible_beams_are_refused(table, words):
    """When the settings load, in words that name the key and the rule."""
    with pytest.raises(InputError, match=words):
        parse(table, BeamSettings)
