"""ECL trigger, second part: what is counted of the clusters of an event, before anything is decided.

Source: Belle II public software, ECL trigger simulation, with its quirks: CM energies use the factor of the centre cell
in tenths; differences of the azimuth are not folded, but for the low-multiplicity bits 8 to 10; of several pairs that
are a Bhabha the last one sets its flags.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.ecl.cells import EclTable
from triggers.ecl.clusters import Clusters


class Count(IntEnum):
    """What is counted; a flag is a count of 0 or 1. Clusters "above" an energy are so in the lab, if not in "CM"."""

    OTHER = 0  # clusters above 0.3 GeV: the ones of which there must be no other
    INSIDE = 1  # in rings 2-16
    ENERGETIC = 2  # of these, above 0.5 GeV
    SOFT_BARREL = 3  # above 0.5 GeV (CM) in rings 6-11
    MEDIUM_BARREL = 4  # above 1 GeV (CM) in rings 4-15
    MEDIUM_EDGE = 5  # in rings 2, 3, 16
    HARD = 6  # above 2 GeV (CM)
    HARD_BARREL = 7  # in rings 4-14
    HARD_EDGE = 8  # in rings 2, 3, 15, 16
    HARD_EXTREME = 9  # in rings 1, 17
    HARD_ENDCAP = 10  # above 3 GeV in an endcap
    OUT_OF_RANGE = 11  # not within 0.12-4.5 GeV
    BHABHA = 12  # flag, 3D Bhabha: a pair back to back, both above 3 GeV and one above 4.5 GeV (CM)
    IN_TRACK = 13  # flag: a cluster of the last such pair is in rings 3-15
    MUMU = 14  # flag: a pair back to back, both below 2 GeV (CM)
    BHAPUR = 15  # flag, 3D Bhabha of the calibration: wider in angle and lower in energy
    THETA_FLAG = 16  # ring of the more forward cluster of the last such pair: 0, 1, 2 for 1, 2, 3; 3 for all others
    OPPOSITE_BOTH = 17  # flag: a pair opposite in azimuth, both above 0.25 GeV
    OPPOSITE_ONE = 18  # flag: just one of the pair above 0.25 GeV
    BACK_TO_BACK = 19  # flag: a pair back to back, whatever the energies
    TAU = 20  # flag: a pair loosely back to back, one below 1.9 GeV
    TAU_2 = 21  # flag: less loosely, both above 0.162 GeV
    TAU_3 = 22  # flag: as loosely, in rings 2-16, one above 0.14 GeV
    HIE_VETO_1 = 23  # flag: a single cluster in rings 1-3, or two clusters, which are back to back
    HIE_VETO_2 = 24  # flag: back to back in azimuth or in polar angle is enough
    HIE_VETO_3 = 25  # flag: of two clusters the lower one is in an endcap; they need not be back to back
    HIE_VETO_4 = 26  # flag: so, and both are above 0.5 GeV


class CountCuts(NamedTuple):
    """Thresholds in the lab if not "CM", windows of CM angles in degrees; all are strict.

    Source: parameter file of the ECL trigger simulation.
    """

    other_gev: float = 0.3
    energetic_gev: float = 0.5
    soft_cm_gev: float = 0.5
    medium_cm_gev: float = 1.0
    hard_cm_gev: float = 2.0
    endcap_gev: float = 3.0
    range_gev: tuple[float, float] = (0.12, 4.5)
    bhabha_dphi_deg: tuple[int, int] = (160, 200)  # also of the mu pair
    bhabha_theta_sum_deg: tuple[int, int] = (165, 190)
    bhabha_cm_gev: tuple[float, float] = (3.0, 4.5)  # both, one
    mumu_cm_gev: float = 2.0
    bhapur_dphi_deg: tuple[int, int] = (140, 220)
    bhapur_theta_sum_deg: tuple[int, int] = (160, 200)
    bhapur_cm_gev: tuple[float, float] = (2.5, 4.0)
    pair_gev: float = 0.25
    opposite_deg: int = 170  # of the difference folded to 0..180
    back_to_back_deg: int = 160  # folded too
    back_to_back_theta_sum_deg: tuple[int, int] = (160, 200)
    tau_dphi_deg: tuple[int, int] = (110, 250)
    tau_theta_sum_deg: tuple[int, int] = (130, 230)
    tau_gev: float = 1.9
    tau_2_dphi_deg: tuple[int, int] = (120, 240)  # also of the third
    tau_2_theta_sum_deg: tuple[int, int] = (140, 220)
    tau_2_gev: float = 0.162
    tau_3_gev: float = 0.14
    hie_dphi_deg: tuple[int, int] = (150, 210)
    hie_theta_sum_deg: tuple[int, int] = (160, 200)
    hie_4_gev: float = 0.5


N_COUNTS = len(Count)


@kernel
def _between(value: int, window: tuple[int, int]) -> bool:
    return window[0] < value < window[1]


@kernel
def _both_and_one(gev: float, factor: float, gev_2: float, factor_2: float, cm_gev: tuple[float, float]) -> bool:
    """Return whether both clusters of a pair are above the first CM energy, and one is above the second."""
    both = gev > factor * cm_gev[0] and gev_2 > factor_2 * cm_gev[0]
    return both and (gev > factor * cm_gev[1] or gev_2 > factor_2 * cm_gev[1])


@kernel
def count(clusters: Clusters, table: EclTable, cuts: CountCuts) -> Array:
    """Return the int32 counts of N events: a row a count, a column an event, and some columns to spare.

    Rows of a power of two of bytes would all fall on the same lines of the cache.
    """
    counts = np.empty((N_COUNTS, clusters.offsets.size + 15), dtype=np.int32)
    for event in range(clusters.offsets.size - 1):
        begin, end = clusters.offsets[event], clusters.offsets[event + 1]
        n_other = n_inside = n_energetic = n_soft_barrel = n_medium_barrel = n_medium_edge = 0
        n_hard = n_hard_barrel = n_hard_edge = n_hard_extreme = n_hard_endcap = n_out_of_range = theta_flag = 0
        bhabha = in_track = mumu = bhapur = opposite_both = opposite_one = back_to_back = False
        tau = tau_2 = tau_3 = False
        for i in range(begin, end):
            gev, ring, cell = clusters.energy_gev[i], clusters.theta_id[i], clusters.cell[i]
            factor, phi_deg, theta_deg = table.elab_over_ecm[cell], table.phi_cm_deg[cell], table.theta_cm_deg[cell]
            is_medium, is_hard = gev > factor * cuts.medium_cm_gev, gev > factor * cuts.hard_cm_gev
            # "&" and "|", which do not branch: what clusters do is not to be foreseen.
            is_edge = (ring == 2) | (ring == 3) | (ring == 16)
            is_inside = (ring >= 2) & (ring <= 16)
            is_barrel = (ring >= 4) & (ring <= 15)
            n_other += gev > cuts.other_gev
            n_inside += is_inside
            n_energetic += is_inside & (gev > cuts.energetic_gev)
            n_soft_barrel += (ring >= 6) & (ring <= 11) & (gev > factor * cuts.soft_cm_gev)
            n_medium_barrel += is_barrel & is_medium
            n_medium_edge += is_edge & is_medium
            n_hard += is_hard
            n_hard_barrel += is_barrel & (ring != 15) & is_hard
            n_hard_edge += (is_edge | (ring == 15)) & is_hard
            n_hard_extreme += ((ring == 1) | (ring == 17)) & is_hard
            n_hard_endcap += (not is_barrel) & (gev > cuts.endcap_gev)
            n_out_of_range += (gev <= cuts.range_gev[0]) | (gev > cuts.range_gev[1])
            for j in range(i + 1, end):
                gev_2, ring_2, cell_2 = clusters.energy_gev[j], clusters.theta_id[j], clusters.cell[j]
                factor_2 = table.elab_over_ecm[cell_2]
                low_gev, high_gev = min(gev, gev_2), max(gev, gev_2)
                dphi_deg = abs(phi_deg - table.phi_cm_deg[cell_2])
                folded_deg = min(dphi_deg, 360 - dphi_deg)
                theta_sum_deg = theta_deg + table.theta_cm_deg[cell_2]
                if _between(dphi_deg, cuts.bhabha_dphi_deg) and _between(theta_sum_deg, cuts.bhabha_theta_sum_deg):
                    if _both_and_one(gev, factor, gev_2, factor_2, cuts.bhabha_cm_gev):
                        bhabha = True
                        in_track = 3 <= ring <= 15 or 3 <= ring_2 <= 15
                    mumu |= gev < factor * cuts.mumu_cm_gev and gev_2 < factor_2 * cuts.mumu_cm_gev
                if (
                    _between(dphi_deg, cuts.bhapur_dphi_deg)
                    and _between(theta_sum_deg, cuts.bhapur_theta_sum_deg)
                    and _both_and_one(gev, factor, gev_2, factor_2, cuts.bhapur_cm_gev)
                ):
                    bhapur = True
                    theta_flag = min(ring - 1, ring_2 - 1, 3)
                if folded_deg > cuts.opposite_deg:
                    opposite_both |= low_gev > cuts.pair_gev
                    opposite_one |= low_gev < cuts.pair_gev < high_gev
                back_to_back |= folded_deg > cuts.back_to_back_deg and _between(
                    theta_sum_deg, cuts.back_to_back_theta_sum_deg
                )
                if _between(dphi_deg, cuts.tau_dphi_deg) and _between(theta_sum_deg, cuts.tau_theta_sum_deg):
                    tau |= low_gev < cuts.tau_gev
                if _between(dphi_deg, cuts.tau_2_dphi_deg) and _between(theta_sum_deg, cuts.tau_2_theta_sum_deg):
                    tau_2 |= low_gev > cuts.tau_2_gev
                    tau_3 |= high_gev > cuts.tau_3_gev and min(ring, ring_2) >= 2 and max(ring, ring_2) <= 16

        veto_1 = veto_2 = veto_3 = veto_4 = end - begin == 1 and clusters.theta_id[begin] <= 3
        if end - begin == 2:
            one, two = clusters.cell[begin], clusters.cell[begin + 1]
            is_opposite = _between(abs(table.phi_cm_deg[one] - table.phi_cm_deg[two]), cuts.hie_dphi_deg)
            is_balanced = _between(table.theta_cm_deg[one] + table.theta_cm_deg[two], cuts.hie_theta_sum_deg)
            gev, gev_2 = clusters.energy_gev[begin], clusters.energy_gev[begin + 1]
            ring = clusters.theta_id[begin + (gev_2 <= gev)]  # of equal ones the second is the lower
            veto_1 = is_opposite and is_balanced
            veto_2 = is_opposite or is_balanced
            veto_3 = not 4 <= ring <= 15
            veto_4 = veto_3 and min(gev, gev_2) > cuts.hie_4_gev

        counts[Count.OTHER, event] = n_other
        counts[Count.INSIDE, event] = n_inside
        counts[Count.ENERGETIC, event] = n_energetic
        counts[Count.SOFT_BARREL, event] = n_soft_barrel
        counts[Count.MEDIUM_BARREL, event] = n_medium_barrel
        counts[Count.MEDIUM_EDGE, event] = n_medium_edge
        counts[Count.HARD, event] = n_hard
        counts[Count.HARD_BARREL, event] = n_hard_barrel
        counts[Count.HARD_EDGE, event] = n_hard_edge
        counts[Count.HARD_EXTREME, event] = n_hard_extreme
        counts[Count.HARD_ENDCAP, event] = n_hard_endcap
        counts[Count.OUT_OF_RANGE, event] = n_out_of_range
        counts[Count.BHABHA, event] = bhabha
        counts[Count.IN_TRACK, event] = in_track
        counts[Count.MUMU, event] = mumu
        counts[Count.BHAPUR, event] = bhapur
        counts[Count.THETA_FLAG, event] = theta_flag
        counts[Count.OPPOSITE_BOTH, event] = opposite_both
        counts[Count.OPPOSITE_ONE, event] = opposite_one
        counts[Count.BACK_TO_BACK, event] = back_to_back
        counts[Count.TAU, event] = tau
        counts[Count.TAU_2, event] = tau_2
        counts[Count.TAU_3, event] = tau_3
        counts[Count.HIE_VETO_1, event] = veto_1
        counts[Count.HIE_VETO_2, event] = veto_2
        counts[Count.HIE_VETO_3, event] = veto_3
        counts[Count.HIE_VETO_4, event] = veto_4
    return counts
