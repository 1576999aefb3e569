"""The language of the cuts: text in, a tree out. `hlt.program` makes a predicate of many trees.

Grammar (Belle II public software, framework/scripts/b2parser.py), from loose to tight::

    cut        = "" | or                              the empty cut is always true
    or         = and ("or" and)*
    and        = not ("and" not)*
    not        = "not" not | "[" or "]" | comparison
    comparison = sum (op sum (op sum)?)?              a < x < b means (a < x) and (x < b); alone: true if not zero
    sum        = product (("+" | "-") product)*
    product    = sign (("*" | "/") sign)*
    sign       = ("+" | "-") sign | power
    power      = value (("**" | "^") sign)?           to the right: -2 ** 2 is -(2 ** 2), 2 ** -1 is 0.5
    value      = number | name | "(" sum ")"

``[ ]`` hold truths, ``( )`` numbers. Numbers are doubles; what two values have to do with each other says
`hlt.program`. A function call is, in the experiment, a variable with brackets in its name; there is none of those here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from typing import Any

Node = tuple[Any, ...]
"""``("number", value)``, ``("name", text)`` or ``(operation, node, ...)``: hashable, so equal parts are shared."""

_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_&]*)"
    r"|(?P<operator>\*\*|==|!=|<=|>=|[-+*/^<>()\[\]])"
    r"|(?P<end>\Z)"
    r")",
    re.ASCII,
)
_CONSTANTS = {
    "true": 1.0,
    "True": 1.0,
    "false": 0.0,
    "False": 0.0,
    "nan": float("nan"),
    "inf": float("inf"),
    "infinity": float("inf"),
}
_MAX_SYMBOLS = 200  # ten times what any menu needs, and a tree that recursion can walk
_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")


_SHOWN = 100  # characters of a cut that an error shows on either side of the place: all of it, for most


class CutError(ValueError):
    """A cut that cannot be used; one line, which ends with the cut and a caret before the place."""

    def __init__(self, rule: str, text: str, position: int):
        self.column = position + 1
        before, after = text[:position], text[position:]
        if len(before) > _SHOWN:
            before = "..." + before[-_SHOWN:]
        if len(after) > _SHOWN:
            after = after[:_SHOWN] + "..."
        super().__init__(f"{rule}, at column {self.column}: {before}^{after}")


class _Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, text: str, names: Collection[str]):
        self.text = text = re.sub(r"\s", " ", text)  # every kind of white space, also what would break a line
        self.names = names
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while not self.tokens or self.tokens[-1][0] != "end":
            match = _TOKEN.match(text, position)
            if match is None:
                start = len(text) - len(text[position:].lstrip(" "))
                raise CutError(f"unknown character {text[start]!r}", text, start)
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind], match.start(kind)))
            position = match.end()
            if len(self.tokens) > _MAX_SYMBOLS:
                raise CutError(f"a cut has at most {_MAX_SYMBOLS} symbols", text, position)
        self.tokens.reverse()

    @property
    def next(self) -> str:
        """Return the text of the next token; empty at the end."""
        return self.tokens[-1][1]

    def take(self, *wanted: str) -> str | None:
        """Return and pass the next token if it is one of ``wanted``."""
        kind, text, _ = self.tokens[-1]
        if kind == "end" or text not in wanted:
            return None
        self.tokens.pop()
        return text

    def error(self, expected: str) -> CutError:
        kind, text, position = self.tokens[-1]
        found = "the end" if kind == "end" else repr(text)
        return CutError(f"expected {expected}, found {found}", self.text, position)

    def cut(self) -> Node:
        if self.tokens[-1][0] == "end":
            return ("truth", ("number", 1.0))
        node = self.disjunction()
        if self.tokens[-1][0] != "end":
            raise self.error("'and', 'or' or the end")
        return node

    def disjunction(self) -> Node:
        node = self.conjunction()
        while self.take("or"):
            node = ("or", node, self.conjunction())
        return node

    def conjunction(self) -> Node:
        node = self.negation()
        while self.take("and"):
            node = ("and", node, self.negation())
        return node

    def negation(self) -> Node:
        if self.take("not"):
            return ("not", self.negation())
        if self.take("["):
            node = self.disjunction()
            if not self.take("]"):
                raise self.error("']'")
            return node
        return self.comparison()

    def comparison(self) -> Node:
        first = self.sum()
        sign = self.take(*_COMPARISONS)
        if sign is None:
            return ("truth", first)
        second = self.sum()
        node: Node = (sign, first, second)
        if sign := self.take(*_COMPARISONS):
            node = ("and", node, (sign, second, self.sum()))
        if self.next in _COMPARISONS:
            raise self.error("no more than three values in a comparison")
        return node

    def sum(self) -> Node:
        node = self.product()
        while sign := self.take("+", "-"):
            node = (sign, node, self.product())
        return node

    def product(self) -> Node:
        node = self.sign()
        while sign := self.take("*", "/"):
            node = (sign, node, self.sign())
        return node

    def sign(self) -> Node:
        if self.take("+"):
            return self.sign()
        return ("negative", self.sign()) if self.take("-") else self.power()

    def power(self) -> Node:
        node = self.value()
        return ("**", node, self.sign()) if self.take("**", "^") else node

    def value(self) -> Node:
        if self.take("("):
            node = self.sum()
            if not self.take(")"):
                raise self.error("')'")
            return node
        kind, text, position = self.tokens[-1]
        if kind == "number":
            return ("number", self._number(text, position))
        if kind != "name" or text in ("and", "or", "not"):
            raise self.error("a value")
        return self._name(text, position)

    def _number(self, text: str, position: int) -> float:
        self.tokens.pop()
        value = int(text, 16) if text[:2] in ("0x", "0X") else float(text)
        if value >= 2**31 and not re.search(r"^\d+[.eE]|^\.", text):
            raise CutError("a whole number must fit 32 bits (write a decimal point)", self.text, position)
        return float(value)

    def _name(self, text: str, position: int) -> Node:
        if text in _CONSTANTS:
            self.tokens.pop()
            return ("number", _CONSTANTS[text])
        if text not in self.names:
            close = difflib.get_close_matches(text, self.names, n=3, cutoff=0.5)
            hint = f" (did you mean {' or '.join(close)}?)" if close else ""
            raise CutError(f"no variable {text!r}{hint}", self.text, position)
        self.tokens.pop()
        return ("name", text)


def parse_cut(text: str, names: Collection[str]) -> Node:
    """Return the tree of a cut over the variables ``names``.

    Raises
    ------
    CutError
        If the text breaks the grammar or names no variable: rule, column, the text and a caret before the place.
    """
    parser = _Parser(text, names)
    try:
        return parser.cut()
    except RecursionError:
        raise parser.error("fewer brackets") from None


def conditions(node: Node) -> Iterator[Node]:
    """Yield the conditions that must all hold for a cut to hold, in the order of the text."""
    if node[0] == "and":
        for part in node[1:]:
            yield from conditions(part)
    else:
        yield node


def names_in(node: Node) -> Iterator[str]:
    """Yield the variables of a tree, in the order of the text."""
    if node[0] == "name":
        yield node[1]
    elif node[0] != "number":
        for part in node[1:]:
            yield from names_in(part)


_LEVELS = {"or": 0, "and": 1, "not": 2, "+": 4, "-": 4, "*": 5, "/": 5, "negative": 6, "**": 7}  # comparisons: 3


def text_of(node: Node) -> str:
    """Return the text of a tree, with brackets only where they are needed; it parses to the same tree."""
    return _written(node, 0)


def _written(node: Node, least: int) -> str:
    """Return the text of a node, in brackets if it binds looser than the level ``least``."""
    kind = node[0]
    if kind == "name":
        return str(node[1])
    if kind == "number":
        return f"{node[1]:g}" if float(f"{node[1]:g}") == node[1] else repr(node[1])
    if kind == "truth":
        return _written(node[1], 4)
    level = _LEVELS.get(kind, 3)
    if kind == "not":
        text = f"not {_written(node[1], level)}"
    elif kind == "negative":
        text = f"-{_written(node[1], level)}"
    elif kind == "**":
        text = f"{_written(node[1], 8)} ** {_written(node[2], 6)}"
    else:
        text = f"{_written(node[1], level if level != 3 else 4)} {kind} {_written(node[2], level + 1)}"
    if level >= least:
        return text
    return f"[{text}]" if level < 3 else f"({text})"
