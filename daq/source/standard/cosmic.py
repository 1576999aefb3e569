"""Cosmic muons: one straight through the detector, which the reconstruction sees as two tracks, back to back.

A muon comes from above (+y) with the zenith angle of cos^2 and the momentum spectrum (p + 2 GeV)^-2.7 (about what is
measured at sea level, mean 4 GeV; Particle Data Group, Review of Particle Physics 2024, ch. 30), 56 % of them positive.
Its closest approach to the beam line is even in distance and z, for each direction in proportion to the area it sees.

It is handed over as two muons from that point: the outgoing half, and the incoming half as a track that also leaves
the point, so with the other charge. Energy and momentum are not those of the beams. Approximate: no loss of energy
between the halves, no overburden; both halves have the time of a collision, while a cosmic muon comes at any time.
"""

from __future__ import annotations

import math
from typing import Any

from daq.jit import Array, kernel_lean
from daq.philox import uniform
from daq.source.standard.rows import circle

COSMIC_SLOTS = 2


@kernel_lean
def make_cosmic(draws: Any, row: Any, columns: Array, pdg: Array, out: int) -> int:
    """Write the outgoing and the incoming half of a muon."""
    while True:
        down = uniform(draws) ** (1.0 / 3.0)
        u, v = circle(uniform(draws))
        sine = math.sqrt((1.0 - down) * (1.0 + down))
        nx, ny, nz = sine * u, -down, sine * v
        transverse = math.sqrt(nx * nx + ny * ny)
        if uniform(draws) < transverse:
            break
    softest = 2.0
    momentum = (row.energy_min + softest) * uniform(draws) ** (-1.0 / 1.7) - softest
    distance = row.region[0] * (2.0 * uniform(draws) - 1.0)
    z = row.region[1] * (2.0 * uniform(draws) - 1.0)
    code = -13 if uniform(draws) < 0.56 else 13
    energy = math.sqrt(momentum * momentum + row.mass * row.mass)
    for sign in (1.0, -1.0):
        columns[0, out] = sign * momentum * nx
        columns[1, out] = sign * momentum * ny
        columns[2, out] = sign * momentum * nz
        columns[3, out] = energy
        columns[4, out] = -distance * ny / transverse
        columns[5, out] = distance * nx / transverse
        columns[6, out] = z
        pdg[out] = code if sign > 0.0 else -code
        out += 1
    return out
