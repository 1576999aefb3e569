"""`darkline source show`: one event in words and as a picture, made anew from a configuration or for a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

import chain
from commands.rates.books import read_table
from daq.clock import TICK_NS
from daq.errors import InputError, naming
from daq.event import GROUPS, SCALARS, EventBatch, InjectionRing, Outcome
from daq.run_directory import MANIFEST, read_run
from daq.source.helix import SUPERLAYERS, transverse_gev
from daq.source.mix import MixSource, Source
from daq.source.species import standard_model
from daq.spool import trigger_word_parts

Record = dict[str, Any]
_PARTICLE = ("", "E [GeV]", "pT", "theta [deg]", "phi", "rho [cm]", "z")
_TRACK = ("", "p [GeV]", "pT", "theta [deg]", "phi", "d0 [cm]", "z0", "hits", "KLM", "like", "cluster")
_CLUSTER = ("", "E [GeV]", "theta [deg]", "phi", "t [ns]", "dt99", "shape", "track")
_HYPOTHESES = ("e", "mu", "pi", "k", "p")


class Shown(NamedTuple):
    """An event to look at."""

    target: Path
    batch: EventBatch
    """The event alone."""
    process: str
    particles: list[Record]
    """What the generator made, before background and detector; empty for a replay."""
    outcome: str | None
    """What became of it in the run; None if that is not known (yet), or there is no run."""


def find_event(target: Path, event: int) -> Shown:
    """Return an event of a run configuration or of a run directory, accepted or not.

    Raises
    ------
    InputError
        If the target is neither, or has no such event.
    """
    outcome = None
    if target.is_dir():
        run = read_run(target)
        source = chain.open_source(run.settings, target)
        outcome = _outcome(target, event)
    else:
        settings = chain.load_run(target)
        if settings.source.kind != "mix":
            rule = "has no events of its own: replay the files, then show an event of the run directory"
            raise InputError(rule, file=target, key="[source] kind", value=settings.source.kind)
        with naming(target):
            source = MixSource(settings)
    if not 0 <= event < source.n_events:
        raise InputError(f"no such event: they are numbered from 0 to {source.n_events - 1}", key="EVENT", value=event)
    batch = source.block(event, 1)
    names, process = source.process_names, int(batch["process"][0])
    name = names[process] if process < len(names) else f"process {process} of the file"  # events of another run
    return Shown(target, batch, name, _particles(source, event), outcome)


def _particles(source: Source, event: int) -> list[Record]:
    if not isinstance(source, MixSource):
        return []
    made, names = source.particles(event, 1), _names()
    return [
        {
            "name": names.get(int(made.pdg[i]), str(made.pdg[i])),
            **{name: float(getattr(made, name)[i]) for name in ("px", "py", "pz", "energy", "x", "y", "z")},
        }
        for i in range(made.pdg.size)
    ]


def _names() -> dict[int, str]:
    """Return the names of the particles that the table has, by PDG code."""
    return {species.pdg: species.name for species in standard_model().species.values()}


def _outcome(directory: Path, event: int) -> str | None:
    """Return what the books of a run say of an event."""
    for part in trigger_word_parts(directory) if (directory / MANIFEST).exists() else ():
        row = read_table(part).filter(pl.col("event") == event)
        if row.height:
            return Outcome(row["outcome"][0]).name.lower()
    return None


def record(shown: Shown) -> Record:
    """Return all that is known of the event, by the names of the event model."""
    columns: Record = {column.path: shown.batch[column.path][0].item() for column in SCALARS}
    since = columns["t_injection_us"]
    columns["t_injection_us"] = since if math.isfinite(since) else None
    for group, fields in GROUPS.items():
        count = int(shown.batch[f"{group}.offsets"][-1])
        if fields[0].name == "":
            columns[group] = shown.batch[group].tolist()
            continue
        columns[group] = [
            {field.name: _value(shown.batch, field.path, field.length, i) for field in fields} for i in range(count)
        ]
    about = {"target": str(shown.target), "process_name": shown.process, "in_the_run": shown.outcome}
    return about | columns | {"particles": shown.particles}


def _value(batch: EventBatch, path: str, length: int, i: int) -> Any:
    if length == 0:
        begin, end = batch[f"{path}.offsets"][i : i + 2]
        return batch[path][begin:end].tolist()
    return batch[path][i].tolist()


def write_figure(shown: Shown, path: Path) -> None:
    """Draw the event in r-phi and r-z, as PNG or SVG by the name of the file."""
    from commands.event_display import draw
    from offline.figures import rendered

    title = f"run {shown.batch['run'][0]}, event {int(shown.batch['event'][0]):,}: {shown.process}"
    try:
        path.write_bytes(rendered(draw(shown.batch, title), path.suffix[1:]))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=path) from None


# ---- for people


def text(shown: Shown) -> str:
    """Return the event as text: what it is, what the detector and the trigger see of it, and a picture in r-phi."""
    from commands.event_display import characters

    return "\n".join(
        [
            *_head(shown),
            *_table("Particles", _PARTICLE, _particle_rows(shown.particles)),
            *_table("Tracks", _TRACK, _track_rows(shown.batch)),
            *_table("Clusters", _CLUSTER, _cluster_rows(shown.batch)),
            *_primitives(shown.batch),
            "",
            *characters(shown.batch),
        ]
    )


def _head(shown: Shown) -> list[str]:
    batch = shown.batch
    mass, ctau = float(batch["mass_gev"][0]), float(batch["ctau_cm"][0])
    signal = f", mass {mass:.4g} GeV, c tau {ctau:.3g} cm" if mass or ctau else ""
    ring = InjectionRing(int(batch["injection_ring"][0]))
    since = float(batch["t_injection_us"][0])
    injected = f"{since:,.1f} us after an injection into the {ring.name}" if ring else "no injection before"
    bunch = int(batch["bunch"][0])
    lines = [
        f"{shown.target}: run {batch['run'][0]}, event {int(batch['event'][0]):,}, {shown.process}{signal}",
        f"{1e-9 * int(batch['time_ns'][0]):.9f} s into the run, bunch {bunch} ({bunch * TICK_NS * 1e-3:.2f} us into "
        f"the turn), {injected}",
    ]
    return [*lines, f"in the run: {shown.outcome.replace('_', ' ')}"] if shown.outcome else lines


def _particle_rows(particles: list[Record]) -> list[list[str]]:
    return [
        [
            p["name"],
            f"{p['energy']:.3f}",
            f"{math.hypot(p['px'], p['py']):.3f}",
            f"{math.degrees(math.atan2(math.hypot(p['px'], p['py']), p['pz'])):.1f}",
            f"{math.degrees(math.atan2(p['py'], p['px'])):.1f}",
            f"{math.hypot(p['x'], p['y']):.2f}",
            f"{p['z']:.2f}",
        ]
        for p in particles
    ]


def _track_rows(batch: EventBatch) -> list[list[str]]:
    rows = []
    for i in range(batch["tracks.charge"].size):
        pt, tan_lambda = transverse_gev(float(batch["tracks.omega_per_cm"][i])), float(batch["tracks.tan_lambda"][i])
        begin, end = batch["tracks.clusters.offsets"][i : i + 2]
        likelihoods = [batch[f"tracks.pid_{name}"][i] for name in _HYPOTHESES]
        rows.append(
            [
                f"{chr(ord('a') + i % 26)} {'+' if batch['tracks.charge'][i] > 0 else '-'}",
                f"{pt * math.hypot(1.0, tan_lambda):.3f}",
                f"{pt:.3f}",
                f"{math.degrees(math.atan2(1.0, tan_lambda)):.1f}",
                f"{math.degrees(batch['tracks.phi0'][i]):.1f}",
                f"{batch['tracks.d0_cm'][i]:.3f}",
                f"{batch['tracks.z0_cm'][i]:.2f}",
                f"{batch['tracks.n_cdc_hits'][i]}",
                f"{batch['tracks.klm_layers'][i]}",
                f"{_HYPOTHESES[int(np.argmax(likelihoods))]} {max(likelihoods):.2f}",
                ", ".join(str(one + 1) for one in batch["tracks.clusters"][begin:end]) or "-",
            ]
        )
    return rows


def _cluster_rows(batch: EventBatch) -> list[list[str]]:
    return [
        [
            f"{i + 1}",
            f"{batch['clusters.energy_gev'][i]:.3f}",
            f"{math.degrees(batch['clusters.theta'][i]):.1f}",
            f"{math.degrees(batch['clusters.phi'][i]):.1f}",
            f"{batch['clusters.time_ns'][i]:.1f}",
            f"{batch['clusters.dt99_ns'][i]:.1f}",
            f"{batch['clusters.zernike_mva'][i]:.2f}",
            "yes" if batch["clusters.is_track"][i] else "-",
        ]
        for i in range(batch["clusters.energy_gev"].size)
    ]


def _table(title: str, heads: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    if not rows:
        return ["", f"{title}: none"]
    widths = [max(len(row[i]) for row in (list(heads), *rows)) for i in range(len(heads))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    return ["", title, *(f"  {line}" for line in lines)]


def _primitives(batch: EventBatch) -> list[str]:
    cells = ", ".join(
        f"{cell} ({energy:.2f} GeV, {time:.0f} ns)"
        for cell, energy, time in zip(batch["tc.id"], batch["tc.energy_gev"], batch["tc.time_ns"], strict=True)
    )
    layers = np.bincount(
        np.searchsorted(np.cumsum(SUPERLAYERS[:, 4]), batch["segments"], side="right"), minlength=len(SUPERLAYERS)
    )
    tracks = ", ".join(
        f"{batch[f'{group}.phi0'].size} {name}"
        for group, name in (("trk2d", "2D"), ("trk3d", "3D"), ("trknn", "neural"))
    )
    klm = [
        f"{part} {sector}"
        for part in ("bklm_mask_fwd", "bklm_mask_bwd", "eklm_mask_fwd", "eklm_mask_bwd")
        for sector in range(8)
        if batch[part][0] >> sector & 1
    ]
    return [
        "",
        "Trigger primitives",
        f"  ECL trigger cells: {cells or 'none'}",
        f"  CDC trigger tracks: {tracks}; event time {int(batch['cdc_t0'][0]) or 'none'}",
        f"  CDC segments by superlayer 0 to 8: {' '.join(map(str, layers))}",
        f"  KLM sectors: {', '.join(klm) or 'none'}",
    ]
