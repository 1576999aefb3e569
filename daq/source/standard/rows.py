"""What the samplers of Standard Model processes share: a row a process, the beams, and how a particle is written."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import uniform
from daq.source.kinematics import ALPHA, ELECTRON_GEV
from daq.source.radiation import CUT_OFF, radiator_slope


class Kind(IntEnum):
    """Which sampler makes a process; the values are known to the kernels."""

    BHABHA = 0
    GAMMA_GAMMA = 1
    MU_PAIR = 2
    TWO_PHOTON = 3
    ELECTRON_PHOTON = 4
    COSMIC = 5
    SAMPLE = 6
    CHAIN = 7


ROW = np.dtype(
    [
        (("which sampler", "kind"), "<i8"),
        (("most particles of an event", "slots"), "<i8"),
        (("code of the negative particle of a pair", "code"), "<i8"),
        (("its mass [GeV]", "mass"), "<f8"),
        (("acceptance: range of the cosine of the polar angle", "cosine"), "<f8", (2,)),
        (("begin and width in the variable that a polar angle is drawn in", "flat"), "<f8", (2,)),
        (("largest fraction of the squared mass that the initial state radiates", "x_max"), "<f8"),
        (("its power beta: the weight of soft radiation", "soft"), "<f8"),
        (("the weight of hard radiation", "hard"), "<f8"),
        (("probability that soft radiation is below the cut-off", "silent"), "<f8"),
        (("beta of final-state radiation where the initial state is silent", "final_slope"), "<f8"),
        (("probability that the final state is silent then", "final_silent"), "<f8"),
        (("smallest energy of a photon [GeV]; smallest momentum of a cosmic muon [GeV]", "energy_min"), "<f8"),
        (("largest angle of a lost electron in the CM [rad]", "lost"), "<f8"),
        (("cosmic muons: largest distance from the beam line, largest |z| there [cm]", "region"), "<f8", (2,)),
        (("row of a table of spectra; of a chain; first event of a sample", "table"), "<i8"),
        (("events of a sample", "size"), "<i8"),
    ]
)


class Beams(NamedTuple):
    """The collision, as the kernels see it."""

    sqrt_s: float
    alpha: float
    electron_mass: float
    slope: float
    """beta of initial-state radiation."""
    share: float
    """4 m_e^2/s."""
    cut_off: float
    """Smallest radiated fraction."""

    @classmethod
    def of(cls, sqrt_s_gev: float) -> Beams:
        """Return the beams at a collision energy [GeV]."""
        share = 4 * (ELECTRON_GEV / sqrt_s_gev) ** 2
        return cls(sqrt_s_gev, ALPHA, ELECTRON_GEV, radiator_slope(sqrt_s_gev**2, ELECTRON_GEV), share, CUT_OFF)


CELLS = 512


def spectrum(edges: Array, bounds: Array) -> Array:
    """Return the table of a proposal that is flat in each of ``CELLS`` cells of a variable.

    Returns
    -------
    (3, CELLS + 1) float64
        Edges of the cells; the cumulative sum of bound times width, its last entry the integral of the proposal; and a
        guide: the cell at 0, 1/CELLS, ... of that integral, or one before it.
    """
    total = np.concatenate([[0.0], np.cumsum(bounds * np.diff(edges))])
    guide = np.searchsorted(total, np.linspace(0, total[-1], CELLS + 1), side="right") - 1
    return np.stack([edges, total, np.minimum(guide, CELLS - 1)])


@kernel_lean
def draw_cell(draws: Any, table: Array) -> tuple[float, float]:
    """Return a number drawn from a proposal (see `spectrum`), and the bound there."""
    chance = uniform(draws)
    cells = table.shape[1] - 1
    cell = int(table[2, int(chance * cells)])
    chance *= table[1, cells]
    while cell < cells - 1 and table[1, cell + 1] <= chance:
        cell += 1
    height = (table[1, cell + 1] - table[1, cell]) / (table[0, cell + 1] - table[0, cell])
    return table[0, cell] + (chance - table[1, cell]) / height, height


@kernel_lean
def emit(
    to_lab: Array, columns: Array, pdg: Array, out: int, code: int, p: tuple[float, float, float, float]
) -> int:  # fmt: skip
    """Write a particle of the collision point, given in the CM, to column ``out`` of (px, py, pz, energy, x, y, z)."""
    for r in range(4):
        columns[r, out] = to_lab[r, 0] * p[0] + to_lab[r, 1] * p[1] + to_lab[r, 2] * p[2] + to_lab[r, 3] * p[3]
    columns[4, out] = columns[5, out] = columns[6, out] = 0.0
    pdg[out] = code
    return out + 1


@kernel_lean
def circle(turn: float) -> tuple[float, float]:
    """Return cosine and sine of ``turn`` times 2 pi, ``turn`` in [0, 1]; to 1e-16, at half the price of the library."""
    quarter = int(4.0 * turn + 0.5)
    x = 2.0 * math.pi * (turn - 0.25 * quarter)  # at most pi/4: the Taylor series ends at x^17
    y = x * x
    sine = x * (1.0 + y * (-1 / 6 + y * (1 / 120 + y * (-1 / 5040 + y * (1 / 362880 + y * (
        -1 / 39916800 + y * (1 / 6227020800 - y / 1307674368000)))))))  # fmt: skip
    cosine = 1.0 + y * (-1 / 2 + y * (1 / 24 + y * (-1 / 720 + y * (1 / 40320 + y * (-1 / 3628800 + y * (
        1 / 479001600 + y * (-1 / 87178291200 + y / 20922789888000)))))))  # fmt: skip
    if quarter & 1:
        cosine, sine = -sine, cosine
    if quarter & 2:
        cosine, sine = -cosine, -sine
    return cosine, sine


@kernel_lean
def toward(
    axis: tuple[float, float, float], cosine: float, around: tuple[float, float]
) -> tuple[float, float, float]:  # fmt: skip
    """Return the unit vector at angle acos(``cosine``) to a unit vector; ``around``: cosine and sine of the azimuth."""
    ax, ay, az = axis
    sine = math.sqrt(max(0.0, (1.0 - cosine) * (1.0 + cosine)))
    u, v = sine * around[0], sine * around[1]
    squared = ax * ax + ay * ay
    if squared < 1e-24:
        return u, v if az > 0 else -v, cosine if az > 0 else -cosine
    transverse = math.sqrt(squared)
    scale = 1.0 / transverse
    return (
        cosine * ax + (u * az * ax - v * ay) * scale,
        cosine * ay + (u * az * ay + v * ax) * scale,
        cosine * az - u * transverse,
    )
