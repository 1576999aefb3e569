"""L1 menus: lines, each a logic on named bits with a prescale, from a TOML file or a menu of the experiment's GDL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash
from pydantic import Field

from daq.errors import InputError
from daq.settings import CONFIGS, Settings, load, parse
from triggers.gdl.ftdl import RESERVED, LogicError, Product, Program, compile_program, sum_of_products, text_of, without
from triggers.gdl.triple import Triple, read_triple
from triggers.inputs import INPUT_NAMES

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
    """When it fires; for the grammar see `triggers.gdl.ftdl`."""
    prescale: int = Field(default=1, ge=0, le=2**32)
    """Keep one in so many; 0 switches the line off."""
    comment: str = ""
    """What the line is for, where it is from, why it is prescaled."""


class MenuTables(Settings):
    """The TOML file of a menu."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the menu."""
    absent: tuple[str, ...] = ()
    """Input bits that are not computed and that the lines may name all the same: they are held at 0."""
    timing: TimingSettings = TimingSettings()
    line: tuple[LineSettings, ...]
    """The lines, at least one; their order is that of the output bits."""


@dataclass(frozen=True, slots=True)
class L1Menu:
    """A menu that was checked and compiled: bits are resolved by name, once."""

    name: str
    timing: TimingSettings
    lines: tuple[LineSettings, ...]
    sums: tuple[tuple[Product, ...], ...]
    """Logic of the lines as sums of products, the absent bits in them."""
    absent: tuple[str, ...]
    """Input bits that the menu has and that are not computed: they are held at 0."""
    program: Program
    hash: int
    """uint64 xxh3 of all that decides: names, timing, absent bits, sums of products, prescales, in order of lines."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """Return the names of the input bits, in the order of the input words."""
        return INPUT_NAMES

    @property
    def line_names(self) -> tuple[str, ...]:
        """Return the names of the lines, in the order of the output words."""
        return tuple(line.name for line in self.lines)

    @property
    def held_lines(self) -> tuple[str, ...]:
        """Return the names of the lines whose logic has an absent bit."""
        absent = set(self.absent)
        uses = (any(bit in absent for product in products for bit, _ in product) for products in self.sums)
        return tuple(line.name for line, is_held in zip(self.lines, uses, strict=True) if is_held)

    @staticmethod
    def load(name_or_path: str | Path) -> L1Menu:
        """Return the menu of a name under ``configs/menus/l1``, or of a path to a TOML file or a GDL menu (``.alg``).

        A GDL menu (see `triggers.gdl.triple`) has logic only: its lines have prescale 1, the timing is the default. It
        may name bits that are not computed; they are `absent`. A TOML menu must say which those are.

        Raises
        ------
        InputError
            If there is no such menu, or it has an unknown key, a line twice, an unknown bit, a bad logic, ...
        """
        path = _find(name_or_path)
        tables = _tables_of_triple(path) if path.suffix == ".alg" else load(path, MenuTables)
        if computed := [name for name in tables.absent if name in INPUT_NAMES]:
            raise InputError("this bit is computed, it is not absent", file=path, key="absent", value=computed[0])
        sums = tuple(_checked(tables, path))
        absent = frozenset(tables.absent)
        return L1Menu(
            name=tables.name,
            timing=tables.timing,
            lines=tables.line,
            sums=sums,
            absent=tables.absent,
            program=compile_program([without(products, absent) for products in sums], INPUT_NAMES),
            hash=_hash(tables, sums),
        )


def to_toml(menu: L1Menu) -> str:
    """Return a menu as the text of a TOML file, which loads to the same hash."""
    tables = [f"name = {_quoted(menu.name)}"]
    if menu.absent:
        tables.append("\n".join(["absent = [", *(f"  {_quoted(name)}," for name in menu.absent), "]"]))
    tables.append(f"[timing]\nminimum_spacing_ns = {menu.timing.minimum_spacing_ns}")
    for line in menu.lines:
        entries = [f"name = {_quoted(line.name)}", f"logic = {_quoted(line.logic)}", f"prescale = {line.prescale}"]
        if line.comment:
            entries.append(f"comment = {_quoted(line.comment)}")
        tables.append("\n".join(["[[line]]", *entries]))
    return "\n\n".join(tables) + "\n"


def to_triple(menu: L1Menu) -> Triple:
    """Return the logic of a menu for `write_triple`; that format has no prescales, timing or comments."""
    return Triple(
        inputs=dict(enumerate((*INPUT_NAMES, *menu.absent))), outputs=dict(enumerate(menu.line_names)), sums=menu.sums
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # what TOML escapes and JSON does not


def _tables_of_triple(alg: Path) -> MenuTables:
    triple = read_triple(alg)
    inputs = tuple(triple.inputs.values())
    if reserved := [name for name in inputs if name in RESERVED]:
        raise InputError("a word of the logic, not a bit", file=alg.with_suffix(".inp"), value=reserved[0])
    lines = [
        {"name": name, "logic": text_of(products)}
        for name, products in zip(triple.line_names, triple.sums, strict=True)
    ]
    absent = [name for name in inputs if name not in INPUT_NAMES]
    return parse({"name": alg.stem, "absent": absent, "line": lines}, MenuTables, file=alg)


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".toml", ".alg") or len(path.parts) > 1:
        return path
    if not (found := MENUS / f"{path}.toml").is_file():
        known = ", ".join(sorted(menu.stem for menu in MENUS.glob("*.toml")))
        raise InputError(f"no such L1 menu (known: {known})", value=str(path))
    return found


def _checked(tables: MenuTables, file: Path) -> Iterator[tuple[Product, ...]]:
    """Yield the sum of products of each line."""
    names = (*INPUT_NAMES, *tables.absent)
    if not tables.line:
        raise InputError("a menu has at least one line", file=file, key="line")
    seen: set[str] = set()
    for number, line in enumerate(tables.line):
        if line.name in seen:
            raise InputError("another line has this name", file=file, key=f"[line.{number}] name", value=line.name)
        seen.add(line.name)
        try:
            yield sum_of_products(line.logic, names)
        except LogicError as error:
            at = error.column - 1
            marked = " ".join(f"{line.logic[:at]}^{line.logic[at:]}".split())
            raise InputError(str(error), file=file, key=f"[line.{number}] logic", value=marked) from None


def _hash(tables: MenuTables, sums: tuple[tuple[Product, ...], ...]) -> int:
    used = {bit for products in sums for product in products for bit, _ in product}
    content = {
        "name": tables.name,
        "absent": sorted(used & set(tables.absent)),
        "timing": tables.timing.model_dump(),
        "lines": [
            [line.name, line.prescale, [sorted(product) for product in products]]
            for line, products in zip(tables.line, sums, strict=True)
        ],
    }
    return int(xxhash.xxh3_64_intdigest(json.dumps(content, sort_keys=True).encode()))
