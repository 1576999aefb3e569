"""`darkline rates`: the target is opened, its events are counted, the result is shown and, if asked for, written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from commands.rates.books import Level, of_books
from commands.rates.record import Record, check_scale, count, record
from commands.rates.sources import (
    Counted,
    is_configuration,
    of_configuration,
    of_file,
    of_run_again,
    read_finished_run,
)
from commands.rates.text import tables
from daq.errors import InputError
from monitors.terminal import Progress


def rates(
    target: Path,
    *,
    menus: Sequence[str] = (),
    columns: Sequence[str] = (),
    luminosity: float | None = None,
    cross_section_nb: float | None = None,
    n_events: int | None = None,
    level: str = "l1",
    out: Path | None = None,
) -> Record:
    """Return the rates of the lines of one or several menus on the events of a target.

    Parameters
    ----------
    target : Path
        A run directory, a run configuration, or a Parquet file with trigger primitives.
    menus, columns : sequence of str
        Menus, and prescale columns of each of them; what decides for the target itself if not given.
    luminosity : float, optional
        Instantaneous luminosity of the rates [cm-2 s-1]; that of the events if not given.
    cross_section_nb : float, optional
        Cross-section that the events of a file stand for [nb].
    n_events : int, optional
        Count at most so many events.
    level : str
        "l1" or "hlt".
    out : Path, optional
        Folder for the record, the tables and the figures.

    Raises
    ------
    InputError
        If any of this is wrong; nothing is written then.
    """
    if n_events is not None and n_events < 1:
        raise InputError("must be at least 1", key="--events", value=n_events)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError("is not a folder", file=out, key="--out")
    for key, value in (("--luminosity", luminosity), ("--cross-section", cross_section_nb)):
        if value is not None and not 0 < value < math.inf:
            raise InputError("must be positive", key=key, value=value)
    counted = _open(target, menus, columns, n_events, level, luminosity)
    check_scale(counted, luminosity=luminosity, cross_section_nb=cross_section_nb)
    with Progress("rates") as progress:
        counts = count(counted, progress)
    result = record(counted, counts, luminosity=luminosity, cross_section_nb=cross_section_nb, level=level)
    if out is not None:
        _write(result, out)
    return result


def _open(
    target: Path,
    menus: Sequence[str],
    columns: Sequence[str],
    n_events: int | None,
    level: str,
    luminosity: float | None,
) -> Counted:
    if level not in get_args(Level):
        raise InputError(f"must be {' or '.join(get_args(Level))}", key="--level", value=level)
    decides_anew = bool(menus or columns)
    if level == "hlt" and (decides_anew or not target.is_dir()):
        raise InputError("HLT lines are counted from a run directory, with the menu of the run", key="--level")
    if target.is_dir():
        run = read_finished_run(target)
        if decides_anew:
            return of_run_again(target, run, menus, columns, n_events)
        return of_books(target, run, n_events, cast(Level, level))
    if is_configuration(target):
        return of_configuration(target, menus, columns, n_events, luminosity)
    return of_file(target, menus, columns, n_events)


def _write(result: Record, out: Path) -> None:
    from commands.rates.figures import write_figures

    try:
        out.mkdir(parents=True, exist_ok=True)
        result["files"] = [str(path) for path in write_figures(result, out)]
        (out / "rates.txt").write_text(tables(result, in_full=True) + "\n", encoding="utf-8")
        (out / "rates.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=out, key="--out") from None
