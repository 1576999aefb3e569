"""Parquet files with trigger primitives: the columns of the event model that the L1 reads, or some of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from daq.errors import InputError
from daq.event import GROUPS, SCALARS, EventBatch
from daq.source.formats import PARQUET, ends_with
from daq.source.formats.event_table import RECONSTRUCTED, event_batch
from daq.source.formats.parquet import open_parquet, parquet_chunks

_GROUPS = tuple(group for group in GROUPS if group not in RECONSTRUCTED)
_PRIMITIVES = (*_GROUPS, *(column.path for column in SCALARS if "klm_mask" in column.path or column.path == "cdc_t0"))
_NUMBERS = ("event", "event_id")  # which of them a file has, counts its events; else their place in the file does


class PrimitiveFile:
    """The events of a file; groups that it does not have are empty, run numbers that it does not have are 0.

    Raises
    ------
    InputError
        If it is no whole Parquet file, has no column of primitives, or lacks a field of one that it has.
    """

    def __init__(self, path: Path):
        if not ends_with(path, PARQUET):
            raise InputError(
                "must be a run directory, a run configuration (.toml) or a file of primitives (.parquet)", file=path
            )
        self.path = path
        schema = open_parquet(path).schema_arrow
        given = [name for name in _PRIMITIVES if name in schema.names]
        self.absent = tuple(name for name in _PRIMITIVES if name not in given)
        """Columns of primitives that are taken as empty."""
        if "tc" not in given and "ecl_word_0" in schema.names:
            rule = "the cells are not there, only what the ECL trigger made of them: rates need the cells"
            raise InputError(rule, file=path, key="tc")
        if not given:
            raise InputError(f"has none of the columns of trigger primitives ({', '.join(_PRIMITIVES)})", file=path)
        for group in (name for name in given if name in GROUPS and GROUPS[name][0].name):
            _must_have_fields(schema.field(group).type, group, path)
        self._number = next((name for name in _NUMBERS if name in schema.names), None)
        more = ["run", "weight"] if self._number is None else ["run", "weight", self._number]
        self._columns = [*given, *(name for name in more if name in schema.names)]

    @property
    def n_events(self) -> int:
        """Return how many events the file holds."""
        return int(open_parquet(self.path).metadata.num_rows)

    def batches(self, chunk: int, n_events: int | None = None) -> Iterator[EventBatch]:
        """Yield the first ``n_events`` events (all of them if not given), at most ``chunk`` at a time."""
        done, wanted = 0, self.n_events if n_events is None else n_events
        for table in parquet_chunks(open_parquet(self.path), self.path, self._columns, chunk):
            if done >= wanted:
                return
            rows = table.slice(0, wanted - done)
            yield self._batch(rows, done)
            done += rows.num_rows

    def event(self, number: int) -> EventBatch:
        """Return the event of this number; raise `InputError` if there is none."""
        for batch in self.batches(8192):
            if (found := np.flatnonzero(batch["event"] == number)).size:
                return batch.take(found[:1])
        what = f"its column {self._number} holds no such number" if self._number else "it is numbered from 0"
        raise InputError(f"no such event in {self.path} of {self.n_events} ({what})", key="--explain", value=number)

    def _batch(self, table: pa.Table, first: int) -> EventBatch:
        if self._number is not None:
            table = table.rename_columns(["event" if name == self._number else name for name in table.column_names])
        batch = event_batch(table, self.path)
        if not np.isfinite(batch["weight"]).all():
            row = first + int(np.argmin(np.isfinite(batch["weight"])))
            raise InputError("must be finite", file=self.path, key=f"event {row}, weight")
        arrays = batch.arrays()
        if self._number is None:
            arrays["event"] = np.arange(first, first + batch.size)
        return EventBatch(batch.size, arrays)


def _must_have_fields(kind: pa.DataType, group: str, path: Path) -> None:
    names = [column.name for column in GROUPS[group]]
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not pa.types.is_struct(kind.value_type):
        raise InputError(f"must be a list of structs of {', '.join(names)}", file=path, key=group, value=str(kind))
    if missing := [name for name in names if name not in {field.name for field in kind.value_type}]:
        raise InputError(f"lacks the field {missing[0]}", file=path, key=group)
