"""One page for one run: reconciliation, luminosity, trigger lines, and the results of a search. Self-contained HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from offline import figures
from offline.dataset import Dataset, collect, total
from offline.limits import LimitResult
from offline.results import result_record, write_result
from offline.scan import ScanResult

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #222; background: #fff;
       max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
.lead { color: #555; margin: 0 0 1.5rem; }
.answer { border-left: 4px solid #0072B2; padding: .3rem 1rem; background: #f2f7fb; }
.answer p { margin: .35rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1rem; }
th, td { padding: .22rem .9rem .22rem 0; text-align: right; border-bottom: 1px solid #e3e3e3; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; color: #555; }
figure { margin: 1.4rem 0; } img { width: 100%; height: auto; } figcaption { color: #555; font-size: .92rem; }
"""


def report(
    dataset: Dataset,
    out: Path,
    *,
    scan: ScanResult | None = None,
    limits: LimitResult | None = None,
    exact: Sequence[str] = (),
    approximate: Sequence[str] = (),
) -> Path:
    """Write ``report.html``, the figures (PNG and SVG) and ``result.json`` into a folder; return the page.

    Parameters
    ----------
    dataset
        The run.
    out
        Folder to write into; made if it is not there.
    scan, limits
        Results of a search on this run, if one was made.
    exact, approximate
        What the emulation does exactly, and what it only approximates: one sentence each.
    """
    out.mkdir(parents=True, exist_ok=True)
    settings = dataset.run.settings
    name = escape(settings.name)
    body = [
        f"<h1>darkline: run {name}</h1>",
        f'<p class="lead">Run number {settings.run}, seed {settings.seed}. All data are simulated.</p>',
        _answer(scan, limits),
    ]
    if scan is not None:
        body.append(_search(scan, limits, out))
        write_result(out / "result.json", result_record(scan, limits, approximate))
    body += [_reconciliation(dataset), _luminosity(dataset), _trigger(dataset)]
    for title, sentences in (("What is exact", exact), ("What is approximate", approximate)):
        if sentences:
            body.append(f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in sentences)}</ul>")
    page = out / "report.html"
    page.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>darkline: run {name}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n",
        encoding="utf-8",
    )
    return page


def _answer(scan: ScanResult | None, limits: LimitResult | None) -> str:
    texts = [result.text() for result in (scan, limits) if result is not None]
    lines = [escape(line) for text in texts for line in text.splitlines()]
    return f'<div class="answer">{"".join(f"<p>{line}</p>" for line in lines)}</div>' if lines else ""


def _reconciliation(dataset: Dataset) -> str:
    book = dataset.summary
    generated = total(book["generated"])
    rows = [["generated", f"{generated:,}", "100 %"]]
    for key in ("l1_rejected", "l1_dead", "hlt_rejected", "spooled"):
        value = book[key]
        rows.append([key.replace("_", " ").replace("l1", "L1").replace("hlt", "HLT"), *_share(total(value), generated)])
        if isinstance(value, dict):
            rows += [[f"&emsp;{escape(reason)}", *_share(count, generated)] for reason, count in value.items()]
    verdict = "<p>The books balance: generated = L1 rejected + L1 dead + HLT rejected + spooled.</p>"
    return f"<h2>What became of every event</h2>{verdict}{_table(['', 'events', 'share'], rows)}"


def _luminosity(dataset: Dataset) -> str:
    sections = dataset.sections
    seconds = float((sections["end_s"] - sections["begin_s"]).sum())
    rows = [["run time", f"{seconds:.4g} s"]]
    for label, value in (("delivered", dataset.delivered_fb), ("live", dataset.live_fb)):
        rows.append([f"{label} luminosity", "not known" if value is None else f"{1e3 * value:.5g} pb<sup>-1</sup>"])
    for column in sections.columns:
        if column.startswith("dead_s_"):
            lost = float(sections[column].sum())
            share = f" ({100 * lost / seconds:.3g} %)" if seconds else ""
            rows.append([f"dead: {escape(column.removeprefix('dead_s_'))}", f"{lost:.4g} s{share}"])
    return f"<h2>Luminosity and dead time</h2>{_table(['', ''], rows)}"


def _trigger(dataset: Dataset) -> str:
    """Count the kept events of each line: after prescale, and those that this line alone of its level has kept."""
    parts = []
    for level, title in (("l1", "L1 lines"), ("hlt", "HLT lines")):
        menu = dataset.menu(level)
        known = set(dataset.events.collect_schema().names())
        lines = [line for line in menu if f"{level}_{line}" in known]
        if not lines:
            continue
        columns = [pl.col(f"{level}_{line}") for line in lines]
        fired = pl.sum_horizontal(columns)
        kept = collect(dataset.events.select([column.sum() for column in columns]), dataset.directory).row(0)
        alone = collect(
            dataset.events.select([(column & (fired == 1)).sum() for column in columns]), dataset.directory
        ).row(0)
        rows = [
            [escape(line), f"{menu[line]:,}" if menu[line] else "off", f"{n:,}", f"{own:,}"]
            for line, n, own in sorted(zip(lines, kept, alone, strict=True), key=lambda row: -row[1])
        ]
        parts.append(f"<h2>{title} of the kept events</h2>{_table(['line', 'prescale', 'kept', 'by it alone'], rows)}")
    return "".join(parts)


def _search(scan: ScanResult, limits: LimitResult | None, out: Path) -> str:
    search = scan.search
    lines = [f"{level.upper()} {' or '.join(names)}" for level, names in search.trigger.model_dump().items()]
    selected = [[escape(name), f"{count:,}"] for name, count in scan.selected.items()]
    parts = [
        f"<h2>{escape(search.title)}</h2><p>{escape(search.reference)}.</p>"
        f"<p>Trigger: {escape(', and '.join(lines))} (after prescale).</p>",
        _table(["mass range", "selected events"], selected),
    ]
    if (best := scan.best) is not None:
        words = "Spectrum at the most significant mass, with the fit of signal and background (simulated data)."
        parts.append(_figure(figures.spectrum(scan, best), out / "spectrum", words))
    words = "Local significance of every tested mass; no trials factor (simulated data)."
    parts.append(_figure(figures.significance(scan), out / "significance", words))
    if limits is not None:
        for quantity, words in (
            ("cross_section_fb", "Upper limits on the cross-section, observed and expected (simulated data)."),
            ("coupling", "Upper limits on the coupling, observed and expected (simulated data)."),
        ):
            parts.append(_figure(figures.limit_curve(limits, quantity), out / f"limit_{quantity}", words))
    return "\n".join(parts)


def _figure(figure: Figure, path: Path, words: str) -> str:
    figures.save(figure, path)
    picture = base64.b64encode(path.with_suffix(".svg").read_bytes()).decode()
    return (
        f'<figure><img alt="{escape(words)}" src="data:image/svg+xml;base64,{picture}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are HTML already."""
    top = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>" if any(head) else ""
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{top}{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _share(count: int, of: int) -> list[str]:
    return [f"{count:,}", f"{100 * count / of:.3g} %" if of else "-"]
