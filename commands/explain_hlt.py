"""Why the lines of the HLT fired on one event, or did not: the clauses of each cut, one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daq.jit import Array
from hlt.cuts import conditions, names_in, text_of
from hlt.emulator import HltEmulator, HltResult, Observed
from hlt.menu import HltMenu
from hlt.program import CutProgram
from triggers.bits import flags_of

_WRAP = 118


@dataclass(frozen=True, slots=True)
class Clause:
    """One of the conditions that must all hold for a line to fire."""

    line: str
    text: str
    values: dict[str, float]
    """The variables of the condition."""
    holds: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """One event: its variables, and each line with its clauses."""

    event: str
    variables: dict[str, float]
    clauses: list[Clause]
    raw: dict[str, bool]
    prescaled: dict[str, bool]
    prescales: dict[str, int]
    rejects: frozenset[str]
    """Lines that reject what they fire on."""
    accepted: bool
    over_cap: bool
    """It has too many tracks, clusters or pairs: kept, and no line was asked."""

    def text(self) -> str:
        """Return the explanation for a person: what failed is marked."""
        lines = [f"{self.event}: {'accepted' if self.accepted else 'rejected'}"]
        if self.over_cap:
            return f"{lines[0]}: over the cap on tracks, clusters or pairs, so no line was asked"
        lines += ["", "variables"]
        lines += _wrapped(f"{name} = {number(value)}" for name, value in self.variables.items())
        lines += ["", "lines"]
        for name, raw in self.raw.items():
            if raw and name in self.rejects:
                said = "fired, which rejects"
            elif raw:
                said = "fired, " + ("kept" if self.prescaled[name] else f"prescaled away ({self.prescales[name]})")
            else:
                said = "did not fire"
            lines.append(f"  {name}: {said}")
            for clause in (clause for clause in self.clauses if clause.line == name):
                found = ", ".join(f"{key} = {number(value)}" for key, value in clause.values.items())
                lines.append(f"    {'holds ' if clause.holds else 'FAILED'}  {clause.text}    ({found})")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Return the explanation for a machine; NaN is null."""
        clauses: dict[str, list[dict[str, Any]]] = {name: [] for name in self.raw}
        for clause in self.clauses:
            values = {name: _json(value) for name, value in clause.values.items()}
            clauses[clause.line].append({"clause": clause.text, "values": values, "holds": clause.holds})
        lines = {
            name: {
                "raw": raw,
                "prescaled": self.prescaled[name],
                "prescale": self.prescales[name],
                "reject": name in self.rejects,
                "clauses": clauses[name],
            }
            for name, raw in self.raw.items()
        }
        variables = {name: _json(value) for name, value in self.variables.items()}
        return {
            "event": self.event,
            "accepted": self.accepted,
            "over_cap": self.over_cap,
            "variables": variables,
            "lines": lines,
        }


def clauses(menu: HltMenu, program: CutProgram, table: Array) -> Iterator[Clause]:
    """Yield the clauses of every line for the one record of ``table``; a line fires if all of its clauses hold."""
    values = program.values(table)
    for line, tree in zip(menu.line, program.trees, strict=True):
        for condition in conditions(tree):
            found = {name: float(table[name][0]) for name in names_in(condition)}
            yield Clause(line.name, text_of(condition), found, bool(values[condition]))


def number(value: float) -> str:
    """Write a double so that it reads back as the same double, whole numbers without a point."""
    if math.isfinite(value) and value == int(value) and abs(value) < 2**31:
        return str(int(value))
    return repr(float(value))


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _wrapped(words: Iterable[str]) -> list[str]:
    lines = [" "]
    for word in words:
        if len(lines[-1]) + len(word) + 3 > _WRAP:
            lines.append(" ")
        lines[-1] += f" {word};"
    return lines


def explanation_of(
    emulator: HltEmulator, event: str, observed: Observed, result: HltResult, row: int, vertex: Mapping[str, float]
) -> Explanation:
    """Explain the event in one row of a block; ``vertex`` are its vertex columns."""
    table, menu = observed.table[row : row + 1], emulator.menu
    is_read = not observed.over_cap[row]
    raw, prescaled = (
        {name: bool(flags_of(words[row : row + 1], bit)[0]) for bit, name in enumerate(menu.line_names)}
        for words in (result.raw, result.prescaled)
    )
    return Explanation(
        event=event,
        variables={name: float(table[name][0]) for name in table.dtype.names or ()} | dict(vertex),
        clauses=list(clauses(menu, emulator.cuts, table)) if is_read else [],
        raw=raw,
        prescaled=prescaled,
        prescales=dict(zip(menu.line_names, menu.prescales(emulator.column), strict=True)),
        rejects=frozenset(line.name for line in menu.line if line.reject),
        accepted=bool(result.accept[row]),
        over_cap=not is_read,
    )
