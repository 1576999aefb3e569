"""A farm for tests: each process started by `darkline node`, each host a network namespace of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import polars as pl
import pytest

from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
name = "farm"
run = 7
seed = 3
events = {events}
workers = 2
[beam]
luminosity_cm2_s = 5.1e34
[source]
processes = ["bhabha", "gamma_gamma", "mu_pair", "tau_pair", "qqbar"]
[l1]
menu = "physics"
[hlt]
menu = "physics"
[stream]
block_events = 512
blocks_per_part = 4
window_blocks = 16
lease_s = 5.0
{stream}
"""


def write_config(path: Path, events: int, endpoints: dict[str, str]) -> Path:
    """Write the configuration of a farm; without endpoints that of the same run on one machine."""
    table = ", ".join(f'{role} = "{endpoint}"' for role, endpoint in endpoints.items())
    path.write_text(CONFIG.format(events=events, stream=f"endpoints = {{ {table} }}" if endpoints else ""))
    return path


class Process:
    """One `darkline node`, on a host or on this machine."""

    def __init__(self, host: str | None, arguments: Sequence[object], log: Path):
        command = [sys.executable, str(ROOT / "darkline.py"), *map(str, arguments)]
        self.log = log
        self._file: IO[bytes] = log.open("ab")
        self._popen = subprocess.Popen(
            [*(("ip", "netns", "exec", host) if host else ()), *command], stdout=self._file, stderr=self._file
        )

    @property
    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self._popen.poll() is None

    def exit_code(self, limit_s: float = 120) -> int:
        """Wait for the end and return the exit code."""
        try:
            return self._popen.wait(limit_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {limit_s} s; it said:\n{self.log.read_text()}")

    def kill(self) -> None:
        """Kill it without warning, and reap it."""
        if self.is_running:
            self._popen.send_signal(signal.SIGKILL)
        self._popen.wait()
        self._file.close()


class Farm:
    """The processes of a run, started one by one and all ended at the end."""

    def __init__(self, directory: Path, config: Path, keys: Path | None):
        self.directory, self.config, self.keys = directory, config, keys
        self.run = directory / "run"
        self._processes: list[Process] = []

    def start(
        self, role: str, *, host: str | None = None, slot: int = 0, keys: Path | None = None, folder: str | None = None
    ) -> Process:
        """Start a process; its log goes to a folder named after it, if not otherwise said."""
        name = folder or f"{role}-{slot}"
        arguments: list[object] = ["node", role, self.config, "--slot", slot]
        arguments += ["--out", self.run if role == "spool" else self.directory / name]
        if (keys or self.keys) is not None:
            arguments += ["--keys", keys or self.keys]
        self._processes.append(Process(host, arguments, self.directory / f"{name}.{len(self._processes)}.out"))
        return self._processes[-1]

    def blocks_done(self) -> int:
        """Return how many blocks the manifest has."""
        path = self.run / "manifest.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait_for_blocks(self, n: int) -> None:
        """Wait until the manifest has so many blocks; fail with what all said if it does not come to that."""
        try:
            wait_for(lambda: self.blocks_done() >= n, f"{n} durable blocks", 90)
        except AssertionError:
            pytest.fail(f"{self.blocks_done()} of {n} blocks durable.\n{self.said()}")

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        path = self.directory / name / "log.jsonl"
        return path.read_text() if path.exists() else ""

    def said(self) -> str:
        """Return everything that all processes said and logged."""
        files = [*self.directory.glob("*.out"), *self.directory.glob("*/log.jsonl")]
        return "\n".join(f"---- {path}\n{path.read_text(errors='replace')}" for path in files)

    def __enter__(self) -> Farm:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()


class Network:
    """Hosts h0, h1, ... on one switch, as network namespaces; ``skip`` says why if that is not permitted here."""

    def __init__(self, n_hosts: int):
        self.tag = f"dk{os.getpid()}"
        self.switch = f"{self.tag}-sw"
        self.hosts = [f"{self.tag}-h{i}" for i in range(n_hosts)]

    def address(self, host: int) -> str:
        """Return the address of a host."""
        return f"10.213.77.{host + 1}"

    def __enter__(self) -> Network:
        try:
            self._ip("netns", "add", self.switch)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", "") or error
            pytest.skip(f"NETWORK NAMESPACES NOT PERMITTED HERE ({why}): a farm over several hosts was NOT tested")
        self._ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        self._ip("-n", self.switch, "link", "set", "br0", "up")
        for i, host in enumerate(self.hosts):
            self._ip("netns", "add", host)
            self._ip("-n", host, "link", "set", "lo", "up")
            self._ip(
                "-n", self.switch, "link", "add", f"port{i}", "type", "veth", "peer", "name", "eth0", "netns", host
            )
            self._ip("-n", self.switch, "link", "set", f"port{i}", "master", "br0", "up")
            self._ip("-n", host, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
            self._ip("-n", host, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (*self.hosts, self.switch):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def pull(self, host: int) -> None:
        """Pull the cable of a host."""
        self._ip("-n", self.switch, "link", "set", f"port{host}", "down")

    def plug(self, host: int) -> None:
        """Plug the cable in again."""
        self._ip("-n", self.switch, "link", "set", f"port{host}", "up")

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def decisions(directory: Path) -> list[pl.DataFrame]:
    """Return all that a run decided and kept, event by event; how long it took is no decision."""
    events = pl.read_parquet(directory / "events" / "*.parquet")
    timed = [name for name in events.columns if "latency" in name or "over_budget" in name]
    return [events.drop(timed), pl.read_parquet(directory / "trigger_words" / "*.parquet")]


def counters(path: Path) -> dict[str, Any]:
    """Return the summary of a run."""
    return dict(json.loads((path / "summary.json").read_text()))
