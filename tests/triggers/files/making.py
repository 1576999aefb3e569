"""Files for the tests of the L1 on files, good and bad, and what is written for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands.trigger import trigger_l1
from daq.errors import InputError
from triggers.gdl.menu import L1Menu

MENU = L1Menu.load("physics")
CELL = pa.struct({"id": pa.uint16(), "energy_gev": pa.float64(), "time_ns": pa.float64()})
TRACK = pa.struct({"phi0": pa.float64(), "omega": pa.float64()})
TRACK_3D = pa.struct([*TRACK, ("z0_cm", pa.float64()), ("cot_theta", pa.float64())])
CLUSTER = pa.struct(
    {name: pa.float64() for name in ("x_cm", "y_cm", "z_cm", "energy_gev", "time_ns")}
    | {"tc_id": pa.uint16(), "theta_id": pa.uint8()}
)
GOOD_CLUSTER = dict(zip(CLUSTER.names, (126.0, 16.0, 40.0, 1.0, 0.0, 86, 9), strict=True))


def save(table: pa.Table, path: Path, **options: Any) -> Path:
    """Write a table as the ending of the path says."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
    else:
        with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table, max_chunksize=50)
    return path


def bits_of(*paths: Path, **options: Any) -> pl.DataFrame:
    """Return what is written for the files: the input bits if not said otherwise."""
    out = paths[0].parent / "bits.out"
    options = {"bits": "inputs"} | options
    trigger_l1(paths, out, options.pop("menu", MENU), **options)
    return pl.read_parquet(out)


def refused(*paths: Path, **options: Any) -> str:
    """Return the one line that says why the files are refused; nothing may be written."""
    before = {entry.name for entry in paths[0].parent.iterdir()} if paths[0].parent.is_dir() else set()
    with pytest.raises(InputError) as caught:
        bits_of(*paths, **options)
    assert before == ({entry.name for entry in paths[0].parent.iterdir()} if before else set())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def one(name: str, values: list[Any], kind: pa.DataType) -> pa.Table:
    """Return a table with one column beside the event number, which is a thousand more than the row."""
    return pa.table({"event_id": np.arange(1000, 1000 + len(values)), name: pa.array(values, kind)})


def cells(*ids: int, **changed: Any) -> list[dict[str, Any]]:
    """Return cells of these numbers, the last of them changed."""
    hits = [{"id": number, "energy_gev": 0.5, "time_ns": 0.0} for number in ids]
    hits[-1] |= changed
    return hits


def track(**changed: Any) -> list[dict[str, Any]]:
    """Return a sound 3D track and one that is changed."""
    sound = {"phi0": 0.5, "omega": 0.01, "z0_cm": 1.0, "cot_theta": 0.5}
    return [sound, sound | changed]
