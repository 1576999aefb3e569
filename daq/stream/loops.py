"""What the processes of a run do: source, ordered stage (L1), stage (HLT worker) and spool. One loop each.

::

    source --> l1 --> hlt 0 .. W-1 --> spool        blocks
      ^----------------------------------'          what is durable

A process keeps nothing that it could not lose: the source can make every block again, L1 is told its state, the spool
reads the manifest. A program composes a process from a `Node`, its own rule, and one of the four ``run_`` functions::

    node = Node(place)
    run_stage(node, emulate)        # Block -> Block

Source and spool return only by SIGTERM (SystemExit) or an error: whoever supervises the run ends it. Where nobody does
(`daq.stream.farm`) the end of the run comes down the stream, and the stages return.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from daq.run_directory import LOST_BLOCKS
from daq.spool import Manifest, read_manifest, remove_temporaries, write_all, write_part
from daq.stream.ledger import STATE, Durables, Ledger, Span, State
from daq.stream.node import Node
from daq.stream.pace import RunClock
from daq.stream.wire.codec import Block
from daq.stream.wire.messages import Again, Conduct, Durable, End, Ended
from daq.stream.wire.transport import HEARTBEAT_S, Inlet, Outlet

Stage = Callable[[Block], Block]
OrderedStage = Callable[[Block, State | None], tuple[Block, State]]
"""(block, state after the block before it, None for the first) -> (block, state after it)."""


class BlockMaker(Protocol):
    """Makes the blocks of a run; each must depend on the run and the number alone."""

    def interval_ns(self, number: int) -> tuple[int, int]:
        """Return the time [begin, end) that a block stands for [ns]."""
        ...

    def __call__(self, number: int) -> Block:
        """Return a block; its notes ``begin_ns`` and ``end_ns`` are its interval."""
        ...

    def lost(self, number: int) -> Block:
        """Return the block without its events, with the note `LOST`."""
        ...


# ---- source


def run_source(node: Node, maker: BlockMaker, conduct: Conduct | None = None) -> None:
    """Make the blocks of the run and own each until it is durable.

    Nothing is made before somebody conducts the run (unless ``conduct`` says how it begins), the spool has said what is
    durable, and L1 is there. Status frames say how many blocks are ``done`` and whether the run is ``finished``.
    """
    source = Source(node, maker, conduct)
    while True:
        source.turn()


class Source:
    """The source, turn by turn."""

    def __init__(self, node: Node, maker: BlockMaker, conduct: Conduct | None):
        stream = node.stream
        self._node, self._maker, self._conduct = node, maker, conduct
        self._ledger = Ledger(node.run.n_blocks, window=stream.window_blocks, lease_s=stream.lease_s)
        self.outlet = Outlet(node.bind(), node.codec, node.statistics, at_departure=self._ledger.with_state)
        self._clock = None if stream.speed is None else RunClock(stream.speed)
        self._lost = LostBlocks(node.place.run_directory / LOST_BLOCKS)
        # Each death in the run may cost an attempt; a block that needs more than that will never get through.
        self._most_attempts = 10 + stream.max_restarts * (node.run.settings.workers + 4)
        self.failure, self._all_again, self._knows_durable = "", False, False
        self._not_before_s = 0.0

    def turn(self) -> None:
        """Wait for something to do, and do it."""
        node, statistics, now = self._node, self._node.statistics, time.monotonic()
        statistics["queue"], statistics["credits"] = self._ledger.n_held, self.outlet.credits
        statistics["oldest_ms"] = round(1e3 * self._ledger.oldest_s(now))
        node.report(done=self._ledger.n_done, finished=self.finished, failure=self.failure)
        node.wait(self.outlet.port, within_s=self._due_s())
        self._listen()
        if self._due_s() <= 0 and (number := self._ledger.next_number()) is not None:
            self._make(number)
        self._ledger.note_sent(self.outlet.flush(), time.monotonic())
        if node.beats():
            if self._all_again:
                self._all_again = False
                self._send_again(None)
            for late in self._ledger.overdue(time.monotonic()):
                node.log.warning("lease ran out", block=late)
                self._send_again(late)

    @property
    def finished(self) -> bool:
        """Return whether every block of the run is known to be durable."""
        return self._knows_durable and self._ledger.finished

    @property
    def n_blocks(self) -> int:
        """Return the blocks of the run: fewer than there might have been if it was stopped."""
        return self._ledger.n_blocks

    def stop(self) -> None:
        """Make no more blocks than complete the part at hand."""
        self._ledger.stop(self._node.stream.blocks_per_part)

    def _listen(self) -> None:
        for _, message, _ in self._node.messages(self.outlet):
            match message:
                case Durable(spans):
                    self._knows_durable = True
                    for block, age_s in self._ledger.durable(spans, time.monotonic()):
                        self.outlet.drop(block.number)
                        self._node.statistics.observe(age_s, block.n_events)
                case Again(None):
                    self._all_again = True  # at the next beat, once for all who say so
                case Again(number):
                    self._send_again(number)
                case Conduct():
                    self._conduct = message
                    if message.stopping:
                        self.stop()

    def _due_s(self) -> float:
        """Return the time until the next block is to be made [s], infinite if nobody knows; sets the clock."""
        number = self._ledger.next_number()
        if self._conduct is None or self._conduct.paused or not (self._knows_durable and self.outlet.has_receivers):
            if self._clock is not None:
                self._clock.halt()
            return float("inf")
        if number is None:
            return float("inf")
        if self._clock is None:
            return 0.0
        begin_ns, end_ns = self._maker.interval_ns(number)
        now = time.monotonic()
        self._clock.run_from(now, begin_ns)
        return max(self._not_before_s - now, -self._clock.late_s(now, end_ns))

    def _make(self, number: int) -> None:
        """Make the next block, or give up its collisions if it should have gone long ago."""
        statistics = self._node.statistics
        if -self._due_s() > self._node.stream.lag_s and number not in self._lost:
            try:
                self._lost.add(number)
            except OSError:  # what cannot be written down is not decided: later, when the disk has room
                statistics["disk_errors"] += 1
                self._not_before_s = time.monotonic() + HEARTBEAT_S
                return
        statistics["current_block"] = number
        begin_ns = time.perf_counter_ns()
        if number in self._lost:
            block = self._maker.lost(number)
            statistics["lost_blocks"] += 1
        else:
            block = self._maker(number)
        statistics["busy_ns"] += time.perf_counter_ns() - begin_ns
        statistics["current_block"] = -1
        statistics["blocks_in"] += 1
        statistics["events_in"] += len(block.events)
        self._ledger.hold(block, time.monotonic())
        self.outlet.put(block)

    def _send_again(self, number: int | None) -> None:
        for block in self._ledger.again(number, time.monotonic()):
            self.outlet.put(block)
            self._node.statistics["resends"] += 1
            if block.attempt > self._most_attempts:
                self.failure = f"block {block.number} was sent {block.attempt} times and never became durable"


class LostBlocks:
    """Which blocks were given up. A file remembers it: a source that is started anew must not decide otherwise.

    It is not flushed to disk. What is lost with the machine was decided for blocks that are lost with it too, unless
    they are durable, and then nobody asks.
    """

    def __init__(self, path: Path):
        self._path = path
        lines = path.read_text(encoding="ascii").split("\n")[:-1] if path.exists() else []  # the last may be torn
        self._numbers = {int(line) for line in lines}

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def add(self, number: int) -> None:
        """Remember a number; raise `OSError` if the disk does not take it, and forget it."""
        with self._path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                write_all(file.fileno(), f"{number}\n".encode())
            except OSError:
                file.truncate(size)
                raise
        self._numbers.add(number)


# ---- the end of a run that nobody supervises

END_PATIENCE_S = 5.0  # for those who are told; one that is dead can't answer


def tell(node: Node, outlet: Outlet, peers: Sequence[str], end: End, patience_s: float) -> list[str]:
    """Tell peers of a bound outlet that the run has ended, until each has answered; return those that have not."""
    waiting, deadline = set(peers), time.monotonic() + patience_s
    while waiting and time.monotonic() < deadline:
        if node.beats():
            for peer in waiting:
                outlet.port.send(peer, end)
        node.report()
        node.wait(outlet.port)
        for peer, message, _ in node.messages(outlet):
            if isinstance(message, Ended):
                waiting.discard(peer)
    return sorted(waiting)


# ---- stages


def run_stage(node: Node, stage: Stage) -> None:
    """Apply a stage to blocks in whatever order they come, and pass them to the spool."""
    outlet = Outlet(node.connect("spool"), node.codec, node.statistics)
    inlet = Inlet(node.connect("l1"), node.codec, node.statistics, slots=node.stream.worker_credits)

    def process(block: Block) -> Sequence[Block]:
        with node.at_work(block.number, len(block.events)):
            return [stage(block)]

    _relay(node, inlet, outlet, process)
    inlet.answer_end()


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
    assert inlet.end is not None
    if silent := tell(node, outlet, outlet.receivers, inlet.end, END_PATIENCE_S):
        node.log.warning("has not answered to the end of the run", peers=silent)
    inlet.answer_end()


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
    """Take blocks in while not too many wait to go out, until the end of the run is announced."""
    most_pending = node.stream.worker_credits
    while inlet.end is None:
        if node.beats():
            inlet.announce()
            outlet.hello()
        node.statistics["queue"], node.statistics["credits"] = len(outlet.pending), outlet.credits
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


# ---- spool


def run_spool(node: Node) -> None:
    """Collect parts, make them durable, and tell the source; a block that comes again is dropped.

    A disk that is full or fails does not end the process: the part is tried again, while back-pressure holds the run.
    """
    spool = Spool(node)
    while True:
        spool.turn()


class Spool:
    """The spool, turn by turn; ``end`` is what the source said of the end of the run, if it said so."""

    def __init__(self, node: Node):
        directory = node.place.run_directory
        self._node, self._directory = node, directory
        self._inlet = Inlet(node.bind(), node.codec, node.statistics, slots=2 * node.stream.window_blocks)
        self.source = node.connect("source")
        self.end: End | None = None
        self.failure = ""
        self._manifest = Manifest(directory)
        remove_temporaries(directory)
        self._durables = durables_of(directory)
        self._collecting: dict[int, dict[int, Block]] = {}
        self._since: dict[int, float] = {}  # when the first block of a part came
        self._whole: list[int] = []  # parts that are complete, to be stored
        self._trouble, self._trouble_s = "", 0.0

    def turn(self) -> None:
        """Wait for something to do, and do it."""
        node = self._node
        if node.beats():
            self._inlet.announce()
            self._store_all()
            self._tell()
            self._listen()
        self._report()
        node.wait(self._inlet.port)
        if (block := node.receive(self._inlet)) is not None:
            if self._collect(block) and not self._trouble:
                self._store_all()
                self._tell()
            self._inlet.finish()

    def _listen(self) -> None:
        for _, message, _ in self._node.hear(self.source):
            if isinstance(message, End):
                self.end = message

    def answer_end(self) -> bool:
        """Tell the source, if it has asked again, that the books are closed; return whether it has."""
        asked = [message for _, message, _ in self._node.hear(self.source) if isinstance(message, End)]
        if asked:
            self.source.send("source", Ended())
        return bool(asked)

    def _collect(self, block: Block) -> bool:
        """Add a block to its part; return whether the part has become complete by it."""
        part = self._node.run.part_blocks(block.number)
        if part.start in self._durables:
            self._node.statistics["duplicates"] += 1
            return False
        blocks = self._collecting.setdefault(part.start, {})
        self._since.setdefault(part.start, time.monotonic())
        self._node.statistics["duplicates"] += block.number in blocks
        blocks[block.number] = block
        if len(blocks) < len(part) or part.start in self._whole:
            return False
        self._whole.append(part.start)
        return True

    def _store_all(self) -> None:
        while self._whole and self._store(self._whole[0]):
            del self._whole[0]

    def _store(self, first: int) -> bool:
        """Make a part durable; return False if the disk does not take it, to be tried again."""
        node, statistics = self._node, self._node.statistics
        part = node.run.part_blocks(first)
        blocks = self._collecting[first]
        kept = sum(len(block.events) for block in blocks.values())
        try:
            with node.at_work(first, kept):
                self._manifest.append(
                    write_part(self._directory, [blocks[number] for number in part], node.run.bit_names)
                )
        except OSError as error:
            statistics["disk_errors"] += 1
            statistics["current_block"] = -1
            if not self._trouble:
                self._trouble_s = time.monotonic()
                node.log.warning("part could not be stored", block=first, error=str(error))
            self._trouble = f"block {first}: its part could not be stored: {error}"
            return False
        if self._trouble:
            node.log.info("the disk takes parts again", block=first)
            self._trouble = ""
        del self._collecting[first], self._since[first]
        self._durables.add(Span(first, part.stop, blocks[part[-1]].notes.get("l1_state")))
        statistics["blocks_out"] += len(part)
        statistics["events_out"] += kept
        return True

    def _tell(self) -> None:
        """Tell the source all that is durable; it is said again at the next beat, so it may get lost."""
        self.source.send("source", Durable(self._durables.spans))

    def _report(self) -> None:
        statistics, now = self._node.statistics, time.monotonic()
        statistics["queue"] = sum(map(len, self._collecting.values()))
        statistics["oldest_ms"] = round(1e3 * max((now - since for since in self._since.values()), default=0.0))
        gave_up = self._trouble and now - self._trouble_s > self._node.stream.disk_patience_s
        self.failure = self._trouble if gave_up else ""
        self._node.report(trouble=self._trouble, failure=self.failure)


def durables_of(directory: Path) -> Durables:
    """Return what the manifest of a run says is durable."""
    parts: dict[int, Any] = {}
    for record in read_manifest(directory):
        parts[record.part] = Span(record.part, record.part + record.part_blocks, record.l1_state)
    return Durables(parts.values())
