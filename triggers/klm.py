"""KLM trigger: sectors of the trigger tracks to decisions.

Source: Belle II public software, GRL trigger simulation, which counts the older list of KLM trigger tracks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.event import EventBatch
from daq.jit import Array, kernel
from triggers.bits import pack


class KlmBits(NamedTuple):
    """The decisions of the KLM, by the names of the GDL input bits."""

    klm_hit: bool  # there is a trigger track
    klm_0: bool  # their number, binary (eight read as none)
    klm_1: bool
    klm_2: bool
    klmb2b_0: bool  # pairs of trigger tracks in opposite sectors: 1, 2, more
    klmb2b_1: bool
    klmb2b_2: bool


KLM_NAMES: tuple[str, ...] = KlmBits._fields


@kernel
def _klm_words(offsets: Array, sectors: Array, half_turn: int, words: Array) -> None:
    for event in range(words.size):
        count = offsets[event + 1] - offsets[event]
        pairs = 0
        for i in range(offsets[event], offsets[event + 1]):
            for j in range(offsets[event], i):
                pairs += abs(np.int64(sectors[i]) - np.int64(sectors[j])) == half_turn
        words[event] = pack(
            KlmBits(
                count > 0,  # klm_hit
                count & 1 != 0,  # klm_0
                count & 2 != 0,  # klm_1
                count & 4 != 0,  # klm_2
                pairs == 1,  # klmb2b_0
                pairs == 2,  # klmb2b_1
                pairs > 2,  # klmb2b_2
            )
        )


def klm_words(batch: EventBatch) -> Array:
    """Return the KLM decisions of each event: (N, 1) uint64, bit i is field i of `KlmBits`."""
    offsets = batch["klm_track_sectors.offsets"]
    words: Array = np.zeros((offsets.size - 1, 1), dtype=np.uint64)
    _klm_words(offsets, batch["klm_track_sectors"], 4, words[:, 0])
    return words
