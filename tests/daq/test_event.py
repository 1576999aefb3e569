"""The event model: selections, joins and the Arrow form keep every number; bad arrays are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.errors import EventError
from daq.event import COLUMNS, LAYOUT, EventBatch, describe
from tests.batches import assert_same, batches

ROOT = Path(__file__).resolve().parents[2]


@given(batches())
def test_arrow_keeps_every_bit(batch: EventBatch):
    """A batch that went through an Arrow table, sliced or not, is the same batch."""
    table = batch.to_arrow()
    assert_same(EventBatch.from_arrow(table), batch)
    if batch.size > 1:
        assert_same(EventBatch.from_arrow(table.slice(1)), batch.take(np.arange(1, batch.size)))


@given(batches())
def test_polars_keeps_every_bit(batch: EventBatch):
    """The spool is read with Polars: its way of writing lists may not change a number."""
    frame = pl.from_arrow(batch.to_arrow())
    assert_same(EventBatch.from_arrow(frame.to_arrow()), batch)


@given(batches(), st.data())
def test_cutting_and_joining_is_the_identity(batch: EventBatch, data: st.DataObject):
    """However a batch is cut in two, joining the pieces gives it back."""
    cut = data.draw(st.integers(0, batch.size))
    pieces = [batch.take(np.arange(cut)), batch.take(np.arange(cut, batch.size))]
    for piece in pieces:
        piece.check()
    assert_same(EventBatch.concatenate(pieces), batch)


@given(batches(), st.data())
def test_take_agrees_with_one_event_at_a_time(batch: EventBatch, data: st.DataObject):
    """A selection of events in any order is what picking them singly gives."""
    if not batch.size:
        return
    chosen = np.array(data.draw(st.lists(st.integers(0, batch.size - 1), max_size=8)), dtype=np.int64)
    singly = EventBatch.concatenate([batch.take(np.array([row])) for row in chosen])
    assert_same(batch.take(chosen), singly)


@given(batches(), st.data())
def test_a_mask_selects_where_it_is_true(batch: EventBatch, data: st.DataObject):
    """A boolean mask and the indices of its true entries select the same events."""
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=batch.size, max_size=batch.size)), dtype=bool)
    assert_same(batch.take(mask), batch.take(np.flatnonzero(mask)))


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"tracks.offsets": [0, 2, 1]}, r"tracks.offsets\[2\]: must not run backwards"),
        ({"tracks.offsets": [1, 2, 3]}, r"tracks.offsets\[0\] = 1: must start at 0"),
        ({"tracks.offsets": [0, 1]}, r"shape of tracks.offsets = \(2,\): must have shape \(3,\)"),
        ({"tc.offsets": [0, 1, 1], "tc.id": [4, 5]}, r"shape of tc.id = \(2,\): must have shape \(1,\)"),
        ({"time_ns": [1]}, r"shape of time_ns"),
        ({"clusters.energy": [1.0]}, "clusters.energy: no such array"),
    ],
)
def test_broken_arrays_are_refused_by_name(arrays: dict, named: str):
    """What is wrong is said with the array, the place and the rule."""
    with pytest.raises(EventError, match=named):
        EventBatch(2, {name: np.array(values) for name, values in arrays.items()})


def test_nulls_in_arrow_are_refused():
    """A missing number has no meaning in a batch, so it is never read as zero."""
    with pytest.raises(EventError, match="time_ns: must not hold nulls"):
        EventBatch.from_arrow(pa.table({"time_ns": pa.array([1, None], pa.int64())}))


def test_every_column_says_what_it_is():
    """The table is the documentation: no column without a meaning, no array name twice."""
    assert all(column.meaning for column in COLUMNS)
    assert len({column.path for column in COLUMNS}) == len(COLUMNS)
    assert {column.path for column in COLUMNS} <= set(LAYOUT)


def test_the_page_is_the_table():
    """docs/event-model.md is generated; a change of the model must show there (`./run schema`)."""
    assert describe() in (ROOT / "docs" / "event-model.md").read_text(encoding="utf-8")
