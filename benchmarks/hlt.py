"""What the HLT costs: CPU time per event and per vertex fit, one thread, beside plain versions in the same run.

``.venv/bin/python -m benchmarks.hlt [--json FILE]``. The events are those that the L1 of the demo accepts, in the
blocks in which they come (about 300 of 1024 events), and the pairs of the reference vectors (tests/data). Ours and the
plain version take turns, so that both see the same machine; a ratio is the median over the rounds. It fails, with exit
code 1, if the answers differ.

Beside ours stand (`benchmarks.hlt_plain`, benchmarks/hlt_reference.cpp):

* NumPy, 24 of the 101 variables: those of the single-photon and two-track lines, without pairs and flags;
* NumPy, the vertex fit one pair at a time with matrices;
* C++, the vertex fit with loops over small arrays, g++ -O3 -march=native (left out where there is no g++).

The floor, counted before anything was tuned. An event of the mix has 2.0 tracks, 3.3 clusters and 0.52 pairs.

* Variables: 8.6 angles of sine and cosine at 40 operations, 60 for the four-momenta of a track and 50 of a cluster, 45
  comparisons a cluster, four arctangents at 20 ns: 900 operations, 0.25 us at four a nanosecond, and 80 ns. Bytes: 160
  read, 1.5 kB of intermediate records that stay in the nearest caches, 808 written: below 0.1 us. Together 0.4 us.
* A vertex fit: 13.2 turns on the reference pairs, each of 436 products, 359 sums, 13 divisions and 6 roots: 10,700
  operations. One at a time (two a cycle at 2.45 GHz) 2.2 us; four at a time with two a cycle 0.55 us. What keeps it
  from that is the length of the chain: each operation waits for the one before.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import chain
from benchmarks import hlt_plain
from benchmarks.chain import cpu_seconds
from daq.event import EventBatch
from daq.jit import Array
from daq.source.mix import MixSource
from daq.stream.wire.codec import Block, as_received
from hlt.kinematics import Frame, cm_frame
from hlt.objects import LEG, Clusters, Tracks, make_legs
from hlt.variables import CLUSTER_COLUMNS, TRACK_COLUMNS, filter_variables
from hlt.vertex import FIT, fit_pairs
from tests.hlt.vectors import BEAM, SAMPLE, events_of

BLOCKS, ROUNDS = 48, 9
HELIX = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
LIMITS = {"variables": 1.0, "vertex, mix": 3.0, "vertex, reference": 3.0, "whole HLT": 3.0}
"""What each may take [us]."""
PLAIN = {
    "variables": "NumPy, 24 variables",
    "vertex, mix": "C++, vertex, mix",
    "vertex, reference": "C++, vertex, reference",
}
"""What stands beside ours."""


class Pairs:
    """The displaced-vertex pairs of a block, as ours and the plain versions take them."""

    def __init__(self, columns: Any, frame: Frame):
        tracks = Tracks(*(columns[f"tracks.{name}"] for name in TRACK_COLUMNS))
        clusters = Clusters(*(columns[f"clusters.{name}"] for name in CLUSTER_COLUMNS))
        self.cov = tracks.cov
        self.legs = np.zeros(tracks.phi0.size + 1, LEG)
        make_legs(self.legs, tracks, clusters, frame.matrix)
        found = [_fastest(self.legs, tracks.offsets[i], tracks.offsets[i + 1]) for i in range(tracks.offsets.size - 1)]
        self.pairs = np.array([pair for pair in found if min(pair) >= 0]).reshape(-1, 2)
        self.helix = np.stack([columns[f"tracks.{name}"] for name in HELIX], axis=1).astype(np.float64)[self.pairs]
        self.packed = np.ascontiguousarray(tracks.cov[self.pairs], dtype=np.float64)

    def ours(self) -> tuple[Array, Array]:
        """Return status, and (n, 4) chi2 and vertex."""
        fits = np.empty(len(self.pairs), FIT)
        fit_pairs(fits, self.pairs, self.legs, self.cov)
        return fits["status"], np.stack([fits[name] for name in ("chi2", "x_cm", "y_cm", "z_cm")], axis=1)

    def with_cpp(self, library: ctypes.CDLL) -> tuple[Array, Array]:
        """Return the same by C++."""
        status, out = np.empty(len(self.pairs), np.int32), np.empty((len(self.pairs), 4))
        addresses = (ctypes.c_void_p(array.ctypes.data) for array in (self.helix, self.packed, status, out))
        library.fit_pairs(ctypes.c_int64(len(self.pairs)), *addresses)
        return status, out

    def with_numpy(self, n: int) -> tuple[Array, Array]:
        """Return the same of the first n pairs by NumPy."""
        fits = [hlt_plain.fit(self.helix[i], self.packed[i]) for i in range(n)]
        return np.array([fit[0] for fit in fits]), np.array([(fit[1], *fit[2]) for fit in fits])


def _fastest(legs: Array, begin: int, end: int) -> tuple[int, int]:
    """Return the tracks of highest pt with a drift-chamber hit, negative and positive; -1 for none."""
    best = [-1, -1]
    for t in range(begin, end):
        leg = legs[t]
        if leg["charge"] and leg["n_cdc_hits"] > 0:
            sign = int(leg["charge"] > 0)
            if best[sign] < 0 or leg["pt"] > legs[best[sign]]["pt"]:
                best[sign] = t
    return best[0], best[1]


def build_cpp(folder: Path) -> ctypes.CDLL | None:
    """Compile the C++ version; None where there is no g++."""
    if shutil.which("g++") is None:
        return None
    source, library = Path(__file__).with_name("hlt_reference.cpp"), folder / "hlt_reference.so"
    subprocess.run(["g++", "-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", source, "-o", library], check=True)
    return ctypes.CDLL(str(library))


def l1_accepted(settings: chain.RunSettings) -> list[Block]:
    """Return the blocks of a run as they come to the HLT."""
    composed, source = chain.Chain.of(settings), MixSource(settings)
    make, l1, state = chain.BlockMaker(source, chain.run_file(settings, source)), composed.l1_stage(), None
    blocks = []
    for number in range(BLOCKS):
        block, state = l1(as_received(make(number)), state)
        blocks.append(as_received(block))
    return blocks


def compare_fits(what: str, ours: tuple[Array, Array], other: tuple[Array, Array]) -> list[str]:
    """Return what differs: status exactly, chi2 and place beyond the rounding noise of the fit."""
    problems = []
    if (ours[0] != other[0]).any():
        problems.append(f"{what}: status of {(ours[0] != other[0]).sum()} pairs")
    fitted = (ours[0] == 0) & (other[0] == 0)
    chi2 = np.abs(ours[1][:, 0] - other[1][:, 0]) / np.maximum(1.0, other[1][:, 0])
    place = np.abs(ours[1][:, 1:] - other[1][:, 1:]).max(axis=1, initial=0.0)
    # Where a fit hardly converges it stops by its rounding noise: one pair in a thousand may.
    for name, off, limit in (("chi2", chi2, 1e-8), ("place [cm]", place, 1e-5)):
        if np.mean(off[fitted] > limit) > 1e-3:
            problems.append(f"{what}: {name} of {(off[fitted] > limit).sum()} pairs, by up to {off[fitted].max():g}")
    return problems


def compare_variables(blocks: list[EventBatch], frame: Frame) -> list[str]:
    """Return which of NumPy's variables differ from ours."""
    problems = []
    for batch in blocks:
        table, _ = filter_variables(batch, {}, frame)
        for name, values in hlt_plain.variables(batch, frame.matrix).items():
            if not np.allclose(table[name], values, rtol=1e-9, atol=0, equal_nan=True):
                problems.append(f"variable {name}")
    return sorted(set(problems))


def measure(works: dict[str, tuple[Callable[[], Any], int]]) -> dict[str, list[float]]:
    """Return the CPU time [us] per unit of each work, one number a round; all take their turn in each round."""
    costs: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(ROUNDS + 1):
        for name, (work, units) in works.items():
            seconds, _ = cpu_seconds(work)
            if turn:  # the first one pays for pages and caches
                costs[name].append(1e6 * seconds / units)
    return costs


def table_of(costs: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return a row for each piece of work: its cost in each round, its limit, and the ratio to its plain version."""
    rows = []
    for name in ("variables", "vertex, mix", "vertex, reference", "variables and vertex", "whole HLT", "NumPy, vertex"):
        row = {
            "what": name,
            "unit": "pair" if "vertex" in name and name != "variables and vertex" else "event",
            "cpu_us": statistics.median(costs[name]),
            "min": min(costs[name]),
            "max": max(costs[name]),
            "limit_us": LIMITS.get(name),
        }
        against = costs.get(PLAIN.get(name, ""))
        if against is not None:
            ratio = statistics.median(a / b for a, b in zip(costs[name], against, strict=True))
            row |= {"against": PLAIN[name], "against_us": statistics.median(against), "ratio": ratio}
        rows.append(row)
    return rows


def lines_of(table: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the table as text."""
    head = f"{'what':22} {'per':5} {'CPU us':>8} {'min':>8} {'max':>8} {'limit':>6}"
    yield f"{head}   {'beside':24} {'CPU us':>8} {'ratio':>6}"
    for row in table:
        limit = f"{row['limit_us']:6.1f}" if row["limit_us"] else " " * 6
        beside = f"   {row['against']:24} {row['against_us']:8.2f} {row['ratio']:6.2f}" if "ratio" in row else ""
        cost = f"{row['cpu_us']:8.2f} {row['min']:8.2f} {row['max']:8.2f}"
        yield f"{row['what']:22} {row['unit']:5} {cost} {limit}{beside}"


def main() -> None:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the table here")
    target = parser.parse_args().json
    chain.warm_up()
    settings = chain.load_run(chain.ROOT / "configs" / "runs" / "demo.toml", events=BLOCKS * 1024)
    blocks = l1_accepted(settings)
    batches, stage, frame = [b.events for b in blocks], chain.Chain.of(settings).hlt_stage(), cm_frame(settings.beam)
    n_events, n_numpy = sum(len(batch) for batch in batches), 50
    mix = [Pairs(batch, frame) for batch in batches]
    reference = Pairs(events_of(pl.read_parquet(SAMPLE)), cm_frame(BEAM))
    n_mix, n_reference = sum(len(pairs.pairs) for pairs in mix), len(reference.pairs)

    works: dict[str, tuple[Callable[[], Any], int]] = {
        "whole HLT": (lambda: [stage(block) for block in blocks], n_events),
        "variables and vertex": (lambda: [filter_variables(batch, {}, frame) for batch in batches], n_events),
        "vertex, mix": (lambda: [pairs.ours() for pairs in mix], n_mix),
        "vertex, reference": (lambda: [reference.ours() for _ in range(10)], 10 * n_reference),
        "NumPy, 24 variables": (lambda: [hlt_plain.variables(b, frame.matrix) for b in batches], n_events),
        "NumPy, vertex": (lambda: reference.with_numpy(n_numpy), n_numpy),
    }
    problems = compare_variables(batches, frame)
    first = tuple(array[:n_numpy] for array in reference.ours())
    problems += compare_fits("NumPy", first, reference.with_numpy(n_numpy))
    with tempfile.TemporaryDirectory() as folder:
        library = build_cpp(Path(folder))
        if library is not None:
            works |= {
                "C++, vertex, mix": (lambda: [pairs.with_cpp(library) for pairs in mix], n_mix),
                "C++, vertex, reference": (lambda: [reference.with_cpp(library) for _ in range(10)], 10 * n_reference),
            }
            for what, pairs in (("mix", mix), ("reference", [reference])):
                for each in pairs:
                    problems += compare_fits(f"C++, {what}", each.ours(), each.with_cpp(library))
        costs = measure(works)
    share = n_mix / n_events
    both, fit_alone = costs["variables and vertex"], costs["vertex, mix"]
    costs["variables"] = [a - share * b for a, b in zip(both, fit_alone, strict=True)]
    table = table_of(costs)
    print(f"{n_events} L1-accepted events in {BLOCKS} blocks, {share:.2f} pairs each; {n_reference} reference pairs")
    print("\n".join(lines_of(table)))
    print("variables: without the vertex, as the difference of 'variables and vertex' and the fits")
    if library is None:
        print("no g++: the C++ version is left out")
    if target is not None:
        shape = {"events": n_events, "pairs_per_event": share, "rounds": ROUNDS}
        target.write_text(
            json.dumps(shape | {"rows": table, "differences": problems}, indent=1) + "\n", encoding="utf-8"
        )
    if problems:
        sys.exit("answers differ: " + "; ".join(problems))


if __name__ == "__main__":
    main()
