"""GRL: tracks of the 2D finder matched to ECL clusters and KLM sectors, isolated clusters, pairs.

Source: Belle II public software, GRL trigger simulation (matching and projects modules), with its quirks:

* a track too soft to reach the ECL counts as if it were there at azimuth 0; one too soft for the KLM has no match;
* of clusters equally near in bins the first is the match;
* endcap clusters count as isolated, whatever their energy and wherever the tracks are;
* a KLM sector serves one track; the track that comes second has no match, though another sector may be in reach;
* "two" matches with the KLM means more than one, and stays true where "three" or "more" is;
* differences of azimuth bins of a pair are not folded: 5 and 355 degrees are 35 bins apart;
* the hemisphere bits take the azimuth of the cluster's centre cell and fold the difference once, so that of a track
  beyond 180 degrees can come out negative.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.bits import pack
from triggers.cdc import is_sound
from triggers.ecl.cells import cells
from triggers.ecl.clusters import Clusters
from triggers.grl.azimuth import any_within, bin_of
from triggers.primitives import Primitives
from triggers.quirks import Bits

_NUMBERS = ("1", "2", "3", "more than 3")

GRL_BITS: Bits = {
    **{f"cdcecl_{k}": f"2D tracks with a barrel cluster: {number}" for k, number in enumerate(_NUMBERS)},
    **{f"c2gev_{k}": f"2D tracks with a barrel cluster of 2 GeV or more: {n}" for k, n in enumerate(_NUMBERS)},
    "cdcklm_0": "2D tracks with a barrel KLM sector: 1",
    "cdcklm_1": "2D tracks with a barrel KLM sector: more than 1",
    "cdcklm_2": "2D tracks with a barrel KLM sector: 3",
    "cdcklm_3": "2D tracks with a barrel KLM sector: more than 3",
    **{f"n1gev_{k}": f"isolated clusters above 1 GeV: {number}" for k, number in enumerate(_NUMBERS)},
    **{f"n2gev_{k}": f"isolated clusters above 2 GeV: {number}" for k, number in enumerate(_NUMBERS)},
    "d3": "two clusters back to back in azimuth: 17 to 19 bins of 10 degrees",
    "d5": "two clusters back to back in azimuth: 16 to 20 bins",
    "d7": "two clusters back to back in azimuth: 15 to 21 bins",
    "d9": "two clusters back to back in azimuth: 14 to 22 bins",
    "p3": "a 2D track and a cluster back to back in azimuth: 17 to 19 bins of 10 degrees",
    "p5": "a 2D track and a cluster back to back in azimuth: 16 to 20 bins",
    "p7": "a 2D track and a cluster back to back in azimuth: 15 to 21 bins",
    "p9": "a 2D track and a cluster back to back in azimuth: 14 to 22 bins",
    "samhem": "one 3D track, and a cluster on its side in azimuth but not in polar angle",
    "opohem": "one 3D track, and a cluster on the other side in azimuth",
}
"""The decisions of the matching."""


class GrlCuts(NamedTuple):
    """Cuts of the matching; windows of azimuth bins of 10 degrees, with both ends in."""

    ecl_radius_cm: float = 126.0
    klm_radius_cm: float = 176.0
    cluster_bins: int = 1  # a cluster within so many bins belongs to the track
    klm_sector_deg: float = 45.0
    klm_dphi_deg: float = 32.5
    matched_gev: float = 2.0  # "or more", unlike those below
    isolated_gev: float = 1.0  # "or more": barrel clusters of the list of isolated ones
    photon_gev: float = 1.0
    hard_photon_gev: float = 2.0
    in_time_ns: float = 100.0
    hemisphere_deg: float = 80.0
    dcot: tuple[float, float] = (-0.8, 0.6)  # off the track: below the first or above the second
    pair_3: tuple[int, int] = (17, 19)
    pair_5: tuple[int, int] = (16, 20)
    pair_7: tuple[int, int] = (15, 21)
    pair_9: tuple[int, int] = (14, 22)


class CellDirections(NamedTuple):
    """Direction of the 576 trigger cells, by number; row 0 is no cell."""

    phi_deg: Array
    """(577,) azimuth, (-180, 180]."""
    cot_theta: Array
    """(577,)."""


@functools.cache
def cell_directions() -> CellDirections:
    """Return the directions of the trigger cells from the origin."""
    x_cm, y_cm, z_cm = cells().xyz_cm[1:].T
    return CellDirections(
        phi_deg=np.concatenate([[0.0], np.degrees(np.arctan2(y_cm, x_cm))]),
        cot_theta=np.concatenate([[0.0], z_cm / np.hypot(x_cm, y_cm)]),
    )


@kernel
def azimuth_at(phi0: float, omega: float, radius_cm: float) -> float:
    """Return the azimuth [rad] where a track from the beam line crosses a cylinder; NaN if it does not get there."""
    sine = 0.5 * radius_cm * abs(omega)
    if sine > 1.0:
        return math.nan
    bend = math.acos(sine) - 0.5 * math.pi
    return phi0 + (bend if omega > 0.0 else -bend)


@kernel
def nearest_sector(phi_rad: float, fired: int, cuts: GrlCuts) -> int:
    """Return the fired KLM sector (bit of ``fired``) nearest in azimuth and in reach, or -1."""
    nearest, smallest_deg = -1, cuts.klm_dphi_deg
    for sector in range(8):
        if fired >> sector & 1:
            turns = (math.degrees(phi_rad) - cuts.klm_sector_deg * sector) / 360.0
            distance_deg = 360.0 * abs(turns - math.floor(turns + 0.5))
            if distance_deg < smallest_deg:
                nearest, smallest_deg = sector, distance_deg
    return nearest


@kernel
def _hemispheres(
    phi0: float,
    cot_theta: float,
    clusters: Clusters,
    begin: int,
    end: int,
    event_time_ns: float,
    directions: CellDirections,
    cuts: GrlCuts,
) -> tuple[bool, bool]:
    """Return whether there is a cluster on the track's side but off it, and one on the other side."""
    same = opposite = False
    for k in range(begin, end):
        cell = clusters.cell[k]
        if 0 < cell < directions.phi_deg.size and abs(clusters.time_ns[k] - event_time_ns) < cuts.in_time_ns:
            dphi_deg = abs(math.degrees(phi0) - directions.phi_deg[cell])
            if dphi_deg > 180.0:
                dphi_deg = 360.0 - dphi_deg
            dcot = cot_theta - directions.cot_theta[cell]
            same |= dphi_deg < cuts.hemisphere_deg and (dcot < cuts.dcot[0] or dcot > cuts.dcot[1])
            opposite |= dphi_deg > cuts.hemisphere_deg
    return same, opposite


@kernel
def grl_words(
    primitives: Primitives, clusters: Clusters, directions: CellDirections, cuts: GrlCuts, words: Array
) -> None:
    """Fill the (N,) words of `GRL_BITS`.

    2D tracks that `triggers.cdc.cdc_words` calls malformed are ignored, as are 3D tracks whose angles are not finite.
    """
    offsets_2d, phi0_2d, omega_2d = primitives.trk2d_offsets, primitives.trk2d_phi0, primitives.trk2d_omega
    offsets_3d, klm_fwd, klm_bwd = primitives.trk3d_offsets, primitives.bklm_mask_fwd, primitives.bklm_mask_bwd
    one = np.uint64(1)
    for event in range(words.size):
        begin, end = clusters.offsets[event], clusters.offsets[event + 1]
        fired, used = klm_fwd[event] | klm_bwd[event], 0
        near_track = np.uint64(0)  # azimuth bins with a track, or beside one
        track_pairs = np.uint64(0)  # bit = difference of azimuth bins
        n_matched = n_hard_matched = n_klm = 0
        for i in range(offsets_2d[event], offsets_2d[event + 1]):
            phi0, omega = np.float64(phi0_2d[i]), np.float64(omega_2d[i])
            if not is_sound(phi0, omega):
                continue
            phi_ecl = azimuth_at(phi0, omega, cuts.ecl_radius_cm)
            reaches = not math.isnan(phi_ecl)
            track_bin = bin_of(phi_ecl) if reaches else 0
            nearest, smallest = -1, cuts.cluster_bins + 1
            for k in range(begin, end):
                difference = abs(track_bin - clusters.azimuth_bin[k])
                if reaches:
                    track_pairs |= one << np.uint64(difference)
                if clusters.is_barrel[k] and min(difference, 36 - difference) < smallest:
                    nearest, smallest = k, min(difference, 36 - difference)
            if nearest >= 0:
                n_matched += 1
                n_hard_matched += clusters.energy_gev[nearest] >= cuts.matched_gev
            for step in (35, 0, 1):
                near_track |= one << np.uint64((track_bin + step) % 36)

            phi_klm = azimuth_at(phi0, omega, cuts.klm_radius_cm)
            if fired and not math.isnan(phi_klm):
                sector = nearest_sector(phi_klm, fired, cuts)
                if sector >= 0 and not used >> sector & 1:
                    used |= 1 << sector
                    n_klm += 1

        n_photons = n_hard_photons = 0
        cluster_pairs = np.uint64(0)
        for k in range(begin, end):
            cluster_bin = clusters.azimuth_bin[k]
            for other in range(begin, k):
                cluster_pairs |= one << np.uint64(abs(cluster_bin - clusters.azimuth_bin[other]))
            energy = clusters.energy_gev[k]
            beside_track = near_track >> np.uint64(cluster_bin) & one != np.uint64(0)
            if not clusters.is_barrel[k] or (energy >= cuts.isolated_gev and not beside_track):
                n_photons += energy > cuts.photon_gev
                n_hard_photons += energy > cuts.hard_photon_gev

        same = opposite = False
        if offsets_3d[event + 1] - offsets_3d[event] == 1:
            track = offsets_3d[event]
            same, opposite = _hemispheres(
                np.float64(primitives.trk3d_phi0[track]),
                np.float64(primitives.trk3d_cot_theta[track]),
                clusters,
                begin,
                end,
                clusters.event_time_ns[event],
                directions,
                cuts,
            )
        words[event] = pack(
            (
                n_matched == 1,  # cdcecl_0
                n_matched == 2,  # cdcecl_1
                n_matched == 3,  # cdcecl_2
                n_matched > 3,  # cdcecl_3
                n_hard_matched == 1,  # c2gev_0
                n_hard_matched == 2,  # c2gev_1
                n_hard_matched == 3,  # c2gev_2
                n_hard_matched > 3,  # c2gev_3
                n_klm == 1,  # cdcklm_0
                n_klm > 1,  # cdcklm_1
                n_klm == 3,  # cdcklm_2
                n_klm > 3,  # cdcklm_3
                n_photons == 1,  # n1gev_0
                n_photons == 2,  # n1gev_1
                n_photons == 3,  # n1gev_2
                n_photons > 3,  # n1gev_3
                n_hard_photons == 1,  # n2gev_0
                n_hard_photons == 2,  # n2gev_1
                n_hard_photons == 3,  # n2gev_2
                n_hard_photons > 3,  # n2gev_3
                any_within(cluster_pairs, cuts.pair_3),  # d3
                any_within(cluster_pairs, cuts.pair_5),  # d5
                any_within(cluster_pairs, cuts.pair_7),  # d7
                any_within(cluster_pairs, cuts.pair_9),  # d9
                any_within(track_pairs, cuts.pair_3),  # p3
                any_within(track_pairs, cuts.pair_5),  # p5
                any_within(track_pairs, cuts.pair_7),  # p7
                any_within(track_pairs, cuts.pair_9),  # p9
                same,  # samhem
                opposite,  # opohem
            )
        )
