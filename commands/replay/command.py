"""`darkline replay`: what is given is found out, checked, sent through the chain, and compared with what it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import chain
from commands.replay.differences import differences
from commands.replay.differences import text as differences_text
from commands.replay.events import Ranges, parse_events
from commands.replay.plan import check_there, plan_recorded, plan_replay
from daq.errors import InputError, naming
from daq.run_directory import DIFFERENCES, EVENTS, RUN, TRIGGER_WORDS, lock, write_json
from daq.settings import RunSettings
from daq.source.recorded import Origin, RecordedSource, merged, origin_of_cut, origin_of_run
from monitors.terminal import Progress, RunView, closing

Record = dict[str, Any]
LEVELS = ("events", "trigger_words")
_PART = re.compile(r"block=([0-9]{8,})\.parquet")
_ENGINES = ("stream", "dask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says beside the inputs."""

    config: Path | None = None
    level: str | None = None
    """One of `LEVELS`; what the inputs are if not given."""
    events: str | None = None
    speed: str | None = None
    seed: int | None = None
    workers: int | None = None
    out: Path | None = None
    overwrite: bool = False
    engine: str = "stream"
    scheduler: str | None = None


def replay(inputs: Sequence[Path], options: Options, *, live: bool = False) -> tuple[Record, str]:
    """Replay what is given; return the result for machines, and for people.

    Raises
    ------
    InputError
        If anything that is given is wrong; nothing is left behind then.
    RunError
        If the run does not end as it must.
    """
    if options.level is None:
        is_words = any(TRIGGER_WORDS in (path.name, path.parent.name) and _run_of(path) for path in inputs)
        options = replace(options, level="trigger_words" if is_words else "events")
    _check_options(options)
    ranges = parse_events(options.events)
    found = _recorded(inputs, options)
    if found is None:
        if options.level != "events":
            raise InputError("only a run directory has trigger words", key="--level", value=options.level)
        if options.config is None:
            raise InputError("files of users need menus: --config CONFIG", key="--config")
        settings = _settings(options)
        with naming(options.config):
            _check_engine(options, settings)
            plan = plan_replay(settings, inputs, _out(options, settings), overwrite=options.overwrite, events=ranges)
        return carry_out(plan, options, live=live)
    origin, settings, part_ranges = found
    wanted = ranges or part_ranges
    if options.level == "trigger_words":
        return _replay_words(origin, settings, options, wanted)
    out = _out(options, settings, Path(origin.path))
    if origin.kind == "run" and out.resolve().is_relative_to(origin.path):
        raise InputError("a run cannot be replayed into itself", file=out, key="--out")
    with naming(options.config or origin.path), Progress("checking") as progress:
        _check_engine(options, settings)
        plan = plan_recorded(settings, origin, out, overwrite=options.overwrite, events=wanted, progress=progress)
    return carry_out(plan, options, live=live)


def carry_out(plan: chain.Plan, options: Options, *, live: bool = False, hold: bool = False) -> tuple[Record, str]:
    """See a planned replay through; of recorded events, write and show what is decided otherwise than it was."""
    if options.engine == "dask":
        from commands.replay.farm import carry_out_on_farm

        summary = carry_out_on_farm(plan, scheduler=options.scheduler, workers=plan.run.settings.workers)
    else:
        with RunView(live=live) as view:
            summary = chain.carry_out(plan, on_status=view.update, hold=hold)
    said = closing(summary, plan.directory)
    if not isinstance(plan.source, RecordedSource):
        return summary, said
    with Progress("comparing") as progress:
        found = differences(plan.source, plan.directory, plan.run, progress)
    write_json(plan.directory / DIFFERENCES, found)
    return summary | {"differences": found}, f"{said}\n{differences_text(found)}"


def _check_options(options: Options) -> None:
    if options.level not in LEVELS:
        raise InputError(f"must be {' or '.join(LEVELS)}", key="--level", value=options.level)
    if options.engine not in _ENGINES:
        raise InputError(f"must be {' or '.join(_ENGINES)}", key="--engine", value=options.engine)
    if options.scheduler is not None and options.engine != "dask":
        raise InputError("goes with --engine dask", key="--scheduler", value=options.scheduler)
    if options.engine == "dask":
        from commands.replay.farm import check_farm

        if options.speed not in (None, "max"):
            raise InputError("a farm has no pace, it is as quick as it can", key="--speed", value=options.speed)
        if options.level != "events":
            raise InputError("trigger words are decided here and now", key="--engine", value=options.engine)
        check_farm(options.scheduler)


def _check_engine(options: Options, settings: RunSettings) -> None:
    if options.engine == "dask":
        from commands.replay.farm import check_menu

        check_menu(settings)


def pace_of(speed: str) -> str:
    """Return the pace of a run that is replayed at a speed: ``max``, or so many times real time."""
    if speed == "max":
        return speed
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", speed) or float(speed) == 0:
        raise InputError(
            "must be max, or how many times faster than real time (1, 10, 0.5)", key="--speed", value=speed
        )
    return "real" if float(speed) == 1 else f"x{speed}"


def _settings(options: Options, recorded: RunSettings | None = None, file: Path = Path()) -> RunSettings:
    """Return the settings of the replay: of the configuration, or those that the run had."""
    pace = None if options.speed is None else pace_of(options.speed)
    if options.config is not None:
        return chain.load_run(options.config, pace=pace, seed=options.seed, workers=options.workers)
    assert recorded is not None
    return chain.override(recorded, file, pace=pace, seed=options.seed, workers=options.workers)


def _out(options: Options, settings: RunSettings, recorded: Path | None = None) -> Path:
    """Return the run directory: by name of the run, unless that is the one that is replayed; of a cut by its own."""
    if options.out is not None:
        return options.out
    out = Path("runs") / settings.name
    if recorded is not None and recorded.suffix == ".parquet":
        return out.with_name(recorded.stem)
    return out.with_name(f"{out.name}-replay") if out.resolve() == recorded else out


# ---- recorded events


def _recorded(inputs: Sequence[Path], options: Options) -> tuple[Origin, RunSettings, Ranges] | None:
    """Return the run or the cut that is given, with settings, and ranges if parts of it are; None for other files."""
    directories = {_run_of(path) for path in inputs}
    if options.level == "trigger_words" or any(path.is_dir() for path in inputs):
        if len(directories) != 1:
            raise InputError("the inputs must be of one run directory", key="INPUT", value=str(inputs[-1]))
        (directory,) = directories
        if directory is None:
            raise InputError("not the directory of a run", file=inputs[0])
        with lock(directory):  # a run that is going on in it has the lock
            origin = origin_of_run(directory)
        parts = [found for path in inputs if (found := _PART.fullmatch(path.name))]
        settings = _settings(options, origin.run.settings, directory / RUN)
        return origin, settings, _ranges_of([int(found[1]) for found in parts], origin)
    cuts = [(path, cut) for path in inputs if (cut := origin_of_cut(path)) is not None]
    if not cuts:
        return None
    if len(inputs) > 1:
        raise InputError("was cut out of a run: replay it alone", file=cuts[0][0])
    path, origin = cuts[0]
    return origin, _settings(options, origin.run.settings, path), ()


def _run_of(path: Path) -> Path | None:
    """Return the run directory that a path is, or is in as its parts of events or words; None if there is none."""
    candidates = [path] if path.is_dir() else []
    if path.name in (EVENTS, TRIGGER_WORDS):
        candidates.append(path.resolve().parent)
    if path.parent.name == TRIGGER_WORDS:
        candidates.append(path.resolve().parent.parent)
    return next((candidate for candidate in candidates if (candidate / RUN).exists()), None)


def _ranges_of(parts: Sequence[int], origin: Origin) -> Ranges:
    """Return the events of parts, named by their first blocks."""
    if not parts:
        return ()
    source = RecordedSource(origin, Path())
    if missing := [part for part in parts if part not in source.records.parts]:
        raise InputError("is not in the manifest of its run", file=origin.path, key="part", value=missing[0])
    spans = [(rows.first, rows.first + rows.outcome.size) for part in parts for rows in source.records.part(part)]
    return merged(spans)


def _replay_words(origin: Origin, settings: RunSettings, options: Options, ranges: Ranges) -> tuple[Record, str]:
    from commands.replay.words import replay_words, text

    if options.out is not None and options.out.exists():
        raise InputError("exists already", file=options.out, key="--out")
    with naming(options.config or origin.path):
        check_there(ranges, RecordedSource(origin, Path()).ranges)
        result = replay_words(RecordedSource(origin, Path()), settings, ranges)
    if options.out is not None:
        try:
            options.out.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"cannot be made: {error.strerror}", file=options.out, key="--out") from None
        write_json(options.out / DIFFERENCES, result)
    return result, text(result)
