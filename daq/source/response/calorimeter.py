"""Clusters: what a particle leaves in the crystals, what flows together there, and what is measured of it.

A deposit is energy at one place; deposits closer than ``merge_rad`` are one cluster. Showers beside a gap leak into it,
a photon or electron in the crack is mostly lost, a few showers split off a second cluster.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import exponential, normal, uniform
from daq.source.angles import atan2, sincos
from daq.source.single import exp_32, log_32

X, Y, Z, ENERGY, SHOWER = range(5)
"""Columns of a deposit: energy-weighted position [cm GeV], energy, and its electromagnetic part [GeV]."""


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
    draws: Any,
    deposits: Array,
    count: int,
    x: float,
    y: float,
    z: float,
    energy: float,
    is_photon: bool,
    numbers: Any,
) -> int:
    """Add the second cluster that some showers leave nearby; return the number of deposits."""
    if uniform(draws) >= (numbers.split_photon if is_photon else numbers.split_hadron):
        return count
    away = numbers.split_rad * (1.0 + exponential(draws))
    sine, cosine = sincos(2.0 * math.pi * uniform(draws))
    r, rho = math.sqrt(x * x + y * y + z * z), math.sqrt(x * x + y * y)
    across, around = away * cosine, away * sine * r / rho
    u, v, w = x + across * x * z / rho - around * y, y + across * y * z / rho + around * x, z - across * rho
    part = min(numbers.split_share_max * energy, numbers.split_mean * exponential(draws))
    share = seen_share(draws, u, v, w, False, numbers)
    return add(deposits, count, u, v, w, part * share, 0.0, numbers.merge_rad) if share > 0.0 else count


@kernel_lean
def add(
    deposits: Array, count: int, x: float, y: float, z: float, energy: float, shower: float, merge_rad: float
) -> int:
    """Add energy to the deposit that it overlaps with, else as a new one; return the number of deposits."""
    slot = count
    for j in range(count):
        if tangent_squared(x, y, z, deposits[j, X], deposits[j, Y], deposits[j, Z]) < merge_rad * merge_rad:
            slot = j
            break
    if slot == count:
        for k in range(5):
            deposits[slot, k] = 0.0
    deposits[slot, X] += energy * x
    deposits[slot, Y] += energy * y
    deposits[slot, Z] += energy * z
    deposits[slot, ENERGY] += energy
    deposits[slot, SHOWER] += shower
    return max(count, slot + 1)


@kernel_lean
def tangent_squared(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Return the squared tangent of the angle between two vectors, its square if small; pi^2 beyond 90 deg."""
    dot = ax * bx + ay * by + az * bz
    if dot <= 0.0:
        return math.pi * math.pi
    cx, cy, cz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    return (cx * cx + cy * cy + cz * cz) / (dot * dot)


@kernel_lean
def measure(draws: Any, deposit: Array, numbers: Any, columns: Array, slot: int, place: Array) -> bool:
    """Smear one deposit into column ``slot`` of (energy, theta, phi, r, time, dt99, zernike), and into a ``place`` (3).

    Tell whether it passes the threshold.
    """
    true = deposit[ENERGY]
    scale = 1.0 / true
    relative = math.sqrt((numbers.energy_noise * scale) ** 2 + numbers.energy_constant**2)
    energy = true * (1.0 + relative * normal(draws))
    if uniform(draws) < numbers.tail_fraction:
        energy *= math.exp(-numbers.tail_mean * exponential(draws))
    if energy <= numbers.cluster_min:
        return False
    x, y, z = deposit[X] * scale, deposit[Y] * scale, deposit[Z] * scale
    rho_squared = x * x + y * y
    rho, r = math.sqrt(rho_squared), math.sqrt(rho_squared + z * z)
    # Smear in the plane across the line of sight: towards larger theta and larger phi.
    per_rho = 1.0 / rho
    across, around = numbers.position_rad * normal(draws), numbers.position_rad * normal(draws) * r * per_rho
    u, v, w = x + across * x * z * per_rho - around * y, y + across * y * z * per_rho + around * x, z - across * rho
    place[0], place[1], place[2] = u, v, w
    sigma = math.sqrt(numbers.time_constant**2 + (numbers.time_noise * scale) ** 2)
    columns[0, slot] = energy
    columns[1, slot] = atan2(math.sqrt(u * u + v * v), w)
    columns[2, slot] = atan2(v, u)
    columns[3, slot] = r
    columns[4, slot] = sigma * normal(draws)
    columns[5, slot] = numbers.dt99 * sigma
    shape = uniform(draws)
    columns[6, slot] = (
        exp_32(np.float32(numbers.shower_power) * log_32(np.float32(shape)))
        if 2.0 * deposit[SHOWER] > true
        else shape * shape
    )
    return True


@kernel_lean
def match(x: float, y: float, z: float, places: Array, first: int, end: int, match_rad: float) -> int:
    """Return which of the clusters ``first`` to ``end`` is nearest to a point on the ECL; -1 if none is near."""
    nearest, smallest = -1, match_rad * match_rad
    for j in range(first, end):
        squared = tangent_squared(x, y, z, places[j, 0], places[j, 1], places[j, 2])
        if squared < smallest:
            nearest, smallest = j, squared
    return nearest
