"""Replay of trigger words: prescale and mask of the L1 once more, from the raw lines of every event of a run.

Nothing else can be had of words: the events that the run rejected are gone, so the HLT cannot be asked about them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chain import Chain
from commands.rates.record import count, record
from commands.rates.sources import Chunk, Counted, MenuInUse, luminosity_of
from commands.rates.text import tables
from commands.replay.differences import Tally, bits
from commands.replay.differences import text as differences_text
from commands.replay.events import Ranges
from commands.replay.plan import check_there
from commands.replay.stage import Inherited
from daq.errors import InputError
from daq.event import Outcome
from daq.settings import RunSettings
from daq.source.recorded import RecordedSource, Rows
from monitors.terminal import Progress
from triggers.bits import planes_of, words_of
from triggers.lines import Decisions, MenuLines

Record = dict[str, Any]
_NOTE = (
    "Decided again from words alone: prescale and mask of the L1. The HLT cannot be asked about events that were not "
    "kept; for those that were: --level events."
)


def replay_words(source: RecordedSource, settings: RunSettings, ranges: Ranges = ()) -> Record:
    """Return ``differences`` of the L1 lines on all events, and the ``rates`` of both sets of prescales.

    Raises
    ------
    InputError
        If the lines are not those of the run, line by line: words say nothing of others.
    """
    chain, run = Chain.of(settings), source.origin.run
    menu = chain.l1
    inherited = Inherited.of(run, settings, menu)
    if not inherited.is_all or len(menu.lines) != inherited.n_before:
        rule = f"trigger words hold the lines of {run.about['l1']['name']} alone: only column and seed may be others"
        raise InputError(rule, key="[l1] menu", value=menu.name)
    check_there(ranges, source.ranges)
    lines = MenuLines(menu, seed=settings.seed, column=chain.l1_column)
    before: dict[str, int] = run.about["l1"]["lines"]
    tally = Tally(list(before), menu.line_names)
    accepts = Tally(["accepted"], ["accepted"])
    chosen = tuple(ranges or source.ranges)
    spans = [source.interval_ns(begin, end - begin) for begin, end in chosen]
    seconds = sum(end - begin for begin, end in spans) * 1e-9
    delivered = [source.delivered_fb(begin, end) for begin, end in spans]
    known = [value for value in delivered if value is not None]

    def chunks() -> Iterator[Chunk]:
        counters = np.zeros(len(menu.lines), dtype=np.int64)
        for rows in _chosen(source, chosen):
            number = np.arange(rows.first, rows.first + rows.outcome.size, dtype=np.uint64)
            raw = inherited.raw_planes(rows.raw, len(menu.lines))
            now = lines.prescaled(raw, np.full(number.size, source.origin.clock.run, np.uint32), number, counters)
            then = planes_of(rows.prescaled, len(before))
            words = words_of(now, number.size)
            tally.add(number, bits(rows.prescaled, len(before)), bits(words, len(menu.lines)))
            is_kept = np.isin(rows.outcome, (Outcome.KEPT, Outcome.HLT_REJECTED))
            was, is_now = (np.bitwise_or.reduce(each, axis=1) != 0 for each in (rows.prescaled, words))
            accepts.add(number, was[:, None], is_now[:, None])
            yield Chunk(
                process=rows.process,
                weight=rows.weight.astype(np.float64),
                decisions=(Decisions(planes_of(rows.raw, len(before)), then), Decisions(raw, now)),
                forced=int((is_kept & ~rows.prescaled.any(axis=1)).sum()),
            )

    counted = Counted(
        title=f"trigger words of run {source.origin.path}",
        n_events=sum(end - begin for begin, end in chosen),
        chunks=chunks(),
        menus=(
            MenuInUse(run.about["l1"]["name"], run.about["l1"].get("column"), tuple(before), tuple(before.values())),
            MenuInUse(menu.name, lines.column, menu.line_names, tuple(lines.prescales)),
        ),
        process_names=source.process_names,
        seconds=seconds,
        luminosity_cm2_s=luminosity_of(sum(known), seconds) if len(known) == len(delivered) else None,
        notes=(_NOTE,),
    )
    with Progress("replay") as progress:
        counts = count(counted, progress)
    rows, (accepted,) = tally.rows("l1", "prescaled"), accepts.rows("l1", "prescaled")
    return {
        "level": "trigger_words",
        "notes": [_NOTE],
        "differences": {
            "of": source.origin.path,
            "events": counted.n_events,
            "recorded": counted.n_events,
            "decided_again": counted.n_events,
            "no_difference": not any(row["gained"] or row["lost"] for row in rows),
            "which": "accepted",
            "kept": {name: value for name, value in accepted.items() if name not in ("level", "stage", "line")},
            "outcomes": [],
            "l1_would_accept": {"events": 0, "first": []},
            "lines": rows,
        },
        "rates": record(counted, counts),
    }


def _chosen(source: RecordedSource, chosen: Ranges) -> Iterator[Rows]:
    """Yield what is recorded of the chosen events, one item a stretch of a part."""
    for part in source.records.parts:
        for rows in source.records.part(part):
            for begin, end in chosen:
                low, high = max(begin, rows.first), min(end, rows.first + rows.outcome.size)
                if low < high:
                    cut = slice(low - rows.first, high - rows.first)
                    yield Rows(low, rows.events, *(column[cut] for column in rows[2:]))


def text(result: Record) -> str:
    """Return rates and differences as tables."""
    return f"{tables(result['rates'])}\n\n{differences_text(result['differences'])}"
