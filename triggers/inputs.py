"""The GDL input bits of a block of events, made from the primitives of all sub-triggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from daq.errors import EventError
from daq.event import EventBatch
from daq.jit import Array, kernel
from triggers.bits import transpose_into
from triggers.cdc import CDC_BITS, CdcCuts, cdc_words
from triggers.ecl.cells import Cells, EclTable, cells
from triggers.ecl.clusters import TANGENTS, ClusterCuts, Clusters, find_clusters
from triggers.ecl.counts import CountCuts
from triggers.ecl.decisions import ECL_BITS, EclCuts, ecl_words
from triggers.ecl.ready import ReadyEcl, ready_words
from triggers.grl.matching import GRL_BITS, CellDirections, GrlCuts, cell_directions, grl_words
from triggers.grl.short_tracks import SHORT_BITS, ShortCuts, ShortTables, short_tables, short_words
from triggers.klm import KLM_BITS, KlmCuts, klm_words
from triggers.primitives import Primitives, primitives_of
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


class Cuts(NamedTuple):
    """Thresholds and windows of all sub-triggers."""

    clusters: ClusterCuts = ClusterCuts()
    counts: CountCuts = CountCuts()
    ecl: EclCuts = EclCuts()
    cdc: CdcCuts = CdcCuts()
    klm: KlmCuts = KlmCuts()
    grl: GrlCuts = GrlCuts()
    short: ShortCuts = ShortCuts()


_CUTS = Cuts()


class Tables(NamedTuple):
    """Tables of all sub-triggers."""

    ecl: EclTable
    cells: Cells
    tangents: Array
    directions: CellDirections
    short: ShortTables


@kernel
def _words_beside_ecl(
    primitives: Primitives, clusters: Clusters, tables: Tables, cuts: Cuts, ideal: bool, words: Array, malformed: Array
) -> None:
    """Fill the words of all parts but the ECL, which is the first row."""
    cdc_words(primitives, cuts.cdc, words[1], malformed)
    klm_words(primitives, cuts.klm, ideal, words[2], malformed)
    grl_words(primitives, clusters, tables.directions, cuts.grl, words[3])
    short_words(primitives, clusters, tables.short, cuts.short, ideal, words[4], malformed)


@kernel
def _words(
    primitives: Primitives,
    is_rounded: bool,
    tables: Tables,
    cuts: Cuts,
    ideal: bool,
    words: Array,
    malformed: Array,
) -> None:
    """Fill the words of all parts, one row a part."""
    clusters, sums = find_clusters(primitives, is_rounded, tables.cells, tables.tangents, cuts.clusters, malformed)
    ecl_words(clusters, sums, tables.ecl, cuts.counts, cuts.ecl, ideal, words[0])
    _words_beside_ecl(primitives, clusters, tables, cuts, ideal, words, malformed)


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
        The primitives by the names of the event model, see `triggers.primitives.primitives_of`.
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
    primitives = primitives_of(columns, size)
    ideal = quirks == "ideal"
    tables = Tables(table, cells(), TANGENTS, cell_directions(), short_tables(ideal=ideal))
    words = np.empty((len(_PARTS), size), dtype=np.uint64)
    malformed: Array = np.zeros(size, dtype=np.bool_)
    if ready is None:
        is_rounded = primitives.tc_energy_gev.dtype == np.float32
        _words(primitives, is_rounded, tables, _CUTS, ideal, words, malformed)
    else:
        if ready.size != size:
            raise EventError(f"must hold {size} events", key="ready ECL objects", value=ready.size)
        clusters, words[0], malformed = ready_words(ready, _CUTS.clusters)
        _words_beside_ecl(primitives, clusters, tables, _CUTS, ideal, words, malformed)

    planes = np.zeros((len(INPUT_NAMES), -(-size // 64)), dtype=np.uint64)
    first = 0
    for (_, part), row in zip(_PARTS, words, strict=True):
        transpose_into(planes[first : first + len(part)], row[:, None])
        first += len(part)
    return planes, malformed
