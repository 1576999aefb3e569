"""`darkline validate source`: all numbers are good, the figures are there, and a wrong number is seen."""

import dataclasses

import numpy as np
import pytest

from commands.validate.checks import Check, cut_of, share
from commands.validate.command import table, validate_source
from tests.chain.commands import darkline_here


@pytest.fixture(scope="module")
def record():
    return validate_source(events=4000, seed=3, out=None)


def test_all_numbers_are_good(record):
    """Resolutions, efficiencies, identification, mass peaks, trigger: as quoted or as chosen."""
    assert record["good"], [row for row in record["checks"] if not row["is_good"]]
    assert {row["group"] for row in record["checks"]} == {
        "tracks", "identification", "clusters", "material", "mass peaks", "trigger",
    }  # fmt: skip
    assert all(row["source"] for row in record["checks"])


def test_table_has_every_number(record):
    """One row each, and the verdict at the end."""
    text = table(record)
    assert all(row["quantity"] in text for row in record["checks"])
    assert "all good" in text


def test_a_wrong_number_is_bad():
    """Six statistical errors off is bad, unless the stated tolerance covers it."""
    check = Check("a", "b", expected=1.0, measured=1.06, error=0.01, tolerance=0.0, source="c")
    assert not check.is_good
    assert dataclasses.replace(check, tolerance=0.02).is_good
    assert not share("a", "b", np.zeros(1000, dtype=bool), 0.5, "c").is_good


def test_cuts_are_those_of_the_docs():
    """P / (P + P_pi) at the quoted pairs of efficiency and rate."""
    for efficiency, rate, cut in ((0.86, 0.004, 0.949), (0.90, 0.07, 0.567), (0.90, 0.06, 0.596)):
        assert abs(cut_of(efficiency, rate) - cut) < 1e-3


def test_too_few_events_are_refused():
    """The option has a least value: exit code 2 and one line."""
    done = darkline_here("validate", "source", "--events", "10")
    assert done.returncode == 2
    assert "--events" in done.stderr
