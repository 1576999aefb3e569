"""ECL trigger, first part: the hits of the trigger cells become clusters and sums.

Source: Belle II public software: ECL trigger simulation (single decision window, clustering method 1), with its quirks:
six clusters are kept, the first ones and not the most energetic; of two clusters with the same centre both are kept.
GRL trigger simulation (36 bins of azimuth; barrel from 35 to 126 degrees).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.bits import pack
from triggers.ecl.cells import Cells
from triggers.primitives import Primitives

MAX_CLUSTERS = 6

NO_ECL_NS = -9999.0
"""Time of an event without an ECL record: no cluster is in time with it."""


class Clusters(NamedTuple):
    """ECL clusters of N events; those of event k are ``offsets[k]`` up to ``offsets[k + 1]``.

    M is the number of clusters or more: what stands behind the last is not defined.
    """

    offsets: Array
    """(N + 1,) int32."""
    azimuth_bin: Array
    """(M,) int64, 10 degrees each, of the centroid."""
    is_barrel: Array
    """(M,) bool, by the centroid."""
    energy_gev: Array
    """(M,) float64, lab."""
    time_ns: Array
    """(M,) float64."""
    cell: Array
    """(M,) int64 number of the centre cell."""
    theta_id: Array
    """(M,) int64 ring of the centre cell."""
    event_time_ns: Array
    """(N,) float64 time of the event by the ECL, `NO_ECL_NS` if it has none."""
    any_barrel: Array
    """(N,) bool: a cluster of the event is in the barrel."""
    forward_bins: Array
    """(N,) uint64 set of the azimuth bins of the clusters in rings 1-3."""
    backward_bins: Array
    """(N,) uint64 of those in rings 16, 17."""


class Sums(NamedTuple):
    """What is known of N events beside the clusters that are kept, (N,) each."""

    inner_gev: Array
    """float64 energy in rings 2-15."""
    total_gev: Array
    """float64 energy in all rings."""
    found: Array
    """int64 clusters found, before the limit."""
    isolated: Array
    """int64 of these, those that start in rings 2-15."""
    timing_cell: Array
    """int64 most energetic cell, the first of several; 0 for none."""
    quadrants: Array
    """int64 quadrants of the azimuth that are hit: bits 0-3 in rings 2-3, bits 4-7 in the barrel."""
    combinations: Array
    """int64 2D Bhabha: bit 14 - k is set where the sums of rings pass combination k, 1 to 14."""


class ClusterCuts(NamedTuple):
    """Numbers of the finder that are no table of cells."""

    max_clusters: int = MAX_CLUSTERS
    steps_per_gev: float = 1e6  # of float32 energies, which are not finer
    cot_theta: tuple[float, float] = (1.0 / math.tan(math.radians(126.0)), 1.0 / math.tan(math.radians(35.0)))  # barrel
    bhabha_forward_gev: float = 4.0  # "or more": 2D Bhabha, combinations 1 to 12
    bhabha_backward_gev: float = 2.5
    bhabha_13_gev: tuple[float, float] = (3.0, 3.0)  # combinations 13 and 14: forward, backward
    bhabha_14_gev: tuple[float, float] = (3.5, 3.0)


TANGENTS: Array = np.tan(np.radians(np.arange(10, 90, 10)))
"""(8,) tangent of the azimuths between the bins of a quadrant."""


@kernel
def _azimuth_bin_of(x: float, y: float, tangents: Array) -> int:
    """Return the 10-degree bin of the azimuth of a place that is not on the axis."""
    is_lower = (y < 0.0) | ((y == 0.0) & (x < 0.0))
    x, y = -x if is_lower else x, -y if is_lower else y
    is_left = x <= 0.0
    x, y = y if is_left else x, -x if is_left else y
    azimuth_bin = 18 * is_lower + 9 * is_left
    for k in range(tangents.size):
        azimuth_bin += y >= tangents[k] * x
    return azimuth_bin


@kernel
def _is_barrel(x: float, y: float, z: float, cot_theta: tuple[float, float]) -> bool:
    """Return whether a place is at the polar angles of the barrel, ends included."""
    r = math.sqrt(x * x + y * y)
    return cot_theta[0] * r <= z <= cot_theta[1] * r


@kernel
def fill(
    clusters: Clusters,
    event: int,
    k: int,
    x: float,
    y: float,
    z: float,
    energy_gev: float,
    time_ns: float,
    cell: int,
    theta_id: int,
    tangents: Array,
    cuts: ClusterCuts,
) -> None:
    """Fill cluster ``k``, of an event, with what is known of it; its centroid is in the direction of x, y, z."""
    azimuth_bin = _azimuth_bin_of(x, y, tangents)
    place = np.uint64(1) << np.uint64(azimuth_bin)
    is_barrel = _is_barrel(x, y, z, cuts.cot_theta)
    clusters.azimuth_bin[k] = azimuth_bin
    clusters.is_barrel[k] = is_barrel
    clusters.energy_gev[k] = energy_gev
    clusters.time_ns[k] = time_ns
    clusters.cell[k] = cell
    clusters.theta_id[k] = theta_id
    clusters.any_barrel[event] |= is_barrel
    clusters.forward_bins[event] |= place if theta_id <= 3 else np.uint64(0)
    clusters.backward_bins[event] |= place if theta_id >= 16 else np.uint64(0)


@kernel
def _combinations(gev: Array, cuts: ClusterCuts) -> Any:
    """Return the word of the 2D Bhabha combinations that the energies of the rings pass, the last one first."""
    forward, backward = cuts.bhabha_forward_gev, cuts.bhabha_backward_gev
    return pack(
        (
            (gev[8] + gev[9] >= cuts.bhabha_14_gev[0]) & (gev[9] + gev[10] >= cuts.bhabha_14_gev[1]),
            (gev[8] >= cuts.bhabha_13_gev[0]) & (gev[10] + gev[11] >= cuts.bhabha_13_gev[1]),
            (gev[7] + gev[8] >= forward) & (gev[11] >= backward),
            (gev[6] + gev[7] >= forward) & (gev[11] >= backward),
            (gev[6] + gev[7] >= forward) & (gev[12] >= backward),
            (gev[5] + gev[6] >= forward) & (gev[12] >= backward),
            (gev[5] + gev[6] >= forward) & (gev[13] >= backward),
            (gev[5] >= forward) & (gev[12] + gev[13] >= backward),
            (gev[5] >= forward) & (gev[13] + gev[14] >= backward),
            (gev[4] + gev[5] >= forward) & (gev[14] >= backward),
            (gev[5] >= forward) & (gev[14] + gev[15] >= backward),
            (gev[4] >= forward) & (gev[14] + gev[15] >= backward),
            (gev[3] >= forward) & (gev[15] >= backward),
            (gev[1] + gev[2] + gev[3] >= forward) & (gev[16] + gev[17] >= backward),
        )
    )


@kernel
def room_for_clusters(n_events: int, n_clusters: int) -> Clusters:
    """Return clusters to `fill`."""
    return Clusters(
        np.zeros(n_events + 1, dtype=np.int32),  # offsets
        np.empty(n_clusters, dtype=np.int64),  # azimuth_bin
        np.empty(n_clusters, dtype=np.bool_),  # is_barrel
        np.empty(n_clusters, dtype=np.float64),  # energy_gev
        np.empty(n_clusters, dtype=np.float64),  # time_ns
        np.empty(n_clusters, dtype=np.int64),  # cell
        np.empty(n_clusters, dtype=np.int64),  # theta_id
        np.full(n_events, NO_ECL_NS),  # event_time_ns
        np.zeros(n_events, dtype=np.bool_),  # any_barrel
        np.zeros(n_events, dtype=np.uint64),  # forward_bins
        np.zeros(n_events, dtype=np.uint64),  # backward_bins
    )


@kernel
def _room_for_sums(n_events: int) -> Sums:
    return Sums(
        np.empty(n_events, dtype=np.float64),  # inner_gev
        np.empty(n_events, dtype=np.float64),  # total_gev
        np.empty(n_events, dtype=np.int64),  # found
        np.empty(n_events, dtype=np.int64),  # isolated
        np.empty(n_events, dtype=np.int64),  # timing_cell
        np.empty(n_events, dtype=np.int64),  # quadrants
        np.empty(n_events, dtype=np.int64),  # combinations
    )


@kernel
def find_clusters(
    primitives: Primitives,
    is_rounded: bool,
    cells: Cells,
    tangents: Array,
    cuts: ClusterCuts,
    malformed: Array,
) -> tuple[Clusters, Sums]:
    """Return the clusters, at most ``cuts.max_clusters`` an event, and sums of the hits of N events.

    Energies that are rounded, as those of float32 are, are taken in whole keV: a value such as 0.3 GeV, which float32
    cannot hold, must lie on a threshold of 0.3 GeV and not above it.

    An event is malformed if a cell number is not in 1..576 or does not rise, an energy is not positive and finite, or
    a time is not finite; that hit is ignored.
    """
    n_events = malformed.size
    clusters = room_for_clusters(n_events, n_events * cuts.max_clusters)
    sums = _room_for_sums(n_events)
    cell_gev = np.zeros(cells.theta_id.size)  # 0 where there is no hit, and for cell 0, which is none
    cell_ns = np.zeros(cells.theta_id.size)
    ring_gev = np.empty(18)
    hits = np.empty(cells.theta_id.size, dtype=np.uint16)
    filled = 0
    for event in range(n_events):
        n_hits = n_forward = n_barrel = quadrants = 0
        last = timing_cell = np.int64(0)
        inner_gev = total_gev = most_gev = 0.0
        ring_gev[:] = 0.0
        for k in range(primitives.tc_offsets[event], primitives.tc_offsets[event + 1]):
            cell, gev, ns = np.int64(primitives.tc_id[k]), primitives.tc_energy_gev[k], primitives.tc_time_ns[k]
            if is_rounded:
                gev = np.rint(np.float64(gev) * cuts.steps_per_gev) / cuts.steps_per_gev
            if not (last < cell < cells.theta_id.size and 0.0 < gev < np.inf and math.isfinite(ns)):
                malformed[event] = True
                continue
            last = cell
            hits[n_hits] = cell
            n_hits += 1
            n_forward += int(cell <= 80)
            n_barrel += int(81 <= cell <= 512)
            cell_gev[cell], cell_ns[cell] = gev, ns
            ring = cells.theta_id[cell]
            ring_gev[ring] += gev
            total_gev += gev
            inner_gev += gev if 2 <= ring <= 15 else 0.0
            quadrants |= cells.quadrants[cell]
            if gev > most_gev:
                most_gev, timing_cell = gev, cell

        found = isolated = 0
        for k in range(n_hits):  # barrel, forward, backward
            seed = hits[k + n_forward if k < n_barrel else k - n_barrel if k < n_barrel + n_forward else k]
            if (
                cell_gev[cells.vetoes[seed, 0]] > 0.0
                or cell_gev[cells.vetoes[seed, 1]] > 0.0
                or cell_gev[cells.vetoes[seed, 2]] > 0.0
                or (cell_gev[cells.vetoes[seed, 3]] > 0.0 and cell_gev[cells.vetoes[seed, 4]] > 0.0)
            ):
                continue
            found += 1
            isolated += 2 <= cells.theta_id[seed] <= 15
            if found > cuts.max_clusters:
                continue
            centre, centre_gev = seed, cell_gev[seed]
            for i in range(1, 9):
                near = cells.neighbours[seed, i]
                if cell_gev[near] > centre_gev:
                    centre, centre_gev = near, cell_gev[near]
            sum_gev = x = y = z = sum_ns = 0.0  # weighted with the energy; a neighbour without a hit adds nothing
            for i in range(9):
                near = cells.neighbours[centre, i]
                sum_gev += cell_gev[near]
                x += cell_gev[near] * cells.xyz_cm[near, 0]
                y += cell_gev[near] * cells.xyz_cm[near, 1]
                z += cell_gev[near] * cells.xyz_cm[near, 2]
                sum_ns += cell_gev[near] * cell_ns[near]
            ring = cells.theta_id[centre]
            fill(clusters, event, filled, x, y, z, sum_gev, sum_ns / sum_gev, centre, ring, tangents, cuts)
            filled += 1
        clusters.offsets[event + 1] = filled
        if n_hits:
            clusters.event_time_ns[event] = cell_ns[timing_cell]

        sums.inner_gev[event], sums.total_gev[event] = inner_gev, total_gev
        sums.found[event], sums.isolated[event] = found, isolated
        sums.timing_cell[event], sums.quadrants[event] = timing_cell, quadrants
        sums.combinations[event] = _combinations(ring_gev, cuts)
        for k in range(n_hits):
            cell_gev[hits[k]] = cell_ns[hits[k]] = 0.0
    return clusters, sums
