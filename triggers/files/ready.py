"""The input bits of events whose ECL objects come ready: packed words and clusters instead of trigger cells.

Source of the bit numbers: Belle II public software, ECL trigger simulation (the list of ECL bits sent to the GDL).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from daq.errors import InputError
from daq.jit import Array
from triggers.bits import planes_of
from triggers.cdc import CDC_NAMES, cdc_words
from triggers.ecl.cells import EclTable
from triggers.ecl.decisions import ECL_NAMES
from triggers.files.primitives import Primitives
from triggers.grl.clusters import NO_ECL_NS, clusters_at
from triggers.grl.matching import GRL_NAMES, grl_words
from triggers.grl.short_tracks import SHORT_NAMES, short_words
from triggers.inputs import input_planes
from triggers.klm import KLM_NAMES, klm_words

if TYPE_CHECKING:
    from daq.event import EventBatch

ECL_BITS: dict[str, int] = {
    **{f"ecl_timing_{region}": 15 + k for k, region in enumerate(("fwd", "brl", "bwd"))},
    "ecl_phys": 18,
    "ecl_bha": 19,
    **{f"bha_type_{k}": 20 + k for k in range(14)},
    **{name: 47 + k for k, name in enumerate(("elow", "ehigh", "elum"))},
    **{f"ecl_bg_{k}": 57 + k for k in range(3)},
    "ecl_oflo": 60,
    "ecl_3dbha": 61,
    "bha_veto": 61,
    **{f"ecl_lml_{k}": 62 + k for k in range(12)},
    "ecl_bhapur": 74,
    "ecl_mumu": 75,
    "ecl_bst": 77,
    "ecl_lml_12": 78,
    "ecl_lml_13": 79,
    "bha_intrk": 86,
    "bha_theta_0": 87,
    "bha_theta_1": 88,
    "ecl_taub2b": 89,
    "hie1": 90,
    "hie2": 91,
    "hie3": 92,
    "ecl_taub2b2": 93,
    "ecl_taub2b3": 94,
    "hie4": 95,
}
"""Input bit -> ECL bit: bit i sits in word i // 32, bit i % 32."""


def planes_of_primitives(primitives: Primitives, table: EclTable, quirks: str) -> Array:
    """Return the planes of `triggers.inputs.INPUT_NAMES` of checked primitives."""
    if quirks != "belle2":
        raise InputError("only belle2 is there", key="--quirks", value=quirks)
    batch = cast("EventBatch", primitives)  # the kernels ask for arrays by name, in whatever precision
    if primitives.ready is None:
        planes, malformed = input_planes(batch, table)
        assert not malformed.any()
        return planes
    ready = primitives.ready
    fields = {name: ready[f"clusters.{name}"] for name in ("x_cm", "y_cm", "z_cm", "energy_gev", "time_ns", "theta_id")}
    clusters = clusters_at(
        ready["clusters.offsets"],
        **fields,
        cell=ready["clusters.tc_id"],
        event_time_ns=np.where(ready["ecl_present"], ready["ecl_time_ns"], NO_ECL_NS),
    )
    return np.concatenate(
        [
            planes_of(ready_ecl_words(ready), len(ECL_NAMES)),
            planes_of(cdc_words(batch)[0], len(CDC_NAMES)),
            planes_of(klm_words(batch), len(KLM_NAMES)),
            planes_of(grl_words(batch, clusters), len(GRL_NAMES)),
            planes_of(short_words(batch, clusters)[0], len(SHORT_NAMES)),
            np.zeros((1, -(-primitives.size // 64)), dtype=np.uint64),
        ]
    )


def ready_ecl_words(ready: Mapping[str, Array]) -> Array:
    """Return the ECL decisions, (N, 1) uint64 by `ECL_NAMES`: of an event with a record its packed words.

    The number of clusters is that of the list, whether there is a record or not. What is not sent is 0.
    """
    present = ready["ecl_present"]
    count = np.diff(ready["clusters.offsets"])
    flags = {name: present & (ready[f"ecl_word_{bit // 32}"] >> bit % 32 & 1 != 0) for name, bit in ECL_BITS.items()}
    flags |= {f"clst_{k}": count >> k & 1 != 0 for k in range(4)}
    flags["ecl_active"] = present
    words = np.zeros((present.size, 1), dtype=np.uint64)
    for i, name in enumerate(ECL_NAMES):
        if name in flags:
            words[:, 0] |= flags[name].astype(np.uint64) << np.uint64(i)
    return words
