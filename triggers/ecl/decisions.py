"""ECL trigger: cells above threshold to clusters, clusters to decisions.

Source: Belle II public software, ECL trigger simulation (single decision window, clustering method 1), with its
quirks: the limit of six clusters, two clusters with the same centre both kept, CM energies by a factor in tenths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.event import EventBatch
from daq.jit import Array, kernel
from triggers.bits import pack
from triggers.ecl.cells import Cells, EclTable, cells
from triggers.ecl.shape import COMBINATIONS, SHAPE_CUTS, EclShapeBits, EclShapeCuts, shape_of

MAX_CLUSTERS = 6


class EclBits(NamedTuple):
    """The decisions of the ECL, by the names of the GDL input bits; "CM" energies use the factor of the centre cell."""

    elow: bool  # energy in rings 2-15 above 0.5 GeV
    ehigh: bool  # above 1 GeV
    elum: bool  # above 3 GeV
    ecl_bst: bool  # energy in all rings above 20 GeV: burst
    ecl_active: bool  # a cell is hit
    clst_0: bool  # number of clusters, binary
    clst_1: bool
    clst_2: bool
    clst_3: bool
    ecl_oflo: bool  # more clusters than the limit
    ecl_3dbha: bool  # 3D Bhabha: back-to-back pair, both above 3 GeV and one above 4.5 GeV (CM)
    bha_veto: bool  # the same, as the menu uses it to veto
    bha_intrk: bool  # a cluster of the 3D Bhabha is in rings 3-15; of several such pairs the last one counts
    ecl_mumu: bool  # back-to-back pair, both below 2 GeV (CM)
    ecl_lml_0: bool  # three clusters, one above 0.3 GeV, no 3D Bhabha
    ecl_lml_1: bool  # a cluster above 2 GeV (CM) in rings 4-14
    ecl_lml_2: bool  # a cluster above 2 GeV (CM) in rings 2, 3, 15, 16, no 3D Bhabha
    ecl_lml_3: bool  # the same with 3D Bhabha
    ecl_lml_4: bool  # a cluster above 2 GeV (CM) in rings 1, 17, no 3D Bhabha
    ecl_lml_5: bool  # the same with 3D Bhabha
    ecl_lml_6: bool  # one cluster above 1 GeV (CM) in rings 4-15, no other above 0.3 GeV
    ecl_lml_7: bool  # one cluster above 1 GeV (CM) in rings 2, 3, 16, no other above 0.3 GeV
    ecl_lml_8: bool  # pair opposite in azimuth, both above 0.25 GeV, no cluster above 2 GeV (CM)
    ecl_lml_9: bool  # the same, just one of the pair above 0.25 GeV
    ecl_lml_10: bool  # back-to-back pair, no cluster above 2 GeV (CM)
    ecl_lml_11: bool  # a hit, no cluster above 2 GeV (CM)
    ecl_lml_12: bool  # three clusters in rings 2-16, one above 0.5 GeV, no 3D Bhabha
    ecl_lml_13: bool  # one cluster above 0.5 GeV (CM) in rings 6-11, no other above 0.3 GeV


ECL_NAMES: tuple[str, ...] = (*EclBits._fields, *EclShapeBits._fields)


class EclCuts(NamedTuple):
    """Thresholds of the decisions; comparisons are strict. Source: parameter file of the ECL trigger simulation."""

    low_gev: float = 0.5
    high_gev: float = 1.0
    lum_gev: float = 3.0
    burst_gev: float = 20.0
    other_gev: float = 0.3  # "no other cluster": above this in the lab
    pair_gev: float = 0.25
    energetic_gev: float = 0.5  # of lml 12, in the lab
    hard_cm_gev: float = 2.0
    medium_cm_gev: float = 1.0
    soft_cm_gev: float = 0.5
    bhabha_low_cm_gev: float = 3.0
    bhabha_high_cm_gev: float = 4.5
    mumu_cm_gev: float = 2.0
    dphi_deg: tuple[int, int] = (160, 200)  # back to back: differences of the azimuth, not folded
    theta_sum_deg: tuple[int, int] = (165, 190)
    lml_opposite_deg: int = 170  # lml 8, 9: azimuth difference folded to 0..180
    lml_dphi_deg: int = 160  # lml 10, folded too
    lml_theta_sum_deg: tuple[int, int] = (160, 200)


CUTS = EclCuts()


@kernel
def _cluster_of(seed: int, cell_energy: Array, neighbours: Array) -> tuple[int, float]:
    """Return (centre cell, energy [GeV]) of the cluster that starts at ``seed``."""
    centre = seed
    for cell in neighbours[seed]:
        if cell_energy[cell] > cell_energy[centre]:
            centre = cell
    energy = 0.0
    for cell in neighbours[centre]:
        energy += cell_energy[cell]
    return centre, energy


@kernel
def _starts_cluster(cell: int, cell_energy: Array, veto_any: Array, veto_both: Array) -> bool:
    for other in veto_any[cell]:
        if cell_energy[other] > 0.0:
            return False
    return not (cell_energy[veto_both[cell, 0]] > 0.0 and cell_energy[veto_both[cell, 1]] > 0.0)


@kernel
def find_clusters(hits: Array, cell_energy: Array, cells: Cells, centre: Array, energy: Array) -> int:
    """Fill centre cell and energy [GeV] of the first clusters, as many as fit; return how many there are in all.

    ``hits`` are rising cell numbers; ``cell_energy`` (577,) is 0 where there is no hit. Clusters come barrel first,
    then forward, then backward; in each by the cell that they start at.
    """
    barrel = np.searchsorted(hits, 81)
    backward = np.searchsorted(hits, 513)
    found = 0
    for k in range(hits.size):
        if k < backward - barrel:
            seed = hits[k + barrel]
        elif k < backward:
            seed = hits[k - (backward - barrel)]
        else:
            seed = hits[k]
        if _starts_cluster(seed, cell_energy, cells.veto_any, cells.veto_both):
            if found < centre.size:
                centre[found], energy[found] = _cluster_of(seed, cell_energy, cells.neighbours)
            found += 1
    return found


@kernel
def _count_isolated(hits: Array, cell_energy: Array, cells: Cells) -> int:
    isolated = 0
    for cell in hits:
        if 2 <= cells.theta_id[cell] <= 15:
            isolated += _starts_cluster(cell, cell_energy, cells.veto_any, cells.veto_both)
    return isolated


@kernel
def _decide(
    inner_gev: float,
    total_gev: float,
    found: int,
    centre: Array,
    energy: Array,
    theta_id: Array,
    table: EclTable,
    cuts: EclCuts,
) -> EclBits:
    """Return the decisions on the clusters; ``inner_gev`` is the energy in rings 2-15, ``total_gev`` in all rings."""
    count = min(found, centre.size)
    n_other = n_hard = n_hard_barrel = n_hard_edge = n_hard_extreme = 0
    n_medium_barrel = n_medium_edge = n_soft_barrel = n_inside = n_energetic = 0
    for i in range(count):
        ring = theta_id[centre[i]]
        factor = table.elab_over_ecm[centre[i]]
        inside = 2 <= ring <= 16
        n_other += energy[i] > cuts.other_gev
        n_inside += inside
        n_energetic += inside and energy[i] > cuts.energetic_gev
        n_soft_barrel += 6 <= ring <= 11 and energy[i] > factor * cuts.soft_cm_gev
        if energy[i] > factor * cuts.medium_cm_gev:
            n_medium_barrel += 4 <= ring <= 15
            n_medium_edge += ring in (2, 3, 16)
        if energy[i] > factor * cuts.hard_cm_gev:
            n_hard += 1
            n_hard_barrel += 4 <= ring <= 14
            n_hard_edge += ring in (2, 3, 15, 16)
            n_hard_extreme += ring in (1, 17)

    bhabha = in_track = mumu = opposite_both = opposite_one = back_to_back = False
    for i in range(count):
        for j in range(i + 1, count):
            dphi_deg = abs(table.phi_cm_deg[centre[i]] - table.phi_cm_deg[centre[j]])
            folded_deg = min(dphi_deg, 360 - dphi_deg)
            theta_sum_deg = table.theta_cm_deg[centre[i]] + table.theta_cm_deg[centre[j]]
            factor_i, factor_j = table.elab_over_ecm[centre[i]], table.elab_over_ecm[centre[j]]
            if (
                cuts.dphi_deg[0] < dphi_deg < cuts.dphi_deg[1]
                and cuts.theta_sum_deg[0] < theta_sum_deg < cuts.theta_sum_deg[1]
            ):
                both = energy[i] > factor_i * cuts.bhabha_low_cm_gev and energy[j] > factor_j * cuts.bhabha_low_cm_gev
                one = energy[i] > factor_i * cuts.bhabha_high_cm_gev or energy[j] > factor_j * cuts.bhabha_high_cm_gev
                if both and one:
                    bhabha = True
                    in_track = 3 <= theta_id[centre[i]] <= 15 or 3 <= theta_id[centre[j]] <= 15
                mumu |= energy[i] < factor_i * cuts.mumu_cm_gev and energy[j] < factor_j * cuts.mumu_cm_gev
            if folded_deg > cuts.lml_opposite_deg:
                low, high = min(energy[i], energy[j]), max(energy[i], energy[j])
                opposite_both |= low > cuts.pair_gev
                opposite_one |= low < cuts.pair_gev < high
            back_to_back |= (
                folded_deg > cuts.lml_dphi_deg and cuts.lml_theta_sum_deg[0] < theta_sum_deg < cuts.lml_theta_sum_deg[1]
            )

    # By position: numba takes so many keyword arguments only if none of them branches.
    return EclBits(
        inner_gev > cuts.low_gev,  # elow
        inner_gev > cuts.high_gev,  # ehigh
        inner_gev > cuts.lum_gev,  # elum
        total_gev > cuts.burst_gev,  # ecl_bst
        found > 0,  # ecl_active
        count & 1 != 0,  # clst_0
        count & 2 != 0,  # clst_1
        count & 4 != 0,  # clst_2
        count & 8 != 0,  # clst_3
        found > centre.size,  # ecl_oflo
        bhabha,  # ecl_3dbha
        bhabha,  # bha_veto
        in_track,  # bha_intrk
        mumu,  # ecl_mumu
        count >= 3 and n_other >= 1 and not bhabha,  # ecl_lml_0
        n_hard_barrel >= 1,  # ecl_lml_1
        n_hard_edge >= 1 and not bhabha,  # ecl_lml_2
        n_hard_edge >= 1 and bhabha,  # ecl_lml_3
        n_hard_extreme >= 1 and not bhabha,  # ecl_lml_4
        n_hard_extreme >= 1 and bhabha,  # ecl_lml_5
        n_medium_barrel == 1 and n_other == 1,  # ecl_lml_6
        n_medium_edge == 1 and n_other == 1,  # ecl_lml_7
        opposite_both and n_hard == 0,  # ecl_lml_8
        opposite_one and n_hard == 0,  # ecl_lml_9
        back_to_back and n_hard == 0,  # ecl_lml_10
        found > 0 and n_hard == 0,  # ecl_lml_11
        n_inside >= 3 and n_energetic >= 1 and not bhabha,  # ecl_lml_12
        n_soft_barrel == 1 and n_other == 1,  # ecl_lml_13
    )


@kernel
def _ecl_words(
    offsets: Array,
    cell_id: Array,
    energy_gev: Array,
    cells: Cells,
    table: EclTable,
    cuts: EclCuts,
    combinations: Array,
    shape_cuts: EclShapeCuts,
    max_clusters: int,
    words: Array,
    malformed: Array,
) -> None:
    cell_energy = np.zeros(cells.theta_id.size)
    hits = np.empty(cells.theta_id.size, dtype=np.int64)
    centre = np.empty(max_clusters, dtype=np.int64)
    energy = np.empty(max_clusters)
    ring_gev = np.zeros(18)
    for event in range(offsets.size - 1):
        n_hits = 0
        last = 0
        ring_gev[:] = 0.0
        inner_gev = total_gev = 0.0
        for k in range(offsets[event], offsets[event + 1]):
            cell, gev = cell_id[k], energy_gev[k]
            if not (last < cell < cells.theta_id.size and 0.0 < gev < np.inf):
                malformed[event] = True
                continue
            last = cell
            hits[n_hits] = cell
            n_hits += 1
            cell_energy[cell] = gev
            ring = cells.theta_id[cell]
            ring_gev[ring] += gev
            total_gev += gev
            if 2 <= ring <= 15:
                inner_gev += gev
        found = find_clusters(hits[:n_hits], cell_energy, cells, centre, energy)
        isolated = 0 if found < 4 else _count_isolated(hits[:n_hits], cell_energy, cells)  # only four or more matter
        kept_centre, kept_energy = centre[: min(found, max_clusters)], energy[: min(found, max_clusters)]
        shape = shape_of(
            hits[:n_hits],
            cell_energy,
            ring_gev,
            inner_gev,
            total_gev,
            isolated,
            kept_centre,
            kept_energy,
            cells,
            table,
            combinations,
            shape_cuts,
        )
        decisions = _decide(inner_gev, total_gev, found, centre, energy, cells.theta_id, table, cuts)
        words[event] = pack(decisions) | pack(shape) << np.uint64(len(decisions))
        for k in range(n_hits):
            cell_energy[hits[k]] = 0.0


def ecl_words(batch: EventBatch, table: EclTable, cuts: EclCuts = CUTS) -> tuple[Array, Array]:
    """Return the ECL decisions of each event, and which events are malformed; see `words_of_hits`."""
    return words_of_hits(batch["tc.offsets"], batch["tc.id"], batch["tc.energy_gev"], table, cuts)


def words_of_hits(
    offsets: Array, cell_id: Array, energy_gev: Array, table: EclTable, cuts: EclCuts = CUTS
) -> tuple[Array, Array]:
    """Return the ECL decisions on the hits of N events.

    Energies of float32 are taken in whole keV, finer than which they are not: a value such as 0.3 GeV, which float32
    cannot hold, must lie on a threshold of 0.3 GeV and not above it.

    Parameters
    ----------
    offsets : (N + 1,) int
        Where the hits of each event start.
    cell_id, energy_gev : (hits,)
        Cell number, rising in each event, and energy in float64 or float32 [GeV].
    table : EclTable
        Angles and energy factors in the CM frame.
    cuts : EclCuts
        Thresholds.

    Returns
    -------
    words : (N, 1) uint64
        Bit i is `ECL_NAMES[i]`: the fields of `EclBits`, then those of `EclShapeBits`.
    malformed : (N,) bool
        A cell number is not in 1..576 or does not rise, or an energy is not positive and finite; that hit is ignored.
    """
    if energy_gev.dtype == np.float32:
        energy_gev = np.rint(energy_gev.astype(np.float64) * 1e6) / 1e6
    words: Array = np.zeros((offsets.size - 1, 1), dtype=np.uint64)
    malformed: Array = np.zeros(offsets.size - 1, dtype=np.bool_)
    _ecl_words(
        offsets,
        cell_id,
        energy_gev,
        cells(),
        table,
        cuts,
        COMBINATIONS,
        SHAPE_CUTS,
        MAX_CLUSTERS,
        words[:, 0],
        malformed,
    )
    return words, malformed
