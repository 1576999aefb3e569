"""Whole runs of the toy: the same tables however many workers there are and whoever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from daq.errors import InputError, RunError
from daq.run_directory import RunFile, read_run
from daq.stream.supervision.supervisor import supervise
from tests.daq.stream import toy
from tests.waiting import wait_for

EVENTS = 6000


def run_toy(directory: Path, run: RunFile | None = None, **options: Any) -> dict[str, Any]:
    """Carry a toy run through."""
    return toy.carry_through(directory, run or toy.toy_run(EVENTS), **options)


def files(directory: Path) -> dict[str, bytes]:
    """Return the content of all parts by name."""
    paths = [*directory.glob("events/*"), *directory.glob("trigger_words/*")]
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(paths)}


def same_spool(directory: Path, reference: Path) -> None:
    """Fail unless both runs left the same files, to the bit, and nothing else beside them."""
    assert files(directory).keys() == files(reference).keys()
    assert files(directory) == files(reference)


class Killer:
    """Sends SIGKILL to the first process of a role once ``blocks`` are done; give it as ``on_status``."""

    def __init__(self, role: str, blocks: int = 8):
        self.role, self.blocks, self.killed = role, blocks, 0

    def __call__(self, status: dict[str, Any]) -> None:
        pid = next(entry["pid"] for entry in status["processes"] if entry["role"] == self.role)
        if not self.killed and pid and self.blocks <= status["blocks_done"] < status["blocks"]:
            os.kill(pid, signal.SIGKILL)
            self.killed = pid


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of an undisturbed run with one worker."""
    directory = tmp_path_factory.mktemp("reference") / "run"
    run_toy(directory, toy.toy_run(EVENTS, workers=1))
    return directory


def test_the_books_are_those_of_the_definition(reference: Path):
    """Every event has the outcome that the toy's rules give it, worked out here in one pass over the run."""
    event = np.arange(EVENTS)
    accepted = (event % 2 == 0) | (event % 3 == 0)
    dead = accepted & (np.cumsum(accepted) % 7 == 0)
    kept = accepted & ~dead & (event % 4 == 0)
    summary = json.loads((reference / "summary.json").read_text())
    assert summary["state"] == "DONE"
    assert summary["reconciles"]
    assert summary["generated"] == EVENTS
    assert summary["l1_rejected"] == (~accepted).sum()
    assert summary["l1_dead"] == {"spacing": 0, "buffer": dead.sum(), "injection": 0, "busy": 0}
    assert summary["hlt_rejected"] == (accepted & ~dead & ~kept).sum()
    assert summary["spooled"] == kept.sum()
    assert summary["restarts"] == summary["retries"] == summary["duplicates"] == summary["wire_errors"] == 0

    spooled = pl.read_parquet(reference / "events" / "*.parquet")
    assert spooled["event"].to_list() == event[kept].tolist()
    assert spooled["l1_even"].to_list() == (event[kept] % 2 == 0).tolist()
    assert spooled["l1_third"].to_list() == (event[kept] % 3 == 0).tolist()
    assert spooled["quarter"].to_list() == (event[kept] / 4).tolist()
    words = pl.read_parquet(reference / "trigger_words" / "*.parquet")
    assert words["event"].to_list() == event.tolist()
    assert words["l1_word_0"].to_list() == ((event % 2 == 0) + 2 * (event % 3 == 0)).tolist()


def test_sections_account_for_time(reference: Path):
    """Dead time and delivered luminosity of the blocks add up; live is what is left of it."""
    sections = pl.read_parquet(reference / "sections.parquet")
    summary = json.loads((reference / "summary.json").read_text())
    dead_s = summary["l1_dead"]["buffer"] * 1e-6
    assert sections["section"].to_list() == [0]
    assert sections["generated"].sum() == EVENTS
    assert sections["dead_s_buffer"].sum() == pytest.approx(dead_s)
    length_s = (sections["end_s"] - sections["begin_s"]).sum()
    assert length_s == pytest.approx(94 * toy.BLOCK_NS * 1e-9)
    assert summary["delivered_fb"] == pytest.approx(length_s * 1e-3)
    assert summary["live_fb"] == pytest.approx(summary["delivered_fb"] * (1 - dead_s / length_s))


def test_status_names_each_process(reference: Path):
    """status.json says how it ended and which processes there were."""
    status = json.loads((reference / "status.json").read_text())
    assert (status["state"], status["blocks_done"], status["blocks"]) == ("DONE", 94, 94)
    roles = [(entry["role"], entry["slot"]) for entry in status["processes"]]
    assert roles == [("supervisor", 0), ("nursery", 0), ("spool", 0), ("hlt", 0), ("l1", 0), ("source", 0)]
    assert all(entry["endpoint"].startswith("ipc://") for entry in status["processes"][2:])


@pytest.mark.parametrize("role", ["hlt", "l1", "spool", "source", "nursery"])
def test_a_killed_process_costs_nothing(role: str, tmp_path: Path, reference: Path):
    """SIGKILL to a process in mid-run, two workers: same spool to the bit, books that balance, one restart."""
    killer = Killer(role)
    summary = run_toy(tmp_path / "run", on_status=killer)
    assert killer.killed
    assert summary["restarts"] == summary["restarts_by_process"][role if role == "nursery" else f"{role}-0"] == 1
    assert summary["reconciles"]
    same_spool(tmp_path / "run", reference)


def is_gone(pid: int) -> bool:
    """Return whether no process of this id runs; one that nobody has reaped yet counts as gone."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_killed_supervisor_takes_all_along_and_the_run_is_resumed(tmp_path: Path, reference: Path):
    """SIGKILL to the supervisor: no process stays behind, and resume completes the same spool."""
    directory = tmp_path / "run"
    with subprocess.Popen(toy.command(f"carry_through(Path({str(directory)!r}), toy_run({EVENTS}))")) as process:

        def half_done() -> dict[str, Any] | None:
            path = directory / "status.json"
            status = json.loads(path.read_text()) if path.exists() else {"blocks_done": 0}
            return status if status["blocks_done"] >= 8 else None

        status = wait_for(half_done)
        process.kill()
    wait_for(lambda: all(is_gone(entry["pid"]) for entry in status["processes"]))
    manifest = (directory / "manifest.jsonl").read_bytes()
    assert manifest.count(b"\n") < 94
    with pytest.raises(InputError, match="exists already"):
        run_toy(directory)
    with pytest.raises(InputError, match="differs from the run"):
        run_toy(directory, toy.toy_run(EVENTS + 1), resume=True)
    assert (directory / "manifest.jsonl").read_bytes() == manifest

    summary = run_toy(directory, read_run(directory), resume=True)
    assert summary["reconciles"]
    assert (directory / "manifest.jsonl").read_bytes().startswith(manifest)
    same_spool(directory, reference)
    assert run_toy(directory, read_run(directory), resume=True)["generated"] == EVENTS  # nothing left to do
    same_spool(directory, reference)


def test_ctrl_c_drains_and_the_rest_can_be_resumed(tmp_path: Path, reference: Path):
    """The first Ctrl-C ends the run early with books that balance; resume makes the rest."""

    def stop(status: dict[str, Any]) -> None:
        if status["blocks_done"] >= 4 and status["state"] == "RUNNING":
            signal.raise_signal(signal.SIGINT)

    directory = tmp_path / "run"
    summary = run_toy(directory, on_status=stop)
    assert summary["stopped_early"]
    assert summary["reconciles"]
    assert 0 < summary["generated"] < EVENTS
    assert summary["generated"] % (4 * 64) == 0  # whole parts
    assert json.loads((directory / "status.json").read_text())["state"] == "DONE"
    summary = run_toy(directory, read_run(directory), resume=True)
    assert not summary["stopped_early"]
    same_spool(directory, reference)


def test_second_ctrl_c_aborts(tmp_path: Path):
    """Nobody has to wait for the drain; the run directory says that it was aborted."""

    def stop(_: dict[str, Any]) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_toy(tmp_path / "run", on_status=stop)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "ABORTED"


def test_a_deadly_block_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A block that kills every worker that gets it ends the run with its number; what was durable stays."""
    monkeypatch.setenv("TOY_POISON", str(64 * 21 + 6))
    with pytest.raises(RunError, match="block 21 was at work"):
        run_toy(tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["state"] == "FAILED"
    assert "block 21" in summary["failure"]
    assert summary["reconciles"]  # what is there adds up
    assert summary["generated"] >= 64 * 4


@pytest.mark.parametrize("role", ["source", "hlt"])
def test_a_damaged_frame_is_asked_for_again(
    role: str, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
):
    """A frame that does not check out is counted and logged with peer and block; the process lives, nothing is lost."""
    monkeypatch.setenv("TOY_DAMAGE", role)
    summary = run_toy(tmp_path / "run", toy.toy_run(EVENTS, workers=1))
    assert (summary["wire_errors"], summary["restarts"]) == (1, 0)
    assert summary["retries"] > 0
    peer = role if role != "hlt" else "hlt-0"
    assert f"{peer}: block 10: checksum differs" in (tmp_path / "run" / "log.jsonl").read_text()
    same_spool(tmp_path / "run", reference)


def test_a_process_that_will_not_live_ends_the_run(tmp_path: Path):
    """More deaths of one process than max_restarts: FAILED, with the role in the error."""
    with pytest.raises(RunError, match="l1-0 died 1 times"):
        run_toy(tmp_path / "run", toy.toy_run(EVENTS, max_restarts=0), on_status=Killer("l1"))
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "FAILED"


def test_a_nursery_that_can_not_start_ends_the_run(tmp_path: Path):
    """A program that fails before it is warm is not tried again and again."""
    with pytest.raises(RunError, match="exit code 3"):
        supervise(
            tmp_path / "run",
            toy.toy_run(100),
            nursery_command=[sys.executable, "-c", "raise SystemExit(3)"],
            delivered_fb=toy.delivered_fb,
        )


def test_a_run_without_events_is_a_run(tmp_path: Path):
    """Nothing generated reconciles with nothing spooled."""
    summary = run_toy(tmp_path / "run", toy.toy_run(0))
    assert (summary["state"], summary["generated"], summary["spooled"]) == ("DONE", 0, 0)


def test_blocks_larger_than_the_run_and_odd_ends(tmp_path: Path, reference: Path):
    """The cut into blocks and parts decides nothing: same events, same words."""
    run_toy(tmp_path / "run", toy.toy_run(EVENTS, block_events=999, blocks_per_part=3, window_blocks=6))
    for folder in ("events", "trigger_words"):
        one, other = (pl.read_parquet(d / folder / "*.parquet") for d in (tmp_path / "run", reference))
        assert one.equals(other)
