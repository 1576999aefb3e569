"""What the source costs: CPU time per event of each stage, beside the same sampling in plain NumPy in the same run.

``.venv/bin/python -m benchmarks.source [--config FILE] [--json FILE]``. One thread; blocks of 4096 events, as the
stream asks for them; medians over the rounds. Measured are the standard mix (configs/runs/standard.toml, with beam
background and all fields) and its low-multiplicity part: Bhabha, gamma gamma and mu pairs, which is what
`benchmarks.source_numpy` samples too. The two must agree in what they make: numbers of objects are printed side by
side. For comparison: how many events Pythia makes in a second (if the extra ``gen`` is installed), and what sorting a
million random doubles costs.

The floor. An event of the standard mix has 3.6 particles, 0.8 tracks, 3.5 clusters (2 of them soft background), 3.6
cells to be measured and 7.5 segments. It takes about 74 random words: 32 in the detector, 12 in the collision, 15 in
the background, 8 for the tracks and 7 for the cells in the trigger; at 1 ns each (`daq.philox.fill_words`) they are
0.07 us. What leaves the source is 340 bytes an event, in 65 arrays, and what passes between stages about as much
again: nothing beside a core's several bytes a nanosecond. A block costs 0.3 ms before its first event, the calls of
kernels and the making of arrays: 0.3 us an event, of which nearly half is code and tables that have left the cache
since the last block. The rest is arithmetic behind branches that depend on random numbers: which particles leave
something (0.43 us an event), the collisions (0.41), trigger cells (0.31), trigger tracks (0.23). What is done to all
tracks or deposits alike is cheap: smearing costs 0.09 us a track, its likelihoods and covariance included, and 0.07 a
deposit.

Limits. The aims are 0.5 million events a second for the standard mix, 1 million for low multiplicity, ten times plain
NumPy. None is reached. Blocks of 4096: 3.2 and 3.1 us an event (medians) at 15.6 ns for sorting a number, 5.8 times
faster than plain NumPy; at the 11 ns of an idle core that would be 2.3. Blocks of 1024, best blocks of a run on two
cores shared with other work (sorting at 10.8 ns): 2.5 and 2.2 us, 6 to 8 times plain NumPy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import chain
from benchmarks import source_numpy
from benchmarks.chain import cpu_seconds, reference
from daq.errors import InputError
from daq.settings import RunSettings
from daq.source import assembly
from daq.source.mix import NB_CM2, MixSource

BLOCK, BLOCKS, ROUNDS = 4096, 6, 7
EVENTS = BLOCK * BLOCKS
LOW_MULTIPLICITY = ("bhabha", "gamma_gamma", "mu_pair")
PYTHIA = {"qqbar": 2000, "tau_pair": 100}  # a tau pair with its spins takes a hundred times as long
COUNTED = ("tracks", "clusters", "tc", "segments", "trk2d", "trk3d", "trknn")


class Stopwatch:
    """Puts a clock around functions, called through the names that `daq.source.assembly` knows them by."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``work``, its CPU time booked on ``stage``."""

        def measured(*args: Any, **options: Any) -> Any:
            seconds, result = cpu_seconds(lambda: work(*args, **options))
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
            return result

        return measured


def stages(settings: RunSettings) -> dict[str, float]:
    """Return CPU time by stage of one round [ns an event], the whole among them."""
    source, watch = MixSource(settings), Stopwatch()
    background = source.background
    source.particles = watch.timed("particles", source.particles)
    source.beam.stamp = watch.timed("clock", source.beam.stamp)
    names = {"lay": "background: numbers", "stray": "background: particles"}
    names |= {"fill_clusters": "background: clusters", "with_segments": "background: segments"}
    for method, stage in names.items():
        if background is not None:
            setattr(background, method, watch.timed(stage, getattr(background, method)))
    kept = {name: getattr(assembly, name) for name in ("respond", "primitives_of")}
    try:
        for name, stage in (("respond", "detector"), ("primitives_of", "primitives")):
            setattr(assembly, name, watch.timed(stage, kept[name]))
        whole, _ = cpu_seconds(lambda: [source.block(k * BLOCK, BLOCK) for k in range(BLOCKS)])
    finally:
        for name, work in kept.items():
            setattr(assembly, name, work)
    booked = watch.seconds | {"assembly of the batch": whole - sum(watch.seconds.values())}
    return {stage: 1e9 * seconds / EVENTS for stage, seconds in booked.items()} | {"all": 1e9 * whole / EVENTS}


def whole_ns(work: Callable[[], Any]) -> float:
    """Return the CPU time of one call for all events [ns an event]."""
    return 1e9 * cpu_seconds(work)[0] / EVENTS


def numpy_source(settings: RunSettings) -> Callable[[int], list[source_numpy.Columns]]:
    """Return what makes all events in plain NumPy, in blocks of so many."""
    nb = np.array(MixSource(settings).cross_sections_nb)
    rate_hz = float(nb.sum()) * NB_CM2 * settings.beam.luminosity_cm2_s
    rng = np.random.default_rng(1)

    def make(size: int) -> list[source_numpy.Columns]:
        shares = np.cumsum(nb) / nb.sum()
        return [source_numpy.block(rng, size, shares, settings.beam, rate_hz) for _ in range(EVENTS // size)]

    return make


def objects(settings: RunSettings, reference_blocks: list[source_numpy.Columns]) -> dict[str, tuple[float, float]]:
    """Return the mean number of objects in an event, by kernels and by NumPy."""
    batch = MixSource(settings).block(0, EVENTS)
    return {
        group: (
            batch[f"{group}.offsets"][-1] / EVENTS,
            sum(columns[f"{group}.event"].size for columns in reference_blocks) / EVENTS,
        )
        for group in COUNTED
    }


def pythia_events_s(process: str, events: int) -> float | None:
    """Return how many events of a process Pythia makes in a second of CPU time, None if it is not installed."""
    from daq.source import pythia

    try:
        pythia.generate(process, 1, 1)
    except InputError:
        return None
    few, _ = cpu_seconds(lambda: pythia.generate(process, 1, 1))  # setting it up
    many, _ = cpu_seconds(lambda: pythia.generate(process, 1 + events, 1))
    return events / (many - few)


def restricted(settings: RunSettings) -> RunSettings:
    """Return the low-multiplicity part of a run, without signals."""
    source = settings.source.model_copy(update={"processes": LOW_MULTIPLICITY, "signals": ()})
    return settings.model_copy(update={"source": source})


def main() -> None:
    """Print the tables; write them as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    standard = chain.ROOT / "configs" / "runs" / "standard.toml"
    parser.add_argument("--config", type=Path, default=standard, help="run whose mix is measured")
    parser.add_argument("--json", type=Path, help="also write the tables here")
    arguments = parser.parse_args()
    mixes = {"standard mix": chain.load_run(arguments.config)}
    mixes["low multiplicity"] = restricted(mixes["standard mix"])
    in_numpy = numpy_source(mixes["low multiplicity"])
    for settings in mixes.values():
        stages(settings)  # the first round pays for compilation
    made = in_numpy(EVENTS)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in mixes}
    sorts, small, large = [], [], []
    for _ in range(ROUNDS):
        sorts.append(1e3 * reference())
        for name, settings in mixes.items():
            rounds[name].append(stages(settings))
        small.append(whole_ns(lambda: in_numpy(BLOCK)))
        large.append(whole_ns(lambda: in_numpy(EVENTS)))
    table = {
        name: {stage: statistics.median(one[stage] for one in each) for stage in each[0]}
        for name, each in rounds.items()
    }
    numpy_ns = {"blocks of 1024": statistics.median(small), f"one block of {EVENTS}": statistics.median(large)}
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "ns_an_event": table,
        "numpy_ns_an_event": numpy_ns,
        "times_faster_than_numpy": min(numpy_ns.values()) / table["low multiplicity"]["all"],
        "objects_an_event": objects(mixes["low multiplicity"], made),
        "sort_ns_a_number": statistics.median(sorts),
        "pythia_events_s": {name: pythia_events_s(name, events) for name, events in PYTHIA.items()},
    }
    print(text(record))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def text(record: dict[str, Any]) -> str:
    """Return the tables for people."""
    table, sort_ns = record["ns_an_event"], record["sort_ns_a_number"]
    names = list(table)
    out = [f"{'CPU time, ns an event':28}" + "".join(f"{name:>18}" for name in names)]
    out += [f"{stage:28}" + "".join(f"{table[name][stage]:18.0f}" for name in names) for stage in table[names[0]]]
    out.append(f"{'events a second':28}" + "".join(f"{1e9 / table[name]['all']:18,.0f}" for name in names))
    for how, ns in record["numpy_ns_an_event"].items():
        out.append(f"{f'plain NumPy, {how}':46}{ns:18.0f}")
    out.append(f"kernels are {record['times_faster_than_numpy']:.1f} times faster than the faster of these")
    out.append("objects an event (kernels, NumPy): " + _pairs(record["objects_an_event"]))
    for process, rate in record["pythia_events_s"].items():
        out.append(f"Pythia, {process}: {'not installed' if rate is None else f'{rate:,.0f} events a second'}")
    out.append(f"sorting: {sort_ns:.1f} ns a number")
    return "\n".join(out)


def _pairs(counts: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} {ours:.2f} {theirs:.2f}" for name, (ours, theirs) in counts.items())


if __name__ == "__main__":
    main()
