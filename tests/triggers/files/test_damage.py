"""The L1 on files: files that are damaged, lie or are none at all are one line, never a crash, never half an output."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from commands.trigger import trigger_l1
from daq.errors import InputError
from tests.triggers.files.making import CELL, MENU, bits_of, cells, one, refused, save
from tests.triggers.vectors import ECL_SAMPLE
from triggers.gdl.menu import L1Menu


@pytest.mark.parametrize(
    "offsets", [[0, 3, 2, 11], [0, 3, 7, 99], [-1, 3, 7, 11], [0, 2**31 - 1, 7, 11], [11, 7, 3, 0]]
)
def test_offsets_that_lie_are_refused(tmp_path: Path, offsets: list[int]):
    """They run backwards, start before the data or end beyond it: said before anything follows them."""
    honest = [0, 3, 7, 11]
    column = pa.ListArray.from_arrays(pa.array(honest, pa.int32()), pa.array(np.arange(11, dtype=np.uint16)))
    path = save(pa.table({"segments": column}), tmp_path / "lie.arrow")
    content = path.read_bytes()
    before, after = (np.array(numbers, dtype="<i4").tobytes() for numbers in (honest, offsets))
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, after))
    assert refused(path).startswith(f"{path}: segments: not valid Arrow data: ")


def file_bytes(kind: str) -> bytes:
    """Return a good file as bytes."""
    table = pq.read_table(ECL_SAMPLE).select(["event_id", "tc"])
    buffer = io.BytesIO()
    if kind in {"arrow", "lz4"}:
        options = pa.ipc.IpcWriteOptions(compression="lz4" if kind == "lz4" else None)
        with pa.ipc.new_file(buffer, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=100)
    else:
        compression = {"plain": "none", "zstd": "zstd", "snappy": "snappy"}[kind]
        pq.write_table(table, buffer, compression=compression, use_dictionary=kind != "snappy", row_group_size=150)
    return buffer.getvalue()


FILES = {kind: file_bytes(kind) for kind in ("plain", "zstd", "snappy", "arrow", "lz4")}
near_an_end = st.one_of(st.floats(0.0, 1.0), st.floats(0.0, 0.02), st.floats(0.9, 1.0))
edits = st.lists(st.tuples(near_an_end, st.integers(0, 255)), min_size=1, max_size=12)


@given(st.sampled_from(sorted(FILES)), edits)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_bits_or_an_input_error(tmp_path: Path, kind: str, edits: list[tuple[float, int]]):
    """Whatever bytes change, the outcome is bits for each row, or one line that names the file."""
    data = bytearray(FILES[kind])
    for place, byte in edits:
        data[min(int(place * len(data)), len(data) - 1)] = byte
    path = tmp_path / "changed"
    path.write_bytes(data)
    try:
        assert bits_of(path, bits="ftdl").width >= len(MENU.line_names)
    except InputError as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)


@given(st.sampled_from(sorted(FILES)), st.floats(0.0, 1.0, exclude_max=True))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("plain", 0.0)
@example("arrow", 0.0)
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, cut: float):
    """Wherever it ends too early."""
    path = tmp_path / "cut"
    path.write_bytes(FILES[kind][: int(cut * len(FILES[kind]))])
    with pytest.raises(InputError, match=str(path)):
        bits_of(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"PAR1", "cannot be read"),
        (b"ARROW1\0\0", "cannot be read"),
        (b"event_id,tc\n1,2\n", "neither Parquet nor Arrow IPC"),
        (b"FEA1" + bytes(100), "neither Parquet nor Arrow IPC"),
        (b"\xff\xff\xff\xff" + bytes(100), "an Arrow stream cannot be told from one that is cut"),
    ],
)
def test_files_of_no_known_format(tmp_path: Path, content: bytes, message: str):
    """What is there instead of a table."""
    path = tmp_path / "file.parquet"
    path.write_bytes(content)
    assert message in refused(path)


def test_files_that_are_not_there(tmp_path: Path):
    """Missing files and folders without tables."""
    assert refused(tmp_path / "no.parquet").endswith("no.parquet: no such file")
    (tmp_path / "folder").mkdir()
    assert "no file in it that ends in .parquet" in refused(tmp_path / "folder")


def test_a_failure_leaves_the_output_as_it_was(tmp_path: Path):
    """An error in the last row of the last file: nothing new is there, and the old file still is."""
    good = save(one("tc", [cells(1)] * 100, pa.list_(CELL)), tmp_path / "a.parquet")
    bad = save(one("tc", [[], cells(577)], pa.list_(CELL)), tmp_path / "b.parquet")
    out = tmp_path / "bits.out"
    out.write_text("mine")
    assert "b.parquet: row 1 (event 1001), tc[0].id = 577" in refused(good, bad)
    assert out.read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "bits.out"]


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink"])
def test_the_input_is_never_overwritten(tmp_path: Path, link: str):
    """Under whatever name."""
    path = save(pq.read_table(ECL_SAMPLE), tmp_path / "in.parquet")
    before, out = path.read_bytes(), tmp_path / "out.parquet"
    if link == "symlink":
        out.symlink_to(path)
    elif link == "hardlink":
        out.hardlink_to(path)
    else:
        out = tmp_path / "." / "in.parquet"
    with pytest.raises(InputError, match="would overwrite the input"):
        trigger_l1([tmp_path / "in.parquet"], out, MENU)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("out", "message"), [("no/such/out.parquet", "its folder does not exist"), (".", "is a folder")]
)
def test_an_output_that_cannot_be(tmp_path: Path, out: str, message: str):
    """Said before the input is read."""
    with pytest.raises(InputError, match=message):
        trigger_l1([tmp_path / "missing.parquet"], tmp_path / out, MENU)


def test_a_bit_and_a_column_of_one_name(tmp_path: Path):
    """An output cannot have two columns of a name."""
    menu = tmp_path / "menu.toml"
    menu.write_text('name = "menu"\n[[line]]\nname = "run"\nlogic = "ehigh"\n')
    path = save(pa.table({"run": [1], "cdc_t0": [1]}), tmp_path / "in.parquet")
    assert "run: is a bit of the menu as well as a column of the file" in refused(
        path, bits="ftdl", menu=L1Menu.load(menu)
    )
