"""The record of `darkline rates` as tables for people, within 100 columns."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

WIDTH = 100
_LONG_NAME = 20
_MENUS_A_TABLE = 2
Record = dict[str, Any]


def tables(record: Record, *, in_full: bool = False) -> str:
    """Return the tables of a record; of several menus only how they differ, unless all is asked for."""
    menus = record["menus"]
    parts = [_head(record)]
    if len(menus) == 1 or in_full:
        parts += [_lines(menu, record) for menu in menus]
    for number, difference in enumerate(record["differences"], start=1):
        parts.append(_differences(difference, _letter(number), record["unit"]))
    if record["unit"] == "Hz":
        parts.append(_processes(record))
    return "\n\n".join(parts)


def pair(estimate: Record) -> str:
    """Return "value ± error" with two digits of the error; of nothing at all: 0."""
    value, error = estimate["value"], estimate["error"]
    if value is None:
        return "-"
    if not error:
        return f"{value:.6g}"
    decimals = min(9, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def _head(record: Record) -> str:
    unit, luminosity = record["unit"], record["luminosity_cm2_s"]
    at = "" if luminosity is None else f" at {luminosity:.3g} cm-2 s-1"
    time = "" if record["seconds"] is None else f" in {record['seconds']:.4g} s"
    what = f"{record['level'].upper()} {'rates' if unit == 'Hz' else 'shares'} in {unit}{at}"
    said = [f"{record['title']}: {record['events']:,} events{time}. {what}."]
    if unit == "%":
        said.append("What a file holds has a rate only by --luminosity and --cross-section.")
    elif record["rate_of_one_event"]:
        one, are_equal = record["rate_of_one_event"], record["sum_of_weights"] == record["events"]
        none = f"; the rate of a line that saw none is below {3 * one:.2g} Hz (95 % CL)" if are_equal else ""
        said.append(f"One event{'' if are_equal else ' of weight 1'} stands for {one:.3g} Hz{none}.")
    if record["level"] == "l1":
        said.append("Rates are free of dead time by definition: every event is decided as if it came alone.")
    if (run := record["run"]) is not None:
        causes = ", ".join(f"{cause} {100 * part:.3g} %" for cause, part in run["dead_fraction"].items() if part)
        said.append(
            f"The run itself was live for {100 * run['live_fraction']:.5g} % of its time ({causes or 'no dead time'})."
        )
    if record["accepted_without_line"]:
        said.append(
            f"{record['accepted_without_line']:,} more events were accepted without a line: malformed or over a cap."
        )
    return "\n".join(textwrap.fill(sentence, WIDTH) for sentence in [*said, *record["notes"]])


def _lines(menu: Record, record: Record) -> str:
    columns = ["raw", "prescaled", "unique", "shared"]
    if max(len(line["line"]) for line in menu["lines"]) > _LONG_NAME:
        columns.remove("shared")  # what is left of the prescaled rate without the unique one
    rows = [
        [
            line["line"],
            f"{line['prescale']:,}" if line["prescale"] else "off",
            *(pair(line[name]) for name in (*columns, "share_percent")),
        ]
        for line in sorted(menu["lines"], key=_by_rate)
        if line["raw"]["value"]
    ]
    total = ["total", "", *(pair(menu["total"]) if name == "prescaled" else "" for name in columns), "100"]
    silent = [line["line"] for line in menu["lines"] if not line["raw"]["value"]]
    headings = ["line", "prescale", *columns, "share [%]"]
    share, whole = pair(menu["total_share_percent"]), _whole(record)
    return table_of(
        f"Menu {menu['label']} [{record['unit']}]: accepts {share} % of the {whole}", headings, rows, total
    ) + _named("Lines that never fired", silent)


def _whole(record: Record) -> str:
    """Return what the events are that shares and efficiencies are of."""
    return "collisions" if record["level"] == "l1" else "spooled events"


def _by_rate(line: Record) -> tuple[float, float]:
    return -line["prescaled"]["value"], -line["raw"]["value"]


def _letter(number: int) -> str:
    """Return what a menu is called where several are compared: A is the first, with which the others are compared."""
    return chr(ord("A") + number) if number < 26 else f"M{number + 1}"


def _differences(difference: Record, letter: str, unit: str) -> str:
    changed = [line for line in difference["lines"] if line["difference"]["error"]]
    changed.sort(key=lambda line: -abs(line["difference"]["value"]))
    rows = [[line["line"], *(pair(line[name]) for name in ("a", "b", "difference"))] for line in changed]
    silent: list[list[str]] = []
    for where, place in (("only_in_a", 1), ("only_in_b", 2)):
        for line, rate in sorted(difference[where].items(), key=lambda item: -item[1]["value"]):
            row = [line, "no line", "no line", "-"]
            row[place] = pair(rate)
            (rows if rate["error"] else silent).append(row)
    total = ["total", *(pair(difference["total"][name]) for name in ("a", "b", "difference"))]
    same = len(difference["lines"]) - len(changed)
    accepts = difference["accepts"]
    both, only_a, only_b = (pair(accepts[name]) for name in ("both", "only_a", "only_b"))
    said = f"Accepted by both {both}, by A alone {only_a}, by {letter} alone {only_b} {unit}."
    if same:
        said += f" {same} lines accept the same events in both."
    if silent:
        said += f" {len(silent)} lines of one menu alone accept none."
    title = f"A = {difference['a']}, {letter} = {difference['b']} on the same events [{unit}]"
    table = table_of(title, ["line", "A", letter, f"{letter} - A"], rows, total)
    return f"{table}\n{textwrap.fill(said, WIDTH)}"


def _processes(record: Record) -> str:
    menus = record["menus"]
    tables = []
    for group in (menus[i : i + _MENUS_A_TABLE] for i in range(0, len(menus), _MENUS_A_TABLE)):
        headings = ["process", _whole(record)]
        for menu in group:
            which = f", {_letter(menus.index(menu))}" if len(menus) > 1 else ""
            headings += [f"accepted{which}", "efficiency [%]"]
        rows = []
        for i, first in enumerate(group[0]["by_process"]):
            row = [first["process"], pair(first["collisions"])]
            for menu in group:
                row += [pair(menu["by_process"][i][name]) for name in ("accepted", "efficiency_percent")]
            rows.append(row)
        tables.append(table_of(f"By process [{record['unit']}]", headings, rows))
    return "\n\n".join(tables)


def _named(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    return "\n" + textwrap.fill(f"{what} ({len(names)}): {', '.join(names)}", WIDTH, subsequent_indent="  ")


def table_of(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str] = ()) -> str:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for place, heading in enumerate(headings):  # names may be folded, numbers may not
        width = max((len(row[place]) for row in (*rows, total) if row), default=0) if place else None
        table.add_column(heading, justify="right" if place else "left", overflow="fold", min_width=width)
    for row in rows:
        table.add_row(*row)
    if total:
        table.add_section()
        table.add_row(*total)
    screen = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    screen.print(table)
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join([textwrap.fill(title, WIDTH), *(line.rstrip() for line in text.splitlines() if line.strip())])
