"""Tracks and clusters one by one: their selection, the counts, and the best of each kind.

Definitions of the FilterCalculator of the Belle II public software. ``row`` is one record of `hlt.variables.TABLE`.
Inputs that are not finite never count: such a track has no fit, such a cluster is not selected.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel, kernel_inline
from hlt.kinematics import P4, cluster_p4, momentum, pt, to_cm, track_p4

LOOSE, ANY, FASTEST = 0, 1, 2
"""Kinds of best tracks: loose ones by pt; any with a CDC hit by pt; any at all by p_cm (the "C" pair)."""


class Thresholds(NamedTuple):
    """The thresholds that FilterCalculator names; every other number is a part of its variable's definition."""

    loose_z0_cm: float = 10.0
    tight_z0_cm: float = 2.0
    low_cm_gev: float = 0.2
    medium_cm_gev: float = 0.3
    high_cm_gev: float = 2.0
    lab_gev: float = 0.18
    lab_4_clusters_gev: float = 0.3
    lab_3_clusters_gev: float = 0.5
    single_cm_gev: float = 1.0
    reduced_single_cm_gev: float = 0.5
    cosmic_pt_gev: float = 0.5
    cosmic_cluster_gev: float = 1.0
    cosmic_z0_cm: float = 57.0
    cosmic_d0_cm: float = 26.5


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


class Leg(NamedTuple):
    """A track as one leg of a pair; charge 0 stands for "no such track"."""

    charge: float
    lab: P4
    cm: P4
    p_cm: float
    cluster_gev: float  # lab energy of the matched clusters
    cluster_cm_gev: float  # the same scaled by p_cm / p_lab
    d0: float
    z0: float


class Cluster(NamedTuple):
    """A selected cluster; energy 0 stands for "no such cluster"."""

    lab: P4
    cm: P4
    theta_deg: float
    is_track: bool
    is_photon: bool  # electromagnetic shape, no track


@kernel_inline
def _no_cluster() -> Cluster:
    nowhere = P4(0.0, 0.0, 0.0, 0.0)
    return Cluster(nowhere, nowhere, 0.0, False, False)


@kernel_inline
def _has_fit(tracks: Tracks, t: int) -> bool:
    """Return whether the track has a charge and a usable helix; one that has not is skipped, as without a fit."""
    return bool(
        tracks.charge[t] != 0
        and tracks.omega[t] != 0
        and math.isfinite(tracks.omega[t])
        and math.isfinite(tracks.phi0[t])
        and math.isfinite(tracks.tan_lambda[t])
        and math.isfinite(tracks.d0[t])
        and math.isfinite(tracks.z0[t])
    )


@kernel_inline
def _matched_energy(tracks: Tracks, t: int, clusters: Clusters, i: int) -> float:
    """Return the lab energy of the clusters matched to track ``t``: photon hypothesis, no other cut."""
    begin, end = np.int64(clusters.offsets[i]), np.int64(clusters.offsets[i + 1])
    total = 0.0
    for m in range(tracks.match_offsets[t], tracks.match_offsets[t + 1]):
        index = np.int64(tracks.match[m])
        if 0 <= index < end - begin:  # an index that points at no cluster of the event is passed over
            c = begin + index
            if clusters.is_photon[c] and math.isfinite(clusters.energy[c]):
                total += np.float64(clusters.energy[c])
    return total


@kernel
def leg_of(tracks: Tracks, t: int, clusters: Clusters, i: int, matrix: Array) -> Leg:
    """Return track ``t`` of event ``i`` as a leg; no leg for -1."""
    if t < 0:
        nowhere = P4(0.0, 0.0, 0.0, 0.0)
        return Leg(0.0, nowhere, nowhere, 0.0, 0.0, 0.0, 0.0, 0.0)
    lab = _track_lab(tracks, t)
    cm = to_cm(matrix, lab)
    p_cm = momentum(cm)
    energy = _matched_energy(tracks, t, clusters, i)
    scaled = energy * p_cm / momentum(lab)
    charge, d0, z0 = np.float64(tracks.charge[t]), np.float64(tracks.d0[t]), np.float64(tracks.z0[t])
    return Leg(charge, lab, cm, p_cm, energy, scaled, d0, z0)


@kernel_inline
def _track_lab(tracks: Tracks, t: int) -> P4:
    return track_p4(np.float64(tracks.phi0[t]), np.float64(tracks.omega[t]), np.float64(tracks.tan_lambda[t]))


@kernel_inline
def _larger(value: float, so_far: float) -> float:
    """Return the larger one, where NaN stands for "none so far"."""
    return so_far if value <= so_far else value


@kernel_inline
def _compete(best: Array, largest: Array, kind: int, sign: int, t: int, value: float) -> None:
    """Make ``t`` the best track of its kind and sign if its value is the largest; the first wins on equal terms."""
    if value > largest[kind, sign]:
        largest[kind, sign] = value
        best[kind, sign] = t


@kernel_inline
def survey_tracks(
    row: Any, best: Array, largest: Array, i: int, tracks: Tracks, matrix: Array, cut: Thresholds
) -> None:
    """Fill the counts and maxima of the tracks, and find the best of each kind and sign.

    ``best`` gets the (3, 2) indices by kind (`LOOSE`, `ANY`, `FASTEST`) and sign (negative, positive), -1 for none;
    ``largest`` is scratch of the same shape.
    """
    best[:] = -1
    largest[:] = -1.0
    for t in range(tracks.offsets[i], tracks.offsets[i + 1]):
        if not _has_fit(tracks, t):
            continue
        lab = _track_lab(tracks, t)
        p_cm, p_lab, pt_lab = momentum(to_cm(matrix, lab)), momentum(lab), pt(lab)
        sign = 0 if tracks.charge[t] < 0 else 1
        distance = abs(np.float64(tracks.z0[t]))
        # A track without a time (NaN) is in time.
        if distance < 1.0 and not abs(tracks.time[t]) > 15.0 and p_cm > 0.2:
            row.nTrackC += 1
            row.maximumPCMSC = _larger(p_cm, row.maximumPCMSC)
        _compete(best, largest, FASTEST, sign, t, p_cm)  # asks for none of these cuts
        n_hits = np.int64(tracks.n_cdc_hits[t])
        if n_hits <= 0:
            continue
        row.nTrkTight += distance < cut.tight_z0_cm
        _compete(best, largest, ANY, sign, t, pt_lab)
        if distance < cut.loose_z0_cm:
            row.nTrkLoose += 1
            row.netChargeLoose += 2 * sign - 1
            row.maximumPCMS = _larger(p_cm, row.maximumPCMS)
            row.maximumPLab = _larger(p_lab, row.maximumPLab)
            _compete(best, largest, LOOSE, sign, t, pt_lab)
        if n_hits >= 5:
            row.nTrkTightB += distance < 1.0
            if distance < 5.0:
                row.nTrkLooseB += 1
                row.netChargeLooseB += 2 * sign - 1
                row.maximumPCMSB = _larger(p_cm, row.maximumPCMSB)


@kernel_inline
def is_selected(clusters: Clusters, c: int) -> bool:
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
def cluster_lab(clusters: Clusters, c: int) -> P4:
    return cluster_p4(np.float64(clusters.energy[c]), np.float64(clusters.theta[c]), np.float64(clusters.phi[c]))


@kernel_inline
def survey_clusters(
    row: Any, i: int, clusters: Clusters, matrix: Array, cut: Thresholds
) -> tuple[Cluster, Cluster, Cluster, Cluster]:
    """Fill the counts; return the two clusters of highest e_cm, and the two such neutral ones in the acceptance."""
    first, second = _no_cluster(), _no_cluster()
    neutral_1, neutral_2 = _no_cluster(), _no_cluster()
    for c in range(clusters.offsets[i], clusters.offsets[i + 1]):
        if not is_selected(clusters, c):
            continue
        lab = cluster_lab(clusters, c)
        theta = math.degrees(np.float64(clusters.theta[c]))
        is_track = bool(clusters.is_track[c])
        is_compact = bool(clusters.zernike[c] > 0.5)
        cluster = Cluster(lab, to_cm(matrix, lab), theta, is_track, is_compact and not is_track)
        if cluster.cm.e > first.cm.e:
            first, second = cluster, first
        elif cluster.cm.e > second.cm.e:
            second = cluster
        if not is_track and lab.e > 0.1 and 17.0 < theta < 150.0:
            if cluster.cm.e > neutral_1.cm.e:
                neutral_1, neutral_2 = cluster, neutral_1
            elif cluster.cm.e > neutral_2.cm.e:
                neutral_2 = cluster
        # A width of 0 gives an infinite or undefined ratio, which is not in time.
        in_time = bool(abs(np.float64(clusters.time[c]) / np.float64(clusters.dt99[c])) < 10.0)
        _count_cluster(row, cluster, is_compact and is_track, in_time, cut)
    return first, second, neutral_1, neutral_2


@kernel_inline
def _count_cluster(row: Any, cluster: Cluster, is_electron: bool, in_time: bool, cut: Thresholds) -> None:
    e_lab, e_cm, theta = cluster.lab.e, cluster.cm.e, cluster.theta_deg
    neutral, photon = not cluster.is_track, cluster.is_photon
    row.nElow += e_cm > cut.low_cm_gev
    row.nEmedium += e_cm > cut.medium_cm_gev
    row.nEhigh += e_cm > cut.high_cm_gev
    row.nE4000CMS += e_cm > 4.0
    row.nE250Lab += e_lab > 0.25
    row.nVetoClust += e_cm > cut.medium_cm_gev and in_time
    row.chrgClust2GeV += e_cm > 2.0 and cluster.is_track
    row.neutClust045GeVAcc += e_cm > 0.45 and neutral and 17.0 < theta < 150.0
    row.neutClust045GeVBarrel += e_cm > 0.45 and neutral and 30.0 < theta < 130.0
    if 18.5 < theta < 139.3:
        row.nE180Lab += e_lab > cut.lab_gev
        row.nE300Lab += e_lab > cut.lab_4_clusters_gev
        row.nE500Lab += e_lab > cut.lab_3_clusters_gev
        row.nE2000CMS += e_cm > cut.high_cm_gev
    if e_cm > cut.single_cm_gev:
        central, barrel = 45.0 < theta < 115.0, 30.0 < theta < 130.0
        row.nEsingleClust += 1
        row.nEsinglePhotonBarrel += photon and central
        row.nEsinglePhotonExtendedBarrel += photon and barrel
        row.nEsinglePhotonEndcap += photon and (22.0 < theta < 45.0 or 115.0 < theta < 145.0)
        row.nEsingleElectronBarrel += is_electron and central
        row.nEsingleElectronExtendedBarrel += is_electron and barrel
    row.nReducedEsinglePhotonReducedBarrel += e_cm > cut.reduced_single_cm_gev and photon and 44.0 < theta < 98.0
    if e_cm > cut.high_cm_gev:
        low_angle = theta < 22.0 or theta > 145.0
        barrel, endcap = 32.0 < theta < 130.0, 22.0 < theta < 32.0 or 130.0 < theta < 145.0
        row.nEhighLowAng += low_angle
        row.n2GeVChrg += cluster.is_track and not low_angle
        row.n2GeVNeutBarrel += neutral and barrel
        row.n2GeVNeutEndcap += neutral and endcap
        row.n2GeVPhotonBarrel += photon and barrel
        row.n2GeVPhotonEndcap += photon and endcap
