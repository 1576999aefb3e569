"""``darkline trigger hlt``: the HLT on files of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from commands.explain_hlt import Explanation, explanation_of
from daq.errors import InputError
from daq.event import Array
from daq.run_directory import RUN, read_run
from daq.settings import BeamSettings, RunSettings, load
from hlt.emulator import HltEmulator, HltResult, Observed
from hlt.files import EventFile, Events, ResultFile, find_files, number_of, open_events
from hlt.menu import HltMenu
from triggers.bits import flags_of

REFERENCE_BEAM = BeamSettings(electron_gev=7.004, positron_gev=4.002, crossing_mrad=83.0)
"""Beams of the reference vectors."""
DEFAULT_MENU = "physics"
_REFERENCE_NAMES = {"x_cm": "x", "y_cm": "y", "z_cm": "z"}  # name in the fit -> name in the reference


class Decider:
    """A menu with its beams, on events in the precision of their file.

    The stream works in single precision (`HltEmulator.process` on an `EventBatch`); the same code takes double.
    """

    def __init__(self, menu: HltMenu, *, seed: int, beam: BeamSettings, column: str | None = None):
        clash = {f"raw_{name}" for name in menu.line_names}.intersection(menu.line_names)
        if clash:
            raise InputError("the column of another line before its prescale has this name", key=f"line {min(clash)}")
        self.menu, self.beam, self.seed = menu, beam, seed
        self.emulator = HltEmulator(menu, seed=seed, beam=beam, column=column)

    def __call__(self, events: Events, counters: Array) -> tuple[Observed, HltResult]:
        """Decide about some events; ``counters`` as in `HltEmulator.process`."""
        observed = self.emulator.observe(events, events.l1)
        run, event = number_of(events.identity, events.size)
        return observed, self.emulator.decide(observed, run, event, counters)


def open_inputs(inputs: Sequence[Path]) -> list[EventFile]:
    """Open all files; raise `InputError` for the first that is wrong, or if they do not go together."""
    files = [open_events(path) for path in find_files(inputs)]
    for file in files[1:]:
        if file.kind != files[0].kind:
            raise InputError(f"does not hold the same kind of columns as {files[0].path}", file=file.path)
        if file.identity.types != files[0].identity.types or file.identity.names != files[0].identity.names:
            rule = f"event_id, run and event are not the same columns, of the same types, as in {files[0].path}"
            raise InputError(rule, file=file.path)
    return files


def decider_for(files: Sequence[EventFile], *, menu: str | None, column: str | None, config: Path | None) -> Decider:
    """Settle menu, prescale column, beams and seed: those of the configuration, else of the run the events are of.

    Flat files belong to no run: they get the menu ``physics`` and the beams of the reference vectors.
    """
    settings = load(config, RunSettings) if config is not None else _run_of(files)
    if settings is None:
        return Decider(HltMenu.load(menu or DEFAULT_MENU), seed=1, beam=REFERENCE_BEAM, column=column)
    if menu is None and column is None:
        column = settings.hlt.column
    return Decider(HltMenu.load(menu or settings.hlt.menu), seed=settings.seed, beam=settings.beam, column=column)


def _run_of(files: Sequence[EventFile]) -> RunSettings | None:
    """Return the settings of the run that the files are parts of; None if there is no run.json beside them."""
    found = None
    for directory in dict.fromkeys(file.path.resolve().parent.parent for file in files):
        if not (directory / RUN).is_file():
            continue
        settings = read_run(directory).settings
        decides = (settings.beam, settings.seed, settings.hlt)
        if found is not None and decides != (found.beam, found.seed, found.hlt):
            raise InputError(
                "was taken with other beams, seed or menu than the run before: give --config", file=directory
            )
        found = settings
    return found


def decide(
    files: Sequence[EventFile], out: Path, decider: Decider, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Decide about every event of the files and write the results; return what was done.

    Raises
    ------
    InputError
        If an event breaks a rule or the results cannot be written; then ``out`` is as it was before.
    """
    done, total = 0, sum(file.n_events for file in files)
    counts = {name: np.zeros(2, dtype=np.int64) for name in decider.menu.line_names}
    accepted = over_cap = 0
    counters = decider.emulator.counters()
    with ResultFile(out, (file.path for file in files)) as results:
        for events in (events for file in files for events in file.events()):
            observed, result = decider(events, counters)
            columns = result_columns(events, observed, result, decider.menu.line_names)
            results.write(columns)
            for name in counts:
                counts[name] += columns[f"hlt_raw_{name}"].sum(), columns[f"hlt_{name}"].sum()
            accepted += int(result.accept.sum())
            over_cap += int(result.over_cap.sum())
            done += events.size
            if progress is not None:
                progress(done, total)
    return {
        "events": done,
        "accepted": accepted,
        "over_cap": over_cap,
        "menu": {"name": decider.menu.name, "hash": decider.menu.hash, "column": decider.emulator.column},
        "beam": decider.beam.model_dump(),
        "seed": decider.seed,
        "lines": {name: {"raw": int(raw), "prescaled": int(kept)} for name, (raw, kept) in counts.items()},
        "out": str(out),
    }


def result_columns(events: Events, observed: Observed, result: HltResult, lines: Sequence[str]) -> dict[str, Any]:
    """Return the columns of the result file, in order: see docs/hlt-files.md."""
    table = observed.table
    columns: dict[str, Any] = dict(events.identity)
    columns |= {name: np.ascontiguousarray(table[name]) for name in table.dtype.names or ()}
    columns |= vertex_columns(observed.fits)
    for bit, line in enumerate(lines):
        columns |= {f"hlt_raw_{line}": flags_of(result.raw, bit), f"hlt_{line}": flags_of(result.prescaled, bit)}
    return columns | {"over_cap": result.over_cap, "total_result": result.accept}


def vertex_columns(fits: Array) -> dict[str, Array]:
    """Return the fit of the displaced-vertex pair under the names of the reference vectors."""
    columns = {
        f"vtx_{_REFERENCE_NAMES.get(name, name)}": np.ascontiguousarray(fits[name]) for name in fits.dtype.names or ()
    }
    # Two tracks of five parameters, in two dimensions each, meet in a point of three: one degree of freedom is left.
    return columns | {"vtx_ndf": np.where(fits["status"] == -1, np.nan, 1.0)}


def explain_event(files: Sequence[EventFile], decider: Decider, event_id: int) -> Explanation:
    """Say for one event what each line asked and what it found; raise `InputError` if there is no such event."""
    counters = decider.emulator.counters()
    for file in files:
        for events in file.events():
            rows = np.flatnonzero(events.identity["event_id"].to_numpy() == event_id)
            if rows.size == 0 and decider.menu.prescale_by == "hash":
                continue  # nothing of these events counts for those after them
            observed, result = decider(events, counters)
            if rows.size:
                row = int(rows[0])
                vertex = {name: float(column[row]) for name, column in vertex_columns(observed.fits).items()}
                return explanation_of(
                    decider.emulator, f"event {event_id} of {file.path}", observed, result, row, vertex
                )
    raise InputError("no event has this event_id", file=files[0].path, key="--explain", value=event_id)
