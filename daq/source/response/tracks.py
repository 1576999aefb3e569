"""Tracks: is a charged particle found, and its measured helix with the covariance of the five parameters.

Where a track begins, its transverse part (d0, phi0, omega) and its longitudinal part (z0, tan lambda) have errors
with the sizes and correlations of `numbers.Tracking`: a term of the measurement and one of multiple scattering, each
with its own matrix. The exact derivatives of the perigee with respect to position, direction and curvature where the
particle was made carry them to the perigee: (5, 5), also for displaced tracks, whose errors of impact parameter and
direction are nearly one and the same. The smearing is that matrix times independent normal numbers, so pulls are
normal by construction and vertex fits see the correlations they expect.
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
def count_layers(path: Path, rho: float, superlayers: Array, radii: Array, z: Array) -> float:
    """Return how many layers of the drift chamber a particle from radius ``rho`` crosses on its way out.

    ``z`` (12) is working space; see `daq.source.helix.cross_superlayers`.
    """
    cross_superlayers(path.d0, path.omega, path.z0, path.tan_lambda, radii, z)
    layers = 0.0
    for i in range(superlayers.shape[0]):
        is_crossed = (radii[i] > rho) & (superlayers[i, 1] <= z[i]) & (z[i] <= superlayers[i, 2])
        layers += superlayers[i, 3] if is_crossed else 0.0
    return layers


@kernel_lean
def find(
    draws: Any, path: Path, pt: float, rho: float, numbers: Any, superlayers: Array, radii: Array, z: Array
) -> tuple[bool, int]:  # fmt: skip
    """Tell whether a track is found, and how many hits it has in the drift chamber."""
    if not numbers.cot_backward <= path.tan_lambda <= numbers.cot_forward or pt < numbers.pt_min:
        return False, 0
    efficiency = numbers.efficiency
    if rho > 0.0:
        efficiency *= math.exp(-0.5 * (rho / numbers.rho_cm) ** 2)
    above = (pt - numbers.pt_min) / numbers.pt_turn_on
    if above < 5.0:
        efficiency *= 1.0 - math.exp(-above * above)
    layers = count_layers(path, rho, superlayers, radii, z)
    if layers < numbers.few_layers:
        efficiency *= 1.0 - numbers.few_layers_loss * (1.0 - layers / numbers.few_layers)
    if uniform(draws) >= efficiency:
        return False, 0
    share = numbers.layer_efficiency
    drawn = layers * share + math.sqrt(layers * share * (1.0 - share)) * normal(draws)
    hits = int(min(max(drawn + 0.5, 0.0), layers))
    return hits >= numbers.hits_min or rho <= numbers.pixels_cm, hits


@kernel_lean
def measure(
    draws: Any, path: Path, pt: float, momentum: float, mass: float, rho: float, numbers: Any, columns: Array,
    cov: Array, slot: int,
) -> None:  # fmt: skip
    """Write the smeared helix into ``columns[:5, slot]`` and its covariance (15) into ``cov[slot]``."""
    omega, tan_lambda = path.omega, path.tan_lambda
    per_momentum = 1.0 / momentum
    stretch = 1.0 + tan_lambda * tan_lambda  # 1 / sin^2
    per_sine = math.sqrt(stretch)
    slow = per_momentum * math.sqrt(per_sine)  # 1 / (p sin^0.5)
    # Errors where the track begins: of the measurement (m) and of scattering (s).
    m_d, s_d = numbers.d0_constant, numbers.d0_per_gev * slow * per_sine
    m_z, s_z = numbers.z0_constant, numbers.z0_per_gev * slow * stretch
    if rho > numbers.strips_cm:
        m_d, m_z = numbers.d0_drift, numbers.z0_drift
    elif rho > numbers.pixels_cm:
        m_d, m_z = numbers.d0_strips, numbers.z0_strips
    m_f, s_f = numbers.angle_constant, numbers.angle_per_gev * slow
    size = abs(omega)
    m_w, s_w = size * numbers.pt_per_gev * pt, size * numbers.pt_constant * math.sqrt(1.0 + (mass * per_momentum) ** 2)
    m_l, s_l = m_f * stretch, s_f * stretch
    dd, df = m_d * m_d + s_d * s_d, m_d * m_f * numbers.d0_phi0 + s_d * s_f * numbers.scattered_d0_phi0
    ff, dw = m_f * m_f + s_f * s_f, m_d * m_w * numbers.d0_omega + s_d * s_w * numbers.scattered_d0_omega
    ww, fw = m_w * m_w + s_w * s_w, m_f * m_w * numbers.phi0_omega + s_f * s_w * numbers.scattered_phi0_omega
    zz, ll = m_z * m_z + s_z * s_z, m_l * m_l + s_l * s_l
    zl = m_z * m_l * numbers.z0_tan_lambda + s_z * s_l * numbers.scattered_z0_tan_lambda
    # Cholesky roots of the two blocks: rows d, f, w over columns 1-3, and z, l over 4 and 5.
    d1 = math.sqrt(dd)
    per_d1 = 1.0 / d1
    f1, w1 = df * per_d1, dw * per_d1
    f2 = math.sqrt(ff - f1 * f1)
    w2 = (fw - w1 * f1) / f2
    w3 = math.sqrt(max(0.0, ww - w1 * w1 - w2 * w2))
    z4 = math.sqrt(zz)
    l4 = zl / z4
    l5 = math.sqrt(ll - l4 * l4)
    # Derivatives of the perigee with respect to what is measured at the production point.
    s, c = path.sin_turn, path.cos_turn
    if path.turn == 0.0:
        d0_f = d0_w = f0_d = f0_w = z_d = z_f = z_w = z_l = 0.0
        f0_f = 1.0
    else:
        radius, scale = 1.0 / omega, 1.0 / (1.0 + omega * path.d0)
        d0_f, d0_w = s * radius, (s * s / (1.0 + c) if c > 0.0 else 1.0 - c) * radius * radius
        f0_d, f0_f, f0_w = -omega * s * scale, c * scale, s * radius * scale
        lift, arc = -tan_lambda * radius, path.turn * radius
        z_d, z_f, z_w, z_l = lift * f0_d, lift * (f0_f - 1.0), lift * (f0_w - arc), -arc
    # Rows of derivatives times root.
    a1, a2, a3 = c * d1 + d0_f * f1 + d0_w * w1, d0_f * f2 + d0_w * w2, d0_w * w3
    b1, b2, b3 = f0_d * d1 + f0_f * f1 + f0_w * w1, f0_f * f2 + f0_w * w2, f0_w * w3
    e1, e2, e3 = z_d * d1 + z_f * f1 + z_w * w1, z_f * f2 + z_w * w2, z_w * w3
    e4, e5 = z4 + z_l * l4, z_l * l5
    cov[slot, 0] = a1 * a1 + a2 * a2 + a3 * a3
    cov[slot, 1] = a1 * b1 + a2 * b2 + a3 * b3
    cov[slot, 2] = a1 * w1 + a2 * w2 + a3 * w3
    cov[slot, 3] = a1 * e1 + a2 * e2 + a3 * e3
    cov[slot, 4] = 0.0
    cov[slot, 5] = b1 * b1 + b2 * b2 + b3 * b3
    cov[slot, 6] = b1 * w1 + b2 * w2 + b3 * w3
    cov[slot, 7] = b1 * e1 + b2 * e2 + b3 * e3
    cov[slot, 8] = 0.0
    cov[slot, 9] = ww
    cov[slot, 10] = w1 * e1 + w2 * e2 + w3 * e3
    cov[slot, 11] = 0.0
    cov[slot, 12] = e1 * e1 + e2 * e2 + e3 * e3 + e4 * e4 + e5 * e5
    cov[slot, 13] = e4 * l4 + e5 * l5
    cov[slot, 14] = ll
    g1, g2, g3, g4, g5 = normal(draws), normal(draws), normal(draws), normal(draws), normal(draws)
    phi0 = atan2(path.sine, path.cosine) + b1 * g1 + b2 * g2 + b3 * g3
    columns[0, slot] = path.d0 + a1 * g1 + a2 * g2 + a3 * g3
    columns[1, slot] = phi0 - 2.0 * math.pi * math.floor(phi0 * (0.5 / math.pi) + 0.5)
    columns[2, slot] = omega + w1 * g1 + w2 * g2 + w3 * g3
    columns[3, slot] = path.z0 + e1 * g1 + e2 * g2 + e3 * g3 + e4 * g4 + e5 * g5
    columns[4, slot] = tan_lambda + l4 * g4 + l5 * g5
