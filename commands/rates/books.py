"""What a run decided, from its books: the trigger words of all events (L1), the kept events (HLT).

Nothing is decided again, so this is quick, and it is what the run did even if a menu has changed since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from commands.rates.sources import Chunk, Counted, MenuInUse, luminosity_of
from daq.errors import InputError
from daq.event import Array, Outcome
from daq.run_directory import SECTIONS, SUMMARY, RunFile
from daq.settings import read_json
from daq.spool import OUTCOME_COUNTS, BlockRecord, event_parts, read_manifest, trigger_word_parts
from triggers.bits import planes_of, planes_of_flags
from triggers.lines import Decisions

Level = Literal["l1", "hlt"]
_SPOOL_NOTES = (
    "The spool holds the events that the HLT kept, so raw counts are of these alone.",
    "What the L1 lost in its dead time is missing in these rates.",
)
_VETO_NOTE = (
    "The run had an injection veto: bits that it held at 0 are missing in these rates. With --menu the events are "
    "decided again, without it."
)


@dataclass(frozen=True, slots=True)
class Books:
    """The first blocks of a run directory."""

    directory: Path
    run: RunFile
    records: list[BlockRecord]
    is_whole: bool
    """These are all of its blocks."""

    @property
    def end(self) -> int:
        """Return the number of the first event that does not belong to them."""
        return self.records[-1].first_event + self.records[-1].n_events


def of_books(directory: Path, run: RunFile, n_events: int | None, level: Level) -> Counted:
    """Return the decisions of a run on its first ``n_events`` events, rounded up to whole blocks.

    Raises
    ------
    InputError
        If a file of the run is missing, damaged or does not go with the others.
    """
    records = read_manifest(directory)
    chosen = [record for record in records if n_events is None or record.first_event < n_events]
    if not chosen:
        raise InputError("there is no event to count", file=directory)
    books = Books(directory, run, chosen, len(chosen) == len(records))
    sections = read_table(directory / SECTIONS)
    span_s = float((sections["end_s"] - sections["begin_s"]).sum())
    delivered = sections["delivered_fb"]
    dead = {
        name.removeprefix("dead_s_"): float(sections[name].sum()) / span_s
        for name in sections.columns
        if name.startswith("dead_s_")
    }
    lines: dict[str, int] = run.about[level]["lines"]
    return Counted(
        title=f"run {directory}" if level == "l1" else f"spool of run {directory}",
        n_events=sum(record.n_events for record in chosen),
        chunks=_trigger_words(books, len(lines)) if level == "l1" else _kept_events(books, list(lines)),
        menus=(
            MenuInUse(run.about[level]["name"], run.about[level].get("column"), tuple(lines), tuple(lines.values())),
        ),
        process_names=tuple(run.about["process_names"]),
        seconds=sum(map(_looked_at_ns, chosen)) * 1e-9,
        luminosity_cm2_s=None if delivered.null_count() else luminosity_of(float(delivered.sum()), span_s),
        run={"live_fraction": 1.0 - sum(dead.values()), "dead_fraction": dead},
        notes=_SPOOL_NOTES if level == "hlt" else (_VETO_NOTE,) if dead.get("injection") else (),
    )


def _looked_at_ns(record: BlockRecord) -> int:
    """Return the time of a block in which collisions were looked at [ns]."""
    return record.end_ns - record.begin_ns - sum(record.sections.get("dead_ns_busy", ()))


def _trigger_words(books: Books, n_lines: int) -> Iterator[Chunk]:
    """Yield the decisions of the L1, part by part; in the end the outcomes must be those of the summary."""
    outcomes = np.zeros(len(Outcome), dtype=np.int64)
    n_words, n_processes = -(-n_lines // 64), len(books.run.about["process_names"])
    words, raw_words = ([f"{label}_{i}" for i in range(n_words)] for label in ("l1_word", "l1_raw_word"))
    for part in trigger_word_parts(books.directory):
        table = read_table(part).filter(pl.col("event") < books.end)
        if not table.height:
            return
        missing = [name for name in (*words, *raw_words, "process", "weight") if name not in table.columns]
        if missing:
            rule = "no such column: the run is of a version that did not keep it; with --menu its events are made again"
            raise InputError(rule, file=part, key=missing[0])
        outcome, process = table["outcome"].to_numpy(), table["process"].to_numpy()
        if process.max() >= n_processes:
            raise InputError(f"run.json names {n_processes}", file=part, key="process", value=int(process.max()))
        outcomes += np.bincount(outcome, minlength=len(Outcome))
        looked_at = outcome != Outcome.L1_DEAD_BUSY
        table, outcome, process = table.filter(looked_at), outcome[looked_at], process[looked_at]
        raw, accepted = (np.ascontiguousarray(table.select(names).to_numpy()) for names in (raw_words, words))
        is_kept = np.isin(outcome, (Outcome.KEPT, Outcome.HLT_REJECTED))
        yield Chunk(
            process=process,
            weight=table["weight"].to_numpy().astype(np.float64),
            decisions=(Decisions(planes_of(raw, n_lines), planes_of(accepted, n_lines)),),
            forced=int((is_kept & ~accepted.any(axis=1)).sum()),
        )
    if books.is_whole:
        _must_be_the_summary(outcomes, books.directory)


def _must_be_the_summary(outcomes: Array, directory: Path) -> None:
    """Raise `InputError` unless these counts by outcome are those of summary.json."""
    summary = read_json(directory / SUMMARY, if_missing="the run has not ended")
    for outcome, name in OUTCOME_COUNTS.items():
        cause = name.removeprefix("l1_dead_")
        said = summary[name] if cause == name else summary["l1_dead"].get(cause, 0)
        if said != outcomes[outcome]:
            rule = f"the trigger words have {outcomes[outcome]}: the books do not balance"
            raise InputError(rule, file=directory / SUMMARY, key=name, value=said)


def _kept_events(books: Books, lines: list[str]) -> Iterator[Chunk]:
    """Yield the decisions of the HLT on the events that it kept, part by part."""
    columns = [[f"{label}_{line}" for line in lines] for label in ("hlt_raw", "hlt")]
    for part in event_parts(books.directory):
        table = read_table(part, ["event", "process", "weight", *columns[0], *columns[1]])
        table = table.filter(pl.col("event") < books.end)
        raw, accepted = (table.select(names).to_numpy().T for names in columns)
        yield Chunk(
            process=table["process"].to_numpy(),
            weight=table["weight"].to_numpy().astype(np.float64),
            decisions=(Decisions(planes_of_flags(raw), planes_of_flags(accepted)),),
            forced=int((~accepted.any(axis=0)).sum()),
        )


def read_table(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Read a table of a run; raise `InputError` if it is missing or damaged."""
    try:
        return pl.read_parquet(path, columns=columns, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read: {str(error).splitlines()[0]}", file=path) from None
