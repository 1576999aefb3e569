"""A few random faults; ``python -m tests.chain.faults`` makes as many as one likes."""

from __future__ import annotations

from pathlib import Path

from tests.chain.faults import disturb, real_subject, toy_subject


def test_random_faults_cost_nothing():
    """Deaths, zombies, failing disks, resumptions: the spool is that of an undisturbed run, and the books balance."""
    counts = disturb(toy_subject(18_000), 24, 20261121, print)
    assert counts.total() == 24


def test_random_faults_cost_the_real_chain_nothing(tmp_path: Path):
    """The same from the command line: all events and all decisions."""
    counts = disturb(real_subject(120_000, tmp_path), 4, 7, print)
    assert counts.total() == 4
