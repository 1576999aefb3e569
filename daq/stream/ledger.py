"""Who owns what: the source's account of blocks made, in flight and done. Pure: no clock, no socket, no file.

The source owns a block until the spool has said that it is durable. Blocks are made in rising order and never further
than ``window`` ahead of the lowest one that is not done; this one bound holds for every queue and every memory of the
stream.

A block whose predecessor is done carries the L1 state after that predecessor (``notes["state"]``), so an L1 that has
just started can go on from any block. The spool makes whole parts durable, so only the state after the last block of a
part is ever needed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from daq.stream.wire.codec import Block

State = list[int]
STATE = "state"
"""Note of a block: the L1 state before it, where the sender knows it."""


class Span(NamedTuple):
    """Consecutive durable blocks ``first`` .. ``end`` - 1, and the L1 state after the last one."""

    first: int
    end: int
    state: State | None


class Durables:
    """Which blocks are durable: spans in rising order that do not touch each other.

    Parts become durable nearly in order, so there are few spans however long the run is.
    """

    def __init__(self, spans: Iterable[Span] = ()):
        self.spans: list[Span] = []
        for span in spans:
            self.add(span)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.spans, number, key=lambda span: span.first)
        return at > 0 and number < self.spans[at - 1].end

    def add(self, span: Span) -> None:
        """Note that the blocks of a span, none of which is known yet, are durable."""
        at = bisect_right(self.spans, span.first, key=lambda each: each.first)
        if at < len(self.spans) and self.spans[at].first == span.end:
            after = self.spans.pop(at)
            span = Span(span.first, after.end, after.state)
        if at > 0 and self.spans[at - 1].end == span.first:
            at -= 1
            span = Span(self.spans.pop(at).first, span.end, span.state)
        self.spans.insert(at, span)


@dataclass(slots=True)
class _Held:
    """A block that is not done."""

    block: Block
    made_s: float
    sent_s: float


class Ledger:
    """Blocks 0 .. ``n_blocks`` - 1 of a run, each unmade, held (in flight) or done."""

    def __init__(self, n_blocks: int, *, window: int, lease_s: float):
        self.n_blocks = n_blocks
        self._window, self._lease_s = window, lease_s
        self._held: dict[int, _Held] = {}
        self._states: dict[int, State] = {}  # of done blocks whose successor is not done
        self._done: set[int] = set()  # those above the lowest that is not
        self._low = 0  # the lowest block that is not done
        self._next = 0  # the lowest block that was never made, nor done before
        self._progress_s = 0.0

    @property
    def finished(self) -> bool:
        """Return whether every block is done."""
        return self._low >= self.n_blocks

    @property
    def n_done(self) -> int:
        """Return how many blocks are done."""
        return self._low + len(self._done)

    @property
    def n_held(self) -> int:
        """Return how many blocks are in flight."""
        return len(self._held)

    def oldest_s(self, now_s: float) -> float:
        """Return the age of the oldest block in flight [s], 0 without one."""
        return max((now_s - held.made_s for held in self._held.values()), default=0.0)

    def stop(self, blocks_per_part: int) -> None:
        """Let the run end with the part that the last block made belongs to."""
        self.n_blocks = min(self.n_blocks, -(-self._next // blocks_per_part) * blocks_per_part)

    def next_number(self) -> int | None:
        """Return the block to be made next, None if the window is full or there is none."""
        return self._next if self._next < min(self.n_blocks, self._low + self._window) else None

    def hold(self, block: Block, now_s: float) -> None:
        """Own a new block."""
        self._held[block.number] = _Held(block, made_s=now_s, sent_s=now_s)
        self._next = block.number + 1
        self._pass_done()

    def durable(self, spans: Iterable[Span], now_s: float) -> list[tuple[Block, float]]:
        """Note all that is durable now; return the blocks that were held, in rising order, with their age [s].

        What is known already changes nothing: the spool says all that it has, again and again.
        """
        low = self._low
        for first, end, state in spans:
            if end <= low:
                continue
            if first <= self._low:
                self._low = max(self._low, end)
            else:
                self._done.update(range(first, end))
            if state is not None:
                self._states[end - 1] = state
        while self._low in self._done:
            self._low += 1
        self._done = {number for number in self._done if number >= self._low}
        self._states = {number: state for number, state in self._states.items() if number >= self._low - 1}
        self._pass_done()
        freed = sorted(number for number in self._held if number < self._low or number in self._done)
        if freed:
            self._progress_s = now_s
        return [(held.block, now_s - held.made_s) for held in map(self._held.pop, freed)]

    def _pass_done(self) -> None:
        self._next = max(self._next, self._low)
        while self._next in self._done:
            self._next += 1

    def note_sent(self, numbers: Iterable[int], now_s: float) -> None:
        """Start the leases of blocks that have left."""
        for number in numbers:
            if number in self._held:
                self._held[number].sent_s = now_s

    def again(self, number: int | None, now_s: float) -> list[Block]:
        """Return the block, or (None) all blocks in flight in rising order, to be sent once more."""
        numbers = sorted(self._held) if number is None else [number] if number in self._held else []
        for n in numbers:
            held = self._held[n]
            held.block, held.sent_s = replace(held.block, attempt=held.block.attempt + 1), now_s
        return [self._held[n].block for n in numbers]

    def overdue(self, now_s: float) -> list[int]:
        """Return the blocks whose lease has run out.

        A lease runs while nothing becomes durable: a chain that is only slow makes progress. It doubles with each
        attempt, so that a slow chain is not buried under copies.
        """
        return sorted(
            number
            for number, held in self._held.items()
            if now_s - max(held.sent_s, self._progress_s) > self._lease_s * 2 ** min(held.block.attempt, 10)
        )

    def with_state(self, block: Block) -> Block:
        """Return the block with the L1 state before it, if its predecessor is done; to be asked when it is sent."""
        state = self._states.get(block.number - 1)
        return block if state is None else replace(block, notes={**block.notes, STATE: state})
