"""The ECL clusters as the GRL gets them: azimuth bin, barrel or endcap, energy, time, centre cell.

Source: Belle II public software: ECL trigger simulation (energy-weighted position and time; time of the event from the
most energetic cell), GRL trigger simulation (36 bins of azimuth; barrel from 35 to 126 degrees).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.ecl.cells import Cells, cells
from triggers.ecl.decisions import MAX_CLUSTERS, find_clusters
from triggers.grl.azimuth import bin_of

NO_ECL_NS = -9999.0
"""Time of an event without an ECL record: no cluster is in time with it."""

BARREL_DEG = (35.0, 126.0)
"""Polar angles of the clusters that tracks are matched to."""


class Clusters(NamedTuple):
    """ECL clusters of N events; those of event k are ``offsets[k]`` up to ``offsets[k + 1]``.

    M is the number of clusters or more: what stands behind the last is not defined.
    """

    offsets: Array
    """(N + 1,) int."""
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


@kernel
def _place(x_cm: float, y_cm: float, z_cm: float, barrel_deg: tuple[float, float]) -> tuple[int, bool]:
    """Return (azimuth bin, is in the barrel) of a position."""
    theta_deg = math.degrees(math.atan2(math.hypot(x_cm, y_cm), z_cm))
    return bin_of(math.atan2(y_cm, x_cm)), barrel_deg[0] <= theta_deg <= barrel_deg[1]


@kernel
def _place_all(
    x_cm: Array, y_cm: Array, z_cm: Array, barrel_deg: tuple[float, float], azimuth_bin: Array, is_barrel: Array
) -> None:
    for k in range(x_cm.size):
        azimuth_bin[k], is_barrel[k] = _place(np.float64(x_cm[k]), np.float64(y_cm[k]), np.float64(z_cm[k]), barrel_deg)


def clusters_at(
    offsets: Array,
    x_cm: Array,
    y_cm: Array,
    z_cm: Array,
    energy_gev: Array,
    time_ns: Array,
    cell: Array,
    theta_id: Array,
    event_time_ns: Array,
) -> Clusters:
    """Return clusters whose centroids [cm] are known; arrays as in `Clusters`, in float32 or float64."""
    azimuth_bin: Array = np.empty(x_cm.size, dtype=np.int64)
    is_barrel: Array = np.empty(x_cm.size, dtype=np.bool_)
    _place_all(x_cm, y_cm, z_cm, BARREL_DEG, azimuth_bin, is_barrel)
    return Clusters(
        offsets=offsets,
        azimuth_bin=azimuth_bin,
        is_barrel=is_barrel,
        energy_gev=energy_gev.astype(np.float64),
        time_ns=time_ns.astype(np.float64),
        cell=cell.astype(np.int64),
        theta_id=theta_id.astype(np.int64),
        event_time_ns=event_time_ns.astype(np.float64),
    )


@kernel
def _clusters_of_hits(
    offsets: Array,
    cell_id: Array,
    energy_gev: Array,
    time_ns: Array,
    cells: Cells,
    max_clusters: int,
    barrel_deg: tuple[float, float],
    clusters: Clusters,
) -> None:
    """Fill the clusters, which have room for ``max_clusters`` an event."""
    cell_energy = np.zeros(cells.theta_id.size)
    cell_time = np.zeros(cells.theta_id.size)
    hits = np.empty(cells.theta_id.size, dtype=np.int64)
    centre = np.empty(max_clusters, dtype=np.int64)
    energy = np.empty(max_clusters)
    filled = 0
    for event in range(offsets.size - 1):
        n_hits = 0
        last = np.int64(0)
        highest_gev = 0.0
        for k in range(offsets[event], offsets[event + 1]):
            cell, gev = np.int64(cell_id[k]), energy_gev[k]
            if last < cell < cells.theta_id.size and 0.0 < gev < np.inf:
                last = cell
                hits[n_hits] = cell
                n_hits += 1
                cell_energy[cell], cell_time[cell] = gev, time_ns[k]
                if gev > highest_gev:
                    highest_gev = gev
                    clusters.event_time_ns[event] = time_ns[k]
        found = min(find_clusters(hits[:n_hits], cell_energy, cells, centre, energy), max_clusters)
        for k in range(found):
            x_cm = y_cm = z_cm = weighted_ns = 0.0
            for cell in cells.neighbours[centre[k]]:
                weight = cell_energy[cell] / energy[k]
                x_cm += weight * cells.xyz_cm[cell, 0]
                y_cm += weight * cells.xyz_cm[cell, 1]
                z_cm += weight * cells.xyz_cm[cell, 2]
                weighted_ns += weight * cell_time[cell]
            clusters.azimuth_bin[filled], clusters.is_barrel[filled] = _place(x_cm, y_cm, z_cm, barrel_deg)
            clusters.energy_gev[filled] = energy[k]
            clusters.time_ns[filled] = weighted_ns
            clusters.cell[filled] = centre[k]
            clusters.theta_id[filled] = cells.theta_id[centre[k]]
            filled += 1
        clusters.offsets[event + 1] = filled
        for k in range(n_hits):
            cell_energy[hits[k]] = 0.0
            cell_time[hits[k]] = 0.0


def clusters_of_hits(offsets: Array, cell_id: Array, energy_gev: Array, time_ns: Array) -> Clusters:
    """Return the clusters of the hits of N events, at most six an event; hits as in `triggers.ecl.words_of_hits`.

    Hits that are malformed there are ignored here. A time that is not finite spoils the times of its clusters only:
    they are in time with nothing.
    """
    if energy_gev.dtype == np.float32:
        energy_gev = np.rint(energy_gev.astype(np.float64) * 1e6) / 1e6
    n_events = offsets.size - 1
    room = n_events * MAX_CLUSTERS
    clusters = Clusters(
        offsets=np.zeros(n_events + 1, dtype=np.int32),
        azimuth_bin=np.empty(room, dtype=np.int64),
        is_barrel=np.empty(room, dtype=np.bool_),
        energy_gev=np.empty(room, dtype=np.float64),
        time_ns=np.empty(room, dtype=np.float64),
        cell=np.empty(room, dtype=np.int64),
        theta_id=np.empty(room, dtype=np.int64),
        event_time_ns=np.full(n_events, NO_ECL_NS),
    )
    _clusters_of_hits(offsets, cell_id, energy_gev, time_ns, cells(), MAX_CLUSTERS, BARREL_DEG, clusters)
    return clusters
