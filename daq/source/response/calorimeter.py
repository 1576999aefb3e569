"""Clusters: what a particle leaves in the crystals, what flows together there, and what is measured of it.

A deposit is energy at one place; deposits closer than ``merge_rad`` are one cluster. Showers beside a gap leak into it,
a photon or electron in the crack is mostly lost, a few showers split off a second cluster.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import exponential, uniform
from daq.source.angles import sincos
from daq.source.response.helices import TILE
from daq.source.single import atan2_32, exp_32, fraction, log_32, normals_32

X, Y, Z, ENERGY, SHOWER = range(5)
"""Columns of a deposit: energy-weighted position [cm GeV], energy, and its electromagnetic part [GeV]."""
SMEARED = 10
"""Quantities of a smeared deposit; see `measure`."""


@kernel_lean
def seen_share(draws: Any, x: float, y: float, z: float, is_shower: bool, numbers: Any) -> float:
    """Return the share of a shower at this place that crystals see: 0 in gaps, less than 1 beside them."""
    rho_squared = x * x + y * y
    cot = z / math.sqrt(rho_squared)
    edges = numbers.cot_edges
    if cot >= edges[0] or cot <= edges[5] or edges[2] <= cot <= edges[1] or edges[4] <= cot <= edges[3]:
        return 0.0
    nearest = abs(cot - edges[0])
    for i in range(1, 6):
        nearest = min(nearest, abs(cot - edges[i]))
    sine_squared = 1.0 / (1.0 + cot * cot)  # d(theta) = sin^2(theta) d(cot)
    in_crack = is_shower and abs(cot - numbers.cot_crack) * sine_squared < numbers.crack_rad
    if in_crack and uniform(draws) < numbers.crack_loss:
        return 0.0
    depth = nearest * sine_squared / numbers.edge_rad
    return 1.0 - numbers.edge_loss * float(exp_32(np.float32(-depth))) if depth < 10.0 else 1.0


@kernel_lean
def deposit_of(
    draws: Any, species: int, energy: float, momentum: float, mass: float, numbers: Any
) -> tuple[float, bool]:
    """Return (energy left in the crystals [GeV], is it a shower); no energy if the particle is not seen."""
    if species in (0, 5):
        efficiency = numbers.efficiency
        ratio = energy / numbers.turn_on
        if ratio < 6.0:
            efficiency *= 1.0 - float(exp_32(np.float32(-ratio * ratio)))
        return (energy, True) if uniform(draws) < efficiency else (0.0, True)
    if species == 6:
        if uniform(draws) < numbers.neutral_hadron_showers:
            return momentum * (0.1 + 0.5 * uniform(draws)), True
        return 0.0, False
    kinetic = energy - mass
    if species > 1 and uniform(draws) < numbers.hadron_showers:
        return kinetic * (0.2 + 0.6 * uniform(draws)), True
    return min(kinetic, numbers.mip + numbers.mip_tail * exponential(draws)), False


@kernel_lean
def split_off(
    draws: Any, deposits: Array, first: int, end: int, x: float, y: float, z: float, energy: float, is_photon: bool,
    numbers: Any,
) -> int:  # fmt: skip
    """Add the second cluster that some showers leave nearby; return the end of the deposits of the event."""
    if uniform(draws) >= (numbers.split_photon if is_photon else numbers.split_hadron):
        return end
    away = numbers.split_rad * (1.0 + exponential(draws))
    sine, cosine = sincos(2.0 * math.pi * uniform(draws))
    r, rho = math.sqrt(x * x + y * y + z * z), math.sqrt(x * x + y * y)
    across, around = away * cosine, away * sine * r / rho
    u, v, w = x + across * x * z / rho - around * y, y + across * y * z / rho + around * x, z - across * rho
    part = min(numbers.split_share_max * energy, numbers.split_mean * exponential(draws))
    share = seen_share(draws, u, v, w, False, numbers)
    return add(deposits, first, end, u, v, w, part * share, 0.0, numbers.merge_rad) if share > 0.0 else end


@kernel_lean
def add(
    deposits: Array, first: int, end: int, x: float, y: float, z: float, energy: float, shower: float, merge_rad: float
) -> int:
    """Add energy to that of the deposits first:end that it overlaps with, else as a new one; return the new end.

    ``deposits`` is a row of five numbers each.
    """
    slot = end
    for j in range(first, end):
        if (
            tangent_squared(x, y, z, deposits[5 * j + X], deposits[5 * j + Y], deposits[5 * j + Z])
            < merge_rad * merge_rad
        ):
            slot = j
            break
    if slot == end:
        for k in range(5):
            deposits[5 * slot + k] = 0.0
    deposits[5 * slot + X] += energy * x
    deposits[5 * slot + Y] += energy * y
    deposits[5 * slot + Z] += energy * z
    deposits[5 * slot + ENERGY] += energy
    deposits[5 * slot + SHOWER] += shower
    return max(end, slot + 1)


@kernel_lean
def tangent_squared(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Return the squared tangent of the angle between two vectors, its square if small; pi^2 beyond 90 deg."""
    dot = ax * bx + ay * by + az * bz
    if dot <= 0.0:
        return math.pi * math.pi
    cx, cy, cz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    return (cx * cx + cy * cy + cz * cz) / (dot * dot)


@kernel_lean
def measure(deposits: Array, words: Array, numbers: Any, out: Array) -> None:
    """Smear the first ``TILE`` deposits.

    They take eight random ``words`` each. ``out`` is a tile of ``SMEARED`` quantities: energy, theta, phi, r, time,
    dt99 and zernike of the clusters, then x, y, z [cm] where they are seen. Single precision.
    """
    one = np.float32(1.0)
    noise, constant = np.float32(numbers.energy_noise), np.float32(numbers.energy_constant)
    tail_fraction, tail_mean = np.float32(numbers.tail_fraction), np.float32(numbers.tail_mean)
    time_noise, time_constant = np.float32(numbers.time_noise), np.float32(numbers.time_constant)
    width, dt99, power = np.float32(numbers.position_rad), np.float32(numbers.dt99), np.float32(numbers.shower_power)
    for j in range(TILE):
        word = 8 * j
        n_0, n_1 = normals_32(words[word], words[word + 1])
        n_2, n_3 = normals_32(words[word + 2], words[word + 3])
        leak = fraction(words[word + 4] >> np.uint32(9))
        shape = fraction(words[word + 5] >> np.uint32(9))
        deposit = 5 * j
        true, shower = np.float32(deposits[deposit + ENERGY]), np.float32(deposits[deposit + SHOWER])
        scale = one / true
        x, y = np.float32(deposits[deposit + X]) * scale, np.float32(deposits[deposit + Y]) * scale
        z = np.float32(deposits[deposit + Z]) * scale
        relative = np.sqrt((noise * scale) * (noise * scale) + constant * constant)
        # Below ``tail_fraction`` the number says that the shower leaks; where below is uniform again.
        lost = exp_32(tail_mean * log_32(min(leak / tail_fraction, one)))
        rho_squared = x * x + y * y
        rho, r = np.sqrt(rho_squared), np.sqrt(rho_squared + z * z)
        # Smear in the plane across the line of sight: towards larger theta and larger phi.
        per_rho = one / rho
        across, around = width * n_1, width * n_2 * r * per_rho
        u, v = x + across * x * z * per_rho - around * y, y + across * y * z * per_rho + around * x
        w = z - across * rho
        sigma = np.sqrt(time_constant * time_constant + (time_noise * scale) * (time_noise * scale))
        out[j] = true * (one + relative * n_0) * lost
        out[TILE + j] = atan2_32(np.sqrt(u * u + v * v), w)
        out[2 * TILE + j] = atan2_32(v, u)
        out[3 * TILE + j] = r
        out[4 * TILE + j] = sigma * n_3
        out[5 * TILE + j] = dt99 * sigma
        logarithm = log_32(shape) * (power if shower + shower > true else np.float32(2.0))
        out[6 * TILE + j] = exp_32(logarithm)
        out[7 * TILE + j], out[8 * TILE + j], out[9 * TILE + j] = u, v, w


@kernel_lean
def match(x: float, y: float, z: float, places: Array, count: int, match_rad: float) -> int:
    """Return which of ``count`` clusters is nearest to a point on the ECL, -1 if none is near.

    ``places`` is a row of x, y, z of each.
    """
    nearest, smallest = -1, match_rad * match_rad
    for j in range(count):
        squared = tangent_squared(x, y, z, places[3 * j], places[3 * j + 1], places[3 * j + 2])
        if squared < smallest:
            nearest, smallest = j, squared
    return nearest
