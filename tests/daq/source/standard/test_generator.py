"""All processes of the Standard Model in one kernel: an event is a function of its number and its process alone."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daq.errors import InputError
from daq.source.catalogue import standard_names
from daq.source.mix import MixSource
from daq.source.particles import Particles
from daq.source.signals import Signal
from tests.daq.source.runs import run_settings
from tests.daq.source.standard.events import FRAME, cm_momenta, events_of, process, shipped

NAMES = standard_names()


def test_an_event_does_not_depend_on_its_company():
    """Alone or among all others, in a large block or in a small one: the same particles, to the bit."""
    everything = [shipped(name) for name in NAMES]
    whole = events_of(*everything, n=3000)
    assert set(whole.process) == set(range(len(NAMES)))
    for number in range(len(NAMES)):
        chosen = np.flatnonzero(whole.process == number)[:5]
        for event in chosen:
            alone = events_of(everything[number], n=1, first=int(event))
            for name in Particles.PARTICLE_FIELDS:
                assert_array_equal(getattr(alone, name), getattr(whole.take([event]), name), err_msg=NAMES[number])
    late = events_of(*everything, n=1000, first=2000)
    for name in (*Particles.PARTICLE_FIELDS, *Particles.EVENT_FIELDS):
        assert_array_equal(getattr(late, name), getattr(whole.take(np.arange(2000, 3000)), name))


def test_no_events_at_all():
    """An empty block is one."""
    assert len(events_of(shipped("bhabha"), shipped("tau_pair"), n=0)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_shipped_process_is_what_its_file_says(name):
    """Energy and charge of the beams in every event (but of cosmic muons), finite numbers, particles that are known."""
    one = shipped(name)
    assert one.cross_section_nb > 0
    particles = events_of(one, n=300)
    for field in Particles.PARTICLE_FIELDS:
        assert np.all(np.isfinite(getattr(particles, field)))
    assert np.all(np.diff(particles.offsets) >= 2)
    if name != "cosmic":
        # Samples are rounded to 32 bits, and one of Pythia's B mesons has its own collision energy.
        tolerance = 1e-5 if not isinstance(one, Signal) and one.sample is not None else 1e-9
        sums = np.add.reduceat(cm_momenta(particles), particles.offsets[:-1].astype(int))
        assert np.abs(sums - [0, 0, 0, FRAME.sqrt_s_gev]).max() < tolerance
    assert np.all(particles.mass_gev == 0)
    assert np.all(particles.weight == 1)


def test_acceptance_of_pairs_is_kept_with_radiation():
    """In events with an initial-state photon alone both electrons are inside, where the pair rests."""
    particles = events_of(process("bhabha", acceptance_deg=[30.0, 150.0]), n=50_000)
    p = cm_momenta(particles)
    first = particles.offsets[:-1][np.diff(particles.offsets) == 2]
    cosine = p[first, 2] / np.linalg.norm(p[first, :3], axis=1)
    assert np.all(np.abs(cosine) <= np.cos(np.radians(30)) + 1e-9)
    assert cosine.max() > 0.86


@pytest.mark.parametrize("name", ["bhabha", "two_photon_mumu", "ee_gamma_lost"])
def test_beams_without_the_energy_are_refused(name):
    """At 0.4 GeV there is no pair of 2 GeV or photon of 0.2 GeV: no process makes what its file says."""
    beam = {"electron_gev": 0.2, "positron_gev": 0.2}
    with pytest.raises(InputError, match=f"{name}, .*_gev.* must be at most"):
        MixSource(run_settings(name, beam=beam))


def test_empty_acceptance_is_refused():
    """An electron that is lost below a nanoradian radiates nothing."""
    with pytest.raises(InputError, match="no event in its acceptance"):
        events_of(process("electron_photon", acceptance_deg=[80.0, 100.0], lost_deg=1e-9, energy_min_gev=2.0), n=1)
