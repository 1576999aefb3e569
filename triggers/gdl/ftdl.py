"""FTDL: the logic of a menu line, from text to a sum of products, evaluated on 64 events at a time.

Grammar, loosest first; ``&``, ``|`` and ``!`` are other spellings of ``and``, ``or`` and ``not``::

    logic   = term { "or" term }
    term    = factor { "and" factor }
    factor  = "not" factor | "(" logic ")" | "true" | "false" | bit | count comparison number

A *count* stands for the bits that encode it: ``nf >= 2`` is ``t2_1 or t2_2 or t2_3`` (see `COUNTS`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel

MAX_PRODUCTS = 1024  # of a line; the longest real ones have 16
MAX_DEPTH = 64  # of parentheses and negations


class LogicError(ValueError):
    """A text is not a logic of this grammar: the rule that it breaks, and the column (from 1)."""

    def __init__(self, rule: str, column: int):
        super().__init__(f"column {column}: {rule}")
        self.column = column


@dataclass(frozen=True, slots=True)
class Bit:
    """An input bit."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a logic."""

    inner: Logic


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of several logics; of none: true."""

    parts: tuple[Logic, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of several logics; of none: false."""

    parts: tuple[Logic, ...]


Logic = Bit | Not | AllOf | AnyOf
Product = frozenset[tuple[str, bool]]  # bits, and the values that all of them must have


class Count(NamedTuple):
    """A number that the sub-trigger sends as several bits, ``<stem>_0`` and so on."""

    stem: str
    width: int
    one_hot: bool  # bit k: exactly k + 1, the last bit: that or more; else binary

    @property
    def largest(self) -> int:
        """Return the largest n for which "at least n" can be told."""
        return self.width if self.one_hot else 2**self.width - 1

    def at_least(self, number: int) -> Logic:
        """Return the logic of "at least ``number``", 1 or more."""
        bits = [Bit(f"{self.stem}_{k}") for k in range(self.width)]
        if self.one_hot:
            return AnyOf(tuple(bits[number - 1 :]))
        reached: Logic = AllOf(())
        for k, bit in enumerate(bits):  # from the lowest: the bits so far decide where this one equals the number's
            reached = AllOf((bit, reached)) if number >> k & 1 else AnyOf((bit, reached))
        return reached


COUNTS: dict[str, Count] = {
    "nf": Count("t2", 4, one_hot=True),
    "nz": Count("t3", 4, one_hot=True),
    "ny": Count("ty", 4, one_hot=True),
    "nc": Count("clst", 4, one_hot=False),
    "nk": Count("klm", 3, one_hot=False),
}
"""Numbers of full (2D), 3D-fitted and neural CDC tracks, of ECL clusters and of KLM trigger tracks."""

# Comparison with n -> (at least this, and not at least that).
_BOUNDS: dict[str, Callable[[int], tuple[int | None, int | None]]] = {
    ">=": lambda n: (n, None),
    ">": lambda n: (n + 1, None),
    "<": lambda n: (None, n),
    "<=": lambda n: (None, n + 1),
    "==": lambda n: (n or None, n + 1),
}
_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>\d+)|(?P<symbol>>=|<=|==|[<>()&|!]))")
_WORDS = {"&": "and", "|": "or", "!": "not"}
_CONSTANTS: dict[str, Logic] = {"true": AllOf(()), "false": AnyOf(())}

RESERVED = frozenset({*_WORDS.values(), *_CONSTANTS, *COUNTS})
"""Words of the grammar, which cannot name a bit."""


class _Token(NamedTuple):
    kind: str  # "name", "number" or the word or symbol itself; "end" after the last
    text: str
    column: int


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise LogicError(f"{text[at]!r} is not part of a logic", at + 1)
        kind, found = str(match.lastgroup), match[str(match.lastgroup)]
        word = _WORDS.get(found, found)
        is_fixed = kind == "symbol" or word in _WORDS.values()
        tokens.append(_Token(word if is_fixed else kind, found, match.end() - len(found) + 1))
        at = match.end()
    return [*tokens, _Token("end", "the end", len(text.rstrip()) + 1)]


class _Parser:
    """Recursive descent over the grammar of this file."""

    def __init__(self, text: str, names: Sequence[str]):
        self._tokens, self._names, self._depth = _tokens(text), names, 0

    def parse(self) -> Logic:
        """Return the logic of the whole text."""
        logic = self._logic()
        self._expect("end", "'and', 'or' or the end")
        return logic

    def _expect(self, kind: str, what: str) -> _Token:
        token = self._tokens[0]
        if token.kind != kind:
            found = token.text if token.kind == "end" else repr(token.text)
            raise LogicError(f"expected {what}, found {found}", token.column)
        if kind != "end":
            self._tokens.pop(0)
        return token

    def _skip(self, kind: str) -> bool:
        return self._tokens[0].kind == kind and bool(self._tokens.pop(0))

    def _logic(self) -> Logic:
        parts = [self._term()]
        while self._skip("or"):
            parts.append(self._term())
        return AnyOf(tuple(parts))

    def _term(self) -> Logic:
        parts = [self._factor()]
        while self._skip("and"):
            parts.append(self._factor())
        return AllOf(tuple(parts))

    def _factor(self) -> Logic:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LogicError(f"nested deeper than {MAX_DEPTH}", self._tokens[0].column)
        factor: Logic
        if self._skip("not"):
            factor = Not(self._factor())
        elif self._skip("("):
            factor = self._logic()
            self._expect(")", "')'")
        else:
            factor = self._named(self._expect("name", "a bit, 'not' or '('"))
        self._depth -= 1
        return factor

    def _named(self, token: _Token) -> Logic:
        if token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        if token.text in COUNTS:
            return self._comparison(token)
        if token.text in self._names:
            return Bit(token.text)
        close = difflib.get_close_matches(token.text, [*self._names, *COUNTS], n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join([*self._names, *COUNTS])}"
        raise LogicError(f"unknown bit {token.text} ({hint})", token.column)

    def _comparison(self, token: _Token) -> Logic:
        operator = self._tokens.pop(0)
        if operator.kind not in _BOUNDS:
            raise LogicError(f"{token.text} is a count: compare it, as in {token.text} >= 2", token.column)
        number = int(self._expect("number", "a number").text)
        count = COUNTS[token.text]
        low, high = _BOUNDS[operator.kind](number)
        if any(bound is not None and not 1 <= bound <= count.largest for bound in (low, high)):
            rule = f'the bits of {token.text} tell only ">= n" and "< n" for n from 1 to {count.largest}'
            raise LogicError(rule, token.column)
        return AllOf(
            (
                *([count.at_least(low)] if low is not None else []),
                *([Not(count.at_least(high))] if high is not None else []),
            )
        )


def sum_of_products(text: str, names: Sequence[str]) -> tuple[Product, ...]:
    """Return the products of which one must be true, in a fixed order.

    Parameters
    ----------
    text : str
        A logic of the grammar of this file.
    names : sequence of str
        The input bits that there are.

    Raises
    ------
    LogicError
        If the text is not of the grammar, names an unknown bit, can never be true without saying ``false``, or
        multiplies out to too many products.
    """
    products = _products(_Parser(text, names).parse(), wanted=True)
    if not products and text.strip() != "false":
        raise LogicError("can never be true", 1)
    return tuple(sorted(products, key=sorted))


def text_of(products: Sequence[Product]) -> str:
    """Return a sum of products as a text of the grammar."""
    possible = [sorted(p) for p in products if not any((bit, not on) in p for bit, on in p)]
    if not all(possible):
        return "true"
    return " or ".join(" and ".join(bit if on else f"!{bit}" for bit, on in p) for p in possible) or "false"


def without(products: Sequence[Product], absent: frozenset[str]) -> tuple[Product, ...]:
    """Return the sum of products where the bits ``absent`` are 0."""
    possible = (product for product in products if not any(on and bit in absent for bit, on in product))
    return tuple(frozenset((bit, on) for bit, on in product if bit not in absent) for product in possible)


def _products(logic: Logic, *, wanted: bool) -> set[Product]:
    """Return the products that make the logic ``wanted``."""
    if isinstance(logic, Bit):
        return {frozenset({(logic.name, wanted)})}
    if isinstance(logic, Not):
        return _products(logic.inner, wanted=not wanted)
    if isinstance(logic, AllOf) != wanted:  # "any of", or by De Morgan "not all of"
        return _absorbed(set().union(*(_products(part, wanted=wanted) for part in logic.parts)))
    total: set[Product] = {frozenset()}
    for part in logic.parts:
        factors = _products(part, wanted=wanted)
        total = _absorbed({a | b for a in total for b in factors if not any((bit, not on) in a for bit, on in b)})
    return total


def _absorbed(products: set[Product]) -> set[Product]:
    """Drop the products that another one contains: ``a or a and b`` is ``a``."""
    if len(products) > MAX_PRODUCTS:
        raise LogicError(f"multiplies out to more than {MAX_PRODUCTS} products", 1)
    return {product for product in products if not any(other < product for other in products)}


class Program(NamedTuple):
    """Sums of products as flat arrays: line -> products -> literals.

    The literals that all products of a line share are taken out: they are its first product, and the line is true where
    that product is, and one of the others, if there are others.
    """

    bit: Array
    """(literals,) input bit."""
    flip: Array
    """(literals,) uint64: all ones where the bit must be 0, else 0."""
    product_start: Array
    """(products + 1,) first literal of each product."""
    line_start: Array
    """(lines + 1,) first product of each line; a line without any is never true."""


def compile_program(lines: Sequence[Sequence[Product]], names: Sequence[str]) -> Program:
    """Return the program that evaluates the sums of products of all lines on the bits ``names``."""
    index = {name: i for i, name in enumerate(names)}
    sums = [_shared_first(line) for line in lines]
    products = [sorted(product) for products in sums for product in products]
    literals = [literal for product in products for literal in product]
    return Program(
        bit=np.array([index[name] for name, _ in literals], dtype=np.int64),
        flip=np.array([0 if on else 2**64 - 1 for _, on in literals], dtype=np.uint64),
        product_start=np.cumsum([0, *(len(product) for product in products)]),
        line_start=np.cumsum([0, *(len(products) for products in sums)]),
    )


def _shared_first(line: Sequence[Product]) -> list[Product]:
    """Return the product of the literals that all products share, then what is left of each, unless one has no more."""
    if not line:
        return []
    shared = frozenset.intersection(*line)
    rest = [product - shared for product in line]
    return [shared, *rest] if all(rest) else [shared]


@kernel
def _and_into(held: Array, program: Program, product: int, inputs: Array) -> None:
    """Clear in ``held`` the events that fail a product."""
    for k in range(program.product_start[product], program.product_start[product + 1]):
        bit, flip = program.bit[k], program.flip[k]
        for word in range(held.size):
            held[word] &= inputs[bit, word] ^ flip


@kernel
def _evaluate(program: Program, inputs: Array, n_events: int, out: Array) -> None:
    # Words inside, so that one step of the program works on many events: this is what makes it vectors.
    n_words = out.shape[1]
    held, any_held = np.empty(n_words, dtype=np.uint64), np.empty(n_words, dtype=np.uint64)
    ones = ~np.uint64(0)
    for line in range(out.shape[0]):
        first, last = program.line_start[line], program.line_start[line + 1]
        any_held[:] = ones if last == first + 1 else np.uint64(0)
        for product in range(first + 1, last):
            held[:] = ones
            _and_into(held, program, product, inputs)
            for word in range(n_words):
                any_held[word] |= held[word]
        if last > first:
            _and_into(any_held, program, first, inputs)
        for word in range(n_words):
            out[line, word] = any_held[word]
    rest = n_events % 64
    if rest:  # no bit fires beyond the last event
        for line in range(out.shape[0]):
            out[line, n_words - 1] &= ~(ones << np.uint64(rest))


def evaluate(program: Program, inputs: Array, n_events: int) -> Array:
    """Return the planes of the lines, (lines, ceil(N / 64)) uint64, on the planes of the inputs."""
    out = np.empty((program.line_start.size - 1, inputs.shape[1]), dtype=np.uint64)
    _evaluate(program, inputs, n_events, out)
    return out
