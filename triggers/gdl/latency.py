"""How long each input bit takes to reach the accept: the slowest path of a menu against the latency budget.

A bit comes out of a *step* of a sub-trigger or of the GRL; a step begins when the slowest of those it needs is done.
All bits then wait in the GDL for the last one, and pass alignment, logic, prescale, timing decision and distribution of
the accept. The latencies are settings (`LatencySettings`): the split of the total is in no public source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from daq.clock import TICK_NS
from triggers.gdl.settings import LatencySettings

GDL_STEPS = ("gdl_align", "ftdl", "psnm", "decision", "accept")
_STEPS: dict[
    str, tuple[str, ...]
] = {  # step, or step.variant -> what it needs; in an order in which they can be summed
    "external": (),
    "cdc_segments": (),
    "cdc_2d": ("cdc_segments",),
    "cdc_3d": ("cdc_2d",),
    "cdc_neural": ("cdc_2d",),
    "cdc_time": ("cdc_segments",),
    "ecl_cells": (),
    "ecl_bits": ("ecl_cells",),
    "klm": (),
    "top": (),
    "grl_short": ("cdc_segments", "cdc_2d"),  # full tracks veto the segments of short ones
    "grl_tracks.2d": ("cdc_2d",),
    "grl_tracks.3d": ("cdc_3d",),
    "grl_tracks.neural": ("cdc_neural",),
    "grl_tracks.short": ("grl_short",),
    "grl_tracks.clusters": ("ecl_bits",),
    "grl_match.2d_ecl": ("cdc_2d", "ecl_bits"),
    "grl_match.3d_ecl": ("cdc_3d", "ecl_bits"),
    "grl_match.short_ecl": ("grl_short", "ecl_bits"),
    "grl_match.2d_klm": ("cdc_2d", "klm"),
    "grl_match.short_klm": ("grl_short", "klm"),
    "grl_match.ecl_klm": ("ecl_bits", "klm"),
    "grl_match.2d_top": ("cdc_2d", "top"),
}
_SOURCES: tuple[tuple[str, str], ...] = (  # names of input bits -> step they come from; the first that fits
    (r"t2_\d|cdc_(open|b2b)\d+|f2f\d+", "grl_tracks.2d"),
    (r"t3_\d", "grl_tracks.3d"),
    (r"ty_\d|typ", "grl_tracks.neural"),
    (r"cdc_active", "cdc_time"),
    (r"tx_\d|track|trkflt", "cdc_2d"),
    (r"t[as]_\d|s2[fs]\w+|i2[fi]\w+|ti|[fb]wd_s|itsf\w*|tsf\w*", "grl_tracks.short"),
    (r"d\d", "grl_tracks.clusters"),
    (r"p\d|cdcecl_\w+|c2gev_\d|n[12]gev_\d|(brl|[fb]wd)[nf]?s?b\d?|grlgg\d", "grl_match.2d_ecl"),
    (r"samhem|opohem|trkbha\d", "grl_match.3d_ecl"),
    (r"secl|iecl(_\d)?", "grl_match.short_ecl"),
    (r"cdcklm_\d", "grl_match.2d_klm"),
    (r"seklm_\d|ieklm(_\d)?", "grl_match.short_klm"),
    (r"ecleklm(_\d)?", "grl_match.ecl_klm"),
    (r"cdctop_\d", "grl_match.2d_top"),
    (r"(e|b)?klm\w*", "klm"),
    (r"top_\w+", "top"),
    (r"e(high|low|lum)|ecl_\w+|bha_delay|bha\w*|clst_\d|hie\d", "ecl_bits"),
)
_OF_NAME = [(re.compile(pattern), step) for pattern, step in _SOURCES]


def source_of(bit: str) -> str:
    """Return the step that an input bit comes from; ``external`` if it is of no sub-trigger, or not known here."""
    return next((step for pattern, step in _OF_NAME if pattern.fullmatch(bit)), "external")


@dataclass(frozen=True, slots=True)
class Path:
    """The slowest way to one input bit, and on to the accept."""

    bit: str
    steps: tuple[str, ...]
    ticks: tuple[int, ...]
    """Latency of each step [ticks of 7.860 ns]."""

    @property
    def total_ns(self) -> float:
        """Return the latency of the whole way [ns]."""
        return sum(self.ticks) * TICK_NS

    def __str__(self) -> str:
        terms = (f"{step} {ticks * TICK_NS:.0f}" for step, ticks in zip(self.steps, self.ticks, strict=True))
        return f"{' + '.join(terms)} = {self.total_ns:.0f} ns"


def path_of(bit: str, latency: LatencySettings) -> Path:
    """Return the slowest path of an input bit."""
    ways: dict[str, tuple[str, ...]] = {}  # step -> slowest way that ends with it
    for step, needs in _STEPS.items():
        slowest = max((ways[need] for need in needs), key=lambda way: sum(_ticks(s, latency) for s in way), default=())
        ways[step] = (*slowest, *(() if step == "external" else (step,)))
    way = (*ways[source_of(bit)], *GDL_STEPS)
    return Path(bit, tuple(_plain(step) for step in way), tuple(_ticks(step, latency) for step in way))


def slowest_paths(uses: Mapping[str, Iterable[str]], latency: LatencySettings) -> dict[str, Path]:
    """Return line -> its slowest path; ``uses`` are the input bits of each line. A line without a bit has none."""
    paths = {bit: path_of(bit, latency) for bits in uses.values() for bit in bits}
    slowest = {
        line: max((paths[bit] for bit in sorted(bits)), key=lambda path: path.total_ns, default=None)
        for line, bits in uses.items()
    }
    return {line: path for line, path in slowest.items() if path is not None}


def _plain(step: str) -> str:
    return step.partition(".")[0]


def _ticks(step: str, latency: LatencySettings) -> int:
    latency_ns: int = getattr(latency, f"{_plain(step)}_ns")
    return -int(-latency_ns // TICK_NS)
