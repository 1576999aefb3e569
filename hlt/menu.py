"""The menu of the HLT: typed TOML; a line is a cut with a prescale."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import xxhash
from pydantic import AfterValidator, Field, model_validator

from daq.settings import CONFIGS, Settings, load
from hlt.cuts import parse_cut
from hlt.variables import VARIABLES


def _valid_cut(text: str) -> str:
    parse_cut(text, VARIABLES)
    return text


class Line(Settings):
    """One line: events that pass the cut, or a fraction of them."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name, also that of its columns in the spool."""
    cut: Annotated[str, AfterValidator(_valid_cut)]
    """Cut over the filter variables (`hlt.cuts`); empty means every event."""
    prescale: int = Field(default=1, ge=0, lt=2**32)
    """Keep one of so many events that pass the cut; 0 keeps none."""
    reject: bool = False
    """Passing events are rejected instead of accepted; the prescale is then ignored."""
    comment: str = ""
    """Name of the line in the public menu, or where it comes from."""


class HltMenu(Settings):
    """A menu of lines with the rule that joins them."""

    name: str
    """Name of the menu."""
    accept_mode: bool = False
    """True: accept unless only reject lines fired. False: accept if a line accepted and none rejected."""
    max_tracks: int = Field(default=64, ge=1)
    """An event with more tracks is kept unread, flagged as over the cap."""
    max_clusters: int = Field(default=256, ge=1)
    """An event with more clusters is kept unread, flagged as over the cap."""
    line: tuple[Line, ...] = Field(min_length=1)
    """The lines, in the order of their bits."""

    @model_validator(mode="after")
    def _names_differ(self) -> HltMenu:
        names = self.line_names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two lines have the name {twice}")
        return self

    @classmethod
    def load(cls, name_or_path: str | Path) -> HltMenu:
        """Read a menu: a name in configs/menus/hlt, or a path that ends in .toml.

        Raises
        ------
        InputError
            If the file is missing or breaks a rule: one line each with file, key, value and rule; a cut that does not
            parse is shown with a caret before the place.
        """
        path = Path(name_or_path)
        if path.suffix != ".toml":
            path = CONFIGS / "menus" / "hlt" / f"{name_or_path}.toml"
        return load(path, cls)

    @cached_property
    def line_names(self) -> tuple[str, ...]:
        """Names of the lines, in the order of their bits."""
        return tuple(line.name for line in self.line)

    @cached_property
    def hash(self) -> str:
        """Hash of all that decides: 16 hex digits, the same for menus that decide the same."""
        rules = self.model_dump_json(exclude={"line": {"__all__": {"comment"}}})
        return str(xxhash.xxh3_64_hexdigest(rules.encode()))
