"""``darkline efficiency``: efficiency of trigger lines, from the truth or by tag and probe.

*From the truth*: the events of the run are made again from its settings, also those that it did not keep, and each goes
through the emulated L1 and HLT, whatever the other level says. *By tag and probe*: of the kept events those whose tag
lines fired, after prescale and on both levels; what they predict is the probe. On both ways an event passes if a line
fired before its prescale, which is a known factor and no loss; dead time is none either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import polars as pl

import chain
from daq.errors import InputError
from daq.event import Array, EventBatch
from daq.run_directory import EVENTS, REPORT, RunFile, read_run
from daq.source.kinematics import collision_frame
from daq.source.mix import MixSource
from offline.dataset import Dataset, accepted_by, collect
from offline.efficiency import Curve, FitFailed, Shape, TurnOn, fit_turn_on
from offline.probes import PREDICTED, TRUE, predicted_probes, true_probes
from offline.results import SCHEMA_VERSION, write_result
from stages import l1_bits
from triggers.bits import flags_of

Progress = Callable[[int, int], None]
LEVELS = ("l1", "hlt")


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an efficiency is drawn against."""

    column: str
    """Column of `offline.probes`."""
    label: str
    bins: str
    rises: bool
    """The efficiency rises with it: a turn-on is fitted."""


QUANTITIES: dict[tuple[str, str], Quantity] = {
    ("E", "photon"): Quantity("e_cm_gev", r"$E^*_\gamma$ [GeV]", "0:5.3:53", rises=True),
    ("theta", "photon"): Quantity("theta_deg", r"$\theta_\gamma$ [deg]", "0:180:36", rises=False),
    ("pt", "track"): Quantity("pt_gev", r"$p_T$ [GeV]", "0:6:60", rises=True),
    ("theta", "track"): Quantity("track_theta_deg", r"$\theta_\mathrm{track}$ [deg]", "0:180:36", rises=False),
    ("radius", "track"): Quantity("radius_cm", r"$r_{xy}$ [cm]", "0:80:40", rises=False),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines by level; an event passes if of each level that has some at least one fired."""

    l1: tuple[str, ...]
    hlt: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the lines as they are given on the command line."""
        return "+".join(",".join(names) for names in (self.l1, self.hlt) if names)

    @property
    def level(self) -> str:
        """Return which levels have lines."""
        return "both" if self.l1 and self.hlt else "l1" if self.l1 else "hlt"

    @classmethod
    def parse(cls, text: str, run: RunFile, level: str | None, key: str) -> Lines:
        """Read ``A,B`` (any of these) or ``A,B+C,D`` (any of these L1 lines and any of these HLT lines).

        Raises
        ------
        InputError
            If the run has no such line, or both levels have it and ``level`` does not say which is meant.
        """
        known = {name: run.bit_names.get(name, ()) for name in LEVELS}
        parts = [tuple(name.strip() for name in part.split(",")) for part in text.split("+")]
        if len(parts) > 2 or (len(parts) == 2 and level not in (None, "both")):
            raise InputError("is not of the form LINES or L1LINES+HLTLINES", key=key, value=text)
        if len(parts) == 2:
            chosen = dict(zip(LEVELS, parts, strict=True))
        elif level == "both":
            raise InputError("both levels need lines of both: L1LINES+HLTLINES", key=key, value=text)
        else:
            homes = [level] if level else [name for name in LEVELS if all(line in known[name] for line in parts[0])]
            if len(homes) > 1:
                raise InputError("is a line of both levels: give --level l1 or hlt", key=key, value=text)
            chosen = {homes[0] if homes else "hlt": parts[0]}
        for name, lines in chosen.items():
            if unknown := [line for line in lines if line not in known[name]]:
                every = [*known["l1"], *known["hlt"]] if level is None and len(parts) == 1 else known[name]
                raise InputError(f"no such line in this run (known: {', '.join(every)})", key=key, value=unknown[0])
        return cls(chosen.get("l1", ()), chosen.get("hlt", ()))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for."""

    directory: Path
    lines: Lines
    tag: Lines | None
    """None: from the truth."""
    versus: str
    quantity: Quantity
    edges: Array
    where: str | None
    """SQL condition on the columns of `offline.probes`."""
    shape: Shape
    events: int | None
    """From the truth: make at most so many events."""

    @property
    def columns(self) -> dict[str, str]:
        """Return the columns that there are, with what is in them."""
        return TRUE if self.tag is None else PREDICTED

    @property
    def method(self) -> str:
        """Return how the efficiency is found."""
        return "truth" if self.tag is None else "tag and probe"


@dataclass(frozen=True, slots=True)
class Answer:
    """An efficiency, with the fit of its turn-on."""

    question: Question
    curve: Curve
    fit: TurnOn | None
    no_fit: str | None
    """Why there is no fit."""
    events: int

    def record(self) -> dict[str, Any]:
        """Return a JSON-able record."""
        asked = self.question
        return {
            "schema_version": SCHEMA_VERSION,
            "simulated_data": True,
            "run": str(asked.directory),
            "lines": {"l1": list(asked.lines.l1), "hlt": list(asked.lines.hlt)},
            "level": asked.lines.level,
            "method": asked.method,
            "tag": {"l1": list(asked.tag.l1), "hlt": list(asked.tag.hlt)} if asked.tag else None,
            "versus": {"name": asked.versus, "column": asked.quantity.column, "meaning": self._meaning},
            "where": asked.where,
            "events": self.events,
            "counts": "effective" if self.curve.is_weighted else "unweighted",
            "interval": "Clopper-Pearson, central, 68.27 %",
            "bins": self.curve.record(),
            "fit": self.fit.record() if self.fit else None,
            "no_fit": self.no_fit,
        }

    @property
    def _meaning(self) -> str:
        kind = "true" if self.question.tag is None else "predicted or reconstructed"
        return f"{kind}: {self.question.columns[self.question.quantity.column]}"

    def text(self) -> str:
        """Return the efficiency for a person."""
        asked = self.question
        counts = "effective counts" if self.curve.is_weighted else "counts"
        lines = [
            f"{asked.lines.text} ({asked.lines.level}), {asked.method}{f' {asked.tag.text}' if asked.tag else ''}",
            f"against {asked.quantity.column} ({self._meaning}), {self.events:,} events, {counts}",
        ]
        for row in self.curve.record():
            if row["efficiency"] is not None:
                low, high = row["interval"]
                lines.append(
                    f"  {row['low']:8.4g} .. {row['high']:8.4g}  {row['efficiency']:.4f} in [{low:.4f}, {high:.4f}]"
                    f"  {row['passed']:.6g} of {row['total']:.6g}"
                )
        if self.fit is None:
            return "\n".join([*lines, f"no fit: {self.no_fit}"])
        for name, value in self.fit.values.items():
            down, up = self.fit.errors[name]
            lines.append(f"{name} {value:.5g} +{up:.2g} -{down:.2g}")
        p_value = "" if self.fit.p_value is None else f", p = {self.fit.p_value:.2g}"
        lines.append(f"deviance {self.fit.deviance:.1f} for {self.fit.degrees_of_freedom} degrees of freedom{p_value}")
        return "\n".join(lines)

    def write(self, folder: Path | None) -> Path:
        """Write the record as JSON and the figure as PNG and SVG; return the path of the record.

        The names are made of lines, quantity and method; the folder is ``report`` in the run if none is given.
        """
        from offline import figures

        asked = self.question
        folder = folder or asked.directory / REPORT
        method = "truth" if asked.tag is None else "tag"
        path = folder / f"efficiency_{asked.lines.text.replace('+', '_and_').replace(',', '_')}_{asked.versus}_{method}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            title = f"{asked.lines.text.replace('+', ' and ').replace(',', ' or ')}"
            figures.save(figures.turn_on(self.curve, self.fit, asked.quantity.label, title, asked.method), path)
            write_result(path.with_suffix(".json"), self.record())
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", file=folder) from None
        return path.with_suffix(".json")


def ask(
    directory: Path,
    lines: str,
    *,
    versus: str,
    level: str | None = None,
    tag: str | None = None,
    probe: str | None = None,
    bins: str | None = None,
    where: str | None = None,
    shape: str = "erf",
    events: int | None = None,
) -> Question:
    """Check what is asked for; raise `InputError` if it is not to be had, or not in this run."""
    for key, value, known in (
        ("--versus", versus, ("E", "pt", "theta", "radius")),
        ("--level", level, ("l1", "hlt", "both")),
        ("--probe", probe, ("photon", "track")),
        ("--shape", shape, get_args(Shape)),
    ):
        if value is not None and value not in known:
            raise InputError(f"must be one of {', '.join(known)}", key=key, value=value)
    run = read_run(directory)
    chosen = Lines.parse(lines, run, level, "LINE")
    tags = None if tag is None else Lines.parse(tag, run, "both", "--tag")
    if tags and (shared := {*chosen.l1, *chosen.hlt}.intersection((*tags.l1, *tags.hlt))):
        raise InputError("is also what is measured: its efficiency would come out as 1", key="--tag", value=min(shared))
    if tags and versus == "radius":
        rule = "is known from the truth alone: the only vertex of a kept event is that of the line itself"
        raise InputError(rule, key="--versus", value=versus)
    if tags is None and run.settings.source.kind != "mix":
        rule = "events of a replay that were not kept cannot be made again: give --tag"
        raise InputError(rule, file=directory, key="--truth")
    probe = probe or ("track" if versus in ("pt", "radius") else "photon")
    if (quantity := QUANTITIES.get((versus, probe))) is None:
        raise InputError(f"a {probe} has no {versus} here", key="--probe", value=probe)
    question = Question(
        directory, chosen, tags, versus, quantity, _edges(bins or quantity.bins), where, cast(Shape, shape), events
    )
    _selected(pl.DataFrame({name: [] for name in question.columns}, schema=_schema(question)), question)
    return question


def measure(question: Question, progress: Progress | None = None) -> Answer:
    """Find the efficiency; raise `InputError` if no event can be used."""
    parts = _tagged(question, progress) if question.tag else _generated(question, progress)
    chosen = [part for part in (_selected(part, question) for part in parts) if len(part)]
    low, high = question.edges[0], question.edges[-1]
    table = pl.concat(chosen) if chosen else None
    if table is None or not table["x"].is_between(low, high).any():
        rule = f"no event to measure on: none {'with the tag ' if question.tag else ''}is left in this range"
        raise InputError(rule, file=question.directory, key=question.quantity.column, value=f"{low:g}..{high:g}")
    x, passed, weight = (table[name].to_numpy() for name in ("x", "passed", "weight"))
    curve, fit, reason = Curve.of(x, passed, question.edges, weight), None, "this quantity has no turn-on"
    if question.quantity.rises:
        try:
            fit = fit_turn_on(x, passed, question.edges, weight, shape=question.shape)
        except FitFailed as error:
            reason = str(error)
    inside = int(((x >= low) & (x <= high)).sum())
    return Answer(question, curve, fit, None if fit else reason, inside)


def _generated(question: Question, progress: Progress | None) -> Iterator[pl.DataFrame]:
    """Yield all events of the run, made again, with what the lines say of each."""
    run = read_run(question.directory)
    settings = run.settings
    joined, source = chain.Chain.of(settings), MixSource(settings)
    if joined.menu_hash != run.menu_hash:
        raise InputError("the menus have changed since this run: it cannot be made again", file=question.directory)
    frame, l1, hlt = collision_frame(settings.beam), joined.l1_emulator(), joined.hlt_emulator()
    size = settings.stream.block_events
    n_events = min(source.n_events, question.events or source.n_events)
    state: Array | None = None
    for first in range(0, n_events, size):
        count = min(size, n_events - first)
        batch = source.block(first, count)
        found = l1.process(batch, state)
        state = found.state
        passed = np.ones(count, dtype=np.bool_)
        if question.lines.l1:
            passed &= _any(found.ftdl, joined.l1.line_names, question.lines.l1)
        if question.lines.hlt:
            decided = hlt.process(batch, l1_bits(found.psnm, found.ftdl, joined.l1.line_names))
            passed &= _any(decided.raw, joined.hlt.line_names, question.lines.hlt)
        columns = true_probes(source.particles(first, count), source.process_names, frame)
        yield _table(question, columns, passed, batch["weight"])
        if progress is not None:
            progress(first + count, n_events)


def _tagged(question: Question, progress: Progress | None) -> Iterator[pl.DataFrame]:
    """Yield the kept events whose tag fired, part by part of the spool, with what the lines say of each."""
    assert question.tag is not None
    dataset = Dataset.open(question.directory)
    frame, tag = collision_frame(dataset.beam), {"l1": question.tag.l1, "hlt": question.tag.hlt}
    passed = [
        pl.any_horizontal([f"{level}_raw_{name}" for name in names])
        for level, names in (("l1", question.lines.l1), ("hlt", question.lines.hlt))
        if names
    ]
    parts = sorted((question.directory / EVENTS).glob("block=*.parquet"))
    for done, part in enumerate(parts, start=1):
        tagged = accepted_by(pl.scan_parquet(part, glob=False), tag)
        rows = collect(tagged.select("weight", "tracks", "clusters", passed=pl.all_horizontal(passed)), part)
        batch = EventBatch.from_arrow(rows.drop("passed").to_arrow())
        yield _table(question, predicted_probes(batch, frame), rows["passed"].to_numpy(), batch["weight"])
        if progress is not None:
            progress(done, len(parts))


def _table(question: Question, columns: dict[str, Array], passed: Array, weight: Array) -> pl.DataFrame:
    schema = _schema(question)
    series = [pl.Series(name, values, dtype=schema[name], strict=False) for name, values in columns.items()]
    return pl.DataFrame([*series, pl.Series("passed", passed), pl.Series("weight", weight)])


def _schema(question: Question) -> dict[str, Any]:
    kinds: dict[str, Any] = {"process": pl.String, "found": pl.Boolean}
    return {name: kinds.get(name, pl.Float64) for name in question.columns}


def _selected(table: pl.DataFrame, question: Question) -> pl.DataFrame:
    """Return (x, passed, weight) of the rows that meet the condition and have the quantity."""
    names = {"x": question.quantity.column, "passed": "passed", "weight": "weight"}
    if question.where is not None:
        try:
            table = table.filter(pl.sql_expr(question.where))
        except (pl.exceptions.PolarsError, pl.exceptions.SQLSyntaxError) as error:
            reason = str(error).split("\n", maxsplit=1)[0]
            rule = f"{reason} (columns: {', '.join(question.columns)})"
            raise InputError(rule, key="--where", value=question.where) from None
    present = {name: pl.col(column) for name, column in names.items() if column in table.columns}
    return table.filter(pl.col(question.quantity.column).is_finite()).select(**present)


def _any(words: Array, names: tuple[str, ...], wanted: tuple[str, ...]) -> Array:
    fired: Array = np.any([flags_of(words, names.index(name)) for name in wanted], axis=0)
    return fired


def _edges(bins: str) -> Array:
    """Read ``LOW:HIGH:N`` or ``EDGE,EDGE,...``."""
    try:
        if ":" in bins:
            low, high, n = bins.split(":")
            edges = np.linspace(float(low), float(high), int(n) + 1)
        else:
            edges = np.array([float(edge) for edge in bins.split(",")])
    except ValueError:
        raise InputError("must be LOW:HIGH:N or EDGE,EDGE,...", key="--bins", value=bins) from None
    if edges.size < 2 or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all() or edges.size > 1001:
        raise InputError("must be at least two, at most 1001 rising edges", key="--bins", value=bins)
    return edges
