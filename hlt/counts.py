"""What is counted over the tracks and clusters of an event, and which of them are the best of their kind.

Definitions of the FilterCalculator of the Belle II public software. ``row`` is one record of `hlt.variables.TABLE`,
``legs`` and ``showers`` are those of the block, of which the event has ``begin`` to ``end``; the last one of the block
stands for "none".
"""

from __future__ import annotations

from typing import Any, NamedTuple

from daq.jit import Array, kernel_inline


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


class Best(NamedTuple):
    """The best tracks of an event, as indices into its block."""

    loose_negative: int  # highest pt among those that come from near the collision
    loose_positive: int
    any_negative: int  # highest pt among those with a drift-chamber hit
    any_positive: int
    fastest_negative: int  # highest p_cm among all: the "C" pair
    fastest_positive: int


class Leading(NamedTuple):
    """The clusters of highest e_cm of an event, as indices into its block."""

    first: int
    second: int
    first_neutral: int  # in the acceptance
    second_neutral: int


@kernel_inline
def _larger(value: float, so_far: float) -> float:
    """Return the larger one, where NaN stands for "none so far"."""
    return so_far if value <= so_far else value


@kernel_inline
def count_tracks(row: Any, legs: Array, begin: int, end: int, cut: Thresholds) -> Best:
    """Fill the counts and maxima of the tracks; return the best ones, the first on equal terms."""
    loose_n = loose_p = any_n = any_p = fastest_n = fastest_p = legs.size - 1
    for t in range(begin, end):
        leg = legs[t]
        if leg.charge == 0:
            continue
        distance, negative = abs(leg.z0), leg.charge < 0
        if distance < 1.0 and leg.in_time != 0 and leg.p_cm > 0.2:
            row.nTrackC += 1
            row.maximumPCMSC = _larger(leg.p_cm, row.maximumPCMSC)
        if negative:  # asks for none of these cuts
            fastest_n = t if leg.p_cm > legs[fastest_n].p_cm else fastest_n
        else:
            fastest_p = t if leg.p_cm > legs[fastest_p].p_cm else fastest_p
        if leg.n_cdc_hits <= 0:
            continue
        row.nTrkTight += distance < cut.tight_z0_cm
        if negative:
            any_n = t if leg.pt > legs[any_n].pt else any_n
        else:
            any_p = t if leg.pt > legs[any_p].pt else any_p
        if distance < cut.loose_z0_cm:
            row.nTrkLoose += 1
            row.netChargeLoose += leg.charge
            row.maximumPCMS = _larger(leg.p_cm, row.maximumPCMS)
            row.maximumPLab = _larger(leg.p_lab, row.maximumPLab)
            if negative:
                loose_n = t if leg.pt > legs[loose_n].pt else loose_n
            else:
                loose_p = t if leg.pt > legs[loose_p].pt else loose_p
        if leg.n_cdc_hits >= 5:
            row.nTrkTightB += distance < 1.0
            if distance < 5.0:
                row.nTrkLooseB += 1
                row.netChargeLooseB += leg.charge
                row.maximumPCMSB = _larger(leg.p_cm, row.maximumPCMSB)
    return Best(loose_n, loose_p, any_n, any_p, fastest_n, fastest_p)


@kernel_inline
def count_clusters(row: Any, showers: Array, begin: int, end: int, cut: Thresholds) -> Leading:
    """Fill the counts of the clusters; return the leading ones."""
    first = second = first_neutral = second_neutral = showers.size - 1
    for c in range(begin, end):
        shower = showers[c]
        if shower.lab.e <= 0.0:
            continue
        e_cm, neutral = shower.cm.e, shower.is_track == 0
        photon = neutral and shower.is_compact != 0
        if e_cm > showers[first].cm.e:
            first, second = c, first
        elif e_cm > showers[second].cm.e:
            second = c
        if neutral and shower.lab.e > 0.1 and 17.0 < shower.theta_deg < 150.0:
            if e_cm > showers[first_neutral].cm.e:
                first_neutral, second_neutral = c, first_neutral
            elif e_cm > showers[second_neutral].cm.e:
                second_neutral = c
        _count(row, shower, neutral, cut)
        if e_cm > cut.reduced_single_cm_gev:
            row.nReducedEsinglePhotonReducedBarrel += photon and 44.0 < shower.theta_deg < 98.0
        if e_cm > cut.single_cm_gev:
            _count_single(row, shower, photon)
        if e_cm > cut.high_cm_gev:
            _count_energetic(row, shower, neutral, photon)
    return Leading(first, second, first_neutral, second_neutral)


@kernel_inline
def _count(row: Any, shower: Any, neutral: bool, cut: Thresholds) -> None:
    e_lab, e_cm, theta = shower.lab.e, shower.cm.e, shower.theta_deg
    row.nElow += e_cm > cut.low_cm_gev
    row.nEmedium += e_cm > cut.medium_cm_gev
    row.nE4000CMS += e_cm > 4.0
    row.nE250Lab += e_lab > 0.25
    row.nVetoClust += e_cm > cut.medium_cm_gev and shower.in_time != 0
    row.chrgClust2GeV += e_cm > 2.0 and not neutral
    row.neutClust045GeVAcc += e_cm > 0.45 and neutral and 17.0 < theta < 150.0
    row.neutClust045GeVBarrel += e_cm > 0.45 and neutral and 30.0 < theta < 130.0
    if 18.5 < theta < 139.3:
        row.nE180Lab += e_lab > cut.lab_gev
        row.nE300Lab += e_lab > cut.lab_4_clusters_gev
        row.nE500Lab += e_lab > cut.lab_3_clusters_gev
        row.nE2000CMS += e_cm > cut.high_cm_gev


@kernel_inline
def _count_single(row: Any, shower: Any, photon: bool) -> None:
    theta = shower.theta_deg
    electron = shower.is_compact != 0 and shower.is_track != 0
    central, barrel = 45.0 < theta < 115.0, 30.0 < theta < 130.0
    row.nEsingleClust += 1
    row.nEsinglePhotonBarrel += photon and central
    row.nEsinglePhotonExtendedBarrel += photon and barrel
    row.nEsinglePhotonEndcap += photon and (22.0 < theta < 45.0 or 115.0 < theta < 145.0)
    row.nEsingleElectronBarrel += electron and central
    row.nEsingleElectronExtendedBarrel += electron and barrel


@kernel_inline
def _count_energetic(row: Any, shower: Any, neutral: bool, photon: bool) -> None:
    theta = shower.theta_deg
    low_angle = theta < 22.0 or theta > 145.0
    barrel, endcap = 32.0 < theta < 130.0, 22.0 < theta < 32.0 or 130.0 < theta < 145.0
    row.nEhigh += 1
    row.nEhighLowAng += low_angle
    row.n2GeVChrg += not neutral and not low_angle
    row.n2GeVNeutBarrel += neutral and barrel
    row.n2GeVNeutEndcap += neutral and endcap
    row.n2GeVPhotonBarrel += photon and barrel
    row.n2GeVPhotonEndcap += photon and endcap
