"""Menus of the GDL as the experiment keeps them: three files, ``.inp``, ``.oup`` and ``.alg``, of one stem.

``.inp`` and ``.oup`` name the input and the output bits, an index and a name a line; indices may jump. A line of
``.alg`` is the logic of one output, in rising order of the output indices: products joined by ``+`` (or), each the
indices of inputs that are all 1 or, after ``!``, 0. An empty line is always true. Names beyond the last logic are
placeholders, ``oupNNN``. Bit numbers change from version to version, so all that leaves this file goes by name.

The files do not say which version they are. That the ``.alg`` is of another version than its ``.inp`` or ``.oup`` shows
where an index is beyond the inputs, or logics and names are not equally many; where all indices exist and the numbers
agree it cannot be seen.

Source: Belle II public software, GDL trigger simulation and its menus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from daq.errors import InputError
from triggers.gdl.ftdl import RESERVED, Product

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"oup[0-9]+")


class Triple(NamedTuple):
    """The content of the three files."""

    inputs: dict[int, str]
    """Index -> name of the input bits, rising."""
    outputs: dict[int, str]
    """Index -> name of the output bits, rising, with placeholders at the end."""
    sums: tuple[tuple[Product, ...], ...]
    """Logic of the first outputs, as many as there are lines in the ``.alg``; the empty product is always true."""

    @property
    def line_names(self) -> tuple[str, ...]:
        """Return the names of the outputs that have a logic."""
        return tuple(self.outputs.values())[: len(self.sums)]


def read_triple(alg: Path) -> Triple:
    """Return the menu of an ``.alg`` file and of the ``.inp`` and ``.oup`` beside it.

    Raises
    ------
    InputError
        If a file is missing or empty, a name or an index comes twice or is none, a logic names an input that is not
        there, an input is called like a word of the logic, or there are more logics than names, or more names than
        logics that are no placeholders. It names file, line and rule.
    """
    inputs, line_of = _read_names(alg.with_suffix(".inp"))
    for name in RESERVED.intersection(inputs.values()):
        rule = "a word of the logic, not a bit"
        raise InputError(rule, file=alg.with_suffix(".inp"), key=f"line {line_of[name]}", value=name)
    outputs, line_of = _read_names(alg.with_suffix(".oup"))
    lines = _lines_of(alg)
    sums = tuple(tuple(_products(text, inputs, alg, number)) for number, text in enumerate(lines, start=1))
    if len(lines) > len(outputs):
        key = f"line {len(outputs) + 1}"
        raise InputError(f"no name in {alg.with_suffix('.oup').name}, which has {len(outputs)}", file=alg, key=key)
    for name in list(outputs.values())[len(lines) :]:
        if not is_placeholder(name):
            rule = f"an output without a line in {alg.name}, which has {len(lines)}, must be a placeholder oupNNN"
            raise InputError(rule, file=alg.with_suffix(".oup"), key=f"line {line_of[name]}", value=name)
    return Triple(inputs=inputs, outputs=outputs, sums=sums)


def is_placeholder(name: str) -> bool:
    """Tell whether this is the name of an output that need not have a logic."""
    return _PLACEHOLDER.fullmatch(name) is not None


def write_triple(triple: Triple, alg: Path) -> None:
    """Write the three files of a menu; `read_triple` returns it again."""
    for suffix, names in ((".inp", triple.inputs), (".oup", triple.outputs)):
        text = "".join(f"{number} {name}\n" for number, name in names.items())
        alg.with_suffix(suffix).write_text(text, encoding="utf-8")
    index = {name: number for number, name in triple.inputs.items()}
    alg.write_text("".join(f"{_line(products, index)}\n" for products in triple.sums), encoding="utf-8")


def _line(products: tuple[Product, ...], index: dict[str, int]) -> str:
    if not products:  # never true: the format has no other word for it
        some = min(index.values())
        return f" {some} !{some}"
    if not all(products):
        return ""
    terms = (sorted((index[name], not on) for name, on in product) for product in products)
    return " " + " + ".join(" ".join(f"{'!' * inverted}{number}" for number, inverted in term) for term in terms)


def _lines_of(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("no such file", file=file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file=file) from None
    if not text:
        raise InputError("is empty", file=file)
    return text.removesuffix("\n").split("\n")


def _read_names(file: Path) -> tuple[dict[int, str], dict[int | str, int]]:
    """Return index -> name, rising, and the line of each index and name; blank lines say nothing."""
    line_of: dict[int | str, int] = {}  # of an index or a name
    names: dict[int, str] = {}
    for number, text in enumerate(_lines_of(file), start=1):
        if not (fields := text.split()):
            continue
        key = f"line {number}"
        if len(fields) != 2 or not _is_index(fields[0]) or not _NAME.fullmatch(fields[1]):
            raise InputError("must be an index, 0 or more, and a name", file=file, key=key, value=text)
        names[int(fields[0])] = fields[1]
        for what, entry in (("index", int(fields[0])), ("name", fields[1])):
            if entry in line_of:
                raise InputError(f"line {line_of[entry]} has this {what}", file=file, key=key, value=entry)
            line_of[entry] = number
    if not names:
        raise InputError("names no bit", file=file)
    return dict(sorted(names.items())), line_of


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _products(text: str, inputs: dict[int, str], file: Path, number: int) -> Iterator[Product]:
    """Yield the products of a line of an ``.alg`` file."""
    if not text.strip():
        yield frozenset()
        return
    for term in text.split("+"):
        literals = set()
        for token in term.split():
            digits = token.removeprefix("!")
            if not _is_index(digits):
                rule = "must be the index of an input, 0 or more, or '!' and such an index without a blank between"
                raise InputError(rule, file=file, key=f"line {number}", value=token)
            if int(digits) not in inputs:
                rule = f"no such input (the last one of {file.with_suffix('.inp').name} is {max(inputs)})"
                raise InputError(rule, file=file, key=f"line {number}", value=token)
            literals.add((inputs[int(digits)], token == digits))
        if not literals:
            raise InputError("nothing on one side of a '+'", file=file, key=f"line {number}", value=text.strip())
        yield frozenset(literals)
