"""The GDL input bits of a block of events, made from the primitives of all sub-triggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from daq.errors import EventError
from daq.event import Array, EventBatch
from triggers.bits import transpose_into
from triggers.cdc import CDC_BITS, cdc_words
from triggers.columns import checked
from triggers.ecl.cells import EclTable
from triggers.ecl.clusters import find_clusters
from triggers.ecl.decisions import ECL_BITS, ecl_words
from triggers.ecl.ready import ReadyEcl, ready_words
from triggers.grl.matching import GRL_BITS, grl_words
from triggers.grl.short_tracks import SHORT_BITS, short_words
from triggers.klm import KLM_BITS, klm_words

Quirks = Literal["belle2", "ideal"]
"""Whether the bits are those of the public simulation, or as they are meant where that is known to differ."""

_PARTS = (ECL_BITS, CDC_BITS, KLM_BITS, GRL_BITS, SHORT_BITS)

INPUT_MEANINGS: dict[str, str] = {name: text for part in _PARTS for name, text in part.items()} | {
    "veto": "injection veto, filled in by the timing",
}
"""The input bits that are computed, and what each says; ``veto`` is the last."""

INPUT_NAMES: tuple[str, ...] = tuple(INPUT_MEANINGS)
"""Their names, in the order of the planes."""


def input_planes(
    columns: EventBatch | Mapping[str, Array],
    size: int,
    table: EclTable,
    *,
    quirks: Quirks = "belle2",
    ready: ReadyEcl | None = None,
) -> tuple[Array, Array]:
    columns = checked(columns, size)
    ideal = quirks == "ideal"
    if ready is not None:
        if ready.size != size:
            raise EventError(f"must hold {size} events", key="ready ECL objects", value=ready.size)
        clusters, ecl, malformed = ready_words(ready)
    else:
        hits = (columns[name] for name in ("tc.offsets", "tc.id", "tc.energy_gev", "tc.time_ns"))
        clusters, sums, malformed = find_clusters(*hits)
        ecl = ecl_words(clusters, sums, table, ideal=ideal)
    cdc, bad_tracks = cdc_words(columns)
    klm, bad_sectors = klm_words(columns, ideal=ideal)
    grl = grl_words(columns, clusters)
    short, bad_segments = short_words(columns, clusters, ideal=ideal)

    planes = np.zeros((len(INPUT_NAMES), -(-size // 64)), dtype=np.uint64)
    first = 0
    for bits, words in zip(_PARTS, (ecl, cdc, klm, grl, short), strict=True):
        transpose_into(planes[first : first + len(bits)], words)
        first += len(bits)
    return planes, malformed | bad_tracks | bad_sectors | bad_segments
