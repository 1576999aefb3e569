"""``darkline trigger hlt``: the reference vectors through the command line, spooled events, other files, bad files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daq.jit import Array
from hlt.menu import HltMenu
from hlt.variables import UNDEFINED_IS_NAN, VARIABLES
from tests.commands.cli import Command, refused
from tests.hlt.vectors import FULL, SAMPLE


@pytest.fixture(params=["sample", "full"])
def vectors_file(request: pytest.FixtureRequest) -> Path:
    """Return the file of the committed reference vectors, then that of all of them where it is at hand."""
    path = SAMPLE if request.param == "sample" else FULL
    if not path.exists():
        pytest.skip(f"REFERENCE DATA ABSENT: {path} is not there, this comparison was NOT made")
    return path


def written(frame: pl.DataFrame | pa.Table, path: Path) -> Path:
    """Write a table; return its path."""
    pq.write_table(frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame, path)
    return path


def replaced(table: pa.Table, name: str, column: object) -> pa.Table:
    """Return the table with another column of this name."""
    return table.set_column(table.column_names.index(name), name, column)


def test_reference_vectors_come_out_as_the_reference_has_them(vectors_file: Path, tmp_path: Path, darkline: Command):
    """By the rules of the reference: counts, flags and fit status exact, the rest to the tolerances stated there."""
    out = tmp_path / "out.parquet"
    assert darkline("trigger", "hlt", vectors_file, "-o", out).code == 0
    found, expected = pl.read_parquet(out), pl.read_parquet(vectors_file)
    assert found["event_id"].equals(expected["event_id"])
    for name in VARIABLES:
        assert found[name].dtype == pl.Float64
        if name in UNDEFINED_IS_NAN:
            assert_allclose(found[name], expected[name], rtol=1e-9, atol=0, equal_nan=True, err_msg=name)
        else:
            assert_array_equal(found[name], expected[name], err_msg=name)
    assert_array_equal(found["vtx_status"], expected["vtx_status"])
    assert_array_equal(found["vtx_ndf"], expected["vtx_ndf"])
    chi2 = expected["vtx_chi2"].to_numpy()
    within(found["vtx_chi2"], chi2, 1e-8 * np.maximum(1, chi2))
    spread = expected["vtx_spread_xyz"].fill_nan(0).to_numpy()
    for axis in ("vtx_x", "vtx_y", "vtx_z"):
        within(found[axis], expected[axis].to_numpy(), 1e-6 + 10 * spread)


def within(found: pl.Series, expected: Array, tolerance: Array) -> None:
    """Assert that numbers agree, each to its tolerance, and are NaN in the same places."""
    difference = np.abs(found.to_numpy() - expected)
    assert_array_equal(np.isnan(difference), np.isnan(expected), err_msg=found.name)
    assert (np.nan_to_num(difference) <= np.nan_to_num(tolerance)).all(), found.name


def test_lines_are_the_cuts_on_the_columns_of_the_same_file(tmp_path: Path, darkline: Command):
    """A raw line is its cut, a prescaled one a part of it, the total the OR of the prescaled; the menu is `physics`."""
    out = tmp_path / "out.parquet"
    done = darkline("trigger", "hlt", SAMPLE, "-o", out, "--json")
    report, found = json.loads(done.out), pl.read_parquet(out)
    menu = HltMenu.load("physics")
    assert report["menu"] == {"name": "physics", "hash": menu.hash, "column": None}
    photon = (found["nEsinglePhotonBarrel"] == 1) & (found["nVetoClust"] <= 1)
    assert found["hlt_raw_single_photon_45_115"].equals(photon.alias("hlt_raw_single_photon_45_115"))
    kept = found.select(pl.any_horizontal([f"hlt_{name}" for name in menu.line_names])).to_series()
    assert_array_equal(found["total_result"], kept)
    for line in menu.line:
        raw, prescaled = found[f"hlt_raw_{line.name}"], found[f"hlt_{line.name}"]
        assert not (prescaled & ~raw).any()
        assert report["lines"][line.name] == {"raw": raw.sum(), "prescaled": prescaled.sum()}
    assert report["events"] == len(found)
    assert report["accepted"] == found["total_result"].sum()


def test_order_and_files_do_not_matter(tmp_path: Path, darkline: Command):
    """Reversed rows, several files and a folder give the rows of the whole, in the order of the input."""
    vectors = pl.read_parquet(SAMPLE)
    darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "whole.parquet")
    whole = pl.read_parquet(tmp_path / "whole.parquet")
    darkline("trigger", "hlt", written(vectors.reverse(), tmp_path / "r.parquet"), "-o", tmp_path / "reversed.parquet")
    assert pl.read_parquet(tmp_path / "reversed.parquet").equals(whole.reverse())
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, rows in (("b", vectors[100:]), ("a", vectors[:100])):
        written(rows, folder / f"{name}.parquet")
    darkline("trigger", "hlt", folder, "-o", tmp_path / "folder.parquet")
    assert pl.read_parquet(tmp_path / "folder.parquet").equals(whole)
    darkline("trigger", "hlt", folder / "b.parquet", folder / "a.parquet", "-o", tmp_path / "two.parquet")
    assert pl.read_parquet(tmp_path / "two.parquet").equals(pl.concat([whole[100:], whole[:100]]))


@pytest.mark.parametrize("form", ["file", "stream", "small types", "no types"])
def test_other_formats_and_types_of_the_same_numbers(form: str, tmp_path: Path, darkline: Command):
    """Arrow IPC is as good as Parquet; so are other widths, fixed lists and empty lists without a type."""
    table = pq.read_table(SAMPLE).slice(0, 60)
    expected = tmp_path / "expected.parquet"
    if form == "no types":
        table = table.take([i for i in range(60) if not table["clu_energy"][i].as_py()])
        table = replaced(table, "l1_psnm_fpre", pa.nulls(len(table), pa.bool_()))
    plain = table
    if form == "no types":
        for name in table.column_names:
            plain = replaced(plain, name, pa.array([[]] * len(table))) if name.startswith("clu_") else plain
        plain = replaced(plain, "l1_psnm_fpre", pa.nulls(len(table)))
    assert darkline("trigger", "hlt", written(table, tmp_path / "in.parquet"), "-o", expected).code == 0
    path = tmp_path / "other.arrow"
    if form == "small types":
        plain = replaced(table, "trk_cov", table["trk_cov"].cast(pa.list_(pa.list_(pa.float64(), 15))))
        plain = replaced(plain, "trk_n_cdc_hits", table["trk_n_cdc_hits"].cast(pa.list_(pa.uint16())))
        plain = replaced(plain, "l1_timing_type", table["l1_timing_type"].dictionary_encode())
    writer = pa.ipc.new_stream if form == "stream" else pa.ipc.new_file
    with writer(path, plain.schema) as sink:
        sink.write_table(plain, max_chunksize=7)
    done = darkline("trigger", "hlt", path, "-o", tmp_path / "out.parquet")
    assert done.code == 0, done.err
    assert pl.read_parquet(tmp_path / "out.parquet").equals(pl.read_parquet(expected))


def test_spooled_events_decide_as_they_did(tmp_path: Path, darkline: Command):
    """A run directory gives back the bits of its own spool, by its own beams, seed and menu."""
    directory = tmp_path / "run"
    assert darkline("run", "configs/runs/demo.toml", "--events", 6000, "--out", directory, "--json").code == 0
    spool = pl.read_parquet(directory / "events" / "*.parquet").sort("event")
    for given in (directory, directory / "events", *sorted((directory / "events").iterdir())[:1]):
        done = darkline("trigger", "hlt", given, "-o", tmp_path / "out.parquet")
        assert done.code == 0, done.err
        found = pl.read_parquet(tmp_path / "out.parquet")
        rows = spool if given.is_dir() else pl.read_parquet(given)
        assert len(found) > 0
        for name in ("event", "run"):
            assert found[name].equals(rows[name])
        assert_array_equal(found["event_id"], rows["event"])
        for name in HltMenu.load("physics").line_names:
            for prefix in ("hlt_", "hlt_raw_"):
                assert_array_equal(found[prefix + name], rows[prefix + name], err_msg=name)
        assert found["total_result"].all()


def test_menu_and_config_are_used(tmp_path: Path, darkline: Command):
    """A menu of one's own, and the beams of a run configuration."""
    menu = tmp_path / "mine.toml"
    menu.write_text('name = "mine"\n[[line]]\nname = "hard"\ncut = "maximumPCMS > 3"\nprescale = 0\n')
    darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "a.parquet", "--menu", menu)
    default = pl.read_parquet(tmp_path / "a.parquet")
    assert_array_equal(default["hlt_raw_hard"], default["maximumPCMS"].to_numpy() > 3)
    assert not default["hlt_hard"].any()
    config = tmp_path / "run.toml"
    tables = '[beam]\nelectron_gev = 8.0\npositron_gev = 3.5\ncrossing_mrad = 22.0\n[l1]\nmenu = "physics"\n[hlt]\n'
    config.write_text(f'name = "belle"\n{tables}menu = "physics"\n')
    darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "b.parquet", "--config", config)
    other = pl.read_parquet(tmp_path / "b.parquet")
    assert_array_equal(other["maximumPLab"], default["maximumPLab"])
    assert (other["maximumPCMS"] != default["maximumPCMS"]).any()


def test_a_column_of_the_menu(tmp_path: Path, darkline: Command):
    """The column is named in the command, and counters of a menu go on from chunk to chunk and file to file."""
    menu = tmp_path / "mine.toml"
    columns = "".join(
        f'[[column]]\nname = "{name}"\nluminosity_cm2_s = {value}\n' for name, value in (("a", 1e34), ("b", 1e35))
    )
    line = '[[line]]\nname = "all"\ncut = ""\nprescale = [7, 0]\n'
    menu.write_text(f'name = "mine"\nprescale_by = "counter"\n{columns}{line}')
    parts = [pl.read_parquet(SAMPLE)[:100], pl.read_parquet(SAMPLE)[100:]]
    files = [written(part, tmp_path / f"{place}.parquet") for place, part in enumerate(parts)]
    out = tmp_path / "out.parquet"
    assert darkline("trigger", "hlt", *files, "-o", out, "--menu", menu, "--column", "a").code == 0
    assert_array_equal(np.flatnonzero(pl.read_parquet(out)["hlt_all"]), np.arange(0, sum(map(len, parts)), 7))
    event = parts[1]["event_id"][5]  # row 105 of the whole
    said = json.loads(
        darkline("trigger", "hlt", *files, "--explain", event, "--menu", menu, "--column", "a", "--json").out
    )
    assert said["lines"]["all"] | {"clauses": []} == {
        "raw": True, "prescaled": True, "prescale": 7, "reject": False, "clauses": [],
    }  # fmt: skip
    assert darkline("trigger", "hlt", *files, "-o", out, "--menu", menu, "--column", "b").code == 0
    assert not pl.read_parquet(out)["hlt_all"].any()
    refused(darkline("trigger", "hlt", *files, "-o", out, "--menu", menu, "--column", "c"), "no such prescale column")


def test_explanation_names_what_failed(tmp_path: Path, darkline: Command):
    """Every clause holds where the line fired; where it did not, at least one is named as failed, with its values."""
    darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "out.parquet")
    found = pl.read_parquet(tmp_path / "out.parquet")
    row = found.filter(pl.col("total_result")).row(0, named=True)
    done = darkline("trigger", "hlt", SAMPLE, "--explain", row["event_id"], "--json")
    said = json.loads(done.out)
    assert said["accepted"] is True
    assert said["variables"]["nTrkLoose"] == row["nTrkLoose"]
    for name, line in said["lines"].items():
        assert line["raw"] == row[f"hlt_raw_{name}"]
        assert line["prescaled"] == row[f"hlt_{name}"]
        assert all(clause["holds"] for clause in line["clauses"]) == line["raw"]
        for clause in line["clauses"]:
            for variable, value in clause["values"].items():
                assert value == row[variable] or (value is None and np.isnan(row[variable]))
    text = darkline("trigger", "hlt", SAMPLE, "--explain", row["event_id"]).out
    assert "FAILED" in text
    assert "holds" in text


def test_a_file_without_events_gives_a_file_without_rows(tmp_path: Path, darkline: Command):
    """No rows in, no rows out, all columns there."""
    empty = written(pl.read_parquet(SAMPLE).clear(), tmp_path / "empty.parquet")
    darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "full.parquet")
    assert darkline("trigger", "hlt", empty, "-o", tmp_path / "out.parquet").code == 0
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert len(found) == 0
    assert found.schema == pl.read_parquet_schema(tmp_path / "full.parquet")


def test_without_any_word_of_the_first_level_there_is_no_summary(tmp_path: Path, darkline: Command):
    """No L1 columns at all is as l1_valid = false: a random trigger and no bit; some of them is an error."""
    vectors = pl.read_parquet(SAMPLE)
    l1 = [name for name in vectors.columns if name.startswith("l1_") and name in vectors.columns[:12]]
    without = written(vectors.drop(*l1, "n_cdc_nn_bits"), tmp_path / "without.parquet")
    assert darkline("trigger", "hlt", without, "-o", tmp_path / "out.parquet").code == 0
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert (found["l1_trigger_random"] == 1).all()
    assert (found["bha3d"] == 0).all()
    some = written(vectors.drop("l1_psnm_fpre"), tmp_path / "some.parquet")
    refused(darkline("trigger", "hlt", some, "-o", tmp_path / "x.parquet"), "some.parquet", "lacks l1_psnm_fpre")


# ---- bad input


def changed(name: str, row: int, value: object) -> pl.DataFrame:
    """Return the sample with one value changed."""
    vectors = pl.read_parquet(SAMPLE)
    values = vectors[name].to_list()
    values[row] = value
    return vectors.with_columns(pl.Series(name, values, dtype=vectors.schema[name], strict=False))


def with_first(name: str, value: object) -> tuple[int, pl.DataFrame]:
    """Return the sample with the first number of a list column changed, in an event whose first track has a fit."""
    vectors = pl.read_parquet(SAMPLE)
    good = (vectors["clu_energy"].list.len() > 0) & vectors["trk_has_fit"].list.get(0, null_on_oob=True).fill_null(
        False
    )
    good &= vectors["trk_charge"].list.get(0, null_on_oob=True).fill_null(0) != 0
    row = int(good.arg_true()[0])
    old = vectors[name][row].to_list()
    return row, changed(name, row, [value, *old[1:]])


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("trk_d0", float("nan"), "must be finite"),
        ("trk_omega", float("inf"), "must be"),
        ("trk_omega", 0.0, "must be the sign of trk_omega"),
        ("trk_charge", 7, "must be the sign of trk_omega"),
        ("trk_z0", None, "must not hold nulls"),
        ("trk_n_cdc_hits", -1, "must lie between 0 and 65535"),
        ("trk_cov", [1.0] * 14, "must hold 15 numbers a track"),
        ("trk_cov", [float("nan")] * 15, "must be finite"),
        ("trk_cov", None, "must not be null"),
        ("trk_clusters", [99], "must be indices of clusters of the event"),
        ("trk_clusters", [-1], "must be indices of clusters of the event"),
        ("trk_clusters", [None], "must not hold nulls"),
        ("clu_energy", -0.5, "must be finite and not negative"),
        ("clu_energy", float("nan"), "must be finite and not negative"),
        ("clu_theta", 3.5, "must lie between 0 and pi"),
        ("clu_phi", float("-inf"), "must be finite"),
        ("clu_is_track", None, "must not hold nulls"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name: str, value: object, rule: str, tmp_path: Path, darkline: Command):
    """One line with file, event, column and rule; nothing is written."""
    row, vectors = with_first(name, value)
    path = written(vectors, tmp_path / "bad.parquet")
    done = darkline("trigger", "hlt", path, "-o", tmp_path / "out.parquet")
    refused(done, "bad.parquet", f"event_id {vectors['event_id'][row]}", rule)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.parquet"]


def test_unknown_times_are_no_error(tmp_path: Path, darkline: Command):
    """The time of a track or cluster may be NaN."""
    for name in ("trk_time", "clu_time"):
        _, vectors = with_first(name, float("nan"))
        path = written(vectors, tmp_path / "times.parquet")
        assert darkline("trigger", "hlt", path, "-o", tmp_path / "out.parquet").code == 0


def test_a_singular_covariance_is_a_failed_fit(tmp_path: Path, darkline: Command):
    """A covariance of zeros is finite: the fit fails with its own status, and no line on it fires."""
    vectors = pl.read_parquet(SAMPLE).filter(pl.col("vtx_status") == 0)
    zero = [[[0.0] * 15 for _ in tracks] for tracks in vectors["trk_d0"].to_list()]
    path = written(vectors.with_columns(pl.Series("trk_cov", zero)), tmp_path / "zero.parquet")
    assert darkline("trigger", "hlt", path, "-o", tmp_path / "out.parquet").code == 0
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert set(found["vtx_status"]) <= {32, 33}
    assert (found["displacedVertex"] == 0).all()


def test_wrong_columns_are_refused(tmp_path: Path, darkline: Command):
    """Missing columns are all named; a type, a null, a length and a word that cannot be are named with their event."""
    vectors, out = pl.read_parquet(SAMPLE), tmp_path / "out.parquet"

    def refuse(frame: pl.DataFrame, *words: str) -> None:
        refused(darkline("trigger", "hlt", written(frame, tmp_path / "in.parquet"), "-o", out), "in.parquet", *words)
        assert not out.exists()

    refuse(vectors.drop("trk_z0", "clu_phi"), "lacks trk_z0, clu_phi")
    refuse(vectors.select("event_id", "kind"), "neither the flat columns")
    refuse(vectors.with_columns(trk_d0=pl.lit("x")), "trk_d0", "must be a list")
    refuse(vectors.with_columns(trk_d0=pl.col("trk_has_fit")), "trk_d0", "must be double")
    refuse(vectors.with_columns(clu_is_track=pl.col("clu_energy")), "clu_is_track", "must be bool")
    refuse(vectors.with_columns(trk_n_cdc_hits=pl.col("trk_z0")), "trk_n_cdc_hits", "must be int32")
    refuse(vectors.with_columns(event_id=pl.col("kind")), "event_id", "must be a whole number")
    refuse(changed("l1_timing_type", 3, "cosmic"), "event_id 3", "l1_timing_type", "'cosmic'", "must be one of random")
    refuse(changed("l1_valid", 4, None), "event_id 4", "l1_valid", "must not be null")
    refuse(changed("trk_d0", 5, None), "event_id 5", "trk_d0", "must not be null")
    refuse(changed("n_cdc_nn_bits", 6, -2), "event_id 6", "n_cdc_nn_bits", "must not be negative")
    row = int((vectors["clu_energy"].list.len() > 1).arg_true()[0])
    refuse(changed("clu_theta", row, [1.0]), f"event_id {row}", "clu_theta", "must have as many entries as clu_energy")


@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.98])
def test_a_file_that_was_cut_short_is_refused(form: str, keep: float, tmp_path: Path, darkline: Command):
    """Wherever the cut falls: one line, nothing written."""
    whole, path = tmp_path / "whole", tmp_path / "cut.arrow"
    table = pq.read_table(SAMPLE)
    if form == "parquet":
        pq.write_table(table, whole)
    else:
        with (pa.ipc.new_file if form == "file" else pa.ipc.new_stream)(whole, table.schema) as sink:
            sink.write_table(table, max_chunksize=50)
    content = whole.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    done = darkline("trigger", "hlt", path, "-o", tmp_path / "out.parquet")
    refused(done, "cut.arrow", "not a whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.arrow", "whole"]


def test_an_error_in_a_later_file_leaves_the_old_results(tmp_path: Path, darkline: Command):
    """Results appear when all files were read; until then what was there stays."""
    _, bad = with_first("trk_d0", float("nan"))
    path, out = written(bad, tmp_path / "bad.parquet"), tmp_path / "out.parquet"
    out.write_text("older results")
    refused(darkline("trigger", "hlt", SAMPLE, path, "-o", out), "bad.parquet")
    assert out.read_text() == "older results"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.parquet", "out.parquet"]


def test_files_that_do_not_go_together_are_refused(tmp_path: Path, darkline: Command):
    """Another type of event_id, a run number in one of two, or the same column twice."""
    vectors, out = pl.read_parquet(SAMPLE), tmp_path / "out.parquet"
    wide = written(vectors.with_columns(pl.col("event_id").cast(pl.Int64)), tmp_path / "wide.parquet")
    refused(darkline("trigger", "hlt", SAMPLE, wide, "-o", out), "wide.parquet", "of the same types")
    numbered = written(vectors.with_columns(run=pl.lit(3, pl.UInt32)), tmp_path / "numbered.parquet")
    refused(darkline("trigger", "hlt", SAMPLE, numbered, "-o", out), "numbered.parquet", "not the same columns")
    table = vectors.to_arrow()
    twice = written(table.append_column("trk_d0", table["trk_d0"]), tmp_path / "twice.parquet")
    refused(darkline("trigger", "hlt", twice, "-o", out), "trk_d0", "several columns of this name")
    assert darkline("trigger", "hlt", numbered, "-o", out).code == 0
    assert (pl.read_parquet(out)["run"] == 3).all()


def test_wrong_arguments_are_refused(tmp_path: Path, darkline: Command):
    """No such file, an empty folder, results over the input, no such event, menu, or place to write."""
    refused(darkline("trigger", "hlt", tmp_path / "none.parquet", "-o", tmp_path / "o"), "none.parquet", "no such file")
    (tmp_path / "folder").mkdir()
    refused(darkline("trigger", "hlt", tmp_path / "folder", "-o", tmp_path / "o"), "holds no file of events")
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(SAMPLE.read_bytes())
    refused(darkline("trigger", "hlt", copy, "-o", copy), "is also an input")
    refused(darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "folder"), "is a directory")
    refused(darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "none" / "out.parquet"), "no such directory")
    refused(darkline("trigger", "hlt", SAMPLE, "--explain", 10**9), "no event has this event_id")
    refused(darkline("trigger", "hlt", SAMPLE, "-o", tmp_path / "o", "--menu", "nonesuch"), "nonesuch")
    refused(darkline("trigger", "hlt", SAMPLE), "give -o OUT, or --explain EVENT")
    assert copy.read_bytes() == SAMPLE.read_bytes()
