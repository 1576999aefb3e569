"""`darkline trigger l1`: the bits of the reference by name, and menus on input bits, as a user gets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.jit import Array
from tests.chain.commands import darkline, darkline_here
from tests.triggers.gdl.test_triple import by_text, triples
from tests.triggers.vectors import ECL_SAMPLE, GRL_SAMPLE
from triggers.gdl.menu import L1Menu
from triggers.gdl.triple import Triple, read_triple, write_triple

N_ECL = pl.read_parquet(ECL_SAMPLE, columns=["event_id"]).height
MENUS = ("ftd_0010", "ftd_0021", "ftd_0036")


def bits_of(file: Path, out: Path, *options: object) -> pl.DataFrame:
    """Return what the command writes."""
    done = darkline_here("trigger", "l1", file, "-o", out, *options)
    assert done.returncode == 0, done.stderr
    return pl.read_parquet(out)


def assert_reference(file: Path, found: pl.DataFrame) -> set[str]:
    """Fail unless every bit of the reference is written, equal in every event; return which those are."""
    reference = pl.read_parquet(file)
    names = {name for name, kind in reference.schema.items() if kind == pl.Boolean and not name.endswith("_present")}
    assert names <= set(found.columns), names.difference(found.columns)
    assert_array_equal(found["event_id"].to_numpy(), reference["event_id"].to_numpy())
    wrong = {name: np.flatnonzero(found[name].to_numpy() != reference[name].to_numpy()).tolist() for name in names}
    assert not any(wrong.values()), {name: rows[:5] for name, rows in wrong.items() if rows}
    return names


@pytest.mark.parametrize(("file", "n_bits"), [(ECL_SAMPLE, 64), (GRL_SAMPLE, 127)], ids=["ecl", "grl"])
def test_bits_of_the_samples(tmp_path: Path, file: Path, n_bits: int):
    """Every committed reference bit, from cells and from tracks with ready clusters."""
    assert len(assert_reference(file, bits_of(file, tmp_path / "bits.parquet", "--bits", "inputs"))) == n_bits


@pytest.mark.parametrize(("name", "n_bits"), [("l1_ecl_vectors", 64), ("l1_grl_vectors", 127)])
def test_bits_of_all_vectors(shared: Path, tmp_path: Path, name: str, n_bits: int):
    """Every bit of every reference vector; those with ready ECL objects have the packed words too."""
    file = shared / "data" / f"{name}.parquet"
    menu = shared / "data" / "gdl" / "ftd_0036.alg"
    found = bits_of(file, tmp_path / "bits.parquet", "--bits", "inputs", "--menu", menu)
    assert len(assert_reference(file, found)) == n_bits
    assert set(read_triple(menu).inputs.values()) <= set(found.columns)
    assert not any(found[bit].any() for bit in L1Menu.load(menu).absent)


def test_as_a_process(tmp_path: Path):
    """The command line itself: exit code, what it says, and JSON with the counts of the bits."""
    out = tmp_path / "bits.parquet"
    done = darkline("trigger", "l1", ECL_SAMPLE, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    assert f"{N_ECL} events, 17 psnm bits each" in done.stderr
    said = json.loads(done.stdout)
    found = pl.read_parquet(out)
    assert said["events"] == N_ECL
    assert said["set"] == {name: int(found[name].sum()) for name in found.columns if name != "event_id"}
    assert said["set"]["lml1"] > 0


def test_prescales_are_those_of_the_menu_and_the_seed(tmp_path: Path):
    """PSNM is a part of FTDL: all of it at prescale 1, the same part again, another part with another seed."""
    file = tmp_path / "in.parquet"
    pl.concat([pl.read_parquet(ECL_SAMPLE, columns=["tc"])] * 20).with_row_index("event").write_parquet(file)
    ftdl, psnm, again, other = (
        bits_of(file, tmp_path / "out.parquet", "--bits", bits, "--seed", seed)
        for bits, seed in (("ftdl", 1), ("psnm", 1), ("psnm", 1), ("psnm", 2))
    )
    assert psnm.equals(again)
    for line in L1Menu.load("physics").lines:
        raw, kept = ftdl[line.name], psnm[line.name]
        if line.prescale == 1:
            assert kept.equals(raw)
        elif raw.sum() > 500:
            assert not (kept & ~raw).any()
            assert abs(kept.sum() - raw.sum() / line.prescale) < 5 * np.sqrt(raw.sum() / line.prescale)
            assert not kept.equals(other[line.name])


# ---- input bits


def write_bits(path: Path, names: list[str], flags: Array, dtype: type = np.bool_) -> None:
    """Write flags of (events, bits) as columns, in an order that is not that of the menu."""
    columns = {name: flags[:, k].astype(dtype) for k, name in reversed(list(enumerate(names)))}
    pl.DataFrame({"event_id": np.arange(len(flags)), **columns}).write_parquet(path)


def assert_menu_on_bits(folder: Path, alg: Path, flags: Array, dtype: type = np.bool_) -> None:
    """Fail unless each line is what the text of the menu says of the bits."""
    inputs = [line.split() for line in alg.with_suffix(".inp").read_text(encoding="utf-8").splitlines()]
    write_bits(folder / "bits.parquet", [name for _, name in inputs], flags, dtype)
    by_index = np.zeros((len(flags), 1 + max(int(index) for index, _ in inputs)), dtype=np.bool_)
    by_index[:, [int(index) for index, _ in inputs]] = flags
    names = [line.split()[1] for line in alg.with_suffix(".oup").read_text(encoding="utf-8").splitlines()]
    texts = alg.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for bits in ("ftdl", "psnm"):
        options = ("--from-bits", "--menu", alg, "--bits", bits)
        found = bits_of(folder / "bits.parquet", folder / "lines.parquet", *options)
        assert found.columns == ["event_id", *names[: len(texts)]]
        for name, text in zip(names, texts, strict=False):
            assert_array_equal(found[name].to_numpy(), by_text(text, by_index), err_msg=name)


@pytest.mark.parametrize("name", MENUS)
def test_menus_of_the_experiment_on_input_bits(shared: Path, tmp_path: Path, name: str):
    """All inputs of the menu are free, also those that are never computed; lines are evaluated from the text."""
    alg = shared / "data" / "gdl" / f"{name}.alg"
    n_inputs = len(read_triple(alg).inputs)
    flags = np.random.default_rng(7).random((3000, n_inputs)) < np.linspace(0.02, 0.98, 3000)[:, None]
    assert_menu_on_bits(tmp_path, alg, flags)


@given(triples(), st.integers(0, 2**32 - 1), st.sampled_from([np.bool_, np.uint8, np.int64]))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_menu_on_input_bits(tmp_path: Path, triple: Triple, seed: int, dtype: type):
    """Menus of any size and order, with indices that jump and lines that are always or never true."""
    write_triple(triple, tmp_path / "menu.alg")
    flags = np.random.default_rng(seed).random((100, len(triple.inputs))) < 0.5
    assert_menu_on_bits(tmp_path, tmp_path / "menu.alg", flags, dtype)


def test_input_bits_of_one_step_are_lines_of_the_next(tmp_path: Path):
    """Primitives to lines in one step, or in two with the input bits in a file between."""
    at_once = bits_of(ECL_SAMPLE, tmp_path / "once.parquet")
    bits_of(ECL_SAMPLE, tmp_path / "inputs.parquet", "--bits", "inputs")
    assert bits_of(tmp_path / "inputs.parquet", tmp_path / "twice.parquet", "--from-bits").equals(at_once)


# ---- what is refused


def refused(*arguments: object, naming: list[str]) -> None:
    """Fail unless the command ends with code 2 and one line that holds every word of ``naming``."""
    done = darkline_here(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in naming:
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("columns", "naming"),
    [
        ({"ehigh": [True]}, ["lacks columns of input bits that lines of the menu use: ", "bha_veto"]),
        ({"ehigh": [2]}, ["row 0 (event 0), ehigh = 2: must be true or false (1 or 0)"]),
        ({"ehigh": [None]}, ["ehigh = 'null': must hold true and false (or 1 and 0)"]),
        ({"ehigh": pl.Series([None], dtype=pl.Boolean)}, ["row 0 (event 0), ehigh: must not be null"]),
        ({"ehigh": ["yes"]}, ["ehigh = ", "string': must hold true and false (or 1 and 0)"]),
    ],
)
def test_wrong_input_bits(tmp_path: Path, columns: dict[str, object], naming: list[str]):
    """A column that a line needs is missing, or holds something else than bits."""
    file = tmp_path / "bits.parquet"
    others = {} if naming[-1] == "bha_veto" else {"bha_veto": [True], "veto": [True]}
    menu = tmp_path / "menu.toml"
    menu.write_text('name = "menu"\n[[line]]\nname = "hie"\nlogic = "ehigh and !bha_veto and !veto"\n')
    pl.DataFrame({"event_id": [0], **others, **columns}).write_parquet(file)
    out = tmp_path / "out.parquet"
    refused("trigger", "l1", file, "-o", out, "--from-bits", "--menu", menu, naming=["bits.parquet: ", *naming])
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "naming"),
    [
        (["--menu", "physiks"], ["'physiks': no such L1 menu (known: ", "physics"]),
        (["--menu", "no/such.alg"], ["such.inp: no such file"]),
        (["--menu", "no/such.toml"], ["such.toml: no such file"]),
        (["--column", "high"], ["'high'", "column"]),
        (["--from-bits", "--bits", "inputs"], ["--bits = 'inputs'", "has the input bits already"]),
        (["--from-bits"], ["l1_ecl_sample.parquet: lacks columns of input bits that lines of the menu use"]),
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str], naming: list[str]):
    """One line, before anything is written."""
    out = tmp_path / "out.parquet"
    refused("trigger", "l1", ECL_SAMPLE, "-o", out, *options, naming=naming)
    assert not out.exists()


def test_files_of_different_menu_versions(shared: Path, tmp_path: Path):
    """An .alg with the names of another version is refused where they do not fit."""
    gdl = shared / "data" / "gdl"
    for suffix, version in ((".alg", "0036"), (".inp", "0010"), (".oup", "0036")):
        (tmp_path / f"mixed{suffix}").write_bytes((gdl / f"ftd_{version}{suffix}").read_bytes())
    out = tmp_path / "out.parquet"
    naming = ["mixed.alg: line 60 = '144': ", "no such input (the last one of mixed.inp is 129)"]
    refused("trigger", "l1", ECL_SAMPLE, "-o", out, "--menu", tmp_path / "mixed.alg", naming=naming)


def test_without_input_or_output():
    """Both are needed, unless the menu alone is to be explained."""
    refused("trigger", "l1", naming=["give INPUT and -o OUT"])
    refused("trigger", "l1", ECL_SAMPLE, naming=["give INPUT and -o OUT"])
    refused("trigger", "l1", "-o", "out.parquet", "--explain", naming=["give INPUT and -o OUT"])


@pytest.mark.parametrize("seed", range(30))
def test_damaged_files_end_with_code_0_or_2(tmp_path: Path, seed: int):
    """As a user gets it: an output, or one line and none."""
    rng = np.random.default_rng(seed)
    data = bytearray(GRL_SAMPLE.read_bytes())
    for place in rng.integers(0, len(data), rng.integers(1, 40)):
        data[place] = rng.integers(256)
    file, out = tmp_path / "damaged.parquet", tmp_path / "out.parquet"
    file.write_bytes(data[: rng.integers(len(data)) if seed % 3 == 0 else None])
    done = darkline_here("trigger", "l1", file, "-o", out, "--bits", "ftdl")
    assert (done.returncode, out.exists()) in ((0, True), (2, False)), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.returncode == 0 or "damaged.parquet: " in done.stderr
