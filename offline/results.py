"""Results as records: one JSON file that says what was measured, on what, and how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offline.dataset import Dataset
from offline.limits import LimitResult
from offline.scan import ScanResult

SCHEMA_VERSION = 1


def result_record(scan: ScanResult, limits: LimitResult | None, approximate: Sequence[str] = ()) -> dict[str, Any]:
    """Return a search's result as JSON-able tables; points without a result carry their reason as ``status``."""
    dataset, search = scan.dataset, scan.search
    return {
        "schema_version": SCHEMA_VERSION,
        "simulated_data": True,
        "search": search.model_dump(),
        "inputs": inputs_record(dataset, search.trigger.model_dump()),
        "shapes": {"selection_hash": scan.shapes.selection_hash, "provenance": scan.shapes.provenance},
        "approximate": list(approximate),
        "scan": scan.record(),
        "limit": limits.record() if limits else None,
    }


def inputs_record(dataset: Dataset, lines: dict[str, Any]) -> dict[str, Any]:
    """Return what a result rests on: run, reconciliation, luminosity, and prescales of the lines used."""
    settings = dataset.run.settings
    return {
        "run": {"name": settings.name, "run": settings.run, "seed": settings.seed},
        "reconciliation": dataset.summary,
        "delivered_fb": dataset.delivered_fb,
        "live_fb": dataset.live_fb,
        "prescales": {level: dataset.prescales(level, names) for level, names in lines.items()},
    }


def write_result(path: Path, record: dict[str, Any]) -> None:
    """Write a record; the file appears whole or not at all, and never holds a NaN."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)
