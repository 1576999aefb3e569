"""A run directory through L1 and HLT again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from daq.event import Outcome
from daq.run_directory import lock
from daq.spool import read_manifest
from tests.chain.commands import ROOT, darkline_here, reconciles, spool, summary_of, words
from tests.commands.replay.conftest import EVENTS

_BOOKS = ("generated", "l1_rejected", "l1_dead", "hlt_rejected", "spooled", "delivered_fb", "live_fb", "dead_s")


def replay(source: Path, out: Path, *more: object) -> dict[str, Any]:
    """Return what a replay prints."""
    return summary_of(darkline_here("replay", source, "--out", out, "--json", *more))


def refused(out: Path, *arguments: object) -> str:
    """Assert that a replay is refused in one line and leaves nothing; return the line."""
    beside = set(out.parent.iterdir())
    done = darkline_here("replay", *arguments, "--out", out)
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert set(out.parent.iterdir()) == beside
    return done.stderr


def lines_of(summary: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the rows of the differences by level, stage and line."""
    return {(row["level"], row["stage"], row["line"]): row for row in summary["differences"]["lines"]}


@pytest.mark.parametrize("with_config", [True, False])
def test_a_run_again_is_the_same_run(with_config: bool, config: Path, recorded: Path, tmp_path: Path):
    """Same menus, seed and beam: every word, event, section and count is as it was, dead time included."""
    out = tmp_path / "again"
    summary = replay(recorded, out, *(("--config", config) if with_config else ()))
    assert summary["differences"]["no_difference"]
    assert spool(out).equals(spool(recorded), null_equal=True)
    assert words(out).equals(words(recorded))
    assert pl.read_parquet(out / "sections.parquet").equals(pl.read_parquet(recorded / "sections.parquet"))
    before = json.loads((recorded / "summary.json").read_text())
    assert {key: summary[key] for key in _BOOKS} == {key: before[key] for key in _BOOKS}
    assert [record.counts for record in read_manifest(out)] == [record.counts for record in read_manifest(recorded)]
    assert json.loads((out / "differences.json").read_text()) == summary["differences"]


def test_another_seed_is_told_line_by_line(recorded: Path, tmp_path: Path):
    """The table says what a look at both spools says; what was not kept cannot come back."""
    out = tmp_path / "again"
    summary = replay(recorded, out, "--seed", 99)
    found, before, now = summary["differences"], spool(recorded), spool(out)
    assert not found["no_difference"]
    assert reconciles(summary)
    kept_before, kept_now = (set(frame["event"]) for frame in (before, now))
    assert kept_now < kept_before
    lost = sorted(kept_before - kept_now)
    assert found["kept"] | {"first_lost": lost[:5], "lost": len(lost), "gained": 0} == found["kept"]
    for (level, stage, line), row in lines_of(summary).items():
        if (level, stage) != ("hlt", "prescaled"):
            continue
        was, is_now = (set(frame.filter(pl.col(f"hlt_{line}"))["event"]) for frame in (before, now))
        counts = {"before": len(was), "now": len(is_now), "gained": len(is_now - was), "lost": len(was - is_now)}
        assert {key: row[key] for key in counts} == counts
        assert row["first_gained"] == sorted(is_now - was)[:5]
    both = words(recorded).join(words(out), on="event", suffix="_now")
    rejected = (pl.col("outcome") == Outcome.L1_REJECTED) & (pl.col("outcome_now") == Outcome.L1_REJECTED)
    assert found["l1_would_accept"]["events"] == both.filter(rejected & (pl.col("l1_word_0_now") != 0)).height > 0
    # Dead time is not applied again: what it took stays taken, unless no line asks for the event any more.
    was_dead = both.filter(pl.col("outcome").is_between(1, 3))
    is_same = pl.col("outcome") == pl.col("outcome_now")
    silent = (pl.col("l1_word_0") != 0) & (pl.col("l1_word_0_now") == 0) & (pl.col("outcome_now") == 0)
    assert was_dead.height > 50
    assert was_dead.select((is_same | silent).all()).item()
    assert summary["dead_s"] == json.loads((recorded / "summary.json").read_text())["dead_s"]


def test_another_menu(config: Path, recorded: Path, tmp_path: Path):
    """Lines that one menu alone has are shown as such, and what is unknown of events that were not kept is said."""
    text = (ROOT / "configs" / "menus" / "l1" / "physics.toml").read_text(encoding="utf-8")
    (tmp_path / "other.toml").write_text(text.replace('name = "hie"', 'name = "other"'), encoding="utf-8")
    text = config.read_text(encoding="utf-8").replace('[l1]\nmenu = "physics"', f'[l1]\nmenu = "{tmp_path}/other.toml"')
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    summary = replay(recorded, tmp_path / "again", "--config", tmp_path / "run.toml")
    rows = lines_of(summary)
    was, is_now = rows["l1", "raw", "hie"], rows["l1", "raw", "other"]
    assert was["now"] is None
    assert is_now["before"] is None
    assert was["before"] == is_now["now"] == is_now["gained"] == was["lost"] > 0
    assert not summary["differences"]["no_difference"]
    assert summary["spooled"] == summary["differences"]["kept"]["before"]
    assert any("not those of the recorded run" in note for note in summary["notes"])
    assert reconciles(summary)
    assert summary["generated"] == EVENTS


@pytest.mark.parametrize("events", ["0:5000", "300:301", "5,17,200:900,2047:2049,4999"])
def test_some_events(events: str, recorded: Path, tmp_path: Path):
    """Chosen events keep their numbers and are decided as among all the others."""
    out = tmp_path / "again"
    summary = replay(recorded, out, "--events", events)
    spans = [(int(a), int(b or int(a) + 1)) for a, _, b in (item.partition(":") for item in events.split(","))]
    numbers = [number for begin, end in spans for number in range(begin, end)]
    assert summary["differences"]["no_difference"]
    assert summary["generated"] == len(numbers)
    chosen = pl.col("event").is_in(numbers)
    assert words(out).equals(words(recorded).filter(chosen))
    if summary["spooled"]:
        assert spool(out).equals(spool(recorded).filter(chosen), null_equal=True)


def test_parts_of_a_block_share_its_dead_time(recorded: Path, tmp_path: Path):
    """Two replays that together are the run have together its dead time and luminosity."""
    halves = [replay(recorded, tmp_path / name, "--events", name) for name in ("0:1111", "1111:5000")]
    whole = json.loads((recorded / "summary.json").read_text())
    for cause, dead_s in whole["dead_s"].items():
        assert sum(half["dead_s"][cause] for half in halves) == pytest.approx(dead_s, abs=1e-12)
    assert sum(half["delivered_fb"] for half in halves) == pytest.approx(whole["delivered_fb"], rel=1e-12)


def test_a_replay_can_be_replayed(recorded: Path, tmp_path: Path):
    """The second generation is as the first."""
    replay(recorded, tmp_path / "one", "--events", "100:200,1000:1500")
    summary = replay(tmp_path / "one", tmp_path / "two", "--events", "1100:1400")
    assert summary["differences"]["no_difference"]
    chosen = pl.col("event").is_between(1100, 1399)
    assert words(tmp_path / "two").equals(words(recorded).filter(chosen))


def test_prescales_by_counter_too(config: Path, tmp_path: Path):
    """Counters look at every event, kept or not: the raw words of all are there, so they count the same again."""
    menu = ROOT / "configs" / "menus" / "l1" / "physics.toml"
    counting = tmp_path / "counting.toml"
    text = menu.read_text(encoding="utf-8").replace("\n[", '\nprescale_by = "counter"\n\n[', 1)
    counting.write_text(text, encoding="utf-8")
    by_counter = tmp_path / "run.toml"
    text = config.read_text(encoding="utf-8").replace('[l1]\nmenu = "physics"', f'[l1]\nmenu = "{counting}"')
    by_counter.write_text(text, encoding="utf-8")
    summary_of(darkline_here("run", by_counter, "--events", 3000, "--out", tmp_path / "run", "--json"))
    assert replay(tmp_path / "run", tmp_path / "again")["differences"]["no_difference"]
    assert words(tmp_path / "again").equals(words(tmp_path / "run"))
    line = refused(tmp_path / "farm", tmp_path / "run", "--engine", "dask")
    assert "counter" in line


# ---- what can be wrong with the run


def test_an_unfinished_run(copied: Path, tmp_path: Path):
    """What the manifest counts of a run that was cut off can be replayed; it is said that it was cut off."""
    lines = (copied / "manifest.jsonl").read_text().splitlines(keepends=True)
    (copied / "manifest.jsonl").write_text("".join(lines[:8]) + lines[8][:40])
    (copied / "summary.json").unlink()
    summary = replay(copied, tmp_path / "again")
    assert summary["generated"] == 8 * 256
    assert summary["differences"]["no_difference"]
    assert any("unfinished" in note for note in summary["notes"])
    assert "0:2048" in refused(tmp_path / "more", copied, "--events", "2000:3000")


def test_a_run_that_goes_on_is_refused(copied: Path, tmp_path: Path):
    """Whoever writes into the directory holds its lock."""
    with lock(copied):
        assert "going on" in refused(tmp_path / "again", copied)


def test_nothing_recorded(copied: Path, tmp_path: Path):
    """A run of which nothing is durable has nothing to replay."""
    (copied / "manifest.jsonl").write_text("")
    assert "nothing is recorded" in refused(tmp_path / "again", copied)


@pytest.mark.parametrize("folder", ["events", "trigger_words"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_a_damaged_part(folder: str, damage: str, copied: Path, tmp_path: Path):
    """Each file is read against its digest before anything is made."""
    path = sorted((copied / folder).iterdir())[2]
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
        path.write_bytes(content[:-10] if damage == "cut" else flipped)
    line = refused(tmp_path / "again", copied)
    assert str(path) in line


def rewritten(directory: Path, folder: str, change: Any) -> None:
    """Change the table of the first part, with its digest in the manifest."""
    import xxhash

    path = sorted((directory / folder).iterdir())[0]
    old = xxhash.xxh3_64_hexdigest(path.read_bytes())
    change(pl.read_parquet(path)).write_parquet(path)
    manifest = directory / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace(old, xxhash.xxh3_64_hexdigest(path.read_bytes())))


def without_a_field(table: pl.DataFrame) -> pl.DataFrame:
    """Give the times of the trigger cells another name."""
    return table.with_columns(pl.col("tc").list.eval(pl.element().struct.rename_fields(["id", "energy_gev", "t"])))


@pytest.mark.parametrize(
    ("folder", "change", "naming"),
    [
        ("events", lambda table: table.drop("cdc_t0"), "cdc_t0"),
        ("events", without_a_field, "tc.time_ns"),
        ("events", lambda table: table.with_columns(pl.col("time_ns") + 1), "time_ns"),
        ("events", lambda table: table.with_columns(pl.col("run") + np.uint32(1)), "time_ns"),
        ("events", lambda table: table.head(3), "trigger words"),
        ("trigger_words", lambda table: table.drop("l1_raw_word_0"), "l1_raw_word_0"),
    ],
)
def test_events_of_another_kind(folder: str, change: Any, naming: str, copied: Path, tmp_path: Path):
    """Another event model, another clock, books that do not agree: refused with the column."""
    rewritten(copied, folder, change)
    assert naming in refused(tmp_path / "again", copied)


@pytest.mark.parametrize("keys", [("process_names",), ("l1", "logic"), ("l1", "timing", "veto"), ("hlt", "lines")])
def test_a_run_of_an_older_version(keys: tuple[str, ...], copied: Path, tmp_path: Path):
    """What run.json does not say of the run, a replay does not guess."""
    said = json.loads((copied / "run.json").read_text())
    table = said["about"]
    for key in keys[:-1]:
        table = table[key]
    del table[keys[-1]]
    (copied / "run.json").write_text(json.dumps(said))
    assert "about." + ".".join(keys) in refused(tmp_path / "again", copied)
    assert darkline_here("cut", copied, "--events", 3, "-o", tmp_path / "cut.parquet").returncode == 2


def test_options_that_do_not_go_together(config: Path, recorded: Path, copied: Path, tmp_path: Path):
    """One line each."""
    out = tmp_path / "again"
    assert "one run directory" in refused(out, recorded, copied)
    assert "not the directory of a run" in refused(out, tmp_path)
    assert "--level" in refused(out, recorded, "--level", "bits")
    assert "--speed" in refused(out, recorded, "--speed", "0")
    assert "--engine" in refused(out, recorded, "--engine", "spark")
    assert "--scheduler" in refused(out, recorded, "--scheduler", "tcp://localhost:1")
    assert "--config" in refused(out, config)
    done = darkline_here("replay", copied, "--out", copied, "--overwrite")
    assert done.returncode == 2
    assert "into itself" in done.stderr
    assert words(copied).equals(words(recorded))
