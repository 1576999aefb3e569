"""`darkline source info`: processes, cross-sections and rates, of all files or of one run; and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from daq.settings import RunSettings, load
from daq.source.catalogue import NB_CM2, PROCESSES, standard_names
from tests.chain.commands import DEMO, darkline_here


def info(*arguments: object) -> dict[str, Any]:
    """Return the record of a command."""
    done = darkline_here("source", "info", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_all_processes():
    """Every file that a run can list, each with a rate, an acceptance and a source; signals are not among them."""
    record = info()
    assert [row["name"] for row in record["processes"]] == standard_names()
    assert {"bhabha", "tau_pair", "two_photon_ee", "cosmic", "isr_k_short"} <= set(standard_names())
    assert not {"alp_gamma_gamma", "b_k_nunu", "d0_invisible"} & set(standard_names())
    assert record["luminosity_cm2_s"] == 6e35
    assert record["total"] is None
    for row in record["processes"]:
        assert row["rate_hz"] > 0
        assert row["acceptance"]
        assert len(row["source"]) > 20
        assert row["sampler"] in (PROCESSES / f"{row['name']}.toml").read_text(encoding="utf-8")


def test_rates_go_with_the_luminosity_but_for_cosmic_muons():
    """1 nb is 60 Hz at 6e34; cosmic muons come at their own rate at any luminosity."""
    low, high = (info("--luminosity", value) for value in ("6e34", "6e35"))
    for one, other in zip(low["processes"], high["processes"], strict=True):
        factor = 1 if one["name"] == "cosmic" else 10
        assert math.isclose(other["rate_hz"], factor * one["rate_hz"])
        if one["name"] != "cosmic":
            assert math.isclose(one["rate_hz"], 60 * one["cross_section_nb"])
    cosmic = next(row for row in low["processes"] if row["name"] == "cosmic")
    assert math.isclose(cosmic["cross_section_nb"] * NB_CM2 * 6e34, 50)


def test_a_run_with_its_signals():
    """The processes and the signal of the demo, at its luminosity, with their sum."""
    record = info(DEMO)
    names = [row["name"] for row in record["processes"]]
    processes = load(DEMO, RunSettings).source.processes
    assert names == [*processes, "alp_gamma_gamma_4gev"]
    assert [row["is_signal"] for row in record["processes"]] == [False] * len(processes) + [True]
    cosmic_hz = 50  # of no cross-section
    assert math.isclose(record["total"]["rate_hz"], record["total"]["cross_section_nb"] * 51 + cosmic_hz)
    done = darkline_here("source", "info", DEMO)
    assert done.returncode == 0
    for name in (*names, "sum"):
        assert any(line.startswith(f"{name} ") for line in done.stdout.splitlines())
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--luminosity", "0"), ("--luminosity = 0.0", "above 0")),
        (("--luminosity=-6e34",), ("--luminosity", "above 0")),
        (("--luminosity", "nan"), ("--luminosity", "above 0")),
        (("--luminosity", "inf"), ("--luminosity", "finite")),
        (("no_such_run.toml",), ("no_such_run.toml", "no such file")),
        ((DEMO.with_name("replay.toml"),), ("replay.toml", "kind", "makes no events")),
    ],
)
def test_refused(arguments, words):
    """One line with file or key, value and rule, and exit code 2."""
    done = darkline_here("source", "info", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_unknown_process_of_a_run(tmp_path: Path):
    """A run that lists a process that does not exist is refused by name."""
    path = tmp_path / "run.toml"
    path.write_text(DEMO.read_text(encoding="utf-8").replace('"bhabha"', '"bhaba"'), encoding="utf-8")
    done = darkline_here("source", "info", path)
    assert done.returncode == 2
    for word in ("run.toml", "bhaba", "did you mean bhabha"):
        assert word in done.stderr
