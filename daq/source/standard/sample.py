"""Events of a generator's sample: drawn with replacement, and turned about the collision axis.

The turn makes a repeated event look different. Approximate: what a turn leaves alone, energies and angles to the beams,
does come back; a sample of a few hundred events is good for rates and multiplicities, not for tails.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import uniform
from daq.source.particles import Particles
from daq.source.standard.rows import circle


class Pool(NamedTuple):
    """All samples of a run, one after the other."""

    offsets: Array  # (events + 1,)
    pdg: Array
    columns: Array  # (7, particles): px, py, pz, energy, x, y, z in the lab


def pool_of(samples: list[Particles]) -> Pool:
    """Return the samples in one set of columns; there may be none."""
    if not samples:
        return Pool(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros((7, 0)))
    every = Particles.concatenate(samples)
    columns = np.stack([getattr(every, name) for name in ("px", "py", "pz", "energy", "x", "y", "z")])
    return Pool(every.offsets.astype(np.int64), every.pdg, columns)


@kernel_lean
def draw_event(
    draws: Any, row: Any, pool: Pool, to_lab: Array, to_cm: Array, turn: Array, columns: Array, pdg: Array, out: int
) -> int:  # fmt: skip
    """Write an event of the sample, turned; ``turn`` is (4, 4) scratch space."""
    chosen = row.table + int(uniform(draws) * row.size)
    cosine, sine = circle(uniform(draws))
    for r in range(4):
        along_x = cosine * to_lab[r, 0] + sine * to_lab[r, 1]
        along_y = cosine * to_lab[r, 1] - sine * to_lab[r, 0]
        for c in range(4):
            kept = to_lab[r, 2] * to_cm[2, c] + to_lab[r, 3] * to_cm[3, c]
            turn[r, c] = along_x * to_cm[0, c] + along_y * to_cm[1, c] + kept
    for k in range(pool.offsets[chosen], pool.offsets[chosen + 1]):
        px, py, pz, energy = pool.columns[0, k], pool.columns[1, k], pool.columns[2, k], pool.columns[3, k]
        for r in range(4):
            columns[r, out] = turn[r, 0] * px + turn[r, 1] * py + turn[r, 2] * pz + turn[r, 3] * energy
        x, y, z = pool.columns[4, k], pool.columns[5, k], pool.columns[6, k]
        # The time of a vertex is not known: at the speed of light it is right to a few mrad of the flight direction.
        flight = math.sqrt(x * x + y * y + z * z)
        for r in range(3):
            columns[4 + r, out] = turn[r, 0] * x + turn[r, 1] * y + turn[r, 2] * z + turn[r, 3] * flight
        pdg[out] = pool.pdg[k]
        out += 1
    return out
