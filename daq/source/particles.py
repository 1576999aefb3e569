"""Particle-level events: what a generator gives and the detector response takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daq.event import OFFSET, Array, gather


@dataclass(frozen=True, slots=True)
class Particles:
    """N events of final-state particles, in the lab frame.

    ``offsets`` (N + 1) says where each event starts in the particle arrays. Momenta and energies in GeV, production
    vertices in cm. ``mass_gev`` and ``ctau_cm`` are those of the new particle of a signal event, else 0.
    """

    offsets: Array
    pdg: Array
    px: Array
    py: Array
    pz: Array
    energy: Array
    x: Array
    y: Array
    z: Array
    process: Array
    weight: Array
    mass_gev: Array
    ctau_cm: Array

    PARTICLE_FIELDS: ClassVar = ("pdg", "px", "py", "pz", "energy", "x", "y", "z")
    EVENT_FIELDS: ClassVar = ("process", "weight", "mass_gev", "ctau_cm")

    def __len__(self) -> int:
        return int(self.offsets.size) - 1

    @classmethod
    def build(cls, offsets: Array, **arrays: Array) -> Particles:
        """Make a batch from what is known: vertices default to the origin, weights to 1, the rest to 0."""
        n_events, n_particles = offsets.size - 1, int(offsets[-1])
        full: dict[str, Array] = {"offsets": np.asarray(offsets, dtype=OFFSET)}
        for name in cls.PARTICLE_FIELDS:
            dtype = "<i4" if name == "pdg" else "<f8"
            full[name] = np.asarray(arrays.get(name, np.zeros(n_particles)), dtype=dtype)
        for name in cls.EVENT_FIELDS:
            dtype = "<u2" if name == "process" else "<f4"
            default = np.ones(n_events) if name == "weight" else np.zeros(n_events)
            full[name] = np.asarray(arrays.get(name, default), dtype=dtype)
        return cls(**full)

    def take(self, chosen: Array) -> Particles:
        """Return the events at the indices, in that order."""
        offsets, rows = gather(self.offsets, np.asarray(chosen, dtype=np.int64))
        picked = {name: getattr(self, name)[rows] for name in self.PARTICLE_FIELDS}
        picked |= {name: getattr(self, name)[chosen] for name in self.EVENT_FIELDS}
        return Particles(offsets=offsets, **picked)

    @staticmethod
    def concatenate(parts: Sequence[Particles]) -> Particles:
        """Return the events of all parts, one part after the other."""
        shifts = np.cumsum([0, *(int(part.offsets[-1]) for part in parts)])
        offsets = np.concatenate(
            [np.zeros(1, OFFSET), *(part.offsets[1:] + OFFSET.type(s) for part, s in zip(parts, shifts, strict=False))]
        )
        fields = Particles.PARTICLE_FIELDS + Particles.EVENT_FIELDS
        return Particles(offsets=offsets, **{n: np.concatenate([getattr(p, n) for p in parts]) for n in fields})
