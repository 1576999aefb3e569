"""ECL trigger, third part: counts and sums to decisions.

Source: Belle II public software, ECL trigger simulation. The word of the 2D Bhabha combinations is a quirk of it, see
below; the background bits start anew with each event here, where the original latches its quadrants over a whole job.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.bits import pack
from triggers.ecl.cells import EclTable
from triggers.ecl.clusters import MAX_CLUSTERS, Clusters, Sums
from triggers.ecl.counts import Count, CountCuts, count
from triggers.quirks import Bits, Quirk

_BITS: Bits = {
    "elow": "energy in rings 2-15 above 0.5 GeV",
    "ehigh": "energy in rings 2-15 above 1 GeV",
    "elum": "energy in rings 2-15 above 3 GeV",
    "ecl_bst": "burst: energy in all rings above 20 GeV",
    "ecl_active": "a cell is hit",
    "clst_0": "number of clusters, binary: 1",
    "clst_1": "number of clusters, binary: 2",
    "clst_2": "number of clusters, binary: 4",
    "clst_3": "number of clusters, binary: 8 (not from cells, of which six clusters are kept)",
    "ecl_oflo": "more clusters than the limit of six",
    "ecl_3dbha": "3D Bhabha: back-to-back pair, both above 3 GeV and one above 4.5 GeV (CM)",
    "bha_veto": "3D Bhabha, as the menu uses it to veto",
    "bha_intrk": "a cluster of the 3D Bhabha is in rings 3-15; of several such pairs the last one counts",
    "ecl_mumu": "back-to-back pair, both below 2 GeV (CM)",
    "ecl_lml_0": "three clusters, one above 0.3 GeV, no 3D Bhabha",
    "ecl_lml_1": "a cluster above 2 GeV (CM) in rings 4-14",
    "ecl_lml_2": "a cluster above 2 GeV (CM) in rings 2, 3, 15, 16, no 3D Bhabha",
    "ecl_lml_3": "a cluster above 2 GeV (CM) in rings 2, 3, 15, 16, and a 3D Bhabha",
    "ecl_lml_4": "a cluster above 2 GeV (CM) in rings 1, 17, no 3D Bhabha",
    "ecl_lml_5": "a cluster above 2 GeV (CM) in rings 1, 17, and a 3D Bhabha",
    "ecl_lml_6": "one cluster above 1 GeV (CM) in rings 4-15, no other above 0.3 GeV",
    "ecl_lml_7": "one cluster above 1 GeV (CM) in rings 2, 3, 16, no other above 0.3 GeV",
    "ecl_lml_8": "pair opposite in azimuth, both above 0.25 GeV, no cluster above 2 GeV (CM)",
    "ecl_lml_9": "pair opposite in azimuth, just one above 0.25 GeV, no cluster above 2 GeV (CM)",
    "ecl_lml_10": "back-to-back pair, no cluster above 2 GeV (CM)",
    "ecl_lml_11": "a hit, no cluster above 2 GeV (CM)",
    "ecl_lml_12": "three clusters in rings 2-16, one above 0.5 GeV, no 3D Bhabha",
    "ecl_lml_13": "one cluster above 0.5 GeV (CM) in rings 6-11, no other above 0.3 GeV",
}
_MASTER = "ECL trigger master: the word is packed in reverse and shifted by one"
_TYPE_BITS: Bits = {
    f"bha_type_{k}": Quirk(
        f"2D Bhabha: the sums of rings pass combination {k + 1}",
        {0: "combination 14 is lost", 13: "combination 1, or there is a 2D Bhabha"}.get(k, f"combination {14 - k}"),
        _MASTER,
        is_constant=k == 0,
    )
    for k in range(14)
}
_SHAPE_BITS: Bits = {
    "ecl_bha": Quirk(
        "2D Bhabha, as it is sent",
        "made from cells: the word has a constant in its place",
        "ECL trigger master",
        is_constant=True,
    ),
    "bhabha2d": "2D Bhabha: the sums of rings pass a combination, less than four isolated clusters",
    "ecl_bhapur": "3D Bhabha of the calibration: wider in angle and lower in energy than the veto",
    "bha_theta_0": "ring of its more forward cluster: 0, 1, 2 for rings 1, 2, 3 and 3 for all others; low bit",
    "bha_theta_1": "ring of its more forward cluster, high bit",
    "ecl_phys": "more than 1 GeV in rings 2-15 or more than three isolated clusters, no 2D Bhabha",
    "ecl_timing_fwd": "the most energetic cell, which gives the time, is forward",
    "ecl_timing_brl": "the most energetic cell, which gives the time, is in the barrel",
    "ecl_timing_bwd": "the most energetic cell, which gives the time, is backward",
    "ecl_bg_0": "hits in opposite quadrants of rings 2-3 or of the barrel",
    "ecl_bg_1": "hits in opposite quadrants of the barrel only",
    "ecl_bg_2": "hits in opposite quadrants of rings 2-3 only",
    "hie1": "above 1 GeV in rings 2-15, no single forward cluster, no two clusters back to back",
    "hie2": "as hie1; back to back in azimuth or in polar angle is enough to veto two clusters",
    "hie3": "as hie1; two clusters are vetoed if the lower one is in an endcap, not if they are back to back",
    "hie4": "as hie3; both clusters must be above 0.5 GeV to be vetoed",
    "ecl_taub2b": "back-to-back pair, one of them below 1.9 GeV, less than 7 GeV in all",
    "ecl_taub2b2": "back-to-back pair, narrower, both above 0.162 GeV, not two endcap clusters above 3 GeV",
    "ecl_taub2b3": "back-to-back pair, narrower, in rings 2-16, one above 0.14 GeV; every cluster within 0.12-4.5 GeV",
}

ECL_BITS: Bits = {**_BITS, **_TYPE_BITS, **_SHAPE_BITS}
"""The decisions of the ECL; "CM" energies use the factor of the centre cell, all others are in the lab."""


class EclCuts(NamedTuple):
    """Thresholds of the sums; strict. Source: parameter file of the ECL trigger simulation."""

    low_gev: float = 0.5
    high_gev: float = 1.0
    lum_gev: float = 3.0
    burst_gev: float = 20.0
    phys_mev: int = 1000  # of the energy in whole MeV
    isolated_clusters: int = 3
    hie_gev: float = 1.0
    tau_gev: float = 7.0
    max_clusters: int = MAX_CLUSTERS
    first_type_bit: int = len(_BITS)
    first_shape_bit: int = len(_BITS) + len(_TYPE_BITS)


@kernel
def _reversed(word: int) -> int:
    """Return 14 bits in reverse order."""
    out = 0
    for k in range(14):
        out |= (word >> k & 1) << (13 - k)
    return out


@kernel
def ecl_words(
    clusters: Clusters,
    sums: Sums,
    table: EclTable,
    count_cuts: CountCuts,
    cuts: EclCuts,
    ideal: bool,
    words: Array,
) -> None:
    """Fill the (N,) words of `ECL_BITS`; "ideal" gives the bits that are a `Quirk` as they are meant."""
    counts = count(clusters, table, count_cuts)
    # A loop of its own, without a branch: it does several events at a time.
    for event in range(words.size):
        inner_gev, total_gev = sums.inner_gev[event], sums.total_gev[event]
        found, isolated, timing_cell = sums.found[event], sums.isolated[event], sums.timing_cell[event]
        passed = sums.combinations[event]
        kept = min(found, cuts.max_clusters)
        opposite = sums.quadrants[event] & sums.quadrants[event] >> 2
        forward_background, barrel_background = opposite & 0b11 != 0, opposite & 0b110000 != 0
        bhabha_2d = (passed != 0) & (isolated <= cuts.isolated_clusters)
        is_high = math.floor(1000.0 * inner_gev + 0.5) > cuts.phys_mev
        is_hie = inner_gev > cuts.hie_gev
        is_low = total_gev < cuts.tau_gev
        bhabha = counts[Count.BHABHA, event] != 0
        no_hard = counts[Count.HARD, event] == 0
        one_other = counts[Count.OTHER, event] == 1
        bits = pack(
            (
                inner_gev > cuts.low_gev,  # elow
                inner_gev > cuts.high_gev,  # ehigh
                inner_gev > cuts.lum_gev,  # elum
                total_gev > cuts.burst_gev,  # ecl_bst
                found > 0,  # ecl_active
                kept & 1 != 0,  # clst_0
                kept & 2 != 0,  # clst_1
                kept & 4 != 0,  # clst_2
                kept & 8 != 0,  # clst_3
                found > cuts.max_clusters,  # ecl_oflo
                bhabha,  # ecl_3dbha
                bhabha,  # bha_veto
                counts[Count.IN_TRACK, event] != 0,  # bha_intrk
                counts[Count.MUMU, event] != 0,  # ecl_mumu
                (kept >= 3) & (counts[Count.OTHER, event] >= 1) & (not bhabha),  # ecl_lml_0
                counts[Count.HARD_BARREL, event] >= 1,  # ecl_lml_1
                (counts[Count.HARD_EDGE, event] >= 1) & (not bhabha),  # ecl_lml_2
                (counts[Count.HARD_EDGE, event] >= 1) & bhabha,  # ecl_lml_3
                (counts[Count.HARD_EXTREME, event] >= 1) & (not bhabha),  # ecl_lml_4
                (counts[Count.HARD_EXTREME, event] >= 1) & bhabha,  # ecl_lml_5
                (counts[Count.MEDIUM_BARREL, event] == 1) & one_other,  # ecl_lml_6
                (counts[Count.MEDIUM_EDGE, event] == 1) & one_other,  # ecl_lml_7
                (counts[Count.OPPOSITE_BOTH, event] != 0) & no_hard,  # ecl_lml_8
                (counts[Count.OPPOSITE_ONE, event] != 0) & no_hard,  # ecl_lml_9
                (counts[Count.BACK_TO_BACK, event] != 0) & no_hard,  # ecl_lml_10
                (found > 0) & no_hard,  # ecl_lml_11
                (counts[Count.INSIDE, event] >= 3) & (counts[Count.ENERGETIC, event] >= 1) & (not bhabha),  # ecl_lml_12
                (counts[Count.SOFT_BARREL, event] == 1) & one_other,  # ecl_lml_13
            )
        )
        types = _reversed(passed) if ideal else (passed | bhabha_2d << 13) & ~1
        shape_bits = pack(
            (
                bhabha_2d & ideal,  # ecl_bha
                bhabha_2d,  # bhabha2d
                counts[Count.BHAPUR, event] != 0,  # ecl_bhapur
                counts[Count.THETA_FLAG, event] & 1 != 0,  # bha_theta_0
                counts[Count.THETA_FLAG, event] & 2 != 0,  # bha_theta_1
                (is_high | (isolated > cuts.isolated_clusters)) & (not bhabha_2d),  # ecl_phys
                (timing_cell >= 1) & (timing_cell <= 80),  # ecl_timing_fwd
                (timing_cell >= 81) & (timing_cell <= 512),  # ecl_timing_brl
                timing_cell >= 513,  # ecl_timing_bwd
                forward_background | barrel_background,  # ecl_bg_0
                barrel_background & (not forward_background),  # ecl_bg_1
                forward_background & (not barrel_background),  # ecl_bg_2
                is_hie & (counts[Count.HIE_VETO_1, event] == 0),  # hie1
                is_hie & (counts[Count.HIE_VETO_2, event] == 0),  # hie2
                is_hie & (counts[Count.HIE_VETO_3, event] == 0),  # hie3
                is_hie & (counts[Count.HIE_VETO_4, event] == 0),  # hie4
                (counts[Count.TAU, event] != 0) & is_low,  # ecl_taub2b
                (counts[Count.TAU_2, event] != 0) & is_low & (counts[Count.HARD_ENDCAP, event] < 2),  # ecl_taub2b2
                (counts[Count.TAU_3, event] != 0) & is_low & (counts[Count.OUT_OF_RANGE, event] == 0),  # ecl_taub2b3
            )
        )
        words[event] = (
            bits | np.uint64(types) << np.uint64(cuts.first_type_bit) | shape_bits << np.uint64(cuts.first_shape_bit)
        )
