"""What a menu sees: where each of its input bits comes from, and what the bits held constant do to its lines."""

from __future__ import annotations

import csv
import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from daq.settings import CONFIGS
from triggers import inputs
from triggers.gdl.ftdl import Product, without
from triggers.gdl.menu import L1Menu
from triggers.inputs import INPUT_NAMES

_CONSTANT: dict[str, str] = {"veto": "made from the beam clock of a run, not from primitives"} | getattr(
    inputs, "CONSTANT_INPUTS", {}
)
_UNKNOWN = "no sub-trigger makes it here"
_PLACEHOLDER = re.compile(r"inp[0-9]+")


class InputBit(NamedTuple):
    """One input bit of a menu."""

    name: str
    sub_trigger: str
    meaning: str
    constant: str | None
    """Why it is always 0, None if it is computed."""
    lines: tuple[str, ...]
    """Lines whose logic it is in."""


class Explanation(NamedTuple):
    """A menu and its input bits."""

    inputs: tuple[InputBit, ...]
    never: tuple[str, ...]
    """Lines that can never fire, because of constant bits."""
    always: tuple[str, ...]
    """Lines that always fire, because of constant bits or because the menu says so."""
    held: tuple[str, ...]
    """Other lines with a bit that is not computed: parts of their logic are out of use."""


@functools.cache
def known_bits() -> dict[str, tuple[str, str]]:
    """Return name -> (sub-trigger, meaning) of the input bits of public menus."""
    with (CONFIGS / "detector" / "l1_input_bits.csv").open(encoding="utf-8") as file:
        return {row["name"]: (row["sub_trigger"], row["meaning"]) for row in csv.DictReader(file)}


def why_constant(name: str) -> str | None:
    """Return why an input bit is always 0 on a file, None if it is computed."""
    return _CONSTANT.get(name) or (None if name in INPUT_NAMES else _UNKNOWN)


def explain(menu: L1Menu, names: Iterable[str]) -> Explanation:
    """Return what there is to say of the input bits ``names`` and of the lines of a menu."""
    users: dict[str, list[str]] = defaultdict(list)
    for line, products in zip(menu.lines, menu.sums, strict=True):
        for bit in sorted({bit for product in products for bit, _ in product}):
            users[bit].append(line.name)
    bits = []
    for name in dict.fromkeys(names):
        unknown = ("-", "placeholder" if _PLACEHOLDER.fullmatch(name) else "not known")
        sub_trigger, meaning = known_bits().get(name, unknown)
        bits.append(InputBit(name, sub_trigger, meaning, why_constant(name), tuple(users[name])))
    zero = frozenset(bit.name for bit in bits if bit.constant) | frozenset(menu.absent)
    never, always = [], []
    for line, products in zip(menu.lines, menu.sums, strict=True):
        left = [product for product in without(products, zero) if _is_possible(product)]
        if not left:
            never.append(line.name)
        elif not all(left):
            always.append(line.name)
    held = tuple(name for name in menu.held_lines if name not in never and name not in always)
    return Explanation(tuple(bits), tuple(never), tuple(always), held)


def used_bits(menu: L1Menu) -> tuple[str, ...]:
    """Return the input bits that the lines of a menu use, in order of first use."""
    return tuple(dict.fromkeys(bit for products in menu.sums for product in products for bit, _ in sorted(product)))


def _is_possible(product: Product) -> bool:
    return not any((bit, not on) in product for bit, on in product)
