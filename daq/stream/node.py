"""What every process of a run has: its place, the run, its counts, its log, its sockets, its status frames."""

from __future__ import annotations

import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from daq.errors import WireError
from daq.run_directory import open_log, read_run
from daq.stream.statistics import Statistics
from daq.stream.wire.codec import Block, Codec
from daq.stream.wire.contract import Contract, check_durable, run_key
from daq.stream.wire.frames import write_frame
from daq.stream.wire.messages import Delivery, Durable
from daq.stream.wire.sockets import Wire
from daq.stream.wire.transport import HEARTBEAT_S, Inlet, Outlet, Port


@dataclass(frozen=True, slots=True)
class Place:
    """Which process of which run."""

    role: str
    slot: int
    run_directory: Path
    sockets: Path  # private directory of the ipc sockets of this run

    @property
    def name(self) -> str:
        """Return the name that peers know the process by."""
        return f"{self.role}-{self.slot}"

    def endpoint(self, role: str) -> str:
        """Return the address where a role listens."""
        return f"ipc://{self.sockets}/{role}"

    @property
    def statistics(self) -> Path:
        """Return the file that the process counts in."""
        return self.sockets / f"{self.name}.statistics"


class Node:
    """One process of a run, before it is known what it does; see `daq.stream.loops`."""

    def __init__(self, place: Place):
        self.place = place
        self.run = read_run(place.run_directory)
        self.stream = self.run.settings.stream
        self.statistics = Statistics(place.statistics)
        self.statistics.begin()
        self.log = open_log(place.run_directory, place.name)
        self.codec = Codec(run=self.run.settings.run, menu_hash=self.run.menu_hash, contract=self._contract())
        self._key = run_key(self.run)
        self._errors: Counter[str] = Counter()
        self.metrics_url = ""
        self.wire = Wire(self.stream, place.name, place.endpoint, key=self._key, hwm=self._hwm)
        self._status = self.wire.publisher()
        self._born_s = self._report_s = time.monotonic()
        self._beat_s = 0.0

    def _contract(self) -> Callable[[Block], None]:
        upstream = {"l1": "source", "hlt": "l1", "spool": "hlt"}
        return Contract(self.run, sender=upstream.get(self.place.role, "source"))

    def bind(self) -> Port:
        """Listen at the endpoint of this role."""
        return self.wire.bind(self.place.role)

    def connect(self, role: str) -> Port:
        """Connect to where a role listens."""
        return self.wire.connect(role)

    @property
    def _hwm(self) -> int:
        # Grants bound what is under way to the window, doubled when all is sent again: this mark is never reached.
        return 4 * self.stream.window_blocks + 64

    def wait(self, *ports: Port, within_s: float = math.inf) -> None:
        """Wait until a port has something, it is time for a heartbeat or a status frame, or the time is up."""
        poller = zmq.Poller()
        for port in ports:
            poller.register(port.socket, zmq.POLLIN)
        left_s = min(within_s, min(self._beat_s, self._report_s) - time.monotonic())
        poller.poll(max(0, math.ceil(left_s * 1000)))

    def beats(self) -> bool:
        """Return whether it is time for a heartbeat."""
        now = time.monotonic()
        if now < self._beat_s:
            return False
        self._beat_s = now + min(HEARTBEAT_S, self._soon_s(now))
        self.wire.look(self.statistics, self.log)
        return True

    def _soon_s(self, now: float) -> float:
        # What a new process says first is lost if nobody is connected yet: let it speak more often in the beginning.
        return 0.005 + 0.5 * (now - self._born_s)

    def report(self, **facts: Any) -> None:
        """Send a status frame if it is time; one that nobody takes is lost."""
        now = time.monotonic()
        if now < self._report_s:
            return
        self._report_s = now + min(self.stream.status_s, self._soon_s(now))
        self.statistics.note_cpu()
        frame = {
            "role": self.place.role,
            "slot": self.place.slot,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "endpoint": self.wire.endpoint(self.place.role).connect_to,
            "metrics_url": self.metrics_url,
            "statistics": self.statistics.snapshot(),
            **facts,
        }
        self._status.send(write_frame(frame), zmq.NOBLOCK)

    @contextmanager
    def at_work(self, number: int, events: int) -> Iterator[None]:
        """Measure the work on a block, and let it be known at which block the process is should it die."""
        self.statistics["current_block"] = number
        begin_ns = time.perf_counter_ns()
        yield
        spent_ns = time.perf_counter_ns() - begin_ns
        self.statistics["busy_ns"] += spent_ns
        self.statistics.observe(spent_ns / 1e9, events)
        self.statistics["current_block"] = -1

    def receive(self, inlet: Inlet) -> Block | None:
        """Return the next block, None if there is none or it did not check out."""
        try:
            return inlet.receive()
        except WireError as error:
            self._note(error)
            return None

    def messages(self, outlet: Outlet) -> Iterator[Delivery]:
        """Yield what receivers say; what is no message is counted."""
        while True:
            try:
                for delivery in outlet.receive():
                    if isinstance(delivery.message, Durable):
                        self._check_durable(outlet, delivery.peer, delivery.message)
                    yield delivery
            except WireError as error:
                self._note(error)
            else:
                return

    def hear(self, port: Port) -> Iterator[Delivery]:
        """Yield what comes in at a port that no blocks come through; what is no message is counted."""
        while True:
            try:
                delivery = port.receive()
            except WireError as error:
                self._note(error)
                continue
            if delivery is None:
                return
            yield delivery

    def _check_durable(self, outlet: Outlet, peer: str, message: Durable) -> None:
        try:
            check_durable(self.run, message.spans)
        except ValueError as error:
            raise outlet.port.accuse(peer, str(error)) from None

    def _note(self, error: WireError) -> None:
        self.statistics["wire_errors"] += 1
        self._errors[error.peer] += 1
        count = self._errors[error.peer]
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th, ...: nobody can fill the disk with his errors
            self.log.warning("wire error", error=str(error), peer=error.peer, errors=count)
