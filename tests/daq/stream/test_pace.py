"""The clock of a run, and what becomes of collisions that nobody could take."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.errors import InputError
from daq.event import Outcome
from daq.settings import StreamSettings, parse
from daq.stream.loops import LostBlocks
from daq.stream.pace import RunClock
from tests.daq.stream import toy
from tests.daq.stream.test_run import EVENTS, Killer, run_toy


@given(speed=st.floats(0.01, 100), begin=st.floats(0, 1e6), at=st.integers(0, 10**15), after=st.floats(0, 1e4))
def test_the_clock_runs_at_its_speed_from_where_it_was_started(speed: float, begin: float, at: int, after: float):
    """After ``after`` seconds a moment ``after * speed`` later in the run is now; a halted clock starts anew."""
    clock = RunClock(speed)
    clock.run_from(begin, at)
    clock.run_from(begin + 1, at + 10**9)  # runs already
    assert clock.late_s(begin + after, at + round(after * speed * 1e9)) == pytest.approx(0, abs=1e-5)
    assert clock.late_s(begin + after, at) == pytest.approx(after)
    clock.halt()
    with pytest.raises(RuntimeError):
        clock.late_s(begin, at)
    clock.run_from(0.0, 0)
    assert clock.late_s(1.0, 0) == pytest.approx(1.0)


@pytest.mark.parametrize(("pace", "speed"), [("max", None), ("real", 1.0), ("x10", 10.0), ("x0.5", 0.5)])
def test_paces(pace: str, speed: float | None):
    """Max, real, and any factor."""
    assert StreamSettings(pace=pace).speed == speed


@pytest.mark.parametrize("pace", ["", "10", "fast", "x", "x0", "x-1", "xinf", "xnan", "10x", "REAL"])
def test_what_is_no_pace(pace: str):
    """The rule is said."""
    with pytest.raises(InputError, match='must be "max", "real" or "x" and a factor'):
        parse({"pace": pace}, StreamSettings, file=Path("run.toml"))


def books(directory: Path) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:
    """Return summary, trigger words and sections of a run."""
    words = pl.read_parquet(directory / "trigger_words" / "*.parquet")
    return json.loads((directory / "summary.json").read_text()), words, pl.read_parquet(directory / "sections.parquet")


def test_what_was_given_up_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By whoever comes after; a number that the disk does not take is not given up, and leaves nothing behind."""
    path = tmp_path / "lost_blocks.txt"
    lost = LostBlocks(path)
    lost.add(3)
    write = os.write
    monkeypatch.setattr("daq.spool.os.write", lambda fd, content: write(fd, content[:1]))  # room for one byte
    with pytest.raises(OSError, match="No space left"):
        lost.add(57)
    monkeypatch.undo()
    lost.add(5)
    assert path.read_text() == "3\n5\n"
    path.write_text("3\n5\n6")  # torn
    assert [number for number in range(60) if number in LostBlocks(path)] == [3, 5]


def test_a_chain_that_is_fast_enough_loses_nothing(tmp_path: Path):
    """At a pace that the toy keeps up with, the run takes its time and the spool is that of any other run."""
    run = toy.toy_run(EVENTS, pace="x1", lag_s=60.0)  # 94 blocks of 10 ms
    summary = run_toy(tmp_path / "paced", run)
    run_toy(tmp_path / "max", toy.toy_run(EVENTS))
    assert summary["lost_blocks"] == summary["l1_dead"]["busy"] == 0
    assert summary["wall_s"] > 94 * toy.BLOCK_NS * 1e-9
    one, other = (pl.read_parquet(tmp_path / name / "trigger_words" / "*.parquet") for name in ("paced", "max"))
    assert one.equals(other)


@pytest.mark.parametrize("killed", ["", "source", "l1", "spool"])
def test_a_chain_that_is_too_slow_makes_dead_time_and_no_queue(
    killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Lost collisions are counted, whole blocks at a time, with their time; whoever dies, the books balance."""
    monkeypatch.setenv("TOY_WORK_S", "0.02")  # L1 takes 20 ms for a block that comes every 10 ms
    run = toy.toy_run(2 * EVENTS, pace="real", lag_s=0.1)
    in_flight: list[int] = []
    killer = Killer(killed) if killed else None

    def watch(status: dict[str, Any]) -> None:
        in_flight.append(status["blocks_in_flight"])
        if killer is not None:
            killer(status)

    summary = run_toy(tmp_path / "run", run, on_status=watch)
    assert killer is None or killer.killed
    assert max(in_flight) <= run.settings.stream.window_blocks
    summary, words, sections = books(tmp_path / "run")
    assert summary["state"] == "DONE"
    assert words["event"].to_list() == list(range(2 * EVENTS))
    busy = words.filter(pl.col("outcome") == Outcome.L1_DEAD_BUSY)["event"]
    assert summary["l1_dead"]["busy"] == busy.len() > 0
    lost = {event // 64 for event in busy}
    assert busy.len() == sum(run.block_range(number)[1] for number in lost)  # whole blocks
    assert len(lost) < run.n_blocks  # and not all of them
    assert sections["dead_s_busy"].sum() == pytest.approx(len(lost) * toy.BLOCK_NS * 1e-9)
    assert summary["live_fb"] < summary["delivered_fb"]
    assert {int(line) for line in (tmp_path / "run" / "lost_blocks.txt").read_text().split()} == lost
