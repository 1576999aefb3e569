"""`darkline source info`: the processes of a run, or all that are shipped, with cross-sections and expected rates."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from daq.errors import InputError, naming
from daq.settings import BeamSettings, RunSettings, load
from daq.source.catalogue import NB_CM2, PROCESSES, load_process, processes_of, standard, standard_names
from daq.source.decay import ChainSettings
from daq.source.kinematics import collision_frame
from daq.source.signals import Signal
from daq.source.standard.process import Process, acceptance_of

WIDTH = 100
Record = dict[str, Any]


def source_info(config: Path | None, luminosity_cm2_s: float | None) -> Record:
    """Return what the source makes.

    Parameters
    ----------
    config
        A run configuration; all shipped processes with a rate of their own, at the default beams, if not given.
    luminosity_cm2_s
        Of the rates; else that of the beams.

    Raises
    ------
    InputError
        If the luminosity is not positive, or the configuration is wrong or one of a replay.
    """
    if luminosity_cm2_s is not None and not 0 < luminosity_cm2_s < math.inf:
        raise InputError("must be above 0 and finite", key="--luminosity", value=luminosity_cm2_s)
    processes: list[Process | Signal]
    if config is None:
        beam = _at(BeamSettings(), luminosity_cm2_s)
        frame = collision_frame(beam)
        processes = [standard(name, frame, beam.luminosity_cm2_s) for name in standard_names()]
    else:
        settings = load(config, RunSettings)
        beam = _at(settings.beam, luminosity_cm2_s)
        with naming(config):
            if settings.source.kind != "mix":
                raise InputError("a replay makes no events", key="[source] kind", value=settings.source.kind)
            frame = collision_frame(beam)
            processes = processes_of(settings.model_copy(update={"beam": beam}), frame)
    names = [process.name for process in processes]
    files = names if config is None else [*settings.source.processes, *(one.process for one in settings.source.signals)]
    rows = [_row(process, file, beam.luminosity_cm2_s) for process, file in zip(processes, files, strict=True)]
    total = None
    if config is not None:
        collisions = [row["cross_section_nb"] for row in rows if row["sampler"] != "cosmic"]
        total = {"cross_section_nb": sum(collisions), "rate_hz": sum(row["rate_hz"] for row in rows)}
    return {
        "configuration": None if config is None else str(config),
        "sqrt_s_gev": frame.sqrt_s_gev,
        "luminosity_cm2_s": beam.luminosity_cm2_s,
        "processes": rows,
        "total": total,
    }


def table(record: Record) -> str:
    """Return the record as a table for people."""
    what = record["configuration"] or f"all processes of {PROCESSES.parent.name}/{PROCESSES.name}"
    head = f"{what}, at sqrt(s) = {record['sqrt_s_gev']:.3f} GeV and {record['luminosity_cm2_s']:.3g} cm-2 s-1"
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("process", "nb", "Hz"):
        grid.add_column(heading, justify="left" if heading == "process" else "right", no_wrap=True)
    grid.add_column("acceptance of the cross-section")
    for row in record["processes"]:
        cross_section = "-" if row["sampler"] == "cosmic" else f"{row['cross_section_nb']:.4g}"
        grid.add_row(row["name"], cross_section, f"{row['rate_hz']:,.4g}", row["acceptance"])
    if record["total"] is not None:
        grid.add_section()
        grid.add_row("sum", f"{record['total']['cross_section_nb']:.4g}", f"{record['total']['rate_hz']:,.4g}", "")
    written = io.StringIO()
    Console(file=written, width=WIDTH, color_system=None, highlight=False).print(grid)
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    return "\n".join([head, "", *lines, "", "--json adds what each process is and where its numbers come from."])


def _at(beam: BeamSettings, luminosity_cm2_s: float | None) -> BeamSettings:
    return beam if luminosity_cm2_s is None else beam.model_copy(update={"luminosity_cm2_s": luminosity_cm2_s})


def _row(process: Process | Signal, file: str, luminosity_cm2_s: float) -> Record:
    settings = load_process(PROCESSES / f"{file}.toml")
    is_signal = isinstance(settings, ChainSettings) and not settings.is_standard
    return {
        "name": process.name,
        "title": settings.title,
        "sampler": settings.sampler,
        "is_signal": is_signal,
        "cross_section_nb": process.cross_section_nb,
        "rate_hz": process.cross_section_nb * NB_CM2 * luminosity_cm2_s,
        "acceptance": acceptance_of(settings),
        "source": settings.source,
    }
