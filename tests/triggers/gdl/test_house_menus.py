"""The menus that come with darkline: rates below what the readout takes, signal lines without prescale."""

from __future__ import annotations

import numpy as np
import pytest

from daq.event import Array
from daq.settings import CONFIGS, RunSettings, load
from daq.source.catalogue import NB_CM2
from daq.source.mix import MixSource
from triggers.ecl.cells import EclTable
from triggers.emulator import L1Emulator
from triggers.gdl.menu import MENUS, L1Menu
from triggers.inputs import input_planes

STANDARD = load(CONFIGS / "runs" / "standard.toml", RunSettings)
EVENTS = 3000  # of each process
LIMIT_HZ = 30_000.0


@pytest.fixture(scope="module")
def mix() -> list[tuple[float, Array, Array, Array]]:
    """Return, for each process of the standard mix: cross-section [nb], planes of the input bits, run, event numbers.

    Cosmic muons, whose rate does not follow the luminosity (50 Hz), are left out.
    """
    table, found = EclTable.for_beams(STANDARD.beam), []
    for process in (name for name in STANDARD.source.processes if name != "cosmic"):
        only = STANDARD.source.model_copy(update={"processes": (process,), "signals": ()})
        source = MixSource(STANDARD.model_copy(update={"source": only}))
        batch = source.block(0, EVENTS)
        inputs, _ = input_planes(batch, batch.size, table)
        found.append((source.cross_sections_nb[0], inputs, batch["run"], batch["event"]))
    return found


def accepts_hz(menu: L1Menu, column: str | None, luminosity_cm2_s: float, mix: list) -> tuple[float, float]:
    """Return the rate of accepts, and its statistical error [Hz]."""
    emulator = L1Emulator(menu, seed=1, beam=STANDARD.beam, column=column)
    rate = variance = 0.0
    for cross_section_nb, planes, run, event in mix:
        accepted = np.bitwise_or.reduce(emulator.lines.decide(planes, run, event).accepted, axis=0)
        share = float(np.bitwise_count(accepted).sum()) / EVENTS
        collisions_hz = cross_section_nb * NB_CM2 * luminosity_cm2_s
        rate += share * collisions_hz
        variance += share * (1 - share) / EVENTS * collisions_hz**2
    return rate, variance**0.5


@pytest.mark.parametrize("name", sorted(path.stem for path in MENUS.glob("*.toml")))
def test_rates_leave_room_for_what_the_mix_lacks(name: str, mix: list):
    """Every column, at the luminosity that it is for, stays well below what the readout takes."""
    menu = L1Menu.load(name)
    for column, luminosity in [(each.name, each.luminosity_cm2_s) for each in menu.columns] or [(None, 6e34)]:
        rate, error = accepts_hz(menu, column, luminosity, mix)
        assert rate + 3 * error < 0.75 * LIMIT_HZ, (column, rate)


def test_rates_of_the_low_multiplicity_menu_are_those_in_its_header(mix: list):
    """3,571 and 19,578 Hz, before dead time; 40 Hz of them are cosmic muons."""
    menu = L1Menu.load("low_multiplicity")
    for column, luminosity, expected in (("6e34", 6e34, 3571.0 - 40), ("6e35", 6e35, 19578.0 - 40)):
        rate, error = accepts_hz(menu, column, luminosity, mix)
        assert abs(rate - expected) < 4 * error


def test_signal_lines_are_not_prescaled():
    """One line of each kind of signal is open in every column; Bhabhas never are."""
    menu = L1Menu.load("low_multiplicity")
    for column in ("6e34", "6e35"):
        prescale = dict(zip(menu.line_names, menu.prescales(column), strict=True))
        for line in (
            "lml1nb",
            "lml6",
            "lml13",
            "cdcklm1",
            "klm2",
            "mu_pair",
            "fy",
            "ffo",
            "fff",
            "fso",
            "sso",
            "lml12",
        ):
            assert prescale[line] == 1, (column, line)
        assert prescale["bha3d"] >= 100
        if column == "6e35":
            assert prescale["lml1"] > 1
