"""What a block of a run must be, beyond being whole: the range of events that its number says, and notes of known form.

A checksum tells damage, not a peer that means something else. So every receiver holds a block against the run: what
run.json says, and who is supposed to have sent it. What the events *are* cannot be checked here; that they come from
one of ours is what keys are for (`daq.stream.curve`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np
import xxhash

from daq.event import Outcome
from daq.latency import EDGES_US, LatencyNote
from daq.run_directory import RunFile
from daq.stream.ledger import Span
from daq.stream.wire.codec import Block

_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Moment = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
"""Nanoseconds of three days, or any number of events: sums over all blocks of a run still fit into 64 bits."""
_MOST_SECTIONS = 10_000_000  # that a block may span: whoever sums over sections must come to an end


LOST = "lost"
"""Note of a block whose collisions nobody could take: it has no events, and all of its time is dead."""


class _Notes(TypedDict):
    """The notes that stages, spool and summary read; others travel along unread."""

    begin_ns: _Moment
    end_ns: _Moment
    state: NotRequired[list[_Whole]]
    l1_state: NotRequired[list[_Whole] | None]
    sections: NotRequired[dict[str, list[_Count]]]
    hlt: NotRequired[dict[str, list[_Count]]]
    lost: NotRequired[bool]


class Contract:
    """Holds the blocks that a role sends against the run; one for each receiver, since the first block sets the form.

    ``Contract(run, sender="l1")(block)`` raises `ValueError`, naming the field, for a block that cannot be one of the
    run's.
    """

    def __init__(self, run: RunFile, *, sender: str):
        self._run, self._sender = run, sender
        self._section_ns = round(run.settings.beam.section_s * 1e9)
        self._n_lines = len(run.about.get("hlt", {}).get("line_budgets_us", ()))
        self._form: tuple[Any, ...] | None = None

    def __call__(self, block: Block) -> None:
        """Raise `ValueError` if the block is not what the role sends in this run."""
        self._check_range(block)
        self._check_notes(block)
        form = (
            *((name, table.dtype.str, table.shape[1:]) for name, table in block.tables.items()),
            len(block.notes.get("l1_state") or ()),
            *sorted(block.notes.get("sections", ())),
        )
        # A part is a table: its blocks must have the same columns, and so must all blocks of a run.
        if self._form is not None and form != self._form and self._sender != "source":
            raise ValueError("tables, state or sections have another form than those of the blocks before")
        self._form = form

    def _check_range(self, block: Block) -> None:
        if block.number >= self._run.n_blocks:
            raise ValueError(f"block is beyond the last one of the run, {self._run.n_blocks - 1}")
        first, count = self._run.block_range(block.number)
        if (block.first_event, block.n_events) != (first, count):
            raise ValueError(
                f"events: {block.n_events} from {block.first_event} on, the run has {count} from {first} on"
            )
        if (block.events["run"] != self._run.settings.run).any():
            raise ValueError("field run: not the number of the run in every event")
        event = block.events["event"]
        if self._sender == "source":
            if block.tables:
                raise ValueError(f"table {next(iter(block.tables))!r}: the source decides nothing")
            taken = 0 if block.notes.get(LOST) is True else count
            expected = np.arange(first, first + taken, dtype=np.uint64)
        else:
            outcome = block.tables.get("all.outcome")
            if outcome is None or outcome.dtype != np.uint8 or outcome.ndim != 1:
                raise ValueError("table 'all.outcome': must be there, one byte an event")
            if outcome.size and outcome.max() >= len(Outcome):
                raise ValueError(f"table 'all.outcome': {outcome.max()} is no outcome")
            expected = np.uint64(first) + np.flatnonzero(outcome == Outcome.KEPT).astype(np.uint64)
        if not np.array_equal(event, expected):
            raise ValueError("field event: not the events of the block that are alive, in order")

    def _check_notes(self, block: Block) -> None:
        try:
            notes = msgspec.convert(block.notes, _Notes)
        except msgspec.ValidationError as error:
            raise ValueError(f"notes: {error}") from None
        begin_ns, end_ns = notes["begin_ns"], notes["end_ns"]
        if not begin_ns <= end_ns <= begin_ns + _MOST_SECTIONS * self._section_ns:
            raise ValueError(f"notes: time from {begin_ns} to {end_ns} ns cannot be that of a block")
        if self._sender == "source":
            return
        sections = notes.get("sections", {})
        lengths = {len(column) for column in sections.values()}
        if sections and ("section" not in sections or len(lengths) != 1):
            raise ValueError("notes: sections: must be columns of one length, one of them 'section'")
        if hlt := notes.get("hlt"):
            _check_latency(hlt, self._n_lines)


def run_key(run: RunFile) -> int:
    """Return what tells the messages of a run from those of another: a digest of all that its events depend on.

    So hosts whose configurations differ do not talk to each other. It is no secret: it tells runs apart, not friend
    from foe.
    """
    stream = run.settings.stream
    settings = run.settings.model_dump_json(exclude={"name": True, "workers": True, "stream": True})
    cut = f"{run.n_events} {stream.block_events} {stream.blocks_per_part} {run.menu_hash}"
    return xxhash.xxh3_64_intdigest(f"{cut} {settings}".encode())


def check_durable(run: RunFile, spans: Sequence[Span]) -> None:
    """Raise `ValueError` unless these can be the durable blocks of a run: whole parts, in rising order."""
    before = 0
    for first, end, _ in spans:
        if not before <= first < end <= run.n_blocks:
            raise ValueError(f"durable blocks {first} to {end}: not in the run of {run.n_blocks}, or not in order")
        if run.part_blocks(first).start != first or run.part_blocks(end - 1).stop != end:
            raise ValueError(f"durable blocks {first} to {end}: not whole parts")
        before = end


def _check_latency(note: dict[str, list[int]], n_lines: int) -> None:
    """Raise `ValueError` unless the books of the latency can be made from the note."""
    lengths: dict[str, int | None] = {"over_budget": 1, "over_cap": 1, "decided": 2, "block_bins": None}
    if "line_ns" in note:
        lengths |= {"event_bins": None, "line_ns": n_lines, "line_max_ns": n_lines, "line_over": n_lines}
    for key, length in lengths.items():
        if key not in note or (length is not None and len(note[key]) != length):
            raise ValueError(f"notes: hlt: {key}: must be {length or 'a list of'} numbers")
    for what in ("block", "event"):
        bins, counts = note.get(f"{what}_bins", []), note.get(f"{what}_counts", [])
        if len(bins) != len(counts) or max(bins, default=0) > EDGES_US.size:
            raise ValueError(f"notes: hlt: {what}_bins and {what}_counts: not a histogram of ours")
    if unknown := note.keys() - LatencyNote.__annotations__.keys():
        raise ValueError(f"notes: hlt: {min(unknown)}: unknown")
