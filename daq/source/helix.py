"""Helices of charged particles in the solenoid, 1.5 T along +z everywhere, and where they cross the detector.

A helix is (d0, phi0, omega, z0, tan_lambda) about the origin, in cm and rad. The perigee is
(d0 sin phi0, -d0 cos phi0, z0); the sign of omega is that of the charge, and the direction after the transverse arc
length s is phi0 - omega s: positive tracks turn clockwise seen from +z. Convention: Belle II public software, track
fit results. A neutral particle is a helix of omega 0.

Surfaces: the ECL is a cylinder of 125 cm between the planes z = -102 and +196 cm; the CDC is nine superlayers, each
taken at its middle radius, between end plates that open outwards (radii, numbers of segments and stereo angles: Belle
II technical design report, arXiv:1011.0352; end plates approximate).
"""

from __future__ import annotations

import math

import numpy as np

from daq.jit import Array, kernel_lean
from daq.source.angles import arc_per_chord
from daq.source.single import arc_per_chord_32

ECL_RADIUS_CM, ECL_BACK_CM, ECL_FRONT_CM = 125.0, -102.0, 196.0

# Per superlayer 0..8: middle radius [cm], z of the backward and the forward end [cm], layers, segments, tangent of the
# stereo angle (0: axial).
SUPERLAYERS = np.array(
    [
        (20.3, -37.0, 70.0, 8, 160, 0.0),
        (30.2, -42.0, 78.0, 6, 160, 0.0456),
        (41.0, -48.0, 87.0, 6, 192, 0.0),
        (52.2, -53.0, 97.0, 6, 224, -0.0600),
        (62.9, -59.0, 106.0, 6, 256, 0.0),
        (74.0, -65.0, 116.0, 6, 288, 0.0668),
        (84.8, -70.0, 125.0, 6, 320, 0.0),
        (95.9, -76.0, 135.0, 6, 352, -0.0714),
        (106.6, -82.0, 145.0, 6, 384, 0.0),
    ]
)

CROSSED = 16
"""Superlayers, with empty ones up to whole vectors."""


SEGMENT_STARTS = np.concatenate([[0], np.cumsum(SUPERLAYERS[:, 4])]).astype(np.int64)
"""First segment of each superlayer, and the number of all."""


def _chamber() -> Array:
    # Nothing lies between the ends of the empty ones.
    empty = np.tile((SUPERLAYERS[-1, 0], 1.0, -1.0, 0.0, 1.0, 0.0), (CROSSED - len(SUPERLAYERS), 1))
    columns = np.concatenate([SUPERLAYERS, empty]).T
    return np.concatenate([columns.ravel(), np.cumsum(columns[4]) - columns[4]]).astype(np.float32)


CHAMBER = _chamber()
"""The columns of `SUPERLAYERS` one after the other, ``CROSSED`` numbers each, then their first segments; float32.

In one row, and so is what kernels write of the crossings: of many arrays a compiler cannot see that they are apart.
"""


@kernel_lean
def transverse_gev(omega: float) -> float:
    """Return the transverse momentum of a curvature [1/cm]: 1.5 T, c = 29.9792458 cm/ns."""
    return 1.5 * 29.9792458e-4 / abs(omega) if omega != 0.0 else math.inf


@kernel_lean
def perigee(
    x: float, y: float, z: float, px: float, py: float, pz: float, charge: int
) -> tuple[float, float, float, float, float]:
    """Return (d0, phi0, omega, z0, tan_lambda) of a charged particle at (x, y, z) cm with momentum in GeV."""
    pt = math.hypot(px, py)
    phi = math.atan2(py, px)
    omega = charge * 1.5 * 29.9792458e-4 / pt
    centre_x, centre_y = x + math.sin(phi) / omega, y - math.cos(phi) / omega
    sign = 1.0 if omega > 0.0 else -1.0
    d0 = sign * math.hypot(centre_x, centre_y) - 1.0 / omega
    phi0 = math.atan2(sign * centre_x, -sign * centre_y)
    turned = phi0 - phi
    turned -= 2.0 * math.pi * math.floor(turned / (2.0 * math.pi) + 0.5)
    tan_lambda = pz / pt
    return d0, phi0, omega, z - turned / omega * tan_lambda, tan_lambda


@kernel_lean
def position(
    d0: float, phi0: float, omega: float, z0: float, tan_lambda: float, arc: float
) -> tuple[float, float, float]:
    """Return the point after the transverse arc length ``arc`` [cm] from the perigee."""
    half = 0.5 * omega * arc
    # The chord of the arc, written so that it stays exact for straight tracks.
    chord = arc * (math.sin(half) / half if abs(half) > 1e-9 else 1.0)
    return (
        d0 * math.sin(phi0) + chord * math.cos(phi0 - half),
        -d0 * math.cos(phi0) + chord * math.sin(phi0 - half),
        z0 + arc * tan_lambda,
    )


@kernel_lean
def arc_to_radius(d0: float, omega: float, radius: float) -> float:
    """Return the arc length [cm] from the perigee to the first crossing of the cylinder; NaN if there is none."""
    numerator = radius * radius - d0 * d0
    denominator = 1.0 + omega * d0
    if numerator < 0.0 or denominator <= 0.0:
        return math.nan
    sine_squared = 0.25 * omega * omega * numerator / denominator
    if sine_squared > 1.0:
        return math.nan
    sine = math.sqrt(sine_squared)
    return 2.0 * math.asin(sine) / abs(omega) if sine > 1e-9 else math.sqrt(numerator / denominator)


@kernel_lean
def ecl_entry(
    d0: float, phi0: float, omega: float, z0: float, tan_lambda: float, surface: tuple[float, float, float]
) -> tuple[bool, float, float, float]:
    """Return (reached, x, y, z): the first point on the ECL; ``surface`` is (radius, back, front) [cm]."""
    radius, back, front = surface
    arc = arc_to_radius(d0, omega, radius)
    if not math.isnan(arc):
        z = z0 + arc * tan_lambda
        if back <= z <= front:
            x, y, z = position(d0, phi0, omega, z0, tan_lambda, arc)
            return True, x, y, z
    if tan_lambda == 0.0:
        return False, 0.0, 0.0, 0.0
    arc = ((front if tan_lambda > 0.0 else back) - z0) / tan_lambda
    x, y, z = position(d0, phi0, omega, z0, tan_lambda, arc)
    reached = arc > 0.0 and abs(omega) * arc < 2.0 * math.pi and x * x + y * y <= radius * radius
    return reached, x, y, z


@kernel_lean
def crossing(d0: float, omega: float, z0: float, tan_lambda: float, superlayer: Array) -> float:
    """Return the arc length [cm] at which a track crosses a superlayer (a row of `SUPERLAYERS`); NaN if it does not."""
    arc = arc_to_radius(d0, omega, superlayer[0])
    z = z0 + arc * tan_lambda
    return arc if superlayer[1] <= z <= superlayer[2] else math.nan


@kernel_lean
def cross_superlayers(
    d0: float, omega: float, z0: float, tan_lambda: float, rho: float, chamber: Array, crossed: Array
) -> int:
    """Return how many layers a track that begins at radius ``rho`` crosses on its way out.

    Writes z of the ``CROSSED`` crossings [cm], then the layers of each, 0 where there is no crossing; ``chamber`` is
    `CHAMBER`. In single precision, to 1e-3 cm, unless the track curls up.
    """
    factor, offset, quarter = 1.0 + omega * d0, d0 * d0, 0.25 * omega * omega
    if factor <= 0.0:
        crossed[: 2 * CROSSED] = np.float32(0.0)
        return 0
    inverse = 1.0 / factor
    outermost = float(chamber[CROSSED - 1])
    begin, slope, inner = np.float32(z0), np.float32(tan_lambda), np.float32(rho)
    zero, count = np.float32(0.0), np.int32(0)
    if quarter * (outermost * outermost - offset) * inverse <= 0.25:  # stiff: no branch for any superlayer
        closest, per_factor, turn = np.float32(offset), np.float32(inverse), np.float32(quarter)
        for k in range(CROSSED):
            radius = chamber[k]
            ratio = (radius * radius - closest) * per_factor
            z = begin + np.sqrt(max(ratio, zero)) * arc_per_chord_32(turn * ratio) * slope
            is_crossed = (
                (ratio >= zero) & (radius > inner) & (chamber[CROSSED + k] <= z) & (z <= chamber[2 * CROSSED + k])
            )
            layers = chamber[3 * CROSSED + k] if is_crossed else zero
            crossed[k], crossed[CROSSED + k] = z, layers
            count += np.int32(layers)
        return int(count)
    for k in range(CROSSED):
        radius, z, layers = float(chamber[k]), 0.0, zero
        ratio = (radius * radius - offset) * inverse
        sine_squared = quarter * ratio
        if radius > rho and ratio >= 0.0 and sine_squared <= 1.0:
            z = z0 + math.sqrt(ratio) * arc_per_chord(sine_squared) * tan_lambda
            if chamber[CROSSED + k] <= z <= chamber[2 * CROSSED + k]:
                layers = chamber[3 * CROSSED + k]
        crossed[k], crossed[CROSSED + k] = z, layers
        count += np.int32(layers)
    return int(count)
