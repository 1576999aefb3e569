"""Trigger cells: clusters shared over the cells around them, summed, measured, cut at the threshold."""

from __future__ import annotations

import csv
import functools
import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import normal, start
from daq.settings import CONFIGS
from daq.source.angles import sincos

NEIGHBOURS = 8
"""Cells that a cluster may share its energy with, beside the nearest."""
_GRID = (90, 180)  # directions (theta, phi) with a known nearest cell


class CellMap(NamedTuple):
    """The ECL trigger cells, ready for a search of the nearest."""

    positions: Array  # (576, 3) cm
    neighbours: Array  # (576, 8) the nearest other cells of each cell
    planes: Array  # (576, 4, 8) depth below the plane halfway to each neighbour [cm]: 0 + 1 x + 2 y + 3 z
    grid: Array  # (90, 180) nearest cell to a direction


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
    return CellMap(positions, neighbours.astype(np.int16), planes, nearest.astype(np.int16))


@kernel_lean
def fill_cells(
    key: tuple[int, int, int], first_event: int, states: Array, offsets: Array, clusters: tuple[Array, ...],
    cells: CellMap, numbers: Array, scratch: tuple[Array, Array, Array, Array, Array],
    cell_offsets: Array, ids: Array, energies: Array, times: Array,
) -> None:  # fmt: skip
    """Write the cells of each event above threshold, rising id."""
    draws = states[0]
    seed, run, stream = key
    front = numbers[0]
    energy, theta, phi, r, time = clusters
    sums, moments, weights, near, touched = scratch
    used = 0
    for i in range(offsets.size - 1):
        if offsets[i] < offsets[i + 1]:
            start(draws, seed, run, first_event + i, stream)
            n_touched = 0
            for j in range(offsets[i], offsets[i + 1]):
                if energy[j] > 0.0:
                    n_touched = _share(
                        float(energy[j]), float(theta[j]), float(phi[j]), float(r[j]), float(time[j]), cells, front,
                        sums, moments, weights, near, touched, n_touched,
                    )  # fmt: skip
            kept = 0
            for k in range(n_touched):
                cell = touched[k]
                if sums[cell] < 0.5 * front.threshold:
                    sums[cell] = moments[cell] = 0.0
                else:
                    touched[kept] = cell
                    kept += 1
            for k in range(sort_unique(touched, 0, kept)):
                cell = touched[k]
                deposit, moment = sums[cell], moments[cell]
                sums[cell] = moments[cell] = 0.0
                error = math.sqrt(front.noise * front.noise + (front.resolution * deposit) ** 2)
                measured = deposit + error * normal(draws)
                if measured > front.threshold:
                    ids[used], energies[used] = cell + 1, measured
                    times[used] = moment / deposit + front.time * normal(draws)
                    used += 1
        cell_offsets[i + 1] = used


@kernel_lean
def _share(
    energy: float, theta: float, phi: float, r: float, time: float, cells: CellMap, front: Any,
    sums: Array, moments: Array, weights: Array, near: Array, touched: Array, n_touched: int,
) -> int:  # fmt: skip
    """Share a cluster over the cell nearest to it and that cell's neighbours; return the number of touched cells."""
    n_theta, n_phi = cells.grid.shape
    turn = phi * (0.5 / math.pi) + 0.5
    # No remainder of integers: it costs more than all the rest of a line.
    row = min(n_theta - 1, max(0, int(theta * (1.0 / math.pi) * n_theta)))
    column = min(n_phi - 1, max(0, int((turn - math.floor(turn)) * n_phi)))
    (sin_theta, cos_theta), (sin_phi, cos_phi) = sincos(theta), sincos(phi)
    # Single precision, 1e-5 cm: eight neighbours are one vector.
    x, y, z = np.float32(r * sin_theta * cos_phi), np.float32(r * sin_theta * sin_phi), np.float32(r * cos_theta)
    nearest = cells.grid[row, column]
    for _ in range(8):  # a step or two: the grid knows the nearest cell to 1 degree
        shallowest, side = np.float32(0.0), -1
        plane = cells.planes[nearest]
        for k in range(NEIGHBOURS):
            weights[k] = plane[0, k] + plane[1, k] * x + plane[2, k] * y + plane[3, k] * z
        for k in range(NEIGHBOURS):
            if weights[k] < shallowest:
                shallowest, side = weights[k], k
        if side < 0:
            break
        nearest = cells.neighbours[nearest, side]
    deepest, total = front.sharing_cm * math.log(energy / front.share_min), 1.0
    per_cm = 1.0 / front.sharing_cm
    n_near = 0
    for k in range(NEIGHBOURS):  # counted without a branch: which of them are near cannot be guessed
        near[n_near] = k
        n_near += 1 if weights[k] < deepest else 0
    for k in range(n_near):
        weight = math.exp(-weights[near[k]] * per_cm)
        weights[near[k]] = weight
        total += weight
    scale = energy / total
    n_touched = _deposit(nearest, scale, time, sums, moments, touched, n_touched)
    for k in range(n_near):
        cell = cells.neighbours[nearest, near[k]]
        n_touched = _deposit(cell, scale * weights[near[k]], time, sums, moments, touched, n_touched)
    return n_touched


@kernel_lean
def _deposit(cell: int, energy: float, time: float, sums: Array, moments: Array, touched: Array, n_touched: int) -> int:
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
