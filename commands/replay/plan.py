"""How a replay begins: everything is read and checked, then its run directory is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import chain
from commands.replay.events import Ranges, spell
from daq.errors import InputError
from daq.run_directory import INPUT, SUMMARY, RunFile, create, is_taken
from daq.settings import RunSettings, SourceSettings, read_json
from daq.source.recorded import CUT, Origin, RecordedSource
from daq.source.replay import ReplaySource, stage

_FOREVER_S = 1e9  # recorded events are not lost to a chain that is slower than their pace: it lags


def plan_replay(
    settings: RunSettings,
    files: Sequence[Path],
    directory: Path,
    *,
    overwrite: bool = False,
    events: Ranges = (),
) -> chain.Plan:
    """Read and check all files, then make the run directory, with the events of the files in its folder ``input``.

    ``events`` are the ranges of their numbers to replay, [begin, end) each, rising and apart; all of them if empty.
    """
    if settings.source.kind != "replay":
        raise InputError('must be "replay"', key="[source] kind", value=settings.source.kind)

    def fill(staged: Path) -> RunFile:
        stage(files, settings, staged)
        source = ReplaySource(settings, staged)
        run = chain.run_file(settings, source, files=[str(path) for path in files])
        return chosen_events(run, events, ((0, source.n_events),))

    return _plan_with_input(settings, directory, fill, overwrite=overwrite)


def plan_recorded(
    settings: RunSettings,
    origin: Origin,
    directory: Path,
    *,
    overwrite: bool = False,
    events: Ranges = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> chain.Plan:
    """Check recorded events, and make the directory of a run that decides them again; ``events`` as in `plan_replay`.

    Menus, seed and whatever of the beam decides are those of ``settings``. Events keep their numbers, times and
    injections: the clock, luminosity sections and blocks are those of the run that recorded them.
    """
    clock, recorded = origin.clock, origin.run.settings
    of_clock = {name: getattr(clock.beam, name) for name in ("profile", "bunches", "section_s", "injection")}
    settings = settings.model_copy(
        update={
            "run": clock.run,
            "beam": settings.beam.model_copy(update=of_clock),
            "source": SourceSettings(kind="replay"),
            "stream": settings.stream.model_copy(
                update={"block_events": recorded.stream.block_events, "lag_s": _FOREVER_S}
            ),
        }
    )

    def fill(staged: Path) -> RunFile:
        staged.mkdir(parents=True)
        origin.write(staged)
        if origin.kind == "cut":
            shutil.copyfile(origin.path, staged / CUT)
        source = RecordedSource(origin, staged)
        source.check(progress)
        run = chosen_events(chain.run_file(settings, source, files=[origin.path]), events, source.ranges)
        return run.model_copy(update={"about": run.about | {"notes": [*run.about["notes"], *_notes(origin, run)]}})

    return _plan_with_input(settings, directory, fill, overwrite=overwrite)


def _plan_with_input(
    settings: RunSettings, directory: Path, fill: Callable[[Path], RunFile], *, overwrite: bool
) -> chain.Plan:
    """Make the directory of a replay; ``fill`` checks the input, writes its folder, says what the run is."""
    chain.Chain.of(settings)  # what is wrong with the menus or the directory shows before long files are read
    is_taken(directory, overwrite=overwrite)
    staged = directory.with_name(f".{directory.name}.input")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        run = fill(staged)
        create(directory, run, overwrite=overwrite)
        staged.rename(directory / INPUT)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return chain.Plan(directory, run, chain.open_source(run.settings, directory))


def chosen_events(run: RunFile, wanted: Ranges, there: Ranges) -> RunFile:
    """Return a run of the events ``wanted``, all if empty, of those that are ``there``; errors as `check_there`."""
    check_there(wanted, there)
    chosen = tuple(wanted or there)
    count = sum(end - begin for begin, end in chosen)
    is_from_0 = len(chosen) == 1 and chosen[0][0] == 0
    return run.model_copy(update={"n_events": count, "ranges": () if is_from_0 else chosen})


def _notes(origin: Origin, run: RunFile) -> list[str]:
    """Return what has to be known of a replay of recorded events to read its numbers."""
    if origin.kind == "cut":
        return ["Events that were cut out of a run: those that it lost to dead time stay lost, no other dead time is."]
    notes = [
        "Decided again are the events that the recorded run kept; the others keep the outcome that it wrote down. "
        "Dead time is that of the recorded run, not applied a second time."
    ]
    if run.about["l1"]["logic"] != origin.run.about["l1"]["logic"]:
        notes.append(
            "The L1 lines are not those of the recorded run: the words of events that it did not keep hold only the "
            "lines that are the same."
        )
    path = Path(origin.path) / SUMMARY
    state = read_json(path, if_missing="").get("state") if path.exists() else "unfinished"
    if state != "DONE":
        notes.append(f"The recorded run is {state}: replayed is what of it is durable.")
    return notes


def check_there(wanted: Ranges, there: Ranges) -> None:
    """Raise `InputError` unless all events ``wanted`` are among those that are ``there``."""
    for begin, end in wanted:
        if not any(low <= begin and end <= high for low, high in there):
            rule = f"are not all there (there are {spell(there)})"
            raise InputError(rule, key="--events", value=spell([(begin, end)]))
