"""A run from the command line: reconciled, reproducible to the bit, and proof against a killed process."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from daq.event import Outcome
from daq.run_directory import read_run
from tests.chain.commands import DEMO, ROOT, darkline, reconciles, spool, start, summary_of, words
from tests.waiting import wait_for
from triggers.prescale import keeps, line_keys

EVENTS = 120_000


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Return the command of the run: the demo in small parts and with quick status, so kills fall into its middle."""
    config = tmp_path_factory.mktemp("config") / "parts.toml"
    small = "block_events = 1024\nblocks_per_part = 4\nworker_credits = 2\nstatus_s = 0.02\nwindow_blocks = 16"
    text = DEMO.read_text(encoding="utf-8")
    config.write_text(re.sub(r"block_events.*\nblocks_per_part.*\nwindow_blocks.*", small, text), encoding="utf-8")
    assert "status_s" in config.read_text(encoding="utf-8")
    return "run", config, "--events", EVENTS, "--seed", 7, "--json"


@pytest.fixture(scope="module")
def reference(arguments: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of an undisturbed run with one worker."""
    directory = tmp_path_factory.mktemp("reference") / "run"
    summary = summary_of(darkline(*arguments, "--workers", 1, "--out", directory))
    assert summary["generated"] == EVENTS
    assert summary["state"] == "DONE"
    assert reconciles(summary)
    assert summary["spooled"] == spool(directory).height > 0
    assert words(directory)["event"].to_list() == list(range(EVENTS))
    return directory


def same_decisions(directory: Path, reference: Path) -> None:
    """Fail unless both runs spooled the same events with the same numbers, and decided the same for all others."""
    assert spool(directory).equals(spool(reference), null_equal=True)
    assert words(directory).equals(words(reference))


def test_the_run_directory_is_complete(reference: Path):
    """Everything that the design promises is there, and run.json repeats the run."""
    for name in ("run.json", "manifest.jsonl", "sections.parquet", "summary.json", "log.jsonl", "status.json"):
        assert (reference / name).is_file(), name
    record = json.loads((reference / "run.json").read_text())
    assert record["settings"]["seed"] == 7
    status = json.loads((reference / "status.json").read_text())
    assert {entry["role"] for entry in status["processes"]} >= {"source", "l1", "hlt", "spool"}


def timed_alone(run: Path, sample: int) -> int:
    """Return how many L1-accepted events of a run are among those that are timed alone, one in ``sample``."""
    words = pl.read_parquet(run / "trigger_words" / "*.parquet")
    accepted = words.filter(pl.col("outcome").is_in([Outcome.HLT_REJECTED, Outcome.KEPT]))
    settings = read_run(run).settings
    key = line_keys("hlt", ["latency sample"], settings.seed)[0]
    return sum(keeps(key, np.uint64(sample), np.uint32(settings.run), np.uint64(event)) for event in accepted["event"])


def test_the_books_hold_the_latency_of_the_hlt(reference: Path):
    """Every L1-accepted event is in the histogram; flags and sampled times stand beside the kept events."""
    summary = json.loads((reference / "summary.json").read_text())
    latency = summary["hlt_latency"]
    assert latency["block"]["events"] == summary["hlt_rejected"] + summary["spooled"]
    assert 0 < latency["block"]["p50"] <= latency["block"]["p99"] <= latency["block"]["p99.9"]
    menu = json.loads((reference / "run.json").read_text())["about"]["hlt"]
    sampled = timed_alone(reference, menu["budget"]["sample"])
    assert latency["event"]["events"] == sampled
    assert latency["policy"] == "flag"
    assert latency["kept_by_time"] == latency["rejected_by_time"] == 0
    assert set(latency["lines"]) == (set(menu["lines"]) if sampled else set())
    events = pl.read_parquet(reference / "events" / "*.parquet")
    flags = events["hlt_over_budget"], events["hlt_over_cap"]
    assert [flag.dtype for flag in flags] == [pl.Boolean] * 2
    assert not flags[1].any()
    assert events["hlt_latency_us"].min() > 0
    alone = events["hlt_event_latency_us"]
    assert 0 <= alone.is_not_nan().sum() <= latency["event"]["events"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_run_is_the_same_run(workers: int, arguments: tuple[object, ...], reference: Path, tmp_path: Path):
    """One worker or two, today or tomorrow: same events, same decisions, bit for bit."""
    summary = summary_of(darkline(*arguments, "--workers", workers, "--out", tmp_path / "run"))
    assert reconciles(summary)
    same_decisions(tmp_path / "run", reference)


def test_another_seed_is_another_run(reference: Path, tmp_path: Path):
    """The comparison above can fail: with another seed it does."""
    summary_of(darkline("run", DEMO, "--events", 3000, "--seed", 8, "--out", tmp_path / "run", "--json"))
    assert not spool(tmp_path / "run").equals(spool(reference).head(spool(tmp_path / "run").height))


def running(directory: Path) -> dict[str, Any] | None:
    """Return the status of a run that has some but not all blocks done."""
    try:
        status: dict[str, Any] = json.loads((directory / "status.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return status if 0 < status["blocks_done"] < status["blocks"] else None


@pytest.mark.parametrize("role", ["hlt", "source", "l1", "spool", "nursery"])
def test_a_killed_process_costs_nothing(role: str, arguments: tuple[object, ...], reference: Path, tmp_path: Path):
    """SIGKILL to a process in mid-run: it is replaced, nothing is lost, nothing comes twice."""
    directory = tmp_path / "run"
    with start(*arguments, "--workers", 2, "--out", directory) as process:
        status = wait_for(lambda: running(directory), "the first block to be done")
        victim = next(entry for entry in status["processes"] if entry["role"] == role)
        os.kill(victim["pid"], signal.SIGKILL)
        printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    summary = json.loads(printed)
    assert summary["restarts"] == 1
    assert reconciles(summary)
    same_decisions(directory, reference)


def test_a_run_cut_off_goes_on(arguments: tuple[object, ...], reference: Path, tmp_path: Path):
    """The whole process group dies; `run --resume` does what was left, and the spool is that of an undisturbed run."""
    directory = tmp_path / "run"
    with start(*arguments, "--workers", 1, "--out", directory) as process:
        status = wait_for(lambda: running(directory), "the first block to be done")
        process.kill()
        for entry in status["processes"]:
            with suppress(ProcessLookupError):  # those that noticed by themselves that their parent is gone
                os.kill(entry["pid"], signal.SIGKILL)
    summary = summary_of(darkline("run", "--resume", directory, "--json"))
    assert reconciles(summary)
    same_decisions(directory, reference)


def test_processes_show_metrics_and_ctrl_c_ends_in_order(arguments: tuple[object, ...], tmp_path: Path):
    """Each process of a run serves its counters; Ctrl-C finishes what is in flight, and the books balance."""
    directory = tmp_path / "run"
    more = [2_000_000 if argument == EVENTS else argument for argument in arguments]
    with start(*more, "--out", directory) as process:
        status = wait_for(lambda: running(directory), "the first block to be done")
        pages = {}
        for entry in status["processes"]:
            if entry.get("metrics_url"):
                with urllib.request.urlopen(entry["metrics_url"], timeout=10) as answer:
                    pages[entry["role"]] = answer.read().decode()
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=120)
    assert set(pages) == {"source", "l1", "hlt", "spool"}
    assert all('darkline_cpu_seconds_total{role="' + role in page for role, page in pages.items())
    assert process.returncode == 0, errors
    summary = json.loads(printed)
    assert summary["stopped_early"]
    assert reconciles(summary)
    assert words(directory)["event"].to_list() == list(range(summary["generated"]))


def test_a_run_does_not_go_on_with_another_menu(tmp_path: Path):
    """A menu that was edited since the run began would split it in two: the resumption is refused."""
    menu, config = tmp_path / "menu.toml", tmp_path / "run.toml"
    text = (ROOT / "configs" / "menus" / "hlt" / "physics.toml").read_text(encoding="utf-8")
    menu.write_text(text, encoding="utf-8")
    hlt = f'[hlt]\nmenu = "{menu}"'
    config.write_text(DEMO.read_text(encoding="utf-8").replace('[hlt]\nmenu = "physics"', hlt), encoding="utf-8")
    summary_of(darkline("run", config, "--events", 2000, "--out", tmp_path / "run", "--json"))
    before = spool(tmp_path / "run")
    menu.write_text(text.replace("prescale = 50", "prescale = 49", 1), encoding="utf-8")
    done = darkline("run", "--resume", tmp_path / "run")
    assert done.returncode == 2
    assert "hlt: has changed since the run began" in done.stderr
    assert spool(tmp_path / "run").equals(before)
