"""`darkline replay --engine dask`: the parts of a run as tasks of a dask cluster; the same spool, the same books.

L1 needs the state after the event before, so it is not a map by itself. But its state depends on nothing but the times
of the events on which a line fired. So there are two maps with a short sum between them:

1. each part: make its events, ask the lines, return the times of those that fired;
2. here, in order: walk those times through the rules of dead time, and note the state at the beginning of each part;
3. each part: make its events again, and send them through the same L1 and HLT stages as the stream, from that state.

The price is that source and L1 work twice; in return nothing is approximated and no stage knows of the farm. Recorded
events have no dead time of their own, and go through the third step alone (docs/farms.md).

A task may run twice, also at the same time, when its worker is killed or is only thought to be. So each attempt writes
into a folder of its own. The one whose result arrives here is renamed into its place and goes into the manifest, which
nobody else writes; all others are swept away.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import xxhash

import chain
from daq.errors import DarklineError, InputError, RunError
from daq.event import Array
from daq.run_control import RunState
from daq.run_directory import (
    EVENTS,
    INPUT,
    RUN,
    STATUS,
    TRIGGER_WORDS,
    RunFile,
    lock,
    open_log,
    read_run,
    sync_directory,
    write_json,
)
from daq.settings import RunSettings
from daq.source.recorded import ORIGIN, RecordedSource
from daq.spool import BlockRecord, Manifest, part_path, read_manifest, remove_temporaries, write_part
from daq.stream.wire.codec import Block, as_received
from daq.summary import finalise
from monitors.terminal import Progress
from triggers.gdl.timing import Limits, decide, enter_run, initial_state

if TYPE_CHECKING:
    from distributed import Client, Future

_ATTEMPTS = "attempts"
_RETRIES = 3  # of a task that raised; one that killed its worker is tried as often as the scheduler allows
_ADDRESS = re.compile(r"tcp://([^\s/:]+):([0-9]{1,5})")

State = list[int] | None


class Attempt(NamedTuple):
    """One part, decided and written, but not in its place."""

    folder: str
    records: bytes
    """Lines for the manifest."""
    worker: str


# ---- at a worker


class _Workshop:
    """What a worker needs to decide parts of a run, made once."""

    def __init__(self, directory: Path):
        self.directory, self.run = directory, read_run(directory)
        settings = self.run.settings
        self.make = chain.BlockMaker(chain.open_source(settings, directory), self.run)
        self.emulator = chain.Chain.of(settings).l1_emulator()
        self.l1, self.hlt = chain.l1_stage(settings, directory), chain.Chain.of(settings).hlt_stage()


@lru_cache(maxsize=1)
def _workshop(directory: str, digest: str) -> _Workshop:
    if _digest_of(Path(directory)) != digest:
        raise RunError(
            f"{directory}: run.json is not what it is where the run was started: is it the same file system?"
        )
    return _Workshop(Path(directory))


def _digest_of(directory: Path) -> str:
    origin = directory / INPUT / ORIGIN
    content = (directory / RUN).read_bytes() + (origin.read_bytes() if origin.exists() else b"")
    return xxhash.xxh3_64_hexdigest(content)


def fired_times(directory: str, digest: str, part: int) -> Array:
    """Return the times of the events of a part that L1 would accept, were there no dead time; int64 [ns]."""
    shop = _workshop(directory, digest)
    times = []
    for number in shop.run.part_blocks(part):
        events = as_received(shop.make(number)).events
        result = shop.emulator.process(events)
        times.append(events["time_ns"][(np.bitwise_or.reduce(result.psnm, axis=1) != 0) | result.malformed])
    return np.concatenate(times)


def decide_part(directory: str, digest: str, part: int, state: State) -> Attempt:
    """Send the blocks of a part through L1 and HLT, from the L1 state before it, and write what is kept."""
    shop = _workshop(directory, digest)
    blocks: list[Block] = []
    for number in shop.run.part_blocks(part):
        accepted, state = shop.l1(as_received(shop.make(number)), state)
        accepted.notes["l1_state"] = state
        blocks.append(as_received(shop.hlt(as_received(accepted))))
    folder = shop.directory / INPUT / _ATTEMPTS / uuid.uuid4().hex
    for name in (EVENTS, TRIGGER_WORDS):
        (folder / name).mkdir(parents=True)
    records = write_part(folder, blocks, shop.run.bit_names)
    return Attempt(str(folder), msgspec.json.encode(records), f"{socket.gethostname()} {os.getpid()}")


# ---- where the run was started


def check_farm(scheduler: str | None) -> None:
    """Raise `InputError` unless dask is there, and somebody at the address of the scheduler."""
    try:
        import distributed  # noqa: F401 - is it there?
    except ImportError:
        raise InputError(
            "needs the extra [scale]: pip install 'darkline[scale]'", key="--engine", value="dask"
        ) from None
    if scheduler is None:
        return
    if (address := _ADDRESS.fullmatch(scheduler)) is None:
        raise InputError("must be like tcp://HOST:PORT", key="--scheduler", value=scheduler)
    try:
        socket.create_connection((address[1], int(address[2])), timeout=20).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"nobody answers there: {error}", key="--scheduler", value=scheduler) from None


def check_menu(settings: RunSettings) -> None:
    """Raise `InputError` if the L1 menu needs all events in order."""
    if chain.Chain.of(settings).l1.prescale_by == "counter":
        rule = 'has prescale_by = "counter", which needs all events in order: use --engine stream'
        raise InputError(rule, key="[l1] menu", value=settings.l1.menu)


def carry_out_on_farm(plan: chain.Plan, *, scheduler: str | None, workers: int) -> dict[str, Any]:
    """Carry a planned run through with dask, and return its summary.

    Raises
    ------
    InputError
        If a run is going on in the directory.
    RunError
        If a part cannot be decided, or the books do not balance. The summary says FAILED.
    """
    directory, run = plan.directory, plan.run
    joined = chain.Chain.of(run.settings)
    attempts = directory / INPUT / _ATTEMPTS
    with lock(directory), _client(scheduler, workers) as client:
        log, begin_s = open_log(directory, "farm"), time.monotonic()
        shutil.rmtree(attempts, ignore_errors=True)
        remove_temporaries(directory)
        durable_before = sum(record.n_events for record in read_manifest(directory))
        farm = _Farm(client, plan, joined)
        log.info("state", state=RunState.RUNNING, engine="dask")
        failure = farm.carry_through()
        wall_s = time.monotonic() - begin_s
        client.cancel(farm.under_way)
        shutil.rmtree(attempts, ignore_errors=True)
        durable = sum(record.n_events for record in read_manifest(directory))
        n_workers = workers if scheduler is None else len(farm.seen)
        summary = finalise(
            directory,
            run,
            delivered_fb=plan.source.delivered_fb,
            failure=failure,
            wall_s=wall_s,
            events_per_s=(durable - durable_before) / wall_s,
            restarts=max(0, len(farm.seen) - n_workers),
            retries=0,
            engine={"name": "dask", "scheduler": scheduler, "workers": n_workers},
        )
        log.info("state", state=summary["state"])
        status = {"state": summary["state"], "name": run.settings.name, "blocks": run.n_blocks}
        write_json(directory / STATUS, status | {"blocks_done": summary["blocks"], "processes": []})
    if summary["state"] != "DONE":
        raise RunError(failure or f"the run does not reconcile: {'; '.join(summary['problems'])}")
    return summary


@contextmanager
def _client(scheduler: str | None, workers: int) -> Iterator[Client]:
    """Connect to a scheduler, or to a cluster of this machine's processes, on loopback alone, that lasts as long."""
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with Client(scheduler, timeout="20s", set_as_default=False) as client:
            yield client
        return
    with (
        tempfile.TemporaryDirectory(prefix="darkline-dask-", ignore_cleanup_errors=True) as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=scratch,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


class _Farm:
    """The tasks of a run, and the hand that puts finished parts in their places."""

    def __init__(self, client: Client, plan: chain.Plan, joined: chain.Chain):
        self._client, self._directory, self._run = client, plan.directory, plan.run
        self._is_recorded = isinstance(plan.source, RecordedSource)
        self._limits = Limits.of(joined.l1.timing)
        self._manifest = Manifest(plan.directory)
        self._known = (str(plan.directory.resolve()), _digest_of(plan.directory))
        self.seen: set[str] = set()
        """Workers that results came from."""
        self.under_way: list[Future] = []

    def carry_through(self) -> str | None:
        """Do all parts that are not durable; return why it could not be done, None if it was."""
        from distributed import as_completed

        parts = list(_parts(self._run))
        durable = {record.part for record in read_manifest(self._directory)}
        wanted = [part for part in parts if part not in durable]
        finished = as_completed(loop=self._client.loop)
        part_of: dict[str, int] = {}
        n_done = 0
        try:
            with Progress("dask") as progress:
                for part, state in self._states(parts, durable, len(wanted)):
                    future = self._client.submit(
                        decide_part, *self._known, part, state, pure=False, retries=_RETRIES, priority=1
                    )
                    part_of[future.key] = part
                    self.under_way.append(future)
                    finished.add(future)
                    while finished.has_ready():
                        self._take(part_of, next(finished))
                        n_done += 1
                        progress(n_done, len(wanted))
                for future in finished:
                    self._take(part_of, future)
                    n_done += 1
                    progress(n_done, len(wanted))
        except RunError as error:
            return str(error)
        finally:
            self._manifest.close()
        return None

    def _states(self, parts: Sequence[int], durable: set[int], n_wanted: int) -> Iterator[tuple[int, State]]:
        """Yield every part that is not durable with the L1 state before it, in order."""
        if self._is_recorded or not n_wanted:
            yield from ((part, None) for part in parts if part not in durable)
            return
        after = {record.part: record.l1_state for record in read_manifest(self._directory)}
        futures = {
            part: self._client.submit(fired_times, *self._known, part, pure=False, retries=_RETRIES)
            for part in parts
            if part not in durable
        }
        self.under_way += futures.values()
        walk, state = initial_state(self._limits), None
        for part in parts:
            if part in durable:
                state = after[part]
                walk = np.array(state, dtype=np.int64)
                continue
            yield part, state
            times = _result(futures.pop(part), part)
            enter_run(walk, self._run.settings.run)
            everyone = np.ones(times.size, dtype=np.bool_)
            decide(
                self._limits, np.full(times.size, self._run.settings.run, np.uint32), times, everyone, ~everyone, walk
            )
            state = [int(number) for number in walk]

    def _take(self, part_of: dict[str, int], future: Future) -> None:
        """Put a part in its place and into the manifest."""
        part = part_of.pop(future.key)
        attempt: Attempt = _result(future, part)
        folder = Path(attempt.folder)
        for name in (EVENTS, TRIGGER_WORDS):
            written = part_path(folder, name, part)
            if written.exists():
                written.replace(part_path(self._directory, name, part))
                sync_directory(self._directory / name)
        self._manifest.append(msgspec.json.decode(attempt.records, type=list[BlockRecord]))
        shutil.rmtree(folder, ignore_errors=True)
        self.seen.add(attempt.worker)
        self.under_way.remove(future)
        future.release()


def _parts(run: RunFile) -> Iterator[int]:
    """Yield the first block of each part."""
    number = 0
    while number < run.n_blocks:
        yield number
        number = run.part_blocks(number).stop


def _result(future: Future, part: int) -> Any:
    """Return what a task returned; raise `RunError` with its part if it could not be done."""
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        rule = "was at work in each of several workers that died; cut its blocks out to find the event (docs/replay.md)"
        raise RunError(f"part {part} {rule}") from None
    except DarklineError as error:
        raise RunError(f"part {part}: {error}") from None
    except Exception as error:  # whatever a task raised at its worker
        raise RunError(f"part {part}: {type(error).__name__}: {error}") from error
