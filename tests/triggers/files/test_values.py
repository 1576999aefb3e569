"""The L1 on files: what no detector can give is refused with row, event, value and rule."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.triggers.files.making import (
    CELL,
    CLUSTER,
    GOOD_CLUSTER,
    TRACK,
    TRACK_3D,
    bits_of,
    cells,
    one,
    refused,
    save,
    track,
)
from triggers.files.primitives import PRIMITIVES

BAD_VALUES: list[tuple[str, Any, pa.DataType, str]] = [
    ("tc", cells(1, 0), pa.list_(CELL), "tc[1].id = 0: must be a whole number from 1 to 576"),
    ("tc", cells(5, 577), pa.list_(CELL), "tc[1].id = 577: must be a whole number from 1 to 576"),
    ("tc", cells(7, 7), pa.list_(CELL), "tc[1].id = 7: must rise, each cell comes once; the one before is 7"),
    ("tc", cells(8, 9, 3), pa.list_(CELL), "tc[2].id = 3: must rise, each cell comes once; the one before is 9"),
    *(
        ("tc", cells(1, 2, energy_gev=value), pa.list_(CELL), f"tc[1].energy_gev = {value}: must be above 0")
        for value in (0.0, -0.5, math.nan, math.inf, -math.inf, 1e5)
    ),
    *(
        ("tc", cells(1, 2, time_ns=value), pa.large_list(CELL), f"tc[1].time_ns = {value}: must be finite")
        for value in (math.nan, math.inf, -math.inf)
    ),
    ("tc", cells(*range(1, 578)), pa.list_(CELL), "length of tc = 577: the ECL has 576 cells"),
    ("tc", [*cells(1), None], pa.list_(CELL), "tc[1]: must not be null"),
    ("tc", cells(1, 2, id=None), pa.list_(CELL), "tc[1].id: must not be null"),
    ("trk2d", track(phi0=7.0), pa.list_(TRACK), "trk2d[1].phi0 = 7.0: must lie between -2 pi and 2 pi"),
    ("trk2d", track(omega=1.0), pa.list_(TRACK), "trk2d[1].omega = 1.0: must lie between -1 and 1 /cm"),
    ("trk2d", track(omega=math.nan), pa.list_(TRACK), "trk2d[1].omega = nan: must lie between -1 and 1 /cm"),
    ("trk3d", track(z0_cm=math.inf), pa.list_(TRACK_3D), "trk3d[1].z0_cm = inf: must be finite"),
    ("trknn", track(cot_theta=math.nan), pa.list_(TRACK_3D), "trknn[1].cot_theta = nan: must be finite"),
    ("trk2d", track() * 513, pa.list_(TRACK), "length of trk2d = 1026: more than 1024 are taken for a mistake"),
    ("segments", [0, 2335, 2336], pa.list_(pa.int64()), "segments[2] = 2336: must be a whole number from 0 to 2335"),
    ("segments", [-1], pa.list_(pa.int16()), "segments[0] = -1: must be a whole number from 0 to 2335"),
    ("segments", [1.0, 2.5], pa.list_(pa.float32()), "segments[1] = 2.5: must be a whole number"),
    ("segments", [1, None], pa.list_(pa.uint16()), "segments[1]: must not be null"),
    ("segments", [None], pa.list_(pa.null()), "segments = 'null': must hold numbers"),
    ("klm_track_sectors", [7, 8], pa.list_(pa.uint8()), "klm_track_sectors[1] = 8: must be a whole number from 0 to 7"),
    ("bklm_mask_fwd", 256, pa.int32(), "bklm_mask_fwd = 256: must be a whole number from 0 to 255"),
    ("eklm_mask_bwd", 16, pa.uint8(), "eklm_mask_bwd = 16: must be a whole number from 0 to 15"),
    ("eklm_mask_bwd", None, pa.uint8(), "eklm_mask_bwd: must not be null"),
    ("cdc_t0", 2**40, pa.int64(), "cdc_t0 = 1099511627776: must be a whole number"),
    ("cdc_t0", math.nan, pa.float64(), "cdc_t0 = nan: must be a whole number"),
    ("clusters", [GOOD_CLUSTER, GOOD_CLUSTER | {"tc_id": 0}], pa.list_(CLUSTER), "clusters[1].tc_id = 0"),
    ("clusters", [GOOD_CLUSTER | {"theta_id": 18}], pa.list_(CLUSTER), "clusters[0].theta_id = 18"),
    ("clusters", [GOOD_CLUSTER | {"x_cm": math.nan}], pa.list_(CLUSTER), "clusters[0].x_cm = nan: must be finite"),
]


@pytest.mark.parametrize(("name", "value", "kind", "message"), BAD_VALUES)
@pytest.mark.parametrize("rows", [2, 1000])
def test_what_cannot_be_is_named(tmp_path: Path, name: str, value: Any, kind: pa.DataType, message: str, rows: int):
    """Row, event, object, value and rule; in whichever of the rows read at a time it is."""
    good: Any = 0 if not isinstance(value, list) else []
    path = save(one(name, [good, good, good, value, good], kind), tmp_path / "bad.arrow")
    said = refused(path, rows_at_once=rows)
    assert said.startswith(f"{path}: ")
    assert message in said
    if "'null'" not in message:
        assert ": row 3 (event 1003), " in said


def test_the_same_value_in_float32_is_refused_too(tmp_path: Path):
    """Limits are those of the numbers, not of their rounding: what is largest in float32 is still no infinity."""
    kind = pa.list_(pa.struct({"id": pa.uint16(), "energy_gev": pa.float32(), "time_ns": pa.float32()}))
    for wrong in ({"energy_gev": math.inf}, {"energy_gev": 0.0}, {"time_ns": -math.inf}):
        assert "row 0 (event 1000), tc[0]." in refused(
            save(one("tc", [cells(1, **wrong)], kind), tmp_path / "f4.arrow")
        )
    track_kind = pa.list_(pa.struct({"phi0": pa.float32(), "omega": pa.float32()}))
    path = save(one("trk2d", [[{"phi0": 0.0, "omega": -1.0}]], track_kind), tmp_path / "f4.arrow")
    assert "trk2d[0].omega = -1.0" in refused(path)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("tc", pa.int64(), "tc = 'int64': must be a list"),
        ("tc", pa.string(), "tc = 'string': must be a list"),
        ("tc", pa.list_(pa.int64()), "must be a list of objects with the fields id, energy_gev, time_ns"),
        ("tc", pa.list_(pa.struct({"id": pa.int8()})), "tc: lacks the field energy_gev (it has id)"),
        ("tc", pa.list_(pa.struct([*CELL, ("id", pa.int8())])), "tc: has twice the field id"),
        ("tc", pa.list_(pa.struct([("id", pa.string()), *list(CELL)[1:]])), "tc.id = 'string': must hold numbers"),
        ("tc", pa.list_(pa.struct([("id", pa.bool_()), *list(CELL)[1:]])), "tc.id = 'bool': must hold numbers"),
        ("segments", pa.list_(pa.list_(pa.int64())), "must hold numbers"),
        ("segments", pa.dictionary(pa.int8(), pa.int64()), "must be a list"),
        ("cdc_t0", pa.timestamp("ns"), "cdc_t0 = 'timestamp[ns]': must hold numbers"),
        ("bklm_mask_fwd", pa.decimal128(5, 0), "must hold numbers"),
        ("clusters", pa.list_(pa.struct({"theta": pa.float32()})), "clusters: lacks the field x_cm (it has theta)"),
    ],
)
@pytest.mark.parametrize("n_rows", [0, 3])
def test_columns_of_a_wrong_type(tmp_path: Path, name: str, kind: pa.DataType, message: str, n_rows: int):
    """The column, its type and what it must be; also where there is no row, or nothing but nulls."""
    inner = kind.value_type if pa.types.is_list(kind) else None
    filler = pa.array([[]] * n_rows, kind) if inner is not None else pa.nulls(n_rows, kind)
    table = pa.table({"event_id": np.arange(n_rows), name: filler})
    assert message in refused(save(table, tmp_path / "bad.arrow"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"event_id": [1]}, "has no trigger primitives (known: tc, trk2d,"),
        ({"energy": [1.0]}, "has no trigger primitives"),
        ({"cdc_t0_present": [True]}, "cdc_t0_present: needs a column cdc_t0"),
        ({"ecl_word_1": [1]}, "ecl_word_1: needs a column ecl_present"),
        ({"ecl_present": [True]}, "ecl_present: needs a column ecl_time_ns"),
        ({"ecl_time_ns": [1.0]}, "ecl_time_ns: needs a column ecl_present"),
        ({"cdc_t0": [5], "cdc_t0_present": [2]}, "row 0, cdc_t0_present = 2: must be true or false (1 or 0)"),
        ({"cdc_t0": [5], "cdc_t0_present": pa.array([None], pa.bool_())}, "row 0, cdc_t0_present: must not be null"),
        ({"cdc_t0": pa.array([None], pa.int8()), "cdc_t0_present": [True]}, "must not be null where cdc_t0_present"),
        ({"cdc_t0": [1], "event_id": pa.array(["a"]), "bits": "psnm"}, "event_id = 'string': must hold numbers"),
        ({"cdc_t0": [1], "event": [-1], "bits": "psnm"}, "event = -1: must be a whole number from 0 to"),
        ({"cdc_t0": [1], "run": [2**32], "bits": "psnm"}, "run = 4294967296: must be a whole number from 0 to"),
        ({"cdc_t0": [1], "event": pa.array([None], pa.int8()), "bits": "psnm"}, "event: must not be null"),
    ],
)
def test_columns_that_do_not_go_together(tmp_path: Path, columns: dict[str, Any], message: str):
    """Which column is missing or wrong."""
    bits = columns.pop("bits", "inputs")
    assert message in refused(save(pa.table(columns), tmp_path / "bad.parquet"), bits=bits)


def test_a_time_that_is_not_there_may_be_anything(tmp_path: Path):
    """Null, NaN or a number: where the flag is false there is no time."""
    table = pa.table({"cdc_t0": pa.array([None, math.nan, 7.0, 7.0]), "cdc_t0_present": [False, False, False, True]})
    assert bits_of(save(table, tmp_path / "t0.parquet"))["cdc_active"].to_list() == [False, False, False, True]


def test_a_column_twice(tmp_path: Path):
    """Which of the two should count?"""
    array = pa.array([1])
    table = pa.Table.from_arrays([array, array], names=["cdc_t0", "cdc_t0"])
    assert "cdc_t0: the file has two columns of this name" in refused(save(table, tmp_path / "twice.arrow"))


def test_event_columns_must_agree_between_files(tmp_path: Path):
    """The output has one type for a column."""
    first = save(pa.table({"cdc_t0": [1], "event": pa.array([1], pa.uint64())}), tmp_path / "a.parquet")
    second = save(pa.table({"cdc_t0": [1], "event": pa.array([1], pa.int32())}), tmp_path / "b.parquet")
    said = refused(first, second)
    assert said.startswith(f"{second}: 'event int32': event columns differ")


def test_event_numbers_are_kept_as_they_are(tmp_path: Path):
    """Texts too, as long as no prescale needs a number."""
    table = pa.table({"event_id": ["b", None, "a"], "cdc_t0": [1, 0, 1]})
    path = save(table, tmp_path / "text.parquet")
    for bits in ("inputs", "ftdl"):
        assert bits_of(path, bits=bits)["event_id"].to_list() == ["b", None, "a"]


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_known_column_is_read(tmp_path: Path, name: str):
    """No column that the error about missing primitives names is passed over."""
    others = {"cdc_t0": [1], "ecl_time_ns": [1.0], "ecl_present": [True]}
    path = save(pa.table(others | {name: ["text"]}), tmp_path / "text.parquet")
    assert f"{name} = 'string': must " in refused(path)


cell_lists = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 576), st.integers(-1, 600)),
        st.one_of(st.floats(0.05, 8.0), st.sampled_from([0.0, -1.0, math.nan, math.inf, 1e30, 5e-324])),
        st.one_of(st.floats(-100.0, 100.0), st.sampled_from([math.nan, math.inf])),
    ),
    max_size=6,
)


@given(st.lists(cell_lists, max_size=4), st.booleans())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([[], [(576, 0.2, 0.0)], [(1, 0.2, 0.0)], []], True)
def test_any_cells_are_decided_on_or_refused(
    tmp_path: Path, events: list[list[tuple[int, float, float]]], in_order: bool
):
    """By the rules written out once more: numbers 1 to 576 that rise, energies above 0, times; else an error."""
    if in_order:
        events = [sorted({hit[0]: hit for hit in hits}.values()) for hits in events]
    kind = pa.list_(pa.struct({"id": pa.int32(), "energy_gev": pa.float64(), "time_ns": pa.float64()}))
    values = [[dict(zip(kind.value_type.names, hit, strict=True)) for hit in hits] for hits in events]
    path = save(pa.table({"tc": pa.array(values, kind)}), tmp_path / "cells.parquet")
    is_sound = all(
        1 <= cell <= 576 and 0.0 < energy <= 1e4 and math.isfinite(time)
        for hits in events
        for cell, energy, time in hits
    ) and all(hits[k - 1][0] < hits[k][0] for hits in events for k in range(1, len(hits)))
    if is_sound:
        assert bits_of(path)["ecl_active"].to_list() == [bool(hits) for hits in events]
    else:
        assert "tc[" in refused(path)
