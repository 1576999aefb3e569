"""Particle guns for the tests of the response."""

import numpy as np

from daq.event import EventBatch
from daq.source.detector import respond
from daq.source.particles import Particles
from daq.source.response.numbers import Material, Response

N = 4000
EMPTY = Response(material=Material(lengths=(0.0,) * len(Material().radii)))
"""A detector without material: photons do not convert."""


def shoot(
    pdg: int, momentum: float, theta_deg, *, mass: float = 0.0, n: int = N, vertex=(0.0, 0.0, 0.0), response=None
):
    """Return (batch, particles) of n events of one particle; the azimuth steps around."""
    theta = np.radians(np.broadcast_to(theta_deg, n))
    phi = np.arange(n) * 2.4
    p = np.broadcast_to(momentum, n)
    particles = Particles.build(
        np.arange(n + 1),
        pdg=np.full(n, pdg),
        px=p * np.sin(theta) * np.cos(phi),
        py=p * np.sin(theta) * np.sin(phi),
        pz=p * np.cos(theta),
        energy=np.hypot(p, mass),
        **{axis: np.full(n, value) for axis, value in zip("xyz", vertex, strict=True)},
    )
    batch = EventBatch(n, respond(particles, response or Response(), first_event=0, seed=3, run=1))
    return batch, particles


def owner(batch: EventBatch, group: str):
    return np.repeat(np.arange(len(batch)), np.diff(batch[f"{group}.offsets"]))
