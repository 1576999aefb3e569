"""The real chain against a clock: what it cannot take is dead time, in the books and in the rates."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from daq.event import Outcome
from tests.chain.commands import DEMO, darkline, darkline_here, reconciles, summary_of, words

EVENTS = 60_000


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run whose collisions come a thousand times as fast as in reality."""
    folder = tmp_path_factory.mktemp("hasty")
    config = folder / "hasty.toml"
    text = DEMO.read_text(encoding="utf-8").replace("block_events = 4096", "block_events = 512\nlag_s = 0.02")
    config.write_text(text, encoding="utf-8")
    summary_of(darkline("run", config, "--events", EVENTS, "--pace", "x1000", "--out", folder / "run", "--json"))
    return folder / "run"


def test_lost_collisions_are_dead_time(hasty: Path):
    """The books balance; lost blocks are whole, weigh nothing, and their time is dead for no other cause."""
    all_words, sections = words(hasty), pl.read_parquet(hasty / "sections.parquet")
    busy = all_words.filter(pl.col("outcome") == Outcome.L1_DEAD_BUSY)
    lost = set((busy["event"] // 512).to_list())
    assert 0 < len(lost) < EVENTS / 512
    assert busy.height == sum(min(512, EVENTS - 512 * block) for block in lost)
    assert busy["weight"].to_list() == [0.0] * busy.height
    assert sections["generated"].sum() == EVENTS
    live = sections["live_fb"].sum() / sections["delivered_fb"].sum()
    assert live == pytest.approx(1 - busy.height / EVENTS, abs=0.1)  # blocks last about as long as each other


def _value(rate: dict[str, float]) -> float:
    return rate["value"]


def test_rates_are_those_of_the_time_that_was_looked_at(hasty: Path, tmp_path: Path):
    """Raw rates of a run that lost most of its collisions are those of one that lost none, within their errors."""
    summary_of(darkline("run", DEMO, "--events", EVENTS, "--out", tmp_path / "calm", "--json"))
    found = [summary_of(darkline_here("rates", run, "--json")) for run in (hasty, tmp_path / "calm")]
    one, other = (max((line["raw"] for line in record["menus"][0]["lines"]), key=_value) for record in found)
    assert one["error"] > 2 * other["error"] > 0  # of fewer events
    assert one["value"] == pytest.approx(other["value"], abs=5 * one["error"])


def test_a_real_pace_takes_its_time(tmp_path: Path):
    """At ten times real time nothing is lost, and the run takes a tenth of its beam time."""
    out = tmp_path / "run"
    summary = summary_of(darkline("run", DEMO, "--events", EVENTS, "--pace", "x1", "--out", out, "--json"))
    assert reconciles(summary)
    beam_s = pl.read_parquet(out / "sections.parquet")["end_s"].max()
    assert isinstance(beam_s, float)
    assert summary["wall_s"] >= beam_s


def test_what_is_no_pace(tmp_path: Path):
    """One line, exit code 2, nothing made."""
    refused = darkline_here("run", DEMO, "--pace", "fast", "--out", tmp_path / "run")
    assert refused.returncode == 2
    assert 'pace = \'fast\': must be "max", "real" or "x" and a factor above 0' in refused.stderr.replace("stream.", "")
    assert not (tmp_path / "run").exists()
