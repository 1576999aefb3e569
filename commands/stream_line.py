"""The command line of the stream: runs and replays, their commands, keys and nodes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.options import Config, Json, Keys, Out, Overwrite, RunDir, Seed, Workers, say, show
from daq.errors import InputError, naming

app = typer.Typer(rich_markup_mode=None)
keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keys of runs over several machines.")
app.add_typer(keys, name="keys")


@app.command()
def run(
    config: Annotated[Path | None, typer.Argument(help="Run configuration.")] = None,
    events: Annotated[int | None, typer.Option("--events", help="Collision events to generate.")] = None,
    seed: Seed = None,
    workers: Workers = None,
    out: Out = None,
    overwrite: Overwrite = False,
    pace: Annotated[str | None, typer.Option("--pace", help="max, real, or x10 for ten times real time.")] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Wait for: darkline control DIR start.")] = False,
    resume: Annotated[Path | None, typer.Option("--resume", help="Go on with a run that was cut off.")] = None,
    keys: Keys = None,
    as_json: Json = False,
) -> None:
    """Stream events from the source through L1 and HLT into the spool."""
    import chain
    from monitors.terminal import RunView, closing

    if (config is None) == (resume is None):
        raise InputError("give either a configuration or --resume DIR", key="run")
    if resume is not None:
        if any(option is not None for option in (events, seed, workers, out, pace, keys)) or overwrite:
            raise InputError(
                "a resumed run keeps the settings of its run.json: no other option goes with it", key="--resume"
            )
        from commands.replay.command import Options, carry_out

        live = sys.stderr.isatty() and not as_json
        result, text = carry_out(chain.plan_resume(resume), Options(), live=live, hold=hold)
        show(result, as_json, text)
    else:
        assert config is not None
        settings = chain.load_run(config, pace=pace, keys=keys, events=events, seed=seed, workers=workers)
        with naming(config):
            plan = chain.plan_run(settings, out or Path("runs") / settings.name, overwrite=overwrite)
        with RunView(live=sys.stderr.isatty() and not as_json) as view:
            summary = chain.carry_out(plan, on_status=view.update, hold=hold)
        show(summary, as_json, closing(summary, plan.directory))


@app.command()
def control(
    directory: RunDir,
    command: Annotated[str, typer.Argument(help="start, pause, resume, stop or abort.")],
    as_json: Json = False,
) -> None:
    """Give a command to a run that is going on."""
    from daq.stream.supervision.control import ask

    answer = ask(directory, command)
    result = {"accepted": answer.accepted, "state": answer.state, "rule": answer.rule}
    show(result, as_json, f"{directory}: {answer.state}" if answer.accepted else f"refused: {answer.rule}")
    if not answer.accepted:
        raise typer.Exit(1)


@app.command()
def mqtt(
    directory: RunDir,
    broker: Annotated[str, typer.Option("--broker", help="HOST or HOST:PORT.")] = "localhost",
    topic: Annotated[str | None, typer.Option("--topic", help="darkline/<name of the run> if not given.")] = None,
) -> None:
    """Publish the state of a run on an MQTT broker, and take commands from there, until the run ends."""
    from daq.run_directory import read_run
    from monitors.mqtt import Broker, bridge

    run_name = read_run(directory).settings.name
    state = bridge(directory, Broker.of(broker), topic or f"darkline/{run_name}")
    say(f"{directory}: {state}")


@app.command()
def replay(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="HepMC, HEPEVT, ROOT or Parquet files, a run directory, a cut."),
    ],
    config: Annotated[
        Path | None, typer.Option("--config", help="Run configuration; of recorded events, theirs if not given.")
    ] = None,
    level: Annotated[
        str | None, typer.Option("--level", help="Of a run directory: events (default) or trigger_words.")
    ] = None,
    events: Annotated[str | None, typer.Option("--events", help="Only these: A:B (half open), N, or a list.")] = None,
    speed: Annotated[str | None, typer.Option("--speed", help="max, or times real time: 1, 10, ...")] = None,
    engine: Annotated[str, typer.Option("--engine", help="stream or dask (docs/farms.md).")] = "stream",
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Of dask, tcp://HOST:PORT; one of its own if not given.")
    ] = None,
    seed: Seed = None,
    workers: Workers = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Send the events of files or of a run through the chain; of a run, show what is decided otherwise than it was."""
    from commands.replay.command import Options
    from commands.replay.command import replay as replay_inputs

    options = Options(
        config=config, level=level, events=events, speed=speed, seed=seed, workers=workers, out=out,
        overwrite=overwrite, engine=engine, scheduler=scheduler,
    )  # fmt: skip
    result, text = replay_inputs(inputs, options, live=sys.stderr.isatty() and not as_json)
    show(result, as_json, text)


@app.command()
def cut(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="A run directory, or files of users with --config.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .parquet.")],
    events: Annotated[str | None, typer.Option("--events", help="Which: A:B (half open), N, or a list.")] = None,
    block: Annotated[int | None, typer.Option("--block", help="All events of this block of the run.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Of files: run configuration to read them by.")
    ] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Of these, write only one that kills the process that decides it.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: Json = False,
) -> None:
    """Cut events out to a file that `darkline replay` decides as they were decided in their run."""
    from commands.replay.cut import cut as cut_out
    from commands.replay.events import parse_events

    written = cut_out(
        inputs, out, ranges=parse_events(events), block=block, config=config, bisect=bisect, overwrite=overwrite,
        say=say,
    )  # fmt: skip
    show(written, as_json, f"{written['events']:,} events in {out}: {written['numbers']}")


@app.command(hidden=True)
def try_cut(file: Annotated[Path, typer.Argument(help="File of `darkline cut`.")]) -> None:
    """Decide the events of a cut in this process alone; `darkline cut --bisect` sees whether it lives."""
    from commands.replay.cut import try_cut as decide

    show(decide(file), True, "")


@keys.command("new")
def keys_new(
    directory: Annotated[Path, typer.Argument(help="Folder; made if it is not there.")],
    names: Annotated[list[str] | None, typer.Argument(help="Roles (hlt), or processes (hlt-3); all roles.")] = None,
    as_json: Json = False,
) -> None:
    """Make a pair of CURVE keys for each name, and let its holder in."""
    from commands import keys as command

    made = command.new(directory, names or [])
    show(made, as_json, command.text_of_new(made))


@keys.command("show")
def keys_show(directory: Annotated[Path, typer.Argument(help="Folder of keys.")], as_json: Json = False) -> None:
    """Show whose public keys are let in."""
    from commands import keys as command

    shown = command.show(directory)
    show(shown, as_json, command.text_of_show(shown))


@app.command()
def node(
    role: Annotated[str, typer.Argument(help="source, l1, hlt or spool.")],
    config: Config,
    slot: Annotated[int, typer.Option("--slot", min=0, help="Which of the HLT workers.")] = 0,
    keys: Keys = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run directory of the spool; else for the log.")] = None,
    as_json: Json = False,
) -> None:
    """Be one process of a run over several machines (docs/stream.md)."""
    import chain
    from commands import node as command
    from monitors.terminal import closing

    settings = chain.load_run(config, keys=keys)
    with naming(config):
        summary = command.run(role, settings, slot=slot, out=out)
    if summary is not None:
        show(summary, as_json, closing(summary, out or Path("runs") / settings.name))
