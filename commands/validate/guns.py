"""Particle guns: events of one particle each through the response and the front ends of the trigger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from daq.event import Array, EventBatch
from daq.source.detector import respond
from daq.source.particles import Particles
from daq.source.primitives import add_primitives


@dataclass(frozen=True, slots=True)
class Shots:
    """Events of one particle each, and what was true."""

    batch: EventBatch
    momentum: Array
    theta: Array  # rad
    phi: Array

    def rows(self, group: str) -> Array:
        """Return the event of each object of a group."""
        return np.repeat(np.arange(len(self.batch)), np.diff(self.batch[f"{group}.offsets"]))

    def has(self, group: str) -> Array:
        """Tell for each event whether it has an object of a group."""
        has: Array = np.diff(self.batch[f"{group}.offsets"]) > 0
        return has

    def photons(self) -> Array:
        """Tell for each cluster whether it is the photon: no track points at it, half of the energy at least."""
        energy = self.batch["clusters.energy_gev"]
        chosen: Array = ~self.batch["clusters.is_track"] & (energy > 0.5 * self.momentum[self.rows("clusters")])
        return chosen


@dataclass(frozen=True, slots=True)
class Gun:
    """Shoots ``events`` particles at a time, each call from event numbers of its own."""

    events: int
    seed: int

    def __call__(
        self,
        pdg: int,
        momentum: ArrayLike,
        theta_deg: ArrayLike,
        *,
        mass: float = 0.0,
        rho_cm: ArrayLike = 0.0,
        trigger: bool = False,
    ) -> Shots:
        """Return the events; arrays must have ``events`` numbers. From radius ``rho_cm`` particles fly outwards."""
        n = self.events
        p, theta = np.broadcast_to(momentum, n).astype(float), np.radians(np.broadcast_to(theta_deg, n))
        phi = np.remainder(np.arange(n) * 2.4 + np.pi, 2 * np.pi) - np.pi  # radians a step: the turn is never full
        rho = np.broadcast_to(rho_cm, n)
        particles = Particles.build(
            np.arange(n + 1),
            pdg=np.full(n, pdg),
            px=p * np.sin(theta) * np.cos(phi),
            py=p * np.sin(theta) * np.sin(phi),
            pz=p * np.cos(theta),
            energy=np.hypot(p, mass),
            x=rho * np.cos(phi),
            y=rho * np.sin(phi),
            z=rho / np.tan(theta),
        )
        where = {"first_event": 0, "seed": self.seed, "run": abs(pdg)}
        batch = EventBatch(n, respond(particles, **where), check=False)
        return Shots(add_primitives(batch, **where) if trigger else batch, p, theta, phi)

    def pairs(self, parent_gev: float, pdg: tuple[int, int], mass: float, momentum: float) -> EventBatch:
        """Return events of a particle at the origin that decays at once into two of equal mass, in any direction."""
        n, random = self.events, np.random.default_rng(self.seed)
        direction, star = (_unit(random.normal(size=(n, 3))) for _ in range(2))
        star *= np.sqrt(0.25 * parent_gev**2 - mass**2)
        gamma, boost = np.hypot(momentum, parent_gev) / parent_gev, momentum / parent_gev
        along = np.einsum("ni,ni->n", star, direction)[:, None]
        both = [
            side * (star + direction * (gamma - 1) * along) + 0.5 * boost * parent_gev * direction for side in (1, -1)
        ]
        p = np.stack(both, axis=1).reshape(-1, 3)
        particles = Particles.build(
            2 * np.arange(n + 1), pdg=np.tile(pdg, n), px=p[:, 0], py=p[:, 1], pz=p[:, 2],
            energy=np.sqrt((p**2).sum(axis=1) + mass**2),
        )  # fmt: skip
        where = {"first_event": 0, "seed": self.seed, "run": abs(pdg[0])}
        return EventBatch(n, respond(particles, **where), check=False)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1)[:, None])
