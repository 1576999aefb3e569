"""Columns to arrays of checked numbers; what cannot be is an `InputError` that names row, event, value and rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from daq.errors import InputError
from daq.jit import Array
from triggers.files.tables import Rows


class Field(NamedTuple):
    """What the numbers of a column may be."""

    dtype: str | None
    """Type of the array; None keeps float32 and makes float64 of all else."""
    low: float
    high: float
    rule: str


def whole(dtype: str, low: int, high: int) -> Field:
    """Return the field of whole numbers from ``low`` to ``high``."""
    return Field(dtype, low, high, f"must be a whole number from {low} to {high}")


_FLAG = Field("?", 0, 1, "must be true or false (1 or 0)")


def numbers(rows: Rows, array: Any, key: str, field: Field, offsets: Array | None = None) -> Array:
    """Return the values of an Arrow array, which may be of any integer or float type.

    ``offsets`` say which row each value is of, if it is not one a row; they are to count within these rows.

    Raises
    ------
    InputError
        If it holds no numbers, a null, or a value that the field cannot have.
    """
    must_be_numbers(rows, array, key)
    refuse_nulls(rows, array, key, offsets)
    return checked(rows, array.to_numpy(zero_copy_only=False), key, field, offsets)


def flags(rows: Rows, name: str) -> Array:
    """Return a column of true or false, which may also be 1 or 0; errors as of `numbers`."""
    column = rows[name]
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return numbers(rows, column, name, _FLAG)
    if not pa.types.is_boolean(column.type):
        raise rows.error("must hold true and false (or 1 and 0)", name, value=str(column.type))
    refuse_nulls(rows, column, name)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def must_be_numbers(rows: Rows, array: Any, key: str) -> None:
    """Raise `InputError` unless the array is of an integer or float type."""
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        raise rows.error("must hold numbers", key, value=str(array.type))


def refuse_nulls(rows: Rows, array: Any, key: str, offsets: Array | None = None) -> None:
    """Raise `InputError` if there is a null in the array."""
    if array.null_count:
        raise at(rows, "must not be null", key, offsets, int(np.argmax(nulls(array))))


def nulls(array: Any) -> Array:
    """Return where an Arrow array is null."""
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False))


def checked(rows: Rows, values: Array, key: str, field: Field, offsets: Array | None = None) -> Array:
    """Return the values in the type of the field; raise `InputError` if one of them cannot be."""
    dtype = np.dtype(field.dtype or ("<f4" if values.dtype in (np.float16, np.float32) else "<f8"))
    if values.dtype.kind == "f":
        # In float64, or limits would be rounded to the float32 of the values and let infinity pass.
        low, high = np.float64(field.low), np.float64(field.high)
        good = (values >= low) & (values <= high)
        if dtype.kind != "f":
            good &= (np.floor(values) == values) & (np.abs(values) <= 2.0**53)  # beyond, floats skip whole numbers
    else:
        good = (values >= field.low) & (values <= field.high)
    if not good.all():
        wrong = int(np.argmin(good))
        raise at(rows, field.rule, key, offsets, wrong, values[wrong].item())
    return np.asarray(values, dtype=dtype)


def at(rows: Rows, rule: str, key: str, offsets: Array | None, index: int, value: object = None) -> InputError:
    """Return the error about value number ``index`` of a column, or of the objects that ``offsets`` share out."""
    if offsets is None:
        return rows.error(rule, key, row=index, value=value)
    row = int(np.searchsorted(offsets, index, side="right")) - 1
    group, dot, name = key.partition(".")
    return rows.error(rule, f"{group}[{index - int(offsets[row])}]{dot}{name}", row=row, value=value)
