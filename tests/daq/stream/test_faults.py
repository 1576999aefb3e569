"""Deaths at chosen points, processes that hang and wake up again, disks that fail: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daq.errors import RunError
from daq.run_directory import read_run
from tests.daq.stream import toy
from tests.daq.stream.test_run import EVENTS, is_gone, run_toy, same_spool

LEASE_S = 0.3
POINTS = {
    "spool:half a file",
    "spool:file flushed, not in its place",
    "spool:part in its place, not in the manifest",
    "spool:part in the manifest, not told",
    "spool:part told",
    "source:block made, not sent",
    "l1:block taken, not passed on",
    "l1:block passed on",
    "hlt:block taken, not passed on",
    "hlt:block passed on",
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of an undisturbed run."""
    directory = tmp_path_factory.mktemp("reference") / "run"
    run_toy(directory, toy.toy_run(EVENTS, workers=1))
    return directory


@pytest.mark.parametrize("point", sorted(POINTS))
def test_a_death_at_any_point_costs_nothing(
    point: str, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
):
    """SIGKILL between any two steps: one restart, the same spool to the bit."""
    monkeypatch.setenv("TOY_DIE", point)
    summary = run_toy(tmp_path / "run")
    role = point.partition(":")[0]
    restarts = summary["restarts_by_process"]
    assert restarts[f"{role}-0"] + restarts.get(f"{role}-1", 0) == summary["restarts"] >= 1
    assert summary["reconciles"]
    same_spool(tmp_path / "run", reference)


class Stopper:
    """Stops a process once some blocks are done; wakes it when ``until`` says so. Give it as ``on_status``."""

    def __init__(self, role: str, until: Callable[[dict[str, Any]], bool] = lambda _: False):
        self.role, self.until = role, until
        self.pid = 0
        self.awake = False

    def __call__(self, status: dict[str, Any]) -> None:
        if not self.pid and 8 <= status["blocks_done"] < status["blocks"]:
            self.pid = next(entry["pid"] for entry in status["processes"] if entry["role"] == self.role)
            os.kill(self.pid, signal.SIGSTOP)
        elif self.pid and not self.awake and status["state"] != "DONE" and self.until(status):
            self.awake = True
            os.kill(self.pid, signal.SIGCONT)


@pytest.mark.parametrize("role", ["source", "l1", "hlt", "spool"])
def test_a_process_that_hangs_is_replaced(role: str, tmp_path: Path, reference: Path):
    """SIGSTOP: after hung_s without a word it is killed, and another one takes its place."""
    stopper = Stopper(role)
    summary = run_toy(tmp_path / "run", toy.toy_run(EVENTS, hung_s=3.0), on_status=stopper)
    assert stopper.pid
    assert is_gone(stopper.pid)
    assert summary["hung"] == summary["restarts_by_process"][f"{role}-0"] == 1
    assert "process hangs" in (tmp_path / "run" / "log.jsonl").read_text()
    same_spool(tmp_path / "run", reference)


@pytest.mark.parametrize("role", ["hlt", "l1", "source"])
def test_a_zombie_that_wakes_up_does_no_harm(
    role: str, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
):
    """A process is stopped until its work was given away (its lease ran out), and then goes on as if nothing was."""
    monkeypatch.setenv("TOY_WORK_S", "0.02")  # so that the run is not over by then

    def given_away(status: dict[str, Any]) -> bool:
        resends = sum(each["statistics"]["resends"] for each in status["processes"] if each.get("statistics"))
        return resends > 0 or (role == "source" and status["since_progress_s"] > 2 * LEASE_S)

    stopper = Stopper(role, given_away)
    summary = run_toy(tmp_path / "run", toy.toy_run(EVENTS, lease_s=LEASE_S, status_s=0.02), on_status=stopper)
    assert stopper.awake
    assert summary["restarts"] == 0
    assert summary["retries"] > 0 or role == "source"
    same_spool(tmp_path / "run", reference)


def test_a_nursery_that_hangs_is_replaced(tmp_path: Path, reference: Path):
    """A stopped nursery is noticed when the next process is to be born."""
    pids: dict[str, int] = {}

    def disturb(status: dict[str, Any]) -> None:
        if not pids and 8 <= status["blocks_done"] < status["blocks"]:
            pids.update({entry["role"]: entry["pid"] for entry in status["processes"]})
            os.kill(pids["nursery"], signal.SIGSTOP)
            os.kill(pids["l1"], signal.SIGKILL)

    summary = run_toy(tmp_path / "run", on_status=disturb)
    assert pids
    assert is_gone(pids["nursery"])
    assert summary["restarts_by_process"]["nursery"] == 1
    same_spool(tmp_path / "run", reference)


def test_a_supervisor_that_slept_blames_nobody(tmp_path: Path, reference: Path):
    """The whole run is stopped for longer than hung_s and goes on: nobody is killed for having been silent."""
    slept: list[float] = []

    def sleep(status: dict[str, Any]) -> None:
        if not slept and status["blocks_done"] >= 8:
            pids = [entry["pid"] for entry in status["processes"][1:]]
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            begin = time.monotonic()
            while time.monotonic() - begin < 3.0:
                signal.sigtimedwait([], 0.1)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            slept.append(time.monotonic() - begin)

    summary = run_toy(tmp_path / "run", toy.toy_run(EVENTS, hung_s=2.5), on_status=sleep)
    assert slept
    assert summary["hung"] == summary["restarts"] == 0
    same_spool(tmp_path / "run", reference)


def test_a_disk_that_takes_parts_again_costs_nothing(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch):
    """While nothing can be stored the run waits, and says who holds it up and why; then it goes on."""
    full = tmp_path / "full"
    monkeypatch.setenv("TOY_DISK", str(full))
    stalls: list[str] = []

    def watch(status: dict[str, Any]) -> None:
        if not stalls and status["blocks_done"] >= 8:
            full.touch()
        if status["stalled"]:
            stalls.append(status["stalled"])
            full.unlink(missing_ok=True)

    summary = run_toy(tmp_path / "run", on_status=watch)
    assert "spool-0: block" in stalls[0]
    assert "No space left on device" in stalls[0]
    assert summary["disk_errors"] > 0
    assert summary["restarts"] == 0
    same_spool(tmp_path / "run", reference)


def test_a_disk_that_stays_full_ends_the_run_and_names_the_block(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
):
    """FAILED with the block and the reason; what is durable stays, nothing half written, and the run can be resumed."""
    full = tmp_path / "full"
    monkeypatch.setenv("TOY_DISK", str(full))

    def fill(status: dict[str, Any]) -> None:
        if status["blocks_done"] >= 8:
            full.touch()

    directory = tmp_path / "run"
    with pytest.raises(RunError, match=r"block \d+: its part could not be stored: .*No space left"):
        run_toy(directory, toy.toy_run(EVENTS, disk_patience_s=0.5), on_status=fill)
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["state"] == "FAILED"
    assert summary["reconciles"]
    assert summary["generated"] >= 8 * 64
    assert not list(directory.glob("**/*.tmp"))
    full.unlink()
    assert run_toy(directory, read_run(directory), resume=True)["state"] == "DONE"
    same_spool(directory, reference)
