"""Tracks: the helix of a charged particle, where it enters the ECL, and whether it is found.

What is then measured of it: `daq.source.response.helices`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from daq.jit import Array, kernel_lean
from daq.philox import normal, uniform
from daq.source.angles import arc_per_chord, asin, atan2, sincos
from daq.source.helix import cross_superlayers

CURVATURE = 1.5 * 29.9792458e-4  # pT [GeV] times curvature [1/cm] in 1.5 T


class Path(NamedTuple):
    """The helix of a charged particle, and its turn from the perigee to where the particle was made."""

    d0: float
    cosine: float  # of phi0
    sine: float
    omega: float
    z0: float
    tan_lambda: float
    turn: float  # phi0 - azimuth of the momentum at the production point
    cos_turn: float
    sin_turn: float


@kernel_lean
def path_of(x: float, y: float, z: float, px: float, py: float, pz: float, pt: float, charge: int) -> Path:
    """Return the helix of a particle at (x, y, z) cm, as `helix.perigee` does, without trigonometry where it can."""
    per_pt = 1.0 / pt
    omega = charge * CURVATURE * per_pt
    cosine, sine, tan_lambda = px * per_pt, py * per_pt, pz * per_pt
    if x == 0.0 and y == 0.0:
        return Path(0.0, cosine, sine, omega, z, tan_lambda, 0.0, 1.0, 0.0)
    radius = 1.0 / omega
    centre_x, centre_y = x + sine * radius, y - cosine * radius
    side = 1.0 if omega > 0.0 else -1.0
    distance = math.sqrt(centre_x * centre_x + centre_y * centre_y)
    inward = side / distance
    sine_0, cosine_0 = centre_x * inward, -centre_y * inward
    sin_turn, cos_turn = sine_0 * cosine - cosine_0 * sine, cosine_0 * cosine + sine_0 * sine
    turn = asin(sin_turn) if cos_turn > 0.5 and abs(sin_turn) < 1.0 else atan2(sin_turn, cos_turn)
    z0 = z - turn * radius * tan_lambda
    return Path(side * distance - radius, cosine_0, sine_0, omega, z0, tan_lambda, turn, cos_turn, sin_turn)


@kernel_lean
def entry_of(
    d0: float, cosine: float, sine: float, omega: float, z0: float, tan_lambda: float,
    surface: tuple[float, float, float],
) -> tuple[bool, float, float, float]:  # fmt: skip
    """Return (reached, x, y, z): the first point on the ECL, as `helix.ecl_entry` does."""
    radius, back, front = surface
    square, factor = radius * radius - d0 * d0, 1.0 + omega * d0
    if square >= 0.0 and factor > 0.0:
        ratio = square / factor
        sine_squared = 0.25 * omega * omega * ratio
        if sine_squared <= 1.0:
            z = z0 + math.sqrt(ratio) * arc_per_chord(sine_squared) * tan_lambda
            if back <= z <= front:
                # The point lies at the azimuth phi0 - asin(offset / radius).
                offset = d0 + 0.5 * omega * ratio
                lever = math.sqrt(max(0.0, radius * radius - offset * offset))
                return True, lever * cosine + offset * sine, lever * sine - offset * cosine, z
    if tan_lambda == 0.0:
        return False, 0.0, 0.0, 0.0
    z = front if tan_lambda > 0.0 else back
    arc = (z - z0) / tan_lambda
    if not 0.0 < arc < 2.0 * math.pi / abs(omega):
        return False, 0.0, 0.0, 0.0
    sin_half, cos_half = sincos(0.5 * omega * arc)
    chord = 2.0 * sin_half / omega
    # In the frame of the perigee's direction the point is (chord cos(half), -d0 - chord sin(half)).
    along, across = chord * cos_half, d0 + chord * sin_half
    x, y = along * cosine + across * sine, along * sine - across * cosine
    return x * x + y * y <= radius * radius, x, y, z


@kernel_lean
def find(
    draws: Any, path: Path, pt: float, rho: float, numbers: Any, chamber: Array, crossed: Array
) -> tuple[bool, int]:  # fmt: skip
    """Tell whether a track is found, and how many hits it has in the drift chamber.

    ``crossed`` is working space; see `daq.source.helix.cross_superlayers`.
    """
    if not numbers.cot_backward <= path.tan_lambda <= numbers.cot_forward or pt < numbers.pt_min:
        return False, 0
    efficiency = numbers.efficiency
    if rho > 0.0:
        efficiency *= math.exp(-0.5 * (rho / numbers.rho_cm) ** 2)
    above = (pt - numbers.pt_min) / numbers.pt_turn_on
    if above < 5.0:
        efficiency *= 1.0 - math.exp(-above * above)
    layers = float(cross_superlayers(path.d0, path.omega, path.z0, path.tan_lambda, rho, chamber, crossed))
    if layers < numbers.few_layers:
        efficiency *= 1.0 - numbers.few_layers_loss * (1.0 - layers / numbers.few_layers)
    if uniform(draws) >= efficiency:
        return False, 0
    share = numbers.layer_efficiency
    drawn = layers * share + math.sqrt(layers * share * (1.0 - share)) * normal(draws)
    hits = int(min(max(drawn + 0.5, 0.0), layers))
    return hits >= numbers.hits_min or rho <= numbers.pixels_cm, hits
