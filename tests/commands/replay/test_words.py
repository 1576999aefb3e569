"""Trigger words through another prescale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daq.run_directory import read_run
from tests.chain.commands import ROOT, darkline_here, summary_of, words
from triggers.prescale import keeps, line_keys


def replay(source: object, *more: object) -> dict[str, Any]:
    """Return what a replay of words prints."""
    return summary_of(darkline_here("replay", source, "--level", "trigger_words", "--json", *more))


def refused(*arguments: object) -> str:
    """Assert that a replay of words is refused in one line; return it."""
    done = darkline_here("replay", *arguments, "--level", "trigger_words")
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_the_same_prescales(recorded: Path):
    """Nothing changes, and the rates are those of `darkline rates`."""
    result = replay(recorded)
    assert result["differences"]["no_difference"]
    rates = summary_of(darkline_here("rates", recorded, "--json"))
    before, now = result["rates"]["menus"]
    for row, of_before, of_now in zip(rates["menus"][0]["lines"], before["lines"], now["lines"], strict=True):
        for stage in ("raw", "prescaled", "unique"):
            assert row[stage]["value"] == pytest.approx(of_before[stage]["value"], rel=1e-12)
            assert of_before[stage] == of_now[stage]


def test_another_seed(recorded: Path):
    """Prescales of another seed keep other events, the ones that the hash of the event says."""
    rows = {row["line"]: row for row in replay(recorded, "--seed", 12)["differences"]["lines"]}
    run, frame = read_run(recorded), words(recorded)
    prescales: dict[str, int] = run.about["l1"]["lines"]
    keys = line_keys("l1", list(prescales), 12)
    assert any(prescale > 1 for prescale in prescales.values())
    for place, (line, prescale) in enumerate(prescales.items()):
        raw, was = (
            (frame[name].to_numpy() >> np.uint64(place)) & np.uint64(1) != 0 for name in ("l1_raw_word_0", "l1_word_0")
        )
        hashed = [
            keeps(keys[place], np.uint64(prescale), np.uint32(run.settings.run), event) for event in frame["event"]
        ]
        now = raw & np.array(hashed)
        expected = {"before": was, "now": now, "gained": now & ~was, "lost": was & ~now}
        assert {name: rows[line][name] for name in expected} == {n: int(flags.sum()) for n, flags in expected.items()}
        assert rows[line]["first_lost"] == frame["event"].to_numpy()[was & ~now][:5].tolist()


def test_files_and_folders_of_words(recorded: Path, tmp_path: Path):
    """Parts of a run stand for their events, their folder for all."""
    parts = sorted((recorded / "trigger_words").iterdir())
    assert replay(recorded / "trigger_words")["differences"]["events"] == 5000
    some = replay(parts[1], parts[2], "--seed", 12, "--out", tmp_path / "out")
    assert some["differences"]["events"] == 2 * 4 * 256
    assert json.loads((tmp_path / "out" / "differences.json").read_text()) == some
    whole = replay(recorded, "--events", "1024:3072", "--seed", 12)
    assert summary_of(darkline_here("replay", parts[1], parts[2], "--seed", 12, "--json")) == some  # by what it is
    assert some["differences"]["lines"] == whole["differences"]["lines"]
    assert "exists already" in refused(recorded, "--out", tmp_path / "out")


def test_what_words_do_not_hold(recorded: Path, tmp_path: Path):
    """Other lines cannot be had of words; other files have no words; the note says what else is not there."""
    standard = ROOT / "configs" / "runs" / "low_multiplicity.toml"
    assert "[l1] menu" in refused(recorded, "--config", standard)
    assert "not the directory of a run" in refused(tmp_path / "mine.parquet")
    assert "0:5000" in refused(recorded, "--events", "4999:5001")
    assert "--engine" in refused(recorded, "--engine", "dask")
    assert any("HLT cannot be asked" in note for note in replay(recorded)["notes"])
