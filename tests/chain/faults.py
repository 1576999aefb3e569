"""Random faults, as many as one likes: whatever dies, hangs or fails, the spool is that of an undisturbed run.

``.venv/bin/python -m tests.chain.faults [--faults 1000] [--seed S] [--real]``

Each run is disturbed every few hundred milliseconds: a process is killed, or stopped for a while (and wakes up as a
zombie, or is found to hang), the nursery or the supervisor is killed, all processes are killed at once, the disk takes
nothing for a while. A run whose supervisor died, or that ended FAILED and named a block, is resumed. In the end the
books must balance, and all files must be those of the undisturbed run to the bit (``--real``: all events and decisions;
latencies are measured). The runs are those of the toy of tests/daq/stream, or with ``--real`` the demo's on the command
line. Seeds are printed: a seed gives the same faults again, though never at the same instants.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from daq.spool import event_parts, trigger_word_parts
from tests.daq.stream import toy

ROLES = ("source", "l1", "hlt", "spool")
KINDS = {"kill": 8, "stop": 4, "nursery": 1, "supervisor": 1, "all": 1, "disk": 2}
"""Kind of fault -> how often."""
_STREAM = {"lease_s": 0.5, "hung_s": 1.0, "max_restarts": 10_000}


@dataclass(frozen=True)
class Subject:
    """A run that can be begun and gone on with."""

    begin: Callable[[Path], Sequence[str]]
    resume: Callable[[Path], Sequence[str]]
    same: Callable[[Path, Path], bool]
    pause_s: float
    """Mean time from one fault to the next."""
    has_disk: bool
    """Whether its disk can be made to fail."""


def toy_subject(events: int) -> Subject:
    """Return the toy."""
    run = f"toy_run({events}, **{_STREAM})"

    def carry(directory: Path, options: str) -> list[str]:
        return toy.command(f"carry_through(Path({str(directory)!r}), {run}{options})")

    return Subject(
        begin=lambda directory: carry(directory, ""),
        resume=lambda directory: carry(directory, ", resume=True"),
        same=lambda one, other: _files(one) == _files(other),
        pause_s=0.15,
        has_disk=True,
    )


def real_subject(events: int, folder: Path) -> Subject:
    """Return the demo's run on the command line, in small parts."""
    text = (toy.ROOT / "configs" / "runs" / "demo.toml").read_text(encoding="utf-8")
    head, _, _ = text.partition("[stream]")
    stream = {"block_events": 512, "blocks_per_part": 4, "window_blocks": 16, "status_s": 0.05, **_STREAM}
    config = folder / "faults.toml"
    config.write_text(head + "[stream]\n" + "".join(f"{key} = {value}\n" for key, value in stream.items()))
    darkline = [sys.executable, str(toy.ROOT / "darkline.py"), "run"]
    return Subject(
        begin=lambda out: [*darkline, str(config), "--events", str(events), "--workers", "2", "--out", str(out)],
        resume=lambda out: [*darkline, "--resume", str(out)],
        same=_same_decisions,
        pause_s=0.5,
        has_disk=False,
    )


def _files(directory: Path) -> dict[str, bytes]:
    paths = [*directory.glob("events/*"), *directory.glob("trigger_words/*")]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def _same_decisions(one: Path, other: Path) -> bool:
    measured = pl.selectors.contains("latency", "over_budget")
    for parts in (event_parts, trigger_word_parts):
        tables = (pl.concat([pl.read_parquet(path) for path in parts(directory)]) for directory in (one, other))
        first, second = (table.drop(measured) for table in tables)
        if not first.equals(second, null_equal=True):
            return False
    return True


class Disturber:
    """Carries one run through with faults."""

    def __init__(self, subject: Subject, directory: Path, seed: int):
        self.subject, self.directory = subject, directory
        self.rng = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self._disk_full = directory.with_name(f"{directory.name}.full")
        self._stopped: dict[int, float] = {}

    def carry_through(self, most: int) -> str:
        """Return "" if all is well after at most so many faults, else what is wrong."""
        command, environment = self.subject.begin(self.directory), os.environ | {"TOY_DISK": str(self._disk_full)}
        for _ in range(100):
            with subprocess.Popen(
                command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
            ) as process:
                self._disturb(process, most)
                assert process.stderr is not None
                said = process.stderr.read().decode(errors="replace")
            self._disk_full.unlink(missing_ok=True)
            if process.returncode == 0:
                return ""
            if process.returncode != -signal.SIGKILL and "block" not in said:
                return f"exit code {process.returncode}: {said[-2000:]}"
            if not (self.directory / "run.json").exists():
                shutil.rmtree(self.directory, ignore_errors=True)
            else:
                command = self.subject.resume(self.directory)
        return "not done after 100 resumptions"

    def _disturb(self, process: subprocess.Popen[bytes], most: int) -> None:
        """Inject faults until the run ends."""
        next_s = time.monotonic() + self.rng.expovariate(1 / self.subject.pause_s)
        while process.poll() is None:
            now = time.monotonic()
            for pid in [pid for pid, until in self._stopped.items() if until < now]:
                _signal(pid, signal.SIGCONT)
                del self._stopped[pid]
            if self._disk_full.exists() and now > self._disk_until:
                self._disk_full.unlink()
            if now > next_s and self.faults.total() < most and (status := self._status()):
                self._inject(status, process.pid)
                next_s = now + self.rng.expovariate(1 / self.subject.pause_s)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)

    _disk_until = 0.0

    def _status(self) -> dict[str, Any] | None:
        """Return the status of the run, None unless it is under way."""
        try:
            status: dict[str, Any] = json.loads((self.directory / "status.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return status if status["state"] == "RUNNING" and status["blocks_done"] < status["blocks"] else None

    def _inject(self, status: dict[str, Any], supervisor: int) -> None:
        kind = self.rng.choices(list(KINDS), list(KINDS.values()))[0]
        pids = [entry["pid"] for entry in status["processes"] if entry["role"] in ROLES and entry["pid"]]
        nursery = [entry["pid"] for entry in status["processes"] if entry["role"] == "nursery" and entry["pid"]]
        if not pids or (kind == "disk" and not self.subject.has_disk):
            return
        self.faults[kind] += 1
        match kind:
            case "kill":
                _signal(self.rng.choice(pids), signal.SIGKILL)
            case "stop":
                pid = self.rng.choice(pids)
                _signal(pid, signal.SIGSTOP)
                self._stopped[pid] = time.monotonic() + self.rng.uniform(0.1, 2.0)
            case "nursery":
                for pid in nursery:
                    _signal(pid, signal.SIGKILL)
            case "supervisor":
                _signal(supervisor, signal.SIGKILL)
            case "all":
                for pid in (supervisor, *nursery, *pids):
                    _signal(pid, signal.SIGKILL)
            case "disk":
                self._disk_full.touch()
                self._disk_until = time.monotonic() + self.rng.uniform(0.1, 1.0)


def _signal(pid: int, which: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, which)


def disturb(subject: Subject, faults: int, seed: int, say: Callable[[str], None], *, a_run: int = 12) -> Counter[str]:
    """Run with faults until there were so many; return how many of each kind there were.

    Raises
    ------
    AssertionError
        If a run ends as it must not; the message has its seed.
    """
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="darkline-faults-") as folder:
        reference = Path(folder) / "reference"
        subprocess.run(subject.begin(reference), check=True, capture_output=True)
        for number in range(seed, seed + 100_000):
            if counts.total() >= faults:
                break
            directory = Path(folder) / f"run-{number}"
            disturber = Disturber(subject, directory, number)
            wrong = disturber.carry_through(min(a_run, faults - counts.total()))
            counts += disturber.faults
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(disturber.faults.items()))
            say(f"seed {number}: {kinds or 'no fault'}; {counts.total()} faults so far")
            assert not wrong, f"seed {number}: {wrong}"
            summary = json.loads((directory / "summary.json").read_text())
            assert summary["state"] == "DONE", f"seed {number}: {summary['problems']}"
            assert summary["reconciles"], f"seed {number}: {summary['problems']}"
            assert subject.same(directory, reference), f"seed {number}: another spool than that of an undisturbed run"
            shutil.rmtree(directory)
    return counts


def main() -> None:
    """Inject faults and say what happened; exit code 1 if anything was lost, twice, or not accounted for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--events", type=int, help="of a run")
    parser.add_argument("--real", action="store_true", help="disturb the real chain, not the toy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subject = (
            real_subject(options.events or 300_000, Path(folder))
            if options.real
            else toy_subject(options.events or 24_000)
        )
        try:
            counts = disturb(subject, options.faults, options.seed, print)
        except AssertionError as error:
            sys.exit(str(error))
    print(f"{counts.total()} faults ({', '.join(f'{kind} {n}' for kind, n in counts.items())}): every spool the same")


if __name__ == "__main__":
    main()
