"""What the samplers of Standard Model processes share: a row a process, the beams, and how a particle is written."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
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
        (("largest fraction of the squared mass that the initial state radiates", "x_max"), "<f8"),
        (("its power beta: the weight of soft radiation", "soft"), "<f8"),
        (("the weight of hard radiation", "hard"), "<f8"),
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


@kernel
def emit(
    to_lab: Array, columns: Array, pdg: Array, out: int, code: int, p: tuple[float, float, float, float]
) -> int:  # fmt: skip
    """Write a particle of the collision point, given in the CM, to column ``out`` of (px, py, pz, energy, x, y, z)."""
    for r in range(4):
        columns[r, out] = to_lab[r, 0] * p[0] + to_lab[r, 1] * p[1] + to_lab[r, 2] * p[2] + to_lab[r, 3] * p[3]
    columns[4, out] = columns[5, out] = columns[6, out] = 0.0
    pdg[out] = code
    return out + 1


@kernel
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


@kernel
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
