"""What commands have in common: their options, and how they speak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run directory; runs/<name> if not given.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run directory that exists.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed, instead of the one of the configuration.")]
Workers = Annotated[int | None, typer.Option("--workers", help="HLT worker processes.")]
Keys = Annotated[Path | None, typer.Option("--keys", help="Folder of the keys, instead of [stream] keys.")]
Config = Annotated[Path, typer.Argument(help="Run configuration, for example configs/runs/demo.toml.")]
Search = Annotated[str, typer.Argument(help="Name of a file in configs/searches, or a path.")]
RunDir = Annotated[Path, typer.Argument(help="Run directory.")]
Points = Annotated[int | None, typer.Option("--points", min=2, help="Test at most so many masses, evenly thinned.")]

DEMO = Path(__file__).resolve().parents[1] / "configs" / "runs" / "demo.toml"


def say(text: str) -> None:
    """Tell the person at the terminal; standard output is for results."""
    typer.echo(text, err=True)


def show(result: dict[str, Any], as_json: bool, text: str) -> None:
    """Print the result of a command, for a machine or for a person."""
    typer.echo(json.dumps(result, indent=2, allow_nan=False) if as_json else text)
