"""The command line of the triggers: decisions, menus, rates, efficiencies. Each command is one call into a room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from commands.options import Json, RunDir, say, show
from daq.errors import InputError

app = typer.Typer(rich_markup_mode=None)
trigger = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Decisions of a trigger level on a file.")
app.add_typer(trigger, name="trigger")


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
