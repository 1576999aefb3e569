"""L1 menus: lines, each a logic on named bits with prescales, from a TOML file or a menu of the experiment's GDL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from daq.errors import InputError
from daq.settings import CONFIGS, parse, read_toml
from triggers.gdl import latency
from triggers.gdl.ftdl import LogicError, Product, Program, compile_program, sum_of_products, text_of, without
from triggers.gdl.settings import AUTO, ColumnSettings, LineSettings, MenuTables, TimingSettings
from triggers.gdl.toml_text import Places, written
from triggers.gdl.triple import Triple, is_placeholder, read_triple
from triggers.inputs import INPUT_NAMES

MENUS = CONFIGS / "menus" / "l1"


@dataclass(frozen=True, slots=True)
class L1Menu:
    """A menu that was checked: bits are resolved by name, once."""

    tables: MenuTables
    """What its file says."""
    sums: tuple[tuple[Product, ...], ...]
    """Logic of the lines as sums of products, the absent bits in them."""
    hash: int
    """uint64 xxh3 of all that decides: names, timing, absent bits, sums of products, prescales, in order of lines."""

    @property
    def name(self) -> str:
        """Return the name of the menu."""
        return self.tables.name

    @property
    def timing(self) -> TimingSettings:
        """Return how close accepts may follow each other, what is vetoed, and the latencies."""
        return self.tables.timing

    @property
    def lines(self) -> tuple[LineSettings, ...]:
        """Return the lines, in the order of the output words."""
        return self.tables.line

    @property
    def columns(self) -> tuple[ColumnSettings, ...]:
        """Return the sets of prescales, in the order of the file; none if each line has one prescale for all runs."""
        return self.tables.column

    @property
    def absent(self) -> tuple[str, ...]:
        """Return the input bits that the menu has and that are not computed: they are held at 0."""
        return self.tables.absent

    @property
    def prescale_by(self) -> str:
        """Return which events a prescale keeps: ``hash`` or ``counter``."""
        return self.tables.prescale_by

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
        return tuple(line for line, bits in _bits_of(self.tables, self.sums).items() if bits & absent)

    @property
    def slowest_path(self) -> tuple[str, latency.Path] | None:
        """Return the line whose accept takes longest, and its path; None if no line has an input."""
        return _slowest(self.tables, self.sums)

    def compile(self, names: Sequence[str]) -> Program:
        """Return the logic on planes of these input bits, in their order; bits that are not among them are 0."""
        known = set(names)
        used = {bit for products in self.sums for product in products for bit, _ in product}
        return compile_program([without(products, frozenset(used - known)) for products in self.sums], names)

    def choose(self, column: str | None, luminosity_cm2_s: float) -> str | None:
        """Return the name of a prescale column; None for a menu without columns.

        Without a name (None or ``auto``) it is the one of the smallest luminosity that is not below the given one;
        beyond the last, the last.

        Raises
        ------
        InputError
            If the menu has no column of this name.
        """
        if column not in (None, AUTO):
            self.prescales(column)
            return column
        rising = sorted(self.columns, key=lambda each: each.luminosity_cm2_s)
        enough = [each for each in rising if each.luminosity_cm2_s >= luminosity_cm2_s]
        return (enough or rising[-1:])[0].name if rising else None

    def prescales(self, column: str | None = None) -> tuple[int, ...]:
        """Return the prescale of each line in a column; 0 for a line that is switched off or masked.

        Raises
        ------
        InputError
            If the menu has no such column, or has columns and none is named.
        """
        names: list[str | None] = [each.name for each in self.columns] or [None]
        if column not in names:
            rule = f"menu {self.name} has no such prescale column (known: {', '.join(filter(None, names)) or 'none'})"
            raise InputError(rule, key="[l1] column", value=column)
        rows = (
            line.prescale if isinstance(line.prescale, tuple) else (line.prescale,) * len(names) for line in self.lines
        )
        return tuple(0 if line.masked else row[names.index(column)] for line, row in zip(self.lines, rows, strict=True))

    @staticmethod
    def load(name_or_path: str | Path) -> L1Menu:
        """Return the menu of a name under ``configs/menus/l1``, or of a path to a TOML file or a GDL menu (``.alg``).

        A GDL menu (see `triggers.gdl.triple`) has logic only: its lines have prescale 1, the timing is the default. It
        may name bits that are not computed; they are `absent`. A TOML menu must say which those are.

        Raises
        ------
        InputError
            If there is no such menu, or it has an unknown key, a line twice, an unknown bit, a bad logic, prescales
            that do not fit the columns, a path slower than the latency budget, ... It names file, line and rule.
        """
        path = _find(name_or_path)
        if path.suffix == ".alg":
            places, tables = Places(""), _tables_of_triple(path)
        else:
            content = read_toml(path)
            places = Places(path.read_text(encoding="utf-8"))
            tables = parse(content, MenuTables, file=path, place=places.before)
        _check_tables(tables, path, places)
        sums = tuple(_checked(tables, path, places))
        _check_latency(tables, sums, path, places)
        return L1Menu(
            tables=tables,
            sums=sums,
            hash=_hash(tables, sums),
        )


def to_toml(menu: L1Menu) -> str:
    """Return a menu as the text of a TOML file, which loads to the same menu; only remarks after a ``#`` are lost."""
    return written(menu.tables)


def to_triple(menu: L1Menu) -> Triple:
    """Return the logic of a menu for `write_triple`; that format has no prescales, timing or comments.

    A menu that came from a triple keeps its numbers and placeholders; input bits that it did not have follow after.
    """
    inputs, outputs = dict(menu.tables.inputs), dict(menu.tables.outputs)
    used = {bit for products in menu.sums for product in products for bit, _ in product}
    wanted = sorted(used - inputs.keys()) if inputs else (*INPUT_NAMES, *menu.absent)
    for bit in wanted:
        inputs[bit] = 1 + max(inputs.values(), default=-1)
    for place, line in enumerate(menu.line_names):
        outputs.setdefault(line, place)
    return Triple(
        inputs={index: name for name, index in sorted(inputs.items(), key=lambda item: item[1])},
        outputs={index: name for name, index in sorted(outputs.items(), key=lambda item: item[1])},
        sums=menu.sums,
    )


def _tables_of_triple(alg: Path) -> MenuTables:
    triple = read_triple(alg)
    lines = [
        {"name": name, "logic": text_of(products)}
        for name, products in zip(triple.line_names, triple.sums, strict=True)
    ]
    content = {
        "name": alg.stem,
        "absent": [name for name in triple.inputs.values() if name not in INPUT_NAMES],
        "inputs": {name: index for index, name in triple.inputs.items()},
        "outputs": {name: index for index, name in triple.outputs.items()},
        "line": lines,
    }
    return parse(content, MenuTables, file=alg)


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".toml", ".alg") or len(path.parts) > 1:
        return path
    if not (found := MENUS / f"{path}.toml").is_file():
        known = ", ".join(sorted(menu.stem for menu in MENUS.glob("*.toml")))
        raise InputError(f"no such L1 menu (known: {known})", value=str(path))
    return found


def _check_tables(tables: MenuTables, file: Path, places: Places) -> None:
    """Raise `InputError` for what the tables say that cannot be; the logic comes later."""

    def wrong(rule: str, *keys: str | int, value: object) -> InputError:
        *table, key = keys
        where = f"[{'.'.join(str(part) for part in table)}] {key}" if table else str(key)
        return InputError(rule, file=file, key=places.before(keys) + where, value=value)

    if not tables.line:
        raise wrong("a menu has at least one line", "line", value=())
    if computed := [name for name in tables.absent if name in INPUT_NAMES]:
        raise wrong("this bit is computed, it is not absent", "absent", value=computed[0])
    for what, key, values in (
        ("column", "name", [column.name for column in tables.column]),
        ("column", "luminosity_cm2_s", [column.luminosity_cm2_s for column in tables.column]),
        ("line", "name", [line.name for line in tables.line]),
    ):
        for place, value in enumerate(values):
            if value in values[:place]:
                raise wrong(f"another {what} has this {key.split('_')[0]}", what, place, key, value=value)
    for place, line in enumerate(tables.line):
        if isinstance(line.prescale, tuple) and len(line.prescale) != len(tables.column):
            rule = f"must be one number, or one for each of the {len(tables.column)} columns"
            raise wrong(rule, "line", place, "prescale", value=list(line.prescale))
    for what, table in (("inputs", tables.inputs), ("outputs", tables.outputs)):
        seen: dict[int, str] = {}
        for name, index in table.items():
            if index in seen:
                raise wrong(f"{seen[index]} has this index", what, name, value=index)
            seen[index] = name
    if tables.outputs:
        lines = [line.name for line in tables.line]
        rising = sorted(tables.outputs, key=lambda name: tables.outputs[name])
        if rising[: len(lines)] != lines:
            raise wrong("must number the lines, rising in their order, before any other name", "outputs", value=None)
        if others := [name for name in rising[len(lines) :] if not is_placeholder(name)]:
            rule = "is no line, so its name must be a placeholder oupNNN"
            raise wrong(rule, "outputs", others[0], value=tables.outputs[others[0]])


def _checked(tables: MenuTables, file: Path, places: Places) -> Iterator[tuple[Product, ...]]:
    """Yield the sum of products of each line."""
    names = (*INPUT_NAMES, *tables.absent)
    for number, line in enumerate(tables.line):
        try:
            yield sum_of_products(line.logic, names)
        except LogicError as error:
            at = error.column - 1
            marked = " ".join(f"{line.logic[:at]}^{line.logic[at:]}".split())
            key = f"{places.before(('line', number, 'logic'))}[line.{number}] logic"
            raise InputError(str(error), file=file, key=key, value=marked) from None


def _bits_of(tables: MenuTables, sums: tuple[tuple[Product, ...], ...]) -> dict[str, set[str]]:
    """Return line -> input bits of its logic."""
    return {
        line.name: {bit for product in products for bit, _ in product}
        for line, products in zip(tables.line, sums, strict=True)
    }


def _slowest(tables: MenuTables, sums: tuple[tuple[Product, ...], ...]) -> tuple[str, latency.Path] | None:
    paths = latency.slowest_paths(_bits_of(tables, sums), tables.timing.latency)
    return max(paths.items(), key=lambda item: item[1].total_ns, default=None)


def _check_latency(tables: MenuTables, sums: tuple[tuple[Product, ...], ...], file: Path, places: Places) -> None:
    slowest, budget_ns = _slowest(tables, sums), tables.timing.latency.budget_ns
    if slowest is not None and slowest[1].total_ns > budget_ns:
        line, path = slowest
        number = [each.name for each in tables.line].index(line)
        key = f"{places.before(('line', number, 'name'))}[line.{number}] name"
        rule = f"input {path.bit} takes {path}, the latency budget is {budget_ns} ns"
        raise InputError(rule, file=file, key=key, value=line)


def _hash(tables: MenuTables, sums: tuple[tuple[Product, ...], ...]) -> int:
    used = {bit for products in sums for product in products for bit, _ in product}
    content = {
        "name": tables.name,
        "absent": sorted(used & set(tables.absent)),
        "timing": tables.timing.model_dump(exclude={"latency"}),
        "prescale_by": tables.prescale_by,
        "columns": [[column.name, column.luminosity_cm2_s] for column in tables.column],
        "lines": [
            [line.name, line.prescale, line.masked, [sorted(product) for product in products]]
            for line, products in zip(tables.line, sums, strict=True)
        ],
    }
    return int(xxhash.xxh3_64_intdigest(json.dumps(content, sort_keys=True).encode()))
