"""Starts the processes of a run, starts again those that die, ends them all, and closes the books.

The supervisor touches no event. It watches every process by a pidfd; whoever dies is replaced at once, and whoever
hangs is killed. The rest is done by the stream: whoever sent to the dead one sees that it was replaced, and the source
sends all blocks that are not done once more. Stages give the same result for the same block, and the spool knows what
it has. If the supervisor itself dies all processes die with it, and ``resume`` goes on from the manifest.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from daq.errors import InputError, RunAborted, RunError, WireError
from daq.run_control import Command, RunState, move
from daq.run_directory import SECTIONS, STATUS, SUMMARY, RunFile, create, lock, open_log, reopen, write_json
from daq.settings import read_json
from daq.spool import read_manifest
from daq.stream.node import Place
from daq.stream.statistics import Statistics, quantiles
from daq.stream.supervision.control import Counter
from daq.stream.supervision.health import stalled_stage
from daq.stream.supervision.nursery import Nursery
from daq.stream.supervision.process import Process
from daq.stream.wire.contract import run_key
from daq.stream.wire.frames import MAX_FRAME_BYTES, read_frame
from daq.stream.wire.messages import Conduct
from daq.stream.wire.sockets import Wire
from daq.summary import DeliveredFb, finalise

_PATIENCE_S = 2.0  # for a process to end after SIGTERM
_MOST_FRAMES = 1000  # taken in at a time: a flood of them must not hold up the supervisor
_DEADLY = 3  # deaths at one block that can't be chance
_STALL_S = 5.0  # without a block done before it is said who holds up the run
_AWAKE_S = 2.0  # a turn that takes longer was spent asleep
_SOCKETS = "darkline-"

OnStatus = Callable[[dict[str, Any]], None]


def supervise(
    directory: Path,
    run: RunFile,
    *,
    nursery_command: Sequence[str],
    delivered_fb: DeliveredFb,
    on_status: OnStatus | None = None,
    overwrite: bool = False,
    resume: bool = False,
    hold: bool = False,
) -> dict[str, Any]:
    """Carry a run through and return its summary.

    Parameters
    ----------
    directory
        Run directory.
    run
        What becomes its run.json.
    nursery_command
        Command of a program that calls `daq.stream.supervision.nursery.serve`; it inherits the environment.
    delivered_fb
        Luminosity [fb-1] delivered between two times [ns], None if unknown.
    on_status
        Called with what status.json says, about every ``status_s``.
    overwrite
        Lose the run that is in the directory.
    resume
        Go on with the run that is in the directory; its run.json must say the same.
    hold
        Wait, with warm processes, for the command to start.

    Raises
    ------
    InputError
        If the directory exists (without ``overwrite``) or holds another run; nothing is touched.
    RunError
        If the books do not balance, or a process could not be kept alive: the summary says FAILED. `RunAborted` if the
        run was told to.
    KeyboardInterrupt
        At the second Ctrl-C. At the first one the source makes no more blocks than complete the part at hand, what is
        in flight becomes durable, and the summary says ``stopped_early``. SIGTERM does the same.
    """
    if resume:
        reopen(directory, run)
    else:
        create(directory, run, overwrite=overwrite)
    # A private directory (mode 0700) with a short name: paths of ipc sockets may not exceed 107 characters.
    with lock(directory), tempfile.TemporaryDirectory(prefix=_SOCKETS, ignore_cleanup_errors=True) as sockets:
        _remove_leftovers(directory)
        supervisor = _Supervisor(directory, run, Path(sockets), nursery_command, on_status, hold=hold)
        return supervisor.carry_through(delivered_fb)


def _remove_leftovers(directory: Path) -> None:
    """Remove results that a run that goes on will make anew, and the sockets of one that was killed as a whole."""
    with suppress(InputError):  # no status yet, or a damaged one
        control = read_json(directory / STATUS, if_missing="").get("control")
        sockets = Path(str(control).removeprefix("ipc://")).parent
        if sockets.name.startswith(_SOCKETS) and sockets.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(sockets, ignore_errors=True)
    for name in (SUMMARY, SECTIONS):
        (directory / name).unlink(missing_ok=True)


class _Supervisor:
    def __init__(
        self,
        directory: Path,
        run: RunFile,
        sockets: Path,
        nursery_command: Sequence[str],
        on_status: OnStatus | None,
        *,
        hold: bool,
    ):
        self.directory, self.run, self.stream = directory, run, run.settings.stream
        self._nursery_command, self._on_status = nursery_command, on_status
        self.log = open_log(directory, "supervisor")
        self.state = RunState.BOOTED
        self._hold, self._stop_asked = hold, False
        self._status_s = self._turn_s = 0.0
        self._blocks_done, self._progress_s, self._stalled = 0, time.monotonic(), ""
        self._status_errors = self._bad_frames = 0
        self._durable_before = sum(record.n_events for record in read_manifest(directory))
        self._deaths_at: Tally[int] = Tally()
        self._nursery: Nursery | None = None
        self._nursery_restarts = 0
        roles = [("spool", 0), *(("hlt", slot) for slot in range(run.settings.workers)), ("l1", 0), ("source", 0)]
        places = [Place(role, slot, directory, sockets) for role, slot in roles]
        self.processes = {place.name: Process(place) for place in places}
        self.source = self.processes["source-0"]
        key = run_key(run)
        self._wire = Wire(self.stream, "supervisor", places[0].endpoint, key=key, hwm=100)
        self._frames = self._wire.subscriber(MAX_FRAME_BYTES)
        self._to_source = self._wire.connect("source")
        self._counter = Counter(self._wire.context, places[0].endpoint("control"))

    # ---- the run from begin to end

    def carry_through(self, delivered_fb: DeliveredFb) -> dict[str, Any]:
        """Return the summary of the run; raise what `supervise` raises."""
        failure: str | None = None
        begin_s = time.monotonic()
        try:
            with self._stopped_by_signals():
                self._move(Command.CONFIGURE)
                self._replace_nursery()
                begin_s = self._progress_s = self._turn_s = time.monotonic()
                if not self._hold:
                    self._move(Command.START)
                while self._nursery is not None and not self._step(self._nursery):
                    pass
        except RunAborted:
            self._end()
            self._publish()
            raise
        except RunError as error:
            failure = str(error)
        except BaseException:
            self._end()
            self._move(Command.ABORT)
            self._publish()
            raise
        wall_s = time.monotonic() - begin_s
        self._end()
        summary = self._close_books(delivered_fb, failure, wall_s)
        if summary["state"] != "DONE":
            raise RunError(failure or f"the run does not reconcile: {'; '.join(summary['problems'])}")
        return summary

    def _close_books(self, delivered_fb: DeliveredFb, failure: str | None, wall_s: float) -> dict[str, Any]:
        if self.state in (RunState.RUNNING, RunState.PAUSED) and failure is None:
            self._move(Command.STOP)  # also in a pause: a run ends when all of its blocks are done
        try:
            summary = finalise(
                self.directory,
                self.run,
                delivered_fb=delivered_fb,
                stopped_early=self._stop_asked,
                failure=failure,
                **self._telemetry(wall_s),
            )
        except BaseException:
            self._move(Command.FAIL)
            self._publish()
            raise
        self._blocks_done = summary["blocks"]
        self._move(Command.FINISH if summary["state"] == "DONE" else Command.FAIL)
        self._publish()
        return summary

    def _step(self, nursery: Nursery) -> bool:
        """Wait for something to happen and deal with it; return whether all blocks are done."""
        poller = zmq.Poller()
        poller.register(self._frames, zmq.POLLIN)
        poller.register(self._counter.socket, zmq.POLLIN)
        for fd in (nursery.pidfd, *(process.pidfd for process in self.processes.values())):
            if fd >= 0:
                poller.register(fd, zmq.POLLIN)
        poller.poll(max(0, round((self._status_s - time.monotonic()) * 1000)))
        self._notice_sleep()
        self._take_frames()
        self._counter.serve(self._obey, lambda: self.state)
        if self.state is RunState.ABORTED:
            raise RunAborted("the run was aborted; --resume goes on with it")
        self._kill_the_hung()
        self._replace_the_dead(nursery)
        if time.monotonic() >= self._status_s:
            self._status_s = time.monotonic() + self.stream.status_s
            if self._stop_asked and self.state in (RunState.RUNNING, RunState.PAUSED):
                self._move(Command.STOP)
            self._conduct()  # again and again: the source may be a new one
            self._note_stall()
            self._publish()
        for process in self.processes.values():
            if failure := process.frame.get("failure"):
                raise RunError(failure)
        return self.state is not RunState.CONFIGURED and bool(self.source.frame.get("finished"))

    def _take_frames(self) -> None:
        now = time.monotonic()
        for _ in range(_MOST_FRAMES):
            if not self._frames.poll(0):
                break
            try:
                name, frame = read_frame(self._frames.recv())
            except WireError as error:
                self._note_bad_frame(error)
                continue
            process = self.processes.get(name)
            if process is not None and frame["pid"] == process.pid:  # else the last word of one that is dead
                if process is self.source and not process.frame:
                    self._status_s = 0.0  # a new source: tell it at once how things shall be
                process.pulse.spoke(frame, now)
        if (done := self.source.frame.get("done", self._blocks_done)) != self._blocks_done:
            self._blocks_done, self._progress_s = done, now

    # ---- commands

    def _obey(self, command: Command) -> RunState:
        """Carry out a command of the operator; raise `RunError` with the rule if it is not allowed."""
        self._move(command)
        self._progress_s = time.monotonic()
        self._stop_asked |= command is Command.STOP
        self._conduct()
        self._status_s = 0.0
        return self.state

    def _conduct(self) -> None:
        """Tell the source how things shall be."""
        if self.state in (RunState.RUNNING, RunState.PAUSED, RunState.DRAINING):
            self._to_source.send(
                "source",
                Conduct(paused=self.state is RunState.PAUSED, stopping=self.state is RunState.DRAINING),
            )

    def _note_bad_frame(self, error: WireError) -> None:
        self._bad_frames += 1
        if self._bad_frames & (self._bad_frames - 1) == 0:  # the 1st, 2nd, 4th, ...: a flood does not fill the disk
            self.log.warning("wire error", error=str(error), errors=self._bad_frames)

    def _end(self) -> None:
        """End all processes, the nursery last."""
        for process in self.processes.values():
            process.signal(signal.SIGTERM)
        for process in self.processes.values():
            if not process.has_died(_PATIENCE_S):
                process.signal(signal.SIGKILL)
                process.has_died(_PATIENCE_S)
            process.forget()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
        self._wire.close()

    # ---- deaths, and what is like them

    def _notice_sleep(self) -> None:
        """If this process was not awake for a while, hold it against nobody that nothing was heard of them."""
        now = time.monotonic()
        if (slept_s := now - self._turn_s) > self.stream.status_s + _AWAKE_S:
            for process in self.processes.values():
                process.pulse.forgive(slept_s)
            self._progress_s += slept_s
        self._turn_s = now

    def _kill_the_hung(self) -> None:
        for process in self.processes.values():
            if process.is_hung(time.monotonic(), self.stream.hung_s) and not process.has_died():
                process.hung += 1
                self.log.warning("process hangs", role=process.place.name, pid=process.pid)
                process.signal(signal.SIGKILL)
                process.has_died(_PATIENCE_S)

    def _note_stall(self) -> None:
        """Find out who holds up the run, once nothing has become durable for a while."""
        now, before = time.monotonic(), self._stalled
        is_moving = self.state in (RunState.RUNNING, RunState.DRAINING)
        patience_s = max(_STALL_S, 3.0 * self.stream.status_s)
        if not is_moving or now - self._progress_s < patience_s or self._waits_for_collisions():
            self._stalled = ""
        else:
            downstream = [process.pulse for process in self.processes.values()]
            found = stalled_stage(downstream, now, max(1.0, 3.0 * self.stream.status_s))
            self._stalled = found or ("" if self.stream.speed is not None else "no process has work")
        if self._stalled and not before:
            self.log.warning("stalled", for_s=round(now - self._progress_s, 1), stage=self._stalled)

    def _waits_for_collisions(self) -> bool:
        """Return whether nothing is in flight: at a slow pace the next part takes its time."""
        statistics = self.source.frame.get("statistics")
        return self.stream.speed is not None and statistics is not None and statistics["oldest_ms"] < 1e3 * _STALL_S

    def _replace_the_dead(self, nursery: Nursery) -> None:
        if nursery.has_died():
            self._replace_nursery()
            return
        try:
            for process in self.processes.values():
                if process.has_died():
                    pid, block = process.pid, process.statistics["current_block"]
                    self._launch(process, nursery)
                    self._charge(process, pid, block)
        except ConnectionError:  # so it died of the death of the nursery
            self._replace_nursery()

    def _charge(self, process: Process, pid: int, block: int) -> None:
        """Count the death of a process that was at work on a block; raise `RunError` if there were too many."""
        name = process.place.name
        process.restarts += 1
        where = f"at block {block}" if block >= 0 else "with no block at work"
        self.log.warning("process died", role=name, pid=pid, restarts=process.restarts, block=block)
        if process.restarts > self.stream.max_restarts:
            raise RunError(f"{name} died {process.restarts} times, the last time {where}; log.jsonl has more")
        if block >= 0:
            self._deaths_at[block] += 1
            if self._deaths_at[block] >= _DEADLY:
                raise RunError(f"block {block} was at work in {_DEADLY} processes that died, the last one {name}")

    def _launch(self, process: Process, nursery: Nursery) -> None:
        process.forget()
        process.born(nursery.fork(process.place))
        self.log.info("process started", role=process.place.name, pid=process.pid)

    def _replace_nursery(self) -> None:
        """Start a nursery, the first or a new one, and all processes: those of the old one died with it."""
        while True:
            if self._nursery is not None:
                self._bury_nursery(self._nursery)
            for process in self.processes.values():
                process.signal(signal.SIGKILL)
                process.has_died(_PATIENCE_S)
            self._nursery = Nursery(self._nursery_command)
            with suppress(ConnectionError):  # it died again: bury this one too
                self._nursery.wait_until_warm()
                self.log.info("nursery started", pid=self._nursery.pid)
                for process in self.processes.values():
                    self._launch(process, self._nursery)
                return

    def _bury_nursery(self, nursery: Nursery) -> None:
        self._nursery = None
        code = nursery.close()
        self._nursery_restarts += 1
        self.log.warning("nursery died", code=code, restarts=self._nursery_restarts)
        if code > 0 or self._nursery_restarts > self.stream.max_restarts:
            raise RunError(f"the nursery died {self._nursery_restarts} times, the last time with exit code {code}")

    # ---- what is said about the run

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        """Let the first Ctrl-C (or SIGTERM) drain the run and the second one abort it, while the context lasts."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the business of whoever has the main thread
            return

        def ask_to_stop(*_: object) -> None:
            if self._stop_asked or self.state is RunState.CONFIGURED:
                raise KeyboardInterrupt
            self._stop_asked = True
            self._status_s = 0.0

        before = {which: signal.signal(which, ask_to_stop) for which in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)

    def _move(self, command: Command) -> None:
        self.state = move(self.state, command)
        self.log.info("state", state=self.state, command=command)

    def _publish(self) -> None:
        nursery = self._nursery
        now = time.monotonic()
        status = {
            "state": self.state,
            "name": self.run.settings.name,
            "control": self._counter.endpoint,
            "blocks": self.run.n_blocks,
            "blocks_done": self._blocks_done,
            "blocks_in_flight": self.source.statistics["queue"],
            "oldest_block_s": self.source.statistics["oldest_ms"] / 1e3,
            "since_progress_s": round(now - self._progress_s, 3),
            "stalled": self._stalled,
            "disk_free_bytes": shutil.disk_usage(self.directory).free,
            "status_errors": self._status_errors,
            "processes": [
                {"role": "supervisor", "slot": 0, "pid": os.getpid(), "restarts": 0},
                {"role": "nursery", "slot": 0, "pid": nursery and nursery.pid, "restarts": self._nursery_restarts},
            ]
            + [
                {
                    "role": process.place.role,
                    "slot": process.place.slot,
                    "pid": process.pid if process.pid > 0 else None,
                    "restarts": process.restarts,
                    "hung": process.hung,
                    "silent_s": round(process.pulse.silent_s(now), 3),
                    **{name: process.frame.get(name) for name in ("host", "endpoint", "metrics_url", "statistics")},
                }
                for process in self.processes.values()
            ],
        }
        try:
            write_json(self.directory / STATUS, status)
        except OSError:  # a full disk: the run goes on as long as it can, and the next status says how often
            self._status_errors += 1
        if self._on_status is not None:
            self._on_status(status)

    def _telemetry(self, wall_s: float) -> dict[str, Any]:
        """Return what the processes counted, for the summary; the load of a stage is the share of time it works."""
        processes = self.processes.values()
        made_durable = sum(record.n_events for record in read_manifest(self.directory)) - self._durable_before
        by_role: dict[str, list[Statistics]] = {}
        for process in processes:
            by_role.setdefault(process.place.role, []).append(process.statistics)
        cpu_s = {role: sum(each["cpu_ns"] for each in members) / 1e9 for role, members in by_role.items()}
        busy_s = {role: sum(each["busy_ns"] for each in members) / 1e9 for role, members in by_role.items()}
        load = {role: max(cpu_s[role], busy_s[role]) / wall_s / len(by_role[role]) for role in by_role}
        return {
            "wall_s": wall_s,
            "events_per_s": made_durable / wall_s,
            "restarts": sum(process.restarts for process in processes) + self._nursery_restarts,
            "restarts_by_process": {process.place.name: process.restarts for process in processes}
            | {"nursery": self._nursery_restarts},
            "hung": sum(process.hung for process in processes),
            "retries": self.source.statistics["resends"],
            "duplicates": self.processes["spool-0"].statistics["duplicates"],
            "wire_errors": sum(process.statistics["wire_errors"] for process in processes) + self._bad_frames,
            "refused": sum(process.statistics["refused"] for process in processes),
            "disk_errors": self.processes["spool-0"].statistics["disk_errors"],
            "lost_blocks": self.source.statistics["lost_blocks"],
            "latency_s": {
                role: quantiles(np.sum([each.latency for each in members], axis=0)) for role, members in by_role.items()
            },
            "cpu_s": cpu_s,
            "busy_s": busy_s,
            "load": load,
            "slowest_stage": max(load, key=lambda role: load[role]),
        }
