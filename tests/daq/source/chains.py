"""Decay chains for tests: made on the spot from a table, or shipped processes at given masses."""

from __future__ import annotations

from typing import Any

import numpy as np

from daq.settings import BeamSettings, SignalSettings, parse
from daq.source.cascade import generate_chains
from daq.source.catalogue import PROCESSES, load_process
from daq.source.compiled import compile_tree
from daq.source.decay import ChainSettings, Point, grow
from daq.source.kinematics import collision_frame
from daq.source.particles import Particles
from daq.source.signals import Signal, settle

FRAME = collision_frame(BeamSettings())
S = FRAME.sqrt_s_gev**2


def chain_settings(decays: list[dict[str, Any]], **rest: Any) -> ChainSettings:
    """Return the settings of a process file with these decays."""
    return parse({"title": "t", "sampler": "decay_chain", "source": "s", "decays": decays, **rest}, ChainSettings)


def run_chain(chains, n: int, *, first: int = 0, seed: int = 5, frame=FRAME) -> Particles:
    """Return n events of the first of some compiled chains."""
    zeros = np.zeros(n)
    events = np.arange(first, first + n, dtype=np.uint64)
    chain = np.zeros(n, dtype=np.int64)
    truth = {"process": chain, "mass_gev": zeros, "ctau_cm": zeros}
    return generate_chains(chains, chain, events, **truth, frame=frame, seed=seed, run=1)


def make(decays: list[dict[str, Any]], n: int, *, ctaus: dict[str, float] | None = None, **rest: Any) -> Particles:
    """Return n events of a chain whose fractions are numbers, its new particles at the masses of ``particles``."""
    settings = chain_settings(decays, **rest)
    masses = {name: row.mass_gev for name, row in settings.particles.items()}
    fractions = [1.0 if row.fraction is None else float(row.fraction) for row in settings.decays]
    tree = grow(settings, Point(masses, ctaus or {}, fractions), FRAME.sqrt_s_gev)
    return run_chain(compile_tree(settings, tree, masses), n)


def settled(process: str, *, frame=FRAME, **given: Any) -> Signal:
    """Return a shipped signal, settled: at the masses of its file, and 1 pb, where the test gives none."""
    settings = load_process(PROCESSES / f"{process}.toml")
    assert isinstance(settings, ChainSettings)
    if settings.particle is not None:
        given.setdefault("mass_gev", settings.particles[settings.particle].mass_gev)
    if "coupling" not in given:
        given.setdefault("cross_section_nb", 1e-3)
    return settle(parse({"process": process, **given}, SignalSettings), settings, frame.sqrt_s_gev)


def shipped(process: str, n: int, **given: Any) -> Particles:
    """Return n events of a shipped signal."""
    return run_chain(settled(process, **given).chains, n)


def cm(particles: Particles, frame=FRAME):
    """Return the four-momenta (px, py, pz, energy) in the CM, one row a particle."""
    return np.stack([particles.px, particles.py, particles.pz, particles.energy], axis=1) @ frame.to_cm.T


def by_event(particles: Particles, size: int, frame=FRAME):
    """Return (n, size, 4) momenta in the CM and (n, size) codes of the events with just so many particles."""
    chosen = np.flatnonzero(np.diff(particles.offsets) == size)
    some = particles.take(chosen)
    return cm(some, frame).reshape(-1, size, 4), some.pdg.reshape(-1, size)


def mass2(p):
    """Return the squared mass of four-momenta."""
    return p[..., 3] ** 2 - (p[..., :3] ** 2).sum(axis=-1)


def dot(p, q):
    """Return the Minkowski product."""
    return p[..., 3] * q[..., 3] - (p[..., :3] * q[..., :3]).sum(axis=-1)


def cosine_in(parent, product, other):
    """Return the cosine between ``product`` and the direction from which ``other`` recedes, where ``parent`` rests.

    From invariants alone. For ``other`` the grandparent this is the helicity angle of the product.
    """
    m2 = mass2(parent)
    e1, e2 = dot(parent, product) / np.sqrt(m2), dot(parent, other) / np.sqrt(m2)
    p1, p2 = np.sqrt(e1**2 - mass2(product)), np.sqrt(e2**2 - mass2(other))
    return -(e1 * e2 - dot(product, other)) / (p1 * p2)


def momentum(mass, first, second):
    """Return the momentum of two products where their parent rests."""
    return np.sqrt((mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2)) / (2 * mass)
