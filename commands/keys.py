"""`darkline keys`: make the keys of a run over several machines, and show whom they let in (docs/stream.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daq.stream.wire.keys import ALLOWED, make_keys, read_allowed

DEFAULT_NAMES = ("source", "l1", "hlt", "spool", "supervisor")


def new(directory: Path, names: Sequence[str]) -> dict[str, Any]:
    """Make a key for each name, for the roles of a run if none is given; return what was made."""
    made = make_keys(directory, names or DEFAULT_NAMES)
    return {"directory": str(directory), "allowed": str(directory / ALLOWED), "public": made}


def show(directory: Path) -> dict[str, Any]:
    """Return whom the list lets in, and whose secrets are in the folder."""
    allowed = read_allowed(directory)
    secrets = sorted(path.stem for path in directory.glob("*.secret"))
    return {"directory": str(directory), "allowed": allowed, "secrets_here": secrets}


def text_of_new(made: dict[str, Any]) -> str:
    """Return what a person reads after keys were made."""
    files = "\n".join(f"  {made['directory']}/{name}.secret    public {key}" for name, key in made["public"].items())
    rule = "give each host allowed.toml and the secrets of its own processes, and nothing else"
    return f"{files}\n  {made['allowed']}\n{rule}"


def text_of_show(shown: dict[str, Any]) -> str:
    """Return the list as a person reads it."""
    here = shown["secrets_here"]
    return "\n".join(
        f"{name:<12} {key}{'   (secret here)' if name in here else ''}" for name, key in shown["allowed"].items()
    )
