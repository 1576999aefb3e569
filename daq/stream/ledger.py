"""Who owns what: the source's account of blocks made, in flight and done. Pure: no clock, no socket, no file.

The source owns a block until the spool has said that it is durable. Blocks are made in rising order and never further
than ``window`` ahead of the lowest one that is not done; this one bound holds for every queue and every memory of the
stream.

A block whose predecessor is done carries the L1 state after that predecessor (``notes["state"]``), so an L1 that has
just started can go on from any block. The spool makes whole parts durable, so only the state after the last block of a
part is ever needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from daq.stream.codec import Block

State = list[int]
STATE = "state"
"""Note of a block: the L1 state before it, where the sender knows it."""


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
        self.n_done = 0
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
    def n_held(self) -> int:
        """Return how many blocks are in flight."""
        return len(self._held)

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

    def done(self, first: int, n_blocks: int, state: State | None, now_s: float) -> list[tuple[Block, float]]:
        """Note that consecutive blocks are durable; return those that were held, with their age [s]."""
        numbers = range(first, first + n_blocks)
        if first < self._low or not self._done.isdisjoint(numbers):
            return []  # said before: parts are durable as a whole
        self._progress_s = now_s
        self.n_done += n_blocks
        self._done.update(numbers)
        if state is not None:
            self._states[numbers[-1]] = state
        while self._low in self._done:
            self._done.remove(self._low)
            self._states.pop(self._low - 1, None)
            self._low += 1
        self._pass_done()
        freed = [self._held.pop(number) for number in numbers if number in self._held]
        return [(held.block, now_s - held.made_s) for held in freed]

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
