"""`darkline validate source`: the response beside the numbers that it stands for, as a table and as figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands.validate.checks import Check, checks
from commands.validate.guns import Gun


def validate_source(
    *, events: int, seed: int, out: Path | None, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Measure everything, draw the figures into ``out``, and return the record.

    The record has ``checks`` (dicts of `Check` and ``is_good``), ``good`` (all of them are), ``figures`` (paths).
    """
    gun = Gun(events, seed)
    found = list(checks(gun))
    if progress is not None:
        progress(1, 2)
    paths: list[Path] = []
    if out is not None:
        from commands.validate.figures import write_figures

        paths = write_figures(gun, out)
    if progress is not None:
        progress(2, 2)
    return {
        "events": events,
        "seed": seed,
        "good": all(check.is_good for check in found),
        "checks": [check.record() for check in found],
        "figures": [str(path) for path in paths],
    }


def table(record: dict[str, Any]) -> str:
    """Return the record as a table for people."""
    rows = [{name: row[name] for name in Check.__slots__} | {"is_good": row["is_good"]} for row in record["checks"]]
    width = max(len(row["quantity"]) for row in rows)
    lines, group = [], ""
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            lines += ["", f"{group:{width + 3}} {'expected':>9} {'measured':>9} {'error':>8}"]
        mark = " " if row["is_good"] else "!"
        lines.append(
            f"{mark} {row['quantity']:{width + 1}} {row['expected']:9.4g} {row['measured']:9.4g} {row['error']:8.2g}"
            f"   {row['source']}"
        )
    bad = sum(not row["is_good"] for row in rows)
    lines += [
        "",
        f"{len(rows)} numbers, {record['events']:,} particles each: " + (f"{bad} BAD (!)" if bad else "all good"),
    ]
    lines += [f"figure: {path}" for path in record["figures"]]
    return "\n".join(lines[1:])
