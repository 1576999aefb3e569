"""`darkline trigger l1`: the bits of the Level-1 trigger for the events of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from daq.errors import InputError
from daq.jit import Array, read_only
from daq.settings import BeamSettings
from triggers.ecl.cells import EclTable
from triggers.files.bits import read_planes, writing
from triggers.files.primitives import columns_of, primitives_of
from triggers.files.tables import EVENT_NUMBERS, Rows, Table, find_files, open_table, read_rows
from triggers.files.values import numbers, whole
from triggers.gdl.menu import L1Menu
from triggers.input_bits import used_bits
from triggers.inputs import INPUT_NAMES, Quirks, input_planes
from triggers.lines import MenuLines

Bits = Literal["inputs", "ftdl", "psnm"]
ROWS = 16_384  # read at a time
BEAM = BeamSettings()
_KEPT = ("run", *EVENT_NUMBERS)


class Input(Protocol):
    """Where the input bits come from: made from primitives, or read."""

    names: tuple[str, ...]
    """The bits."""

    def columns(self, table: Table) -> Sequence[str]:
        """Return the columns of a file that are needed; raise `InputError` if it does not have them."""

    def planes(self, rows: Rows) -> Array:
        """Return the planes of ``names``; raise `InputError` if the rows are wrong."""


class FromPrimitives:
    """Input bits made from trigger primitives."""

    names = INPUT_NAMES

    def __init__(self, quirks: Quirks):
        self._table, self._quirks = EclTable.for_beams(BEAM), quirks

    def columns(self, table: Table) -> Sequence[str]:
        """Return the primitives that the file has."""
        return columns_of(table.schema.names, table.path)

    def planes(self, rows: Rows) -> Array:
        """Return the planes of all computed bits."""
        columns, ready = primitives_of(rows)
        planes, malformed = input_planes(columns, rows.size, self._table, quirks=self._quirks, ready=ready)
        assert not malformed.any()  # what is malformed was refused, with its row and value
        return planes


class FromBits:
    """Input bits read from columns of their names; all that the lines of the menu use must be there."""

    def __init__(self, menu: L1Menu):
        self.names = (*INPUT_NAMES, *menu.absent)
        self._used = used_bits(menu)

    def columns(self, table: Table) -> Sequence[str]:
        """Return the input bits of the menu that the file has."""
        given = [name for name in self.names if name in table.schema.names]
        missing = [name for name in self._used if name not in given]
        if missing:
            some = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
            raise InputError(f"lacks columns of input bits that lines of the menu use: {some}", file=table.path)
        if not given:
            raise InputError("has no column of an input bit of the menu", file=table.path)
        return given

    def planes(self, rows: Rows) -> Array:
        """Return the planes of the bits; what the file does not have, no line uses."""
        return read_planes(rows, self.names)


def event_numbers(rows: Rows, first_row: int) -> tuple[Array, Array]:
    """Return run and event number of rows, as the prescales take them; without such columns 0 and the row number.

    Raises
    ------
    InputError
        If a column holds anything but whole numbers in range.
    """
    name = next((name for name in EVENT_NUMBERS if rows.has(name)), None)
    if name is None:
        event = np.arange(first_row, first_row + rows.size, dtype=np.uint64)
    else:
        event = numbers(rows, rows[name], name, whole("<u8", 0, 2**64 - 1))
    run = (
        numbers(rows, rows["run"], "run", whole("<u4", 0, 2**32 - 1)) if rows.has("run") else np.zeros(rows.size, "<u4")
    )
    return read_only(run), read_only(event)


def trigger_l1(
    paths: Sequence[Path],
    out: Path,
    menu: L1Menu,
    *,
    bits: Bits = "psnm",
    from_bits: bool = False,
    column: str | None = None,
    quirks: Quirks = "belle2",
    seed: int = 1,
    rows_at_once: int = ROWS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the bits of the events of files to ``out``, one boolean column a bit, rows in the order of the files.

    Parameters
    ----------
    paths : sequence of Path
        Files with primitives or with input bits, or folders with such files.
    out : Path
        Parquet file; the columns ``run``, ``event`` and ``event_id`` of the input are kept before the bits.
    menu : L1Menu
        The menu.
    bits : "inputs", "ftdl" or "psnm"
        The input bits, or the lines before or after prescale and mask.
    from_bits : bool
        The files have input bits.
    column : str, optional
        Prescale column of the menu; by default that of the default luminosity.
    quirks : "belle2" or "ideal"
        See `triggers.inputs`.
    seed : int
        Seed of the prescales.
    rows_at_once : int
        Rows to read at a time; no bit depends on it.
    progress : function of (done, total), optional
        Called after each of these.

    Returns
    -------
    dict
        What was done: files, events, menu, and how often each bit is set.

    Raises
    ------
    InputError
        If anything is wrong with a file; then ``out`` is as it was.
    """
    if from_bits and bits == "inputs":
        raise InputError("with --from-bits the file has the input bits already", key="--bits", value=bits)
    files = find_files(paths)
    if not files:
        raise InputError("give at least one file", key="INPUT")
    _must_be_another_file(out, files)
    source: Input = FromBits(menu) if from_bits else FromPrimitives(quirks)
    lines = MenuLines(menu, seed=seed, column=menu.choose(column, BEAM.luminosity_cm2_s), names=source.names)
    # Bits that are not computed stand behind the others, at 0.
    names = (*INPUT_NAMES, *menu.absent) if bits == "inputs" else menu.line_names
    wanted, total = [], 0
    for file in files:  # what is wrong with the columns of the last file shows before the first is read
        table = open_table(file)
        wanted.append((*_KEPT, *source.columns(table)))
        total += table.size or 0
    counts = np.zeros(len(names), dtype=np.int64)
    counters = np.zeros(len(menu.lines), dtype=np.int64)  # of prescales by counter, through all files
    done = 0
    with writing(out, names) as writer:
        for rows in _all_rows(files, wanted, rows_at_once):
            planes = source.planes(rows)
            if bits == "inputs":
                planes = np.pad(planes, ((0, len(names) - len(planes)), (0, 0)))
            else:
                planes = lines.raw(planes, rows.size)
            if bits == "psnm":
                planes = lines.prescaled(planes, *event_numbers(rows, done), counters)
            writer.write(rows, [name for name in _KEPT if rows.has(name)], planes)
            counts += np.bitwise_count(planes).sum(axis=1, dtype=np.int64)
            done += rows.size
            progress(done, max(done, total))
    return {
        "files": [str(file) for file in files],
        "out": str(out),
        "events": done,
        "menu": menu.name,
        "menu_hash": f"{menu.hash:016x}",
        "column": lines.column,
        "bits": bits,
        "set": dict(zip(names, counts.tolist(), strict=True)),
    }


def _all_rows(files: Sequence[Path], wanted: Sequence[Sequence[str]], count: int) -> Iterator[Rows]:
    for file, names in zip(files, wanted, strict=True):
        yield from read_rows(open_table(file), names, count)  # opened one at a time: each holds what it read last


def _must_be_another_file(out: Path, files: Sequence[Path]) -> None:
    if out.is_dir() or not out.parent.is_dir():
        raise InputError("is a folder; give a file" if out.is_dir() else "its folder does not exist", file=out)
    if out.exists() and any(file.exists() and out.samefile(file) for file in files):
        raise InputError("would overwrite the input", file=out, key="--out")
