"""Prescale columns: sets of prescales of one menu, each for runs up to some luminosity.

Words and rules are the same for both trigger levels: a line has one prescale, or one for each column; a run names its
column, or ``auto`` takes the one of the smallest luminosity that is not below that of the run (beyond the last, the
last).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from daq.errors import InputError
from daq.settings import Settings

AUTO = "auto"
MAX_PRESCALE = 2**32 - 1
"""Prescales are unsigned 32-bit numbers in the experiment."""


class ColumnSettings(Settings):
    """One set of prescales, for runs of up to some luminosity."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
    """Name of the column."""
    luminosity_cm2_s: float = Field(gt=0, allow_inf_nan=False)
    """Highest luminosity that the column is made for [cm-2 s-1]."""
    comment: str = ""
    """What it is for, what it gives."""

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name == AUTO:
            raise ValueError("is the word for choosing by luminosity")
        return name


def _are_whole(value: Any) -> Any:
    """Say what is wrong in one line, where a union of types would say it for each of them."""
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(type(number) is int and 0 <= number <= MAX_PRESCALE for number in numbers):
        raise ValueError("must be a whole number from 0 to 2**32 - 1, or a list of them, one for each column")
    return value


Prescale = Annotated[int | tuple[int, ...], BeforeValidator(_are_whole)]
"""Keep one in so many, 0 none: one number, or one for each column."""


def check_columns(columns: Sequence[ColumnSettings], prescales: Sequence[tuple[str, int | tuple[int, ...]]]) -> None:
    """Raise `ValueError` unless the columns differ and each (line, prescale) has one number, or one for each column."""
    for what, values in (
        ("name", [column.name for column in columns]),
        ("luminosity", [column.luminosity_cm2_s for column in columns]),
    ):
        twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
        if twice is not None:
            raise ValueError(f"two columns have the {what} {twice}")
    for line, prescale in prescales:
        if isinstance(prescale, tuple) and len(prescale) != len(columns):
            raise ValueError(f"line {line} has {len(prescale)} prescales, the menu has {len(columns)} columns")


def choose_column(
    columns: Sequence[ColumnSettings], column: str | None, luminosity_cm2_s: float, *, level: str
) -> str | None:
    """Return the name of the column in force; None for a menu without columns.

    Without a name (None or ``auto``) it is the one of the smallest luminosity that is not below the given one; beyond
    the last, the last.

    Raises
    ------
    InputError
        If there is no column of this name; it names the key of this trigger level ("l1" or "hlt").
    """
    if column not in (None, AUTO):
        _place_of(columns, column, level)
        return column
    rising = sorted(columns, key=lambda each: each.luminosity_cm2_s)
    enough = [each for each in rising if each.luminosity_cm2_s >= luminosity_cm2_s]
    return (enough or rising[-1:])[0].name if rising else None


def prescales_in(
    columns: Sequence[ColumnSettings], column: str | None, prescales: Sequence[int | tuple[int, ...]], *, level: str
) -> tuple[int, ...]:
    """Return the prescale of each line in a column.

    Raises
    ------
    InputError
        If there is no column of this name, or there are columns and none is named.
    """
    place = _place_of(columns, column, level)
    return tuple(prescale[place] if isinstance(prescale, tuple) else prescale for prescale in prescales)


def _place_of(columns: Sequence[ColumnSettings], column: str | None, level: str) -> int:
    names: list[str | None] = [each.name for each in columns] or [None]
    if column not in names:
        rule = f"no such prescale column (known: {', '.join(filter(None, names)) or 'none'})"
        raise InputError(rule, key=f"[{level}] column", value=column)
    return names.index(column)
