"""What Level-1 sees of an event: trigger cells, trigger tracks, track segments and KLM sectors.

All of it is made from the *reconstructed* tracks and clusters, so the same code serves generated events and replayed
reconstruction-level files. Approximate: real primitives come from hits of their own, also from noise and from particles
that the reconstruction misses. Numbers without a source are surrogates of the right size.

* Trigger cells: a cluster is shared over the nearest cell and its neighbours with weights exp(-t / ``sharing_cm``), t
  its distance from the plane halfway to the neighbour: two cells share a shower at their border half and half.
* 2D tracks: at least four of the five axial superlayers, pT of at least 0.3 GeV; the efficiency falls with abs(d0),
  since the finder looks from the beam line. Curvature and azimuth in the steps of the firmware (34 steps to 0.3 GeV,
  80 azimuths a quadrant).
* Segments: where a track crosses a superlayer; in stereo layers the wire is followed to the backward end plate.
* KLM: a sector fires if a track has hits in at least four layers there.
"""

from __future__ import annotations

import csv
import functools
import math
from typing import NamedTuple

import numpy as np

from daq.event import OFFSET, Array, EventBatch
from daq.jit import kernel
from daq.philox import STREAM_PRIMITIVES, STREAM_TRACK_PRIMITIVES, new_draws, normal, start, uniform
from daq.settings import CONFIGS
from daq.source.helix import SUPERLAYERS, arc_to_radius, crossing, position, transverse_gev

SEGMENT_STARTS = np.concatenate([[0], np.cumsum(SUPERLAYERS[:, 4])]).astype(np.int64)
OMEGA_STEP = 29.9792458 * 1.5e-4 / 0.3 / 34  # 1/cm: step 34 is pT = 0.3 GeV at 1.5 T
PHI_STEP = math.radians(1.125)
_CANDIDATES = 9  # cells that a cluster may share its energy with
_GRID = (90, 180)  # directions (theta, phi) with a known nearest cell


class Front(NamedTuple):
    """The numbers of the trigger front ends; lengths in cm, energies in GeV, times in ns."""

    sharing_cm: float = 2.0
    cell_threshold: float = 0.1  # Belle II trigger simulation, ECL front end
    cell_noise: float = 0.010
    cell_resolution: float = 0.02
    cell_time: float = 3.0
    finder_efficiency: float = 0.97
    finder_pt_min: float = 0.3  # Belle II trigger simulation, 2D finder
    finder_d0: float = 4.0  # half of the efficiency is lost
    finder_d0_width: float = 0.8
    axial_layers_min: int = 4
    fitter_efficiency: float = 0.93
    fitter_z0: float = 8.0
    fitter_cot: float = 0.10
    network_efficiency: float = 0.97
    network_z0: float = 3.0
    network_cot: float = 0.05
    segment_efficiency: float = 0.97
    layers_a_hit: float = 0.95  # hits per layer of a track, to guess where a track starts
    klm_layers_min: int = 4  # two planes a layer: the default of eight of the trigger simulation
    klm_radius: float = 200.0
    klm_centre: float = 47.0  # z of the middle of the barrel
    klm_half_length: float = 220.0
    t0_resolution: float = 3.0


class Cells(NamedTuple):
    """The ECL trigger cells, ready for a search of the nearest."""

    positions: Array  # (576, 3) cm
    neighbours: Array  # (576, 9) the nearest cells of each cell, itself first
    spacing: Array  # (576, 9) their distances [cm]
    grid: Array  # (90, 180) nearest cell to a direction


@functools.cache
def trigger_cells() -> Cells:
    """Read the cells of configs/detector and tabulate their neighbours."""
    with (CONFIGS / "detector" / "ecl_trigger_cells.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["tc_id"]))
    positions = np.array([[float(row[f"{axis}_cm"]) for axis in "xyz"] for row in rows])
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    theta = (np.arange(_GRID[0]) + 0.5) * math.pi / _GRID[0]
    phi = (np.arange(_GRID[1]) + 0.5) * 2 * math.pi / _GRID[1] - math.pi
    sine = np.sin(theta)[:, None]
    directions = np.stack(np.broadcast_arrays(sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)[:, None]), axis=-1)
    units = positions / np.linalg.norm(positions, axis=1)[:, None]
    # Cells of a ring lie alike: rounded and stable, so that ties are broken by number on every machine.
    neighbours = np.argsort(distances.round(3), axis=1, kind="stable")[:, :_CANDIDATES]
    spacing = np.take_along_axis(distances, neighbours, axis=1)
    return Cells(positions, neighbours, spacing, np.argmax(directions @ units.T, axis=2))


def add_primitives(batch: EventBatch, *, first_event: int, seed: int, run: int) -> EventBatch:
    """Return the batch with its trigger primitives made from its tracks and clusters.

    Event k's primitives depend on (seed, run, k), its tracks and its clusters alone.
    """
    front = Front()
    cells = _cell_arrays(batch, (seed, run, STREAM_PRIMITIVES), first_event, front)
    tracks = _track_arrays(batch, (seed, run, STREAM_TRACK_PRIMITIVES), first_event, front)
    return batch.replaced(cells | tracks)


def _cell_arrays(batch: EventBatch, key: tuple[int, int, int], first_event: int, front: Front) -> dict[str, Array]:
    cells = trigger_cells()
    size = _CANDIDATES * batch["clusters.theta"].size
    offsets = np.zeros(batch.size + 1, dtype=OFFSET)
    ids, energies, times = np.zeros(size, dtype="<u2"), np.zeros(size, dtype="<f4"), np.zeros(size, dtype="<f4")
    names = ("energy_gev", "theta", "phi", "r_cm", "time_ns")
    cluster = np.stack([batch[f"clusters.{name}"] for name in names]).astype(np.float64)
    _fill_cells(key, first_event, batch["clusters.offsets"], cluster, cells, front, offsets, ids, energies, times)
    used = offsets[-1]
    return {
        "tc.offsets": offsets,
        "tc.id": ids[:used],
        "tc.energy_gev": energies[:used],
        "tc.time_ns": times[:used],
    }


def _track_arrays(batch: EventBatch, key: tuple[int, int, int], first_event: int, front: Front) -> dict[str, Array]:
    n, n_tracks = batch.size, batch["tracks.phi0"].size
    found = np.zeros((3, n + 1), dtype=OFFSET)
    tracks = np.zeros((3, n_tracks, 4))
    segment_offsets, sector_offsets = np.zeros(n + 1, dtype=OFFSET), np.zeros(n + 1, dtype=OFFSET)
    segments, sectors = np.zeros(9 * n_tracks, dtype="<u2"), np.zeros(n_tracks, dtype="|u1")
    masks, t0 = np.zeros((n, 4), dtype="|u1"), np.zeros(n, dtype="<i4")
    names = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda", "n_cdc_hits", "klm_layers")
    track = np.stack([batch[f"tracks.{name}"].astype(np.float64) for name in names], axis=1)
    _fill_tracks(
        key, first_event, batch["tracks.offsets"], track, SUPERLAYERS, SEGMENT_STARTS, (OMEGA_STEP, PHI_STEP), front,
        found, tracks, segment_offsets, segments, sector_offsets, sectors, masks, t0,
    )  # fmt: skip
    out = {
        "segments.offsets": segment_offsets,
        "segments": segments[: segment_offsets[-1]],
        "klm_track_sectors.offsets": sector_offsets,
        "klm_track_sectors": sectors[: sector_offsets[-1]],
        "cdc_t0": t0,
    }
    for i, mask in enumerate(("bklm_mask_fwd", "bklm_mask_bwd", "eklm_mask_fwd", "eklm_mask_bwd")):
        out[mask] = masks[:, i]
    for i, group in enumerate(("trk2d", "trk3d", "trknn")):
        out[f"{group}.offsets"] = found[i]
        for k, name in enumerate(("phi0", "omega") if i == 0 else ("phi0", "omega", "z0_cm", "cot_theta")):
            out[f"{group}.{name}"] = tracks[i, : found[i, -1], k]
    return out


@kernel
def _fill_cells(
    key: tuple[int, int, int], first_event: int, clusters: Array, cluster: Array,
    cells: Cells, front: Front, offsets: Array, ids: Array, energies: Array, times: Array,
) -> None:  # fmt: skip
    draws = new_draws()
    seed, run, stream = key
    energy, theta, phi, r, time = cluster
    n_theta, n_phi = cells.grid.shape
    sums, moments = np.zeros(cells.positions.shape[0]), np.zeros(cells.positions.shape[0])
    weights = np.zeros(cells.neighbours.shape[1])
    touched = np.zeros(max(1, energies.size), dtype=np.int64)
    used = 0
    for i in range(clusters.size - 1):
        start(draws, seed, run, first_event + i, stream)
        n_touched = 0
        for j in range(clusters[i], clusters[i + 1]):
            if not energy[j] > 0.0:
                continue
            row = min(n_theta - 1, max(0, int(theta[j] / math.pi * n_theta)))
            column = math.floor((phi[j] / (2.0 * math.pi) + 0.5) * n_phi) % n_phi
            rho = r[j] * math.sin(theta[j])
            x, y, z = rho * math.cos(phi[j]), rho * math.sin(phi[j]), r[j] * math.cos(theta[j])
            near, total = _sharing(x, y, z, cells, cells.grid[row, column], front.sharing_cm, weights)
            for k in range(near.size):
                deposit = energy[j] * weights[k] / total
                if sums[near[k]] == 0.0 and deposit > 0.0:
                    touched[n_touched] = near[k]
                    n_touched += 1
                sums[near[k]] += deposit
                moments[near[k]] += deposit * time[j]
        n_touched = _sort_unique(touched, 0, n_touched)
        for cell in touched[:n_touched]:
            deposit, moment = sums[cell], moments[cell]
            sums[cell] = moments[cell] = 0.0
            if deposit < 0.5 * front.cell_threshold:
                continue
            measured = deposit + math.hypot(front.cell_noise, front.cell_resolution * deposit) * normal(draws)
            jitter = front.cell_time * normal(draws)
            if measured > front.cell_threshold:
                ids[used], energies[used], times[used] = cell + 1, measured, moment / deposit + jitter
                used += 1
        offsets[i + 1] = used


@kernel
def _sharing(
    x: float, y: float, z: float, cells: Cells, guess: int, length: float, weights: Array
) -> tuple[Array, float]:
    """Fill the weights of the cell nearest to a point and of its neighbours; return (these cells, sum of weights)."""
    nearest, shortest = guess, math.inf
    for cell in cells.neighbours[guess]:
        squared = _distance_squared(x, y, z, cells.positions[cell])
        if squared < shortest:
            nearest, shortest = cell, squared
    near, spacing = cells.neighbours[nearest], cells.spacing[nearest]
    weights[0] = total = 1.0
    for k in range(1, near.size):
        beyond = _distance_squared(x, y, z, cells.positions[near[k]]) - shortest
        weights[k] = math.exp(-0.5 * beyond / spacing[k] / length)
        total += weights[k]
    return near, total


@kernel
def _distance_squared(x: float, y: float, z: float, position: Array) -> float:
    dx, dy, dz = position[0] - x, position[1] - y, position[2] - z
    squared: float = dx * dx + dy * dy + dz * dz
    return squared


@kernel
def _fill_tracks(
    key: tuple[int, int, int], first_event: int, offsets: Array, tracks: Array, superlayers: Array, starts: Array,
    steps: tuple[float, float], front: Front, found: Array, out: Array, segment_offsets: Array, segments: Array,
    sector_offsets: Array, sectors: Array, masks: Array, t0: Array,
) -> None:  # fmt: skip
    draws = new_draws()
    seed, run, stream = key
    n_found = np.zeros(3, dtype=np.int64)
    crossed = np.zeros(9, dtype=np.bool_)
    n_segments = n_sectors = 0
    for i in range(offsets.size - 1):
        start(draws, seed, run, first_event + i, stream)
        first_segment = n_segments
        for j in range(offsets[i], offsets[i + 1]):
            track = tracks[j]
            n_segments = _cross(draws, track, superlayers, starts, front, crossed, segments, n_segments)
            _find(draws, track, crossed, steps, front, n_found, out)
            n_sectors = _klm(track, front, masks[i], sectors, n_sectors)
        n_segments = _sort_unique(segments, first_segment, n_segments)
        if n_segments > first_segment:
            time = round(front.t0_resolution * normal(draws))
            t0[i] = time if time != 0 else 1  # 0 means that there is none
        segment_offsets[i + 1], sector_offsets[i + 1] = n_segments, n_sectors
        for k in range(3):
            found[k, i + 1] = n_found[k]


@kernel
def _cross(
    draws: Array, track: Array, superlayers: Array, starts: Array, front: Front, crossed: Array, segments: Array,
    count: int,
) -> int:  # fmt: skip
    """Append the segments of a track; ``crossed`` tells which superlayers it has. Return the number of segments.

    The hits say how many layers a track has: if fewer than it could have, it starts outside of the inner ones.
    """
    d0, phi0, omega, z0, tan_lambda, hits, _ = track
    layers_left = hits / front.layers_a_hit + 4.0  # half a superlayer of tolerance
    for layer in range(superlayers.shape[0] - 1, -1, -1):
        radius, back, _, n_layers, size, stereo = superlayers[layer]
        arc = crossing(d0, omega, z0, tan_lambda, superlayers[layer])
        crossed[layer] = arc > 0.0 and layers_left >= n_layers and uniform(draws) < front.segment_efficiency
        if not arc > 0.0:
            continue
        layers_left -= n_layers
        if crossed[layer]:
            x, y, z = position(d0, phi0, omega, z0, tan_lambda, arc)
            turn = (math.atan2(y, x) - stereo * (z - back) / radius) / (2.0 * math.pi)
            segments[count] = starts[layer] + int((turn - math.floor(turn)) * size) % int(size)
            count += 1
    return count


@kernel
def _find(
    draws: Array, track: Array, crossed: Array, steps: tuple[float, float], front: Front, n_found: Array, out: Array
) -> None:
    """Append the trigger tracks (2D, 3D fitter, neural network) that a track gives."""
    d0, phi0, omega, z0, tan_lambda = track[0], track[1], track[2], track[3], track[4]
    axial, stereo = 0, 0
    for layer in range(crossed.size):
        axial += crossed[layer] and layer % 2 == 0
        stereo += crossed[layer] and layer % 2 == 1
    displaced = 1.0 / (1.0 + math.exp(min(50.0, (abs(d0) - front.finder_d0) / front.finder_d0_width)))
    curvature = round(omega / steps[0])
    if axial < front.axial_layers_min or transverse_gev(omega) < front.finder_pt_min or abs(curvature) > 34:
        return
    if uniform(draws) > front.finder_efficiency * displaced:
        return
    azimuth = round(phi0 / steps[1]) * steps[1]
    measured = float(curvature) * steps[0] if curvature != 0 else math.copysign(0.5 * steps[0], omega)
    out[0, n_found[0], 0], out[0, n_found[0], 1] = azimuth, measured
    n_found[0] += 1
    for k in range(1, 3):
        efficiency, z0_error, cot_error = (
            (front.fitter_efficiency, front.fitter_z0, front.fitter_cot)
            if k == 1
            else (front.network_efficiency, front.network_z0, front.network_cot)
        )
        if stereo >= 3 and uniform(draws) < efficiency:
            row = out[k, n_found[k]]
            row[0], row[1] = azimuth, measured
            row[2] = z0 + z0_error * normal(draws)
            row[3] = tan_lambda + cot_error * normal(draws)
            n_found[k] += 1


@kernel
def _klm(track: Array, front: Front, masks: Array, sectors: Array, count: int) -> int:
    """Fire the sector that a track with enough layers points at; return the number of sectors of trigger tracks."""
    if track[6] < front.klm_layers_min:
        return count
    d0, phi0, omega, z0, tan_lambda = track[0], track[1], track[2], track[3], track[4]
    arc = arc_to_radius(d0, omega, front.klm_radius)
    z = z0 + arc * tan_lambda - front.klm_centre
    in_barrel = abs(z) < front.klm_half_length  # False if NaN: curled up before
    if not in_barrel:
        side = front.klm_half_length if tan_lambda > 0.0 else -front.klm_half_length
        arc = (front.klm_centre + side - z0) / tan_lambda
        z = side
    x, y, _ = position(d0, phi0, omega, z0, tan_lambda, arc)
    turn = math.atan2(y, x) / (2.0 * math.pi)
    sector = math.floor(8.0 * turn + 0.5) % 8 if in_barrel else math.floor(4.0 * turn) % 4
    part = (0 if in_barrel else 2) + (0 if z > 0.0 else 1)
    masks[part] |= np.uint8(1 << sector)
    sectors[count] = sector
    return count + 1


@kernel
def _sort_unique(values: Array, first: int, end: int) -> int:
    """Sort values[first:end] and drop repeats; return the new end. By insertion: an event has few."""
    kept = first
    for k in range(first, end):
        value, place = values[k], kept
        while place > first and values[place - 1] > value:
            place -= 1
        if place > first and values[place - 1] == value:
            continue
        for j in range(kept, place, -1):
            values[j] = values[j - 1]
        values[place] = value
        kept += 1
    return kept
