"""The result of `darkline rates`: events are counted, counts become rates with errors, and all of it one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from commands.rates.sources import Counted, MenuInUse
from daq.errors import InputError
from daq.event import Array
from triggers.bits import planes_of_flags
from triggers.rates import Differences, LineCounts, estimate

_NB_CM2 = 1e-33
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted of all events."""

    events: Array
    """(processes, 2): all events."""
    menus: list[LineCounts]
    differences: list[Differences]
    """The first menu against each of the others."""
    forced: int


def count(counted: Counted, progress: Callable[[int, int], None]) -> Counts:
    """Count all events; ``progress`` is told after each chunk how many of them are done."""
    first, *others = counted.menus
    n_processes = len(counted.process_names)
    events = np.zeros((n_processes, 2))
    menus = [LineCounts(len(menu.lines), n_processes) for menu in counted.menus]
    differences = [Differences(first.lines, other.lines) for other in others]
    done = forced = 0
    for chunk in counted.chunks:
        processes = planes_of_flags(chunk.process == np.arange(n_processes)[:, None])
        for powers in (1, 2):
            events[:, powers - 1] += np.bincount(chunk.process, chunk.weight**powers, minlength=n_processes)
        for counts, decisions in zip(menus, chunk.decisions, strict=True):
            counts.add(decisions, processes, chunk.weight)
        for counts_of_two, decisions in zip(differences, chunk.decisions[1:], strict=True):
            counts_of_two.add(chunk.decisions[0], decisions, chunk.weight)
        forced += chunk.forced
        done += chunk.weight.size
        progress(done, counted.n_events)
    return Counts(events, menus, differences, forced)


# ---- counts to rates


@dataclass(frozen=True, slots=True)
class Scale:
    """How counts become rates."""

    unit: str
    factor: float
    """Rate of a count of one; if there is a ``whole``, of all events."""
    luminosity_cm2_s: float | None
    whole: Array | None = None
    """(2,) count of all events where their number, not their time, is given."""

    def __call__(self, plus: Array, minus: Array | float = 0.0) -> list[Record]:
        """Return the rates of counts (n, 2)."""
        values, errors = estimate(plus, minus, whole=self.whole)
        return _estimates(self.factor * values, self.factor * errors)


def check_scale(counted: Counted, *, luminosity: float | None, cross_section_nb: float | None) -> None:
    """Raise `InputError` if these rates cannot be had of these events."""
    if counted.seconds is not None and cross_section_nb is not None:
        raise InputError("these events have a rate of their own", key="--cross-section", value=cross_section_nb)
    if counted.seconds is None and (luminosity is None) != (cross_section_nb is None):
        rule = "a file does not say how often its events happen: give --luminosity and --cross-section, or neither"
        key = "--luminosity" if luminosity is not None else "--cross-section"
        raise InputError(rule, key=key, value=luminosity or cross_section_nb)
    if counted.seconds is not None and luminosity is not None and counted.luminosity_cm2_s is None:
        raise InputError("the luminosity of these events is not known", key="--luminosity", value=luminosity)


def _scale(counted: Counted, events: Array, luminosity: float | None, cross_section_nb: float | None) -> Scale:
    if counted.seconds is not None:
        had = counted.luminosity_cm2_s
        wanted = had if luminosity is None else luminosity
        factor = 1.0 if wanted is None or had is None else wanted / had
        return Scale("Hz", factor / counted.seconds, wanted)
    whole = events.sum(axis=0)
    if whole[0] == 0:
        raise InputError("must not sum to 0", key="weight", value=0.0)
    if luminosity is None or cross_section_nb is None:
        return Scale("%", 100.0, None, whole)
    return Scale("Hz", cross_section_nb * _NB_CM2 * luminosity, luminosity, whole)


def _estimates(values: Array, errors: Array) -> list[Record]:
    return [_estimate(value, error) for value, error in zip(values.tolist(), errors.tolist(), strict=True)]


def _estimate(value: float, error: float) -> Record:
    return {"value": _finite(value), "error": _finite(error)}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _shares(part: Array, whole: Array) -> list[Record]:
    """Return the shares in per cent of wholes (n, 2) or (2,), errors with the correlation of part and whole."""
    values, errors = estimate(part, whole=whole)
    return _estimates(100 * values, 100 * errors)


# ---- the record


def record(
    counted: Counted,
    counts: Counts,
    *,
    luminosity: float | None = None,
    cross_section_nb: float | None = None,
    level: str = "l1",
) -> Record:
    """Return the result as plain types: rates by menu and line, overlaps, differences of the menus."""
    scale = _scale(counted, counts.events, luminosity, cross_section_nb)
    labels = _distinct([menu.label for menu in counted.menus])
    menus = [
        _menu(label, menu, of_menu, counts.events, counted.process_names, scale)
        for label, menu, of_menu in zip(labels, counted.menus, counts.menus, strict=True)
    ]
    return {
        "title": counted.title,
        "level": level,
        "events": counted.n_events,
        "sum_of_weights": float(counts.events[:, 0].sum()),
        "seconds": counted.seconds,
        "luminosity_cm2_s": scale.luminosity_cm2_s,
        "cross_section_nb": cross_section_nb,
        "unit": scale.unit,
        "rate_of_one_event": scale.factor if scale.whole is None else _finite(scale.factor / scale.whole[0]),
        "run": counted.run,
        "accepted_without_line": counts.forced,
        "notes": list(counted.notes),
        "menus": menus,
        "differences": [
            _difference(menus[0], other, difference, scale)
            for other, difference in zip(menus[1:], counts.differences, strict=True)
        ],
    }


def _distinct(labels: Sequence[str]) -> list[str]:
    """Return the labels, those that come again with a number."""
    before = [labels[:i].count(label) for i, label in enumerate(labels)]
    return [f"{label}#{n + 1}" if n else label for label, n in zip(labels, before, strict=True)]


def _menu(
    label: str, menu: MenuInUse, counts: LineCounts, events: Array, processes: tuple[str, ...], scale: Scale
) -> Record:
    accepted, total = counts.accepted.sum(axis=0), counts.total.sum(axis=0)
    columns = {
        "raw": scale(counts.raw.sum(axis=0)),
        "prescaled": scale(accepted),
        "unique": scale(counts.unique),
        "shared": scale(accepted - counts.unique),
        "share_percent": _shares(accepted, total),
    }
    by_process = [scale(of_process) for of_process in counts.accepted]
    lines = [
        {
            "line": line,
            "prescale": prescale,
            **{name: values[i] for name, values in columns.items()},
            "by_process": {process: values[i] for process, values in zip(processes, by_process, strict=True)},
        }
        for i, (line, prescale) in enumerate(zip(menu.lines, menu.prescales, strict=True))
    ]
    kinds = zip(processes, scale(events), scale(counts.total), _shares(counts.total, events), strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        overlap = counts.pairs[..., 0] / accepted[:, None, 0]
    return {
        "menu": menu.name,
        "column": menu.column,
        "label": label,
        "total": scale(total[None])[0],
        "total_share_percent": _shares(total[None], events.sum(axis=0))[0],
        "by_process": [
            {"process": process, "collisions": all_of_it, "accepted": some, "efficiency_percent": efficiency}
            for process, all_of_it, some, efficiency in kinds
        ],
        "lines": lines,
        "overlap": {
            "lines": list(menu.lines),
            "fraction": [[_finite(round(value, 5)) for value in row] for row in overlap.tolist()],
        },
    }


def _difference(a: Record, b: Record, counts: Differences, scale: Scale) -> Record:
    rates_a, rates_b = ({line["line"]: line["prescaled"] for line in menu["lines"]} for menu in (a, b))
    both, only_a, only_b = counts.accepts
    changes = scale(counts.only_b, counts.only_a)
    return {
        "a": a["label"],
        "b": b["label"],
        "lines": [
            {"line": line, "a": rates_a[line], "b": rates_b[line], "difference": change}
            for line, change in zip(counts.lines, changes, strict=True)
        ],
        "only_in_a": {line: rate for line, rate in rates_a.items() if line not in rates_b},
        "only_in_b": {line: rate for line, rate in rates_b.items() if line not in rates_a},
        "total": {"a": a["total"], "b": b["total"], "difference": scale(only_b[None], only_a[None])[0]},
        "accepts": dict(zip(("both", "only_a", "only_b"), scale(np.stack([both, only_a, only_b])), strict=True)),
    }
