"""Typed, frozen settings; a run is one TOML file.

Past the loader nobody sees a dict. What the file gets wrong comes back as one line each: file, key, value, rule.
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from daq.endpoints import LISTENERS, parse_endpoint
from daq.errors import InputError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys forbidden, no silent conversion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


S = TypeVar("S", bound=Settings)


class InjectionSettings(Settings):
    """When bunches are injected to keep the currents up, ring by ring; a function of time alone."""

    ler_hz: float = Field(default=0.0, ge=0, le=1000)
    """Injections into the low-energy (positron) ring [Hz]; 0 for none. 25 Hz a ring is often quoted for SuperKEKB."""
    her_hz: float = Field(default=0.0, ge=0, le=1000)
    """Injections into the high-energy (electron) ring [Hz]; 0 for none."""
    ler_first_ms: float | None = Field(default=None, ge=0)
    """First injection into the low-energy ring after the start of the run [ms]; at the start if not given."""
    her_first_ms: float | None = Field(default=None, ge=0)
    """First injection into the high-energy ring [ms]; half of its period after the start if not given."""


class ProfileSettings(Settings):
    """How the luminosity goes with time: constant, or through one fill after the other."""

    kind: Literal["constant", "decaying", "levelled"] = "constant"
    """Constant; or decaying exponentially from the start of each fill; or held for a while and decaying then."""
    lifetime_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Lifetime of the decay [s]; must be given unless the luminosity is constant."""
    fill_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Time from one fill to the next, which starts at full luminosity again [s]; goes with the lifetime."""
    levelled_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """How long each fill is held at full luminosity [s]; for a levelled profile only."""

    @model_validator(mode="after")
    def _consistent(self) -> ProfileSettings:
        wanted = {"lifetime_s": self.kind != "constant", "fill_s": self.kind != "constant"}
        for key, is_wanted in (wanted | {"levelled_s": self.kind == "levelled"}).items():
            if (getattr(self, key) is not None) != is_wanted:
                raise ValueError(f'{key} {"must" if is_wanted else "cannot"} be given if kind is "{self.kind}"')
        if self.lifetime_s is not None and self.fill_s is not None:
            held_s = self.levelled_s or 0.0
            if self.fill_s < held_s:
                raise ValueError("levelled_s must not be longer than fill_s")
            if self.fill_s - held_s > 20 * self.lifetime_s:
                raise ValueError("fill_s must not outlast 20 lifetimes: next to nothing would be left to collide")
        return self


class BunchSettings(Settings):
    """Where bunches are in the turn, in the 1280 ticks of four buckets that the trigger can tell apart."""

    trains: int = Field(default=1, ge=1, le=64)
    """Trains of bunches, of the same length, each followed by a gap."""
    gap_ticks: int = Field(default=0, ge=0, lt=1280)
    """Empty ticks after each train, for the abort kicker; the patterns of SuperKEKB are in no source, so none."""
    spacing_ticks: int = Field(default=1, ge=1, le=1280)
    """Ticks from one bunch to the next in a train; 1 stands for every spacing of up to four buckets."""

    @model_validator(mode="after")
    def _has_bunches(self) -> BunchSettings:
        if self.trains * (self.gap_ticks + 1) > 1280:
            raise ValueError("trains with their gaps must leave bunches in a turn of 1280 ticks")
        return self


class BeamSettings(Settings):
    """The collider: how many collisions, and when."""

    luminosity_cm2_s: float = Field(default=6.0e35, gt=0, allow_inf_nan=False)
    """Luminosity [cm-2 s-1], at its highest if it changes with time; the default is SuperKEKB's design value."""
    profile: ProfileSettings = ProfileSettings()
    """How the luminosity goes with time."""
    bunches: BunchSettings = BunchSettings()
    """Where in the turn bunches collide."""
    section_s: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Length of a luminosity section [s]."""
    electron_gev: float = Field(default=7.007, gt=0)
    """Energy of the electron beam [GeV]."""
    positron_gev: float = Field(default=4.000, gt=0)
    """Energy of the positron beam [GeV]."""
    crossing_mrad: float = Field(default=83.0, ge=0, lt=500)
    """Full crossing angle [mrad]; each beam is off the solenoid axis by half of it, in the x-z plane."""
    cm_rotation: bool = True
    """The HLT turns its CM frame so that z is the collision axis, as the experiment's software does now; false: a pure
    boost, as between about 2019 and 2022, which moves CM angles by up to 5.8 mrad."""
    injection: InjectionSettings = InjectionSettings()
    """Top-up injections, which the L1 is vetoed after."""


class SignalSettings(Settings):
    """One injected signal: a process with masses, lifetimes and a rate; what is not given stands in its file."""

    process: str
    """Name of a file in configs/processes."""
    mass_gev: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Mass of the new particle that the process is about [GeV]; a must if there is one."""
    masses_gev: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    """Masses of its other new particles, by name [GeV]."""
    ctau_cm: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Proper decay length of the new particle [cm]; from the coupling, or of the process file, if not given."""
    ctaus_cm: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    """Proper decay lengths of its other new particles, by name [cm]."""
    cross_section_nb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Cross-section of the generated events, all branching fractions included [nb]; give this or the coupling."""
    coupling: float | None = Field(default=None, gt=0)
    """Coupling in the unit of the process; the cross-section then follows from its formulas."""
    couplings: dict[str, float] = {}
    """Other couplings of the process, by name."""
    fractions: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """Branching fractions, by decay as the process file writes it; the other decays of that particle are dropped."""

    @model_validator(mode="after")
    def _one_of_two(self) -> SignalSettings:
        if (self.cross_section_nb is None) == (self.coupling is None):
            raise ValueError("give exactly one of cross_section_nb and coupling")
        return self


class BurstSettings(Settings):
    """Background of the injected bunch: it comes round with every turn until its oscillations have died out."""

    factor: float = Field(default=20.0, ge=0, allow_inf_nan=False)
    """How much is added just after an injection, in the gate of the injected bunch, in units of the mean; no source."""
    decay_us: float = Field(default=500.0, gt=0, allow_inf_nan=False)
    """Decay time [us]; most of it comes within the first 500 us (measured in 2016, CLAWS)."""
    ler_gate_us: tuple[float, float] = (1.25, 1.55)
    """Begin and end, in the turn, of the gate after an injection into the low-energy ring [us]; HLT prefilter."""
    her_gate_us: tuple[float, float] = (2.20, 2.33)
    """The same for the high-energy ring [us]; HLT prefilter."""

    @field_validator("ler_gate_us", "her_gate_us")
    @classmethod
    def _in_the_turn(cls, gate: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= gate[0] < gate[1] <= 10.06:
            raise ValueError("must rise within the turn, 0 to 10.06 us")
        return gate


class BackgroundSettings(Settings):
    """Beam background laid over every collision. What names no source is a surrogate of the right size."""

    level: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Factor on the three numbers below."""
    clusters: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    """Mean number of low-energy ECL clusters; surrogate of the facts."""
    tracks: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    """Mean number of charged particles from the beam pipe; no source."""
    segments: float = Field(default=4.0, ge=0, allow_inf_nan=False)
    """Mean number of CDC track segments from noise and out-of-time hits; no source."""
    cluster_energy_gev: float = Field(default=0.040, gt=0, le=1)
    """Mean energy of the clusters above the threshold of 20 MeV, exponential [GeV]; surrogate of the facts."""
    cluster_time_ns: float = Field(default=1000.0, ge=0, le=10_000)
    """Their times are flat within so much before and after the collision [ns]; surrogate of the facts."""
    track_pt_gev: float = Field(default=0.3, gt=0, le=5)
    """Mean transverse momentum of the particles, exponential [GeV]; no source."""
    track_z_cm: float = Field(default=80.0, ge=0, le=100)
    """They come from the beam pipe, flat in z within so much of the origin [cm]; no source."""
    burst: BurstSettings = BurstSettings()
    """What an injection adds."""

    @model_validator(mode="after")
    def _is_an_event(self) -> BackgroundSettings:
        most = self.level * max(self.clusters, self.tracks, self.segments) * (1 + self.burst.factor)
        if most > 500:
            raise ValueError(f"a mean of {most:.4g} objects of a kind in an event, in a burst: 500 are the most")
        return self


class SourceSettings(Settings):
    """Where the events come from."""

    kind: Literal["mix", "replay"] = "mix"
    """A mix of processes at their cross-sections, or the events of files (see ``[replay]``)."""
    processes: tuple[str, ...] = ()
    """Names of files in configs/processes."""
    signals: tuple[SignalSettings, ...] = ()
    """Injected signals."""
    background: BackgroundSettings | None = None
    """Beam background; none without this table, and an empty table lays over what stands there."""


class ReplaySettings(Settings):
    """How files of users are read; see docs/replay.md."""

    level: Literal["auto", "particles", "reconstruction", "events"] = "auto"
    """Particles go through the detector response, reconstructed tracks and clusters only through the primitives;
    events (all columns of the event model, as spooled) keep their primitives."""
    tree: str | None = None
    """Name of the ROOT tree; the only tree of the file if not given."""
    columns: dict[str, tuple[str, ...]] = {}
    """Column map: field of the event model -> column of the file, or several flat columns, one an object."""
    group_by: tuple[str, ...] = ()
    """Columns that name the event where a row is a candidate; without them each row is an event."""
    rate_hz: float = Field(default=10_000.0, gt=0)
    """Mean rate at which the replayed events collide, at full luminosity [Hz]."""
    luminosity_fb: float | None = Field(default=None, gt=0)
    """Integrated luminosity that the files stand for [fb-1], if they have one."""

    @field_validator("columns", mode="before")
    @classmethod
    def _plain(cls, columns: Any) -> Any:
        """Take ``tracks.d0_cm = ..``, a table in TOML, like ``"tracks.d0_cm" = ..``; one name is a list of one."""
        if not isinstance(columns, dict):
            return columns
        fields = {
            key if field is None else f"{key}.{field}": names
            for key, value in columns.items()
            for field, names in (value.items() if isinstance(value, dict) else ((None, value),))
        }
        return {field: (names,) if isinstance(names, str) else names for field, names in fields.items()}


def speed_of(pace: str) -> float | None:
    """Return the factor of a pace, None for ``max``; raise `ValueError` if it is none."""
    if pace in ("max", "real"):
        return None if pace == "max" else 1.0
    factor = float(pace.removeprefix("x"))
    if not pace.startswith("x") or not 0 < factor < math.inf:
        raise ValueError(pace)
    return factor


class StreamSettings(Settings):
    """Blocks, windows and leases of the stream."""

    block_events: int = Field(default=1024, ge=1, le=65536)
    """Events in a block, the unit of work."""
    blocks_per_part: int = Field(default=32, ge=1, le=1024)
    """Consecutive blocks whose accepted events share one Parquet part (and one fsync)."""
    window_blocks: int = Field(default=96, ge=1, le=4096)
    """Blocks that may be in flight before the source waits; at least two parts' worth, or the spool starves."""
    worker_credits: int = Field(default=4, ge=1, le=64)
    """Blocks that one HLT worker may hold."""
    pace: str = "max"
    """How fast the clock of the run runs: ``max`` (as the chain can), ``real``, or ``x10`` for ten times real time."""
    lag_s: float = Field(default=1.0, gt=0)
    """At a pace other than ``max``: collisions that the source cannot hand over within this time are lost to dead time
    [s]."""
    lease_s: float = Field(default=60.0, gt=0)
    """A block that is not done after this time is sent again [s]."""
    hung_s: float = Field(default=15.0, gt=0)
    """A process that says nothing for this time is killed and replaced [s]."""
    disk_patience_s: float = Field(default=60.0, ge=0)
    """How long the spool tries to store a part on a disk that is full or fails, before the run is given up [s]."""
    status_s: float = Field(default=0.5, gt=0)
    """Interval of status frames [s]."""
    max_restarts: int = Field(default=5, ge=0)
    """Restarts of one process before the run is given up."""

    endpoints: dict[str, str] = {}
    """Where source, l1, spool (and status, for whoever watches) listen: tcp://HOST:PORT or ipc:///PATH; a private ipc
    socket if not given."""
    keys: str | None = None
    """Folder of the CURVE keys, for tcp; a must for every endpoint that can be reached from other machines."""

    @model_validator(mode="after")
    def _strangers_stay_out(self) -> StreamSettings:
        for role, text in self.endpoints.items():
            if role not in LISTENERS:
                raise ValueError(f"endpoints.{role}: nobody listens there (known: {', '.join(LISTENERS)})")
            try:
                endpoint = parse_endpoint(text)
            except ValueError as error:
                raise ValueError(f"endpoints.{role} = {text!r}: {error}") from None
            if self.keys is None and not endpoint.is_local:
                rule = "can be reached from other machines, so it needs keys ([stream] keys, --keys)"
                raise ValueError(f"endpoints.{role} = {text!r}: {rule}")
        return self

    @field_validator("pace")
    @classmethod
    def _pace_is_one(cls, pace: str) -> str:
        try:
            speed_of(pace)
        except ValueError:
            raise ValueError('must be "max", "real" or "x" and a factor above 0, like "x10"') from None
        return pace

    @property
    def speed(self) -> float | None:
        """Return the seconds of the run in a second, None for as many as the chain can."""
        return speed_of(self.pace)

    @model_validator(mode="after")
    def _window_holds_parts(self) -> StreamSettings:
        if self.window_blocks < 2 * self.blocks_per_part:
            raise ValueError(f"window_blocks must be at least 2 * blocks_per_part = {2 * self.blocks_per_part}")
        return self


class MenuSettings(Settings):
    """Which menu a trigger level runs."""

    menu: str
    """Name of a TOML file under configs/menus/, or a path."""


class L1Settings(MenuSettings):
    """Which menu the L1 runs, and with which of its prescales."""

    column: str = "auto"
    """Prescale column of the menu by name; ``auto`` takes the one for the luminosity of ``[beam]``."""
    quirks: Literal["belle2", "ideal"] = "belle2"
    """Input bits as the public simulation has them, or as they are meant where that is known to differ."""


class HltSettings(MenuSettings):
    """Which menu the HLT runs, and with which of its prescales."""

    column: str = "auto"
    """Prescale column of the menu by name; ``auto`` takes the one for the luminosity of ``[beam]``."""


class RunSettings(Settings):
    """All that is needed to repeat a run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the run; its directory is runs/<name> unless --out says otherwise."""
    run: int = Field(default=1, ge=0, lt=2**32)
    """Run number."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Seed of every random decision of the run."""
    events: int = Field(default=100_000, ge=0)
    """Collision events to generate (a replay takes all of its files)."""
    workers: int = Field(default=1, ge=1, le=256)
    """HLT worker processes."""
    beam: BeamSettings = BeamSettings()
    source: SourceSettings = SourceSettings()
    replay: ReplaySettings = ReplaySettings()
    l1: L1Settings
    hlt: HltSettings
    stream: StreamSettings = StreamSettings()


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raise `InputError` if it is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file=path) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}", file=path) from None


def read_json(path: Path, *, if_missing: str) -> dict[str, Any]:
    """Return the object of a JSON file; raise `InputError` if it is none, or missing: ``if_missing`` says why."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such file: {if_missing}", file=path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"not JSON: {error}", file=path) from None
    if not isinstance(content, dict):
        raise InputError("must hold a JSON object", file=path)
    return content


def load(path: Path, model: type[S]) -> S:
    """Read a TOML file into settings; raise `InputError` with every broken rule, one a line."""
    return parse(read_toml(path), model, file=path)


def parse(
    tables: dict[str, Any],
    model: type[S],
    *,
    file: Path | str | None = None,
    place: Callable[[Sequence[Any]], str] = lambda keys: "",
) -> S:
    """Turn tables into settings; raise `InputError` with every broken rule, one a line.

    ``place`` says where in the file a value stands, given the keys that lead to it: it opens the line of the error.
    """
    try:
        # TOML has no tuples and writes 6e34 as a float but 6 as an integer: let lists be tuples, integers floats.
        return model.model_validate(_with_tuples(tables))
    except ValidationError as error:
        lines = [place(item["loc"]) + _one_line(item, model) for item in _innermost(error.errors())]
        raise InputError("\n".join([lines[0], *(f"{file}: {line}" for line in lines[1:])]), file=file) from None


def _innermost(errors: Sequence[Any]) -> list[Any]:
    """Leave out what only follows from a mistake further inside: a list of bad items also counts as too short."""
    places = [item["loc"] for item in errors]
    return [
        item
        for item in errors
        if not any(len(place) > len(item["loc"]) and place[: len(item["loc"])] == item["loc"] for place in places)
    ]


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value


def _one_line(item: Any, model: type[Settings]) -> str:
    """Write one validation error as ``[table] key = value: rule``."""
    *tables_of, key = item["loc"] or ("",)
    prefix = f"[{'.'.join(str(part) for part in tables_of)}] " if tables_of else ""
    if item["type"] == "extra_forbidden":
        known = _known_keys(model, tables_of)
        close = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        return f"{prefix}{key} = {item['input']!r}: unknown key ({hint})"
    if item["type"] == "missing":
        return f"{prefix}{key}: must be given"
    rule = item["msg"].removeprefix("Value error, ")
    rule = rule[0].lower() + rule[1:]
    if isinstance(item["input"], (dict, tuple, list)):
        return f"{prefix}{key}: {rule}" if key != "" else rule
    return f"{prefix}{key} = {item['input']!r}: {rule}"


def _known_keys(model: type[Settings], location: list[Any]) -> list[str]:
    """Return the keys that the settings at ``location`` have."""
    is_name = False  # of a row in a table of settings, not of a field
    for part in location:
        if isinstance(part, int) or is_name:
            is_name = False
            continue
        field = model.model_fields.get(str(part))
        is_name = field is not None and getattr(field.annotation, "__origin__", None) is dict
        inner = next((m for m in _models_in(field.annotation) if issubclass(m, Settings)), None) if field else None
        if inner is None:
            return []
        model = inner
    return sorted(model.model_fields)


def _models_in(annotation: Any) -> list[type]:
    found = [annotation] if isinstance(annotation, type) and not hasattr(annotation, "__origin__") else []
    for argument in getattr(annotation, "__args__", ()):
        found += _models_in(argument)
    return found
