"""KLM trigger: fired sectors and sectors of the trigger tracks to decisions.

Source: Belle II public software, GRL trigger simulation. Its quirk: it counts the older list of KLM trigger tracks in
place of the fired sectors of the barrel, and does not look at the endcaps. "ideal" counts the fired sectors of both; no
source says how the two halves go together: a sector of the barrel counts once, whichever half is hit, as it does for
the matches with tracks; those of the two endcaps are different sectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.bits import count_bits, pack
from triggers.columns import Columns
from triggers.quirks import Bits, Quirk

_OLD_LIST = "counts the older list of KLM trigger tracks, which newer code does not fill; eight read as none"
_NOT_COUNTED = "the endcap KLM is not looked at"
_PROJECTS = "GRL projects module"

KLM_BITS: Bits = {
    "klm_hit": Quirk("a sector of the barrel KLM fired", "there is a KLM trigger track of the older list", _PROJECTS),
    **{
        f"klm_{k}": Quirk(f"number of fired sectors of the barrel KLM, binary: {1 << k}", _OLD_LIST, _PROJECTS)
        for k in range(3)
    },
    "klmb2b_0": "pairs of KLM trigger tracks in opposite sectors: 1",
    "klmb2b_1": "pairs of KLM trigger tracks in opposite sectors: 2",
    "klmb2b_2": "pairs of KLM trigger tracks in opposite sectors: more than 2",
    "eklm_hit": Quirk("a sector of the endcap KLM fired", _NOT_COUNTED, _PROJECTS, is_constant=True),
    **{
        f"eklm_{k}": Quirk(
            f"number of fired sectors of the endcap KLM, binary: {1 << k}", _NOT_COUNTED, _PROJECTS, is_constant=True
        )
        for k in range(3)
    },
}
"""The decisions of the KLM."""


class KlmCuts(NamedTuple):
    """Sectors of the KLM."""

    barrel_sectors: int = 8
    endcap_sectors: int = 4
    half_turn: int = 4  # sectors of the barrel


CUTS = KlmCuts()


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
        barrel, endcap = (1 << cuts.barrel_sectors) - 1, (1 << cuts.endcap_sectors) - 1
        malformed[event] |= (bklm_fwd[event] | bklm_bwd[event]) & ~barrel != 0
        malformed[event] |= (eklm_fwd[event] | eklm_bwd[event]) & ~endcap != 0
        if ideal:
            n_sectors = count_bits((bklm_fwd[event] | bklm_bwd[event]) & barrel)
            n_endcap = count_bits(eklm_fwd[event] & endcap) + count_bits(eklm_bwd[event] & endcap)
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
        Count the fired sectors.
    cuts : KlmCuts
        Numbers of sectors.

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
    _klm_words(
        offsets,
        columns["klm_track_sectors"],
        columns["bklm_mask_fwd"],
        columns["bklm_mask_bwd"],
        columns["eklm_mask_fwd"],
        columns["eklm_mask_bwd"],
        cuts,
        ideal,
        words[:, 0],
        malformed,
    )
    return words, malformed
