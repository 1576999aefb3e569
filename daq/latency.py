"""Latencies as histograms of whole numbers: small, and the sum of two is the histogram of both.

A stage notes in each block what it measured; the notes travel with the block into the manifest, and the books of the
run are their sum. A note is a table of lists of integers, see `LatencyNote`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from daq.jit import Array

EDGES_US: Array = np.geomspace(0.1, 1e7, 129)
"""Upper edges of the bins [us]: sixteen a decade from 0.1 us to 10 s; one more bin holds what is slower."""
_QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


class LatencyNote(TypedDict, total=False):
    """What the HLT measured on a block. Lists of L numbers have one for each line, and are left out if none was timed.

    Histograms are written as the bins that hold something, and what they hold.
    """

    block_bins: list[int]
    block_counts: list[int]
    """Events by the time that their block took for each of its events."""
    event_bins: list[int]
    event_counts: list[int]
    """Sampled events by the time that the event took alone."""
    line_ns: list[int]
    line_max_ns: list[int]
    line_over: list[int]
    """(L,): time that the cut of the line took on the sampled events, the longest, how many were over its budget."""
    over_budget: list[int]
    """One number: events over budget."""
    decided: list[int]
    """Two numbers: events that were kept, and rejected, because they were over budget and not by their lines."""
    over_cap: list[int]
    """One number: events with too many objects to look at."""


def histogram(values_us: Array, weight: int = 1) -> tuple[list[int], list[int]]:
    """Return the bins that hold something and what they hold; each value counts ``weight`` times."""
    counts = Counter(np.searchsorted(EDGES_US, values_us).tolist())
    return sorted(counts), [weight * counts[place] for place in sorted(counts)]


def quantiles(bins: Iterable[int], counts: Iterable[int]) -> dict[str, Any]:
    """Return events, p50, p99, p99.9 and max [us] of histograms put one after the other.

    Each is the upper edge of its bin, so at most 15 % too large; None without events, and beyond the last edge the last
    edge.
    """
    filled = np.zeros(EDGES_US.size + 1, dtype=np.int64)
    np.add.at(filled, np.fromiter(bins, dtype=np.int64), np.fromiter(counts, dtype=np.int64))
    total = int(filled.sum())
    if not total:
        return {"events": 0, **dict.fromkeys((*_QUANTILES, "max"))}
    edges = np.append(EDGES_US, EDGES_US[-1])
    rank = np.searchsorted(np.cumsum(filled), np.ceil(np.array([*_QUANTILES.values(), 1.0]) * total))
    return {
        "events": total,
        **{name: float(f"{edges[i]:.3g}") for name, i in zip((*_QUANTILES, "max"), rank, strict=True)},
    }


def books(notes: Sequence[LatencyNote], budgets_us: Mapping[str, float]) -> dict[str, Any]:
    """Return what summary.json says of the latency of the HLT, from the notes of all blocks.

    ``budgets_us`` are those of the lines, by name in the order of their bits.
    """
    timed = [note for note in notes if "line_ns" in note]
    sampled = sum(sum(note["event_counts"]) for note in timed)
    spent, most, over = (
        _rows([note[key] for note in timed], len(budgets_us)) for key in ("line_ns", "line_max_ns", "line_over")
    )
    kept, rejected = _rows([note["decided"] for note in notes], 2).sum(axis=0).tolist()
    return {
        "unit": "us",
        "block": _joined(notes, "block"),
        "event": _joined(timed, "event"),
        "over_budget": sum(note["over_budget"][0] for note in notes),
        "kept_by_time": kept,
        "rejected_by_time": rejected,
        "over_cap": sum(note["over_cap"][0] for note in notes),
        "lines": {
            name: {
                "budget": budget,
                "mean": float(f"{spent[:, line].sum() / sampled / 1e3:.3g}"),
                "max": float(f"{most[:, line].max() / 1e3:.3g}"),
                "over_budget": int(over[:, line].sum()),
            }
            for line, (name, budget) in enumerate(budgets_us.items() if sampled else ())
        },
    }


def _rows(lists: Sequence[list[int]], width: int) -> Array:
    return np.array(lists, dtype=np.int64).reshape(len(lists), width)


def _joined(notes: Sequence[Any], what: str) -> dict[str, Any]:
    bins, counts = ([n for note in notes for n in note[f"{what}_{key}"]] for key in ("bins", "counts"))
    return quantiles(bins, counts)
