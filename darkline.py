"""The front door: the command line of darkline. Each command is one call into a room; heavy imports happen inside."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from daq.errors import DarklineError, InputError, naming

if TYPE_CHECKING:
    from offline.limits import LimitResult
    from offline.scan import ScanResult

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would double the time that --help takes
    help="Emulate the online side of a dark-sector search at a B factory, and carry it to the limit.",
)

trigger = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Decisions of a trigger level on a file.")
app.add_typer(trigger, name="trigger")
source = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The event source: what it makes.")
app.add_typer(source, name="source")

validate = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Models beside the numbers they stand for.")
app.add_typer(validate, name="validate")

keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keys of runs over several machines.")
app.add_typer(keys, name="keys")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run directory; runs/<name> if not given.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run directory that exists.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed, instead of the one of the configuration.")]
Workers = Annotated[int | None, typer.Option("--workers", help="HLT worker processes.")]
Keys = Annotated[Path | None, typer.Option("--keys", help="Folder of the keys, instead of [stream] keys.")]
Config = Annotated[Path, typer.Argument(help="Run configuration, for example configs/runs/demo.toml.")]
Search = Annotated[str, typer.Argument(help="Name of a file in configs/searches, or a path.")]
RunDir = Annotated[Path, typer.Argument(help="Run directory.")]
Points = Annotated[int | None, typer.Option("--points", min=2, help="Test at most so many masses, evenly thinned.")]

DEMO = Path(__file__).resolve().parent / "configs" / "runs" / "demo.toml"


def say(text: str) -> None:
    """Tell the person at the terminal; standard output is for results."""
    typer.echo(text, err=True)


def show(result: dict[str, Any], as_json: bool, text: str) -> None:
    """Print the result of a command, for a machine or for a person."""
    typer.echo(json.dumps(result, indent=2, allow_nan=False) if as_json else text)


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
    from daq.stream.control import ask

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


@app.command()
def generate(
    process: Annotated[str, typer.Argument(help="qqbar, tau_pair, mu_pair, gamma_gamma or y4s_bbbar.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .hepmc, .hepmc.gz or .parquet.")],
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Number of events.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=1, help="Seed of Pythia.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Make a particle-level sample with Pythia 8 (extra [gen])."""
    from daq.source import formats, pythia

    if out.exists() and not overwrite:
        raise InputError("exists already; --overwrite replaces it", file=out)
    formats.write_particles(out, pythia.generate(process, events, seed))
    say(f"{events} events of {process} in {out}")


@app.command()
def shapes(
    search: Search,
    config: Annotated[Path, typer.Option("--config", help="Run whose menus and beam to use.")] = DEMO,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File; beside the search if not given.")] = None,
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Signal events at each mass.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the simulation.")] = 1,
) -> None:
    """Fit signal shape and efficiency against mass, from signal simulated through the chain."""
    import chain
    from commands.shapes import signal_shapes
    from offline.search import load_search
    from offline.shapes import shapes_path

    path = out or shapes_path(search)
    signal_shapes(load_search(search), chain.load_run(config, seed=seed, events=events), say).write(path)
    say(f"shapes in {path}")


@app.command()
def efficiency(
    directory: RunDir,
    line: Annotated[str, typer.Argument(help="LINE, A,B for any of them, or L1LINES+HLTLINES for both levels.")],
    versus: Annotated[str, typer.Option("--versus", help="E, pt, theta or radius.")],
    level: Annotated[str | None, typer.Option("--level", help="l1, hlt or both, where the name does not tell.")] = None,
    truth: Annotated[bool, typer.Option("--truth", help="Make the events of the run again (default).")] = False,
    tag: Annotated[str | None, typer.Option("--tag", help="Tag and probe on kept events: L1LINES+HLTLINES.")] = None,
    probe: Annotated[str | None, typer.Option("--probe", help="photon or track, for theta.")] = None,
    bins: Annotated[str | None, typer.Option("--bins", help="LOW:HIGH:N or EDGE,EDGE,...")] = None,
    where: Annotated[str | None, typer.Option("--where", help="SQL condition: docs/efficiency.md.")] = None,
    shape: Annotated[str, typer.Option("--shape", help="Turn-on to fit: erf or fermi.")] = "erf",
    events: Annotated[int | None, typer.Option("--events", min=1, help="Make at most so many events again.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; report/ in the run if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the efficiency of trigger lines, with intervals and a fitted turn-on."""
    from commands import efficiency as measuring
    from monitors.terminal import Progress

    if truth and tag is not None:
        raise InputError("give --truth or --tag, not both", key="--truth")
    question = measuring.ask(
        directory, line, versus=versus, level=level, tag=tag, probe=probe, bins=bins, where=where, shape=shape,
        events=events,
    )  # fmt: skip
    with Progress("efficiency") as progress:
        answer = measuring.measure(question, progress)
    path = answer.write(out)
    show(answer.record(), as_json, f"{answer.text()}\n{path} and figure beside it")


@app.command()
def scan(search: Search, directory: RunDir, points: Points = None, as_json: Json = False) -> None:
    """Fit signal and background at every mass of a search: local significances."""
    result = _scan(search, directory, points)
    show(result.record(), as_json, result.text())


@app.command()
def limit(search: Search, directory: RunDir, points: Points = None, as_json: Json = False) -> None:
    """Set upper limits on cross-section and coupling at every mass of a search."""
    result = _limit(_scan(search, directory, points))
    show(result.record(), as_json, result.text())


@app.command()
def report(
    directory: RunDir,
    search: Annotated[str | None, typer.Option("--search", help="Search whose results go into the report.")] = None,
    points: Points = None,
) -> None:
    """Write the one-page HTML report of a run, with the figures of a search."""
    found = _scan(search, directory, points) if search is not None else None
    say(f"report in {_report(directory, found, _limit(found) if found else None)}")


def _scan(search: str, directory: Path, points: int | None) -> ScanResult:
    from monitors.terminal import Progress
    from offline.dataset import Dataset
    from offline.scan import scan as scan_masses
    from offline.search import load_search
    from offline.shapes import load_shapes, shapes_path

    typed, dataset = load_search(search), Dataset.open(directory)
    with Progress("scan") as progress:
        return scan_masses(typed, dataset, load_shapes(shapes_path(search)), max_points=points, progress=progress)


def _limit(found: ScanResult) -> LimitResult:
    from monitors.terminal import Progress
    from offline.limits import limit as set_limits

    with Progress("limit") as progress:
        return set_limits(found, progress=progress)


def _report(directory: Path, found: ScanResult | None, limits: LimitResult | None) -> Path:
    import chain
    from offline.dataset import Dataset
    from offline.report import report as write_report

    dataset = found.dataset if found is not None else Dataset.open(directory)
    out = directory / "report"
    return write_report(
        dataset, out, scan=found, limits=limits, exact=chain.EXACT, approximate=chain.APPROXIMATE
    )  # fmt: skip


@app.command()
def rates(
    target: Annotated[Path, typer.Argument(help="Run directory, run configuration, or Parquet file of primitives.")],
    menus: Annotated[list[str] | None, typer.Option("--menu", help="L1 menu; several are compared.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="Prescale column; several are compared.")
    ] = None,
    luminosity: Annotated[float | None, typer.Option(help="Of the rates [cm-2 s-1]; else that of the events.")] = None,
    cross_section: Annotated[float | None, typer.Option(help="Of the events of a file [nb].")] = None,
    events: Annotated[int | None, typer.Option(help="Count so many events; 200,000 of a configuration.")] = None,
    level: Annotated[str, typer.Option(help="l1, or hlt for the kept events of a run directory.")] = "l1",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for record, tables and figures.")] = None,
    line: Annotated[str | None, typer.Option("--line", help="With --explain: this line.")] = None,
    explain: Annotated[
        int | None, typer.Option("--explain", help="Say why --line fired on this event, or not.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count how often the lines of a menu fire, alone and together; compare menus; explain one event."""
    if line is not None or explain is not None:
        from commands.rates.explain import explain_event, text

        if line is None or explain is None or luminosity or cross_section or events or out or level != "l1":
            raise InputError("--line X --explain EVENT go together, with --menu and --column at most", key="rates")
        why = explain_event(target, explain, line, menus=menus or (), columns=columns or ())
        show(why, as_json, text(why))
        return
    from commands.rates.command import rates as count_rates
    from commands.rates.text import tables

    result = count_rates(
        target,
        menus=menus or (),
        columns=columns or (),
        luminosity=luminosity,
        cross_section_nb=cross_section,
        n_events=events,
        level=level,
        out=out,
    )
    show(result, as_json, tables(result))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A run configuration, menu (also .alg, .json), process, or search.")],
) -> None:
    """Check a file and say what it is, or what is wrong with it."""
    from commands.check import check_file

    with naming(file):
        typer.echo(f"{file}: {check_file(file)}")


@trigger.command("l1")
def trigger_l1(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="INPUT...", help="Parquet or Arrow files, folders.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Parquet file for the bits; replaced if there.")
    ] = None,
    menu: Annotated[
        str, typer.Option("--menu", help="Name in configs/menus/l1, or path to a .toml or .alg.")
    ] = "physics",
    bits: Annotated[Literal["inputs", "ftdl", "psnm"], typer.Option("--bits", help="Which bits to write.")] = "psnm",
    from_bits: Annotated[bool, typer.Option("--from-bits", help="INPUT has one column an input bit.")] = False,
    column: Annotated[str | None, typer.Option("--column", help="Prescale column of the menu.")] = None,
    quirks: Annotated[
        Literal["belle2", "ideal"], typer.Option("--quirks", help="Quirks of the experiment's code.")
    ] = "belle2",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the prescales.")] = 1,
    explain: Annotated[bool, typer.Option("--explain", help="Print what each input bit of the menu is.")] = False,
    as_json: Json = False,
) -> None:
    """Write the Level-1 bits of the events of files, made from trigger primitives or from input bits."""
    from commands.menu import Description
    from commands.trigger import trigger_l1 as decide
    from monitors.terminal import Progress

    if (not files or out is None) and (files or out or not explain):
        raise InputError("give INPUT and -o OUT", key="trigger l1")
    described = Description.of(menu, quirks)
    result: dict[str, Any] = {"explanation": described.record()} if explain else {}
    if explain and not as_json:
        typer.echo(f"{described.inputs()}\n{described.summary()}")
    if files and out is not None:
        with Progress("trigger l1") as bar:
            result |= decide(
                files,
                out,
                described.menu,
                bits=bits,
                from_bits=from_bits,
                column=column,
                quirks=quirks,
                seed=seed,
                progress=bar,
            )
        say(f"{result['events']:,} events, {len(result['set'])} {bits} bits each, in {out}")
    if as_json:
        show(result, True, "")


@validate.command("source")
def validate_source(
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the figures; none if not given.")] = None,
    events: Annotated[int, typer.Option("--events", "-n", min=1000, help="Particles of each measurement.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the simulation.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure the detector response: resolutions, efficiencies, identification, trigger; exit code 1 if one is off."""
    from commands.validate.command import table
    from commands.validate.command import validate_source as measure
    from monitors.terminal import Progress

    with Progress("validate source") as bar:
        result = measure(events=events, seed=seed, out=out, progress=bar)
    show(result, as_json, table(result))
    if not result["good"]:
        raise typer.Exit(1)


@source.command("info")
def source_info(
    config: Annotated[
        Path | None, typer.Argument(help="Run configuration; all shipped processes if not given.")
    ] = None,
    luminosity: Annotated[float | None, typer.Option(help="Of the rates [cm-2 s-1]; else that of the beam.")] = None,
    as_json: Json = False,
) -> None:
    """List processes with their cross-sections, acceptances, sources, and expected rates at a luminosity."""
    from commands.source_info import source_info as describe
    from commands.source_info import table

    result = describe(config, luminosity)
    show(result, as_json, table(result))


@source.command("show")
def source_show(
    event: Annotated[int, typer.Argument(help="Number of the event, from 0.")],
    target: Annotated[Path, typer.Argument(help="Run configuration or run directory.")] = DEMO,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw it as well: .svg or .png.")] = None,
    as_json: Json = False,
) -> None:
    """Show one event, whether it was accepted or not: particles, tracks, clusters, primitives, and a picture."""
    from commands.source_show import find_event, record, text, write_figure

    if out is not None and out.suffix not in (".svg", ".png"):
        raise InputError("must end in .svg or .png", key="--out", value=str(out))
    shown = find_event(target, event)
    if out is not None:
        write_figure(shown, out)
        say(f"event display in {out}")
    show(record(shown) if as_json else {}, as_json, "" if as_json else text(shown))


@trigger.command("hlt")
def trigger_hlt(
    files: Annotated[list[Path], typer.Argument(help="Parquet or Arrow files, run directories, or folders of files.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Parquet file of results; replaced if there.")] = None,
    menu: Annotated[str | None, typer.Option("--menu", help="Name in configs/menus/hlt, or a path.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="Prescale column of the menu.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Run whose beams, seed and menu to use.")] = None,
    explain: Annotated[int | None, typer.Option("--explain", help="Say of one event what each line found.")] = None,
    as_json: Json = False,
) -> None:
    """Filter variables, vertex and lines of the HLT for every event of the files."""
    from commands.trigger_hlt import decide, decider_for, explain_event, open_inputs
    from monitors.terminal import Progress

    if out is None and explain is None:
        raise InputError("give -o OUT, or --explain EVENT", key="trigger hlt")
    events = open_inputs(files)
    decider = decider_for(events, menu=menu, column=column, config=config)
    if explain is not None:
        found = explain_event(events, decider, explain)
        show(found.record(), as_json, found.text())
    if out is not None:
        with Progress("trigger hlt") as progress:
            done = decide(events, out, decider, progress=progress)
        if explain is None:
            show(done, as_json, f"{done['events']:,} events, {done['accepted']:,} accepted: {out}")


@app.command()
def menu(
    file: Annotated[str, typer.Argument(help="Name in configs/menus, or path to a .toml, .alg (L1) or .json (HLT).")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it as .toml, .alg (.inp, .oup), or .json of the HLT.")
    ] = None,
    level: Annotated[
        str | None, typer.Option("--level", help="l1 or hlt, for a name that both have; l1 if not given.")
    ] = None,
    column: Annotated[str | None, typer.Option("--column", help="HLT: write the prescales of this column.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="L1: print what each input bit is.")] = False,
    as_json: Json = False,
) -> None:
    """Describe a menu, and write it in another format."""
    from commands import menu_hlt
    from commands.menu import Description, convert

    if level not in (None, "l1", "hlt"):
        raise InputError("must be l1 or hlt", key="--level", value=level)
    if (level or menu_hlt.level_of(file)) == "hlt":
        from hlt.menu import HltMenu

        if explain:
            raise InputError("is about input bits of the L1; of an event: darkline trigger hlt", key="--explain")
        lines = HltMenu.load(file)
        if out is not None:
            menu_hlt.convert(lines, file, out, column)
            say(f"menu {lines.name} in {out}")
        show(menu_hlt.record(lines), as_json, menu_hlt.text(lines))
        return
    if column is not None:
        raise InputError("an L1 menu is written with all of its columns", key="--column", value=column)
    described = Description.of(file)
    text = f"{described.inputs()}\n{described.summary()}" if explain else described.summary()
    if out is not None:
        written, lost = convert(file, out)
        for what in lost:
            say(f"darkline: {out}: cannot keep {what}")
        say(f"menu {written.name} (hash {written.hash:016x}) in {out}")
    show(described.record(), as_json, text)


@app.command()
def schema() -> None:
    """Print the event model as a Markdown table."""
    from daq.event import describe

    typer.echo(describe(), nl=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Run directory; an older demo in it is replaced.")] = Path(
        "runs/demo"
    ),
    events: Annotated[int | None, typer.Option("--events", help="Collision events to generate.")] = None,
) -> None:
    """Do the main job once: stream, L1, HLT, spool, scan, limit, report; with an injected particle to find."""
    import chain
    from monitors.terminal import RunView, closing

    settings = chain.load_run(DEMO, events=events)
    injected = settings.source.signals[0]
    mass = injected.mass_gev or 0.0
    say(f"demo: {settings.events:,} collisions, with a particle of {mass:g} GeV hidden among them")
    plan = chain.plan_run(settings, out, overwrite=True)
    with RunView(live=sys.stderr.isatty()) as view:
        summary = chain.carry_out(plan, on_status=view.update)
    found = _scan("alp_three_photon", out, None)
    limits = _limit(found)
    page = _report(out, found, limits)
    typer.echo(f"{found.text()}\n{limits.text()}")
    typer.echo(f"run directory: {out}\nreport, figures, result.json: {page.parent}\npage to open: {page.resolve()}")
    best = found.best
    # The peak is as wide as the resolution: a fit found it if it peaks within two widths of where it is.
    width = best.signal.peak.sigma / (2 * best.mass_gev) if best is not None else 0.0
    is_found = best is not None and (best.significance or 0) > 5 and abs(best.mass_gev - mass) < 2 * width
    verdict = "FOUND" if is_found else "NOT FOUND"
    typer.echo(f"injected at {mass:g} GeV with {1e3 * (injected.cross_section_nb or 0):g} pb: {verdict}")
    typer.echo(closing(summary, out))
    if not is_found:
        raise typer.Exit(1)


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


@app.command(hidden=True)
def vertex_acceptance(
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture.")] = Path("docs/pictures/vertex_acceptance.png"),
    events: Annotated[int, typer.Option("--events", "-n", min=1000, help="Decays at each mass.")] = 200_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the decays and of the detector.")] = 1,
    as_json: Json = False,
) -> None:
    """Draw how far from the beam both vertex fits find a pair (docs/vertex.md)."""
    from commands import vertex_acceptance as command

    found = command.make(out, events, seed)
    show({"masses": [each.record() for each in found]}, as_json, command.table(found))


@app.command()
def warmup() -> None:
    """Compile every kernel, so that nothing with a latency budget has to wait for the compiler."""
    import chain

    chain.warm_up()


@app.command(hidden=True)
def nursery() -> None:
    """Fork the nodes of a run from one warmed process; started by `darkline run`, which talks to it."""
    import chain
    from daq.stream.nursery import serve

    serve(chain.run_node, chain.warm_up)


def main() -> None:
    """Run the command line: exit code 0, 1 (ran, and the answer is bad) or 2 (bad input, said in one line)."""
    try:
        app()
    except InputError as error:
        for line in str(error).splitlines():
            say(f"darkline: {line}")
        sys.exit(2)
    except DarklineError as error:
        say(f"darkline: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
