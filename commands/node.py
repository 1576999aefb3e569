"""`darkline node`: one process of a run by itself, for farms and compose (docs/stream.md).

Every host has the same configuration; run.json follows from it and is the same everywhere, which the wire checks. Only
the spool has a run directory. The others keep their log and counters in a folder of their own.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chain
from daq.errors import InputError
from daq.run_directory import RUN, RunFile, create, lock, reopen, write_json
from daq.settings import RunSettings
from daq.source.mix import MixSource
from daq.stream.farm import farm_source, farm_spool
from daq.stream.loops import run_ordered_stage, run_stage
from daq.stream.node import Node, Place
from daq.stream.wire.messages import End
from daq.summary import finalise

ROLES = ("source", "l1", "hlt", "spool")
_CONNECTED = ("source", "l1", "spool")


def check(role: str, settings: RunSettings, slot: int) -> None:
    """Raise `InputError` if these settings make no farm, or have no such process."""
    if role not in ROLES:
        raise InputError(f"must be one of {', '.join(ROLES)}", key="role", value=role)
    if slot >= (settings.workers if role == "hlt" else 1):
        rule = f"the run has {settings.workers} workers" if role == "hlt" else f"there is only one {role}"
        raise InputError(f"{rule}, counted from 0", key="--slot", value=slot)
    if settings.source.kind == "replay":
        raise InputError("a farm cannot replay files: each host would need them", key="[source] kind", value="replay")
    missing = [each for each in _CONNECTED if each not in settings.stream.endpoints]
    if missing:
        rule = "must say where it listens: the processes of a farm are started apart"
        raise InputError(rule, key=f"[stream.endpoints] {missing[0]}")


def run(role: str, settings: RunSettings, *, slot: int, out: Path | None) -> dict[str, Any] | None:
    """Be one process of a run to its end; return the summary if it is the spool.

    Raises
    ------
    InputError
        If the settings are wrong, or the folder holds another run.
    RunError
        If the run did not end as it must.
    """
    check(role, settings, slot)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # clear up behind us; the source drains first
    source = MixSource(settings)
    run_file = chain.run_file(settings, source)
    with _folder(role, settings, run_file, out) as directory, tempfile.TemporaryDirectory() as sockets:
        node = Node(Place(role, slot, directory, Path(sockets)))
        node.metrics_url = chain.serve_metrics(node)
        try:
            if role == "spool":
                return _spool(node, run_file, source)
            match role:
                case "source":
                    farm_source(node, chain.BlockMaker(source, run_file))
                case "l1":
                    run_ordered_stage(node, chain.Chain.of(settings).l1_stage())
                case _:
                    run_stage(node, chain.Chain.of(settings).hlt_stage())
        finally:
            node.wire.close()
    return None


def _spool(node: Node, run_file: RunFile, source: MixSource) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    begin_s = time.monotonic()

    def close_books(end: End) -> bool:
        summary.update(
            finalise(
                node.place.run_directory,
                run_file,
                delivered_fb=source.delivered_fb,
                stopped_early=end.n_blocks < run_file.n_blocks,
                failure=end.failure or None,
                wall_s=time.monotonic() - begin_s,  # of this process: an earlier one that died is not counted
                retries=end.resends,
                duplicates=node.statistics["duplicates"],
                wire_errors=node.statistics["wire_errors"],
                refused=node.statistics["refused"],
            )
        )
        return bool(summary["state"] == "DONE")

    farm_spool(node, close_books)
    return summary


@contextmanager
def _folder(role: str, settings: RunSettings, run_file: RunFile, out: Path | None) -> Iterator[Path]:
    """Make, or take up, the folder of a process: the run directory of a spool, else one for its log and counters."""
    with tempfile.TemporaryDirectory(prefix=f"darkline-{role}-") as temporary:
        directory = out or (Path("runs") / settings.name if role == "spool" else Path(temporary))
        make: Callable[[Path, RunFile], None] = create if role == "spool" else _make
        if (directory / RUN).exists():
            reopen(directory, run_file)
        else:
            make(directory, run_file)
        with lock(directory):
            yield directory


def _make(directory: Path, run_file: RunFile) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / RUN, run_file.model_dump(mode="json"))
    except OSError as error:
        raise InputError(f"cannot be made: {error}", file=directory) from None
