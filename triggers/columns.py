"""The arrays that the L1 reads, checked before a kernel sees them: kernels trust lengths and offsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from daq.errors import EventError
from daq.event import LAYOUT, OFFSET, Array, EventBatch
from daq.jit import read_only

GROUPS: dict[str, tuple[str, ...]] = {
    "tc": ("tc.id", "tc.energy_gev", "tc.time_ns"),
    "trk2d": ("trk2d.phi0", "trk2d.omega"),
    "trk3d": ("trk3d.phi0", "trk3d.omega", "trk3d.z0_cm", "trk3d.cot_theta"),
    "trknn": ("trknn.phi0", "trknn.omega", "trknn.z0_cm", "trknn.cot_theta"),
    "segments": ("segments",),
    "klm_track_sectors": ("klm_track_sectors",),
}
"""Groups of objects of the event model that the L1 reads, with their arrays."""

SCALARS = ("bklm_mask_fwd", "bklm_mask_bwd", "eklm_mask_fwd", "eklm_mask_bwd", "cdc_t0")
"""Numbers of an event that it reads."""


class Columns(Protocol):
    """Arrays by the names of the event model: an `EventBatch`, or a mapping."""

    def __getitem__(self, name: str, /) -> Array:
        """Return the array of a name."""


def check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raise `EventError` unless an array has this shape."""
    if array.shape != shape:
        raise EventError(f"must have shape {shape}", key=f"shape of {name}", value=array.shape)


def check_offsets(name: str, offsets: Array, n_events: int, n_objects: int) -> None:
    """Raise `EventError` unless offsets rise from 0 to the number of objects, one step an event."""
    check_shape(name, offsets, (n_events + 1,))
    if offsets[0] != 0:
        raise EventError("must start at 0", key=f"{name}[0]", value=int(offsets[0]))
    if n_events and (steps := np.flatnonzero(offsets[1:] < offsets[:-1])).size:
        raise EventError("must not run backwards", key=f"{name}[{int(steps[0]) + 1}]")
    if offsets[-1] != n_objects:
        raise EventError(f"must end at the number of objects, {n_objects}", key=f"{name}[-1]", value=int(offsets[-1]))


def checked(columns: EventBatch | Mapping[str, Array], size: int) -> Columns:
    """Return the arrays of ``size`` events, fit for the kernels.

    An `EventBatch` is fit. Of a mapping, groups that are not there are empty and numbers that are not there are 0;
    numbers may be float64 or float32 (energies of which are taken in whole keV), integers of any size.

    Raises
    ------
    EventError
        If an array has not the length or the kind of number that it must have, or offsets do not rise from 0 to the
        number of objects.
    """
    if isinstance(columns, EventBatch):
        if columns.size != size:
            raise EventError(f"must hold {size} events", key="batch", value=columns.size)
        return columns
    return dict(_arrays(columns, size))


def _arrays(columns: Mapping[str, Array], size: int) -> Iterator[tuple[str, Array]]:
    for name in SCALARS:
        array = _values(name, columns[name]) if name in columns else np.zeros(size, dtype=np.int64)
        check_shape(name, array, (size,))
        yield name, read_only(array)
    for group, names in GROUPS.items():
        given = {name: _values(name, columns[name]) for name in names if name in columns}
        objects = next(iter(given.values())).size if given else 0
        offsets = _values(f"{group}.offsets", columns[f"{group}.offsets"]) if given else np.zeros(size + 1, np.int64)
        check_offsets(f"{group}.offsets", offsets, size, objects)
        yield f"{group}.offsets", read_only(offsets.astype(OFFSET))
        for name in names:
            array = given[name] if name in given else np.zeros(objects, _kind(name))
            check_shape(name, array, (objects,))
            yield name, read_only(array)


def _kind(name: str) -> type[np.generic]:
    return np.float64 if LAYOUT[name].kind == "f" else np.int64


def _values(name: str, given: Array) -> Array:
    """Return an array as float64 or int64, whichever its name asks for."""
    given = np.asarray(given)
    if given.dtype.kind not in ("iuf" if LAYOUT[name].kind == "f" else "iu"):
        raise EventError(f"must be {_kind(name).__name__}", key=f"type of {name}", value=str(given.dtype))
    if name == "tc.energy_gev" and given.dtype == np.float32:
        return given  # the clusters want to know that it is no finer
    return given.astype(_kind(name))
