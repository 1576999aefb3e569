"""Tracks and clusters as the filter variables see them: four-momenta in both frames, one record each.

Definitions of the FilterCalculator of the Belle II public software. Inputs that are not finite never count: such a
track has no fit, such a cluster is not selected.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel, kernel_inline
from hlt.kinematics import P4_RECORD, momentum, pt_at_curvature
from hlt.trigonometry import sines_cosines


class Tracks(NamedTuple):
    """The tracks of a block; see the group ``tracks`` of the event model."""

    offsets: Array
    charge: Array
    d0: Array
    phi0: Array
    omega: Array
    z0: Array
    tan_lambda: Array
    cov: Array
    n_cdc_hits: Array
    time: Array
    match_offsets: Array
    match: Array


class Clusters(NamedTuple):
    """The clusters of a block; see the group ``clusters`` of the event model."""

    offsets: Array
    energy: Array
    theta: Array
    phi: Array
    time: Array
    dt99: Array
    zernike: Array
    is_track: Array
    is_photon: Array


LEG: np.dtype[Any] = np.dtype(
    [
        ("lab", P4_RECORD),
        ("cm", P4_RECORD),
        ("pt", "<f8"),  # lab
        ("p_lab", "<f8"),
        ("p_cm", "<f8"),
        ("cluster_gev", "<f8"),  # lab energy of the matched clusters
        ("cluster_cm_gev", "<f8"),  # the same scaled by p_cm / p_lab
        ("d0", "<f8"),
        ("z0", "<f8"),
        ("n_cdc_hits", "<i8"),
        ("charge", "<i8"),  # 0: not to be used
        ("in_time", "<i8"),
    ]
)
"""A track as one leg of an event; all zero where it is not to be used."""

SHOWER: np.dtype[Any] = np.dtype(
    [
        ("lab", P4_RECORD),
        ("cm", P4_RECORD),
        ("theta_deg", "<f8"),
        ("in_time", "<i8"),
        ("is_track", "<i8"),
        ("is_compact", "<i8"),  # electromagnetic shape
    ]
)
"""A cluster as the variables count it; all zero where it is not selected."""


@kernel
def make_legs(legs: Array, tracks: Tracks, clusters: Clusters, matrix: Array) -> None:
    """Fill the `LEG` of every track of a block; ``legs`` comes zeroed, with one more that stays so: no such track."""
    sines, cosines = np.empty(tracks.phi0.size), np.empty(tracks.phi0.size)
    sines_cosines(tracks.phi0, sines, cosines)
    pion_mass_gev = 0.13957039
    for i in range(tracks.offsets.size - 1):
        first = np.int64(clusters.offsets[i])
        n_clusters = np.int64(clusters.offsets[i + 1]) - first
        for t in range(tracks.offsets[i], tracks.offsets[i + 1]):
            omega, tan_lambda = np.float64(tracks.omega[t]), np.float64(tracks.tan_lambda[t])
            d0, z0 = np.float64(tracks.d0[t]), np.float64(tracks.z0[t])
            # A track without a charge or with a helix that is none is skipped, as one without a fit.
            finite = math.isfinite(omega) and math.isfinite(tan_lambda) and math.isfinite(d0) and math.isfinite(z0)
            if tracks.charge[t] == 0 or omega == 0.0 or not (finite and math.isfinite(sines[t])):
                continue
            leg = legs[t]
            leg.pt = pt_at_curvature(omega)
            leg.lab.x, leg.lab.y = leg.pt * cosines[t], leg.pt * sines[t]
            leg.lab.z = leg.pt * tan_lambda
            square = leg.pt * leg.pt + leg.lab.z * leg.lab.z
            leg.p_lab, leg.lab.e = math.sqrt(square), math.sqrt(square + pion_mass_gev**2)
            _set_cm(leg, matrix)
            leg.p_cm = momentum(leg.cm)
            for m in range(tracks.match_offsets[t], tracks.match_offsets[t + 1]):
                index = np.int64(tracks.match[m])
                if 0 <= index < n_clusters:  # an index that points at no cluster of the event is passed over
                    energy = np.float64(clusters.energy[first + index])
                    if clusters.is_photon[first + index] and math.isfinite(energy):
                        leg.cluster_gev += energy  # whatever its time and size
            leg.cluster_cm_gev = leg.cluster_gev * leg.p_cm / leg.p_lab
            leg.d0, leg.z0 = d0, z0
            leg.n_cdc_hits = np.int64(tracks.n_cdc_hits[t])
            leg.charge = -1 if tracks.charge[t] < 0 else 1
            leg.in_time = not abs(tracks.time[t]) > 15.0  # a track without a time (NaN) is in time


@kernel
def make_showers(showers: Array, clusters: Clusters, matrix: Array) -> None:
    """Fill the `SHOWER` of every cluster of a block; ``showers`` comes zeroed, with one more that stays so: none."""
    n_clusters = clusters.theta.size
    sines, cosines = np.empty((2, n_clusters)), np.empty((2, n_clusters))
    sines_cosines(clusters.theta, sines[0], cosines[0])
    sines_cosines(clusters.phi, sines[1], cosines[1])
    for c in range(n_clusters):
        if not _is_selected(clusters, c):
            continue
        shower = showers[c]
        energy = np.float64(clusters.energy[c])
        transverse = energy * sines[0, c]
        shower.lab.x, shower.lab.y = transverse * cosines[1, c], transverse * sines[1, c]
        shower.lab.z, shower.lab.e = energy * cosines[0, c], energy
        _set_cm(shower, matrix)
        shower.theta_deg = math.degrees(np.float64(clusters.theta[c]))
        # A width of 0 gives an infinite or undefined ratio, which is not in time.
        shower.in_time = abs(np.float64(clusters.time[c]) / np.float64(clusters.dt99[c])) < 10.0
        shower.is_track = clusters.is_track[c]
        shower.is_compact = clusters.zernike[c] > 0.5


@kernel_inline
def _is_selected(clusters: Clusters, c: int) -> bool:
    """Return whether the cluster counts at all: photon hypothesis, abs(time) <= 200 ns, energy >= 0.1 GeV, finite."""
    return bool(
        clusters.is_photon[c]
        and not abs(clusters.time[c]) > 200.0
        and np.float64(clusters.energy[c]) >= 0.1
        and math.isfinite(clusters.energy[c])
        and math.isfinite(clusters.theta[c])
        and math.isfinite(clusters.phi[c])
    )


@kernel_inline
def _set_cm(record: Any, m: Array) -> None:
    """Set ``record.cm`` to ``record.lab`` seen from the frame of matrix ``m``; the beams lie in the x-z plane."""
    x, z, e = record.lab.x, record.lab.z, record.lab.e
    record.cm.x = m[0, 0] * x + m[0, 2] * z + m[0, 3] * e
    record.cm.y = record.lab.y
    record.cm.z = m[2, 0] * x + m[2, 2] * z + m[2, 3] * e
    record.cm.e = m[3, 0] * x + m[3, 2] * z + m[3, 3] * e
