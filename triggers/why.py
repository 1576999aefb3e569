"""Why a line fired on one event, or did not: its input bits, its products, its prescale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daq.event import Array
from triggers.bits import words_of
from triggers.gdl.settings import LineSettings
from triggers.inputs import INPUT_NAMES
from triggers.lines import MenuLines


@dataclass(frozen=True, slots=True)
class Literal:
    """A bit in a product, and whether it is as the product wants it."""

    bit: str
    wanted: bool
    holds: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one line of a menu, and the other lines, say of one event."""

    line: LineSettings
    prescale: int
    """That of the prescale column in use."""
    bits: dict[str, bool]
    """Values of the input bits that the logic of the line uses."""
    held: tuple[str, ...]
    """Those of them that are not computed: they are 0 in every event."""
    products: tuple[tuple[Literal, ...], ...]
    """The products of which one must hold wholly; of no literal: always true."""
    fired: bool
    """One product holds."""
    kept: bool
    """The prescale keeps this event, if the line fires."""
    raw_lines: tuple[str, ...]
    """Lines of the menu whose logic is true."""
    accepting_lines: tuple[str, ...]
    """Those of them that the prescale left; any of them is an L1 accept."""

    @property
    def accepted(self) -> bool:
        """Tell whether the line accepts the event."""
        return self.fired and self.kept


def explain(lines: MenuLines, name: str, inputs: Array, run: Array, event: Array) -> Explanation:
    """Return why the line ``name`` fired on an event, or did not.

    Parameters
    ----------
    lines : MenuLines
        The menu, with the prescales in use.
    name : str
        A line of the menu.
    inputs : (inputs, 1) uint64
        Planes of the input bits of this one event, by `INPUT_NAMES`.
    run, event : (1,)
        Its run and event number, which decide on the prescale.
    """
    menu = lines.menu
    place = menu.line_names.index(name)
    value = {bit: bool(plane[0] & np.uint64(1)) for bit, plane in zip(INPUT_NAMES, inputs, strict=True)}
    products = tuple(
        tuple(Literal(bit, wanted, value.get(bit, False) is wanted) for bit, wanted in sorted(product))
        for product in menu.sums[place]
    )
    used = dict.fromkeys(literal.bit for product in products for literal in product)
    decisions = lines.decide(inputs, run, event)
    return Explanation(
        line=menu.lines[place],
        prescale=lines.prescales[place],
        bits={bit: value.get(bit, False) for bit in used},
        held=tuple(bit for bit in used if bit in menu.absent),
        products=products,
        fired=any(all(literal.holds for literal in product) for product in products),
        kept=bool(lines.keeps(run, event)[place, 0]),
        raw_lines=_set_lines(decisions.raw, menu.line_names),
        accepting_lines=_set_lines(decisions.accepted, menu.line_names),
    )


def _set_lines(planes: Array, names: tuple[str, ...]) -> tuple[str, ...]:
    (word,) = words_of(planes, 1)
    return tuple(name for i, name in enumerate(names) if word[i // 64] >> np.uint64(i % 64) & np.uint64(1))
