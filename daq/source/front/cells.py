"""Trigger cells: clusters shared over the cells around them, summed, measured, cut at the threshold.

What is done alike to every cluster of a block, or to every cell, is a loop of its own over all of them that becomes
vector instructions, in single precision: directions and the logarithmic weights of the neighbours before the clusters
of an event are summed, the errors after it. Their approximations, 1e-5 cm and 1e-6 of an energy, are far below the
resolution.
"""

from __future__ import annotations

import csv
import functools
import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import fill_words
from daq.settings import CONFIGS
from daq.source.single import exp_32, normals_32, sincos_32

NEIGHBOURS = 8
"""Cells that a cluster may share its energy with, beside the nearest."""
_GRID = (180, 360)  # directions (theta, phi) with a known nearest cell


class CellMap(NamedTuple):
    """The ECL trigger cells, ready for a search of the nearest."""

    positions: Array  # (576, 3) cm
    neighbours: Array  # (576, 8) the nearest other cells of each cell
    planes: Array  # (576, 4, 8) depth below the plane halfway to each neighbour [cm]: 0 + 1 x + 2 y + 3 z
    grid: Array  # (180, 360) nearest cell to a direction
    flat_grid: Array  # the same in one row


@functools.cache
def trigger_cells() -> CellMap:
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
    neighbours = np.argsort(distances.round(3), axis=1, kind="stable")[:, 1 : 1 + NEIGHBOURS]
    spacing = np.take_along_axis(distances, neighbours, axis=1)
    away = positions[neighbours] - positions[:, None]  # (576, 8, 3)
    squares = (positions**2).sum(axis=1)
    planes = np.empty((len(positions), 4, NEIGHBOURS), dtype=np.float32)
    planes[:, 0] = 0.5 * (squares[neighbours] - squares[:, None]) / spacing
    planes[:, 1:] = -np.swapaxes(away / spacing[..., None], 1, 2)
    nearest = np.argmax(directions @ units.T, axis=2)
    grid = nearest.astype(np.int16)
    return CellMap(positions, neighbours.astype(np.int16), planes, grid, grid.ravel())


class Scratch(NamedTuple):
    """Working space for n clusters; what cells make of them is at most 9 n."""

    places: Array  # (3 n) float32 x, y, z [cm]
    directions: Array  # (n) int32 place in the grid, then nearest cell
    weights: Array  # (8 n) float32 depth below the planes, then its exponential
    sums: Array  # (576) energy, 0 between events
    moments: Array  # (576) energy times time
    touched: Array  # (9 n + 1) cells
    near: Array  # (8) neighbours that have a share
    candidates: Array  # (9 n) int64 cells to be measured
    counters: Array  # (2, 9 n) int64 their events and numbers
    words: Array  # (36 n) uint32
    truths: Array  # (2 * 9 n) float32 energy and time
    measured: Array  # (2 * 9 n) float32 energy and time

    @classmethod
    def of(cls, n: int) -> Scratch:
        """Make it."""
        single, cells = np.float32, (1 + NEIGHBOURS) * n
        n_cells = len(trigger_cells().positions)
        return cls(
            np.empty(3 * n, single), np.empty(n, np.int32), np.empty(NEIGHBOURS * n, single), np.zeros(n_cells),
            np.zeros(n_cells), np.empty(cells + 1, np.int64), np.empty(NEIGHBOURS, np.int64), np.empty(cells, np.int64),
            np.empty((2, cells), np.int64), np.empty(4 * cells, np.uint32), np.empty(2 * cells, single),
            np.empty(2 * cells, single),
        )  # fmt: skip


@kernel_lean
def fill_cells(
    key: tuple[int, int, int], first_event: int, offsets: Array, clusters: tuple[Array, ...], cells: CellMap,
    numbers: Array, scratch: Scratch, cell_offsets: Array, ids: Array, energies: Array, times: Array,
) -> None:  # fmt: skip
    """Write the cells of each event above threshold, rising id."""
    front = numbers[0]
    energy, theta, phi, r, time = clusters
    sums, moments, touched, candidates = scratch.sums, scratch.moments, scratch.touched, scratch.candidates
    _locate(theta, phi, r, scratch.places, scratch.directions)
    _measure_depths(cells, scratch.places, scratch.directions, scratch.weights)
    _weigh(np.float32(-1.0 / front.sharing_cm), np.float32(front.share_min), energy, scratch.weights)
    owner, number, truths, near = scratch.counters[0], scratch.counters[1], scratch.truths, scratch.near
    neighbours, least_sum = cells.neighbours, 0.5 * front.threshold
    found = 0
    for i in range(offsets.size - 1):
        n_touched = 0
        for j in range(offsets[i], offsets[i + 1]):
            if energy[j] > 0.0:
                weights, n_near = scratch.weights[NEIGHBOURS * j : NEIGHBOURS * (j + 1)], 0
                for k in range(NEIGHBOURS):  # counted without a branch: which of them are near cannot be guessed
                    near[n_near] = k
                    n_near += 1 if weights[k] > np.float32(0.0) else 0
                # Added up in a tree: one after the other they would wait for each other.
                first = (weights[0] + weights[1]) + (weights[2] + weights[3])
                second = (weights[4] + weights[5]) + (weights[6] + weights[7])
                scale, moment = energy[j] / (np.float32(1.0) + (first + second)), float(time[j])
                nearest = np.int64(scratch.directions[j])
                n_touched = _deposit(nearest, scale, moment, sums, moments, touched, n_touched)
                for k in range(n_near):
                    cell, part = np.int64(neighbours[nearest, near[k]]), scale * weights[near[k]]
                    n_touched = _deposit(cell, part, moment, sums, moments, touched, n_touched)
        kept = 0
        for k in range(n_touched):
            cell = touched[k]
            is_enough = sums[cell] >= least_sum
            touched[kept] = cell
            kept += 1 if is_enough else 0
            sums[cell] = sums[cell] if is_enough else 0.0
            moments[cell] = moments[cell] if is_enough else 0.0
        for k in range(kept):
            # Each once, so its place is how many are smaller: no branch to be guessed, as there would be in a sort.
            cell, rank = touched[k], 0
            for other in range(kept):
                rank += 1 if touched[other] < cell else 0
            slot = found + rank
            candidates[slot], owner[slot], number[slot] = cell, i, rank
            truths[2 * slot], truths[2 * slot + 1] = sums[cell], moments[cell] / sums[cell]
            sums[cell] = moments[cell] = 0.0
        found += kept
    fill_words(key, first_event, owner[:found], number[:found], scratch.words)
    noise, resolution, width = np.float32(front.noise**2), np.float32(front.resolution**2), np.float32(front.time)
    _smear(found, scratch.truths, scratch.words, noise, resolution, width, scratch.measured)
    used = k = 0
    threshold = np.float32(front.threshold)
    for i in range(offsets.size - 1):
        while k < found and owner[k] == i:
            if scratch.measured[2 * k] > threshold:
                ids[used], energies[used] = candidates[k] + 1, scratch.measured[2 * k]
                times[used] = scratch.measured[2 * k + 1]
                used += 1
            k += 1
        cell_offsets[i + 1] = used


@kernel_lean
def _locate(theta: Array, phi: Array, r: Array, places: Array, directions: Array) -> None:
    """Write where clusters are, and their places in the grid."""
    n_theta, n_phi = _GRID
    down, around = np.float32(n_theta / math.pi), np.float32(0.5 / math.pi)
    for j in range(directions.size):
        t, p, distance = np.float32(theta[j]), np.float32(phi[j]), np.float32(r[j])
        turn = p * around + np.float32(0.5)
        row = min(np.int32(n_theta - 1), max(np.int32(0), np.int32(t * down)))
        column = min(np.int32(n_phi - 1), max(np.int32(0), np.int32((turn - np.floor(turn)) * np.float32(n_phi))))
        sin_theta, cos_theta = sincos_32(t)
        sin_phi, cos_phi = sincos_32(p)
        across = distance * sin_theta
        places[3 * j], places[3 * j + 1], places[3 * j + 2] = across * cos_phi, across * sin_phi, distance * cos_theta
        directions[j] = row * np.int32(n_phi) + column


@kernel_lean
def _measure_depths(cells: CellMap, places: Array, directions: Array, depths: Array) -> None:
    """Replace the place in the grid by the nearest cell; write how far it is to the planes between it and others."""
    for j in range(directions.size):
        x, y, z = places[3 * j], places[3 * j + 1], places[3 * j + 2]
        nearest = np.int64(cells.flat_grid[directions[j]])
        depth = depths[NEIGHBOURS * j : NEIGHBOURS * (j + 1)]
        for _ in range(8):  # a step, rarely two: the grid knows the nearest cell to half a degree
            plane = cells.planes[nearest]
            # Eight numbers in locals are one vector; written out one by one, they might lie in the array of planes.
            d_0, d_1, d_2, d_3 = (
                _depth(plane, 0, x, y, z), _depth(plane, 1, x, y, z), _depth(plane, 2, x, y, z),
                _depth(plane, 3, x, y, z),
            )  # fmt: skip
            d_4, d_5, d_6, d_7 = (
                _depth(plane, 4, x, y, z), _depth(plane, 5, x, y, z), _depth(plane, 6, x, y, z),
                _depth(plane, 7, x, y, z),
            )  # fmt: skip
            depth[0], depth[1], depth[2], depth[3] = d_0, d_1, d_2, d_3
            depth[4], depth[5], depth[6], depth[7] = d_4, d_5, d_6, d_7
            zero = np.float32(0.0)
            is_outside = (d_0 < zero) | (d_1 < zero) | (d_2 < zero) | (d_3 < zero)
            is_outside |= (d_4 < zero) | (d_5 < zero) | (d_6 < zero) | (d_7 < zero)
            if not is_outside:
                break
            side = 0
            for k in range(1, NEIGHBOURS):
                side = k if depth[k] < depth[side] else side
            nearest = np.int64(cells.neighbours[nearest, side])
        directions[j] = nearest


@kernel_lean
def _depth(plane: Array, k: int, x: Any, y: Any, z: Any) -> Any:
    return plane[0, k] + plane[1, k] * x + plane[2, k] * y + plane[3, k] * z


@kernel_lean
def _weigh(per_cm: Any, share_min: Any, energy: Array, weights: Array) -> None:
    """Replace depths by weights; 0 if the share is left out."""
    for j in range(energy.size):
        least = share_min / max(np.float32(energy[j]), np.float32(1e-30))
        for k in range(NEIGHBOURS):
            weight = exp_32(per_cm * weights[NEIGHBOURS * j + k])
            weights[NEIGHBOURS * j + k] = weight if weight > least else np.float32(0.0)


@kernel_lean
def _smear(n: int, truths: Array, words: Array, noise: Any, resolution: Any, width: Any, measured: Array) -> None:
    for j in range(n):
        deposit, time = truths[2 * j], truths[2 * j + 1]
        first, second = normals_32(words[4 * j], words[4 * j + 1])
        measured[2 * j] = deposit + np.sqrt(noise + resolution * deposit * deposit) * first
        measured[2 * j + 1] = time + width * second


@kernel_lean
def _deposit(cell: Any, energy: float, time: float, sums: Array, moments: Array, touched: Array, n_touched: int) -> int:
    """Add energy to a cell; return the number of touched cells."""
    if sums[cell] == 0.0:
        touched[n_touched] = cell
        n_touched += 1
    sums[cell] += energy
    moments[cell] += energy * time
    return n_touched


@kernel_lean
def sort_unique(values: Array, first: int, end: int) -> int:
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
