"""Replays with dask: the same run, whoever dies."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daq.source import formats
from daq.source.particles import Particles
from daq.spool import read_manifest
from tests.chain.commands import ROOT, darkline, darkline_here, spool, start, words
from tests.waiting import wait_for

CONFIG = """
name = "farmed"
seed = 3
workers = 2
[source]
kind = "replay"
[replay]
rate_hz = 500_000.0
luminosity_fb = 2.0
[l1]
menu = "physics"
[hlt]
menu = "physics"
[stream]
block_events = 64
blocks_per_part = 2
window_blocks = 8
"""


def test_dask_is_an_extra(monkeypatch: pytest.MonkeyPatch, recorded: Path, tmp_path: Path):
    """Without it, one line says what to install, and nothing is made."""
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    done = darkline_here("replay", recorded, "--engine", "dask", "--out", tmp_path / "again")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "darkline: --engine = 'dask': needs the extra [scale]: pip install 'darkline[scale]'"
    ]
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:1"])
def test_a_scheduler_that_is_not_there(address: str, recorded: Path, tmp_path: Path):
    """A wrong address, or nobody at it: one line, before anything is made."""
    pytest.importorskip("distributed", reason="DASK ABSENT: extra [scale] is not installed, this was NOT tested")
    done = darkline_here("replay", recorded, "--engine", "dask", "--scheduler", address, "--out", tmp_path / "again")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--scheduler" in done.stderr
    assert not (tmp_path / "again").exists()


def test_a_killed_worker_changes_nothing(tmp_path: Path):
    """Users' files, so close in time that dead time goes from part to part: as the stream has it, with a worker killed.

    Equal are events, words, sections, and each line of the manifest but for the digests of files with measured times.
    """
    psutil = pytest.importorskip("psutil", reason="DASK ABSENT: extra [scale] is not installed, this was NOT tested")
    taus = formats.read_sample(ROOT / "configs" / "samples" / "tau_pair.parquet")
    formats.write_particles(tmp_path / "taus.parquet", Particles.concatenate([taus] * 4).take(np.arange(2000)))
    (tmp_path / "run.toml").write_text(CONFIG, encoding="utf-8")
    command = ("replay", tmp_path / "taus.parquet", "--config", tmp_path / "run.toml", "--json")
    streamed, farmed = tmp_path / "streamed", tmp_path / "farmed"
    done = darkline(*command, "--out", streamed)
    assert done.returncode == 0, done.stderr
    with start(*command, "--out", farmed, "--engine", "dask") as process:
        wait_for(lambda: (farmed / "manifest.jsonl").exists() and read_manifest(farmed), "the first part to be durable")
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        os.kill(workers[0].pid, signal.SIGKILL)
        printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    summary = json.loads(printed)
    before = json.loads(done.stdout)
    books = ("generated", "l1_rejected", "l1_dead", "hlt_rejected", "spooled", "reconciles", "delivered_fb", "live_fb")
    assert {key: summary[key] for key in books} == {key: before[key] for key in books}
    assert summary["l1_dead"]["spacing"] > 0
    assert spool(farmed).equals(spool(streamed), null_equal=True)
    assert words(farmed).equals(words(streamed))
    assert pl.read_parquet(farmed / "sections.parquet").equals(pl.read_parquet(streamed / "sections.parquet"))
    timed = {"hlt", "events_xxh3"}
    one, other = (
        [{n: getattr(record, n) for n in record.__struct_fields__ if n not in timed} for record in read_manifest(each)]
        for each in (farmed, streamed)
    )
    assert one == other
    assert sorted(path.name for path in (farmed / "input").iterdir()) == ["staged.parquet"]
