"""Many cuts as one program: run over the table of filter variables, it says where each cut holds.

What cuts share is computed once. The rules for values are those of the cuts of the Belle II public software
(framework/utilities: CutNodes, CutHelpers):

- numbers are doubles, 1 / 0 is infinite;
- ``==`` and ``!=`` allow for rounding: two numbers are equal if they compare so, or if their 64-bit patterns differ by
  at most two. NaN differs from every number, but is the same pattern as NaN;
- ``< <= > >=`` are false with NaN;
- what stands for itself is true if it is not zero, NaN included.

Approximate: there, arithmetic of two whole numbers overflows at 32 bits, and a sign before ``true`` is an error; here
both are arithmetic of doubles.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel, read_only
from hlt.cuts import Node, parse_cut

_KINDS = ("+", "-", "*", "/", "**", "negative", "<", "<=", ">", ">=", "==", "!=", "truth", "and", "or", "not")
_CODES = {kind: code for code, kind in enumerate(_KINDS)}
ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, NEGATIVE = range(6)  # of numbers, to a number
LESS, AT_MOST, GREATER, AT_LEAST, EQUAL, UNEQUAL, TRUTH = range(6, 13)  # of numbers, to a truth
AND, OR, NOT = range(13, 16)  # of truths
_CHUNK = 64  # events that take a step together: the numbers of all steps stay in the nearest cache


class Code(NamedTuple):
    """A program as arrays. The first numbers are constants, then variables, then what steps make of them."""

    constants: Array
    """(C,) float64: the first C numbers."""
    columns: Array
    """(V,) int64: columns of the table that are the next V numbers."""
    steps: Array
    """(S, 4) int64: code, place of the result, places of the two inputs (the second is the first if there is none)."""
    results: Array
    """(L,) int64: places of the truths that the cuts end in."""


class CutProgram:
    """Cuts over the variables ``names``, compiled once.

    Raises
    ------
    CutError
        If a cut breaks the grammar or names no variable.
    """

    def __init__(self, cuts: Sequence[str], names: Collection[str]):
        self.trees: tuple[Node, ...] = tuple(parse_cut(cut, names) for cut in cuts)
        """The tree of each cut."""
        self._places: dict[Node, int] = {}
        kinds: dict[str, list[Node]] = {"number": [], "name": []}
        for tree in self.trees:
            _collect(tree, kinds)
        for node in (*kinds["number"], *kinds["name"]):
            self._places[node] = len(self._places)
        self._names = [node[1] for node in kinds["name"]]
        steps: list[tuple[int, int, int, int]] = []
        self._n_numbers, self._n_truths = len(self._places), 0
        results = [self._place(tree, steps) for tree in self.trees]
        self._constants = np.array([node[1] for node in kinds["number"]], dtype=np.float64)
        self._steps = np.array(steps, dtype=np.int64).reshape(-1, 4)
        self._results = np.array(results, dtype=np.int64)
        self._code: tuple[Any, Code] | None = None

    def _place(self, node: Node, steps: list[tuple[int, int, int, int]]) -> int:
        """Return the place of a node's value, after adding the steps that make it."""
        if node not in self._places:
            inputs = [self._place(part, steps) for part in node[1:]]
            code = _CODES[node[0]]
            if code < LESS:
                place, self._n_numbers = self._n_numbers, self._n_numbers + 1
            else:
                place, self._n_truths = self._n_truths, self._n_truths + 1
            self._places[node] = place
            steps.append((code, place, inputs[0], inputs[-1]))
        return self._places[node]

    def evaluate(self, table: Array | Mapping[str, Array], n_events: int) -> Array:
        """Return where each cut holds: (N, L) bool.

        ``table`` is the (N,) record array of the filter variables (float64 all of them), or (N,) float64 by name.
        """
        return self._run(table, n_events)[0]

    def values(self, table: Array | Mapping[str, Array]) -> dict[Node, float]:
        """Return the value of every part of every cut for the one event of ``table``; truths are 0 or 1."""
        _, numbers, truths = self._run(table, 1)
        return {
            node: float((truths if _CODES.get(node[0], -1) >= LESS else numbers)[place, 0])
            for node, place in self._places.items()
        }

    def _run(self, table: Array | Mapping[str, Array], n_events: int) -> tuple[Array, Array, Array]:
        numbers = np.empty((self._n_numbers, _CHUNK), dtype=np.float64)
        truths = np.empty((self._n_truths, _CHUNK), dtype=np.bool_)
        passed = np.empty((n_events, self._results.size), dtype=np.bool_)
        matrix, code = self._prepared(table, n_events)
        _evaluate(read_only(matrix), code, numbers, truths, passed)
        return passed, numbers, truths

    def _prepared(self, table: Array | Mapping[str, Array], n_events: int) -> tuple[Array, Code]:
        """Return the table as (N, V) float64, and the program for its columns."""
        if isinstance(table, np.ndarray):
            if self._code is None or self._code[0] is not table.dtype:
                fields = table.dtype.names or ()
                self._code = table.dtype, self._code_for([fields.index(name) for name in self._names])
            matrix = np.ascontiguousarray(table).view(np.float64)
            return matrix.reshape(n_events, len(table.dtype.names or ())), self._code[1]
        columns = [np.asarray(table[name], dtype=np.float64) for name in self._names]
        matrix = np.stack(columns, axis=1) if columns else np.empty((n_events, 0))
        return matrix, self._code_for(range(len(columns)))

    def _code_for(self, columns: Sequence[int]) -> Code:
        arrays = (self._constants, np.array(columns, dtype=np.int64), self._steps, self._results)
        return Code(*(read_only(array) for array in arrays))


def _collect(node: Node, kinds: dict[str, list[Node]]) -> None:
    """Add the numbers and names of a tree to the lists of their kind, each once."""
    if node[0] in kinds:
        if node not in kinds[node[0]]:
            kinds[node[0]].append(node)
    else:
        for part in node[1:]:
            _collect(part, kinds)


@kernel
def _almost_equal(x: float, y: float, x_bits: int, y_bits: int) -> bool:
    """Return whether two numbers are equal within two steps of their bit patterns; NaN is the same as NaN alone."""
    x_lacks, y_lacks, steps = math.isnan(x), math.isnan(y), x_bits - y_bits
    # Wraps for numbers of opposite sign, but never to within two: their patterns lie nearly 2**63 apart.
    is_near = (x == y) | ((steps >= -2) & (steps <= 2))
    return bool((is_near & (not x_lacks) & (not y_lacks)) | (x_lacks & y_lacks))


@kernel
def _evaluate(table: Array, code: Code, numbers: Array, truths: Array, passed: Array) -> None:
    n_events, n_constants = table.shape[0], code.constants.size
    for place in range(n_constants):
        numbers[place, :] = code.constants[place]
    bits = numbers.view(np.int64)
    for begin in range(0, n_events, numbers.shape[1]):
        n = min(numbers.shape[1], n_events - begin)
        for i in range(n):
            for k in range(code.columns.size):
                numbers[n_constants + k, i] = table[begin + i, code.columns[k]]
        for s in range(code.steps.shape[0]):
            kind, out = code.steps[s, 0], code.steps[s, 1]
            a, b = code.steps[s, 2], code.steps[s, 3]
            if kind == ADD:
                for i in range(n):
                    numbers[out, i] = numbers[a, i] + numbers[b, i]
            elif kind == SUBTRACT:
                for i in range(n):
                    numbers[out, i] = numbers[a, i] - numbers[b, i]
            elif kind == MULTIPLY:
                for i in range(n):
                    numbers[out, i] = numbers[a, i] * numbers[b, i]
            elif kind == DIVIDE:
                for i in range(n):
                    numbers[out, i] = numbers[a, i] / numbers[b, i]
            elif kind == POWER:
                for i in range(n):
                    numbers[out, i] = numbers[a, i] ** numbers[b, i]
            elif kind == NEGATIVE:
                for i in range(n):
                    numbers[out, i] = -numbers[a, i]
            elif kind == LESS:
                for i in range(n):
                    truths[out, i] = numbers[a, i] < numbers[b, i]
            elif kind == AT_MOST:
                for i in range(n):
                    truths[out, i] = numbers[a, i] <= numbers[b, i]
            elif kind == GREATER:
                for i in range(n):
                    truths[out, i] = numbers[a, i] > numbers[b, i]
            elif kind == AT_LEAST:
                for i in range(n):
                    truths[out, i] = numbers[a, i] >= numbers[b, i]
            elif kind == EQUAL:
                for i in range(n):
                    truths[out, i] = _almost_equal(numbers[a, i], numbers[b, i], bits[a, i], bits[b, i])
            elif kind == UNEQUAL:
                for i in range(n):
                    truths[out, i] = not _almost_equal(numbers[a, i], numbers[b, i], bits[a, i], bits[b, i])
            elif kind == TRUTH:
                for i in range(n):
                    truths[out, i] = numbers[a, i] != 0.0
            elif kind == AND:
                for i in range(n):
                    truths[out, i] = truths[a, i] & truths[b, i]
            elif kind == OR:
                for i in range(n):
                    truths[out, i] = truths[a, i] | truths[b, i]
            else:
                for i in range(n):
                    truths[out, i] = not truths[a, i]
        for i in range(n):
            for line in range(code.results.size):
                passed[begin + i, line] = truths[code.results[line], i]
