"""Beam background: numbers, places and times as set, bursts in their gate, events left alone."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.clock import TICK_NS
from daq.errors import InputError
from daq.event import GROUPS, LAYOUT, EventBatch, InjectionRing
from daq.source.background import BeamBackground, Laid
from daq.source.detector import RESPONSE, respond
from daq.source.helix import SUPERLAYERS
from daq.source.mix import MixSource
from daq.source.particles import Particles
from tests.daq.source.runs import ALP, run_settings

GENERATED = ("bhabha", "gamma_gamma", "mu_pair")
INJECTION = {"ler_hz": 300.0, "her_hz": 170.0}


def source_of(background=None, **beam) -> MixSource:
    return MixSource(run_settings(*GENERATED, signals=(ALP,), background=background, seed=7, beam=beam))


def background_of(**given) -> BeamBackground:
    made = BeamBackground.of(run_settings("bhabha", background=given))
    assert made is not None
    return made


def quiet(n: int) -> dict:
    """Return what the clock says of n events without injections."""
    return {
        "t_injection_us": np.full(n, np.inf, "<f4"),
        "injection_ring": np.zeros(n, "|u1"),
        "bunch": np.zeros(n, "<u2"),
    }


def soft_clusters(background: BeamBackground, laid: Laid) -> dict:
    """Return the clusters of events that nothing else left any in."""
    nothing = Particles.build(np.zeros(laid.clusters.size, dtype="<i4"))
    seen = respond(nothing, RESPONSE, None, laid.clusters, first_event=0, seed=7, run=1)
    background.fill_clusters(seen, laid, 0)
    return seen


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 2048), max_size=4), st.integers(0, 3))
def test_blocks_do_not_depend_on_the_cut(cuts, order):
    """2048 events with background and injections, at once or cut anywhere, in any order, by a new source: the same."""
    background = {"tracks": 0.7, "burst": {"factor": 5.0, "ler_gate_us": (0.0, 5.0)}}
    whole = source_of(background, injection=INJECTION).block(0, 2048)
    whole.check()
    pieces = list(itertools.pairwise([0, *sorted(cuts), 2048]))
    restarted = source_of(background, injection=INJECTION)
    parts = {a: restarted.block(a, b - a) for a, b in np.roll(pieces, order, axis=0).tolist() if b > a}
    joined = EventBatch.concatenate(parts[first] for first in sorted(parts))
    for name in LAYOUT:
        assert_array_equal(joined[name], whole[name], err_msg=name)


def test_a_background_of_level_zero_is_none():
    """The table alone changes nothing."""
    plain, nothing = source_of().block(0, 500), source_of({"level": 0.0}).block(0, 500)
    for name in LAYOUT:
        assert_array_equal(plain[name], nothing[name], err_msg=name)


@pytest.mark.parametrize(
    ("kind", "mean"), [(kind, mean) for kind in ("clusters", "tracks", "segments") for mean in (0.05, 2.0, 60.0)][:-1]
)
def test_numbers_are_poisson(kind, mean):
    """Mean and variance are the one asked for, level included. (60 segments would often repeat.)"""
    n = 20_000
    none = {"clusters": 0.0, "tracks": 0.0, "segments": 0.0, "burst": {"factor": 0.0}}
    background = background_of(**none | {kind: mean / 2, "level": 2.0})
    laid = background.lay(quiet(n), 0)
    offsets = {
        "clusters": lambda: soft_clusters(background, laid)["clusters.offsets"],
        "tracks": lambda: background.stray(laid, 0).offsets,
        "segments": lambda: background.with_segments(EventBatch(n, {}).arrays(), laid, 0)["segments.offsets"],
    }[kind]()
    numbers = np.diff(offsets)
    assert abs(numbers.mean() - mean) < 4.5 * math.sqrt(mean / n)
    assert abs(numbers.var() / mean - 1) < 5 * math.sqrt((2 + 1 / mean) / n)


def test_soft_clusters_are_as_set():
    """Energy exponential above the threshold, time and azimuth flat, even in the solid angle, on the ECL's surface."""
    n = 20_000
    background = background_of(cluster_energy_gev=0.03, cluster_time_ns=700.0)
    seen = soft_clusters(background, background.lay(quiet(n), 0))
    energy, theta, phi, r, time = (
        seen[f"clusters.{name}"].astype(float) for name in ("energy_gev", "theta", "phi", "r_cm", "time_ns")
    )
    cosine = np.cos(theta)
    low, high = np.cos(np.radians([155.1, 12.4]))
    for uniform in (
        1 - np.exp(-(energy - 0.02) / 0.03),
        (time + 700) / 1400,
        (phi + math.pi) / (2 * math.pi),
        (cosine - low) / (high - low),
    ):
        distance = np.abs(np.sort(uniform) - (np.arange(uniform.size) + 0.5) / uniform.size).max()
        assert distance < 1.95 / math.sqrt(uniform.size)  # the 0.1 % point of Kolmogorov and Smirnov
    rho, z = r * np.sin(theta), r * cosine
    on_surface = np.isclose(rho, 125, rtol=1e-5) | np.isclose(z, 196, rtol=1e-5) | np.isclose(z, -102, rtol=1e-5)
    assert on_surface.all()
    assert (rho < 125.01).all() and (z > -102.01).all() and (z < 196.01).all()
    assert not seen["clusters.is_track"].any()


def test_stray_particles_come_from_the_beam_pipe():
    """On its surface, flat in z, on their mass shells, neither charge left out; and they are seen as tracks."""
    n = 20_000
    background = background_of(tracks=1.0, track_z_cm=50.0, clusters=0, segments=0)
    stray = background.stray(background.lay(quiet(n), 0), 0)
    assert np.allclose(np.hypot(stray.x, stray.y), 1.0)
    assert np.abs(np.sort(stray.z) - np.linspace(-50, 50, stray.z.size)).max() < 1.95 * 100 / math.sqrt(stray.z.size)
    mass = np.where(stray.pdg == 2212, 0.93827209, 0.000511)
    momentum2 = stray.px**2 + stray.py**2 + stray.pz**2
    assert np.allclose(stray.energy**2 - momentum2, mass**2, atol=1e-9)
    assert abs(np.hypot(stray.px, stray.py).mean() / 0.3 - 1) < 4.5 / math.sqrt(stray.pdg.size)
    codes, counts = np.unique(stray.pdg, return_counts=True)
    assert codes.tolist() == [-11, 11, 2212]
    assert np.allclose(counts / stray.pdg.size, [0.25, 0.25, 0.5], atol=0.02)
    plain, laid = (source_of(given).block(0, 5000) for given in (None, {"tracks": 1.0, "clusters": 0, "segments": 0}))
    assert (np.abs(plain["tracks.z0_cm"]) > 10).sum() < 0.01 * plain["tracks.z0_cm"].size
    far = (np.abs(laid["tracks.z0_cm"]) > 10).sum() - (np.abs(plain["tracks.z0_cm"]) > 10).sum()
    assert 0.2 * 5000 < far < 5000


def test_the_event_itself_is_not_touched():
    """What the collision left comes first in each event, to the bit, where no stray particle met the detector."""
    plain, laid = (source_of(given).block(0, 2000) for given in (None, {"tracks": 0.0, "clusters": 3.0}))
    for column in GROUPS["tracks"]:
        assert_array_equal(laid[column.path], plain[column.path], err_msg=column.path)
    own = np.diff(plain["clusters.offsets"])
    added = np.diff(laid["clusters.offsets"]) - own
    assert abs(added.mean() - 3.0) < 5 * math.sqrt(3.0 / 2000)
    first = np.concatenate([np.arange(a, a + n) for a, n in zip(laid["clusters.offsets"][:-1], own, strict=True)])
    for column in GROUPS["clusters"]:
        assert_array_equal(laid[column.path][first], plain[column.path], err_msg=column.path)
    for which in ("process", "time_ns", "bunch", "trk2d.phi0"):
        assert_array_equal(laid[which], plain[which])


def test_segments_rise_and_are_kept_once():
    """Noise on top of those of the tracks: none of these is lost, and the order is that of the event model."""
    plain, noisy = (source_of(given).block(0, 500) for given in (None, {"clusters": 0, "tracks": 0, "segments": 20}))
    for event in range(500):
        own, all_of = (
            batch["segments"][slice(*batch["segments.offsets"][event : event + 2])] for batch in (plain, noisy)
        )
        assert np.all(np.diff(all_of.astype(int)) > 0)
        assert np.isin(own, all_of).all()
    layer = np.searchsorted(np.cumsum(SUPERLAYERS[:, 4]), noisy["segments"], side="right")
    added = np.bincount(layer, minlength=9) - np.bincount(
        np.searchsorted(np.cumsum(SUPERLAYERS[:, 4]), plain["segments"], side="right"), minlength=9
    )
    assert added.min() > 0.7 * added.max()


def test_soft_clusters_above_threshold_make_trigger_cells():
    """100 MeV and more fire a cell out of time; 20 MeV do not, unless they fall on a cell of the event."""
    soft, hard = (
        source_of({"tracks": 0, "segments": 0, "clusters": 3.0, "cluster_energy_gev": mean}).block(0, 1000)
        for mean in (0.001, 0.5)
    )
    assert (np.abs(soft["tc.time_ns"]) > 100).sum() < 10
    assert (np.abs(hard["tc.time_ns"]) > 100).sum() > 1000


def test_bursts_follow_the_injected_bunch():
    """In its gate the mean rises by the factor and decays with the time since the injection; elsewhere it does not."""
    background = background_of(burst={"factor": 9.0, "decay_us": 300.0, "ler_gate_us": (1.0, 2.0)})
    source = source_of(luminosity_cm2_s=6e35, injection={"ler_hz": 500.0})
    stamps = source.block(0, 100_000)
    columns = {name: stamps[name] for name in ("t_injection_us", "injection_ring", "bunch")}
    strength = background.strength(columns)
    place_us = stamps["bunch"] * TICK_NS * 1e-3
    inside = (place_us >= 1.0) & (place_us < 2.0)
    assert 0.05 < inside.mean() < 0.15
    assert np.all(strength[~inside] == 1.0)
    expected = 1 + 9 * np.exp(-stamps["t_injection_us"][inside].astype(float) / 300)
    assert np.allclose(strength[inside], expected)
    assert strength.max() > 8
    calm = background.strength(columns | {"injection_ring": np.zeros_like(stamps["injection_ring"])})
    assert np.all(calm == 1.0)
    her = background.strength(columns | {"injection_ring": np.full_like(stamps["injection_ring"], InjectionRing.HER)})
    assert np.all((her > 1.0) == ((place_us >= 2.20) & (place_us < 2.33)))


def test_a_burst_is_seen_in_the_events():
    """More clusters in the events of the gate, by the strength that holds there."""
    background = {"tracks": 0, "burst": {"factor": 12.0, "decay_us": 1e6, "ler_gate_us": (0.0, 5.0)}}
    laid, plain = (source_of(given, injection={"ler_hz": 100.0}).block(0, 4000) for given in (background, None))
    added = np.diff(laid["clusters.offsets"]) - np.diff(plain["clusters.offsets"])
    inside = laid["bunch"] * TICK_NS * 1e-3 < 5.0
    assert abs(added[~inside].mean() - 2) < 5 * math.sqrt(2 / (~inside).sum())
    assert abs(added[inside].mean() / 26 - 1) < 0.03


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"clusters": -1.0}, "greater than or equal to 0"),
        ({"clusters": math.inf}, "clusters"),
        ({"level": 100.0}, "500 are the most"),
        ({"cluster_energy_gev": 0.0}, "greater than 0"),
        ({"track_z_cm": 1000.0}, "track_z_cm"),
        ({"burst": {"factor": -1.0}}, "factor"),
        ({"burst": {"ler_gate_us": [1.5, 1.2]}}, "must rise within the turn"),
        ({"burst": {"her_gate_us": [1.5, 12.0]}}, "must rise within the turn"),
        ({"clustres": 1.0}, "did you mean clusters"),
    ],
)
def test_impossible_backgrounds_are_refused(given, words):
    """When the settings load, in words that name the key and the rule."""
    with pytest.raises(InputError, match=words):
        run_settings("bhabha", background=given)
