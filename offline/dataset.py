"""The kept events of a run as offline sees them: events, luminosity, trigger lines; or a refusal.

Nothing is taken from a run that failed, does not reconcile, or whose event parts do not hold what its summary says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from daq.errors import InputError
from daq.run_directory import EVENTS, SECTIONS, SUMMARY, RunFile, read_run
from daq.settings import BeamSettings, read_json


@dataclass(frozen=True, slots=True)
class Dataset:
    """One run directory, opened and checked."""

    directory: Path
    run: RunFile
    """run.json: settings, menus, versions."""
    summary: dict[str, Any]
    """summary.json: the reconciliation."""
    sections: pl.DataFrame
    """Luminosity sections."""
    events: pl.LazyFrame
    """One row per kept event; columns as in ``docs/event-model.md``, then trigger lines as booleans."""

    @classmethod
    def open(cls, directory: Path) -> Dataset:
        """Open a run directory.

        Raises
        ------
        InputError
            Naming the file: it is missing or damaged, the run is not DONE, does not reconcile, or kept no event.
        """
        if not directory.is_dir():
            raise InputError("no such run directory", file=directory)
        summary = read_json(directory / SUMMARY, if_missing="not a run directory, or the run has not ended")
        for key, wanted in (("state", "DONE"), ("reconciles", True)):
            if summary.get(key) != wanted:
                rule = f"must be {wanted}: nothing is measured on a run that did not end well"
                raise InputError(rule, file=directory / SUMMARY, key=key, value=summary.get(key))
        run = read_run(directory)
        parts = sorted((directory / EVENTS).glob("block=*.parquet"))
        rows = _check_parts(parts)
        if rows != (spooled := total(summary.get("spooled", 0))):
            raise InputError(f"holds {rows} events, but summary.json says {spooled}", file=directory / EVENTS)
        if rows == 0:
            raise InputError("the run kept no event: there is nothing to search in", file=directory / EVENTS)
        sections = _read_parquet(directory / SECTIONS)
        for column in ("delivered_fb", "live_fb"):
            if column not in sections.columns:
                raise InputError("no such column", file=directory / SECTIONS, key=column)
        return cls(directory, run, summary, sections, pl.scan_parquet(parts, glob=False))

    @property
    def beam(self) -> BeamSettings:
        """The collider of the run."""
        return self.run.settings.beam

    @property
    def delivered_fb(self) -> float | None:
        """Luminosity that the collider gave [fb-1]; None if the source does not know it (a replay)."""
        return self._luminosity("delivered_fb")

    @property
    def live_fb(self) -> float | None:
        """Luminosity for which the L1 was not dead [fb-1]; None if not known."""
        return self._luminosity("live_fb")

    def _luminosity(self, column: str) -> float | None:
        values = self.sections[column]
        return None if values.null_count() or values.is_empty() else float(values.sum())

    def menu(self, level: str) -> dict[str, int]:
        """Return line -> prescale of the menu of a level ("l1" or "hlt"), in the order of their bits."""
        return {str(line): int(prescale) for line, prescale in self.run.about.get(level, {}).get("lines", {}).items()}

    def prescales(self, level: str, lines: Iterable[str]) -> dict[str, int]:
        """Return the prescale of each of the lines of a level ("l1" or "hlt"); 0 means switched off.

        Raises
        ------
        InputError
            If the menu of the run has no such line, or all of the lines are switched off.
        """
        menu = self.menu(level)
        for line in (lines := tuple(lines)):
            if line not in menu:
                known = ", ".join(sorted(menu)) or "none"
                raise InputError(f"no such {level} line in this run (known: {known})", file=self.directory, key=line)
        chosen = {line: menu[line] for line in lines}
        if not any(chosen.values()):
            raise InputError(
                f"every {level} line of the search is switched off in this run", file=self.directory, value=chosen
            )
        return chosen

    def triggered(self, lines: Mapping[str, Iterable[str]], columns: Iterable[str]) -> pl.DataFrame:
        """Return ``columns`` of the events that at least one of the lines of *each* level has accepted."""
        return collect(accepted_by(self.events, lines).select(*columns), self.directory / EVENTS)


def accepted_by(events: pl.LazyFrame, lines: Mapping[str, Iterable[str]]) -> pl.LazyFrame:
    """Return the events that at least one of the lines of each level has accepted, after prescale."""
    for level, names in lines.items():
        events = events.filter(pl.any_horizontal([f"{level}_{name}" for name in names]))
    return events


def collect(frame: pl.LazyFrame, file: Path) -> pl.DataFrame:
    """Read a lazy frame; raise `InputError` naming ``file`` if its data are damaged or have no such column."""
    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read: {_first_line(error)}", file=file) from None


def _read_parquet(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InputError("no such file", file=path)
    return collect(pl.scan_parquet(path, glob=False), path)


def _check_parts(parts: list[Path]) -> int:
    """Return the number of rows of all parts; raise `InputError` if a footer is damaged or the columns differ."""
    rows = 0
    first: dict[str, Any] | None = None
    for part in parts:
        try:
            schema = dict(pl.read_parquet_schema(part))
            rows += pl.scan_parquet(part, glob=False).select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"not a whole Parquet file: {_first_line(error)}", file=part) from None
        first = first or schema
        if schema != first:
            raise InputError(f"has other columns than {parts[0].name}", file=part)
    return rows


def total(count: Any) -> int:
    """Return a count of the summary, which may be a table by reason."""
    return sum(count.values()) if isinstance(count, dict) else int(count)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0]
