"""A run as people at a terminal see it: progress, rates, latency against time, and the books at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_STAGES = ("source", "l1", "hlt", "spool")


class RunView:
    """The terminal view of a run; ``with RunView(live=...) as view`` and hand ``view.update`` to the supervisor."""

    def __init__(self, *, live: bool):
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True) if live else None
        self._before: dict[tuple[str, int], tuple[float, int]] = {}

    def __enter__(self) -> RunView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, status: Mapping[str, Any]) -> None:
        """Show what status.json says."""
        if self._live is not None:
            self._live.update(self.page(status))

    def page(self, status: Mapping[str, Any]) -> Table:
        """Return the page for a status."""
        done, blocks = status["blocks_done"], max(1, status["blocks"])
        page = Table.grid()
        state = (str(status["state"]), "bold cyan")
        page.add_row(Text.assemble(("darkline ", "bold"), f"{status['name']}  ", state, f"  {done}/{blocks} blocks"))
        page.add_row(ProgressBar(total=blocks, completed=done, width=60))
        page.add_row(self._stages(status))
        if status.get("stalled"):
            page.add_row(Text(f"stalled for {status['since_progress_s']:.0f} s: {status['stalled']}", "bold red"))
        return page

    def _stages(self, status: Mapping[str, Any]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("stage", "pid", "events/s", "CPU us/event", "p50", "p99", "queue", "restarts"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        for process in status["processes"]:
            counted = process.get("statistics")
            if process["role"] not in _STAGES or counted is None:
                continue
            latency = counted["latency_s"]
            table.add_row(
                f"{process['role']} {process['slot']}" if process["role"] == "hlt" else process["role"],
                str(process["pid"] or "-"),
                f"{self._rate((process['role'], process['slot']), counted['events_in']):,.0f}",
                f"{counted['cpu_ns'] / 1e3 / max(1, counted['events_in']):.2f}",
                duration(latency["p50"]),
                duration(latency["p99"]),
                str(counted["queue"]),
                str(process["restarts"]),
            )
        return table

    def _rate(self, key: tuple[str, int], events: int) -> float:
        """Return the events a second since the last update."""
        now = time.monotonic()
        then, before = self._before.get(key, (now, events))
        self._before[key] = (now, events)
        return max(0, events - before) / (now - then) if now > then else 0.0


class Progress:
    """A progress bar for offline work, for people only: ``with Progress("scan") as bar: bar(done, total)``."""

    def __init__(self, task: str):
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task(task, total=None)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        self._bar.update(self._task, completed=done, total=total)


def duration(seconds: float | None) -> str:
    """Write a time with a fitting unit; quantiles are edges of coarse buckets, so two digits are enough."""
    if seconds is None:
        return "-"
    for limit, unit, scale in ((1e-3, "us", 1e6), (1.0, "ms", 1e3)):
        if seconds < limit:
            return f"{_two_digits(seconds * scale)} {unit}"
    return f"{_two_digits(seconds)} s"


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def closing(summary: Mapping[str, Any], directory: Path) -> str:
    """Return the books of a run in a few lines."""
    dead = sum(summary["l1_dead"].values())
    sign = "=" if summary["reconciles"] else "DOES NOT EQUAL"
    rate = summary["generated"] / summary["wall_s"] if summary["wall_s"] else 0.0
    restarts = f"{summary['restarts']} restarts, " if "restarts" in summary else ""  # nobody counts those of a farm
    lines = [
        f"{summary['name']}: {summary['state']} in {summary['wall_s']:.1f} s ({rate:,.0f} events/s), "
        f"{restarts}{summary['retries']} blocks sent again; all in {directory}",
        f"reconciliation: generated {summary['generated']:,} {sign} L1 rejected {summary['l1_rejected']:,} "
        f"+ L1 dead {dead:,} + HLT rejected {summary['hlt_rejected']:,} + spooled {summary['spooled']:,}",
    ]
    if (slowest := summary.get("slowest_stage")) is not None:
        lines.append(f"slowest stage: {slowest}, at work {100 * summary['load'][slowest]:.0f} % of the time")
    if busy := summary["l1_dead"].get("busy"):
        lines.append(
            f"lost because the chain was slower than the clock of the run: {busy:,} collisions, dead time 'busy'"
        )
    if summary["live_fb"] is not None:
        lines.append(
            f"luminosity: delivered {1e3 * summary['delivered_fb']:.4g} /pb, live {1e3 * summary['live_fb']:.4g} /pb"
        )
    if (latency := summary.get("hlt_latency")) is not None:
        lines += _hlt_latency(latency)
    return "\n".join([*lines, *(f"note: {note}" for note in summary.get("notes", []))])


def _hlt_latency(latency: Mapping[str, Any]) -> list[str]:
    """Return what the HLT took, and what that led to."""

    def quantiles(of: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {duration(of[name] * 1e-6)}" for name in ("p50", "p99", "p99.9"))

    taken = [f"{quantiles(latency['block'])} an event of a block"] if latency["block"]["events"] else []
    if sampled := latency["event"]["events"]:
        taken.append(f"{quantiles(latency['event'])} alone ({sampled:,} sampled)")
    lines = [f"HLT latency: {'; '.join(taken)}"] if taken else []
    late = {name: line["over_budget"] for name, line in latency["lines"].items() if line["over_budget"]}
    if latency["over_budget"]:
        worst = ", ".join(f"{name} ({late[name]:,})" for name in sorted(late, key=lambda name: -late[name])[:3])
        lines.append(
            f"over the latency budget: {latency['over_budget']:,} events, policy {latency['policy']!r}"
            + (f"; sampled lines: {worst}" if worst else "")
        )
    if by_time := latency["kept_by_time"] + latency["rejected_by_time"]:
        lines.append(f"WARNING: {by_time:,} decisions depended on time, as the policy wants it: no run repeats them")
    if latency["over_cap"]:
        lines.append(f"kept unread, too many objects: {latency['over_cap']:,} events")
    return lines
