"""Measured helices: all tracks of a block at once, with the covariance of the five parameters.

Where a track begins, its transverse part (d0, phi0, omega) and its longitudinal part (z0, tan lambda) have errors
with the sizes and correlations of `numbers.Tracking`: a term of the measurement and one of multiple scattering, each
with its own matrix. The exact derivatives of the perigee with respect to position, direction and curvature where the
particle was made carry them to the perigee: (5, 5), also for displaced tracks, whose errors of impact parameter and
direction are nearly one and the same. The smearing is that matrix times independent normal numbers, so pulls are
normal by construction and vertex fits see the correlations they expect.

Tracks are kept in tiles: `TILE` values of one quantity beside each other, then as many of the next. Every loop here
runs over one tile and has no branch, and counts from 0 in arrays that begin where the tile does, so it becomes vector
instructions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.source.angles import angle_of
from daq.source.response.tracks import CURVATURE, Path
from daq.source.single import normals_32

TILE = 32
"""Objects in a tile."""
COUNTERS = 4
"""Counters of the random generator that a track takes: four words each."""
NORMALS = 12
"""Normal numbers of a track: five of the helix, one of its time, the others of its identification."""
FOUND = 12
"""Quantities of a found track: the nine of its `Path`, momentum [GeV], radius where it begins [cm], species."""
MEASURED = 27
"""Of a measured one: helix, time, five likelihoods, layers in the KLM, the upper triangle of the covariance."""
_MOMENTUM, _RHO, SPECIES = 9, 10, 11
_COV = 12


@kernel_lean
def keep(path: Path, momentum: float, rho: float, species: int, tracks: Array, k: int) -> None:
    """Write what has to be known of track ``k`` into its tile."""
    first = k // TILE * (TILE * FOUND) + k % TILE
    for i in range(_MOMENTUM):
        tracks[first + i * TILE] = path[i]
    tracks[first + _MOMENTUM * TILE] = momentum
    tracks[first + _RHO * TILE] = rho
    tracks[first + SPECIES * TILE] = species


@kernel_lean
def number_counters(owner: Array, number: Array, k: int, event: int, first: int) -> None:
    """Write the counters of track ``k``, the one number ``first`` of an event, where its tile looks for them."""
    place = k // TILE * (TILE * COUNTERS) + k % TILE
    for i in range(COUNTERS):
        owner[place + i * TILE], number[place + i * TILE] = event, COUNTERS * first + i


@kernel_lean
def draw_normals(words: Array, normals: Array) -> None:
    """Write ``NORMALS`` normal numbers of each track of a tile; ``words`` are its random words."""
    for i in range(NORMALS // 4):
        for j in range(TILE):
            place = 4 * (i * TILE + j)
            normals[4 * i * TILE + j], normals[(4 * i + 1) * TILE + j] = normals_32(words[place], words[place + 1])
            normals[(4 * i + 2) * TILE + j], normals[(4 * i + 3) * TILE + j] = normals_32(
                words[place + 2], words[place + 3]
            )


@kernel_lean
def measure(tracks: Array, normals: Array, numbers: Any, masses: Array, out: Array) -> None:
    """Write the smeared helix, its time and its covariance of the tracks of a tile into ``out``."""
    d0_constant, d0_per_gev, z0_constant = numbers.d0_constant, numbers.d0_per_gev, numbers.z0_constant
    z0_per_gev, m_f, angle_per_gev = numbers.z0_per_gev, numbers.angle_constant, numbers.angle_per_gev
    pixels, strips, d0_strips, z0_strips = numbers.pixels_cm, numbers.strips_cm, numbers.d0_strips, numbers.z0_strips
    d0_drift, z0_drift, per_gev, constant = numbers.d0_drift, numbers.z0_drift, numbers.pt_per_gev, numbers.pt_constant
    df_m, dw_m, fw_m, zl_m = numbers.d0_phi0, numbers.d0_omega, numbers.phi0_omega, numbers.z0_tan_lambda
    df_s, dw_s = numbers.scattered_d0_phi0, numbers.scattered_d0_omega
    fw_s, zl_s, time = numbers.scattered_phi0_omega, numbers.scattered_z0_tan_lambda, numbers.time
    m_0, m_1, m_2, m_3, m_4 = masses[0], masses[1], masses[2], masses[3], masses[4]
    for j in range(TILE):
        d0, cosine, sine, omega = tracks[j], tracks[TILE + j], tracks[2 * TILE + j], tracks[3 * TILE + j]
        z0, tan_lambda, turn = tracks[4 * TILE + j], tracks[5 * TILE + j], tracks[6 * TILE + j]
        c, s = tracks[7 * TILE + j], tracks[8 * TILE + j]
        momentum, rho, species = tracks[9 * TILE + j], tracks[10 * TILE + j], tracks[11 * TILE + j]
        mass = m_0 if species == 0.0 else m_1
        mass = m_2 if species == 2.0 else mass
        mass = m_3 if species == 3.0 else mass
        mass = m_4 if species == 4.0 else mass
        per_momentum = 1.0 / momentum
        stretch = 1.0 + tan_lambda * tan_lambda  # 1 / sin^2
        per_sine = math.sqrt(stretch)
        slow = per_momentum * math.sqrt(per_sine)  # 1 / (p sin^0.5)
        # Errors where the track begins: of the measurement (m) and of scattering (s).
        m_d = d0_strips if rho > pixels else d0_constant
        m_z = z0_strips if rho > pixels else z0_constant
        m_d = d0_drift if rho > strips else m_d
        m_z = z0_drift if rho > strips else m_z
        s_d, s_z, s_f = d0_per_gev * slow * per_sine, z0_per_gev * slow * stretch, angle_per_gev * slow
        size, slowness = abs(omega), mass * per_momentum
        m_w, s_w = per_gev * CURVATURE, size * constant * math.sqrt(1.0 + slowness * slowness)
        m_l, s_l = m_f * stretch, s_f * stretch
        dd, df = m_d * m_d + s_d * s_d, m_d * m_f * df_m + s_d * s_f * df_s
        ff, dw = m_f * m_f + s_f * s_f, m_d * m_w * dw_m + s_d * s_w * dw_s
        ww, fw = m_w * m_w + s_w * s_w, m_f * m_w * fw_m + s_f * s_w * fw_s
        zz, ll = m_z * m_z + s_z * s_z, m_l * m_l + s_l * s_l
        zl = m_z * m_l * zl_m + s_z * s_l * zl_s
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
        # Derivatives of the perigee with respect to what is measured at the production point: 0 and 1 if it is that.
        radius, scale = 1.0 / omega, 1.0 / (1.0 + omega * d0)
        bend = s * s / (1.0 + c) if c > 0.0 else 1.0 - c
        d0_f, d0_w = s * radius, bend * radius * radius
        f0_d, f0_f, f0_w = -omega * s * scale, c * scale, s * radius * scale
        lift, arc = -tan_lambda * radius, turn * radius
        z_d, z_f, z_w, z_l = lift * f0_d, lift * (f0_f - 1.0), lift * (f0_w - arc), -arc
        # Rows of derivatives times root.
        a1, a2, a3 = c * d1 + d0_f * f1 + d0_w * w1, d0_f * f2 + d0_w * w2, d0_w * w3
        b1, b2, b3 = f0_d * d1 + f0_f * f1 + f0_w * w1, f0_f * f2 + f0_w * w2, f0_w * w3
        e1, e2, e3 = z_d * d1 + z_f * f1 + z_w * w1, z_f * f2 + z_w * w2, z_w * w3
        e4, e5 = z4 + z_l * l4, z_l * l5
        cov = _COV * TILE + j
        out[cov] = a1 * a1 + a2 * a2 + a3 * a3
        out[cov + TILE] = a1 * b1 + a2 * b2 + a3 * b3
        out[cov + 2 * TILE] = a1 * w1 + a2 * w2 + a3 * w3
        out[cov + 3 * TILE] = a1 * e1 + a2 * e2 + a3 * e3
        out[cov + 4 * TILE] = 0.0
        out[cov + 5 * TILE] = b1 * b1 + b2 * b2 + b3 * b3
        out[cov + 6 * TILE] = b1 * w1 + b2 * w2 + b3 * w3
        out[cov + 7 * TILE] = b1 * e1 + b2 * e2 + b3 * e3
        out[cov + 8 * TILE] = 0.0
        out[cov + 9 * TILE] = ww
        out[cov + 10 * TILE] = w1 * e1 + w2 * e2 + w3 * e3
        out[cov + 11 * TILE] = 0.0
        out[cov + 12 * TILE] = e1 * e1 + e2 * e2 + e3 * e3 + e4 * e4 + e5 * e5
        out[cov + 13 * TILE] = e4 * l4 + e5 * l5
        out[cov + 14 * TILE] = ll
        g1, g2, g3 = float(normals[j]), float(normals[TILE + j]), float(normals[2 * TILE + j])
        g4, g5 = float(normals[3 * TILE + j]), float(normals[4 * TILE + j])
        phi0 = angle_of(sine, cosine) + b1 * g1 + b2 * g2 + b3 * g3
        out[j] = d0 + a1 * g1 + a2 * g2 + a3 * g3
        out[TILE + j] = phi0 - 2.0 * math.pi * np.floor(phi0 * (0.5 / math.pi) + 0.5)
        out[2 * TILE + j] = omega + w1 * g1 + w2 * g2 + w3 * g3
        out[3 * TILE + j] = z0 + e1 * g1 + e2 * g2 + e3 * g3 + e4 * g4 + e5 * g5
        out[4 * TILE + j] = tan_lambda + l4 * g4 + l5 * g5
        out[5 * TILE + j] = time * float(normals[5 * TILE + j])


@kernel_lean
def write(out: Array, first: int, count: int, columns: Array, cov: Array, charge: Array, layers: Array) -> None:
    """Copy ``count`` tracks of a tile to the columns of tracks from number ``first``."""
    for i in range(_COV - 1):
        for j in range(count):
            columns[i, first + j] = out[i * TILE + j]
    for j in range(count):
        charge[first + j] = 1 if out[2 * TILE + j] > 0.0 else -1
        layers[first + j] = np.uint8(out[(_COV - 1) * TILE + j])
        for i in range(15):
            cov[first + j, i] = out[(_COV + i) * TILE + j]
