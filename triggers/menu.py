"""L1 menus: TOML files of lines, each a logic on named bits with a prescale."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash
from pydantic import Field

from daq.errors import InputError
from daq.settings import CONFIGS, Settings, load
from triggers.cdc import CDC_NAMES
from triggers.ecl import ECL_NAMES
from triggers.ftdl import LogicError, Product, Program, compile_program, sum_of_products
from triggers.klm import KLM_NAMES

INPUT_NAMES: tuple[str, ...] = (*ECL_NAMES, *CDC_NAMES, *KLM_NAMES, "veto")
"""The input bits that are computed, in the order of the input words; ``veto``, of injections, is always 0 so far."""

MENUS = CONFIGS / "menus" / "l1"


class TimingSettings(Settings):
    """How close L1 accepts may follow each other."""

    minimum_spacing_ns: int = Field(default=200, ge=0, le=10**9)
    """Minimum spacing of accepts [ns]; unknown in public sources, quoted as about 190 to 200 ns."""


class LineSettings(Settings):
    """One line of the menu."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """Name of the output bit."""
    logic: str
    """When it fires; for the grammar see `triggers.ftdl`."""
    prescale: int = Field(default=1, ge=0, le=2**32)
    """Keep one in so many; 0 switches the line off."""
    comment: str = ""
    """What the line is for, where it is from, why it is prescaled."""


class MenuTables(Settings):
    """The TOML file of a menu."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the menu."""
    timing: TimingSettings = TimingSettings()
    line: tuple[LineSettings, ...]
    """The lines, at least one; their order is that of the output bits."""


@dataclass(frozen=True, slots=True)
class L1Menu:
    """A menu that was checked and compiled: bits are resolved by name, once."""

    name: str
    timing: TimingSettings
    lines: tuple[LineSettings, ...]
    program: Program
    hash: int
    """uint64 xxh3 of all that decides: names, timing, sums of products and prescales, in this order of lines."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """Return the names of the input bits, in the order of the input words."""
        return INPUT_NAMES

    @property
    def line_names(self) -> tuple[str, ...]:
        """Return the names of the lines, in the order of the output words."""
        return tuple(line.name for line in self.lines)

    @staticmethod
    def load(name_or_path: str | Path) -> L1Menu:
        """Return the menu of a name under ``configs/menus/l1`` or of a path to a TOML file.

        Raises
        ------
        InputError
            If there is no such menu, or it has an unknown key, a line twice, an unknown bit, a bad logic, ...
        """
        path = _find(name_or_path)
        tables = load(path, MenuTables)
        sums = tuple(_checked(tables.line, path))
        return L1Menu(
            name=tables.name,
            timing=tables.timing,
            lines=tables.line,
            program=compile_program(sums, INPUT_NAMES),
            hash=_hash(tables, sums),
        )


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if not (found := MENUS / f"{path}.toml").is_file():
        known = ", ".join(sorted(menu.stem for menu in MENUS.glob("*.toml")))
        raise InputError(f"no such L1 menu (known: {known})", value=str(path))
    return found


def _checked(lines: tuple[LineSettings, ...], file: Path) -> Iterator[tuple[Product, ...]]:
    """Yield the sum of products of each line."""
    if not lines:
        raise InputError("a menu has at least one line", file=file, key="line")
    seen: set[str] = set()
    for number, line in enumerate(lines):
        if line.name in seen:
            raise InputError("another line has this name", file=file, key=f"[line.{number}] name", value=line.name)
        seen.add(line.name)
        try:
            yield sum_of_products(line.logic, INPUT_NAMES)
        except LogicError as error:
            at = error.column - 1
            marked = " ".join(f"{line.logic[:at]}^{line.logic[at:]}".split())
            raise InputError(str(error), file=file, key=f"[line.{number}] logic", value=marked) from None


def _hash(tables: MenuTables, sums: tuple[tuple[Product, ...], ...]) -> int:
    content = {
        "name": tables.name,
        "timing": tables.timing.model_dump(),
        "lines": [
            [line.name, line.prescale, [sorted(product) for product in products]]
            for line, products in zip(tables.line, sums, strict=True)
        ],
    }
    return int(xxhash.xxh3_64_intdigest(json.dumps(content, sort_keys=True).encode()))
