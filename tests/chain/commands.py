"""Run darkline as a user does: the command line in a process of its own, and the run directory that it leaves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl

from darkline import main

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "configs" / "runs" / "demo.toml"


def darkline(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, ROOT / "darkline.py", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def darkline_here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one command to its end in this process: as `darkline`, without the time that a process takes to start."""
    out, err = io.StringIO(), io.StringIO()
    command = ["darkline", *map(str, arguments)]
    with patch.object(sys, "argv", command), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code: Any = 0
        except SystemExit as exited:
            code = exited.code
    return subprocess.CompletedProcess(command, code or 0, out.getvalue(), err.getvalue())


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start one command and leave it running."""
    command = [sys.executable, ROOT / "darkline.py", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def summary_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON that a successful command printed."""
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def spool(directory: Path) -> pl.DataFrame:
    """Return the kept events by event number, without the columns of measured times."""
    frame = pl.read_parquet(directory / "events" / "*.parquet").sort("event")
    return frame.drop([name for name in frame.columns if "latency" in name or "over_budget" in name])


def words(directory: Path) -> pl.DataFrame:
    """Return the trigger words of all events by event number."""
    return pl.read_parquet(directory / "trigger_words" / "*.parquet").sort("event")


def total(count: int | dict[str, int]) -> int:
    """Return a count of the summary, which may be a table by reason."""
    return sum(count.values()) if isinstance(count, dict) else count


def reconciles(summary: dict[str, Any]) -> bool:
    """Return whether generated is the sum of the four outcomes."""
    outcomes = (summary[name] for name in ("l1_rejected", "l1_dead", "hlt_rejected", "spooled"))
    return total(summary["generated"]) == sum(map(total, outcomes))
