"""Rows of a file to the arrays that L1 reads: trigger primitives, with every number checked.

A file may have any of the columns; what it does not have is empty. Instead of trigger cells it may have the objects
that the ECL makes of them (`READY`). What no detector can give is refused.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from daq.errors import InputError
from daq.event import GROUPS, OFFSET
from daq.jit import Array
from triggers.ecl.ready import ReadyEcl
from triggers.files.tables import Rows
from triggers.files.values import Field, at, checked, flags, must_be_numbers, nulls, numbers, refuse_nulls, whole

_LARGEST = float(np.finfo(np.float64).max)
_FINITE = Field("<f8", -_LARGEST, _LARGEST, "must be finite")
_ENERGY = Field(None, 5e-324, 1e4, "must be above 0 and at most 10,000 GeV")  # a thousand times the beams: a wrong unit
_TRACK = {
    "phi0": Field("<f8", -2.0 * math.pi, 2.0 * math.pi, "must lie between -2 pi and 2 pi"),
    "omega": Field("<f8", math.nextafter(-1.0, 0.0), math.nextafter(1.0, 0.0), "must lie between -1 and 1 /cm"),
    "z0_cm": _FINITE,
    "cot_theta": _FINITE,
}
_CELL = whole("<u2", 1, 576)

OBJECTS: dict[str, dict[str, Field]] = {
    "tc": {"id": _CELL, "energy_gev": _ENERGY, "time_ns": _FINITE},
    **{group: {column.name: _TRACK[column.name] for column in GROUPS[group]} for group in ("trk2d", "trk3d", "trknn")},
    "segments": {"": whole("<u2", 0, 2335)},
    "klm_track_sectors": {"": whole("|u1", 0, 7)},
    "clusters": {
        **dict.fromkeys(("x_cm", "y_cm", "z_cm"), _FINITE),
        "energy_gev": _ENERGY._replace(dtype="<f8"),
        "time_ns": _FINITE,
        "tc_id": _CELL,
        "theta_id": whole("<i8", 1, 17),
    },
}
"""Columns with a list an event, and the fields of what is in it ("": the list holds the numbers themselves)."""
NUMBERS: dict[str, Field] = {
    "bklm_mask_fwd": whole("|u1", 0, 255),
    "bklm_mask_bwd": whole("|u1", 0, 255),
    "eklm_mask_fwd": whole("|u1", 0, 15),
    "eklm_mask_bwd": whole("|u1", 0, 15),
    "cdc_t0": whole("<i4", -(2**31), 2**31 - 1),
    "ecl_time_ns": _FINITE,
    **{f"ecl_word_{k}": whole("<u4", 0, 2**32 - 1) for k in range(4)},
}
"""Columns with one number an event."""
PRESENT = {"cdc_t0": "cdc_t0_present", "ecl_time_ns": "ecl_present"}
"""Columns with a time -> columns that say, by true and false, whether an event has it."""

READY = ("clusters", *(f"ecl_word_{k}" for k in range(4)), "ecl_present", "ecl_time_ns")
"""Columns with ECL objects that come ready, instead of ``tc``."""
PRIMITIVES = (*(name for name in (*OBJECTS, *NUMBERS, *PRESENT.values()) if name not in READY), *READY)
"""Every column that L1 can read."""
_NEEDS = (
    ("cdc_t0_present", "cdc_t0"),
    ("ecl_present", "ecl_time_ns"),
    ("ecl_time_ns", "ecl_present"),
    *((f"ecl_word_{k}", "ecl_present") for k in range(4)),
)

_MOST = {"tc": (576, "the ECL has 576 cells"), "segments": (2336, "the CDC has 2336 segments")}
# No hardware limit is public for the others. Pairs of them are looped over, so there must be some limit.
_MOST_OTHERS = (1024, "more than 1024 are taken for a mistake")


def columns_of(names: Collection[str], file: Path) -> tuple[str, ...]:
    """Return which columns of a file L1 reads; raise `InputError` if there are none, or some that need others."""
    if "tc" in names:  # such a file may have other things under the names of ready objects
        names = [name for name in names if name not in READY]
    found = tuple(name for name in PRIMITIVES if name in names)
    if not found:
        raise InputError(f"has no trigger primitives (known: {', '.join(PRIMITIVES)})", file=file)
    for name, needed in _NEEDS:
        if name in found and needed not in found:
            raise InputError(f"needs a column {needed}", file=file, key=name)
    return found


def primitives_of(rows: Rows) -> tuple[dict[str, Array], ReadyEcl | None]:
    """Return the primitives of rows with the columns of `columns_of`: arrays by name, and ECL objects that come ready.

    Raises
    ------
    InputError
        If a column has another type than it must have, or one of its values cannot be.
    """
    arrays: dict[str, Array] = {}
    for name, fields in OBJECTS.items():
        arrays |= _objects(rows, name, fields)
    _check_cells(rows, arrays["tc.offsets"], arrays["tc.id"])
    for name, field in NUMBERS.items():
        arrays[name] = _number(rows, name, field)
    present = flags(rows, "ecl_present") if rows.has("ecl_present") else np.zeros(rows.size, dtype=np.bool_)
    ready = ReadyEcl(
        offsets=arrays.pop("clusters.offsets"),
        **{name: arrays.pop(f"clusters.{name}") for name in OBJECTS["clusters"]},
        ecl_words=np.stack([arrays.pop(f"ecl_word_{k}") for k in range(4)], axis=1),
        ecl_present=present,
        ecl_time_ns=arrays.pop("ecl_time_ns"),
    )
    return arrays, ready if any(rows.has(name) for name in READY) else None


def _objects(rows: Rows, group: str, fields: dict[str, Field]) -> dict[str, Array]:
    """Return offsets and fields of a list column; the list of an event may be null, which is empty."""
    offsets = np.zeros(rows.size + 1, dtype=OFFSET)
    inner = None
    if rows.has(group) and not pa.types.is_null(rows[group].type):
        offsets, inner = _lists(rows, group)
        if pa.types.is_null(inner.type) and not len(inner):
            inner = None  # a writer that saw no object cannot know their type
    out = {f"{group}.offsets": offsets}
    for name, field in fields.items():
        path = f"{group}.{name}" if name else group
        none = np.zeros(0, dtype=field.dtype or "<f8")
        out[path] = none if inner is None else _field(rows, group, name, field, offsets, inner)
    return out


def _lists(rows: Rows, group: str) -> tuple[Array, Any]:
    """Return (offsets, values) of a list column."""
    column = rows[group]
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise rows.error("must be a list", group, value=str(column.type))
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    most, why = _MOST.get(group, _MOST_OTHERS)
    if (long := np.flatnonzero(lengths > most)).size:
        raise rows.error(why, f"length of {group}", row=int(long[0]), value=int(lengths[long[0]]))
    offsets = np.zeros(rows.size + 1, dtype=OFFSET)
    np.cumsum(lengths, out=offsets[1:])
    return offsets, column.flatten()


def _field(rows: Rows, group: str, name: str, field: Field, offsets: Array, inner: Any) -> Array:
    """Return one field of the objects of a group."""
    if not name:
        return numbers(rows, inner, group, field, offsets)
    if not pa.types.is_struct(inner.type):
        rule = f"must be a list of objects with the fields {', '.join(OBJECTS[group])}"
        raise rows.error(rule, group, value=f"list of {inner.type}")
    refuse_nulls(rows, inner, group, offsets)
    given = [entry.name for entry in inner.type]
    if given.count(name) != 1:
        rule = f"{'has twice' if name in given else 'lacks'} the field {name} (it has {', '.join(given) or 'none'})"
        raise rows.error(rule, group)
    return numbers(rows, inner.field(given.index(name)), f"{group}.{name}", field, offsets)


def _check_cells(rows: Rows, offsets: Array, cell: Array) -> None:
    """Raise `InputError` unless the cells of each event rise."""
    falls = cell[1:] <= cell[:-1]
    begins = offsets[1:-1]
    falls[begins[(begins > 0) & (begins < cell.size)] - 1] = False  # from one event to the next
    if falls.any():
        wrong = int(np.argmax(falls)) + 1
        rule = f"must rise, each cell comes once; the one before is {int(cell[wrong - 1])}"
        raise at(rows, rule, "tc.id", offsets, wrong, int(cell[wrong]))


def _number(rows: Rows, name: str, field: Field) -> Array:
    """Return a column of one number an event; where a time is said not to be there, it is 0 whatever stands there."""
    if not rows.has(name):
        return np.zeros(rows.size, dtype=field.dtype)
    column, flag = rows[name], PRESENT.get(name, "")
    if not rows.has(flag):
        return numbers(rows, column, name, field)
    must_be_numbers(rows, column, name)
    present = flags(rows, flag)
    if (missing := present & nulls(column)).any():
        raise rows.error(f"must not be null where {flag} is true", name, row=int(np.argmax(missing)))
    return checked(rows, np.where(present, column.to_numpy(zero_copy_only=False), 0), name, field)
