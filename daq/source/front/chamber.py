"""The drift chamber and the KLM in the trigger: segments, 2D and 3D tracks, event time, sectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import normal, start, uniform
from daq.source.front.cells import sort_unique
from daq.source.helix import CROSSED, arc_to_radius, cross_superlayers, position
from daq.source.single import asin_32, exp_32


@kernel_lean
def fill_tracks(
    key: tuple[int, int, int], first_event: int, states: Array, offsets: Array, helix: tuple[Array, ...], hits: Array,
    layers: Array, geometry: Array, crossed: Array, tables: tuple[Array, Array],
    found: Array, out: Array, segment_offsets: Array, segments: Array, sector_offsets: Array, sectors: Array,
    masks: Array, t0: Array,
) -> None:  # fmt: skip
    """Write what the tracks of each event leave in the trigger; ``out`` is (3 finders, 4 fields, tracks)."""
    draws = states[0]
    seed, run, stream = key
    chamber, muons = tables[0][0], tables[1][0]
    n_2d = n_fitted = n_network = n_segments = n_sectors = 0
    for i in range(offsets.size - 1):
        if offsets[i] < offsets[i + 1]:
            start(draws, seed, run, first_event + i, stream)
            first_segment = n_segments
            for j in range(offsets[i], offsets[i + 1]):
                d0, phi0, omega = float(helix[0][j]), float(helix[1][j]), float(helix[2][j])
                z0, tan_lambda = float(helix[3][j]), float(helix[4][j])
                n_segments, axial, stereo = _cross(
                    draws, d0, phi0, omega, z0, tan_lambda, hits[j], geometry, crossed, chamber, segments, n_segments
                )
                if axial >= chamber.axial_layers_min and _is_found_2d(
                    draws, d0, phi0, omega, chamber, out[0, 0], out[0, 1], n_2d
                ):
                    phi_2d, omega_2d = out[0, 0, n_2d], out[0, 1, n_2d]
                    n_2d += 1
                    if stereo >= chamber.stereo_layers_min:
                        if uniform(draws) < chamber.fitter_efficiency:
                            row = out[1, :, n_fitted]
                            row[0], row[1] = phi_2d, omega_2d
                            row[2] = z0 + chamber.fitter_z0 * normal(draws)
                            row[3] = tan_lambda + chamber.fitter_cot * normal(draws)
                            n_fitted += 1
                        if uniform(draws) < chamber.network_efficiency:
                            row = out[2, :, n_network]
                            row[0], row[1] = phi_2d, omega_2d
                            row[2] = z0 + chamber.network_z0 * normal(draws)
                            row[3] = tan_lambda + chamber.network_cot * normal(draws)
                            n_network += 1
                if layers[j] >= muons.layers_min:
                    part, sector = _sector(d0, phi0, omega, z0, tan_lambda, muons)
                    masks[part, i] |= np.uint8(1 << sector)
                    sectors[n_sectors] = sector
                    n_sectors += 1
            n_segments = sort_unique(segments, first_segment, n_segments)
            if n_segments > first_segment:
                time = math.floor(chamber.t0_resolution * normal(draws) + 0.5)
                t0[i] = time if time != 0 else 1  # 0 means that there is none
        segment_offsets[i + 1], sector_offsets[i + 1] = n_segments, n_sectors
        found[0, i + 1], found[1, i + 1], found[2, i + 1] = n_2d, n_fitted, n_network


@kernel_lean
def _cross(
    draws: Any, d0: float, phi0: float, omega: float, z0: float, tan_lambda: float, hits: int, geometry: Array,
    crossed: Array, chamber: Any, segments: Array, count: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Append the segments of a track; return (number of segments, axial and stereo superlayers of the track).

    The hits say how many layers a track has: if fewer than it could have, it starts outside of the inner ones.
    """
    if cross_superlayers(d0, omega, z0, tan_lambda, -1.0, geometry, crossed) == 0:
        return count, 0, 0
    _number(d0, phi0, omega, geometry, crossed)
    axial, stereo, first = 0, 0, count
    layers_left = hits / chamber.layers_a_hit + 4.0  # half a superlayer of tolerance
    for layer in range(CROSSED - 1, -1, -1):
        n_layers = crossed[CROSSED + layer]
        if n_layers == 0.0:
            continue
        has_it = layers_left >= n_layers and uniform(draws) < chamber.segment_efficiency
        layers_left -= n_layers
        if has_it:
            segments[count] = np.uint16(crossed[2 * CROSSED + layer])
            count += 1
            axial += 1 - layer % 2
            stereo += layer % 2
    for k in range((count - first) // 2):  # from outside in to rising ids
        low, high = first + k, count - 1 - k
        segments[low], segments[high] = segments[high], segments[low]
    return count, axial, stereo


@kernel_lean
def _number(d0: float, phi0: float, omega: float, geometry: Array, crossed: Array) -> None:
    """Write the segments at the crossings, behind z and layers; in vector instructions, single precision."""
    closest, impact, inverse = np.float32(d0 * d0), np.float32(d0), np.float32(1.0 / (1.0 + omega * d0))
    bend, azimuth, around = np.float32(0.5 * omega), np.float32(phi0), np.float32(0.5 / math.pi)
    for k in range(CROSSED):
        radius = geometry[k]
        per_cm, ratio = np.float32(1.0) / radius, (radius * radius - closest) * inverse
        # Wires of stereo layers are numbered at the backward end plate.
        back = geometry[5 * CROSSED + k] * (crossed[k] - geometry[CROSSED + k]) * per_cm
        turn = (azimuth - asin_32((impact + bend * ratio) * per_cm) - back) * around
        size = geometry[4 * CROSSED + k]
        place = min(np.floor((turn - np.floor(turn)) * size), size - np.float32(1.0))
        crossed[2 * CROSSED + k] = geometry[6 * CROSSED + k] + place


@kernel_lean
def _is_found_2d(
    draws: Any, d0: float, phi0: float, omega: float, chamber: Any, phis: Array, omegas: Array, slot: int
) -> bool:
    """Tell whether the 2D finder has the track; write its azimuth and curvature, in steps."""
    displaced = 1.0 + exp_32(np.float32(min(50.0, (abs(d0) - chamber.finder_d0) / chamber.finder_d0_width)))
    if uniform(draws) * displaced > chamber.finder_efficiency:
        return False
    steps = math.floor((omega + chamber.finder_omega * normal(draws)) / chamber.omega_step + 0.5)
    if abs(steps) > chamber.finder_steps:
        return False
    azimuth = math.floor((phi0 + chamber.finder_phi * normal(draws)) / chamber.phi_step + 0.5) * chamber.phi_step
    phis[slot] = azimuth - 2.0 * math.pi * math.floor(azimuth / (2.0 * math.pi) + 0.5)
    omegas[slot] = steps * chamber.omega_step if steps != 0 else math.copysign(0.5 * chamber.omega_step, omega)
    return True


@kernel_lean
def _sector(d0: float, phi0: float, omega: float, z0: float, tan_lambda: float, muons: Any) -> tuple[int, int]:
    """Return (part, sector) that a track points at; parts are barrel forward and backward, end cap the same."""
    arc = arc_to_radius(d0, omega, muons.radius)
    z = z0 + arc * tan_lambda - muons.centre
    in_barrel = abs(z) < muons.half_length  # False if NaN: curled up before
    if not in_barrel:
        side = muons.half_length if tan_lambda > 0.0 else -muons.half_length
        arc = (muons.centre + side - z0) / tan_lambda
        z = side
    x, y, _ = position(d0, phi0, omega, z0, tan_lambda, arc)
    turn = math.atan2(y, x) / (2.0 * math.pi)
    sector = math.floor(8.0 * turn + 0.5) % 8 if in_barrel else math.floor(4.0 * turn) % 4
    return (0 if in_barrel else 2) + (0 if z > 0.0 else 1), sector
