"""What the signals cost: CPU time per event of each shipped decay chain, beside a reference measured in the same run.

``.venv/bin/python -m benchmarks.signals [--json FILE]``. Particles only, no detector; one thread; the reference is
numpy sorting a million random doubles, as in `benchmarks.chain`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.chain import cpu_seconds, reference
from daq.settings import BeamSettings, SignalSettings
from daq.source.cascade import generate_chains
from daq.source.catalogue import PROCESSES, load_process
from daq.source.decay import ChainSettings
from daq.source.kinematics import collision_frame
from daq.source.signals import settle

EVENTS, ROUNDS = 16_384, 5


def main() -> None:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the table here")
    target = parser.parse_args().json
    frame = collision_frame(BeamSettings())
    events, chain = np.arange(EVENTS, dtype=np.uint64), np.zeros(EVENTS, dtype=np.int64)
    truth = {"process": chain, "mass_gev": np.zeros(EVENTS), "ctau_cm": np.zeros(EVENTS)}
    table = []
    for path in sorted(PROCESSES.glob("*.toml")):
        settings = load_process(path)
        if not isinstance(settings, ChainSettings):
            continue
        mass = settings.particles[settings.particle].mass_gev if settings.particle else None
        given = SignalSettings(process=path.stem, mass_gev=mass, cross_section_nb=1.0)
        seconds, signal = cpu_seconds(lambda g=given, s=settings: settle(g, s, frame.sqrt_s_gev))

        def once(chains=signal.chains):
            return generate_chains(chains, chain, events, **truth, frame=frame, seed=1, run=1)

        particles = once()
        best = min(cpu_seconds(once)[0] for _ in range(ROUNDS)) / EVENTS
        size = len(particles.pdg) / EVENTS
        table.append({"process": path.stem, "cpu_us_per_event": 1e6 * best, "particles": size, "setup_s": seconds})
    sort_ns = 1e3 * reference()
    print(f"{'process':28} {'CPU us/event':>13} {'x sort':>7} {'particles':>10} {'setup s':>8}")
    for row in table:
        ratio = 1e3 * row["cpu_us_per_event"] / sort_ns
        print(
            f"{row['process']:28} {row['cpu_us_per_event']:13.2f} {ratio:7.0f} {row['particles']:10.1f} "
            f"{row['setup_s']:8.2f}"
        )
    print(f"sorting: {sort_ns:.1f} ns a number")
    if target is not None:
        target.write_text(json.dumps({"sort_ns_per_number": sort_ns, "signals": table}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
