"""The front door: the command line of darkline. Each command is one call into a room; heavy imports happen inside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands import offline_line, stream_line, trigger_line
from commands.offline_line import limit_of, report_on, scan_of
from commands.options import DEMO, Json, say, show
from daq.errors import DarklineError, InputError, naming

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would double the time that --help takes
    help="Emulate the online side of a dark-sector search at a B factory, and carry it to the limit.",
)

for side in (stream_line, trigger_line, offline_line):
    app.add_typer(side.app)  # without a name: its commands are ours
source = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The event source: what it makes.")
app.add_typer(source, name="source")

validate = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Models beside the numbers they stand for.")
app.add_typer(validate, name="validate")


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
def check(
    file: Annotated[Path, typer.Argument(help="A run configuration, menu (also .alg, .json), process, or search.")],
) -> None:
    """Check a file and say what it is, or what is wrong with it."""
    from commands.check import check_file

    with naming(file):
        typer.echo(f"{file}: {check_file(file)}")


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
    found = scan_of("alp_three_photon", out, None)
    limits = limit_of(found)
    page = report_on(out, found, limits)
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


@app.command()
def warmup() -> None:
    """Compile every kernel, so that nothing with a latency budget has to wait for the compiler."""
    import chain

    chain.warm_up()


@app.command(hidden=True)
def nursery() -> None:
    """Fork the nodes of a run from one warmed process; started by `darkline run`, which talks to it."""
    import chain
    from daq.stream.supervision.nursery import serve

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
