"""ECL trigger, second half: decisions on the shape of an event - ring sums, sides of the detector, pairs of clusters.

Source: Belle II public software, ECL trigger simulation. Quirks: the word of 2D Bhabha combinations is sent reversed
and shifted by one, so combination 14 is lost; differences of azimuth are not folded; of several pairs that pass a
selection, the last one sets its flags; the background bits do not see ring 1, and start anew with each event (the
original latches its quadrants over a whole job).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.ecl.cells import Cells, EclTable


class EclShapeBits(NamedTuple):
    """The decisions, by the names of the GDL input bits where a menu has them."""

    ecl_bha: bool  # always 0: the public simulation does not send its 2D Bhabha
    bhabha2d: bool  # that 2D Bhabha: a pair of ring sums, less than four isolated clusters
    bha_type_0: bool  # always 0
    bha_type_1: bool  # ring sums of combination 13; type 14 - k is combination k, see `COMBINATIONS`
    bha_type_2: bool
    bha_type_3: bool
    bha_type_4: bool
    bha_type_5: bool
    bha_type_6: bool
    bha_type_7: bool
    bha_type_8: bool
    bha_type_9: bool
    bha_type_10: bool
    bha_type_11: bool
    bha_type_12: bool
    bha_type_13: bool  # combination 1, or bhabha2d
    ecl_bhapur: bool  # 3D Bhabha of the calibration: wider in angle and lower in energy than the veto
    bha_theta_0: bool  # ring of its more forward cluster: 0, 1, 2 for rings 1, 2, 3 and 3 for all others; low bit
    bha_theta_1: bool  # high bit
    ecl_phys: bool  # more than 1 GeV in rings 2-15 or more than three isolated clusters, no 2D Bhabha
    ecl_timing_fwd: bool  # the most energetic cell, which gives the time, is forward
    ecl_timing_brl: bool
    ecl_timing_bwd: bool
    ecl_bg_0: bool  # hits in opposite quadrants of rings 2-3 or of the barrel
    ecl_bg_1: bool  # of the barrel only
    ecl_bg_2: bool  # of rings 2-3 only
    hie1: bool  # above 1 GeV in rings 2-15, no single forward cluster, no two clusters back to back
    hie2: bool  # back to back in azimuth or in polar angle is enough for the veto of two clusters
    hie3: bool  # the veto of two clusters asks that the lower one is in an endcap, not that they are back to back
    hie4: bool  # as hie3, and that both are above 0.5 GeV
    ecl_taub2b: bool  # back-to-back pair, one of them below 1.9 GeV, less than 7 GeV in all
    ecl_taub2b2: bool  # narrower, both above 0.162 GeV, not two endcap clusters above 3 GeV
    ecl_taub2b3: bool  # narrower, in rings 2-16, one above 0.14 GeV; every cluster within 0.12-4.5 GeV


class EclShapeCuts(NamedTuple):
    """Thresholds, in the lab if not "CM"; strict, but for the ring sums. Angle windows are open, in CM degrees."""

    high_mev: int = 1000  # of ecl_phys and hie
    isolated_clusters: int = 3
    bhapur_dphi_deg: tuple[int, int] = (140, 220)
    bhapur_theta_sum_deg: tuple[int, int] = (160, 200)
    bhapur_low_cm_gev: float = 2.5
    bhapur_high_cm_gev: float = 4.0
    hie_gev: float = 1.0
    hie_dphi_deg: tuple[int, int] = (150, 210)
    hie_theta_sum_deg: tuple[int, int] = (160, 200)
    hie4_gev: float = 0.5
    tau_total_gev: float = 7.0
    tau_dphi_deg: tuple[int, int] = (110, 250)
    tau_theta_sum_deg: tuple[int, int] = (130, 230)
    tau_gev: float = 1.9
    tau2_dphi_deg: tuple[int, int] = (120, 240)
    tau2_theta_sum_deg: tuple[int, int] = (140, 220)
    tau2_gev: float = 0.162
    tau2_endcap_gev: float = 3.0
    tau3_gev: float = 0.14
    tau3_all_gev: tuple[float, float] = (0.12, 4.5)


SHAPE_CUTS = EclShapeCuts()

COMBINATIONS = np.array(
    [
        (1, 3, 16, 17, 4.0, 2.5),
        (3, 3, 15, 15, 4.0, 2.5),
        (4, 4, 14, 15, 4.0, 2.5),
        (5, 5, 14, 15, 4.0, 2.5),
        (4, 5, 14, 14, 4.0, 2.5),
        (5, 5, 13, 14, 4.0, 2.5),
        (5, 5, 12, 13, 4.0, 2.5),
        (5, 6, 13, 13, 4.0, 2.5),
        (5, 6, 12, 12, 4.0, 2.5),
        (6, 7, 12, 12, 4.0, 2.5),
        (6, 7, 11, 11, 4.0, 2.5),
        (7, 8, 11, 11, 4.0, 2.5),
        (8, 8, 10, 11, 3.0, 3.0),
        (8, 9, 9, 10, 3.5, 3.0),
    ]
)
"""2D Bhabha: first and last forward ring, first and last backward ring, least energy in either [GeV]."""


@kernel
def _between(value: int, window: tuple[int, int]) -> bool:
    return window[0] < value < window[1]


@kernel
def _sum_of(ring_gev: Array, first: float, last: float) -> float:
    total = 0.0
    for ring in range(int(first), int(last) + 1):
        total += ring_gev[ring]
    return total


@kernel
def _combinations_of(ring_gev: Array, combinations: Array) -> int:
    """Return a word with bit k - 1 set where the ring sums pass combination k."""
    word = 0
    for k in range(combinations.shape[0]):
        if _sum_of(ring_gev, combinations[k, 0], combinations[k, 1]) >= combinations[k, 4]:
            word |= (_sum_of(ring_gev, combinations[k, 2], combinations[k, 3]) >= combinations[k, 5]) << k
    return word


@kernel
def _opposite(quadrants: int) -> bool:
    return quadrants & 0b0101 == 0b0101 or quadrants & 0b1010 == 0b1010


@kernel
def shape_of(
    hits: Array,
    cell_energy: Array,
    ring_gev: Array,
    inner_gev: float,
    total_gev: float,
    isolated: int,
    centre: Array,
    energy: Array,
    cells: Cells,
    table: EclTable,
    combinations: Array,
    cuts: EclShapeCuts,
) -> EclShapeBits:
    """Return the decisions on an event.

    ``hits`` are rising cell numbers, ``cell_energy`` (577,) and ``ring_gev`` (18,) energies by cell and by ring [GeV];
    ``inner_gev`` is the energy in rings 2-15, ``total_gev`` in all rings; ``isolated`` counts the clusters that start
    in rings 2-15; ``centre`` and ``energy`` are those of the kept clusters.
    """
    timing_cell = forward_quadrants = barrel_quadrants = 0
    for cell in hits:
        if cell_energy[cell] > cell_energy[timing_cell]:
            timing_cell = cell
        if cell <= 80 and cells.theta_id[cell] > 1:
            forward_quadrants |= cells.quadrants[cell]
        elif 81 <= cell <= 512:
            barrel_quadrants |= cells.quadrants[cell]
    forward_background, barrel_background = _opposite(forward_quadrants), _opposite(barrel_quadrants)

    passed = _combinations_of(ring_gev, combinations)
    bhabha_2d = passed != 0 and isolated <= cuts.isolated_clusters
    is_high = math.floor(1000.0 * inner_gev + 0.5) > cuts.high_mev

    count = centre.size
    n_hard_endcap = 0
    in_range = True
    for i in range(count):
        n_hard_endcap += not 4 <= cells.theta_id[centre[i]] <= 15 and energy[i] > cuts.tau2_endcap_gev
        in_range &= cuts.tau3_all_gev[0] < energy[i] <= cuts.tau3_all_gev[1]

    bhapur = tau = tau_2 = tau_3 = False
    theta_flag = 0
    for i in range(count):
        ring_i, factor_i = cells.theta_id[centre[i]], table.elab_over_ecm[centre[i]]
        for j in range(i + 1, count):
            ring_j, factor_j = cells.theta_id[centre[j]], table.elab_over_ecm[centre[j]]
            low, high = min(energy[i], energy[j]), max(energy[i], energy[j])
            dphi_deg = abs(table.phi_cm_deg[centre[i]] - table.phi_cm_deg[centre[j]])
            theta_sum_deg = table.theta_cm_deg[centre[i]] + table.theta_cm_deg[centre[j]]
            if _between(dphi_deg, cuts.bhapur_dphi_deg) and _between(theta_sum_deg, cuts.bhapur_theta_sum_deg):
                cm_i, cm_j = cuts.bhapur_low_cm_gev * factor_i, cuts.bhapur_low_cm_gev * factor_j
                one = energy[i] > cuts.bhapur_high_cm_gev * factor_i or energy[j] > cuts.bhapur_high_cm_gev * factor_j
                if one and energy[i] > cm_i and energy[j] > cm_j:
                    bhapur = True
                    theta_flag = min(ring_i - 1, ring_j - 1, 3)
            if _between(dphi_deg, cuts.tau_dphi_deg) and _between(theta_sum_deg, cuts.tau_theta_sum_deg):
                tau |= low < cuts.tau_gev
            if _between(dphi_deg, cuts.tau2_dphi_deg) and _between(theta_sum_deg, cuts.tau2_theta_sum_deg):
                tau_2 |= low > cuts.tau2_gev
                tau_3 |= high > cuts.tau3_gev and min(ring_i, ring_j) >= 2 and max(ring_i, ring_j) <= 16
    is_low = total_gev < cuts.tau_total_gev

    veto_1 = veto_2 = veto_3 = veto_4 = count == 1 and cells.theta_id[centre[0]] <= 3
    if count == 2:
        opposite = _between(abs(table.phi_cm_deg[centre[0]] - table.phi_cm_deg[centre[1]]), cuts.hie_dphi_deg)
        balanced = _between(table.theta_cm_deg[centre[0]] + table.theta_cm_deg[centre[1]], cuts.hie_theta_sum_deg)
        ring = cells.theta_id[centre[1] if energy[1] <= energy[0] else centre[0]]  # of equal ones the second is lower
        veto_1 = opposite and balanced
        veto_2 = opposite or balanced
        veto_3 = not 4 <= ring <= 15
        veto_4 = veto_3 and min(energy[0], energy[1]) > cuts.hie4_gev
    is_hie = inner_gev > cuts.hie_gev

    # Numba takes so many arguments only by position and if none of them branches: `&` and `|`, not `and` and `or`.
    return EclShapeBits(
        False,  # ecl_bha
        bhabha_2d,
        False,  # bha_type_0
        passed & 1 << 12 != 0,  # bha_type_1
        passed & 1 << 11 != 0,
        passed & 1 << 10 != 0,
        passed & 1 << 9 != 0,
        passed & 1 << 8 != 0,
        passed & 1 << 7 != 0,
        passed & 1 << 6 != 0,
        passed & 1 << 5 != 0,
        passed & 1 << 4 != 0,
        passed & 1 << 3 != 0,
        passed & 1 << 2 != 0,
        passed & 1 << 1 != 0,  # bha_type_12
        (passed & 1 != 0) | bhabha_2d,  # bha_type_13
        bhapur,  # ecl_bhapur
        theta_flag & 1 != 0,  # bha_theta_0
        theta_flag & 2 != 0,  # bha_theta_1
        (is_high | (isolated > cuts.isolated_clusters)) & (not bhabha_2d),  # ecl_phys
        (timing_cell >= 1) & (timing_cell <= 80),  # ecl_timing_fwd
        (timing_cell >= 81) & (timing_cell <= 512),  # ecl_timing_brl
        timing_cell >= 513,  # ecl_timing_bwd
        forward_background | barrel_background,  # ecl_bg_0
        barrel_background & (not forward_background),  # ecl_bg_1
        forward_background & (not barrel_background),  # ecl_bg_2
        is_hie & (not veto_1),  # hie1
        is_hie & (not veto_2),  # hie2
        is_hie & (not veto_3),  # hie3
        is_hie & (not veto_4),  # hie4
        tau & is_low,  # ecl_taub2b
        tau_2 & is_low & (n_hard_endcap < 2),  # ecl_taub2b2
        tau_3 & is_low & in_range,  # ecl_taub2b3
    )
