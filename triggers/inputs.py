"""The GDL input bits of a block of events, made from the primitives of all sub-triggers."""

from __future__ import annotations

import numpy as np

from daq.event import Array, EventBatch
from triggers.bits import planes_of
from triggers.cdc import CDC_NAMES, cdc_words
from triggers.ecl.cells import EclTable
from triggers.ecl.decisions import ECL_NAMES, ecl_words
from triggers.grl.clusters import clusters_of_hits
from triggers.grl.matching import GRL_NAMES, grl_words
from triggers.grl.short_tracks import SHORT_NAMES, short_words
from triggers.klm import KLM_NAMES, klm_words

INPUT_NAMES: tuple[str, ...] = (*ECL_NAMES, *CDC_NAMES, *KLM_NAMES, *GRL_NAMES, *SHORT_NAMES, "veto")
"""The input bits that are computed, in the order of the planes; ``veto`` is for the timing to fill."""


def input_planes(batch: EventBatch, table: EclTable) -> tuple[Array, Array]:
    """Return the (inputs, ceil(N / 64)) uint64 planes of `INPUT_NAMES`, ``veto`` all 0, and who is malformed."""
    ecl, bad_ecl = ecl_words(batch, table)
    cdc, bad_cdc = cdc_words(batch)
    clusters = clusters_of_hits(batch["tc.offsets"], batch["tc.id"], batch["tc.energy_gev"], batch["tc.time_ns"])
    short, bad_segments = short_words(batch, clusters)
    planes = np.concatenate(
        [
            planes_of(ecl, len(ECL_NAMES)),
            planes_of(cdc, len(CDC_NAMES)),
            planes_of(klm_words(batch), len(KLM_NAMES)),
            planes_of(grl_words(batch, clusters), len(GRL_NAMES)),
            planes_of(short, len(SHORT_NAMES)),
            np.zeros((1, -(-batch.size // 64)), dtype=np.uint64),
        ]
    )
    return planes, bad_ecl | bad_cdc | bad_segments
