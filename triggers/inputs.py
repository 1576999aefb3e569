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
from triggers.quirks import Bits, Quirk

Quirks = Literal["belle2", "ideal"]
"""Whether the bits are those of the public simulation, or what they mean where that is known: `triggers.quirks`."""

_PARTS: tuple[tuple[str, Bits], ...] = (
    ("ECL", ECL_BITS),
    ("CDC", CDC_BITS),
    ("KLM", KLM_BITS),
    ("GRL", GRL_BITS),
    ("GRL", SHORT_BITS),
)
_BITS: Bits = {name: says for _, part in _PARTS for name, says in part.items()}

SUB_TRIGGERS: dict[str, str] = {name: label for label, part in _PARTS for name in part}
"""The sub-trigger that makes each input bit."""

QUIRKS: dict[str, Quirk] = {name: says for name, says in _BITS.items() if isinstance(says, Quirk)}
"""Input bits that the public simulation does not give as they are meant."""

INPUT_MEANINGS: dict[str, str] = {
    **{name: says.ideal if isinstance(says, Quirk) else says for name, says in _BITS.items()},
    "veto": "injection veto",
}
"""The input bits that there are, and what each means; for what some say with "belle2" see `QUIRKS`."""

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
    """Return the input bits of N events, and who is malformed.

    Parameters
    ----------
    columns : EventBatch or mapping of arrays
        The primitives by the names of the event model, see `triggers.columns.checked`.
    size : int
        Number of events, N.
    table : EclTable
        Angles and energy factors of the ECL cells in the CM frame.
    quirks : "belle2" or "ideal"
        See `triggers.quirks`.
    ready : ReadyEcl, optional
        ECL objects in place of the cells, which are not looked at then.

    Returns
    -------
    planes : (inputs, ceil(N / 64)) uint64
        In the order of `INPUT_NAMES`; ``veto`` is all 0.
    malformed : (N,) bool
        Something in the event cannot be: it is left out, and the event is not to be trusted.

    Raises
    ------
    EventError
        If arrays do not fit together.
    """
    arrays = checked(columns, size)
    ideal = quirks == "ideal"
    if ready is None:
        clusters, sums, malformed = find_clusters(
            arrays["tc.offsets"], arrays["tc.id"], arrays["tc.energy_gev"], arrays["tc.time_ns"]
        )
        ecl = ecl_words(clusters, sums, table, ideal=ideal)
    else:
        if ready.size != size:
            raise EventError(f"must hold {size} events", key="ready ECL objects", value=ready.size)
        clusters, ecl, malformed = ready_words(ready)
    cdc, bad_tracks = cdc_words(arrays)
    klm, bad_sectors = klm_words(arrays, ideal=ideal)
    short, bad_segments = short_words(arrays, clusters, ideal=ideal)

    planes = np.zeros((len(INPUT_NAMES), -(-size // 64)), dtype=np.uint64)
    first = 0
    for (_, bits), words in zip(_PARTS, (ecl, cdc, klm, grl_words(arrays, clusters), short), strict=True):
        transpose_into(planes[first : first + len(bits)], words)
        first += len(bits)
    return planes, malformed | bad_tracks | bad_sectors | bad_segments
