"""A farm of toys: processes that nobody supervises find each other, survive each other, and end together."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daq.run_directory import RUN, RunFile, create, write_json
from daq.stream.farm import farm_source, farm_spool
from daq.stream.loops import run_ordered_stage, run_stage
from daq.stream.node import Node, Place
from daq.stream.wire.messages import End
from daq.summary import finalise
from tests.daq.stream import toy
from tests.daq.stream.test_run import same_spool
from tests.waiting import wait_for

FORKS = multiprocessing.get_context("forkserver")  # a server without threads that has all imports: quick to fork from
FORKS.set_forkserver_preload([__name__])
EVENTS = 6000
BLOCKS = 94


def node(role: str, slot: int, directory: Path) -> None:
    """Be one process of a farm; its folder is made already."""
    node = Node(Place(role, slot, directory, directory))

    def close_books(end: End) -> bool:
        early, failure = end.n_blocks < node.run.n_blocks, end.failure or None
        done = finalise(
            directory, node.run, delivered_fb=toy.delivered_fb, stopped_early=early, failure=failure
        )  # fmt: skip
        return bool(done["state"] == "DONE")

    match role:
        case "source":
            farm_source(node, toy.ToyMaker(node.run))
        case "l1":
            run_ordered_stage(node, toy.l1)
        case "hlt":
            run_stage(node, toy.hlt)
        case _:
            farm_spool(node, close_books)
    node.wire.close()


class Farm:
    """The processes of a toy farm, each in a folder of its own."""

    def __init__(self, directory: Path, sockets: Path, n_events: int = EVENTS):
        endpoints = {role: f"ipc://{sockets}/{role}" for role in ("source", "l1", "spool")}
        self.run: RunFile = toy.toy_run(n_events, endpoints=endpoints, lease_s=5.0)  # type: ignore[arg-type]
        self.directory, self.spool = directory, directory / "spool-0"
        self.processes: dict[str, Any] = {}
        create(self.spool, self.run)

    def start(self, *names: str) -> None:
        """Start processes, or start them again."""
        for name in names:
            role, slot = name.split("-")
            folder = self.directory / name
            folder.mkdir(exist_ok=True)
            write_json(folder / RUN, self.run.model_dump(mode="json"))
            self.processes[name] = FORKS.Process(target=node, args=(role, int(slot), folder))
            self.processes[name].start()

    def kill(self, name: str) -> None:
        """SIGKILL to a process."""
        self.processes[name].kill()
        self.processes[name].join()

    def blocks_done(self) -> int:
        """Return how many blocks the manifest has."""
        path = self.spool / "manifest.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait_for_blocks(self, n: int) -> None:
        """Wait until so many blocks are durable."""
        wait_for(lambda: self.blocks_done() >= n, f"{n} blocks", 60)

    def exit_codes(self, *names: str) -> list[int]:
        """Wait for the ends of processes."""
        for name in names or self.processes:
            self.processes[name].join(60)
        return [self.processes[name].exitcode for name in names or self.processes]


ALL = ("hlt-1", "source-0", "l1-0", "spool-0", "hlt-0")


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """Return a farm whose processes are all ended at the end."""
    with tempfile.TemporaryDirectory() as sockets:
        farm = Farm(tmp_path, Path(sockets))
        yield farm
        for process in farm.processes.values():
            process.kill()
            process.join()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the same run under a supervisor."""
    directory = tmp_path_factory.mktemp("supervised") / "run"
    toy.carry_through(directory, toy.toy_run(EVENTS))
    return directory


def test_it_ends_together(farm: Farm, reference: Path):
    """Started in any order; at the end all have exited with 0, and the books are closed."""
    farm.start(*ALL)
    assert farm.exit_codes() == [0] * 5
    assert json.loads((farm.spool / "summary.json").read_text())["state"] == "DONE"
    same_spool(farm.spool, reference)


@pytest.mark.parametrize("name", ["source-0", "l1-0", "spool-0", "hlt-0"])
def test_whoever_is_killed_and_started_again(name: str, farm: Farm, reference: Path):
    """SIGKILL in mid-run, and the same command again: the same spool to the bit."""
    farm.start(*ALL)
    farm.wait_for_blocks(12)
    farm.kill(name)
    assert farm.blocks_done() < BLOCKS
    farm.start(name)
    assert farm.exit_codes() == [0] * 5
    same_spool(farm.spool, reference)


def test_a_worker_that_stays_dead(farm: Farm, reference: Path):
    """The other does its work, and nobody waits for it at the end."""
    farm.start(*ALL)
    farm.wait_for_blocks(12)
    farm.kill("hlt-1")
    assert farm.exit_codes("source-0", "l1-0", "spool-0", "hlt-0") == [0] * 4
    same_spool(farm.spool, reference)


def test_the_source_drains_at_sigterm(farm: Farm):
    """What is in flight becomes durable, whole parts, and the books say that the run was stopped early."""
    farm.start(*ALL)
    farm.wait_for_blocks(12)
    farm.processes["source-0"].terminate()
    assert farm.exit_codes() == [0] * 5
    summary = json.loads((farm.spool / "summary.json").read_text())
    assert summary["stopped_early"]
    assert summary["state"] == "DONE"
    assert 0 < summary["generated"] < EVENTS
    assert summary["generated"] % (4 * 64) == 0


def test_hosts_with_other_settings_do_not_talk(farm: Farm, tmp_path: Path):
    """An L1 whose configuration differs in the seed gets no block; put right, the run goes on."""
    farm.start("hlt-0", "source-0", "spool-0")
    right = farm.run
    other = right.settings.model_copy(update={"seed": 2})
    farm.run = right.model_copy(update={"settings": other})
    farm.start("l1-0")
    log = tmp_path / "source-0" / "log.jsonl"
    wait_for(lambda: log.exists() and "it is of another run" in log.read_text(), "the complaint", 30)
    assert farm.blocks_done() == 0
    farm.kill("l1-0")
    farm.run = right
    farm.start("l1-0")
    assert farm.exit_codes() == [0] * 4
