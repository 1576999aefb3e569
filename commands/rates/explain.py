"""`darkline rates --line X --explain EVENT`: the bits, products and prescale behind a decision, in words."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

import chain
from commands.rates.books import read_table
from commands.rates.primitives import PrimitiveFile
from commands.rates.sources import (
    file_settings,
    is_configuration,
    menu_lines,
    menus_of_run,
    mix_source,
    read_finished_run,
)
from commands.rates.text import WIDTH
from daq.errors import InputError, naming
from daq.event import EventBatch, Outcome
from daq.run_directory import SUMMARY
from daq.settings import RunSettings, read_json
from daq.source.mix import Source
from daq.spool import trigger_word_parts
from triggers.ecl.cells import EclTable
from triggers.gdl.menu import L1Menu
from triggers.input_bits import origin_of
from triggers.inputs import input_planes
from triggers.why import explain

Record = dict[str, Any]


def explain_event(
    target: Path, event: int, line: str, *, menus: Sequence[str] = (), columns: Sequence[str] = ()
) -> Record:
    """Return why a line fired on an event of a target, or did not.

    Raises
    ------
    InputError
        If there is no such event or line, or more than one menu or column is given.
    """
    for key, names in (("--menu", menus), ("--column", columns)):
        if len(names) > 1:
            raise InputError("an event is explained for one of them", key=key, value=", ".join(names))
    in_the_run: Record | None = None
    if target.is_dir():
        run = read_finished_run(target)
        settings, menus = run.settings, menus_of_run(target, run, menus)
        n_events = int(read_json(target / SUMMARY, if_missing="the run has not ended")["generated"])
        batch = _event_of(chain.open_source(settings, target), event, n_events)
        names = tuple(run.about["process_names"])
        in_the_run = _in_the_run(target, event, list(run.about["l1"]["lines"]))
    elif is_configuration(target):
        settings = chain.load_run(target)
        with naming(target):
            source = mix_source(settings)
        batch, names = _event_of(source, event, settings.events), source.process_names
    else:
        settings = file_settings()
        batch, names = PrimitiveFile(target).event(event), (target.stem,)
    return {
        "target": str(target),
        "event": event,
        "process": names[int(batch["process"][0])],
        **_explained(batch, settings, menus or [settings.l1.menu], columns, line),
        "in_the_run": in_the_run,
    }


def _event_of(source: Source, event: int, n_events: int) -> EventBatch:
    if not 0 <= event < n_events:
        raise InputError(f"no such event: they are numbered from 0 to {n_events - 1}", key="--explain", value=event)
    return source.block(event, 1)


def _explained(
    batch: EventBatch, settings: RunSettings, menus: Sequence[str], columns: Sequence[str], line: str
) -> Record:
    (lines,) = menu_lines(menus, columns, settings)
    quirks = settings.l1.quirks
    _check_line(line, lines.menu)
    inputs, malformed = input_planes(batch, batch.size, EclTable.for_beams(settings.beam), quirks=quirks)
    found = explain(lines, line, inputs, batch["run"], batch["event"])
    return {
        "menu": lines.menu.name,
        "column": lines.column,
        "line": line,
        "logic": found.line.logic,
        "comment": found.line.comment,
        "inputs": [
            {
                "bit": bit,
                "value": value,
                "meaning": origin_of(bit, quirks).meaning,
                "held_at_0": bit in found.held,
            }
            for bit, value in found.bits.items()
        ],
        "products": [
            {
                "holds": all(literal.holds for literal in product),
                "literals": [
                    {"bit": literal.bit, "wanted": literal.wanted, "holds": literal.holds} for literal in product
                ],
            }
            for product in found.products
        ],
        "fired": found.fired,
        "prescale": found.prescale,
        "prescale_keeps_event": found.kept,
        "accepted_by_line": found.accepted,
        "lines_that_fired": list(found.raw_lines),
        "lines_that_accept": list(found.accepting_lines),
        "malformed": bool(malformed[0]),
        "l1_accept": bool(found.accepting_lines) or bool(malformed[0]),
    }


def _check_line(line: str, menu: L1Menu) -> None:
    if line not in menu.line_names:
        close = difflib.get_close_matches(line, menu.line_names, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(menu.line_names)}"
        raise InputError(f"no such line in menu {menu.name} ({hint})", key="--line", value=line)


def _in_the_run(directory: Path, event: int, lines: list[str]) -> Record:
    """Return what the books of the run say of an event."""
    for part in trigger_word_parts(directory):
        row = read_table(part).filter(pl.col("event") == event)
        if row.height:
            accepting = [name for i, name in enumerate(lines) if row[f"l1_word_{i // 64}"][0] >> i % 64 & 1]
            return {"outcome": Outcome(row["outcome"][0]).name.lower(), "lines_that_accept": accepting}
    raise InputError(
        "the trigger words of the run do not have this event", file=directory, key="--explain", value=event
    )


# ---- for people


def text(record: Record) -> str:
    """Return an explanation as text."""
    column = "" if record["column"] is None else f", column {record['column']}"
    out = [
        f"{record['target']}: event {record['event']:,}, {record['process']}",
        *_wrapped(f"line {record['line']} of menu {record['menu']}{column}: {record['logic'] or 'true'}"),
    ]
    if record["comment"]:
        out += _wrapped(f"  {record['comment']}")
    out += ["", "Input bits that the line uses"]
    width = max((len(bit["bit"]) for bit in record["inputs"]), default=0)
    for bit in record["inputs"]:
        held = "not computed, held at 0: " if bit["held_at_0"] else ""
        said = f"  {bit['bit']:{width}}  {int(bit['value'])}  {held}{bit['meaning']}"
        out += _wrapped(said, " " * (width + 7))
    out += ["", "Products, of which one must hold (! asks for 0; in brackets: what fails)"]
    for number, product in enumerate(record["products"], start=1):
        literals = " ".join(_literal(literal) for literal in product["literals"]) or "always true"
        out += _wrapped(f"  {number:2}  {'holds' if product['holds'] else 'fails'}  {literals}", " " * 13)
    out += ["", *_wrapped(_decision(record)), ""]
    for label, key in (("Lines that fired", "lines_that_fired"), ("Lines that accept", "lines_that_accept")):
        out += _wrapped(f"{label}: {', '.join(record[key]) or 'none'}", "  ")
    reason = " (malformed: kept whatever its bits)" if record["malformed"] else ""
    out.append(f"Level 1: {'accept' if record['l1_accept'] else 'reject'}{reason}")
    if (run := record["in_the_run"]) is not None:
        out += _wrapped(f"In the run: {run['outcome']}, accepted by {', '.join(run['lines_that_accept']) or 'no line'}")
    return "\n".join(out)


def _decision(record: Record) -> str:
    line, prescale = record["line"], record["prescale"]
    fired = f"{line} fired" if record["fired"] else f"{line} did not fire: no product holds"
    if prescale == 0:
        return f"{fired}; it is switched off (prescale 0)."
    if prescale == 1:
        return f"{fired}; it has no prescale{', so it accepts' if record['fired'] else ''}."
    kept = f"{'keeps' if record['prescale_keeps_event'] else 'does not keep'} this event"
    return (
        f"{fired}; its prescale of 1 in {prescale:,}, a hash of line and event, {kept}"
        f"{', so it accepts' if record['accepted_by_line'] else ''}."
    )


def _literal(literal: Record) -> str:
    name = literal["bit"] if literal["wanted"] else f"!{literal['bit']}"
    return name if literal["holds"] else f"[{name}]"


def _wrapped(sentence: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(sentence, WIDTH, subsequent_indent=indent, break_long_words=False, drop_whitespace=True)
