"""Tables of reconstructed events: ROOT trees (TTree, RNTuple) and Parquet, read the same way."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import uproot

from daq.errors import InputError
from daq.source.formats.parquet import open_parquet, parquet_chunks

_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


class Table(Protocol):
    """Columns by name, one entry an event."""

    @property
    def path(self) -> Path:
        """Where the table is from."""

    @property
    def names(self) -> Sequence[str]:
        """The columns it has."""

    def chunks(self, names: Sequence[str], count: int) -> Iterator[dict[str, ak.Array]]:
        """Yield these columns, at most ``count`` events at a time; raise `InputError` where they cannot be read."""


@dataclass(frozen=True, slots=True)
class RootTable:
    """A tree of a ROOT file."""

    path: Path
    names: Sequence[str]
    _tree: Any

    @classmethod
    def open(cls, path: Path, tree: str | None) -> RootTable:
        """Open ``tree``, or the only tree of the file; raise `InputError` if the file is cut or the choice is open."""
        # Hostile bytes make uproot raise errors of any kind, so all that happens while it reads is the file's fault.
        try:
            file = uproot.open(path)
            end, size = file.file.fEND, path.stat().st_size
            classes = file.classnames(cycle=False)
        except Exception as error:
            raise InputError(f"not a whole ROOT file: {_first_line(error)}", file=path) from None
        if end > size:
            raise InputError(f"cut short: {size} of {end} bytes", file=path)
        trees = [name for name, kind in classes.items() if kind in _TREES]
        if tree is None and len(trees) != 1:
            rule = f"choose one of the trees {', '.join(trees)}" if trees else "the file holds no tree"
            raise InputError(rule, file=path, key="[replay] tree")
        if tree is not None and tree not in trees:
            raise InputError(
                f"no such tree; the file has {', '.join(trees) or 'none'}", file=path, key="tree", value=tree
            )
        try:
            opened = file[tree or trees[0]]
            names = tuple(opened.keys())
        except Exception as error:
            raise InputError(f"the tree cannot be read: {_first_line(error)}", file=path) from None
        return cls(path, names, opened)

    def chunks(self, names: Sequence[str], count: int) -> Iterator[dict[str, ak.Array]]:
        """Yield these branches, at most ``count`` events at a time; raise `InputError` where they cannot be read."""
        for first in range(0, self._tree.num_entries, count):
            columns = {}
            for name in names:
                try:
                    columns[name] = self._tree[name].array(entry_start=first, entry_stop=first + count)
                except Exception as error:
                    raise InputError(f"cannot be read: {_first_line(error)}", file=self.path, key=name) from None
            yield columns


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A Parquet file."""

    path: Path
    names: Sequence[str]
    _file: pq.ParquetFile

    @classmethod
    def open(cls, path: Path) -> ParquetTable:
        """Open a file; raise `InputError` if it is no whole Parquet file."""
        file = open_parquet(path)
        return cls(path, tuple(file.schema_arrow.names), file)

    def chunks(self, names: Sequence[str], count: int) -> Iterator[dict[str, ak.Array]]:
        """Yield these columns, at most ``count`` events at a time; raise `InputError` where they cannot be read."""
        for table in parquet_chunks(self._file, self.path, list(names), count):
            arrays = ak.from_arrow(table)
            yield {name: arrays[name] for name in names}


def open_table(path: Path, tree: str | None) -> Table:
    """Open a ROOT or Parquet file by its name; raise `InputError` if it is not whole."""
    return RootTable.open(path, tree) if path.suffix.lower() == ".root" else ParquetTable.open(path)


def resolve(table: Table, wanted: str) -> str:
    """Return the column of that name; basf2's ROOT spelling of it serves too (``p(0)`` is ``p__bo0__bc``).

    Raises
    ------
    InputError
        If there is none, with the names nearest to it.
    """
    for name in (wanted, _root_spelling(wanted)):
        if name in table.names:
            return name
    close = difflib.get_close_matches(wanted, table.names, n=3, cutoff=0.4)
    hint = f"the nearest are {', '.join(close)}" if close else f"it has {', '.join(list(table.names)[:8])}"
    raise InputError(f"no such column; {hint}", file=table.path, key="[replay.columns]", value=wanted)


# Belle II public software, names of branches in VariablesToNtuple; only what occurs in names of variables.
_CODES = "sp cm cl eq st gt pt pl mi bo bc so sc mu sl"
_ESCAPES = str.maketrans({char: f"__{code}" for char, code in zip(" ,:=<>.+-()[]*/", _CODES.split(), strict=True)})


def _root_spelling(name: str) -> str:
    return name.translate(_ESCAPES)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def numbers(array: ak.Array, name: str, path: Path) -> tuple[list[Any], Any]:
    """Take a column apart: return (list lengths from the outside in, the values below all lists).

    Nulls become NaN, absent lists are empty, truth values and integers are numbers.

    Raises
    ------
    InputError
        If it does not hold numbers.
    """
    lengths = []
    array = ak.from_regular(array, axis=None)
    while array.ndim > 1:
        lengths.append(np.asarray(ak.fill_none(ak.num(array, axis=1), 0), dtype=np.int64))
        array = ak.flatten(array, axis=1)
    try:
        values = np.asarray(ak.to_numpy(ak.fill_none(array, np.nan)), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("must hold numbers, or lists of them", file=path, key=name, value=str(array.type)) from None
    return lengths, values
