"""What a menu file may say: lines, prescale columns, and the timing of the trigger.

Numbers of the hardware that no public source gives are settings; their defaults say where they are from. Those marked
"quoted" are commonly said in the field, without a source that could be read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from daq.settings import Settings

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Title = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
Latency = Annotated[int, Field(ge=0, le=10**6)]
Index = Annotated[int, Field(ge=0, lt=10**9)]
AUTO = "auto"
_TURN_US = 5120 / 508.887


class BufferSettings(Settings):
    """The front-end buffers, as far as the trigger knows them: it throttles itself before they overflow."""

    window_accepts: int = Field(default=0, ge=0, le=64)
    """At most so many accepts in any ``window_ns``; 0 for no such limit. Quoted for the silicon readout: 5."""
    window_ns: int = Field(default=26_000, ge=1, le=10**9)
    """Length of that window [ns]; quoted as about 26 us."""
    fifo_depth: int = Field(default=0, ge=0, le=4096)
    """Events that a de-randomising buffer holds, the one being read out included; 0 for no such buffer."""
    readout_ns: int = Field(default=10_000, ge=1, le=10**9)
    """Time to read one event out of it [ns]; unknown. 10 us is a third of the mean spacing at 30 kHz."""


class RingVetoSettings(Settings):
    """Veto after an injection into one ring: of everything at first, then of the injected bunch as it comes round."""

    full_us: float = Field(default=500.0, ge=0, le=65_000)
    """Everything is vetoed for so long [us]; quoted as 100 to 500 us, and most of the background comes within 500."""
    end_us: float = Field(default=20_000.0, ge=0, le=65_000)
    """After this time nothing is vetoed any more [us]; end of the strips that the HLT prefilter cuts out."""
    gate_begin_us: float = Field(ge=0, lt=_TURN_US)
    """Place in the turn where the gate about the injected bunch opens [us]."""
    gate_length_us: float = Field(ge=0, le=_TURN_US)
    """Length of the gate [us]; it may reach over the end of the turn."""

    @model_validator(mode="after")
    def _in_order(self) -> RingVetoSettings:
        if self.end_us < self.full_us:
            raise ValueError("end_us must not be before full_us")
        return self


class LerVetoSettings(RingVetoSettings):
    """The same, with the strip of the low-energy ring in the HLT prefilter (1.25 to 1.55 us) as gate."""

    gate_begin_us: float = Field(default=1.25, ge=0, lt=_TURN_US)
    gate_length_us: float = Field(default=0.30, ge=0, le=_TURN_US)


class HerVetoSettings(RingVetoSettings):
    """The same, with the strip of the high-energy ring in the HLT prefilter (2.20 to 2.33 us) as gate."""

    gate_begin_us: float = Field(default=2.20, ge=0, lt=_TURN_US)
    gate_length_us: float = Field(default=0.13, ge=0, le=_TURN_US)


class VetoSettings(Settings):
    """Injection veto: what sets the input bit ``veto``."""

    ler: LerVetoSettings = LerVetoSettings()
    her: HerVetoSettings = HerVetoSettings()


class LatencySettings(Settings):
    """How long each step of the trigger takes [ns]; each is rounded up to clock ticks of 7.860 ns.

    The total is known to be required below 4.5 us; the split is in no public source. What is known of a step stands
    beside it, else the default is a guess that keeps the total below the requirement.
    """

    budget_ns: int = Field(default=4500, ge=1, le=10**6)
    """What the slowest path may take, from the collision to the accept at the front ends."""
    cdc_segments_ns: Latency = 1400
    """Drift, front ends, mergers and segment finders of the CDC."""
    cdc_2d_ns: Latency = 500
    """2D track finder."""
    cdc_3d_ns: Latency = 400
    """3D fitter, after the 2D finder."""
    cdc_neural_ns: Latency = 300
    """Neural network, after the 2D finder; "a few hundred ns" (Belle II, arXiv:2012.10948)."""
    cdc_time_ns: Latency = 300
    """Event time of the CDC, from the segments."""
    ecl_cells_ns: Latency = 1500
    """Shaping, sampling (each 125 ns) and fit of the ECL trigger cells."""
    ecl_bits_ns: Latency = 500
    """ECL sums, clusters and logic; the decision window alone is 250 ns."""
    klm_ns: Latency = 1500
    """KLM sectors."""
    top_ns: Latency = 2000
    """TOP event time."""
    grl_tracks_ns: Latency = 200
    """Counting and pairing of tracks or clusters in the GRL."""
    grl_short_ns: Latency = 300
    """Short and inner tracks, from the segments."""
    grl_match_ns: Latency = 300
    """Matching of objects of two sub-triggers."""
    gdl_align_ns: Latency = 100
    """Alignment of the input bits in the GDL, after the last of them has come."""
    ftdl_ns: Latency = 7
    """Logic of the lines; one register stage, a tick, at least."""
    psnm_ns: Latency = 7
    """Prescale and mask."""
    decision_ns: Latency = 55
    """Timing decision; the older firmware waits up to 7 ticks."""
    accept_ns: Latency = 1000
    """Distribution of the accept to the front ends."""


class TimingSettings(Settings):
    """When the L1 can accept, and how long it takes."""

    minimum_spacing_ns: int = Field(default=200, ge=0, le=10**9)
    """Minimum spacing of accepts [ns]; unknown in public sources, quoted as about 190 to 200 ns."""
    buffer: BufferSettings = BufferSettings()
    veto: VetoSettings = VetoSettings()
    latency: LatencySettings = LatencySettings()


class ColumnSettings(Settings):
    """One set of prescales, for runs of up to some luminosity."""

    name: Title
    """Name of the column."""
    luminosity_cm2_s: float = Field(gt=0)
    """Highest luminosity that the column is made for [cm-2 s-1]."""
    comment: str = ""
    """What it is for, what it gives."""

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name == AUTO:
            raise ValueError("is the word for choosing by luminosity")
        return name


class LineSettings(Settings):
    """One line of the menu."""

    name: Name
    """Name of the output bit."""
    logic: str
    """When it fires; for the grammar see `triggers.gdl.ftdl`."""
    prescale: int | tuple[int, ...] = 1
    """Keep one in so many; 0 switches the line off. One number, or one for each column of the menu."""
    masked: bool = False
    """The line never passes, whatever its prescale; that it fired is kept all the same."""
    comment: str = ""
    """What the line is for, where it is from, why it is prescaled."""

    @field_validator("prescale", mode="before")
    @classmethod
    def _are_whole(cls, value: Any) -> Any:
        """Say what is wrong in one line, where a union of types would say it for each of them."""
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(type(number) is int and 0 <= number <= 2**32 for number in numbers):
            raise ValueError("must be a whole number from 0 to 2**32, or a list of them, one for each column")
        return value


class MenuTables(Settings):
    """The TOML file of a menu."""

    name: Title
    """Name of the menu."""
    prescale_by: Literal["hash", "counter"] = "hash"
    """Which events a prescale n keeps: one in n by a hash of the event, or each n-th in which the line fires."""
    absent: tuple[str, ...] = ()
    """Input bits that are not computed and that the lines may name all the same: they are held at 0."""
    timing: TimingSettings = TimingSettings()
    column: tuple[ColumnSettings, ...] = ()
    """Sets of prescales."""
    inputs: dict[Name, Index] = Field(default={})
    """Input bit -> its index in the ``.inp``, of a menu that came from there."""
    outputs: dict[Name, Index] = Field(default={})
    """Line -> its index in the ``.oup``, of a menu that came from there; then placeholders ``oupNNN``."""
    line: tuple[LineSettings, ...]
    """The lines, at least one; their order is that of the output bits."""
