"""Events cut out of a run, replayed alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from commands.replay.cut import first_culprit, try_cut
from daq.source import formats
from tests.chain.commands import ROOT, darkline_here, spool, summary_of, words

FILES = ROOT / "configs" / "runs" / "replay.toml"
SAMPLE = ROOT / "configs" / "samples" / "tau_pair.parquet"


def cut(*arguments: object) -> dict[str, Any]:
    """Return what a cut prints."""
    return summary_of(darkline_here("cut", *arguments, "--json"))


def refused(out: Path, *arguments: object) -> str:
    """Assert that a cut is refused in one line, and that there is no file; return the line."""
    done = darkline_here("cut", *arguments, "-o", out)
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not out.exists()
    return done.stderr


def test_any_event_of_a_mix(recorded: Path, tmp_path: Path):
    """Kept or not, an event in a file of its own is decided as it was: outcome, words, every column of the spool."""
    file, out = tmp_path / "some.parquet", tmp_path / "again"
    assert cut(recorded, "--events", "3,250:300,4000:4999", "-o", file)["events"] == 1 + 50 + 999
    summary = summary_of(darkline_here("replay", file, "--out", out, "--json"))
    assert summary["differences"]["no_difference"]
    chosen = pl.col("event").is_in([3, *range(250, 300), *range(4000, 4999)])
    assert words(out).equals(words(recorded).filter(chosen))
    assert spool(out).equals(spool(recorded).filter(chosen), null_equal=True)
    assert summary["l1_dead"]["spacing"] > 0  # what was lost to dead time is not found again


def test_a_block_of_which_nothing_is_durable(copied: Path, recorded: Path, tmp_path: Path):
    """Of a run that died at a block, the block is made again, and decided alone as it would have been."""
    lines = (copied / "manifest.jsonl").read_text().splitlines(keepends=True)
    (copied / "manifest.jsonl").write_text("".join(lines[:8]))
    file, out = tmp_path / "block.parquet", tmp_path / "again"
    said = cut(copied, "--block", 9, "-o", file)
    assert said["numbers"] == "2304:2560"
    summary = summary_of(darkline_here("replay", file, "--out", out, "--json"))
    assert summary["generated"] == 256
    same = words(recorded).filter(pl.col("event").is_between(2304, 2559))
    columns = ["event", "process", "weight", "l1_word_0", "l1_raw_word_0"]
    assert words(out).select(columns).equals(same.select(columns))
    kept = spool(recorded).filter(pl.col("event").is_between(2304, 2559))
    assert spool(out).filter(pl.col("event").is_in(kept["event"].to_list())).equals(kept, null_equal=True)


def test_a_cut_with_another_seed_differs(recorded: Path, tmp_path: Path):
    """The comparison can fail: with other prescales it does."""
    file = tmp_path / "some.parquet"
    cut(recorded, "--events", "0:2000", "-o", file)
    done = darkline_here("replay", file, "--seed", 5, "--out", tmp_path / "again", "--json")
    assert not summary_of(done)["differences"]["no_difference"]


def test_kept_events_outlive_the_source(recorded: Path, tmp_path: Path):
    """Of a replay of recorded events only those that were kept can be cut out, and the others are named."""
    darkline_here("replay", recorded, "--out", tmp_path / "again")
    kept = spool(recorded)["event"].to_list()
    lost = next(number for number in range(5000) if number not in kept)
    assert cut(tmp_path / "again", "--events", kept[4], "-o", tmp_path / "one.parquet")["numbers"] == str(kept[4])
    assert f"event {lost}" in refused(tmp_path / "two.parquet", tmp_path / "again", "--events", lost)


def test_events_of_files(tmp_path: Path):
    """Events of users' files keep their numbers, so detector and prescales draw what they drew among all the others."""
    particles = formats.read_sample(SAMPLE).take(np.arange(300))
    formats.write_particles(tmp_path / "mine.parquet", particles)
    file, out, whole = tmp_path / "some.parquet", tmp_path / "again", tmp_path / "whole"
    slow = tmp_path / "slow.toml"  # so far apart that none is lost to dead time
    slow.write_text(FILES.read_text(encoding="utf-8").replace("10_000.0", "10.0"), encoding="utf-8")
    given = tmp_path / "mine.parquet", "--config", slow
    darkline_here("replay", *given, "--out", whole)
    cut(*given, "--events", "120:180,299", "-o", file)
    darkline_here("replay", file, "--out", out)
    darkline_here("replay", *given, "--events", "120:180,299", "--out", f"{out}2")
    chosen = pl.col("event").is_in([*range(120, 180), 299])
    for again in (out, Path(f"{out}2")):
        assert words(again).equals(words(whole).filter(chosen))
        assert spool(again).equals(spool(whole).filter(chosen), null_equal=True)


def test_what_cannot_be_cut(recorded: Path, config: Path, tmp_path: Path):
    """One line each, and no file."""
    out = tmp_path / "out.parquet"
    assert "0:5000" in refused(out, recorded, "--events", "4990:5001")
    assert "from 0 to 19" in refused(out, recorded, "--block", 20)
    assert "--events or --block" in refused(out, recorded)
    assert "--events or --block" in refused(out, recorded, "--block", 1, "--events", 3)
    assert "--config" in refused(out, SAMPLE, "--events", 3)
    assert "--config" in refused(out, recorded, "--config", config, "--events", 3)
    assert ".parquet" in refused(tmp_path / "out.root", recorded, "--events", 3)
    assert "no such file" in refused(out, tmp_path / "none.hepmc", "--config", FILES, "--events", 3)
    cut(recorded, "--events", 3, "-o", out)
    done = darkline_here("cut", recorded, "--events", 4, "-o", out)
    assert done.returncode == 2
    assert pq.read_table(out)["event"].to_pylist() == [3]


def test_a_cut_that_was_damaged(recorded: Path, tmp_path: Path):
    """Refused with the file, and nothing is made."""
    file = tmp_path / "some.parquet"
    cut(recorded, "--events", "0:50", "-o", file)
    table = pq.read_table(file)
    for name, broken in (
        ("tracks", table.drop_columns(["tracks"])),
        ("was_outcome", table.drop_columns(["was_outcome"])),
        ("event", table.take([1, 0])),
        (
            "time_ns",
            table.set_column(2, "time_ns", pl.Series(table["time_ns"]).to_arrow().take(list(range(49, -1, -1)))),
        ),
    ):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(broken, path)
        done = darkline_here("replay", path, "--out", tmp_path / "again")
        assert done.returncode == 2, done
        assert name in done.stderr
        assert not (tmp_path / "again").exists()
    shutil.copy(file, tmp_path / "short.parquet")
    (tmp_path / "short.parquet").write_bytes(file.read_bytes()[:-100])
    assert darkline_here("replay", tmp_path / "short.parquet", "--config", FILES).returncode == 2


# ---- the one that kills


@given(st.integers(1, 300), st.data())
def test_halves_find_the_one_that_kills(count: int, data: st.DataObject):
    """Whichever it is, in about log2 of them trials; and none if there is none."""
    culprit = data.draw(st.one_of(st.none(), st.integers(0, count - 1)))
    trials = 0

    def kills(first: int, size: int) -> bool:
        nonlocal trials
        trials += 1
        return culprit is not None and first <= culprit < first + size

    assert first_culprit(count, kills) == culprit
    assert trials <= 2 + (count - 1).bit_length()


def test_what_kills_only_together_is_not_found():
    """No single event is blamed for it."""
    assert first_culprit(16, lambda _first, size: size >= 10) is None


def test_a_harmless_block_is_not_blamed(recorded: Path, tmp_path: Path):
    """Decided in a process of its own, it does not die; nothing is written."""
    cut(recorded, "--block", 2, "-o", tmp_path / "block.parquet")
    assert try_cut(tmp_path / "block.parquet")["events"] == 256
    done = darkline_here("cut", recorded, "--block", 2, "--bisect", "-o", tmp_path / "one.parquet")
    assert done.returncode == 1
    assert "kill no process" in done.stderr
    assert not (tmp_path / "one.parquet").exists()
