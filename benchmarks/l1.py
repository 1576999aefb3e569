"""What the Level-1 trigger costs: CPU time per event of each part and of the whole, one thread, beside references.

``.venv/bin/python -m benchmarks.l1 [--json FILE] [--menu ALG]``. The events are those of the demo, in blocks of 1024.
Everything is measured in the same run, in turns: times are of this machine at this moment, ratios hold elsewhere. The
references: numpy sorting a million random doubles, for all; numpy with an array of booleans for each bit, for FTDL; and
a plain C++ of the ECL clusters and low-multiplicity bits, ``l1_reference.cpp``, built here with ``g++ -O3`` if there is
one, for the ECL, which makes clusters, all 61 bits and what the GRL needs. What they find must be what we find, or the
benchmark fails. (The public simulation's own C++ took 59-79 us an event on the reference vectors.)

Floor, counted by hand for an event of the demo (3.8 cells, 1.7 clusters, 0.4 2D tracks, 4.9 segments):

* memory: 110 bytes are read and 50 written, 15 ns at 10 GB/s; the tables, 45 kB, stay in the caches;
* ECL: 25 operations a cell to fill and sum, 15 to see if it is a seed, 170 a cluster (two looks at 9 cells, centroid,
  azimuth), 40 a pair of clusters, 70 for 61 bits done several events at a time: 700 operations. Loops of any length and
  hits that are seeds or not cost a dozen wrong guesses of 15 cycles. 700 / 3 + 180 cycles, 0.17 us at 2.5 GHz;
* tracks, segments, matching: 300 operations where there is nothing but clusters, 1,000 in the fifth of the events with
  a track, half a dozen wrong guesses, 0.1 us;
* bit matrices: 11 squares of 64 x 64 bits for 64 events, 1,000 operations each on 4 words at a time, 0.02 us;
* half a dozen calls of kernels, 5-25 us each for a block of 1024, 0.05 us. Whole L1: 0.35 us;
* FTDL of menu 0036 (175 lines, 539 products; 1,992 literals, 1,185 once the common ones are taken out): an AND of 256
  bits and a load for a literal and 256 events, 1 ns an event; 45 kB are touched.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.testing import assert_array_equal

import chain
from benchmarks.chain import cpu_seconds, reference
from daq.event import EventBatch
from daq.jit import Array
from daq.source.mix import MixSource
from triggers.bits import flags_of, planes_of, words_of
from triggers.cdc import cdc_words
from triggers.ecl.cells import Cells, EclTable, cells
from triggers.ecl.clusters import TANGENTS, find_clusters
from triggers.ecl.decisions import ECL_BITS, ecl_words
from triggers.emulator import L1Emulator
from triggers.gdl.ftdl import Product, compile_program, evaluate
from triggers.gdl.menu import L1Menu
from triggers.gdl.triple import read_triple
from triggers.grl.matching import cell_directions, grl_words
from triggers.grl.short_tracks import short_tables, short_words
from triggers.inputs import Cuts, input_planes
from triggers.klm import klm_words
from triggers.primitives import Primitives, primitives_of

BLOCKS, ROUNDS, SIZE = 48, 9, 1024
REFERENCE = Path(__file__).with_name("l1_reference.cpp")
NEWEST_MENU = chain.ROOT.parent / "shared" / "data" / "gdl" / "ftd_0036.alg"
REFERENCE_BITS = (
    *("elow", "ehigh", "elum", "ecl_bst", "ecl_active", "clst_0", "clst_1", "clst_2", "clst_3", "ecl_oflo"),
    *("ecl_3dbha", "ecl_mumu", *(f"ecl_lml_{k}" for k in range(14))),
)
"""Bits of the words of the C++ reference."""

Part = Callable[[int], Any]
"""Work on the block of a number."""


@numba.njit(nogil=True, error_model="numpy")
def _clusters(primitives: Primitives, cells: Cells, tangents: Array, cuts: Cuts, malformed: Array) -> None:
    """Make clusters and sums, and leave them behind: to hand them to Python costs more than a tenth of making them."""
    find_clusters(primitives, True, cells, tangents, cuts.clusters, malformed)


@numba.njit(nogil=True, error_model="numpy")
def _ecl(
    primitives: Primitives,
    cells: Cells,
    tangents: Array,
    table: EclTable,
    cuts: Cuts,
    words: Array,
    malformed: Array,
) -> None:
    """Do all that the ECL does."""
    clusters, sums = find_clusters(primitives, True, cells, tangents, cuts.clusters, malformed)
    ecl_words(clusters, sums, table, cuts.counts, cuts.ecl, False, words)


class Blocks:
    """The events of the demo, and what the parts of the L1 make of them for the next part."""

    def __init__(self) -> None:
        settings = chain.load_run(chain.ROOT / "configs" / "runs" / "demo.toml", events=BLOCKS * SIZE)
        source = MixSource(settings)
        self.batches = [source.block(SIZE * k, SIZE) for k in range(BLOCKS)]
        self.primitives = [primitives_of(batch, SIZE) for batch in self.batches]
        self.table = EclTable.for_beams(settings.beam)
        self.emulator = L1Emulator(L1Menu.load(settings.l1.menu), seed=settings.seed, beam=settings.beam)
        self.cuts, self.words, self.malformed = Cuts(), np.empty(SIZE, np.uint64), np.zeros(SIZE, np.bool_)

    def ecl(self, k: int) -> Array:
        """Return the words of the ECL of a block."""
        _ecl(self.primitives[k], cells(), TANGENTS, self.table, self.cuts, self.words, self.malformed)
        return self.words

    def parts(self) -> dict[str, Part]:
        """Return the parts of the L1, and the whole."""
        events, cuts, words, malformed = self.primitives, self.cuts, self.words, self.malformed
        found = [find_clusters(some, True, cells(), TANGENTS, cuts.clusters, malformed) for some in events]
        planes = [input_planes(batch, SIZE, self.table)[0] for batch in self.batches]
        directions, tables = cell_directions(), short_tables(ideal=False)
        column = words[:, None]
        return {
            "ECL clusters": lambda k: _clusters(events[k], cells(), TANGENTS, cuts, malformed),
            "ECL decisions": lambda k: ecl_words(*found[k], self.table, cuts.counts, cuts.ecl, False, words),
            "CDC": lambda k: cdc_words(events[k], cuts.cdc, words, malformed),
            "KLM": lambda k: klm_words(events[k], cuts.klm, False, words, malformed),
            "GRL matching": lambda k: grl_words(events[k], found[k][0], directions, cuts.grl, words),
            "GRL short tracks": lambda k: short_words(
                events[k], found[k][0], tables, cuts.short, False, words, malformed
            ),
            "64 bits, words to planes": lambda _: planes_of(column, 64),
            "all bits, planes to words": lambda k: words_of(planes[k], SIZE),
            "all input bits": lambda k: input_planes(self.batches[k], SIZE, self.table),
            "whole L1": lambda k: self.emulator.process(self.batches[k]),
        }


def by_numpy(lines: Sequence[Sequence[Product]], bits: dict[str, Array], n_events: int) -> Array:
    """Return the (lines, events) booleans of sums of products, plainly: one array of booleans a bit."""
    out = np.zeros((len(lines), n_events), dtype=np.bool_)
    for k, products in enumerate(lines):
        for product in products:
            held = np.ones(n_events, dtype=np.bool_)
            for name, on in product:
                held &= bits[name] if on else ~bits[name]
            out[k] |= held
    return out


def ftdl_parts(menu: Path) -> dict[str, Part]:
    """Return FTDL of a menu on random bits, and the same by numpy, after a look that they agree."""
    lines = read_triple(menu).sums
    names = sorted({name for products in lines for product in products for name, _ in product})
    program = compile_program(lines, names)
    planes = np.random.default_rng(1).integers(0, 2**64, (len(names), SIZE // 64), dtype=np.uint64)
    words = words_of(planes, SIZE)
    bits = {name: flags_of(words, i) for i, name in enumerate(names)}
    found = words_of(evaluate(program, planes, SIZE), SIZE)
    assert_array_equal([flags_of(found, k) for k in range(len(lines))], by_numpy(lines, bits, SIZE))
    return {
        "FTDL": lambda _: evaluate(program, planes, SIZE),
        "FTDL by numpy": lambda _: by_numpy(lines, bits, SIZE),
    }


def ecl_parts(blocks: Blocks, folder: Path) -> dict[str, Part]:
    """Return the ECL, and clusters and low-multiplicity bits in C++, after a look that they agree on all blocks."""
    subprocess.run(["g++", "-O3", "-shared", "-fPIC", "-o", folder / "reference.so", REFERENCE], check=True)
    library = ctypes.CDLL(str(folder / "reference.so"))
    library.prepare()
    table = blocks.table
    tables = [np.ascontiguousarray(cells().xyz_cm), table.theta_cm_deg, table.phi_cm_deg, table.elab_over_ecm]
    words, centroids = np.empty(SIZE, dtype=np.uint64), np.empty((SIZE, 6, 5))

    def by_cpp(k: int) -> None:
        hits = blocks.primitives[k][:4]  # offsets, numbers, energies, times
        arrays = [*hits, *tables, words, centroids]
        library.decide(ctypes.c_int64(SIZE), *(ctypes.c_void_p(array.ctypes.data) for array in arrays))

    for k in range(BLOCKS):
        ours = blocks.ecl(k)
        by_cpp(k)
        for i, name in enumerate(REFERENCE_BITS):
            theirs = (words >> np.uint64(i) & np.uint64(1)).astype(np.bool_)
            assert_array_equal(
                flags_of(ours[:, None], list(ECL_BITS).index(name)), theirs, err_msg=f"block {k}: {name}"
            )
    return {"ECL": blocks.ecl, "ECL by C++": by_cpp}


def measured(parts: dict[str, Part]) -> dict[str, list[float]]:
    """Return the CPU times of each part [ns an event], and of sorting [ns a number], round by round."""
    for work in parts.values():
        for k in range(BLOCKS):  # compile, and pay for pages and caches
            work(k)
    costs: dict[str, list[float]] = {name: [] for name in (*parts, "sorting")}
    for _ in range(ROUNDS):
        costs["sorting"].append(1e3 * reference())
        for name, work in parts.items():
            seconds, _ = cpu_seconds(lambda w=work: [w(k) for k in range(BLOCKS)])
            costs[name].append(1e9 * seconds / (BLOCKS * SIZE))
    return costs


def peak_rss_mb(emulator: L1Emulator, batches: Sequence[EventBatch], n_blocks: int) -> float:
    """Return the highest memory of this process so far [MB], after the L1 of so many blocks."""
    for k in range(n_blocks):
        emulator.process(batches[k % len(batches)])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the table here")
    parser.add_argument("--menu", type=Path, default=NEWEST_MENU, help="menu for FTDL, an .alg file")
    arguments = parser.parse_args()
    blocks = Blocks()
    memory = {n: peak_rss_mb(blocks.emulator, blocks.batches, n) for n in (10, 1000)}
    parts = blocks.parts()
    if arguments.menu.is_file():
        parts |= ftdl_parts(arguments.menu)
    else:
        print(f"NOT MEASURED: FTDL, there is no {arguments.menu}")
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("g++"):
            parts |= ecl_parts(blocks, Path(folder))
        else:
            print("NOT MEASURED: the C++ reference of the ECL, there is no g++")
        costs = measured(parts)

    table = [summary(name, costs[name], costs["sorting"]) for name in parts]
    print(f"{'part':26} {'CPU ns/event':>12} {'min':>7} {'max':>7} {'x sort':>7}")
    for row in table:
        shown = "{part:26} {cpu_ns_per_event:12.1f} {min:7.1f} {max:7.1f} {ratio_to_sorting_one_number:7.2f}"
        print(shown.format(**row))
    claims = [
        claim("whole L1, CPU ns an event", costs["whole L1"], 1000.0),
        claim("memory after 1000 blocks, times that after 10", [memory[1000] / memory[10]], 1.02),
    ]
    if "FTDL" in costs:
        claims.append(claim("FTDL, CPU ns an event", costs["FTDL"], 20.0))
        claims.append(claim("FTDL, times numpy", ratios(costs["FTDL"], costs["FTDL by numpy"]), 1.0))
    if "ECL" in costs:
        claims.append(claim("ECL, times C++", ratios(costs["ECL"], costs["ECL by C++"]), 2.0))
    print(f"\n{'claim':46} {'measured':>9} {'at most':>8}")
    for row in claims:
        print("{claim:46} {measured:9.3f} {at_most:8.2f} ".format(**row) + ("holds" if row["holds"] else "FAILS"))
    if arguments.json is not None:
        record = {"rounds": ROUNDS, "blocks": BLOCKS, "peak_rss_mb": memory, "parts": table, "claims": claims}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def summary(name: str, costs: list[float], sorting: list[float]) -> dict[str, Any]:
    """Return the row of a part."""
    return {
        "part": name,
        "cpu_ns_per_event": statistics.median(costs),
        "min": min(costs),
        "max": max(costs),
        "ratio_to_sorting_one_number": statistics.median(ratios(costs, sorting)),
    }


def ratios(costs: list[float], references: list[float]) -> list[float]:
    """Return the ratio of each round."""
    return [cost / reference_cost for cost, reference_cost in zip(costs, references, strict=True)]


def claim(what: str, values: list[float], at_most: float) -> dict[str, Any]:
    """Return a claim, the median of what was measured, and whether it holds."""
    measured_value = statistics.median(values)
    return {"claim": what, "measured": measured_value, "at_most": at_most, "holds": measured_value <= at_most}


if __name__ == "__main__":
    main()
