"""How the rooms are joined to a chain: which stage runs where, and what run.json says of it.

`darkline.py` is the command line; this module alone knows all rooms of the online side. A run is carried out by
processes (see `daq.stream`); `simulate` takes the same source, L1 and HLT through the same functions in one process,
for signal shapes and efficiencies.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from daq import __version__
from daq.clock import Injections
from daq.errors import InputError
from daq.event import EventBatch
from daq.run_directory import INPUT, RUN, RunFile, create, read_run
from daq.settings import BackgroundSettings, InjectionSettings, RunSettings, parse, read_toml
from daq.source.mix import MixSource, Source
from daq.source.recorded import ORIGIN, RecordedSource, read_origin
from daq.source.replay import ReplaySource
from daq.stream.loops import OrderedStage, run_ordered_stage, run_source, run_spool, run_stage
from daq.stream.node import Node, Place
from daq.stream.wire.codec import Block, as_received
from daq.stream.wire.contract import LOST
from hlt.budget import Meter
from hlt.emulator import HltEmulator
from hlt.menu import HltMenu
from stages import HltStage, L1Stage
from triggers.columns import AUTO, ColumnSettings
from triggers.emulator import L1Emulator
from triggers.gdl.menu import L1Menu

if TYPE_CHECKING:
    import polars as pl


ROOT = Path(__file__).resolve().parent

EXACT = (
    "L1: ECL, CDC, KLM, matching and short-track bits agree with Belle II's public trigger simulation on every "
    "reference event; the menu logic agrees with an independent evaluation of the same text.",
    "HLT: filter variables, two-track vertex fit and cut language agree with Belle II's public software on every "
    "reference event.",
    "Prescales, dead time and luminosity: every event and every second is accounted for.",
)
"""What the emulation does as the experiment's public software does it, for the report."""
APPROXIMATE = (
    "The detector is a parametrised response, not a simulation of Belle II (docs/detector.md): no bremsstrahlung in "
    "the material, no decays in flight.",
    "Beam background is a surrogate, there if the configuration has it; what is nothing but background is not there.",
    "Trigger primitives are made from the reconstructed tracks and clusters of the same event.",
    "Initial- and final-state radiation: at most one photon each from a leading-logarithmic radiator; three photons "
    "follow the tree-level matrix element. Signals radiate one initial-state photon where their process says so.",
    "Signals: angles and matrix elements as the process file says, no spin carried on to further decays; the other B, "
    "tau or charm of a signal event decays by simple modes.",
    "Hadronic and B events are drawn from 1,200 generator events, turned in azimuth; taus decay unpolarised by their "
    "main modes.",
    "Two-photon events: equivalent photons along the beams, point-like pions; lost electrons have no transverse "
    "momentum. Cosmic muons come at the time of a collision.",
    "Dead time follows models of minimum spacing, front-end buffers and injection veto; their numbers are settings, as "
    "those of Belle II are not public. The luminosity does not change with the injections.",
    "L1 inputs that the public simulation does not make (TOP, endcap KLM counts, ...) are held at 0.",
    "Prescales of real menus are not public; those used are of public menus and of the design rate table.",
    "Beside a strong signal the polynomial background is pulled up: there significances are too low, limits too "
    "strong.",
    "Significances are local, without trials factor; limits are asymptotic, and marked where events are few.",
    "A spectrum counts all photon pairs of an event as independent entries.",
    "Cuts of the search marked 'assumed' in its file are not published values.",
)
"""What is approximate or a surrogate, for the report."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What every process of a run needs to know: settings and menus, and so the meaning of every bit."""

    settings: RunSettings
    l1: L1Menu
    hlt: HltMenu
    l1_column: str | None
    """Prescale column of the L1 menu that is in force; None for a menu without columns."""
    hlt_column: str | None
    """The same of the HLT menu."""

    @classmethod
    def of(cls, settings: RunSettings) -> Chain:
        """Load the menus that the settings name; raise `InputError` for what is wrong with them."""
        l1, hlt = L1Menu.load(settings.l1.menu), HltMenu.load(settings.hlt.menu)
        if hlt.prescale_by == "counter":
            rule = 'prescale_by = "counter" needs events in order, and the workers of a run take blocks in any order'
            raise InputError(f"{rule}: only decisions on files can use it", key="[hlt] menu", value=settings.hlt.menu)
        luminosity = settings.beam.luminosity_cm2_s
        l1_column = l1.choose(settings.l1.column, luminosity)
        return cls(settings, l1, hlt, l1_column, hlt.choose(settings.hlt.column, luminosity))

    @property
    def menu_hash(self) -> int:
        """Return one number for both menus and the prescales in force; blocks of a run with others are refused."""
        prescales = f"{self.l1.prescales(self.l1_column)} {self.hlt.prescales(self.hlt_column)}"
        return xxhash.xxh3_64_intdigest(f"{self.l1.hash} {self.hlt.hash} {prescales}".encode())

    @property
    def bit_names(self) -> dict[str, list[str]]:
        """Return the names behind the bits of each table of trigger results."""
        l1, hlt = list(self.l1.line_names), list(self.hlt.line_names)
        return {"l1": l1, "l1_raw": l1, "hlt": hlt, "hlt_raw": hlt}

    @property
    def menus(self) -> dict[str, Any]:
        """Return what run.json says of the menus: everything that decides, and the prescale of every line."""
        return {
            "l1": {
                "name": self.l1.name,
                "timing": self.l1.timing.model_dump(),
                "column": self.l1_column,
                "prescale_by": self.l1.prescale_by,
                "lines": dict(zip(self.l1.line_names, self.l1.prescales(self.l1_column), strict=True)),
                "masked": [line.name for line in self.l1.lines if line.masked],
                "logic": {line.name: line.logic for line in self.l1.lines},
            },
            "hlt": {
                **self.hlt.model_dump(mode="json", exclude={"line"}),
                "column": self.hlt_column,
                "lines": dict(zip(self.hlt.line_names, self.hlt.prescales(self.hlt_column), strict=True)),
                "line_budgets_us": dict(zip(self.hlt.line_names, self.hlt.line_budgets_us, strict=True)),
                "cuts": {line.name: line.cut for line in self.hlt.line},
            },
        }

    @property
    def notes(self) -> list[str]:
        """Return what whoever reads the results of the run should know of it, a sentence each."""
        l1 = _beyond_columns("L1", self.settings.l1.column, self.l1.columns, self.settings.beam.luminosity_cm2_s)
        hlt = _beyond_columns("HLT", self.settings.hlt.column, self.hlt.column, self.settings.beam.luminosity_cm2_s)
        return [*l1, *hlt]

    def l1_emulator(self) -> L1Emulator:
        """Return the L1 of this run, for arrays."""
        settings = self.settings
        return L1Emulator(
            self.l1, seed=settings.seed, beam=settings.beam, column=self.l1_column, quirks=settings.l1.quirks
        )

    def hlt_emulator(self) -> HltEmulator:
        """Return the HLT of this run, for arrays."""
        return HltEmulator(self.hlt, seed=self.settings.seed, beam=self.settings.beam, column=self.hlt_column)

    def l1_stage(self) -> L1Stage:
        """Return the L1 of this run."""
        beam = self.settings.beam
        return L1Stage(self.l1_emulator(), round(beam.section_s * 1e9), Injections.of(beam.injection))

    def hlt_stage(self) -> HltStage:
        """Return the HLT of this run."""
        meter = Meter(self.hlt_emulator(), seed=self.settings.seed, clock=time.perf_counter_ns)
        return HltStage(meter, self.l1.line_names)


def _beyond_columns(level: str, asked: str, columns: Sequence[ColumnSettings], luminosity_cm2_s: float) -> list[str]:
    """Return a note if the luminosity chose a prescale column that was made for less."""
    highest = max(columns, key=lambda column: column.luminosity_cm2_s, default=None)
    if highest is None or asked != AUTO or luminosity_cm2_s <= highest.luminosity_cm2_s:
        return []
    return [
        f"The luminosity, {luminosity_cm2_s:.3g} cm-2 s-1, is above that of every prescale column of the {level} menu; "
        f"the highest one is in force, {highest.name} ({highest.luminosity_cm2_s:.3g} cm-2 s-1)."
    ]


# ---- a run


def load_run(config: Path, *, keys: Path | None = None, **overrides: Any) -> RunSettings:
    """Return the settings of a run; ``keys``, the folder of the keys, and ``overrides`` as in `override`."""
    tables = read_toml(config)
    if keys is not None and isinstance(tables.setdefault("stream", {}), dict):
        tables["stream"]["keys"] = str(keys.absolute())  # before it is checked: some endpoints must not be without
    return override(parse(tables, RunSettings, file=config), config, **overrides)


def override(settings: RunSettings, file: Path, *, pace: str | None = None, **overrides: Any) -> RunSettings:
    """Return settings, which are of ``file``, with those of ``overrides`` that are not None in place of their own."""
    given = {name: value for name, value in overrides.items() if value is not None}
    if pace is not None:
        given["stream"] = settings.stream.model_dump() | {"pace": pace}
    return parse(settings.model_dump() | given, RunSettings, file=file) if given else settings


@dataclass(frozen=True, slots=True)
class Plan:
    """A run whose directory is made and whose input is checked; it only remains to carry it out."""

    directory: Path
    run: RunFile
    source: Source


def plan_run(settings: RunSettings, directory: Path, *, overwrite: bool = False) -> Plan:
    """Check everything and make the run directory; raise `InputError` before anything is made if it is wrong."""
    if settings.source.kind == "replay":
        raise InputError("a replay needs files: darkline replay FILES ...", key="[source] kind", value="replay")
    source = MixSource(settings)
    run = run_file(settings, source)
    create(directory, run, overwrite=overwrite)
    return Plan(directory, run, source)


def plan_resume(directory: Path) -> Plan:
    """Take up a run where its manifest ends; raise `InputError` if it would go on as another run."""
    run = read_run(directory)
    source = open_source(run.settings, directory)
    before, now = (each.model_dump(mode="json")["about"] for each in (run, run_file(run.settings, source)))
    for what in ("l1", "hlt", "process_names", "cross_sections_nb"):
        if now[what] != before.get(what):
            rule = "has changed since the run began: what was half done with one cannot be finished with another"
            raise InputError(rule, file=directory / RUN, key=what)
    return Plan(directory, run, source)


def open_source(settings: RunSettings, directory: Path) -> Source:
    """Return the source of the run in a directory."""
    if (directory / INPUT / ORIGIN).exists():
        return RecordedSource(read_origin(directory), directory / INPUT)
    return ReplaySource(settings, directory / INPUT) if settings.source.kind == "replay" else MixSource(settings)


def open_all_events(run: RunFile, directory: Path) -> Source:
    """Return the source of a run whose events are numbered from 0; raise `InputError` if it has only some of them."""
    if run.ranges:
        rule = "the run has only some of the events, what is measured on all of them cannot be had"
        raise InputError(rule, file=directory / RUN, key="ranges")
    return open_source(run.settings, directory)


def run_file(settings: RunSettings, source: Source, **about: Any) -> RunFile:
    """Return what run.json of a run will say; ``about`` is added as it is."""
    chain = Chain.of(settings)
    return RunFile(
        settings=settings,
        n_events=source.n_events,
        menu_hash=chain.menu_hash,
        bit_names={name: tuple(names) for name, names in chain.bit_names.items()},
        about={
            "process_names": list(source.process_names),
            "cross_sections_nb": list(source.cross_sections_nb),
            **chain.menus,
            "notes": chain.notes,
            "versions": {
                "darkline": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "numba", "polars", "pyzmq")},
            },
            **about,
        },
    )


def carry_out(
    plan: Plan, *, on_status: Callable[[dict[str, Any]], None] | None = None, hold: bool = False
) -> dict[str, Any]:
    """Start the processes of a run, see it through, and return its summary; ``hold`` waits for the command to start."""
    from daq.stream.supervision.supervisor import supervise

    return supervise(
        plan.directory,
        plan.run,
        nursery_command=[sys.executable, str(ROOT / "darkline.py"), "nursery"],
        delivered_fb=plan.source.delivered_fb,
        on_status=on_status,
        hold=hold,
        resume=True,  # the directory is made: a new run goes on from an empty manifest
    )


def run_node(place: Place) -> None:
    """Be one process of a run: its node, its stage, its /metrics."""
    node = Node(place)
    node.metrics_url = serve_metrics(node)
    settings = node.run.settings
    match place.role:
        case "source":
            run_source(node, BlockMaker(open_source(settings, place.run_directory), node.run))
        case "l1":
            run_ordered_stage(node, l1_stage(settings, place.run_directory))
        case "hlt":
            run_stage(node, Chain.of(settings).hlt_stage())
        case "spool":
            run_spool(node)


def l1_stage(settings: RunSettings, directory: Path) -> OrderedStage:
    """Return the L1 of the run in a directory: of recorded events it decides again what can be decided again."""
    chain = Chain.of(settings)
    if not (directory / INPUT / ORIGIN).exists():
        return chain.l1_stage()
    from commands.replay.stage import Inherited, RecordedL1Stage

    origin = read_origin(directory)
    inherited = Inherited.of(origin.run, settings, chain.l1)
    source, section_ns = RecordedSource(origin, directory / INPUT), round(settings.beam.section_s * 1e9)
    return RecordedL1Stage(chain.l1_emulator(), inherited, source, section_ns=section_ns)


def serve_metrics(node: Node) -> str:
    """Serve /metrics of a process; return the address."""
    from monitors.exporter import serve

    return serve(node.statistics, node.place.role, node.place.slot)


class BlockMaker:
    """The source of a run as blocks."""

    def __init__(self, source: Source, run: RunFile):
        self._source, self._run = source, run

    def interval_ns(self, number: int) -> tuple[int, int]:
        """Return the time [begin, end) that a block stands for [ns]."""
        return self._source.interval_ns(*self._run.block_range(number))

    def __call__(self, number: int) -> Block:
        """Return a block of the run."""
        first, count = self._run.block_range(number)
        begin_ns, end_ns = self.interval_ns(number)
        notes = {"begin_ns": begin_ns, "end_ns": end_ns}
        make = self._source.padded if isinstance(self._source, RecordedSource) else self._source.block
        return Block(number, first, count, make(first, count), {}, notes)

    def lost(self, number: int) -> Block:
        """Return the block without its events: nobody could take these collisions, and nobody looked at them."""
        first, count = self._run.block_range(number)
        begin_ns, end_ns = self.interval_ns(number)
        notes = {"begin_ns": begin_ns, "end_ns": end_ns, LOST: True}
        return Block(number, first, count, EventBatch(0, {}), {}, notes)


# ---- the chain in one process


def blocks_in_process(settings: RunSettings) -> Iterator[Block]:
    """Yield every block of a run with its kept events; the functions of the stream, without the stream."""
    chain, source = Chain.of(settings), MixSource(settings)
    l1, hlt = chain.l1_stage(), chain.hlt_stage()
    run = run_file(settings, source)
    make = BlockMaker(source, run)
    state: list[int] | None = None
    for number in range(run.n_blocks):
        block, state = l1(as_received(make(number)), state)
        yield hlt(as_received(block))


def simulate(settings: RunSettings) -> pl.DataFrame:
    """Return the kept events of a run as they would be spooled, had there been no injections.

    The time that the injection veto takes is part of the live luminosity, not of an efficiency.
    """
    import polars as pl

    from daq.spool import event_table

    beam = settings.beam.model_copy(update={"injection": InjectionSettings()})
    quiet = settings.model_copy(update={"beam": beam})
    kept = [block for block in blocks_in_process(quiet) if len(block.events)]
    return pl.DataFrame(event_table(kept, Chain.of(quiet).bit_names))


def warm_up() -> None:
    """Compile every kernel of the chain, in the form in which the stream gives it its arrays."""
    settings = load_run(ROOT / "configs" / "runs" / "demo.toml", events=3000)
    beam = settings.beam.model_copy(update={"injection": InjectionSettings(ler_hz=25.0)})
    source = settings.source.model_copy(update={"background": BackgroundSettings()})
    for change in ({"beam": beam}, {"source": source}):
        for _ in blocks_in_process(settings.model_copy(update=change)):
            pass
