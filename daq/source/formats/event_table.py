"""Parquet files with the columns of the event model itself, such as spooled event parts: no column map needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from daq.errors import EventError, InputError
from daq.event import GROUPS, SCALARS, EventBatch
from daq.source.formats.parquet import open_parquet, parquet_chunks

TRUTH = ("weight", "mass_gev", "ctau_cm")
RECONSTRUCTED = ("tracks", "clusters")
INJECTION = ("t_injection_us", "injection_ring", "bunch")
# What the trigger electronics see: these columns, where a file has all of them, need not be made again.
_PRIMITIVES = (
    *(column.path for column in SCALARS if "klm_mask" in column.path or column.path == "cdc_t0"),
    *(group for group in GROUPS if group not in RECONSTRUCTED),
)
COLUMNS: dict[str, tuple[str, ...]] = {
    "reconstruction": (*TRUTH, *RECONSTRUCTED),
    "events": (*TRUTH, *RECONSTRUCTED, *_PRIMITIVES, *INJECTION),
}
"""Columns of a batch that a file of this level brings; the beam clock and the source bring the others."""


def level_of_columns(names: Collection[str]) -> Literal["reconstruction", "events"] | None:
    """Tell what a file with these columns holds; None if they are not those of the event model."""
    if not set(RECONSTRUCTED).issubset(names):
        return None
    return "events" if set(_PRIMITIVES).issubset(names) else "reconstruction"


def read_event_table(path: Path, level: str, chunk: int) -> Iterator[EventBatch]:
    """Yield the columns of ``level`` of a Parquet file, at most ``chunk`` events at a time.

    Raises
    ------
    InputError
        If the file is cut or damaged, lacks a field of a group, or a column does not fit the event model.
    """
    file = open_parquet(path)
    schema = file.schema_arrow
    for group in (name for name in COLUMNS[level] if name in GROUPS and GROUPS[name][0].name):
        _must_have_fields(schema.field(group).type, group, path)
    done = 0
    known = [name for name in COLUMNS[level] if name in schema.names]
    for table in parquet_chunks(file, path, known, chunk):
        batch = event_batch(table, path)
        check_events(batch, path, done)
        done += batch.size
        yield batch


def event_batch(table: pa.Table, path: Path) -> EventBatch:
    """Return the batch of a table; events without a weight weigh 1."""
    if "weight" not in table.column_names:
        table = table.append_column("weight", pa.array(np.ones(table.num_rows, dtype=np.float32)))
    try:
        return EventBatch.from_arrow(table)
    except EventError as error:
        raise InputError(error.rule, file=path, key=error.key, value=error.value) from None


def _must_have_fields(kind: pa.DataType, group: str, path: Path) -> None:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        raise InputError("must be a list of structs, or be mapped by [replay.columns]", file=path, key=group)
    given = {field.name for field in kind.value_type}
    missing = [column.name for column in GROUPS[group] if column.name not in given]
    if missing:
        rule = f"lacks {', '.join(missing)}: give all fields of the event model, or a map in [replay.columns]"
        raise InputError(rule, file=path, key=group)


def check_events(batch: EventBatch, path: Path, first_event: int) -> None:
    """Raise `InputError` if an object is not finite, or if a track names a cluster that its event does not have."""
    for group in RECONSTRUCTED:
        for column in GROUPS[group]:
            values = batch[column.path]
            if values.dtype.kind != "f" or column.name == "time_ns":  # a time may be unknown
                continue
            good = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
            if not good.all():
                event = int(np.searchsorted(batch[f"{group}.offsets"], np.argmin(good), side="right")) - 1
                raise InputError("must be finite", file=path, key=f"event {first_event + event}, {column.path}")
    event_of = matched_events(batch)
    index = batch["tracks.clusters"].astype(np.int64)
    n_clusters = np.diff(batch["clusters.offsets"])[event_of]
    if (wrong := np.flatnonzero(index >= n_clusters)).size:
        key = f"event {first_event + int(event_of[wrong[0]])}, tracks.clusters"
        rule = f"must be the index of one of the event's {n_clusters[wrong[0]]} clusters"
        raise InputError(rule, file=path, key=key, value=int(index[wrong[0]]))


def matched_events(batch: EventBatch) -> np.ndarray:
    """Return the event of each entry of ``tracks.clusters``."""
    tracks = np.repeat(np.arange(batch.size), np.diff(batch["tracks.offsets"]))
    return np.repeat(tracks, np.diff(batch["tracks.clusters.offsets"]))
