"""Generated events: kinematics of the machine, final state, determinism."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daq.errors import InputError
from daq.settings import BeamSettings
from daq.source.particles import Particles
from daq.source.pythia import PROCESSES, generate

needs_pythia = pytest.mark.skipif(
    importlib.util.find_spec("pythia8mc") is None, reason="PYTHIA ABSENT: the generator was NOT tested (extra gen)"
)
NEUTRINOS = {12, 14, 16}
STABLE = {11, 13, 22, 130, 211, 321, 2112, 2212} | NEUTRINOS


def sums(particles: Particles, *, only: np.ndarray | None = None) -> np.ndarray:
    """Return the summed (px, py, pz, energy) of each event."""
    event = np.repeat(np.arange(len(particles)), np.diff(particles.offsets))
    use = np.ones(event.size) if only is None else only
    columns = [np.bincount(event, use * getattr(particles, n), len(particles)) for n in ("px", "py", "pz", "energy")]
    return np.stack(columns, axis=1)


@needs_pythia
@pytest.mark.parametrize("process", PROCESSES)
def test_events_carry_the_momentum_of_the_beams(process: str):
    """Each event sums to (7.007 + 4.000) GeV, both beams bent to +x by 41.5 mrad, whatever was produced."""
    particles = generate(process, 20, seed=3)
    assert len(particles) == 20
    assert_allclose(sums(particles), np.tile([0.456659, 0.0, 3.004411, 11.007], (20, 1)), atol=2e-6)
    assert set(np.abs(particles.pdg)) <= STABLE


@needs_pythia
def test_another_machine():
    """Beam energies and crossing angle are arguments: PEP-II, head on."""
    beam = BeamSettings(electron_gev=9.0, positron_gev=3.1, crossing_mrad=0.0)
    for process in ("mu_pair", "y4s_bbbar"):
        assert_allclose(sums(generate(process, 3, seed=1, beam=beam)), [[0, 0, 5.9, 12.1]] * 3, atol=1e-6)


@needs_pythia
@pytest.mark.parametrize("process", ["qqbar", "y4s_bbbar"])
def test_the_seed_decides(process: str):
    """The same seed gives the same events, another seed others; the first events do not depend on how many follow."""
    one, same, other = (generate(process, n, seed=seed) for n, seed in ((5, 7), (8, 7), (5, 8)))
    first = same.take(np.arange(5))
    for name in ("offsets", *Particles.PARTICLE_FIELDS):
        assert_array_equal(getattr(one, name), getattr(first, name))
    assert one.px.size != other.px.size or not np.array_equal(one.px, other.px)


@needs_pythia
def test_final_states():
    """Each process gives what its name says."""
    muons = generate("mu_pair", 30, seed=1)
    assert all(
        13 in muons.pdg[a:b] and -13 in muons.pdg[a:b] for a, b in zip(muons.offsets, muons.offsets[1:], strict=False)
    )
    photons = generate("gamma_gamma", 30, seed=1)
    assert_array_equal(photons.pdg, 22)
    assert_array_equal(np.diff(photons.offsets), 2)
    taus = generate("tau_pair", 20, seed=1)
    assert np.all(np.add.reduceat(np.abs(taus.pdg) == 16, taus.offsets[:-1]) == 2)
    hadrons = {name: generate(name, 60, seed=1) for name in ("qqbar", "y4s_bbbar")}
    multiplicity = {name: np.diff(particles.offsets).mean() for name, particles in hadrons.items()}
    assert 13 < multiplicity["qqbar"] < 20 < multiplicity["y4s_bbbar"] < 28


@needs_pythia
def test_vertices_are_in_cm():
    """B mesons at rest in the CM fly 130 um, K_S and Lambda centimetres; what is born in the collision is at 0."""
    b = generate("y4s_bbbar", 100, seed=2)
    rho = np.hypot(b.x, b.y)
    assert 0.001 < np.median(b.z) < 0.1
    assert 1 < rho.max() < 150
    assert np.all(np.abs(generate("mu_pair", 20, seed=2).z) < 1e-6)


@needs_pythia
def test_initial_state_radiation():
    """With it, photons along the beams take momentum away from the muons; the sum of all stays."""
    plain, radiating = (generate("mu_pair", 60, seed=5, isr=isr) for isr in (False, True))
    assert_allclose(sums(radiating)[:, 3], 11.007, atol=1e-3)
    muon_energy = [np.median(sums(p, only=np.abs(p.pdg) == 13)[:, 3]) for p in (plain, radiating)]
    assert muon_energy[1] < muon_energy[0]


@pytest.mark.parametrize(
    ("process", "n_events", "seed", "rule"),
    [("bhabha", 1, 1, "must be one of qqbar"), ("qqbar", -1, 1, "n_events"), ("qqbar", 1, -1, "seed")],
)
def test_bad_requests(process: str, n_events: int, seed: int, rule: str):
    """Unknown processes and negative numbers are refused before the generator starts."""
    with pytest.raises(InputError, match=rule):
        generate(process, n_events, seed)


def test_without_the_wheel(monkeypatch: pytest.MonkeyPatch):
    """Where the extra is not installed the message says how to get it."""
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(InputError, match=r"darkline\[gen\]"):
        generate("qqbar", 1, 1)


@needs_pythia
def test_no_events():
    """Nothing asked, nothing made."""
    assert len(generate("gamma_gamma", 0, seed=1)) == 0
