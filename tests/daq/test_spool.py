"""What is spooled is what was decided; writing again changes nothing; a torn manifest costs a part, never the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.errors import RunError
from daq.event import EventBatch, Outcome
from daq.run_directory import EVENTS, MANIFEST, TRIGGER_WORDS, RunFile, create
from daq.spool import (
    Manifest,
    event_parts,
    read_manifest,
    remove_temporaries,
    trigger_word_parts,
    write_part,
)
from daq.stream.wire.codec import Block, as_received
from daq.summary import finalise
from tests.batches import assert_same, random_batch
from tests.daq.stream.toy import delivered_fb, toy_run

NAMES = {"l1": ("a", "b"), "hlt": tuple(f"line{i}" for i in range(70))}


def decided(number: int, *, size: int = 8, keep: bool = True) -> Block:
    """Return a block as it comes to the spool: random events, outcomes and words."""
    rng = np.random.default_rng(number)
    first = number * size
    outcome = rng.integers(0, len(Outcome), size).astype("u1")
    if not keep:
        outcome[outcome == Outcome.KEPT] = Outcome.HLT_REJECTED
    kept = np.flatnonzero(outcome == Outcome.KEPT)
    arrays = random_batch(kept.size, rng, 3.0).arrays()
    events = EventBatch(kept.size, {**arrays, "event": kept + first})
    tables = {
        "all.outcome": outcome,
        "all.l1_words": rng.integers(0, 2**63, (size, 2)).astype("u8"),
        "all.process": rng.integers(0, 7, size).astype("u2"),
        "kept.l1": rng.integers(0, 4, (kept.size, 1)).astype("u8"),
        "kept.hlt": rng.integers(0, 2**63, (kept.size, 2)).astype("u8"),
        "kept.hlt_latency_us": rng.random(kept.size).astype("f4"),
    }
    notes = {"begin_ns": number * 10, "end_ns": number * 10 + 10, "l1_state": [number, -1]}
    return as_received(Block(number, first, size, events, tables, notes))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a new run directory."""
    create(tmp_path / "run", toy_run())
    return tmp_path / "run"


def spool(directory: Path, *parts: list[Block]) -> None:
    """Write parts as the spool does."""
    manifest = Manifest(directory)
    for blocks in parts:
        manifest.append(write_part(directory, blocks, NAMES))
    manifest.close()


def test_what_is_read_is_what_was_decided(directory: Path):
    """Events bit for bit, a column for each named bit, plain tables as they are, words of every event."""
    blocks = [decided(number) for number in range(3)]
    spool(directory, blocks)
    events = EventBatch.concatenate(block.events for block in blocks)
    (path,) = event_parts(directory)
    assert path.name == "block=00000000.parquet"
    table = pl.read_parquet(path)
    assert_same(EventBatch.from_arrow(table.to_arrow()), events)
    hlt = np.concatenate([block.tables["kept.hlt"] for block in blocks])
    for i in (0, 1, 63, 64, 69):
        expected = [bool(int(row[i // 64]) >> i % 64 & 1) for row in hlt]
        assert table[f"hlt_line{i}"].to_list() == expected
    assert "hlt_line70" not in table.columns
    assert [name for name in table.columns if name.startswith("l1_")] == ["l1_a", "l1_b"]
    latency = np.concatenate([block.tables["kept.hlt_latency_us"] for block in blocks])
    assert table["hlt_latency_us"].to_numpy().tobytes() == latency.tobytes()

    (path,) = trigger_word_parts(directory)
    words = pl.read_parquet(path)
    assert words.columns == ["event", "outcome", "l1_word_0", "l1_word_1", "process"]
    assert words["event"].to_list() == list(range(24))
    assert words["outcome"].to_list() == [o for block in blocks for o in block.tables["all.outcome"]]
    assert words["process"].to_list() == [p for block in blocks for p in block.tables["all.process"]]
    assert words["l1_word_1"].to_list() == [int(w) for block in blocks for w in block.tables["all.l1_words"][:, 1]]


def test_manifest_says_what_became_of_each_block(directory: Path):
    """A line a block: range, counts by outcome, time, state."""
    block = decided(0)
    spool(directory, [block])
    (line,) = (directory / MANIFEST).read_text().splitlines()
    record = json.loads(line)
    outcome = block.tables["all.outcome"]
    assert record["counts"] == {
        "l1_rejected": (outcome == 0).sum(),
        "l1_dead_spacing": (outcome == 1).sum(),
        "l1_dead_buffer": (outcome == 2).sum(),
        "l1_dead_injection": (outcome == 3).sum(),
        "l1_dead_busy": 0,
        "hlt_rejected": (outcome == 4).sum(),
        "spooled": (outcome == 5).sum(),
    }
    assert (record["block"], record["first_event"], record["n_events"]) == (0, 0, 8)
    assert (record["begin_ns"], record["end_ns"], record["l1_state"]) == (0, 10, [0, -1])


def test_writing_a_part_again_changes_nothing(directory: Path):
    """Same names, same bytes, same lines: a second write is harmless."""
    blocks = [decided(number) for number in range(3)]
    first = write_part(directory, blocks, NAMES)
    before = {path: path.read_bytes() for path in directory.rglob("*.parquet")}
    assert write_part(directory, blocks, NAMES) == first
    assert {path: path.read_bytes() for path in directory.rglob("*.parquet")} == before
    assert len(before) == 2


def test_a_part_without_kept_events_has_no_event_file(directory: Path):
    """Trigger words are there all the same, and the run reconciles."""
    spool(directory, [decided(0, keep=False)], [decided(1)])
    assert [path.name for path in event_parts(directory)] == ["block=00000001.parquet"]
    assert len(trigger_word_parts(directory)) == 2
    assert [path.name for path in (directory / EVENTS).iterdir()] == ["block=00000001.parquet"]


@pytest.mark.parametrize(
    "change", [lambda o: o.__setitem__(o == 5, 4), lambda o: o.__setitem__(o == 0, 5), np.ndarray.sort]
)
def test_outcomes_that_do_not_fit_the_events_are_refused(directory: Path, change: Callable[[np.ndarray], None]):
    """A stage that loses or mixes up events can't get them into the spool."""
    block = decided(0, size=40)
    outcome = block.tables["all.outcome"].copy()
    change(outcome)
    block.tables["all.outcome"] = outcome
    with pytest.raises(RunError, match="block 0: events do not agree with outcomes"):
        write_part(directory, [block], NAMES)
    assert not list(directory.rglob("*.parquet"))


@given(data=st.data())
def test_a_torn_manifest_costs_the_last_part_only(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """Wherever the tail is torn: parts with all their lines count, the rest is cut off and written again."""
    directory = tmp_path_factory.mktemp("torn") / "run"
    create(directory, toy_run())
    parts = [[decided(number) for number in range(first, first + 2)] for first in (0, 2, 4)]
    spool(directory, *parts)
    whole = (directory / MANIFEST).read_bytes()
    ends = [whole.index(line) + len(line) for line in whole.splitlines(keepends=True)]
    cut = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.sampled_from([b"", b"\0\0\0", b'{"block":\n']))
    (directory / MANIFEST).write_bytes(whole[:cut] + (junk if cut in (0, *ends) else b""))
    n_parts = sum(end <= cut for end in ends[1::2])
    assert [record.block for record in read_manifest(directory)] == list(range(2 * n_parts))
    spool(directory, *parts[n_parts:])
    assert (directory / MANIFEST).read_bytes() == whole


def test_damage_in_the_middle_is_not_glossed_over(directory: Path):
    """A bad line before good ones, or a block that stands there twice, is an error that names the place."""
    spool(directory, [decided(0)], [decided(1)])
    whole = (directory / MANIFEST).read_bytes()
    (directory / MANIFEST).write_bytes(whole.replace(b"block", b"blokc", 1))
    with pytest.raises(RunError, match=r"manifest.jsonl: line 1"):
        Manifest(directory)
    (directory / MANIFEST).write_bytes(whole + whole)
    with pytest.raises(RunError, match="block 0 stands there twice"):
        read_manifest(directory)


def test_leftovers_are_removed_and_do_not_count(directory: Path):
    """Half-written files of a killed spool vanish; a part that is in place but not in the manifest is not read."""
    spool(directory, [decided(0)])
    write_part(directory, [decided(1)], NAMES)
    (directory / EVENTS / ".block=00000002.parquet.tmp").write_bytes(b"PAR1")
    remove_temporaries(directory)
    assert sorted(path.name for path in (directory / EVENTS).iterdir()) == [
        "block=00000000.parquet",
        "block=00000001.parquet",
    ]
    assert len(event_parts(directory)) == len(trigger_word_parts(directory)) == 1


# ---- the books


def books(directory: Path, run: RunFile | None = None) -> dict[str, object]:
    """Close the books of two parts of two blocks each."""
    return finalise(directory, run or toy_run(32), delivered_fb=delivered_fb)


@pytest.fixture
def spooled(directory: Path) -> Path:
    """Return a run directory with two parts."""
    spool(directory, [decided(0), decided(1)], [decided(2), decided(3)])
    return directory


def test_sound_books_balance(spooled: Path):
    """Counts add up to the events generated, on paper and on disk."""
    summary = books(spooled)
    assert (summary["state"], summary["reconciles"], summary["problems"]) == ("DONE", True, [])
    assert summary["generated"] == 32
    assert json.loads((spooled / "summary.json").read_text()) == summary


def flip(path: Path) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (lambda d: (d / EVENTS / "block=00000000.parquet").unlink(), "part 0: a file is missing or damaged"),
        (lambda d: flip(d / TRIGGER_WORDS / "block=00000002.parquet"), "part 2: a file is missing or damaged"),
        (
            lambda d: (d / MANIFEST).write_text((d / MANIFEST).read_text().replace('"spooled":', '"spooled":1', 1)),
            "in the manifest",
        ),
        (
            lambda d: (d / MANIFEST).write_text("".join((d / MANIFEST).read_text().splitlines(keepends=True)[:2])),
            "16 events generated, the run has 32",
        ),
    ],
)
def test_books_that_do_not_balance_are_failed(spooled: Path, damage: Callable[[Path], None], rule: str):
    """A lost or damaged file, a wrong count, a missing part: the summary is FAILED and says where."""
    damage(spooled)
    summary = books(spooled)
    assert (summary["state"], summary["reconciles"]) == ("FAILED", False)
    assert any(rule in problem for problem in summary["problems"])


def test_luminosity_of_what_is_there(directory: Path):
    """Sections are cut at their borders; without known luminosity there is none; holes are not counted."""
    run = toy_run(32)
    beam = run.settings.beam.model_copy(update={"section_s": 25e-9})
    run = run.model_copy(update={"settings": run.settings.model_copy(update={"beam": beam})})
    spool(directory, [decided(0)], [decided(2)], [decided(3)])  # [0, 10) and [20, 40) ns
    finalise(directory, run, delivered_fb=lambda begin, end: float(end - begin), stopped_early=True)
    sections = pl.read_parquet(directory / "sections.parquet")
    assert sections["section"].to_list() == [0, 1]
    assert sections["delivered_fb"].to_list() == [15.0, 15.0]
    assert sections["live_fb"].to_list() == [15.0, 15.0]
    assert sections["luminosity_cm2_s"].to_list() == pytest.approx([1e39 / 1e-9] * 2)  # 15 fb-1 in 15 ns each
    summary = finalise(directory, run, delivered_fb=lambda *_: None, stopped_early=True)
    assert summary["delivered_fb"] is summary["live_fb"] is None
