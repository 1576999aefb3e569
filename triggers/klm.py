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
from triggers.primitives import Primitives
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


@kernel
def klm_words(primitives: Primitives, cuts: KlmCuts, ideal: bool, words: Array, malformed: Array) -> None:
    """Fill the (N,) words of `KLM_BITS`; "ideal" counts fired sectors.

    An event is malformed if a trigger track is in a sector beyond 7, which is ignored, or if such a sector fired, or
    one beyond 3 of an endcap.
    """
    offsets, sectors = primitives.klm_track_sectors_offsets, primitives.klm_track_sectors
    bklm_fwd, bklm_bwd = primitives.bklm_mask_fwd, primitives.bklm_mask_bwd
    eklm_fwd, eklm_bwd = primitives.eklm_mask_fwd, primitives.eklm_mask_bwd
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
