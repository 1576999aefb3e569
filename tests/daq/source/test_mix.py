"""The mix: shares, rates, reproducibility, and what a wrong process gets."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.errors import InputError
from daq.event import LAYOUT, EventBatch
from daq.settings import CONFIGS, parse
from daq.source import catalogue
from daq.source.catalogue import load_process
from daq.source.formats import write_particles
from daq.source.kinematics import collision_frame
from daq.source.mix import MixSource
from daq.source.particles import Particles
from daq.source.standard.process import ProcessSettings
from tests.daq.source.runs import ALP, run_settings

GENERATED = ("bhabha", "gamma_gamma", "mu_pair")


@pytest.fixture
def small_sample(tmp_path, monkeypatch):
    """Stand in for the committed samples: three events, told apart by their number of particles."""
    particles = Particles.build(
        np.array([0, 1, 3, 6]), pdg=np.full(6, 22), px=np.full(6, 0.3), pz=np.full(6, 0.4), energy=np.full(6, 0.5)
    )
    write_particles(tmp_path / "qqbar.parquet", particles)
    monkeypatch.setattr(catalogue, "SAMPLES", tmp_path)
    return particles


@pytest.mark.usefixtures("small_sample")
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 2048), max_size=4))
def test_blocks_do_not_depend_on_the_cut(cuts):
    """2048 events at once, or cut anywhere: every array is the same to the bit."""
    displaced = {"process": "b_kstar_scalar", "mass_gev": 1.0, "ctau_cm": 5.0, "cross_section_nb": 20.0}
    source = MixSource(run_settings(*GENERATED, "qqbar", signals=(ALP, displaced), seed=7))
    whole = source.block(0, 2048)
    whole.check()
    edges = [0, *sorted(cuts), 2048]
    parts = [source.block(a, b - a) for a, b in itertools.pairwise(edges)]
    joined = EventBatch.concatenate(parts)
    for name in LAYOUT:
        assert_array_equal(joined[name], whole[name], err_msg=name)


def test_processes_come_in_proportion_to_their_cross_sections():
    """And the total rate is their sum times the luminosity."""
    source = MixSource(run_settings(*GENERATED, signals=(ALP,)))
    n = 50_000
    counts = np.bincount(source.particles(0, n).process, minlength=4)
    shares = np.array(source.cross_sections_nb) / sum(source.cross_sections_nb)
    assert np.all(np.abs(counts - n * shares) < 5 * np.sqrt(n * shares))
    begin, end = source.interval_ns(0, n)
    delivered_nb = source.delivered_fb(begin, end) * 1e6
    assert abs(n / (delivered_nb * sum(source.cross_sections_nb)) - 1) < 5 / math.sqrt(n)


def test_signal_events_carry_their_truth():
    """Name with the mass, mass and decay length on signal events only; the coupling gives the cross-section."""
    source = MixSource(
        run_settings("mu_pair", signals=({"process": "alp_gamma_gamma", "mass_gev": 2.0, "coupling": 1.0},))
    )
    assert source.process_names == ("mu_pair", "alp_gamma_gamma_2gev")
    assert math.isclose(source.cross_sections_nb[1], 106e-6 * 1e6, rel_tol=5e-3)
    batch = source.block(0, 1000)
    signal = batch["process"] == 1
    assert np.all(batch["mass_gev"] == np.where(signal, 2.0, 0.0))
    assert np.all((batch["ctau_cm"] > 0) == signal)
    assert np.all(batch["weight"] == 1)


def test_alp_peaks_in_the_diphoton_mass():
    """Reconstructed clusters of signal events have a pair at the mass of the ALP, within the resolution of 2-3 %."""
    batch = MixSource(run_settings(signals=(ALP,))).block(0, 4000)
    three = batch.take(np.diff(batch["clusters.offsets"]) == 3)
    energy, theta, phi = (batch_of(three, name) for name in ("energy_gev", "theta", "phi"))
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    cosine = (direction[:, first] * direction[:, second]).sum(axis=-1)
    masses = np.sqrt(2 * energy[:, first] * energy[:, second] * (1 - cosine))
    nearest = np.take_along_axis(masses, np.abs(masses - 3.0).argmin(axis=1)[:, None], axis=1)[:, 0]
    low, middle, high = np.quantile(nearest, [0.16, 0.5, 0.84])
    assert abs(middle / 3.0 - 1) < 0.01
    assert 0.01 < 0.5 * (high - low) / 3.0 < 0.03


def batch_of(batch: EventBatch, name: str):
    """Return a cluster column of events with three clusters, one row an event."""
    return batch[f"clusters.{name}"].reshape(-1, 3).astype(float)


def test_sample_events_are_turned_about_the_collision_axis(small_sample):
    """Drawn with replacement; what a turn about the axis leaves alone stays, the azimuth becomes flat."""
    source = MixSource(run_settings("qqbar"))
    particles = source.particles(0, 3000)
    sizes = np.bincount(np.diff(particles.offsets), minlength=4)[1:]
    assert np.all(np.abs(sizes - 1000) < 5 * math.sqrt(1000))
    to_cm = collision_frame(run_settings("qqbar").beam).to_cm
    columns = ("px", "py", "pz", "energy")
    turned = to_cm @ np.stack([getattr(particles, name) for name in columns])
    original = to_cm @ np.array([getattr(small_sample, name)[0] for name in columns])
    assert np.allclose(turned[2:], original[2:, None], atol=1e-6)
    assert np.allclose(np.hypot(turned[0], turned[1]), np.hypot(original[0], original[1]), atol=1e-6)
    azimuth = np.arctan2(turned[1], turned[0])[particles.offsets[:-1]]
    assert abs(np.mean(np.exp(1j * azimuth))) < 4 / math.sqrt(3000)


def test_seed_changes_everything():
    """Two seeds share no cluster."""
    first, second = (MixSource(run_settings(*GENERATED, seed=seed)).block(0, 500) for seed in (1, 2))
    assert not np.isin(first["clusters.energy_gev"], second["clusters.energy_gev"]).any()


@pytest.mark.parametrize(
    ("processes", "signals", "words"),
    [
        (("bhaba",), (), ("bhaba", "did you mean bhabha")),
        (("../bhabha",), (), ("no such process", "../bhabha")),
        ((), (), ("at least one",)),
        (("bhabha", "bhabha"), (), ("listed twice", "bhabha")),
        (("alp_gamma_gamma",), (), ("is a signal", "alp_gamma_gamma")),
        ((), ({**ALP, "process": "bhabha"},), ("is not a signal", "bhabha")),
        ((), ({**ALP, "mass_gev": 10.7},), ("below the collision energy", "10.7")),
    ],
)
def test_wrong_processes_are_refused(processes, signals, words):
    """One line that says what, which value and which rule."""
    with pytest.raises(InputError) as error:
        MixSource(run_settings(*processes, signals=signals))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"cross_section_nb": -1.0}, "greater than 0"),
        ({"cross_section_nb": None}, "cross_section_nb must be given"),
        ({"acceptance_deg": [0, 180]}, "acceptance_deg"),
        ({"acceptance_deg": [90, 30]}, "acceptance_deg"),
        ({"sample": "some.parquet"}, "sample"),
        ({"sampler": "magic"}, "sampler"),
        ({"cross_secton_nb": 1.0}, "did you mean cross_section_nb"),
        ({"rate_hz": 1.0}, "cross_section_nb must be given, and no rate_hz"),
        ({"sampler": "cosmic"}, "rate_hz must be given, and no cross_section_nb"),
        ({"cross_section_nb": 0.0}, "greater than 0"),
        ({"sampler": "two_photon"}, "product must be given"),
        ({"sampler": "two_photon", "product": "tau"}, "product"),
        ({"sampler": "two_photon", "product": "mu", "acceptance_deg": [1, 20]}, "must include 90"),
        ({"product": "mu"}, "product must be given if, and only if"),
        ({"sampler": "electron_photon", "acceptance_deg": [10, 160]}, "symmetric about 90"),
        ({"sampler": "electron_photon", "acceptance_deg": [0, 180]}, "acceptance_deg"),
        ({"lost_deg": 90.0}, "less than 90"),
        ({"energy_min_gev": 0.0}, "greater than 0"),
        ({"region_cm": [0, 10]}, "region_cm"),
        ({"pair_mass_min_gev": 0.1}, "greater than 0.25"),
    ],
)
def test_process_settings_refuse(change, rule):
    """Negative cross-sections, beams in the acceptance, samples of a generator, unknown words."""
    good = {"title": "t", "sampler": "bhabha", "source": "s", "cross_section_nb": 1.0, "acceptance_deg": [15, 165]}
    parse(good, ProcessSettings)
    with pytest.raises(InputError, match=rule):
        parse({key: value for key, value in (good | change).items() if value is not None}, ProcessSettings)


@pytest.mark.parametrize("path", sorted((CONFIGS / "processes").glob("*.toml")), ids=lambda path: path.stem)
def test_committed_processes_load(path):
    """Every file in configs/processes is valid and says where its numbers come from."""
    process = load_process(path)
    assert len(process.source) > 20
    if isinstance(process, ProcessSettings):
        assert process.sample is None or (CONFIGS / "samples" / process.sample).is_file()


@pytest.mark.parametrize("background", [None, {}])
def test_blocks_are_as_the_event_model_has_them(background):
    """They are put together without a check: every array is there, of its type, contiguous and read-only."""
    block = MixSource(run_settings(*GENERATED, signals=(ALP,), background=background)).block(5, 40)
    block.check()
    for name, dtype in LAYOUT.items():
        assert block[name].dtype == dtype, name
        assert block[name].flags.c_contiguous, name
        assert not block[name].flags.writeable, name
