"""The L1 on files: however a sample is laid out, the bits are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from polars.testing import assert_frame_equal

from daq.settings import BeamSettings
from tests.triggers.files.making import CLUSTER, GOOD_CLUSTER, MENU, bits_of, save
from tests.triggers.vectors import ECL_SAMPLE, GRL_SAMPLE, sample_batch
from triggers.bits import flags_of
from triggers.emulator import L1Emulator
from triggers.gdl.menu import L1Menu


def relaid(table: pa.Table, change: Callable[[pa.DataType], pa.DataType]) -> pa.Table:
    """Return a table with the type of each number changed, however deep in lists and objects it is."""

    def inside(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_large_list(kind):
            return change(pa.large_list(inside(kind.value_type)))
        if pa.types.is_struct(kind):
            return pa.struct([(field.name, inside(field.type)) for field in kind])
        return change(kind)

    return pa.table({name: table[name].cast(inside(table[name].type)) for name in table.column_names})


def small_lists(kind: pa.DataType) -> pa.DataType:
    """Make lists of large lists."""
    return pa.list_(kind.value_type) if pa.types.is_large_list(kind) else kind


def small_floats(kind: pa.DataType) -> pa.DataType:
    """Make every float 32 bits wide, as the event model has them."""
    return pa.float32() if pa.types.is_floating(kind) else kind


def wide_integers(kind: pa.DataType) -> pa.DataType:
    """Make every integer 64 bits wide."""
    return pa.int64() if pa.types.is_integer(kind) else kind


def float_integers(kind: pa.DataType) -> pa.DataType:
    """Make every integer a float, as pandas does where a value is missing."""
    return pa.float64() if pa.types.is_integer(kind) else kind


def reversed_fields(table: pa.Table) -> pa.Table:
    """Return a table with the columns, and the fields of their objects, in reverse order, and a field more."""
    columns = {}
    for name in reversed(table.column_names):
        column = table[name].combine_chunks()
        kind = column.type
        if pa.types.is_large_list(kind) and pa.types.is_struct(kind.value_type):
            inner = column.values
            names = [field.name for field in inner.type][::-1]
            arrays = [inner.field(field) for field in names]
            extra = pa.array(["extra"] * len(inner))
            inner = pa.StructArray.from_arrays([*arrays, extra], [*names, "more"])
            column = pa.LargeListArray.from_arrays(column.offsets, inner)
        columns[name] = column
    return pa.table(columns)


def null_lists(table: pa.Table) -> pa.Table:
    """Return a table with null for every empty list."""
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_large_list(column.type):
            empty = pa.array(np.diff(column.offsets.to_numpy()) == 0)
            column = pa.LargeListArray.from_arrays(column.offsets, column.values, mask=empty)
        columns[name] = column
    return pa.table(columns)


@pytest.mark.parametrize("sample", [ECL_SAMPLE, GRL_SAMPLE], ids=["ecl", "grl"])
@pytest.mark.parametrize(
    ("change", "ending", "options"),
    [
        (lambda table: relaid(table, small_lists), "parquet", {}),
        (lambda table: relaid(table, small_floats), "parquet", {}),
        (lambda table: relaid(table, wide_integers), "parquet", {}),
        (lambda table: relaid(table, float_integers), "parquet", {}),
        (reversed_fields, "parquet", {}),
        (null_lists, "parquet", {}),
        (lambda table: table, "parquet", {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"}),
        (lambda table: table, "parquet", {"row_group_size": 10}),
        (lambda table: table, "arrow", {}),
        (null_lists, "arrow", {}),
        (lambda table: table, "feather", {"compression": "lz4"}),
    ],
)
def test_any_layout_gives_the_same_bits(
    tmp_path: Path, sample: Path, change: Callable[[pa.Table], pa.Table], ending: str, options: dict[str, Any]
):
    """Lists large or not, any width of numbers, any order of fields, either format, however it is cut: one result."""
    copy = save(pq.read_table(sample), tmp_path / "plain.parquet")
    changed = save(change(pq.read_table(sample)), tmp_path / f"changed.{ending}", **options)
    assert_frame_equal(bits_of(changed), bits_of(copy), check_dtypes=False)


@pytest.mark.parametrize("sample", [ECL_SAMPLE, GRL_SAMPLE], ids=["ecl", "grl"])
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("rows", [7, 64, 100])
def test_bits_do_not_depend_on_the_rows_read_at_a_time(tmp_path: Path, sample: Path, ending: str, rows: int):
    """One row at a time, or more than the file has: bits and prescales agree."""
    copy = save(pq.read_table(sample), tmp_path / f"sample.{ending}")
    for bits in ("inputs", "psnm"):
        assert_frame_equal(bits_of(copy, bits=bits, rows_at_once=rows), bits_of(copy, bits=bits))


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_parts_in_a_folder_are_one_sample(tmp_path: Path, ending: str):
    """Files in a folder come by name, also without event numbers: the prescales then count rows through all files."""
    table = pq.read_table(ECL_SAMPLE)
    numbers = pa.array(np.arange(table.num_rows, dtype=np.uint64))
    whole = save(table.select(["tc"]).append_column("event", numbers), tmp_path / "whole.parquet")
    folder = tmp_path / "parts"
    folder.mkdir()
    for part, (begin, end) in enumerate([(0, 100), (100, 100), (100, table.num_rows)]):
        save(table.select(["tc"]).slice(begin, end - begin), folder / f"part-{part}.{ending}")
    (folder / "notes.txt").write_text("not a table")
    (folder / ".hidden.parquet").write_text("not a table either")
    for bits in ("inputs", "psnm"):
        assert_frame_equal(bits_of(folder, bits=bits), bits_of(whole, bits=bits).drop("event"))


def test_a_file_with_events_of_the_stream_decides_as_the_stream(tmp_path: Path):
    """All columns of the event model, in its precision: every bit is that of the emulator, prescales too."""
    batch = sample_batch()
    path = save(batch.to_arrow(), tmp_path / "events.parquet")
    expected = L1Emulator(MENU, seed=5, beam=BeamSettings()).process(batch)
    for bits, words, names in (
        ("inputs", expected.inputs, MENU.input_names),
        ("ftdl", expected.ftdl, MENU.line_names),
        ("psnm", expected.psnm, MENU.line_names),
    ):
        found = bits_of(path, bits=bits, seed=5)
        assert found.columns == ["run", "event", *names]
        for k, name in enumerate(names):
            assert_array_equal(found[name].to_numpy(), flags_of(words, k), err_msg=name)
        assert_array_equal(found["event"].to_numpy(), batch["event"])


def test_absent_columns_are_empty(tmp_path: Path):
    """Each primitive alone is enough; bits that need others are as in an empty event."""
    grl = pq.read_table(GRL_SAMPLE)
    whole = bits_of(save(grl, tmp_path / "whole.parquet"))
    for name, bits in (("trk2d", ["t2_0", "cdc_b2b5"]), ("segments", ["ti"]), ("klm_track_sectors", ["klm_hit"])):
        alone = bits_of(save(grl.select(["event_id", name]), tmp_path / f"{name}.parquet"))
        assert_frame_equal(alone.select("event_id", *bits), whole.select("event_id", *bits))
        assert not alone["ecl_active"].any() and not alone["ty_0"].any()
        assert alone["seklm_0"].all()


def test_trigger_cells_go_before_ready_objects(tmp_path: Path):
    """A file with cells may have clusters of any kind: those are not looked at."""
    table = pq.read_table(ECL_SAMPLE).select(["event_id", "tc"])
    expected = bits_of(save(table, tmp_path / "cells.parquet"))
    with_more = table.append_column("clusters", pa.array(["?"] * table.num_rows)).append_column(
        "ecl_present", pa.nulls(table.num_rows)
    )
    assert_frame_equal(bits_of(save(with_more, tmp_path / "more.parquet")), expected)


def test_a_packed_word_is_read_bit_by_bit(tmp_path: Path):
    """ECL bit i sits in word i // 32, bit i % 32; without a record of the ECL nothing counts but the clusters."""
    places = {
        "ecl_bha": 19,
        "ehigh": 48,
        "bha_veto": 61,
        "ecl_lml_1": 63,
        "ecl_lml_2": 64,
        "ecl_lml_13": 79,
        "hie4": 95,
    }
    n = len(places)
    words = np.zeros((4, 2 * n), dtype=np.uint32)
    for row, bit in enumerate(places.values()):
        words[bit // 32, [row, row + n]] = 1 << bit % 32
    columns = {f"ecl_word_{k}": words[k] for k in range(4)}
    columns |= {"ecl_present": np.repeat([True, False], n), "ecl_time_ns": np.zeros(2 * n)}
    columns["clusters"] = pa.array([[GOOD_CLUSTER] * 5] * 2 * n, pa.list_(CLUSTER))
    found = bits_of(save(pa.table(columns), tmp_path / "ready.parquet"))
    for row, name in enumerate(places):
        expected = np.zeros(2 * n, dtype=np.bool_)
        expected[row] = True
        assert_array_equal(found[name].to_numpy(), expected, err_msg=name)
    assert_array_equal(found["ecl_3dbha"].to_numpy(), found["bha_veto"].to_numpy())
    assert_array_equal(found["ecl_active"].to_numpy(), columns["ecl_present"])
    assert found["clst_0"].all() and not found["clst_1"].any() and found["clst_2"].all()


def test_what_stands_behind_a_null_list_is_not_looked_at(tmp_path: Path):
    """Arrow lets a null have values of its own; they count for nothing, and the objects of other events stay theirs."""
    numbers = pa.array([0, 9999, 9999, 330], pa.int32())
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 3, 4], pa.int32()), numbers, mask=pa.array([False, True, False]))
    segments = pa.table({"segments": lists, "klm_track_sectors": pa.array([[], None, [3]], pa.list_(pa.int8()))})
    for rows in (1, 2, 3):
        found = bits_of(save(segments, tmp_path / "null.arrow"), rows_at_once=rows)
        assert found["klm_hit"].to_list() == [False, False, True]


def test_no_rows_are_no_bits(tmp_path: Path):
    """A file without rows gives a file without rows, with all columns."""
    for ending in ("parquet", "arrow"):
        found = bits_of(save(pq.read_table(ECL_SAMPLE).slice(0, 0), tmp_path / f"none.{ending}"), bits="ftdl")
        assert found.columns == ["event_id", *MENU.line_names]
        assert found.height == 0
        assert set(found.dtypes[1:]) == {pl.Boolean}


@pytest.mark.parametrize("rows", [64, 100])
def test_prescales_by_counter_count_through_all_rows(tmp_path: Path, rows: int):
    """However many rows are read at a time, each third event of a line passes."""
    (tmp_path / "menu.toml").write_text(
        'name = "counted"\nprescale_by = "counter"\n\n[[line]]\nname = "any"\nlogic = "ecl_active"\nprescale = 3\n',
        encoding="utf-8",
    )
    menu, sample = L1Menu.load(tmp_path / "menu.toml"), save(pq.read_table(ECL_SAMPLE), tmp_path / "sample.parquet")
    fired = bits_of(sample, menu=menu, bits="ftdl")["any"].to_numpy()
    passed = bits_of(sample, menu=menu, bits="psnm", rows_at_once=rows)["any"]
    np.testing.assert_array_equal(np.flatnonzero(passed.to_numpy()), np.flatnonzero(fired)[2::3])
