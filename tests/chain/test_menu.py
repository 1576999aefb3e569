"""`darkline menu` and `--explain`: what a menu is made of, and the same menu in its other format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.chain.commands import darkline_here
from tests.triggers.gdl.test_triple import triples
from triggers.gdl.menu import L1Menu
from triggers.gdl.triple import Triple, read_triple, write_triple

SMALL = (
    'name = "small"\nabsent = ["ta_0"]\n'
    '[[line]]\nname = "hie"\nlogic = "ehigh and !veto"\n'
    '[[line]]\nname = "never"\nlogic = "ta_0 and ehigh"\n'
    '[[line]]\nname = "part"\nlogic = "ta_0 or ehigh"\n'
    '[[line]]\nname = "always"\nlogic = "not ta_0"\nprescale = 7\n'
)


def said(*arguments: object) -> str:
    """Return what a command prints."""
    done = darkline_here(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def small(folder: Path) -> Path:
    """Write the small menu."""
    (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    return folder / "small.toml"


def test_summary(tmp_path: Path):
    """Numbers, what is held, and what that does to the lines."""
    text = said("menu", small(tmp_path))
    assert "4 lines, 5 products; 3 inputs, 3 used, 2 held at 0" in text
    assert "prescales other than 1 (1): always 7" in text
    assert "lines that never fire (1): never\n" in text
    assert "lines that always fire (1): always\n" in text
    assert text.endswith("lines with parts held at 0 (1): part\n")


@pytest.mark.parametrize("command", [("menu",), ("trigger", "l1", "--menu")])
def test_explain(tmp_path: Path, command: tuple[str, ...]):
    """Each input bit that the menu names: sub-trigger, computed or held and why, meaning, lines."""
    rows = [row.split() for row in said(*command, small(tmp_path), "--explain").splitlines()]
    ehigh = next(k for k, row in enumerate(rows) if row[0] == "ehigh")
    assert rows[ehigh][:3] == ["ehigh", "ECL", "computed"]
    assert rows[ehigh + 1] == ["lines:", "hie,", "never,", "part"]
    held = next(k for k, row in enumerate(rows) if row[0] == "ta_0")
    assert rows[held][:5] == ["ta_0", "CDC", "held", "at", "0"]
    assert rows[held + 1][0] == "why:"
    assert rows[held + 2] == ["lines:", "never,", "part,", "always"]


def test_explain_for_machines(tmp_path: Path):
    """The same as JSON, beside the result of a run over a file or alone."""
    record: dict[str, Any] = json.loads(said("menu", small(tmp_path), "--json"))
    assert json.loads(said("trigger", "l1", "--explain", "--menu", small(tmp_path), "--json"))["explanation"] == record
    assert [bit["name"] for bit in record["inputs"]] == ["ehigh", "veto", "ta_0"]
    assert record["never"] == ["never"]
    assert record["prescaled"] == {"always": 7}


def test_every_input_of_a_real_menu_is_explained(shared: Path):
    """In the order of the .inp file; what is not a placeholder has a sub-trigger and a meaning."""
    alg = shared / "data" / "gdl" / "ftd_0036.alg"
    record = json.loads(said("menu", alg, "--json"))
    names = list(read_triple(alg).inputs.values())
    assert [bit["name"] for bit in record["inputs"]] == names
    for bit in record["inputs"]:
        assert (bit["sub_trigger"] == "-") == bit["name"].startswith("inp"), bit
        assert "not known" not in bit["meaning"]
    absent = set(L1Menu.load(alg).absent)
    assert absent <= {bit["name"] for bit in record["inputs"] if bit["constant"]}
    assert {"aaa", "toptiming", "bg", "vetout"} <= set(record["never"])
    assert {"n1hie", "ggsel"} <= set(record["held"])


@given(triples())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_through_both_formats(tmp_path: Path, triple: Triple):
    """Files to TOML to files to files: the same menu each time, and nothing said to be lost."""
    write_triple(triple, tmp_path / "menu.alg")
    before = L1Menu.load(tmp_path / "menu.alg")
    (tmp_path / "other").mkdir(exist_ok=True)
    (tmp_path / "third").mkdir(exist_ok=True)
    steps = (tmp_path / "menu.toml", tmp_path / "other" / "menu.alg", tmp_path / "third" / "menu.alg")
    source = tmp_path / "menu.alg"
    for out in steps:
        done = darkline_here("menu", source, "-o", out)
        assert done.returncode == 0, done.stderr
        assert done.stderr == f"menu menu (hash {before.hash:016x}) in {out}\n"
        source = out
    assert read_triple(source).line_names == triple.line_names


def test_menus_of_the_experiment_come_back(shared: Path, tmp_path: Path):
    """Read, written as TOML and as files again: line by line the same products of the same bits."""
    for name in ("ftd_0010", "ftd_0021", "ftd_0036"):
        alg = shared / "data" / "gdl" / f"{name}.alg"
        said("menu", alg, "-o", tmp_path / f"{name}.toml")
        said("menu", tmp_path / f"{name}.toml", "-o", tmp_path / f"{name}.alg")
        assert L1Menu.load(tmp_path / f"{name}.alg").hash == L1Menu.load(alg).hash
        first, last = read_triple(alg), read_triple(tmp_path / f"{name}.alg")
        assert [set(products) for products in last.sums] == [set(products) for products in first.sums]


def test_what_a_format_cannot_keep_is_said(tmp_path: Path):
    """Three files have no prescales, and their name is that of the menu."""
    out = tmp_path / "other.alg"
    done = darkline_here("menu", small(tmp_path), "-o", out)
    assert done.returncode == 0
    lost = done.stderr.splitlines()
    assert f"darkline: {out}: cannot keep the name small: a menu of three files is called as they are" in lost
    assert f"darkline: {out}: cannot keep prescales of always" in lost
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.alg", "other.inp", "other.oup", "small.toml"]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("menu.txt", "--out = 'menu.txt': must end in .toml or .alg"),
        ("no/such/menu.toml", "cannot be written: No such file or directory"),
        ("small.toml", "would overwrite the menu itself"),
    ],
)
def test_outputs_that_cannot_be(tmp_path: Path, out: str, message: str, monkeypatch: pytest.MonkeyPatch):
    """One line, exit code 2, the menu untouched."""
    monkeypatch.chdir(tmp_path)
    small(tmp_path)
    done = darkline_here("menu", "small.toml", "-o", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]
    assert (tmp_path / "small.toml").read_text(encoding="utf-8") == SMALL
