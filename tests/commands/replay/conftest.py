"""A run to replay, and the command line with the stream's stages called one after the other in this process.

What processes, wires and deaths do to a run is tested in `tests/chain` and, for dask, in `test_farm`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import chain
from daq.spool import Manifest, write_part
from daq.stream.wire.codec import as_received
from daq.summary import finalise
from tests.chain.commands import DEMO, darkline_here, summary_of

EVENTS = 5000
INJECTIONS = """[beam.injection]
ler_hz = 25.0
her_hz = 25.0
[source]"""


def carry_out_here(plan: chain.Plan, *, on_status: object = None, hold: bool = False) -> dict[str, Any]:
    """Carry a run out as `chain.carry_out` does, without processes."""
    del on_status, hold
    run, directory = plan.run, plan.directory
    make = chain.BlockMaker(chain.open_source(run.settings, directory), run)
    l1, hlt = chain.l1_stage(run.settings, directory), chain.Chain.of(run.settings).hlt_stage()
    manifest, state, number = Manifest(directory), None, 0
    while number < run.n_blocks:
        blocks = []
        for number in run.part_blocks(number):  # noqa: B020 - the parts follow each other
            block, state = l1(as_received(make(number)), state)
            block.notes["l1_state"] = state
            blocks.append(as_received(hlt(as_received(block))))
        manifest.append(write_part(directory, blocks, run.bit_names))
        number += 1
    manifest.close()
    return finalise(
        directory, run, delivered_fb=plan.source.delivered_fb, wall_s=1.0, events_per_s=0.0, restarts=0, retries=0
    )


@pytest.fixture(scope="package", autouse=True)
def _in_this_process() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "carry_out", carry_out_here)
        yield


@pytest.fixture(scope="package")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demo at a rate and with injections that make dead time of every kind, in small blocks and parts."""
    path = tmp_path_factory.mktemp("config") / "busy.toml"
    text = DEMO.read_text(encoding="utf-8")
    text = text.replace("luminosity_cm2_s = 5.1e34", "luminosity_cm2_s = 5.1e35").replace(
        "[source]\n", INJECTIONS + "\n"
    )
    text = text.replace("section_s = 10.0", "section_s = 0.01")
    text = text.replace("block_events = 4096", "block_events = 256")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="package")
def recorded(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run; not to be changed."""
    directory = tmp_path_factory.mktemp("recorded") / "run"
    summary = summary_of(darkline_here("run", config, "--events", EVENTS, "--out", directory, "--json"))
    assert summary["reconciles"]
    assert all(summary["l1_dead"][cause] for cause in ("spacing", "injection"))
    return directory


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, to be changed."""
    return Path(shutil.copytree(recorded, tmp_path / "copied"))
