"""The cost cap: events with so many objects that they would hold up all others are kept unread, and flagged.

Unlike a budget of time it is the same on every machine: a function of the event and the menu.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel, read_only
from hlt.variables import Columns


class Caps(NamedTuple):
    """The most that an event may have to be looked at."""

    tracks: int
    clusters: int
    pairs: int  # two tracks of opposite charge, or a track with a cluster that is matched to it


def over_cap(columns: Columns, caps: Caps) -> Array:
    """Return which events have more tracks, clusters or pairs than that: (N,) bool."""
    tracks, clusters = read_only(columns["tracks.offsets"]), read_only(columns["clusters.offsets"])
    charge, matches = read_only(columns["tracks.charge"]), read_only(columns["tracks.clusters.offsets"])
    over = np.empty(tracks.size - 1, dtype=np.bool_)
    _over(tracks, clusters, charge, matches, caps, over)
    return over


@kernel
def _over(tracks: Array, clusters: Array, charge: Array, matches: Array, caps: Caps, over: Array) -> None:
    for i in range(over.size):
        begin, end = np.int64(tracks[i]), np.int64(tracks[i + 1])
        positive = negative = 0
        for t in range(begin, end):
            positive += charge[t] > 0
            negative += charge[t] < 0
        n_clusters = np.int64(clusters[i + 1]) - np.int64(clusters[i])
        n_pairs = positive * negative + np.int64(matches[end]) - np.int64(matches[begin])
        over[i] = end - begin > caps.tracks or n_clusters > caps.clusters or n_pairs > caps.pairs
