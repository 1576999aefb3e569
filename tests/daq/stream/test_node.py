"""An ordered stage sees the blocks in order with the right state, however they come."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from daq.event import EventBatch
from daq.stream.ledger import STATE
from daq.stream.loops import InOrder
from daq.stream.wire.codec import Block

SPAN = 12


def block(number: int, state: list[int] | None = None) -> Block:
    """Return a block that may know the state before it."""
    return Block(number, number, 1, EventBatch(0, {}), notes={} if state is None else {STATE: state})


def digits(block: Block, before: list[int] | None) -> tuple[Block, list[int]]:
    """Return as state the numbers of all blocks so far."""
    return block, [*(before or []), block.number]


@given(st.permutations(range(SPAN)))
def test_any_order_of_arrival(order: list[int]):
    """Blocks leave in rising order, each with the state of all before it, and none is left behind."""
    stage = InOrder(digits, span=SPAN)
    out = [result for number in order for result in stage(block(number))]
    assert [result.number for result in out] == list(range(SPAN))
    assert all(result.notes["l1_state"] == list(range(result.number + 1)) for result in out)


@given(st.lists(st.integers(0, SPAN - 1), min_size=1), st.permutations(range(SPAN)))
def test_copies_give_the_same_result(copies: list[int], order: list[int]):
    """A block that comes again is processed again with the same state."""
    stage = InOrder(digits, span=SPAN)
    for number in order:
        stage(block(number))
    for number in copies:
        (result, *_) = stage(block(number))
        assert result.notes["l1_state"] == list(range(number + 1))


@given(st.permutations(range(5, 12)))
def test_a_new_stage_goes_on_with_the_state_that_came_along(order: list[int]):
    """The first block not done brings the state before it; the note is not passed on."""
    stage = InOrder(digits, span=SPAN)
    known = {5: [0, 1, 2, 3, 4]}
    out = [result for number in order for result in stage(block(number, known.get(number)))]
    assert [result.number for result in out] == list(range(5, 12))
    assert all(result.notes == {"l1_state": list(range(result.number + 1))} for result in out)


def test_memory_is_bounded():
    """States and waiting copies far behind the newest block are forgotten."""
    stage = InOrder(lambda b, before: (b, [b.number]), span=SPAN)
    for number in range(10 * SPAN):
        stage(replace(block(number), notes={"other": 1}))
        stage(block(max(0, number - 5 * SPAN)))
    assert len(stage._states) <= SPAN + 2
    assert len(stage._waiting) <= SPAN + 2
