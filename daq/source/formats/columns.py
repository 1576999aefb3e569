"""The column map of a replay: which columns of a file are which fields of the event model.

``"tracks.d0_cm" = "trk_d0"`` names a column with a list an event; ``"clusters.energy_gev" = ["g1_E", "g2_E"]`` makes
one object of each flat column, absent where all that tells where it is, is NaN. Momentum components may stand for the
helix of a track and the angles of a cluster. What the file lacks has the defaults of `daq.source.formats.defaults`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import awkward as ak
import numpy as np

from daq.errors import InputError
from daq.event import BY_PATH, GROUPS, OFFSET, Array, EventBatch
from daq.source.formats.candidates import merged, whole_events
from daq.source.formats.defaults import complete_clusters, complete_tracks
from daq.source.formats.event_table import TRUTH, check_events, matched_events
from daq.source.formats.tables import Table, numbers, resolve

_MOMENTUM = ("px", "py", "pz")
_POINT = ("x", "y", "z")
_HELIX = ("omega_per_cm", "phi0", "tan_lambda")
_NESTED = ("cov", "clusters")  # more than one number a track
# What says where an object is. NaN in all of it means that there is no object; in the rest, that the value is unknown.
_WHERE = {
    "tracks": (*_HELIX, "d0_cm", "z0_cm", *_MOMENTUM, *_POINT, "charge"),
    "clusters": ("energy_gev", "theta", "phi", *_MOMENTUM),
}
_KNOWN = (
    *TRUTH,
    *(f"{group}.{column.name}" for group in _WHERE for column in GROUPS[group]),
    *(f"{group}.{name}" for group in _WHERE for name in _MOMENTUM),
    *(f"tracks.{name}" for name in _POINT),
)
_TURN = (-2 * math.pi, 2 * math.pi)
_RANGES: dict[str, tuple[float, float]] = {
    "energy_gev": (0.0, math.inf),
    "theta": (0.0, math.pi),
    "phi": _TURN,
    "phi0": _TURN,
    "charge": (-1.0, 1.0),
    "n_cdc_hits": (0.0, 65535.0),
    "klm_layers": (0.0, 255.0),
}


def check_map(columns: Mapping[str, Sequence[str]]) -> None:
    """Raise `InputError` if a key is no field, or if the map leaves open where the tracks or clusters are."""
    for field, names in columns.items():
        if not names:
            raise InputError("must name at least one column", key=f"[replay.columns] {field}")
        if field not in _KNOWN:
            close = difflib.get_close_matches(field, _KNOWN, n=3, cutoff=0.5)
            rule = f"not a field that a map can fill; the nearest are {', '.join(close or _KNOWN)}"
            raise InputError(rule, key="[replay.columns]", value=field)
    given = {group: {f.partition(".")[2] for f in columns if f.startswith(f"{group}.")} for group in _WHERE}
    needs = {
        "tracks": (_HELIX, (*_MOMENTUM, "charge")),
        "clusters": (("energy_gev", "theta", "phi"), _MOMENTUM),
    }
    if not any(given.values()):
        raise InputError("must map tracks or clusters", key="[replay.columns]")
    for group, alternatives in needs.items():
        complete = [needed for needed in alternatives if given[group].issuperset(needed)]
        if given[group] and (len(complete) != 1 or _mixed(given[group])):
            rule = f"must give either {', '.join(alternatives[0])} or {', '.join(alternatives[1])}"
            raise InputError(rule, key=f"[replay.columns] {group}")
    point = given["tracks"].intersection(_POINT)
    if point and (len(point) != len(_POINT) or given["tracks"].intersection((*_HELIX, "d0_cm", "z0_cm"))):
        raise InputError("x, y and z go together, and replace d0_cm and z0_cm", key="[replay.columns] tracks")


def _mixed(given: set[str]) -> bool:
    return bool(given.intersection(_MOMENTUM)) and bool(given.intersection((*_HELIX, "theta", "phi")))


def read_mapped(
    table: Table, columns: Mapping[str, Sequence[str]], group_by: Sequence[str], chunk: int
) -> Iterator[EventBatch]:
    """Yield the events of a table by a column map, about ``chunk`` rows at a time, without beam times and primitives.

    Consecutive rows that agree in the columns ``group_by`` are one event; without such columns each row is.

    Raises
    ------
    InputError
        If the map names a field or a column that does not exist, if it leaves open where tracks or clusters are, or if
        a column does not hold what the field needs.
    """
    check_map(columns)
    chosen = {field: [resolve(table, name) for name in names] for field, names in columns.items()}
    wanted = list(dict.fromkeys(name for names in chosen.values() for name in names))
    done = 0
    for arrays, starts in whole_events(table, wanted, group_by, chunk):
        reader = _Chunk(table.path, done, arrays)
        batch = {field: reader.scalar(field, chosen[field]) for field in TRUTH if field in chosen}
        batch.setdefault("weight", np.ones(reader.size))
        for group, complete in (("tracks", complete_tracks), ("clusters", complete_clusters)):
            fields = {f.partition(".")[2]: names for f, names in chosen.items() if f.startswith(f"{group}.")}
            if fields:
                batch |= complete(*reader.objects(group, fields))
        yield merged(reader.batch(batch), starts)
        done += reader.size


class _Chunk:
    """Some events of a table; knows how to name one of them in an error."""

    def __init__(self, path: Path, first_event: int, arrays: Mapping[str, ak.Array]):
        self._path, self._first, self._arrays = path, first_event, arrays
        self.size = len(next(iter(arrays.values())))

    def _error(self, rule: str, key: str, *, event: int | None = None, value: object = None) -> InputError:
        where = "" if event is None else f"event {self._first + event}, "
        return InputError(rule, file=self._path, key=f"{where}{key}", value=value)

    def batch(self, arrays: dict[str, Array]) -> EventBatch:
        """Return the events of these arrays; clusters that tracks name count as theirs."""
        batch = EventBatch(self.size, arrays)
        check_events(batch, self._path, self._first)
        is_track = batch["clusters.is_track"].copy()
        is_track[batch["clusters.offsets"][matched_events(batch)] + batch["tracks.clusters"]] = True
        return EventBatch(self.size, batch.arrays() | {"clusters.is_track": is_track})

    def scalar(self, field: str, names: list[str]) -> Array:
        """Return a field that is one number an event."""
        lengths, values = numbers(self._arrays[names[0]], names[0], self._path)
        if lengths or len(names) > 1:
            raise self._error("must be one flat column", field, value=names)
        self._check(field, values, np.arange(self.size))
        return np.asarray(values)

    def objects(self, group: str, fields: Mapping[str, list[str]]) -> tuple[Array, dict[str, Array]]:
        """Return (offsets, values of each field) of a group; nested fields bring their own ``<name>.offsets``."""
        flat: dict[str, bool] = {}
        counts: dict[str, Array] = {}
        values: dict[str, Array] = {}
        for name, columns in fields.items():
            flat[name], counts[name], own = self._field(group, name, columns)
            values |= own
        first = next(iter(fields))
        for name in fields:
            if flat[name] != flat[first]:
                rule = f"must be flat or lists, as {group}.{first} is"
                raise self._error(rule, f"{group}.{name}", value=fields[name])
            if (rows := np.flatnonzero(counts[name] != counts[first])).size:
                event = int(rows[0])
                rule = f"must have as many objects as {group}.{first}, {int(counts[first][event])}"
                raise self._error(rule, f"{group}.{name}", event=event, value=int(counts[name][event]))
        owner = np.repeat(np.arange(self.size), counts[first])
        if flat[first]:
            present = ~np.all([np.isnan(values[name]) for name in _WHERE[group] if name in values], axis=0)
            owner, values = owner[present], {name: array[present] for name, array in values.items()}
        for name, array in values.items():
            if not name.startswith(_NESTED):
                self._check(f"{group}.{name}", array, owner, unknown=name not in _WHERE[group])
        if "px" in values and "charge" in values:
            bent = values["charge"] * np.hypot(values["px"], values["py"])
            if not bent.all():
                event = int(owner[np.argmin(bent != 0)])
                raise self._error("must have a charge and a transverse momentum", "tracks", event=event)
        offsets = np.zeros(self.size + 1, dtype=OFFSET)
        np.cumsum(np.bincount(owner, minlength=self.size), out=offsets[1:])
        return offsets, values

    def _field(self, group: str, name: str, columns: list[str]) -> tuple[bool, Array, dict[str, Array]]:
        """Return (whether the columns are flat, objects of each event, arrays) of one field."""
        parts = [numbers(self._arrays[column], column, self._path) for column in columns]
        depths = {len(lengths) for lengths, _ in parts}
        if depths == {0} and name not in _NESTED:
            stacked = np.stack([array for _, array in parts], axis=1)
            return True, np.full(self.size, len(parts)), {name: stacked.reshape(-1)}
        lengths, array = parts[0]
        if len(parts) == 1 and depths == {1} and name != "cov":
            return False, lengths[0], self._indices(array) if name in _NESTED else {name: array}
        if len(parts) == 1 and depths == {2} and name in _NESTED:
            if name == "clusters":
                return False, lengths[0], {name: array, "clusters.offsets": np.append(0, np.cumsum(lengths[1]))}
            if np.all(lengths[1] == BY_PATH["tracks.cov"].length):
                return False, lengths[0], {name: array.reshape(-1, BY_PATH["tracks.cov"].length)}
        rule = "must be a list column" if name in _NESTED else "must be one list column, or flat columns, one an object"
        raise self._error(rule, f"{group}.{name}", value=columns)

    @staticmethod
    def _indices(array: Array) -> dict[str, Array]:
        """Return lists of at most one cluster index a track; negative or NaN is none."""
        matched = array >= 0
        return {"clusters": array[matched], "clusters.offsets": np.append(0, np.cumsum(matched))}

    def _check(self, field: str, values: Array, owner: Array, *, unknown: bool = False) -> None:
        """Raise `InputError` unless all values lie in the range of the field, or are NaN where they may be unknown."""
        low, high = _RANGES.get(field.rpartition(".")[2], (-math.inf, math.inf))
        good = (np.isfinite(values) & (values >= low) & (values <= high)) | (unknown & np.isnan(values))
        if not good.all():
            wrong = int(np.argmin(good))
            rule = "must be finite" if math.isinf(low) else f"must lie between {low:.4g} and {high:.4g}"
            raise self._error(rule, field, event=int(owner[wrong]), value=float(values[wrong]))
