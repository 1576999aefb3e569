"""What is decided otherwise than it was: line by line, with the numbers of the first few events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from commands.rates.text import table_of
from daq.event import Array, Outcome
from daq.run_directory import EVENTS, TRIGGER_WORDS, RunFile
from daq.source.recorded import UNKNOWN, RecordedSource
from daq.spool import BlockRecord, part_path, read_manifest

Record = dict[str, Any]
FIRST = 5
"""So many event numbers stand beside a count."""


class Tally:
    """Counts of the lines of two menus on the same events; a line of one menu alone is silent in the other."""

    def __init__(self, before: Sequence[str], now: Sequence[str]):
        self._lines = tuple(dict.fromkeys((*before, *now)))
        self._place = [np.array([self._lines.index(name) for name in names], dtype=np.int64) for names in (before, now)]
        self._has = [set(before), set(now)]
        self._counts = np.zeros((4, len(self._lines)), dtype=np.int64)
        self._events: list[list[list[int]]] = [[[] for _ in self._lines] for _ in range(2)]

    def add(self, event: Array, before: Array, now: Array) -> None:
        """Count (N,) events with the bits (N, lines) of each menu."""
        wide = [np.zeros((event.size, len(self._lines)), dtype=np.bool_) for _ in range(2)]
        for all_of_it, place, bits in zip(wide, self._place, (before, now), strict=True):
            all_of_it[:, place] = bits
        was, is_now = wide
        changed = is_now & ~was, was & ~is_now
        for row, flags in enumerate((was, is_now, *changed)):
            self._counts[row] += flags.sum(axis=0)
        for which, flags in enumerate(changed):
            for line in np.flatnonzero(flags.any(axis=0)):
                found = self._events[which][line]
                found += event[flags[:, line]][: FIRST - len(found)].tolist()

    def rows(self, level: str, stage: str) -> list[Record]:
        """Return a row for each line."""
        rows = []
        for i, line in enumerate(self._lines):
            before, now, gained, lost = self._counts[:, i].tolist()
            rows.append(
                {
                    "level": level,
                    "stage": stage,
                    "line": line,
                    "before": before if line in self._has[0] else None,
                    "now": now if line in self._has[1] else None,
                    "gained": gained,
                    "lost": lost,
                    "first_gained": self._events[0][i],
                    "first_lost": self._events[1][i],
                }
            )
        return rows


class _Outcomes:
    """What became of events, before and now."""

    def __init__(self) -> None:
        self._pairs = np.zeros((UNKNOWN + 1, UNKNOWN + 1), dtype=np.int64)
        self._first: dict[tuple[int, int], list[int]] = {}

    def add(self, event: Array, before: Array, now: Array) -> None:
        np.add.at(self._pairs, (before, now), 1)
        for pair in {(int(b), int(n)) for b, n in zip(*np.unique(np.stack([before, now]), axis=1), strict=True)}:
            found = self._first.setdefault(pair, [])
            found += event[(before == pair[0]) & (now == pair[1])][: FIRST - len(found)].tolist()

    def kept(self) -> Record:
        """Return how many events were and are kept."""
        kept = int(Outcome.KEPT)
        known = [pair for pair in self._first if pair[0] != UNKNOWN]
        gained = [pair for pair in known if pair[0] != kept == pair[1]]
        lost = [pair for pair in known if pair[0] == kept != pair[1]]
        return {
            "before": int(self._pairs[kept].sum()),
            "now": int(self._pairs[:, kept].sum()),
            "gained": sum(int(self._pairs[pair]) for pair in gained),
            "lost": sum(int(self._pairs[pair]) for pair in lost),
            "first_gained": sorted(number for pair in gained for number in self._first[pair])[:FIRST],
            "first_lost": sorted(number for pair in lost for number in self._first[pair])[:FIRST],
        }

    def changes(self) -> list[Record]:
        """Return every change of outcome, with its count."""
        return [
            {"before": _name(b), "now": _name(n), "events": int(self._pairs[b, n]), "first": self._first[b, n]}
            for b, n in sorted(self._first)
            if b != n
        ]


def _name(outcome: int) -> str:
    return "unknown" if outcome == UNKNOWN else Outcome(outcome).name.lower()


def differences(
    source: RecordedSource,
    directory: Path,
    run: RunFile,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Record:
    """Compare a replay of recorded events with what was recorded, event by event and line by line.

    L1 lines are compared on the events that were decided again; lines of the HLT on those kept before, its raw bits on
    those kept before and now, as the spool holds no others. A cut names no lines of the HLT.
    """
    comparison = _Comparison(source, run)
    records = read_manifest(directory)
    n_parts = len({record.part for record in records})
    for done, (part, members) in enumerate(groupby(records, key=lambda record: record.part), start=1):
        words = pl.read_parquet(part_path(directory, TRIGGER_WORDS, part))
        path = part_path(directory, EVENTS, part)
        spooled = pl.read_parquet(path) if path.exists() else None
        place = 0
        for record in members:
            comparison.add(record, words.slice(place, record.n_events), spooled)
            place += record.n_events
        progress(done, n_parts)
    return comparison.record()


class _Comparison:
    """What is compared of a run, block by block."""

    def __init__(self, source: RecordedSource, run: RunFile):
        runs = source.origin.run, run
        self._source = source
        self._l1_names = [list(each.about["l1"]["lines"]) for each in runs]
        self._hlt_names = [list(each.about["hlt"]["lines"]) for each in runs]
        self._l1 = {stage: Tally(*self._l1_names) for stage in ("raw", "prescaled")}
        self._hlt = {stage: Tally(*self._hlt_names) for stage in ("raw", "prescaled")}
        self._has_hlt = source.origin.kind == "run"
        self._outcomes = _Outcomes()
        self._events = self._again = self._known = self._words_changed = self._unseen = 0
        self._first_unseen: list[int] = []

    def add(self, record: BlockRecord, words: pl.DataFrame, spooled: pl.DataFrame | None) -> None:
        """Compare a block: its trigger words now, and the events of its part that are kept now."""
        rows = self._source.records.rows(record.first_event, record.n_events)
        event, outcome = words["event"].to_numpy(), words["outcome"].to_numpy()
        raw, prescaled = (_packed(words, label, len(self._l1_names[1])) for label in ("l1_raw_word", "l1_word"))
        is_known = rows.outcome != UNKNOWN
        again = (rows.events["event"] - np.uint64(record.first_event)).astype(np.int64)
        self._events += event.size
        self._known += int(is_known.sum())
        self._again += again.size
        self._outcomes.add(event, rows.outcome, outcome)
        rejected = (rows.outcome == Outcome.L1_REJECTED) & (outcome == Outcome.L1_REJECTED)
        unseen = event[rejected & (np.bitwise_or.reduce(prescaled, axis=1) != 0)]
        self._unseen += unseen.size
        self._first_unseen += unseen[: FIRST - len(self._first_unseen)].tolist()
        if self._l1_names[0] == self._l1_names[1]:
            changed = (rows.raw != raw) | (rows.prescaled != prescaled)
            self._words_changed += int((changed.any(axis=1) & is_known).sum())
        both = again[is_known[again]]
        before, now = self._l1_names
        for tally, was, is_now in zip(self._l1.values(), (rows.raw, rows.prescaled), (raw, prescaled), strict=True):
            tally.add(event[both], bits(was[both], len(before)), bits(is_now[both], len(now)))
        if self._has_hlt and again.size:
            self._add_hlt(rows.events["event"], spooled)

    def _add_hlt(self, event: Array, spooled: pl.DataFrame | None) -> None:
        before = self._source.records.spooled(int(event[0]), int(event[-1]) + 1)
        place, now = np.zeros(0, dtype=np.int64), None
        if spooled is not None:
            now = spooled.filter(pl.col("event").is_between(event[0], event[-1]))
            place = np.searchsorted(event, now["event"].to_numpy())
        for stage, prefix in (("raw", "hlt_raw_"), ("prescaled", "hlt_")):
            was, is_now = (np.zeros((event.size, len(names)), dtype=np.bool_) for names in self._hlt_names)
            was[:] = before.select([f"{prefix}{name}" for name in self._hlt_names[0]]).to_numpy()
            if now is not None:
                is_now[place] = now.select([f"{prefix}{name}" for name in self._hlt_names[1]]).to_numpy()
            chosen = place if stage == "raw" else np.arange(event.size)
            self._hlt[stage].add(event[chosen], was[chosen], is_now[chosen])

    def record(self) -> Record:
        """Return the result as plain types."""
        lines = [row for stage, tally in self._l1.items() for row in tally.rows("l1", stage)]
        if self._has_hlt:
            lines += [row for stage, tally in self._hlt.items() for row in tally.rows("hlt", stage)]
        changes = self._outcomes.changes()
        has_same_lines = all(set(names[0]) == set(names[1]) for names in (self._l1_names, self._hlt_names))
        is_changed = (
            self._unseen
            or self._words_changed
            or any(change["before"] != "unknown" for change in changes)
            or any(row["gained"] or row["lost"] for row in lines)
        )
        return {
            "of": self._source.origin.path,
            "events": self._events,
            "recorded": self._known,
            "decided_again": self._again,
            "no_difference": has_same_lines and not is_changed,
            "which": "kept",
            "kept": self._outcomes.kept(),
            "outcomes": changes,
            "l1_words_changed": self._words_changed if self._l1_names[0] == self._l1_names[1] else None,
            "l1_would_accept": {"events": self._unseen, "first": self._first_unseen},
            "lines": lines,
        }


def _packed(words: pl.DataFrame, label: str, n_lines: int) -> Array:
    return words.select([f"{label}_{i}" for i in range(-(-n_lines // 64))]).to_numpy().astype(np.uint64)


def bits(words: Array, n_lines: int) -> Array:
    """Return the first bits of (N, W) words as (N, lines) bool."""
    line = np.arange(n_lines)
    flags: Array = words[:, line // 64] >> (line % 64).astype(np.uint64) & np.uint64(1) != 0
    return flags


# ---- for people


def text(record: Record) -> str:
    """Return the differences as a table; lines without one are left out."""
    head = f"differences to {record['of']}, {record['events']:,} events, {record['decided_again']:,} decided again"
    if not record["recorded"]:
        return f"{head}: nothing is recorded of them to compare with"
    if record["no_difference"]:
        return f"{head}: no difference"
    kept = record["kept"]
    changed = [row for row in record["lines"] if (row["gained"] or row["lost"]) and _is_told(row)]
    rows = [
        [
            f"{row['level'].upper()} {row['line']}{' (raw)' if row['stage'] == 'raw' else ''}",
            *("no line" if row[name] is None else f"{row[name]:,}" for name in ("before", "now")),
            f"{row['gained']:,}",
            f"{row['lost']:,}",
            _first(row),
        ]
        for row in changed
    ]
    total = [
        f"events {record['which']}",
        *(f"{kept[name]:,}" for name in ("before", "now", "gained", "lost")),
        _first(kept),
    ]
    said = [table_of(head, ["line", "before", "now", "gained", "lost", "first events"], rows, total)]
    said += [f"{each['before']} before, {each['now']} now: {each['events']:,} events" for each in record["outcomes"]]
    if unseen := record["l1_would_accept"]["events"]:
        said.append(
            f"the L1 would accept {unseen:,} more events, but they were not kept: nothing more is known of them"
        )
    return "\n".join(said)


def _is_told(row: Record) -> bool:
    """Tell whether a line has a place in the table: one of one menu alone has it once, after its prescale."""
    return row["stage"] == "prescaled" or None not in (row["before"], row["now"])


def _first(row: Record) -> str:
    """Return the numbers of the first events, gained ones with a plus."""
    said = [f"+{number}" for number in row["first_gained"]] + [f"-{number}" for number in row["first_lost"]]
    return " ".join(said[:FIRST])
