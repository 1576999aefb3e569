"""The source forgets nothing that is not durable, and never runs further ahead than its window."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from daq.event import EventBatch
from daq.stream.ledger import STATE, Durables, Ledger, Span
from daq.stream.wire.codec import Block

PART, WINDOW, LEASE_S = 4, 10, 5.0


def block(number: int) -> Block:
    """Return an empty block of a number."""
    return Block(number, number, 1, EventBatch(0, {}))


def make_all(ledger: Ledger, now_s: float = 0.0) -> list[int]:
    """Make blocks until the window is full; return their numbers."""
    made = []
    while (number := ledger.next_number()) is not None:
        ledger.hold(block(number), now_s)
        made.append(number)
    return made


class LedgerMachine(RuleBasedStateMachine):
    """Any order of making blocks, parts becoming durable (also twice, also unasked), and resending."""

    def __init__(self) -> None:
        super().__init__()
        self.n_blocks = 30
        self.ledger = Ledger(self.n_blocks, window=WINDOW, lease_s=LEASE_S)
        self.made: set[int] = set()
        self.done: set[int] = set()
        self.spool = Durables()

    @rule()
    def make(self) -> None:
        number = self.ledger.next_number()
        if number is not None:
            assert number not in self.made | self.done
            self.ledger.hold(block(number), 0.0)
            self.made.add(number)

    @rule(part=st.integers(0, 7))
    def durable(self, part: int) -> None:
        numbers = range(part * PART, min(part * PART + PART, self.n_blocks))
        if numbers.start not in self.spool:
            self.spool.add(Span(numbers.start, numbers.stop, [numbers[-1]]))
        freed = self.ledger.durable(self.spool.spans, 0.0)
        assert [b.number for b, _ in freed] == sorted(self.made & set(numbers) - self.done)
        self.done |= set(numbers)

    @rule()
    def resend(self) -> None:
        assert [b.number for b in self.ledger.again(None, 0.0)] == sorted(self.made - self.done)

    @invariant()
    def bounded_and_exact(self) -> None:
        held = self.made - self.done
        lowest = next(n for n in range(self.n_blocks + 1) if n not in self.done)
        assert self.ledger.n_held == len(held)
        assert all(n < lowest + WINDOW for n in held)
        assert self.ledger.n_done == len(self.done)
        assert self.ledger.finished == (len(self.done) == self.n_blocks)

    @invariant()
    def state_is_known_after_a_durable_part(self) -> None:
        for number in self.made - self.done:
            sent = self.ledger.with_state(block(number))
            assert sent.notes.get(STATE) == ([number - 1] if number - 1 in self.done else None)

    @invariant()
    def spans_are_few_and_exact(self) -> None:
        assert {n for first, end, _ in self.spool.spans for n in range(first, end)} == self.done
        assert all(one.end < other.first for one, other in pairwise(self.spool.spans))
        assert [n in self.spool for n in range(self.n_blocks)] == [n in self.done for n in range(self.n_blocks)]


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=40, stateful_step_count=40)


def test_what_was_done_before_is_not_made_again():
    """After a restart with holes in the manifest only the holes are filled."""
    ledger = Ledger(14, window=20, lease_s=LEASE_S)
    ledger.durable([Span(0, 4, None), Span(8, 12, None)], 0.0)
    assert make_all(ledger) == [4, 5, 6, 7, 12, 13]


def test_lease_runs_only_while_nothing_becomes_durable():
    """A slow chain that makes progress is left alone; a block that does not get through is sent again, ever slower."""
    ledger = Ledger(8, window=8, lease_s=LEASE_S)
    make_all(ledger)
    assert ledger.overdue(LEASE_S) == []
    assert ledger.overdue(LEASE_S + 0.1) == list(range(8))
    ledger.durable([Span(0, 4, None)], 4.0)
    assert ledger.overdue(LEASE_S + 0.1) == []
    assert ledger.overdue(4.0 + LEASE_S + 0.1) == [4, 5, 6, 7]
    ledger.again(5, 10.0)
    assert ledger.overdue(10.0 + LEASE_S + 0.1) == [4, 6, 7]
    assert ledger.overdue(10.0 + 2 * LEASE_S + 0.1) == [4, 5, 6, 7]


def test_each_sending_is_numbered():
    """The attempt that travels with a block says how often it was sent before."""
    ledger = Ledger(1, window=1, lease_s=LEASE_S)
    make_all(ledger)
    assert [ledger.again(None, 0.0)[0].attempt for _ in range(3)] == [1, 2, 3]
    assert ledger.again(5, 0.0) == []


@given(st.integers(0, 9))
def test_stop_completes_the_part(made: int):
    """A stopped run ends at the end of the part at hand, so the parts of a resumed run have their usual size."""
    ledger = Ledger(11, window=11, lease_s=LEASE_S)
    for number in range(made):
        ledger.hold(block(number), 0.0)
    ledger.stop(PART)
    make_all(ledger)
    assert ledger.n_held == min(-(-made // PART) * PART, 11)
    ledger.stop(PART)
    assert ledger.next_number() is None
