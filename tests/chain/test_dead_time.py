"""The L1 of a run in blocks of any size: the same outcomes and dead time, and live luminosity as probes see it."""

from __future__ import annotations

import bisect
from collections import Counter
from typing import Any

import numpy as np
import pytest

import chain
from daq.clock import Injections, tick_of_ns
from daq.event import Outcome
from daq.run_directory import RunFile
from daq.settings import InjectionSettings, RunSettings
from daq.stream.wire.codec import as_received
from tests.chain.commands import DEMO
from tests.triggers.gdl.plain import PlainL1

EVENTS, SECTION_S = 12_000, 0.02
MENU = """
name = "tight"
prescale_by = "counter"
[timing.buffer]
window_accepts = 3
window_ns = 60_000
fifo_depth = 2
readout_ns = 20_000
[[line]]
name = "hie"
logic = "ehigh and !bha_veto and !veto"
[[line]]
name = "hiev"
logic = "ehigh and !bha_veto"
prescale = 3
[[line]]
name = "bha3d"
logic = "ecl_3dbha and !veto"
prescale = 2
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """Return a run at design luminosity with injections and slow buffers."""
    menu = tmp_path_factory.mktemp("menu") / "tight.toml"
    menu.write_text(MENU, encoding="utf-8")
    demo = chain.load_run(DEMO, events=EVENTS)
    injection = InjectionSettings(ler_hz=60.0, her_hz=50.0)
    beam = demo.beam.model_copy(update={"luminosity_cm2_s": 6e35, "section_s": SECTION_S, "injection": injection})
    return demo.model_copy(update={"beam": beam, "l1": demo.l1.model_copy(update={"menu": str(menu)})})


def l1_of(settings: RunSettings, block_events: int) -> dict[str, Any]:
    """Return what the L1 says of a run in blocks of one size."""
    stream = settings.stream.model_copy(update={"block_events": block_events})
    settings = settings.model_copy(update={"stream": stream})
    composed, source = chain.Chain.of(settings), chain.MixSource(settings)
    run: RunFile = chain.run_file(settings, source)
    make, stage, state = chain.BlockMaker(source, run), composed.l1_stage(), None
    outcomes, times, totals, end_ns = [], [], Counter(), 0
    for number in range(run.n_blocks):
        block = as_received(make(number))
        times.append(block.events["time_ns"])
        done, state = stage(block, state)
        outcomes.append(done.tables["all.outcome"])
        sections = done.notes["sections"]
        for name in sections.keys() - {"section"}:
            for section, value in zip(sections["section"], sections[name], strict=True):
                totals[name, section] += value
        end_ns = done.notes["end_ns"]
    return {
        "outcome": np.concatenate(outcomes).tolist(),
        "time_ns": np.concatenate(times).tolist(),
        "totals": {key: value for key, value in totals.items() if value},
        "state": state,
        "end_ns": end_ns,
    }


@pytest.fixture(scope="module")
def reference(settings: RunSettings) -> dict[str, Any]:
    """Return the run in the usual blocks."""
    return l1_of(settings, 1024)


@pytest.mark.parametrize("block_events", [97, 256, 5000, EVENTS])
def test_blocks_make_no_difference(block_events: int, settings: RunSettings, reference: dict[str, Any]):
    """Outcomes, dead time by section and cause, counters and the state at the end: all the same."""
    assert l1_of(settings, block_events) == reference


def test_every_cause_is_there(reference: dict[str, Any]):
    """The comparison is not of zeros."""
    assert set(reference["outcome"]) == set(Outcome) - {Outcome.HLT_REJECTED, Outcome.L1_DEAD_BUSY}
    assert {name for name, _ in reference["totals"]} == {
        "generated", "l1_accepted", "dead_ns_spacing", "dead_ns_buffer", "dead_ns_injection",
    }  # fmt: skip


def test_live_time_is_what_probes_see(settings: RunSettings, reference: dict[str, Any]):
    """Of random moments, as many find the L1 dead for a cause as the sections say."""
    composed = chain.Chain.of(settings)
    injections = Injections.of(settings.beam.injection)
    injected = sorted(
        (first + k * period, ring)
        for ring, (first, period) in enumerate(zip(*(each.tolist() for each in injections), strict=True), start=1)
        for k in range(1000)
    )
    accepts = [
        now for now, what in zip(reference["time_ns"], reference["outcome"], strict=True) if what == Outcome.KEPT
    ]
    probes = np.sort(np.random.default_rng(3).integers(0, reference["end_ns"], 50_000)).tolist()
    plain, found = PlainL1(composed.l1.timing), Counter()
    done = 0
    for now in probes:
        while done < len(accepts) and accepts[done] <= now:
            assert plain.event(accepts[done], fired=True, held=False) is Outcome.KEPT
            plain.accepts = plain.accepts[-4:]
            done += 1
        cause = plain.blind(now)
        if cause is None:
            tick = tick_of_ns(now)
            last = bisect.bisect(injected, (tick, 9)) - 1
            if last >= 0 and plain.vetoed(tick - injected[last][0], injected[last][1], tick % 1280):
                cause = Outcome.L1_DEAD_INJECTION
        found[cause] += 1
    for name, cause in (
        ("spacing", Outcome.L1_DEAD_SPACING),
        ("buffer", Outcome.L1_DEAD_BUFFER),
        ("injection", Outcome.L1_DEAD_INJECTION),
    ):
        share = sum(value for key, value in reference["totals"].items() if key[0] == f"dead_ns_{name}")
        share /= reference["end_ns"]
        assert share > 1e-3
        assert abs(found[cause] / len(probes) - share) < 4.5 * np.sqrt(share / len(probes))


def test_an_efficiency_has_no_dead_time_of_injections_in_it(settings: RunSettings):
    """Simulated for efficiencies, the same events are kept with and without injections."""
    quiet = settings.beam.model_copy(update={"injection": InjectionSettings()})
    some = settings.model_copy(update={"events": 2000})
    assert chain.simulate(some)["event"].equals(chain.simulate(some.model_copy(update={"beam": quiet}))["event"])
