"""What a menu sees: where each of its input bits comes from, and what the bits held constant do to its lines."""

from __future__ import annotations

import csv
import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from daq.settings import CONFIGS
from triggers.gdl.ftdl import Product, without
from triggers.gdl.menu import L1Menu
from triggers.inputs import INPUT_MEANINGS, QUIRKS, SUB_TRIGGERS, Quirks

_PLACEHOLDER = re.compile(r"inp[0-9]+")


class Origin(NamedTuple):
    """Where an input bit comes from."""

    sub_trigger: str
    meaning: str
    constant: str | None
    """Why it is always 0, None if it is computed."""


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
    """Other lines with a constant bit but ``veto``: parts of their logic are out of use."""


@functools.cache
def _not_computed() -> dict[str, Origin]:
    """Return the input bits of public menus that are not computed."""
    with (CONFIGS / "detector" / "l1_inputs_not_computed.csv").open(encoding="utf-8") as file:
        return {row.pop("name"): Origin(*row.values()) for row in csv.DictReader(file)}


def origin_of(name: str, quirks: Quirks = "belle2") -> Origin:
    """Return where an input bit comes from; any name, with the switch of `triggers.quirks`."""
    if name == "veto":
        return Origin("GDL", "injection veto", "it follows from the beam clock of a run, not from primitives")
    if name in INPUT_MEANINGS:
        meaning, quirk = INPUT_MEANINGS[name], QUIRKS.get(name)
        if quirk is None or quirks == "ideal":
            return Origin(SUB_TRIGGERS[name], meaning, None)
        if quirk.is_constant:
            return Origin(SUB_TRIGGERS[name], meaning, f"{quirk.belle2} ({quirk.source})")
        return Origin(SUB_TRIGGERS[name], f"{meaning}; in the public simulation: {quirk.belle2}", None)
    what = "placeholder" if _PLACEHOLDER.fullmatch(name) else "not known"
    return _not_computed().get(name, Origin("-", what, "no sub-trigger makes it here"))


def explain(menu: L1Menu, names: Iterable[str], quirks: Quirks = "belle2") -> Explanation:
    """Return what there is to say of the input bits ``names`` and of the lines of a menu."""
    users: dict[str, list[str]] = defaultdict(list)
    for line, products in zip(menu.lines, menu.sums, strict=True):
        for bit in sorted({bit for product in products for bit, _ in product}):
            users[bit].append(line.name)
    bits = [InputBit(name, *origin_of(name, quirks), tuple(users[name])) for name in dict.fromkeys(names)]
    zero = frozenset(bit.name for bit in bits if bit.constant) | frozenset(menu.absent)
    never, always, held = [], [], []
    for line, products in zip(menu.lines, menu.sums, strict=True):
        left = [product for product in without(products, zero) if _is_possible(product)]
        if not left:
            never.append(line.name)
        elif not all(left):
            always.append(line.name)
        elif any(bit in zero and bit != "veto" for product in products for bit, _ in product):
            held.append(line.name)
    return Explanation(tuple(bits), tuple(never), tuple(always), tuple(held))


def used_bits(menu: L1Menu) -> tuple[str, ...]:
    """Return the input bits that the lines of a menu use, in order of first use."""
    return tuple(dict.fromkeys(bit for products in menu.sums for product in products for bit, _ in sorted(product)))


def _is_possible(product: Product) -> bool:
    return not any((bit, not on) in product for bit, on in product)
