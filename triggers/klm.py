"""KLM trigger: sectors of the trigger tracks to decisions.

Source: Belle II public software, GRL trigger simulation, which counts the older list of KLM trigger tracks.
"""

from __future__ import annotations

import numpy as np

from daq.event import EventBatch
from daq.jit import Array

KLM_NAMES: tuple[str, ...] = ("klm_hit", "klm_0", "klm_1", "klm_2")
"""GDL input bits: there is a KLM trigger track; their number, binary (eight read as none)."""


def klm_words(batch: EventBatch) -> Array:
    """Return the KLM decisions of each event: (N, 1) uint64, bit i is ``KLM_NAMES[i]``."""
    tracks = np.diff(batch["klm_track_sectors.offsets"]).astype(np.uint64)
    word = (tracks > 0).astype(np.uint64) | ((tracks & np.uint64(7)) << np.uint64(1))
    return word[:, None]
