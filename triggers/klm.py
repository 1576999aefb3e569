"""KLM trigger: fired sectors and sectors of the trigger tracks to decisions.

Source: Belle II public software, GRL trigger simulation. Its quirk: it counts the older list of KLM trigger tracks in
place of the fired sectors of the barrel, and does not look at the endcaps. "ideal" counts the fired sectors of either;
a sector fires whichever half of the barrel is hit, and in each endcap for itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.bits import pack
from triggers.columns import Columns

KLM_BITS: dict[str, str] = {
    "klm_hit": "there is a KLM trigger track",
    "klm_0": "number of KLM trigger tracks, binary: 1",
    "klm_1": "number of KLM trigger tracks, binary: 2",
    "klm_2": "number of KLM trigger tracks, binary: 4 (eight read as none)",
    "klmb2b_0": "pairs of KLM trigger tracks in opposite sectors: 1",
    "klmb2b_1": "pairs of KLM trigger tracks in opposite sectors: 2",
    "klmb2b_2": "pairs of KLM trigger tracks in opposite sectors: more than 2",
    "eklm_hit": "a sector of the endcap KLM fired",
    "eklm_0": "number of fired sectors of the endcap KLM, binary: 1",
    "eklm_1": "number of fired sectors of the endcap KLM, binary: 2",
    "eklm_2": "number of fired sectors of the endcap KLM, binary: 4",
}
"""The decisions of the KLM, by the names of the GDL input bits."""


class KlmCuts(NamedTuple):
    """Sectors of the KLM."""

    barrel_sectors: int = 8
    endcap_sectors: int = 4
    half_turn: int = 4  # sectors of the barrel


CUTS = KlmCuts()


@kernel
def _count(sectors: int) -> int:
    """Return how many bits are set."""
    count = 0
    while sectors:
        sectors &= sectors - 1
        count += 1
    return count


@kernel
def _klm_words(
    offsets: Array,
    sectors: Array,
    bklm_fwd: Array,
    bklm_bwd: Array,
    eklm_fwd: Array,
    eklm_bwd: Array,
    cuts: KlmCuts,
    ideal: bool,
    words: Array,
    malformed: Array,
) -> None:
    for event in range(words.size):
        n_sectors = n_endcap = pairs = 0
        for i in range(offsets[event], offsets[event + 1]):
            sector = np.int64(sectors[i])
            if not 0 <= sector < cuts.barrel_sectors:
                malformed[event] = True
                continue
            n_sectors += 1
            for j in range(offsets[event], i):
                pairs += abs(sector - np.int64(sectors[j])) == cuts.half_turn
        barrel = np.int64(bklm_fwd[event]) | np.int64(bklm_bwd[event])
        endcaps = np.int64(eklm_fwd[event]) | np.int64(eklm_bwd[event])
        malformed[event] |= barrel >> cuts.barrel_sectors != 0 or endcaps >> cuts.endcap_sectors != 0
        if ideal:
            n_sectors = _count(barrel & (1 << cuts.barrel_sectors) - 1)
            every = (1 << cuts.endcap_sectors) - 1
            n_endcap = _count(np.int64(eklm_fwd[event]) & every) + _count(np.int64(eklm_bwd[event]) & every)
        words[event] = pack(
            (
                n_sectors > 0,  # klm_hit
                n_sectors & 1 != 0,  # klm_0
                n_sectors & 2 != 0,  # klm_1
                n_sectors & 4 != 0,  # klm_2
                pairs == 1,  # klmb2b_0
                pairs == 2,  # klmb2b_1
                pairs > 2,  # klmb2b_2
                n_endcap > 0,  # eklm_hit
                n_endcap & 1 != 0,  # eklm_0
                n_endcap & 2 != 0,  # eklm_1
                n_endcap & 4 != 0,  # eklm_2
            )
        )


def klm_words(columns: Columns, *, ideal: bool = False, cuts: KlmCuts = CUTS) -> tuple[Array, Array]:
    """Return the KLM decisions of each event, and which events are malformed.

    Parameters
    ----------
    columns : Columns
        See `triggers.columns`.
    ideal : bool
        Count the fired sectors (see this file).
    cuts : KlmCuts

    Returns
    -------
    words : (N, 1) uint64
        Bit i is entry i of `KLM_BITS`.
    malformed : (N,) bool
        A trigger track is in a sector beyond 7, and ignored; or such a sector fired, or one beyond 3 of an endcap.
    """
    offsets = columns["klm_track_sectors.offsets"]
    words: Array = np.empty((offsets.size - 1, 1), dtype=np.uint64)
    malformed: Array = np.zeros(offsets.size - 1, dtype=np.bool_)
    masks = (columns[f"{part}_mask_{side}"] for part in ("bklm", "eklm") for side in ("fwd", "bwd"))
    _klm_words(offsets, columns["klm_track_sectors"], *masks, cuts, ideal, words[:, 0], malformed)
    return words, malformed
