"""The books of a run: what became of every event, of every second, and whether it adds up.

The counts come from the manifest and are checked against what lies on disk, part by part: each file has the digest it
was written with, the trigger words name every event of the part once, their outcomes add up to the counts, and the
spooled events are those that the words call kept.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xxhash

from daq import latency
from daq.clock import Injections
from daq.event import Outcome
from daq.run_directory import EVENTS, SECTIONS, SUMMARY, TRIGGER_WORDS, RunFile, write_durably, write_json
from daq.spool import OUTCOME_COUNTS, BlockRecord, part_path, read_manifest

_DEAD = "dead_ns_"
_MEASURES = ("begin_s", "end_s", "luminosity_cm2_s", "delivered_fb", "live_fb")
DeliveredFb = Callable[[int, int], float | None]
"""(begin_ns, end_ns) -> luminosity that the collider delivered in that time [fb-1], None if unknown."""


def finalise(
    directory: Path,
    run: RunFile,
    *,
    delivered_fb: DeliveredFb,
    stopped_early: bool = False,
    failure: str | None = None,
    **about: Any,
) -> dict[str, Any]:
    """Write sections.parquet and summary.json; return the summary.

    ``reconciles`` is true if generated = l1_rejected + l1_dead + hlt_rejected + spooled, on paper and on disk; if not,
    ``problems`` says where. ``state`` is DONE, or FAILED if it does not reconcile or the run ended by a ``failure``.
    ``about`` is added as it is.
    """
    records = read_manifest(directory)
    counts: Counter[str] = sum((Counter(record.counts) for record in records), Counter())
    generated = sum(record.n_events for record in records)
    problems = list(_problems(directory, records))
    if generated != counts.total():
        problems.append(f"{generated} events generated, {counts.total()} accounted for")
    if generated != run.n_events and not stopped_early and failure is None:
        problems.append(f"{generated} events generated, the run has {run.n_events}")
    sections = _sections(records, round(run.settings.beam.section_s * 1e9), delivered_fb)
    _write_table(sections, directory / SECTIONS)
    dead_s = {
        name.removeprefix("dead_s_"): sections[name].sum() for name in sections.columns if name.startswith("dead_s_")
    }
    notes = list(run.about.get("notes", []))
    if dead_s.get("injection") and not Injections.of(run.settings.beam.injection).is_on:
        notes.append(
            "Without a schedule of injections, dead time of their veto is estimated: the share of vetoed events."
        )
    summary = {
        "name": run.settings.name,
        "run": run.settings.run,
        "state": "FAILED" if problems or failure else "DONE",
        "generated": generated,
        "l1_rejected": counts["l1_rejected"],
        "l1_dead": {
            name.removeprefix("l1_dead_"): counts[name]
            for name in OUTCOME_COUNTS.values()
            if name.startswith("l1_dead_")
        },
        "hlt_rejected": counts["hlt_rejected"],
        "spooled": counts["spooled"],
        "reconciles": not problems,
        "problems": problems[:20],
        "failure": failure,
        "stopped_early": stopped_early and generated < run.n_events,
        "blocks": len(records),
        "parts": len({record.part for record in records}),
        "delivered_fb": _sum_or_none(sections["delivered_fb"]),
        "live_fb": _sum_or_none(sections["live_fb"]),
        "dead_s": {
            name.removeprefix("dead_s_"): sections[name].sum()
            for name in sections.columns
            if name.startswith("dead_s_")
        },
        "notes": run.about.get("notes", []),
        "hlt_latency": _hlt_latency(records, run),
        **about,
    }
    write_json(directory / SUMMARY, summary)
    return summary


def _hlt_latency(records: Sequence[BlockRecord], run: RunFile) -> dict[str, Any] | None:
    """Return what the HLT took and what it was allowed to take; None if nothing was measured."""
    notes = [record.hlt for record in records if record.hlt]
    menu = run.about.get("hlt", {})
    return {**menu.get("budget", {}), **latency.books(notes, menu.get("line_budgets_us", {}))} if notes else None


def _problems(directory: Path, records: list[BlockRecord]) -> Iterator[str]:
    """Yield what is on disk and should not be, or should be and is not."""
    for part, members in groupby(records, key=lambda record: record.part):
        blocks = list(members)
        words = _read(directory, TRIGGER_WORDS, part, blocks[0].words_xxh3, ["event", "outcome"])
        events = _read(directory, EVENTS, part, blocks[0].events_xxh3, ["event"])
        if words is None or events is None:
            yield f"part {part}: a file is missing or damaged"
            continue
        expected = np.concatenate(
            [np.arange(r.first_event, r.first_event + r.n_events, dtype=np.uint64) for r in blocks]
        )
        number, outcome = words["event"].to_numpy(), words["outcome"].to_numpy()
        if not np.array_equal(number, expected):
            yield f"part {part}: trigger words do not name each event once"
        if not np.array_equal(events["event"].to_numpy(), number[outcome == Outcome.KEPT]):
            yield f"part {part}: spooled events are not those that the trigger words keep"
        for which, name in OUTCOME_COUNTS.items():
            on_disk, on_paper = int((outcome == which).sum()), sum(record.counts.get(name, 0) for record in blocks)
            if on_disk != on_paper:
                yield f"part {part}: {on_disk} events {name} on disk, {on_paper} in the manifest"


def _read(directory: Path, folder: str, part: int, digest: str | None, columns: list[str]) -> pl.DataFrame | None:
    """Return columns of a file of a part, an empty table if it has none, None if it is missing or damaged."""
    if digest is None:
        return pl.DataFrame(schema={"event": pl.UInt64})
    path = part_path(directory, folder, part)
    content = path.read_bytes() if path.exists() else b""
    if xxhash.xxh3_64_hexdigest(content) != digest:
        return None
    return pl.read_parquet(io.BytesIO(content), columns=columns)


def _sections(records: Sequence[BlockRecord], section_ns: int, delivered_fb: DeliveredFb) -> pl.DataFrame:
    """Return one row for each luminosity section that a durable block touches.

    ``begin_s`` and ``end_s`` are those of the blocks in it, ``luminosity_cm2_s`` is the mean luminosity of this time.
    Live is delivered luminosity times the fraction of it which is not dead; ``dead_s_<cause>`` and the event counts are
    what L1 noted for the section. A moment of dead time is noted for one cause only, so the causes add up.
    """
    covered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for begin, end in _merged((record.begin_ns, record.end_ns) for record in records):
        for section in range(begin // section_ns, -(-end // section_ns)):
            covered[section].append((max(begin, section * section_ns), min(end, (section + 1) * section_ns)))
    noted: dict[int, Counter[str]] = defaultdict(Counter)
    for record in records:
        for i, section in enumerate(record.sections.get("section", [])):
            noted[section].update({name: column[i] for name, column in record.sections.items() if name != "section"})

    rows = []
    for section, spans in sorted(covered.items()):
        delivered = _sum_or_none([delivered_fb(begin, end) for begin, end in spans])
        total_ns = sum(end - begin for begin, end in spans)
        dead_ns = sum(value for name, value in noted[section].items() if name.startswith(_DEAD))
        row: dict[str, float | None] = {
            "section": section,
            "begin_s": spans[0][0] / 1e9,
            "end_s": spans[-1][1] / 1e9,
            "luminosity_cm2_s": None if delivered is None else delivered * 1e39 / (total_ns * 1e-9),
            "delivered_fb": delivered,
            "live_fb": None if delivered is None else delivered * max(0.0, 1.0 - dead_ns / total_ns),
        }
        for name, value in noted[section].items():
            cause = name.removeprefix(_DEAD)
            row[name if cause == name else f"dead_s_{cause}"] = value if cause == name else value / 1e9
        rows.append(row)
    fixed = {"section": pl.Int64} | dict.fromkeys(_MEASURES, pl.Float64)
    return pl.DataFrame(rows, schema_overrides=fixed, infer_schema_length=None) if rows else pl.DataFrame(schema=fixed)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans of time by begin, those that touch made one."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif end > begin:
            merged.append((begin, end))
    return merged


def _sum_or_none(values: Iterable[float | None]) -> float | None:
    """Return the sum, None if one of the values is not known."""
    known = list(values)
    return None if None in known else float(sum(value for value in known if value is not None))


def _write_table(table: pl.DataFrame, path: Path) -> None:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    write_durably(path, buffer.getvalue())
