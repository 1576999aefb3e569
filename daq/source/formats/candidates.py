"""Tables with one row a candidate: consecutive rows with the same event number are one event.

basf2's flat ntuples have a row for each candidate of a particle list, and index columns that say which event it is
from. Objects of all rows of an event are put together, in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import awkward as ak
import numpy as np

from daq.errors import InputError
from daq.event import GROUPS, SCALARS, Array, EventBatch
from daq.source.formats.tables import Table, numbers, resolve

INDEX = ("__experiment__", "__run__", "__event__")
_CANDIDATE = "__candidate__"


def whole_events(
    table: Table, names: Sequence[str], group_by: Sequence[str], chunk: int
) -> Iterator[tuple[dict[str, ak.Array], Array]]:
    """Yield (columns, first row of each event) for some rows at a time; events are never cut.

    Raises
    ------
    InputError
        If rows are candidates, but nothing says which of them are one event.
    """
    keys = [resolve(table, name) for name in group_by]
    witness = [_CANDIDATE] if not keys and _CANDIDATE in table.names else []
    kept: dict[str, ak.Array] | None = None
    for arrays in table.chunks(list(dict.fromkeys([*names, *keys, *witness])), chunk):
        rows = arrays if kept is None else {name: ak.concatenate([kept[name], arrays[name]]) for name in arrays}
        if not keys:
            _refuse_candidates(table, rows, witness)
            yield rows, np.arange(len(rows[names[0]]))
            continue
        starts = _starts(table, rows, keys)
        kept = {name: array[starts[-1] :] for name, array in rows.items()}  # the last event may go on
        if starts.size > 1:
            yield {name: array[: starts[-1]] for name, array in rows.items()}, starts[:-1]
    if kept is not None:
        yield kept, np.zeros(1, dtype=np.int64)


def _refuse_candidates(table: Table, rows: dict[str, ak.Array], witness: Sequence[str]) -> None:
    for name in witness:
        if np.any(ak.to_numpy(rows[name]) > 0):
            index = ", ".join(f'"{column}"' for column in INDEX)
            rule = f"a row is a candidate, not an event: say which columns name the event, group_by = [{index}]"
            raise InputError(rule, file=table.path, key="[replay] group_by")


def _starts(table: Table, rows: dict[str, ak.Array], keys: Sequence[str]) -> Array:
    """Return the rows at which an event begins."""
    columns = []
    for key in keys:
        lengths, values = numbers(rows[key], key, table.path)
        if lengths:
            raise InputError("must be one flat column", file=table.path, key="[replay] group_by", value=key)
        columns.append(values)
    index = np.stack(columns)
    return np.concatenate([[0], 1 + np.flatnonzero((index[:, 1:] != index[:, :-1]).any(axis=0))])


def merged(batch: EventBatch, starts: Array) -> EventBatch:
    """Return the batch whose events are the rows from one start to the next; the first row gives their scalars."""
    if starts.size == batch.size:
        return batch
    edges = np.append(starts, batch.size)
    arrays = batch.arrays()
    for column in SCALARS:
        arrays[column.path] = arrays[column.path][starts]
    # Indices of clusters count from the first of the event, not of the row.
    first_row = np.repeat(starts, np.diff(edges))
    shift = batch["clusters.offsets"][:-1] - batch["clusters.offsets"][first_row]
    row_of_track = np.repeat(np.arange(batch.size), np.diff(batch["tracks.offsets"]))
    matches = np.diff(batch["tracks.clusters.offsets"])
    arrays["tracks.clusters"] = batch["tracks.clusters"] + np.repeat(shift[row_of_track], matches).astype("<u2")
    for group in GROUPS:
        arrays[f"{group}.offsets"] = arrays[f"{group}.offsets"][edges]
    return EventBatch(starts.size, arrays)
