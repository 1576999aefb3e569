"""`darkline cut`: a few events of a run or of users' files in one file that is decided as they were there.

The file has the columns of the event model, what the run wrote down of each event (``was_outcome``, L1 words), and in
its metadata the run itself: settings, seed, menus, clock. It is an input of `darkline replay`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import chain
from commands.replay.events import Ranges, spell
from commands.replay.plan import check_there, plan_recorded
from daq.errors import InputError, RunError, naming
from daq.event import Array, EventBatch, Outcome
from daq.run_directory import RUN, RunFile
from daq.source.recorded import CUT_KEY, UNKNOWN, Clock, Origin, RecordedSource, merged, origin_of_cut, origin_of_run
from daq.source.replay import ReplaySource, stage
from daq.stream.wire.codec import as_received


def cut(
    inputs: Sequence[Path],
    out: Path,
    *,
    ranges: Ranges = (),
    block: int | None = None,
    config: Path | None = None,
    bisect: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write events of a run directory, or of users' files, to a file; return what was written.

    Parameters
    ----------
    inputs
        A run directory; or files of users, which need a ``config``.
    out
        The file; there already only with ``overwrite``.
    ranges, block
        Which events: their numbers, or a block of the run.
    config
        Run configuration, for files of users.
    bisect
        Of these events, write only one that kills a process that decides it.
    overwrite
        Lose the file that is there.
    say
        Told what ``bisect`` does.

    Raises
    ------
    InputError
        If there are no such events, they can't be had any more, or the file cannot be written; then there is no file.
    RunError
        If ``bisect`` finds none that kills a process.
    """
    if out.suffix != ".parquet":
        raise InputError("must end in .parquet", file=out, key="--out")
    if out.exists() and not overwrite:
        raise InputError("exists already; --overwrite replaces it", file=out)
    if (block is None) == (not ranges):
        raise InputError("give either --events or --block", key="cut")
    if inputs[0].is_dir():
        if len(inputs) > 1:
            raise InputError("a run directory is cut alone", file=inputs[1])
        if config is not None:
            raise InputError("the events of a run have its settings", key="--config", value=str(config))
        table, origin = _of_run(inputs[0], ranges, block)
    else:
        if block is not None:
            raise InputError("files have no blocks: give --events", key="--block", value=block)
        table, origin = _of_files(inputs, ranges, config)
    if bisect:
        table = _culprit(table, origin, say)
    _write(table, origin, out)
    numbers = table["event"].to_pylist()
    return {
        "file": str(out),
        "of": origin.path,
        "run": origin.clock.run,
        "seed": origin.run.settings.seed,
        "events": len(numbers),
        "numbers": spell(merged((number, number + 1) for number in numbers), most=20),
    }


# ---- which events


def _of_run(directory: Path, ranges: Ranges, block: int | None) -> tuple[pa.Table, Origin]:
    origin = origin_of_run(directory, must_be_recorded=False)
    run = origin.run
    if block is not None:
        if not 0 <= block < run.n_blocks:
            raise InputError(
                f"no such block: they are numbered from 0 to {run.n_blocks - 1}", key="--block", value=block
            )
        first, count = run.block_range(block)
        ranges = ((first, first + count),)
    check_there(ranges, run.ranges or ((0, run.n_events),))
    recorded, source, pieces = RecordedSource(origin, directory), None, []
    for begin, end in _pieces(ranges, run, recorded.ranges):
        count, kept = end - begin, EventBatch(0, {})
        said = np.full(count, UNKNOWN, dtype=np.uint8), *_no_words(count, _n_words(run))
        if any(low <= begin < high for low, high in recorded.ranges):
            rows = recorded.rows(begin, count)
            kept, said = rows.events, (rows.outcome, rows.raw, rows.prescaled)
        events = kept
        if kept.size < count:
            if source is None:  # what is kept can be cut out of a run whose processes are no longer there
                with naming(directory / RUN):
                    source = chain.open_source(run.settings, directory)
            events = source.block(begin, count)
            _must_agree(events, kept, directory)
        pieces.append(_table(events, *said))
    return pa.concat_tables(pieces), origin


def _pieces(ranges: Ranges, run: RunFile, known: Ranges = ()) -> Iterator[tuple[int, int]]:
    """Yield the ranges in pieces that are in one block, and either known to the books or not."""
    size, edges = run.settings.stream.block_events, {edge for span in known for edge in span}
    for begin, end in ranges:
        cuts = {begin, end, *range(begin // size * size, end, size), *edges}
        yield from pairwise(sorted(edge for edge in cuts if begin <= edge <= end))


def _of_files(files: Sequence[Path], ranges: Ranges, config: Path | None) -> tuple[pa.Table, Origin]:
    if config is None:
        raise InputError("what becomes of the events of a file depends on --config CONFIG", key="--config")
    settings = chain.load_run(config)
    with naming(config), tempfile.TemporaryDirectory() as folder:
        if settings.source.kind != "replay":
            raise InputError('must be "replay"', key="[source] kind", value=settings.source.kind)
        chain.Chain.of(settings)
        stage(files, settings, Path(folder) / "staged")
        source = ReplaySource(settings, Path(folder) / "staged")
        check_there(ranges, ((0, source.n_events),))
        run = chain.run_file(settings, source, files=[str(path) for path in files])
        origin = Origin(kind="run", path=str(files[0].resolve()), run=run, clock=Clock.of(Path(folder), run))
        pieces = []
        for begin, end in _pieces(ranges, run):
            events, n_words = source.block(begin, end - begin), _n_words(run)
            unknown = np.full(end - begin, UNKNOWN, dtype=np.uint8)
            pieces.append(_table(events, unknown, *_no_words(end - begin, n_words)))
    return pa.concat_tables(pieces), origin


def _n_words(run: RunFile) -> int:
    return -(-len(run.about["l1"]["lines"]) // 64)


def _no_words(count: int, n_words: int) -> tuple[Array, Array]:
    return np.zeros((count, n_words), dtype=np.uint64), np.zeros((count, n_words), dtype=np.uint64)


def _must_agree(made: EventBatch, kept: EventBatch, directory: Path) -> None:
    """Raise `InputError` if events that were made again are not those that the run kept."""
    if not kept.size:
        return
    again = made.take(np.isin(made["event"], kept["event"]))
    for name, values in kept.arrays().items():
        if values.tobytes() != again[name].tobytes():
            rule = "is another one than the run kept: this version makes other events, only kept ones can be cut out"
            raise InputError(rule, file=directory, key=name)


# ---- the file


def _table(events: EventBatch, outcome: Array, raw: Array, prescaled: Array) -> pa.Table:
    table = events.to_arrow().append_column("was_outcome", pa.array(outcome))
    for label, words in (("l1_raw_word", raw), ("l1_word", prescaled)):
        for i, column in enumerate(words.T):
            table = table.append_column(f"was_{label}_{i}", pa.array(np.ascontiguousarray(column)))
    return table


def _write(table: pa.Table, origin: Origin, out: Path) -> None:
    part = out.with_name(f".part-{os.getpid()}-{out.name}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        said = origin.model_copy(update={"kind": "cut"}).model_dump_json().encode()
        pq.write_table(table.replace_schema_metadata({CUT_KEY: said}), part, compression="zstd")
        part.replace(out)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=out) from None
    finally:
        part.unlink(missing_ok=True)


# ---- which of them kills


def _culprit(table: pa.Table, origin: Origin, say: Callable[[str], None]) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:

        def kills(first: int, count: int) -> bool:
            say(f"deciding {count} events from number {table['event'][first]} in a process of their own")
            path = Path(folder) / "tried.parquet"
            _write(table.slice(first, count), origin, path)
            command = [sys.executable, str(chain.ROOT / "darkline.py"), "try-cut", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 2:
                raise InputError(done.stderr.strip().removeprefix("darkline: "))
            return done.returncode != 0

        found = first_culprit(table.num_rows, kills)
    if found is None:
        raise RunError("these events kill no process that decides them: nothing was written")
    return table.slice(found, 1)


def first_culprit(count: int, kills: Callable[[int, int], bool]) -> int | None:
    """Return a row of ``count`` that kills by itself, None if there is none; ``kills(first, count)`` tries some.

    By halves: about log2(count) trials. What kills only together with others is not found.
    """
    first, size = 0, count
    if not kills(first, size):
        return None
    while size > 1:
        half = size // 2
        first, size = (first, half) if kills(first, half) else (first + half, size - half)
    return first if kills(first, 1) else None


def try_cut(path: Path) -> dict[str, int]:
    """Decide the events of a cut in this process; return how many there are, and how many are kept."""
    origin = origin_of_cut(path)
    if origin is None:
        raise InputError("was not made by darkline cut", file=path)
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_recorded(origin.run.settings, origin, Path(folder) / "run")
        settings = plan.run.settings
        make = chain.BlockMaker(plan.source, plan.run)
        l1, hlt = chain.l1_stage(settings, plan.directory), chain.Chain.of(settings).hlt_stage()
        state: list[int] | None = None
        kept = 0
        for number in range(plan.run.n_blocks):
            block, state = l1(as_received(make(number)), state)
            kept += int((hlt(as_received(block)).tables["all.outcome"] == Outcome.KEPT).sum())
    return {"events": plan.run.n_events, "kept": kept}
