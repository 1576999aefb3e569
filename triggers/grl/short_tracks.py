"""GRL: short tracks and inner tracks in the inner five superlayers of the CDC, their pairs and what they point to.

Each superlayer is a set of 64 azimuth bins. A short track is a pattern of bins in all five that is not on the road of a
full track; an inner track is a coincidence of the first three.

Source: Belle II public software, GRL trigger simulation (matching and projects modules), with its quirks:

* full tracks are mapped, for the pairs with short and inner tracks, only in events with a barrel cluster;
* quadrants of the endcap KLM overlap, and a short track can count for two;
* forward sectors are renumbered 0 <-> 1, 2 <-> 3 before they are compared, backward ones are not;
* full tracks veto bins for short tracks only, and only in superlayers 0 to 2; the road of soft
  positive tracks is wider than that of negative ones.

Not settled by the reference: a ring of patterns in all 64 bins, which has no end, counts as one short track.
"""

from __future__ import annotations

import csv
import functools
import math
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from daq.settings import CONFIGS
from triggers.bits import count_bits, pack
from triggers.cdc import is_sound
from triggers.ecl.clusters import Clusters
from triggers.grl.azimuth import (
    BINS_64_OF_36,
    any_apart,
    bin_of,
    spread_36,
    spread_64,
    to_36,
    turned_64,
)
from triggers.primitives import Primitives
from triggers.quirks import Bits, Quirk

_PROJECTS = "GRL projects module; names of the menu"
_NOT_COPIED = "it is computed, but not copied to the input of this name"
_NO_BIN_35 = "the same, but bin 35 is missing in quadrant 3, by a slip of an index"

SHORT_BITS: Bits = {
    **{f"ts_{k}": f"short tracks: {number}" for k, number in enumerate(("1", "2", "3", "more than 3"))},
    "fwd_s": "a short track into the forward endcap",
    "bwd_s": "a short track into the backward endcap",
    "s2s3": "two short tracks back to back, 170 to 190 degrees in bins of 10",
    "s2s5": "two short tracks back to back, 160 to 200 degrees",
    "s2so": "two short tracks, 90 degrees apart or more",
    "s2s30": "two short tracks, 30 degrees apart or more",
    "s2f3": "a short and a full track back to back, 170 to 190 degrees in bins of 10",
    "s2f5": "a short and a full track back to back, 160 to 200 degrees",
    "s2fo": "a short and a full track, 90 degrees apart or more",
    "s2f30": "a short and a full track, 30 degrees apart or more",
    "ti": "an inner track",
    "i2fo": "an inner and a full track, 90 degrees apart or more",
    "secl": "a short track into an endcap, with a cluster there",
    "iecl": "an inner track with an endcap cluster",
    "seklm_0": Quirk("short tracks with an endcap KLM sector: one", "none", _PROJECTS),
    "seklm_1": Quirk("short tracks with an endcap KLM sector: more than one", "one or more", _PROJECTS),
    "ieklm": Quirk("an inner track with an endcap KLM sector", _NO_BIN_35, "GRL matching module"),
    "i2io": Quirk("two inner tracks, 90 degrees apart or more", _NOT_COPIED, _PROJECTS, is_constant=True),
    "iecl_0": Quirk("endcap clusters with an inner track: one or more", _NOT_COPIED, _PROJECTS, is_constant=True),
    "iecl_1": Quirk("endcap clusters with an inner track: more than one", _NOT_COPIED, _PROJECTS, is_constant=True),
    "ecleklm": Quirk("an endcap cluster with an endcap KLM sector", _NOT_COPIED, _PROJECTS, is_constant=True),
}
"""The decisions; full tracks are those of the 2D finder."""


class ShortCuts(NamedTuple):
    """Windows of azimuth bins of 10 degrees, with both ends in, and what else is no table."""

    back_to_back_3: tuple[int, int] = (17, 19)
    back_to_back_5: tuple[int, int] = (16, 20)
    open_90: tuple[int, int] = (9, 27)
    open_30: tuple[int, int] = (3, 33)
    inner_cluster_bins: int = 4
    segments: int = 2336
    curvature_bins_cm: float = 2271.7  # full tracks: steps of curvature, times 1 cm


class ShortTables(NamedTuple):
    """Tables of the short-track finder."""

    segment_layer: Array
    """(992,) superlayer 0..4 of a track segment."""
    segment_bins: Array
    """(992,) uint64 its 64-bins."""
    offsets: Array
    """(P, 4) uint8 pattern: bins in superlayers 0, 1, 3, 4 relative to that in superlayer 2, plus 5."""
    endcap: Array
    """(P,) int64: 1 the pattern points forward, -1 backward, 0 to no endcap."""
    reach: Array
    """(P, 2) int64 first and last bin at the endcap, relative to that in superlayer 0."""
    veto: Array
    """(34, 2) int64 by steps of curvature: bins that a full track has bent by in superlayers 0 to 2."""
    bins_64_of_36: Array
    """See `triggers.grl.azimuth`."""
    quadrants_short: Array
    """(4,) uint64 36-bins of each quadrant of the endcap KLM, for short tracks."""
    quadrants_inner: Array
    """(4,) for inner tracks and for clusters."""


_FIRST_SEGMENT = (0, 160, 320, 512, 736, 992)
_SEGMENT_GROUPS = (
    ((1, 1, 3, 2, 2), 2),
    ((1, 1, 3, 2, 2), 2),
    ((1, 1, 1), 1),
    ((1, 1, 1, 3, 2, 2, 2), 2),
    ((1, 1, 1, 1), 1),
)
"""Per superlayer: bins (bit 0 the first, bit 1 the second) of the segments of a group, and bins a group has."""
_VETO = ((9, 0, 0), (16, 0, 1), (25, 0, 2), (28, 0, 3), (31, 1, 3), (33, 1, 4), (34, 1, 5))
"""Full tracks with fewer steps of curvature than the first number have bent by the second to the third, in bins."""


@functools.cache
def short_tables(*, ideal: bool = False) -> ShortTables:
    """Return the tables; the patterns are those of ``configs/detector/short_track_patterns.csv``."""
    with (CONFIGS / "detector" / "short_track_patterns.csv").open() as file:
        rows = list(csv.DictReader(file))
    layer = np.zeros(_FIRST_SEGMENT[-1], dtype=np.int64)
    bins = np.zeros(_FIRST_SEGMENT[-1], dtype=np.uint64)
    for number, (pattern, width) in enumerate(_SEGMENT_GROUPS):
        for segment in range(_FIRST_SEGMENT[number], _FIRST_SEGMENT[number + 1]):
            group, place = divmod(segment - _FIRST_SEGMENT[number], len(pattern))
            layer[segment] = number
            bins[segment] = pattern[place] << width * group
    quadrants = ({35, *range(10)}, set(range(8, 20)), set(range(18, 29)), {*range(26, 36), 0})
    return ShortTables(
        segment_layer=layer,
        segment_bins=bins,
        offsets=np.array([[int(row[f"layer_{k}"]) + 5 for k in (0, 1, 3, 4)] for row in rows], dtype=np.uint8),
        endcap=np.array([{"forward": 1, "backward": -1, "": 0}[row["endcap"]] for row in rows]),
        reach=np.array([[int(row["first_bin"] or 0), int(row["last_bin"] or 0)] for row in rows]),
        veto=np.array([next(bent for below, *bent in _VETO if steps < below) for steps in range(34)]),
        bins_64_of_36=BINS_64_OF_36,
        quadrants_short=_sets(quadrants),
        quadrants_inner=_sets(quadrants if ideal else (*quadrants[:3], quadrants[3] - {35})),
    )


def _sets(bins: tuple[set[int], ...]) -> Array:
    return np.array([sum(1 << k for k in some) for some in bins], dtype=np.uint64)


@kernel
def _road(phi0: float, omega: float, tables: ShortTables, cuts: ShortCuts) -> np.uint64:
    """Return the 64-bins around a full track in superlayers 0 to 2, with a margin of one bin.

    The road of a positive track is not the mirror image of that of a negative one: it also takes the bins on the other
    side of the azimuth, as many as the negative one leaves out on this side.
    """
    steps = math.trunc(cuts.curvature_bins_cm * omega)
    first = math.trunc((phi0 + 2.0 * math.pi) * 32.0 / math.pi)
    bent = tables.veto[min(abs(steps), tables.veto.shape[0] - 1)]
    low, high = (bent[0], bent[1]) if steps < 0 else (-bent[1], bent[0])
    return turned_64((np.uint64(1) << np.uint64(high - low + 3)) - np.uint64(1), first + low - 1)


@kernel
def _find_short(layers: Array, turned: Array, tables: ShortTables) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return the 64-bins where short tracks are in superlayer 2, in superlayer 0, and go in the endcaps.

    All bins at a time: a superlayer turned back by the bin of a pattern lies on superlayer 2 where the pattern fits.
    ``turned`` (4, 10) is scratch space for superlayers 0, 1, 3, 4 turned back by -5 to 4 bins.
    """
    in_2 = in_0 = forward = backward = np.uint64(0)
    for k in range(4):
        for offset in range(10):
            turned[k, offset] = turned_64(layers[k if k < 2 else k + 1], 5 - offset)
    for pattern in range(tables.endcap.size):
        seeds = (
            layers[2]
            & turned[0, tables.offsets[pattern, 0]]
            & turned[1, tables.offsets[pattern, 1]]
            & turned[2, tables.offsets[pattern, 2]]
            & turned[3, tables.offsets[pattern, 3]]
        )
        if seeds:
            in_2 |= seeds
            new = turned_64(seeds, int(tables.offsets[pattern, 0]) - 5)
            new &= ~in_0  # the first pattern that fits a bin of superlayer 0 counts
            in_0 |= new
            if tables.endcap[pattern] and new:
                reached = spread_64(new, tables.reach[pattern, 0], tables.reach[pattern, 1])
                if tables.endcap[pattern] > 0:
                    forward |= reached
                else:
                    backward |= reached
    return in_2, in_0, forward, backward


@kernel
def _count_runs(bins: np.uint64) -> int:
    """Return how many groups of neighbours the 64-bins form."""
    ends = bins & ~turned_64(bins, 1)
    count = 1 if bins and not ends else 0
    while ends:
        ends &= ends - np.uint64(1)
        count += 1
    return count


@kernel
def _find_inner(layers: Array) -> np.uint64:
    """Return the bins of superlayer 0 with a bin of superlayer 1 at -4 to 0 and one of superlayer 2 at -2 to 2."""
    return np.uint64(layers[0]) & spread_64(layers[1], 0, 4) & spread_64(layers[2], -2, 2)


@kernel
def _count_sectors(bins: np.uint64, quadrants: Array, sectors: int) -> int:
    """Return in how many quadrants with a fired sector (bit of ``sectors``) some of the 36-bins lie."""
    count = 0
    for quadrant in range(4):
        count += (sectors >> quadrant & 1 != 0) & (bins & quadrants[quadrant] != 0)
    return count


@kernel
def _count_cluster_sectors(clusters: Clusters, event: int, quadrants: Array, sectors_fwd: int, sectors_bwd: int) -> int:
    """Return in how many quadrants with a fired sector clusters are, which may stand in rings 4 and 15 here."""
    forward = backward = np.uint64(0)
    for k in range(clusters.offsets[event], clusters.offsets[event + 1]):
        place = np.uint64(1) << np.uint64(clusters.azimuth_bin[k])
        forward |= place if clusters.theta_id[k] <= 4 else np.uint64(0)
        backward |= place if clusters.theta_id[k] >= 15 else np.uint64(0)
    return _count_sectors(forward, quadrants, sectors_fwd) + _count_sectors(backward, quadrants, sectors_bwd)


@kernel
def short_words(
    primitives: Primitives,
    clusters: Clusters,
    tables: ShortTables,
    cuts: ShortCuts,
    ideal: bool,
    words: Array,
    malformed: Array,
) -> None:
    """Fill the (N,) words of `SHORT_BITS`; "ideal" gives the bits that are a `Quirk` as they are meant.

    An event is malformed if a track segment has a number beyond 2335; it is ignored, as are 2D tracks that
    `triggers.cdc.cdc_words` calls malformed.
    """
    offsets_2d, phi0_2d, omega_2d = primitives.trk2d_offsets, primitives.trk2d_phi0, primitives.trk2d_omega
    offsets_segments, segments = primitives.segments_offsets, primitives.segments
    klm_fwd, klm_bwd = primitives.eklm_mask_fwd, primitives.eklm_mask_bwd
    one, none = np.uint64(1), np.uint64(0)
    layers = np.empty(5, dtype=np.uint64)
    turned = np.empty((4, 10), dtype=np.uint64)
    for event in range(words.size):
        layers[:] = none
        for k in range(offsets_segments[event], offsets_segments[event + 1]):
            segment = np.int64(segments[k])
            if 0 <= segment < tables.segment_layer.size:
                layers[tables.segment_layer[segment]] |= tables.segment_bins[segment]
            malformed[event] |= not 0 <= segment < cuts.segments
        inner_64 = _find_inner(layers) if layers[0] else none
        inner = to_36(inner_64, tables.bins_64_of_36)

        full = none
        for i in range(offsets_2d[event], offsets_2d[event + 1]):
            phi0, omega = np.float64(phi0_2d[i]), np.float64(omega_2d[i])
            if is_sound(phi0, omega):
                if clusters.any_barrel[event]:
                    full |= one << np.uint64(bin_of(phi0))
                free = ~_road(phi0, omega, tables, cuts)
                layers[0] &= free
                layers[1] &= free
                layers[2] &= free

        in_2 = in_0 = forward = backward = none
        if layers[0] and layers[1] and layers[2] and layers[3] and layers[4]:
            in_2, in_0, forward, backward = _find_short(layers, turned, tables)
        n_short = _count_runs(in_2)
        short = to_36(in_0, tables.bins_64_of_36)
        forward_36 = to_36(forward, tables.bins_64_of_36)
        backward_36 = to_36(backward, tables.bins_64_of_36)

        forward_clusters, backward_clusters = clusters.forward_bins[event], clusters.backward_bins[event]
        n_inner_clusters = 0
        if inner:
            near = spread_36(inner, -cuts.inner_cluster_bins, cuts.inner_cluster_bins)
            n_inner_clusters = count_bits(np.int64(near & (forward_clusters | backward_clusters)))
        sectors_fwd = (klm_fwd[event] & 5) << 1 | (klm_fwd[event] & 10) >> 1
        sectors_bwd = klm_bwd[event]
        n_short_klm = n_inner_klm = n_cluster_klm = 0
        if sectors_fwd | sectors_bwd:
            n_short_klm = _count_sectors(forward_36, tables.quadrants_short, sectors_fwd)
            n_short_klm += _count_sectors(backward_36, tables.quadrants_short, sectors_bwd)
            n_inner_klm = _count_sectors(inner, tables.quadrants_inner, sectors_fwd | sectors_bwd)
            if ideal:
                n_cluster_klm = _count_cluster_sectors(
                    clusters, event, tables.quadrants_inner, sectors_fwd, sectors_bwd
                )
        words[event] = pack(
            (
                n_short == 1,  # ts_0
                n_short == 2,  # ts_1
                n_short == 3,  # ts_2
                n_short > 3,  # ts_3
                forward != none,  # fwd_s
                backward != none,  # bwd_s
                any_apart(short, short, cuts.back_to_back_3),  # s2s3
                any_apart(short, short, cuts.back_to_back_5),  # s2s5
                any_apart(short, short, cuts.open_90),  # s2so
                any_apart(short, short, cuts.open_30),  # s2s30
                any_apart(short, full, cuts.back_to_back_3),  # s2f3
                any_apart(short, full, cuts.back_to_back_5),  # s2f5
                any_apart(short, full, cuts.open_90),  # s2fo
                any_apart(short, full, cuts.open_30),  # s2f30
                inner != none,  # ti
                any_apart(inner, full, cuts.open_90),  # i2fo
                (forward_36 & forward_clusters | backward_36 & backward_clusters) != none,  # secl
                n_inner_clusters > 0,  # iecl
                n_short_klm == (1 if ideal else 0),  # seklm_0
                n_short_klm > (1 if ideal else 0),  # seklm_1
                n_inner_klm > 0,  # ieklm
                ideal and any_apart(inner, inner, cuts.open_90),  # i2io
                ideal and n_inner_clusters > 0,  # iecl_0
                ideal and n_inner_clusters > 1,  # iecl_1
                n_cluster_klm > 0,  # ecleklm
            )
        )
