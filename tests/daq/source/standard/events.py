"""Events of one process for tests: made from settings on the spot, or of a shipped file."""

from __future__ import annotations

from typing import Any

import numpy as np

from daq.settings import BeamSettings, parse
from daq.source.catalogue import standard
from daq.source.kinematics import collision_frame
from daq.source.particles import Particles
from daq.source.signals import Signal
from daq.source.standard.generator import make_generator
from daq.source.standard.process import Process, ProcessSettings

FRAME = collision_frame(BeamSettings())
S = FRAME.sqrt_s_gev**2


def process(sampler: str, **given: Any) -> Process:
    """Return a process with these settings, at 1 nb."""
    rate = {"rate_hz": 50.0} if sampler == "cosmic" else {"cross_section_nb": 1.0}
    settings = {"title": "t", "source": "s", "sampler": sampler, **rate, **given}
    return Process("test", parse(settings, ProcessSettings), 1.0)


def shipped(name: str) -> Process | Signal:
    """Return a process of configs/processes."""
    return standard(name, FRAME, 6e34)


def events_of(*processes: Process | Signal, n: int, first: int = 0, seed: int = 5) -> Particles:
    """Return n events of these processes, in equal parts."""
    generator = make_generator(processes, [1.0] * len(processes), frame=FRAME, seed=seed, run=1)
    return generator.particles(first, n)


def cm_momenta(particles: Particles):
    """Return the four-momenta in the CM, one row a particle."""
    return np.stack([particles.px, particles.py, particles.pz, particles.energy], axis=1) @ FRAME.to_cm.T


def event_of(particles: Particles):
    """Return the event of each particle."""
    return np.repeat(np.arange(len(particles)), np.diff(particles.offsets))
