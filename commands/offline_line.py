"""The command line of the offline side: shapes, scan, limit, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import DEMO, Json, Points, RunDir, Search, say, show

if TYPE_CHECKING:
    from offline.limits import LimitResult
    from offline.scan import ScanResult

app = typer.Typer(rich_markup_mode=None)


@app.command()
def shapes(
    search: Search,
    config: Annotated[Path, typer.Option("--config", help="Run whose menus and beam to use.")] = DEMO,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File; beside the search if not given.")] = None,
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Signal events at each mass.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the simulation.")] = 1,
) -> None:
    """Fit signal shape and efficiency against mass, from signal simulated through the chain."""
    import chain
    from commands.shapes import signal_shapes
    from offline.search import load_search
    from offline.shapes import shapes_path

    path = out or shapes_path(search)
    signal_shapes(load_search(search), chain.load_run(config, seed=seed, events=events), say).write(path)
    say(f"shapes in {path}")


@app.command()
def scan(search: Search, directory: RunDir, points: Points = None, as_json: Json = False) -> None:
    """Fit signal and background at every mass of a search: local significances."""
    result = scan_of(search, directory, points)
    show(result.record(), as_json, result.text())


@app.command()
def limit(search: Search, directory: RunDir, points: Points = None, as_json: Json = False) -> None:
    """Set upper limits on cross-section and coupling at every mass of a search."""
    result = limit_of(scan_of(search, directory, points))
    show(result.record(), as_json, result.text())


@app.command()
def report(
    directory: RunDir,
    search: Annotated[str | None, typer.Option("--search", help="Search whose results go into the report.")] = None,
    points: Points = None,
) -> None:
    """Write the one-page HTML report of a run, with the figures of a search."""
    found = scan_of(search, directory, points) if search is not None else None
    say(f"report in {report_on(directory, found, limit_of(found) if found else None)}")


def scan_of(search: str, directory: Path, points: int | None) -> ScanResult:
    from monitors.terminal import Progress
    from offline.dataset import Dataset
    from offline.scan import scan as scan_masses
    from offline.search import load_search
    from offline.shapes import load_shapes, shapes_path

    typed, dataset = load_search(search), Dataset.open(directory)
    with Progress("scan") as progress:
        return scan_masses(typed, dataset, load_shapes(shapes_path(search)), max_points=points, progress=progress)


def limit_of(found: ScanResult) -> LimitResult:
    from monitors.terminal import Progress
    from offline.limits import limit as set_limits

    with Progress("limit") as progress:
        return set_limits(found, progress=progress)


def report_on(directory: Path, found: ScanResult | None, limits: LimitResult | None) -> Path:
    import chain
    from offline.dataset import Dataset
    from offline.report import report as write_report

    dataset = found.dataset if found is not None else Dataset.open(directory)
    out = directory / "report"
    return write_report(
        dataset, out, scan=found, limits=limits, exact=chain.EXACT, approximate=chain.APPROXIMATE
    )  # fmt: skip
