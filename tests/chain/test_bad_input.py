"""What bad input gets: one line that names file, key, value and rule; exit code 2; nothing written, nothing touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chain.commands import DEMO, ROOT, darkline, summary_of

REPLAY = ROOT / "configs" / "runs" / "replay.toml"
SAMPLE = ROOT / "configs" / "samples" / "tau_pair.parquet"


def refused(*arguments: object, naming: list[str], out: Path | None = None) -> None:
    """Fail unless the command ends with code 2 and one line that holds every word of ``naming``."""
    done = darkline(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in naming:
        assert word in done.stderr, done.stderr
    if out is not None:
        assert not out.exists()


def edited(tmp_path: Path, old: str, new: str, source: Path = DEMO) -> Path:
    """Return a copy of a configuration with one change."""
    text = source.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / source.name
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_missing_configuration(tmp_path: Path):
    """The file is named."""
    refused(
        "run", tmp_path / "no.toml", "--out", tmp_path / "run", naming=["no.toml", "no such file"], out=tmp_path / "run"
    )


@pytest.mark.parametrize(
    ("old", "new", "naming"),
    [
        ("seed =", "sede =", ["demo.toml", "sede", "did you mean seed?"]),
        ("events = ", "events = -", ["demo.toml", "events = -"]),
        ("luminosity_cm2_s = ", "luminosity_cm2_s = -", ["demo.toml", "[beam] luminosity_cm2_s = -"]),
        ("cross_section_nb = ", "cross_section_nb = -", ["demo.toml", "cross_section_nb = -"]),
        ('"bhabha"', '"bhahba"', ["bhahba", "bhabha"]),
        ('menu = "physics"', 'menu = "physiks"', ["physiks"]),
        (
            'menu = "physics"',
            'menu = "low_multiplicity"\ncolumn = "6e36"',
            ["demo.toml: [l1] column = '6e36'", "no such prescale column (known: 6e34, 6e35)"],
        ),
        ("section_s = 10.0", "section_s = 10.0\ninjection.ler_hz = -1.0", ["[beam.injection] ler_hz = -1.0"]),
    ],
)
def test_a_mistake_in_the_configuration(old: str, new: str, naming: list[str], tmp_path: Path):
    """Unknown keys, wrong values and unknown names are refused before anything is made."""
    path = edited(tmp_path, old, new)
    refused("run", path, "--out", tmp_path / "run", naming=naming, out=tmp_path / "run")
    refused("check", path, naming=naming)


def test_a_run_directory_is_never_overwritten(tmp_path: Path):
    """An existing directory is refused and left as it is, unless --overwrite says otherwise."""
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "precious.txt").write_text("mine")
    refused("run", DEMO, "--events", 2000, "--out", directory, naming=[str(directory), "--overwrite"])
    assert (directory / "precious.txt").read_text() == "mine"


def test_overwrite_replaces_a_run_but_not_what_is_no_run(tmp_path: Path):
    """--overwrite makes a new run of an old run's directory; a folder that never was a run stays."""
    directory = tmp_path / "run"
    summary_of(darkline("run", DEMO, "--events", 2000, "--out", directory, "--json"))
    again = darkline("run", DEMO, "--events", 1000, "--out", directory, "--overwrite", "--json")
    assert summary_of(again)["generated"] == 1000
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"meow")
    refused("run", DEMO, "--events", 1000, "--out", other, "--overwrite", naming=["photos"])
    assert (other / "cat.jpg").read_bytes() == b"meow"


def test_a_truncated_sample(tmp_path: Path):
    """A Parquet file that ends too early is named, and no run directory is left behind."""
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(SAMPLE.read_bytes()[:-40])
    out = tmp_path / "run"
    refused("replay", cut, "--config", REPLAY, "--out", out, naming=["cut.parquet"], out=out)


def test_a_missing_input_file(tmp_path: Path):
    """A file that is not there is named."""
    out = tmp_path / "run"
    refused(
        "replay", tmp_path / "no.root", "--config", REPLAY, "--out", out, naming=["no.root", "no such file"], out=out
    )


def test_resume_of_what_is_no_run(tmp_path: Path):
    """Only a run directory can be gone on with."""
    refused("run", "--resume", tmp_path / "nothing", naming=["nothing"])
