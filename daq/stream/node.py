"""The processes of a run: source, ordered stage (L1), stage (HLT worker) and spool. One loop each.

::

    source --> l1 --> hlt 0 .. W-1 --> spool        blocks
      ^----------------------------------'          what is durable

A process keeps nothing that it could not lose: the source can make every block again, L1 is told its state, the spool
reads the manifest. A program composes a process from a `Node`, its own rule, and one of the four ``run_`` functions::

    node = Node(place)
    run_stage(node, emulate)        # Block -> Block

They return only by SIGTERM (SystemExit) or an error.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import zmq

from daq.errors import WireError
from daq.run_directory import open_log, read_run
from daq.spool import Manifest, read_manifest, remove_temporaries, write_part
from daq.stream.codec import Block, Codec
from daq.stream.contract import Contract
from daq.stream.frames import write_frame
from daq.stream.ledger import STATE, Ledger, State
from daq.stream.statistics import Statistics
from daq.stream.transport import HEARTBEAT_S, Again, Delivery, Durable, Inlet, Outlet, Port, Stop

Stage = Callable[[Block], Block]
OrderedStage = Callable[[Block, State | None], tuple[Block, State]]
"""(block, state after the block before it, None for the first) -> (block, state after it)."""


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
    """What every process of a run has: its place, the run, its counts, its log, its sockets, its status frames."""

    def __init__(self, place: Place):
        self.place = place
        self.run = read_run(place.run_directory)
        self.stream = self.run.settings.stream
        self.statistics = Statistics(place.statistics)
        self.statistics.begin()
        self.log = open_log(place.run_directory, place.name)
        self.codec = Codec(run=self.run.settings.run, menu_hash=self.run.menu_hash, contract=self._contract())
        self._errors: Counter[str] = Counter()
        self.metrics_url = ""
        self._context: zmq.Context[Any] = zmq.Context()
        self._status: zmq.Socket[bytes] = self._context.socket(zmq.PUB)
        self._status.setsockopt(zmq.LINGER, 0)
        self._status.connect(place.endpoint("status"))
        self._born_s = self._report_s = time.monotonic()
        self._beat_s = 0.0

    def _contract(self) -> Callable[[Block], None]:
        upstream = {"l1": "source", "hlt": "l1", "spool": "hlt"}
        return Contract(self.run, sender=upstream.get(self.place.role, "source"))

    def bind(self) -> Port:
        """Listen at the endpoint of this role."""
        return Port.bind(self._context, self.place.endpoint(self.place.role), hwm=self._hwm)

    def connect(self, role: str) -> Port:
        """Connect to where a role listens."""
        return Port.connect(self._context, self.place.endpoint(role), name=self.place.name, peer=role, hwm=self._hwm)

    @property
    def _hwm(self) -> int:
        # Grants bound what is under way to the window, doubled when all is sent again: this mark is never reached.
        return 4 * self.stream.window_blocks + 64

    def wait(self, *ports: Port, busy: bool = False) -> None:
        """Wait until a port has something, or it is time for a heartbeat or a status frame; if busy, just look."""
        poller = zmq.Poller()
        for port in ports:
            poller.register(port.socket, zmq.POLLIN)
        left_s = min(self._beat_s, self._report_s) - time.monotonic()
        poller.poll(0 if busy else max(0, round(left_s * 1000)))

    def beats(self) -> bool:
        """Return whether it is time for a heartbeat."""
        now = time.monotonic()
        if now < self._beat_s:
            return False
        self._beat_s = now + min(HEARTBEAT_S, self._soon_s(now))
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
            "endpoint": self.place.endpoint(self.place.role),
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
                yield from outlet.receive()
            except WireError as error:
                self._note(error)
            else:
                return

    def _note(self, error: WireError) -> None:
        self.statistics["wire_errors"] += 1
        self._errors[error.peer] += 1
        count = self._errors[error.peer]
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th, ...: nobody can fill the disk with his errors
            self.log.warning("wire error", error=str(error), peer=error.peer, errors=count)


def run_source(node: Node, make_block: Callable[[int], Block]) -> None:
    """Make the blocks of the run and own each until it is durable.

    ``make_block(number)`` must depend on the run alone; notes ``begin_ns`` and ``end_ns`` give the time it stands for.
    Status frames say how many blocks are ``done`` and whether the run is ``finished``.
    """
    stream, statistics = node.stream, node.statistics
    ledger = Ledger(node.run.n_blocks, window=stream.window_blocks, lease_s=stream.lease_s)
    outlet = Outlet(node.bind(), node.codec, statistics, at_departure=ledger.with_state)
    for part in _durable_parts(node).values():
        ledger.done(part.first, part.n_blocks, part.l1_state, 0.0)
    # Each death in the run may cost an attempt; a block that needs more than that will never get through.
    most_attempts = 10 + stream.max_restarts * (node.run.settings.workers + 4)
    failure, all_again = "", False

    def send_again(number: int | None) -> None:
        nonlocal failure
        for block in ledger.again(number, time.monotonic()):
            outlet.put(block)
            statistics["resends"] += 1
            if block.attempt > most_attempts:
                failure = f"block {block.number} was sent {block.attempt} times and never became durable"

    while True:
        statistics["queue"] = ledger.n_held
        node.report(done=ledger.n_done, finished=ledger.finished, failure=failure)
        node.wait(outlet.port, busy=ledger.next_number() is not None)
        for _, message, _ in node.messages(outlet):
            match message:
                case Durable(first, n_blocks, state):
                    outlet.drop(first, n_blocks)
                    for block, age_s in ledger.done(first, n_blocks, state, time.monotonic()):
                        statistics.observe(age_s, block.n_events)
                case Again(None):
                    all_again = True  # at the next beat, once for all who say so
                case Again(number):
                    send_again(number)
                case Stop():
                    ledger.stop(stream.blocks_per_part)
        if (number := ledger.next_number()) is not None:
            statistics["current_block"] = number
            begin_ns = time.perf_counter_ns()
            block = make_block(number)
            statistics["busy_ns"] += time.perf_counter_ns() - begin_ns
            statistics["current_block"] = -1
            statistics["blocks_in"] += 1
            statistics["events_in"] += len(block.events)
            ledger.hold(block, time.monotonic())
            outlet.put(block)
        ledger.note_sent(outlet.flush(), time.monotonic())
        if node.beats():
            if all_again:
                all_again = False
                send_again(None)
            for late in ledger.overdue(time.monotonic()):
                node.log.warning("lease ran out", block=late)
                send_again(late)


def run_stage(node: Node, stage: Stage) -> None:
    """Apply a stage to blocks in whatever order they come, and pass them to the spool."""
    outlet = Outlet(node.connect("spool"), node.codec, node.statistics)
    inlet = Inlet(node.connect("l1"), node.codec, node.statistics, slots=node.stream.worker_credits)

    def process(block: Block) -> Sequence[Block]:
        with node.at_work(block.number, len(block.events)):
            return [stage(block)]

    _relay(node, inlet, outlet, process)


def run_ordered_stage(node: Node, stage: OrderedStage) -> None:
    """Apply a stage that has a state to all blocks in order, and pass them to the workers.

    The state after a block is noted in it (``l1_state``) and comes back from the source when it is needed.
    """
    outlet = Outlet(node.bind(), node.codec, node.statistics)
    inlet = Inlet(node.connect("source"), node.codec, node.statistics, slots=node.stream.window_blocks)

    def measured(block: Block, before: State | None) -> tuple[Block, State]:
        with node.at_work(block.number, len(block.events)):
            return stage(block, before)

    _relay(node, inlet, outlet, InOrder(measured, span=node.stream.window_blocks))


class InOrder:
    """Applies an ordered stage to blocks as they come: one whose predecessor is not known yet has to wait.

    A block not done is never more than ``span`` behind the newest, so no more states than that are kept.
    """

    def __init__(self, stage: OrderedStage, *, span: int):
        self._stage, self._span = stage, span
        self._states: dict[int, State] = {}
        self._waiting: dict[int, Block] = {}

    def __call__(self, block: Block) -> list[Block]:
        """Return the blocks that could be processed now that this one is here, in order."""
        self._waiting[block.number] = block
        processed: list[Block] = []
        number = block.number
        while number in self._waiting and self._knows_state_before(self._waiting[number]):
            processed.append(self._process(self._waiting.pop(number)))
            number += 1
        for numbered in (self._states, self._waiting):
            for old in [n for n in numbered if n < number - self._span - 1]:
                del numbered[old]
        return processed

    def _knows_state_before(self, block: Block) -> bool:
        return block.number == 0 or STATE in block.notes or block.number - 1 in self._states

    def _process(self, block: Block) -> Block:
        before = block.notes.get(STATE, self._states.get(block.number - 1))
        result, after = self._stage(block, before)
        self._states[block.number] = after
        notes = {name: note for name, note in result.notes.items() if name != STATE}
        return replace(result, notes={**notes, "l1_state": after})


def _relay(node: Node, inlet: Inlet, outlet: Outlet, process: Callable[[Block], Sequence[Block]]) -> None:
    """Take blocks in while not too many wait to go out."""
    most_pending = node.stream.worker_credits
    while True:
        if node.beats():
            inlet.announce()
            outlet.hello()
        node.statistics["queue"] = len(outlet.pending)
        node.report()
        is_open = len(outlet.pending) < most_pending
        node.wait(outlet.port, *([inlet.port] if is_open else []))
        for delivery in node.messages(outlet):
            if isinstance(delivery.message, Again):
                inlet.ask_again(delivery.message.block)
        if is_open and (block := node.receive(inlet)) is not None:
            for result in process(block):
                outlet.put(result)
            inlet.finish()
        outlet.flush()


def run_spool(node: Node) -> None:
    """Collect parts, make them durable, and tell the source; a block that comes again is only confirmed again."""
    run, statistics, directory = node.run, node.statistics, node.place.run_directory
    inlet = Inlet(node.bind(), node.codec, statistics, slots=2 * node.stream.window_blocks)
    source = node.connect("source")
    unsaid: list[Durable] = []
    manifest = Manifest(directory)
    remove_temporaries(directory)
    durable = _durable_parts(node)
    collecting: dict[int, dict[int, Block]] = {}
    while True:
        if node.beats():
            inlet.announce()
        statistics["queue"] = sum(map(len, collecting.values()))
        node.report()
        node.wait(inlet.port)
        while unsaid and source.send("source", unsaid[0]):
            del unsaid[0]
        if (block := node.receive(inlet)) is None:
            continue
        part = run.part_blocks(block.number)
        if part.start in durable:
            statistics["duplicates"] += 1
            unsaid.append(durable[part.start])
        else:
            blocks = collecting.setdefault(part.start, {})
            statistics["duplicates"] += block.number in blocks
            blocks[block.number] = block
            if len(blocks) == len(part):
                kept = sum(len(block.events) for block in blocks.values())
                with node.at_work(part.start, kept):
                    manifest.append(write_part(directory, [blocks[number] for number in part], run.bit_names))
                del collecting[part.start]
                durable[part.start] = Durable(part.start, len(part), blocks[part[-1]].notes.get("l1_state"))
                unsaid.append(durable[part.start])
                statistics["blocks_out"] += len(part)
                statistics["events_out"] += kept
        inlet.finish()


def _durable_parts(node: Node) -> dict[int, Durable]:
    """Return what the manifest says is done, by first block of the part."""
    parts: dict[int, Durable] = {}
    for record in read_manifest(node.place.run_directory):
        parts[record.part] = Durable(record.part, record.part_blocks, record.l1_state)
    return parts
