"""`darkline rates` on a run directory, a configuration and a file; numbers against the files of the run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from commands.rates.command import rates
from commands.rates.explain import explain_event, text
from commands.rates.text import WIDTH, tables
from daq.errors import InputError
from tests.chain.commands import DEMO, ROOT, darkline, spool, summary_of, words

EVENTS, SEED = 9000, 5
PHYSICS = ROOT / "configs" / "menus" / "l1" / "physics.toml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a small run."""
    directory = tmp_path_factory.mktemp("rates") / "run"
    summary_of(darkline("run", DEMO, "--events", EVENTS, "--seed", SEED, "--out", directory, "--json"))
    return directory


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the configuration of that run, with its seed."""
    path = tmp_path_factory.mktemp("config") / "same.toml"
    path.write_text(DEMO.read_text(encoding="utf-8").replace("seed = 20261121", f"seed = {SEED}"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a menu with other prescales and logic, one line less and one more."""
    path = tmp_path_factory.mktemp("menu") / "edited.toml"
    menu = PHYSICS.read_text(encoding="utf-8").replace('name = "physics"', 'name = "edited"', 1)
    for old, new in (
        ("prescale = 20", "prescale = 4"),
        ('"nf >= 3 and !veto"', '"nf >= 3 and cdc_open90 and !veto"'),
        ('"mu_pair"', '"another"'),
    ):
        assert old in menu
        menu = menu.replace(old, new)
    path.write_text(menu, encoding="utf-8")
    return path


def by_line(menu: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the lines of a menu by name."""
    return {line["line"]: line for line in menu["lines"]}


def test_rates_of_a_run_are_those_of_its_trigger_words(run: Path):
    """Prescaled, unique, shared and total rates, counted in another way from what the run wrote."""
    result = rates(run)
    (menu,) = result["menus"]
    table, sections = words(run), pl.read_parquet(run / "sections.parquet")
    seconds = float((sections["end_s"] - sections["begin_s"]).sum())
    assert result["seconds"] == pytest.approx(seconds)
    names = list(json.loads((run / "run.json").read_text())["about"]["l1"]["lines"])
    fired = {name: (table["l1_word_0"].to_numpy() >> np.uint64(i) & np.uint64(1)) == 1 for i, name in enumerate(names)}
    n_lines = sum(flags.astype(int) for flags in fired.values())
    for name, line in by_line(menu).items():
        n, alone = int(fired[name].sum()), int((fired[name] & (n_lines == 1)).sum())
        for which, count in (("prescaled", n), ("unique", alone), ("shared", n - alone)):
            assert line[which]["value"] == pytest.approx(count / seconds), (name, which)
            assert line[which]["error"] == pytest.approx(np.sqrt(count) / seconds)
        assert sum(part["value"] for part in line["by_process"].values()) == pytest.approx(line["prescaled"]["value"])
        share = n / (n_lines > 0).sum()
        assert line["share_percent"]["value"] == pytest.approx(100 * share)
        assert line["share_percent"]["error"] == pytest.approx(100 * np.sqrt(share * (1 - share) / (n_lines > 0).sum()))
        overlap = menu["overlap"]["fraction"][names.index(name)]
        for other, fraction in zip(names, overlap, strict=True):
            both = int((fired[name] & fired[other]).sum())
            assert fraction is None if n == 0 else fraction == pytest.approx(both / n, abs=1e-5)
    summary = json.loads((run / "summary.json").read_text())
    n_accepted = summary["generated"] - summary["l1_rejected"] - result["accepted_without_line"]
    assert menu["total"]["value"] == pytest.approx(n_accepted / seconds)
    assert 0.99 < result["run"]["live_fraction"] < 1


def test_a_configuration_and_the_run_of_it_have_the_same_rates(run: Path, config: Path):
    """What is decided again, with the menu of the run or from the configuration, is what the run wrote."""
    from_books = rates(run)
    for other in (rates(config, n_events=EVENTS), rates(run, menus=["physics"])):
        assert other["menus"] == from_books["menus"]
        assert other["luminosity_cm2_s"] == pytest.approx(from_books["luminosity_cm2_s"])
    kept = spool(run)
    raw_of_kept = kept["l1_raw_ff"].sum() / from_books["seconds"]
    assert by_line(from_books["menus"][0])["ff"]["raw"]["value"] >= raw_of_kept > 0


def test_rates_scale_with_luminosity_and_the_first_blocks_can_be_had(run: Path):
    """Twice the luminosity is twice the rate; --events takes whole blocks, with the time that they stand for."""
    once = rates(run)
    twice = rates(run, luminosity=2 * once["luminosity_cm2_s"])
    for a, b in zip(once["menus"][0]["lines"], twice["menus"][0]["lines"], strict=True):
        assert b["raw"]["value"] == pytest.approx(2 * a["raw"]["value"])
        assert b["raw"]["error"] == pytest.approx(2 * a["raw"]["error"])
        assert b["share_percent"] == a["share_percent"]
    part = rates(run, n_events=3000)
    again = rates(run, menus=["physics"], n_events=4096)
    assert part["events"] == again["events"] == 4096  # one block
    assert part["menus"] == again["menus"]


def test_differences_are_those_of_two_separate_runs(run: Path, edited: Path, tmp_path: Path):
    """In one pass or in two: the same rates; the difference is theirs, its error that of the events that differ."""
    result = rates(run, menus=["physics", str(edited)], out=tmp_path / "out")
    apart = rates(run, menus=["physics"]), rates(run, menus=[str(edited)])
    assert result["menus"] == [each["menus"][0] for each in apart]
    a, b = (by_line(each["menus"][0]) for each in apart)
    (difference,) = result["differences"]
    assert {line["line"] for line in difference["lines"]} == set(a) & set(b)
    for line in difference["lines"]:
        name = line["line"]
        assert (line["a"], line["b"]) == (a[name]["prescaled"], b[name]["prescaled"])
        change = b[name]["prescaled"]["value"] - a[name]["prescaled"]["value"]
        assert line["difference"]["value"] == pytest.approx(change, abs=1e-9)
        if a[name] == b[name]:
            assert line["difference"]["error"] == 0  # the same events: the difference is known to be none
        # An event that passes 1 in 20 passes 1 in 4 too: only events of B are new, so their root is the error.
        if name in ("ff", "lml4"):
            one = result["rate_of_one_event"]
            assert line["difference"]["error"] == pytest.approx(np.sqrt(change / one) * one)
            assert line["difference"]["value"] > 0
    assert difference["only_in_a"] == {"mu_pair": a["mu_pair"]["prescaled"]}
    assert difference["only_in_b"] == {"another": b["another"]["prescaled"]}
    accepts, total = difference["accepts"], difference["total"]
    assert accepts["both"]["value"] + accepts["only_a"]["value"] == pytest.approx(total["a"]["value"])
    assert accepts["both"]["value"] + accepts["only_b"]["value"] == pytest.approx(total["b"]["value"])
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    figures = [f"{name}_{k}.{kind}" for name in ("overlap", "rates") for k in (1, 2) for kind in ("png", "svg")]
    assert written == sorted([*figures, "rates.json", "rates.txt"])
    stored = json.loads((tmp_path / "out" / "rates.json").read_text())
    assert stored["menus"] == json.loads(json.dumps(result["menus"]))


def test_lines_of_the_hlt_are_counted_in_the_spool(run: Path):
    """Raw, prescaled and unique counts of the kept events, as their columns say."""
    result, kept = rates(run, level="hlt"), spool(run)
    lines = by_line(result["menus"][0])
    hlt = [name for name in kept.columns if name.startswith("hlt_") and name.removeprefix("hlt_") in lines]
    assert len(hlt) == len(lines)
    n_lines = kept.select(pl.sum_horizontal(hlt)).to_series()
    for column in hlt:
        line = lines[column.removeprefix("hlt_")]
        raw = kept[column.replace("hlt_", "hlt_raw_")]
        counts = {"raw": raw.sum(), "prescaled": kept[column].sum(), "unique": (kept[column] & (n_lines == 1)).sum()}
        for which, count in counts.items():
            assert line[which]["value"] == pytest.approx(count / result["seconds"]), (column, which)


def test_a_file_gives_shares_and_with_a_cross_section_rates(run: Path, tmp_path: Path):
    """Spooled events fire again the raw lines that they fired; weights count; what the file lacks is empty."""
    parts = sorted((run / "events").glob("*.parquet"))
    kept = pl.concat([pl.read_parquet(part) for part in parts])
    kept = kept.with_columns(pl.Series("weight", np.arange(kept.height) % 4 + 1.0, dtype=pl.Float32))
    path = tmp_path / "mine.parquet"
    kept.drop("clusters", "tracks").write_parquet(path)
    result = rates(path)
    assert result["unit"] == "%"
    assert result["seconds"] is None
    weight = kept["weight"].to_numpy().astype(float)
    for line in result["menus"][0]["lines"]:
        fired = kept[f"l1_raw_{line['line']}"].to_numpy()
        share = weight[fired].sum() / weight.sum()
        assert line["raw"]["value"] == pytest.approx(100 * share)
        error = np.sqrt((weight**2 * (fired - share) ** 2).sum()) / weight.sum()
        assert line["raw"]["error"] == pytest.approx(100 * error)
    in_hz = rates(path, luminosity=2e34, cross_section_nb=3.0)
    assert in_hz["menus"][0]["total"]["value"] == pytest.approx(
        result["menus"][0]["total"]["value"] / 100 * 3e-33 * 2e34
    )
    kept.select("tc", event_id=pl.col("event").cast(pl.UInt32)).write_parquet(path)
    only_cells = rates(path)
    assert "trk2d" in only_cells["notes"][0]
    lines = by_line(only_cells["menus"][0])
    assert lines["fff"]["raw"]["value"] == 0
    assert lines["hie"]["raw"]["value"] == pytest.approx(100 * kept["l1_raw_hie"].mean())  # type: ignore[operator]


def test_explanations_agree_with_the_run(run: Path, config: Path, tmp_path: Path):
    """Of events of every outcome: the lines that fired and accept are those of the trigger words; files agree."""
    table, names = words(run), list(by_line(rates(run)["menus"][0]))
    part = sorted((run / "events").glob("*.parquet"))[0]
    for outcome in (0, 4, 5):
        row = table.filter(pl.col("outcome") == outcome, pl.col("l1_raw_word_0") > 0).row(0, named=True)
        raw, accepted = (
            [name for i, name in enumerate(names) if row[word] >> i & 1] for word in ("l1_raw_word_0", "l1_word_0")
        )
        why = explain_event(run, row["event"], raw[0])
        assert why["fired"]
        assert why["lines_that_fired"] == raw
        assert why["lines_that_accept"] == why["in_the_run"]["lines_that_accept"] == accepted
        assert why["accepted_by_line"] == (raw[0] in accepted)
        assert why["l1_accept"] == (outcome != 0)
        assert any(product["holds"] for product in why["products"])
        same = explain_event(config, row["event"], raw[0])
        assert {**why, "target": None, "in_the_run": None} == {**same, "target": None}
        if outcome == 5:
            of_file = explain_event(part, row["event"], raw[0])
            assert of_file["lines_that_fired"] == raw
        assert max(map(len, text(why).splitlines())) <= WIDTH


def test_the_command_prints_tables_and_json(run: Path):
    """What a person sees fits the terminal and has every line; --json is the record."""
    printed = darkline("rates", run)
    assert printed.returncode == 0, printed.stderr
    assert max(map(len, printed.stdout.splitlines())) <= WIDTH
    result = summary_of(darkline("rates", run, "--json"))
    assert printed.stdout == tables(result) + "\n"
    for line in result["menus"][0]["lines"]:
        assert line["line"] in printed.stdout
    assert "free of dead time" in printed.stdout
    assert "live for 99." in printed.stdout
    why = darkline("rates", run, "--line", "hie", "--explain", 3)
    assert why.returncode == 0
    assert "ehigh" in why.stdout
    assert "energy in rings 2-15 above 1 GeV" in why.stdout


@pytest.mark.parametrize(
    ("arguments", "naming"),
    [
        (["--line", "fffx", "--explain", 1], ["--line", "fffx", "did you mean fff?"]),
        (["--line", "fff"], ["--explain"]),
        (["--luminosity", -1], ["--luminosity", "-1", "positive"]),
    ],
)
def test_bad_options_get_one_line_and_code_2(arguments: list[object], naming: list[str], run: Path):
    """Whatever is wrong is named, and nothing is printed as a result."""
    done = darkline("rates", run, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in naming), done.stderr


@pytest.mark.parametrize(
    ("options", "naming"),
    [
        ({"columns": ["design"]}, "column = 'design'"),
        ({"luminosity": float("nan")}, "--luminosity = nan: must be positive"),
        ({"cross_section_nb": 1.0}, "--cross-section"),
        ({"n_events": 0}, "--events = 0"),
        ({"level": "l3"}, "--level = 'l3'"),
        ({"level": "hlt", "menus": ["physics"]}, "--level: HLT lines"),
        ({"menus": ["fysics"]}, "'fysics': no such L1 menu"),
    ],
)
def test_what_options_cannot_be_is_an_input_error(options: dict[str, Any], naming: str, run: Path):
    """Each is refused with its name before anything is counted."""
    with pytest.raises(InputError, match=naming):
        rates(run, **options)


def test_bad_targets_are_refused(run: Path, config: Path, tmp_path: Path):
    """Nothing there, no run, a run that failed, an older one, no primitives, half a struct, no whole file."""
    replay = ROOT / "configs" / "runs" / "replay.toml"
    sample = ROOT / "configs" / "samples" / "qqbar.parquet"
    (tmp_path / "x.csv").write_text("1,2,3")
    part = sorted((run / "events").glob("*.parquet"))[0]
    (tmp_path / "cut.parquet").write_bytes(part.read_bytes()[:-100])
    cells = pl.read_parquet(part, columns=["tc"])
    cells.select(tc=pl.col("tc").list.eval(pl.struct(pl.element().struct.field("id")))).write_parquet(
        tmp_path / "ids.parquet"
    )
    cells.with_columns(weight=float("nan")).write_parquet(tmp_path / "nan.parquet")
    cells.with_columns(weight=0.0).write_parquet(tmp_path / "zero.parquet")
    cells.clear().write_parquet(tmp_path / "empty.parquet")
    for target, words_of_it in (
        (tmp_path / "no", "no such"),
        (tmp_path, "not a run directory"),
        (replay, "no events of its own"),
        (sample, "none of the columns"),
        (tmp_path / "x.csv", "must be a run directory"),
        (tmp_path / "cut.parquet", "Parquet"),
        (tmp_path / "ids.parquet", "lacks the field energy_gev"),
        (tmp_path / "nan.parquet", "event 0, weight"),
        (tmp_path / "zero.parquet", "must not sum to 0"),
        (tmp_path / "empty.parquet", "no events"),
    ):
        with pytest.raises(InputError, match=words_of_it):
            rates(target)
    with pytest.raises(InputError, match="no such event"):
        explain_event(part, 10**9, "fff")
    for event in (-1, EVENTS):
        with pytest.raises(InputError, match=f"--explain = {event}: no such event: .* 0 to {EVENTS - 1}"):
            explain_event(run, event, "fff")
    with pytest.raises(InputError, match="one of them"):
        explain_event(config, 1, "fff", menus=["physics", "physics"])
    with pytest.raises(InputError, match="give --luminosity and --cross-section"):
        rates(part, luminosity=1e34)
    with pytest.raises(InputError, match="not a folder"):
        rates(run, out=tmp_path / "x.csv")


def broken(run: Path, tmp_path: Path, name: str) -> Path:
    """Return a copy of the run to break."""
    return Path(shutil.copytree(run, tmp_path / name))


def test_books_that_do_not_balance_are_refused(run: Path, tmp_path: Path):
    """Outcomes on disk against the summary; a failed run; a run without raw words; a menu that has changed."""
    changed = broken(run, tmp_path, "outcomes")
    part = sorted((changed / "trigger_words").glob("*.parquet"))[0]
    pl.read_parquet(part).with_columns(outcome=pl.lit(0, dtype=pl.UInt8)).write_parquet(part)
    with pytest.raises(InputError, match="do not balance"):
        rates(changed)

    old = broken(run, tmp_path, "old")
    for part in (old / "trigger_words").glob("*.parquet"):
        pl.read_parquet(part).drop("l1_raw_word_0").write_parquet(part)
    with pytest.raises(InputError, match="l1_raw_word_0"):
        rates(old)
    assert rates(old, menus=["physics"])["menus"] == rates(run)["menus"]

    failed = broken(run, tmp_path, "failed")
    summary = json.loads((failed / "summary.json").read_text())
    (failed / "summary.json").write_text(json.dumps(summary | {"state": "FAILED"}))
    with pytest.raises(InputError, match="must be DONE"):
        rates(failed)

    other = broken(run, tmp_path, "other")
    record = json.loads((other / "run.json").read_text())
    record["about"]["l1"]["logic"]["fff"] = "nf >= 2"
    (other / "run.json").write_text(json.dumps(record))
    assert rates(other)["menus"] == rates(run)["menus"]  # the books are what the run did, whatever a menu is now
    with pytest.raises(InputError, match="has changed since the run"):
        explain_event(other, 1, "fff")
    assert explain_event(other, 1, "fff", menus=["physics"])["line"] == "fff"


def test_a_menu_of_which_nothing_fires_has_a_table_and_figures(config: Path, tmp_path: Path):
    """No event, no line: the result is empty, and says so."""
    menu = tmp_path / "silent.toml"
    menu.write_text('name = "silent"\n[[line]]\nname = "never"\nlogic = "false"\n', encoding="utf-8")
    result = rates(config, menus=[str(menu)], n_events=500, out=tmp_path / "out")
    assert result["menus"][0]["overlap"]["fraction"] == [[None]]
    assert "never fired (1): never" in tables(result)
    assert (tmp_path / "out" / "rates.png").stat().st_size > 0
    assert (tmp_path / "out" / "overlap.png").stat().st_size > 0
