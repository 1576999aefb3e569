"""The language of the cuts: text in, a predicate over the table of filter variables out.

Grammar (Belle II public software, framework/scripts/b2parser.py), from loose to tight::

    cut        = "" | or                              the empty cut is always true
    or         = and ("or" and)*
    and        = not ("and" not)*
    not        = "not" not | "[" or "]" | comparison
    comparison = sum (op sum (op sum)?)?              a < x < b means (a < x) and (x < b); alone: true if not zero
    sum        = product (("+" | "-") product)*
    product    = power (("*" | "/") power)*
    power      = sign (("**" | "^") power)?           to the right
    sign       = ("+" | "-") sign | number | name | "(" sum ")"

Numbers are doubles. ``==`` and ``!=`` allow for rounding: numbers whose bit patterns differ by at most two are equal.
NaN is equal to nothing, so with NaN only ``!=`` is true; a bare NaN is not zero, hence true.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from daq.jit import Array

Node = tuple[Any, ...]
"""``("number", value)``, ``("name", text)`` or ``(operation, node, ...)``: hashable, so equal parts are shared."""

_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_&]*)"
    r"|(?P<operator>\*\*|==|!=|<=|>=|[-+*/^<>()\[\]])"
    r"|(?P<end>$)"
    r")"
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


class CutError(ValueError):
    """A cut that cannot be used; one line, which ends with the cut and a caret before the place."""

    def __init__(self, rule: str, text: str, position: int):
        marked = f"{text[:position]}^{text[position:]}".replace("\n", " ")
        super().__init__(f"{rule}, at column {position + 1}: {marked}")


class _Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, text: str, names: Collection[str]):
        self.text, self.names = re.sub(r"\s", " ", text), names
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while not self.tokens or self.tokens[-1][0] != "end":
            match = _TOKEN.match(text, position)
            if match is None:
                start = position + len(text[position:]) - len(text[position:].lstrip())
                raise CutError(f"unknown character {text[start]!r}", self.text, start)
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind], match.start(kind)))
            position = match.end()
            if len(self.tokens) > _MAX_SYMBOLS:
                raise CutError(f"a cut has at most {_MAX_SYMBOLS} symbols", self.text, position)
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
            return ("number", 1.0)
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
        node = self.power()
        while sign := self.take("*", "/"):
            node = (sign, node, self.power())
        return node

    def power(self) -> Node:
        node = self.sign()
        return ("**", node, self.power()) if self.take("**", "^") else node

    def sign(self) -> Node:
        if self.take("+"):
            return self.sign()
        if self.take("-"):
            return ("negative", self.sign())
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


def almost_equal(a: Array, b: Array) -> Array:
    """Return where two arrays of doubles are equal, or their bit patterns differ by at most two; never for NaN."""
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    # Wraps for numbers of opposite sign, but never to within two: their patterns lie nearly 2**63 apart.
    steps = left.view(np.int64) - right.view(np.int64)
    equal: Array = (left == right) | ((steps >= -2) & (steps <= 2))
    return equal & ~np.isnan(left) & ~np.isnan(right)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "or": operator.or_,
    "and": operator.and_,
    "not": operator.invert,
    "truth": lambda value: value != 0.0,
    "==": almost_equal,
    "!=": lambda a, b: ~almost_equal(a, b),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": np.power,
    "negative": operator.neg,
}


class CutProgram:
    """Several cuts as one list of array operations, in which every part that cuts share is computed once."""

    def __init__(self, cuts: Sequence[str], names: Collection[str]):
        self._constants: list[tuple[int, Any]] = []
        self._loads: list[tuple[int, str]] = []
        self._steps: list[tuple[int, Callable[..., Any], tuple[int, ...]]] = []
        self._slots: dict[Node, int] = {}
        self._results = [self._slot(parse_cut(cut, names)) for cut in cuts]

    def _slot(self, node: Node) -> int:
        """Return the place of a node's value, after adding what it takes to compute it."""
        if node in self._slots:
            return self._slots[node]
        kind, *rest = node
        if kind == "number":
            slot = self._slots.setdefault(node, len(self._slots))
            self._constants.append((slot, np.float64(rest[0])))
        elif kind == "name":
            slot = self._slots.setdefault(node, len(self._slots))
            self._loads.append((slot, rest[0]))
        else:
            inputs = tuple(self._slot(part) for part in rest)
            slot = self._slots.setdefault(node, len(self._slots))
            self._steps.append((slot, _OPERATIONS[kind], inputs))
        return slot

    def evaluate(self, table: Array | Mapping[str, Array], n_events: int) -> Array:
        """Return where each cut holds: (N, number of cuts) bool; ``table[name]`` is the (N,) float64 of a variable."""
        values: list[Any] = [None] * len(self._slots)
        for slot, number in self._constants:
            values[slot] = number
        for slot, name in self._loads:
            values[slot] = np.ascontiguousarray(table[name])  # copied once, then read by many operations
        with np.errstate(all="ignore"):  # 1 / 0 and the like are part of the language
            for slot, operation, inputs in self._steps:
                values[slot] = operation(*(values[place] for place in inputs))
        out = np.empty((n_events, len(self._results)), dtype=np.bool_)
        for index, slot in enumerate(self._results):
            out[:, index] = values[slot]
        return out
