"""The menu of the HLT: typed TOML, or payloads of the experiment; a line is a cut with a prescale."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import xxhash
from pydantic import AfterValidator, Field, model_validator

from daq.errors import InputError
from daq.settings import CONFIGS, Settings, load, parse
from hlt.cuts import names_in, parse_cut
from hlt.displaced.settings import VertexSettings
from hlt.displaced.variables import VERTEX_VARIABLES
from hlt.variables import VARIABLES
from triggers.columns import ColumnSettings, Prescale, check_columns, choose_column, prescales_in

MENUS = CONFIGS / "menus" / "hlt"


def _valid_cut(text: str) -> str:
    parse_cut(text, (*VARIABLES, *VERTEX_VARIABLES))
    return text


def _valid_name(name: str) -> str:
    # A line is a column hlt_<name> in the spool, beside columns of other meaning.
    if name.startswith("raw_") or name in ("latency_us", "event_latency_us", "over_cap", "over_budget"):
        raise ValueError(f"hlt_{name} is a column of another meaning in the spool")
    return name


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.,:=<>!+~ -]*[A-Za-z0-9_.,:=<>!+~-])?$", max_length=200),
    AfterValidator(_valid_name),
]
"""Names of the experiment's lines hold such things as ``0.3lt`` or ``q==0``; no quotes, and no ``&``, which there
separates the parts of a full name."""


class Line(Settings):
    """One line: events that pass the cut, or a fraction of them."""

    name: Name
    """Name, also that of its columns in the spool."""
    cut: Annotated[str, AfterValidator(_valid_cut)]
    """Cut over the filter variables (`hlt.cuts`); empty means every event."""
    prescale: Prescale = 1
    """Keep one of so many events that pass the cut, 0 none: one number, or one for each column of the menu."""
    reject: bool = False
    """Passing events are rejected instead of accepted; the prescale is then ignored."""
    budget_us: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """What the line may take for an event [us]; `BudgetSettings.line_us` if not given."""
    comment: str = ""
    """Name of the line in the public menu, or where it comes from."""


class BudgetSettings(Settings):
    """What the HLT may take for an event, and what becomes of an event that takes more."""

    event_us: float = Field(default=1e6 * 5000 / 30_000, gt=0, allow_inf_nan=False)
    """For an event [us]; the default is what a farm of 5000 cores can afford on the average at 30 kHz."""
    line_us: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """For the cut of a line on an event [us]; an equal share of the event's budget if not given."""
    policy: Literal["flag", "accept", "reject"] = "flag"
    """An event over budget is flagged, and kept or rejected whatever its lines say; such decisions depend on time."""
    sample: int = Field(default=10_000, ge=0, lt=2**32)
    """One event in so many is also timed alone, line by line; 0 for none."""


class HltMenu(Settings):
    """A menu of lines with the rule that joins them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
    """Name of the menu."""
    accept_mode: bool = False
    """True: accept unless only reject lines fired. False: accept if a line accepted and none rejected."""
    prescale_by: Literal["hash", "counter"] = "hash"
    """Which events a prescale n keeps: one in n by a hash of the event, or the first and each n-th that passes the cut
    (only where events come in order: not in a run)."""
    no_l1_summary: Literal["random", "none"] = "random"
    """An event without an L1 summary counts as a random trigger, as in the experiment, or as none of any kind."""
    max_tracks: int = Field(default=64, ge=1)
    """An event with more tracks is kept unread, flagged as over the cap."""
    max_clusters: int = Field(default=256, ge=1)
    """An event with more clusters is kept unread, flagged as over the cap."""
    max_pairs: int = Field(default=2048, ge=1)
    """The same for pairs: two tracks of opposite charge, or a track with a cluster that is matched to it."""
    vertex: VertexSettings = VertexSettings()
    budget: BudgetSettings = BudgetSettings()
    column: tuple[ColumnSettings, ...] = ()
    """Sets of prescales."""
    line: tuple[Line, ...] = Field(min_length=1)
    """The lines, in the order of their bits."""

    @model_validator(mode="after")
    def _fits_together(self) -> HltMenu:
        names = self.line_names
        twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if twice is not None:
            raise ValueError(f"two lines have the name {twice}")
        check_columns(self.column, [(line.name, line.prescale) for line in self.line])
        if self.vertex.seed != "circles":
            for line in self.line:
                used = names_in(parse_cut(line.cut, (*VARIABLES, *VERTEX_VARIABLES)))
                missing = next((name for name in used if name in VERTEX_VARIABLES), None)
                if missing is not None:
                    raise ValueError(f'line {line.name}: {missing} is there only with [vertex] seed = "circles"')
        return self

    @classmethod
    def load(cls, name_or_path: str | Path) -> HltMenu:
        """Read a menu: a name in configs/menus/hlt, or the path of a TOML file or of payloads (.json, `hlt.payloads`).

        Raises
        ------
        InputError
            If the file is missing or breaks a rule: one line each with file, key, value and rule; a cut that does not
            parse is shown with a caret before the place.
        """
        path = Path(name_or_path)
        if path.suffix == ".json":
            from hlt.payloads import read_payloads

            return parse(read_payloads(path), cls, file=path)
        if path.suffix != ".toml" and len(path.parts) == 1:
            path = MENUS / f"{name_or_path}.toml"
            if not path.is_file():
                known = ", ".join(sorted(menu.stem for menu in MENUS.glob("*.toml")))
                raise InputError(f"no such HLT menu (known: {known})", value=str(name_or_path))
        return load(path, cls)

    def choose(self, column: str | None, luminosity_cm2_s: float) -> str | None:
        """Return the name of the prescale column in force; see `triggers.columns.choose_column`."""
        return choose_column(self.column, column, luminosity_cm2_s, level="hlt")

    def prescales(self, column: str | None) -> tuple[int, ...]:
        """Return the prescale of each line in a column; see `triggers.columns.prescales_in`."""
        return prescales_in(self.column, column, [line.prescale for line in self.line], level="hlt")

    @property
    def line_names(self) -> tuple[str, ...]:
        """Return the names of the lines, in the order of their bits."""
        return tuple(line.name for line in self.line)

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the variables that the cuts may name."""
        return (*VARIABLES, *VERTEX_VARIABLES) if self.vertex.seed == "circles" else VARIABLES

    @property
    def line_budgets_us(self) -> tuple[float, ...]:
        """Return what the cut of each line may take for an event [us]."""
        shared = self.budget.line_us or self.budget.event_us / len(self.line)
        return tuple(line.budget_us or shared for line in self.line)

    @property
    def hash(self) -> str:
        """Return the hash of all that decides: 16 hex digits, the same for menus that decide the same."""
        silent: dict[str, Any] = {"comment": True}
        budgets = {"budget_us": True} if self.budget.policy == "flag" else {}
        exclude: dict[str, Any] = {"column": {"__all__": silent}, "line": {"__all__": silent | budgets}}
        rules = self.model_dump_json(exclude=exclude | ({"budget": True} if budgets else {}))
        return str(xxhash.xxh3_64_hexdigest(rules.encode()))
