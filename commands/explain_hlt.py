"""Why the lines of the HLT fired on one event, or did not: the clauses of each cut, one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daq.jit import Array
from hlt.cuts import CutProgram, Node, parse_cut
from hlt.menu import HltMenu

_BOOLEAN = ("and", "or", "not")
_WRAP = 118


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of a cut that is an AND of conditions."""

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
    prescales: dict[str, Any]
    accepted: bool

    def text(self) -> str:
        """Return the explanation for a person: what failed is marked."""
        lines = [f"{self.event}: {'accepted' if self.accepted else 'rejected'}", "", "variables"]
        lines += _wrapped(f"{name} = {number(value)}" for name, value in self.variables.items())
        lines += ["", "lines"]
        for name, raw in self.raw.items():
            after = (
                "" if not raw else ", kept" if self.prescaled[name] else f", prescaled away ({self.prescales[name]})"
            )
            lines.append(f"  {name}: {'fired' if raw else 'did not fire'}{after}")
            for clause in (clause for clause in self.clauses if clause.line == name):
                found = ", ".join(f"{key} = {number(value)}" for key, value in clause.values.items())
                lines.append(f"    {'holds ' if clause.holds else 'FAILED'}  {clause.text}    ({found})")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Return the explanation for a machine; NaN is null."""
        clauses = {name: [] for name in self.raw}  # type: dict[str, list[dict[str, Any]]]
        for clause in self.clauses:
            values = {name: _json(value) for name, value in clause.values.items()}
            clauses[clause.line].append({"clause": clause.text, "values": values, "holds": clause.holds})
        lines = {
            name: {
                "raw": raw,
                "prescaled": self.prescaled[name],
                "prescale": self.prescales[name],
                "clauses": clauses[name],
            }
            for name, raw in self.raw.items()
        }
        variables = {name: _json(value) for name, value in self.variables.items()}
        return {"event": self.event, "accepted": self.accepted, "variables": variables, "lines": lines}


def clauses(menu: HltMenu, table: Array) -> Iterator[Clause]:
    """Yield the clauses of every line for the one record of ``table``."""
    names = table.dtype.names or ()
    for line in menu.line:
        parts = list(_conjuncts(parse_cut(line.cut, names)))
        texts = [cut_text(part) for part in parts]
        for part, text, holds in zip(parts, texts, CutProgram(texts, names).evaluate(table, 1)[0], strict=True):
            yield Clause(line.name, text, {name: float(table[name][0]) for name in _names(part)}, bool(holds))


def _conjuncts(node: Node) -> Iterator[Node]:
    if node[0] == "and":
        yield from _conjuncts(node[1])
        yield from _conjuncts(node[2])
    else:
        yield node


def _names(node: Node) -> list[str]:
    if node[0] == "name":
        return [node[1]]
    if node[0] == "number":
        return []
    return list(dict.fromkeys(name for part in node[1:] for name in _names(part)))


def cut_text(node: Node) -> str:
    """Write a tree of `hlt.cuts` as a cut that parses to the same tree."""
    kind, *parts = node
    if kind == "number":
        return number(parts[0])
    if kind == "name":
        return str(parts[0])
    if kind == "truth":
        return cut_text(parts[0])
    if kind == "not":
        return f"not {_grouped(parts[0])}"
    if kind in _BOOLEAN:
        return f" {kind} ".join(_grouped(part) for part in parts)
    if kind == "negative":
        return f"-{_grouped(parts[0])}"
    return f"{_grouped(parts[0])} {kind} {_grouped(parts[1])}"


def _grouped(node: Node) -> str:
    """Write a part of a larger cut, in brackets if it has parts itself: square for conditions, round for numbers."""
    text = cut_text(node)
    if node[0] in _BOOLEAN:
        return f"[{text}]"
    is_value = node[0] in ("+", "-", "*", "/", "**", "negative")
    return f"({text})" if is_value else text


def number(value: float) -> str:
    """Write a double so that it reads back as the same double, whole numbers without a point."""
    if math.isfinite(value) and value == int(value) and abs(value) < 2**31:
        return str(int(value))
    return repr(float(value))


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _wrapped(words: Iterator[str] | Any) -> list[str]:
    lines = [" "]
    for word in words:
        if len(lines[-1]) + len(word) + 3 > _WRAP:
            lines.append(" ")
        lines[-1] += f" {word};"
    return lines


def explanation_of(
    menu: HltMenu, event: str, table: Array, vertex: Mapping[str, Array], results: tuple[Array, Array, Array]
) -> Explanation:
    """Explain one event: its record of the variables, its vertex columns, and (raw, prescaled, accepted)."""
    variables = {name: float(table[name][0]) for name in table.dtype.names or ()}
    variables |= {name: float(values[0]) for name, values in vertex.items()}
    raw, prescaled, accepted = results
    return Explanation(
        event=event,
        variables=variables,
        clauses=list(clauses(menu, table)),
        raw=dict(zip(menu.line_names, (bool(bit) for bit in raw), strict=True)),
        prescaled=dict(zip(menu.line_names, (bool(bit) for bit in prescaled), strict=True)),
        prescales={line.name: line.prescale for line in menu.line},
        accepted=bool(np.all(accepted)),
    )
