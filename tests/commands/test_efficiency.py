"""``darkline efficiency`` on a small run of muon pairs: from the truth, by tag and probe, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chain
from commands.efficiency import ask, measure
from daq.source.kinematics import collision_frame
from daq.source.mix import MixSource
from offline.probes import true_probes
from stages import l1_bits
from tests.commands.cli import Command, Done, refused
from triggers.bits import flags_of

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
name = "mumu"
seed = 3
events = 30_000
[beam]
luminosity_cm2_s = 5.1e34
[source]
processes = ["mu_pair"]
[l1]
menu = "physics"
[hlt]
menu = "physics"
"""
TAG = "ffo,stt,mu_pair+selectmumu,single_muon,two_tracks_medium_p,two_tracks_high_p"
PHOTON = "theta_deg BETWEEN 50 AND 110 AND isolation_deg > 30"
PROBE = f"{PHOTON} AND ABS(recoil_m2_gev2) < 1 AND muon_min > 0.5 AND other_e_lab_gev < 0.25"


@pytest.fixture(scope="module")
def mumu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run of muon pairs."""
    directory = tmp_path_factory.mktemp("efficiency")
    (directory / "mumu.toml").write_text(CONFIG)
    command = [sys.executable, ROOT / "darkline.py", "run", directory / "mumu.toml", "--out", directory / "run"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return directory / "run"


def record_of(done: Done) -> dict[str, Any]:
    """Return the record that a command printed."""
    assert done.code == 0, done.err
    record: dict[str, Any] = json.loads(done.out)
    return record


def test_from_the_truth_every_event_counts(mumu: Path, tmp_path: Path, darkline: Command):
    """The counts are those of all generated events, each with the raw bit that the emulated trigger gives it."""
    line, edges = "single_photon_45_115", [0.5, 0.9, 1.2, 3.0]
    bins = ",".join(map(str, edges))
    arguments = ("efficiency", mumu, line, "--versus", "E", "--truth", "--bins", bins, "--where", PHOTON)
    record = record_of(darkline(*arguments, "--out", tmp_path, "--json"))

    settings = chain.read_run(mumu).settings
    joined, source = chain.Chain.of(settings), MixSource(settings)
    batch = source.block(0, settings.events)
    l1 = joined.l1_emulator().process(batch)
    hlt = joined.hlt_emulator().process(batch, l1_bits(l1.psnm, l1.ftdl, joined.l1.line_names))
    fired = flags_of(hlt.raw, joined.hlt.line_names.index(line))
    true = true_probes(source.particles(0, settings.events), source.process_names, collision_frame(settings.beam))
    chosen = (true["theta_deg"] >= 50) & (true["theta_deg"] <= 110) & (true["isolation_deg"] > 30)
    total = np.histogram(true["e_cm_gev"][chosen], edges)[0]
    passed = np.histogram(true["e_cm_gev"][chosen & fired], edges)[0]
    assert [row["total"] for row in record["bins"]] == total.tolist()
    assert [row["passed"] for row in record["bins"]] == passed.tolist()
    for line, bins in (("single_photon_45_115", "1.3,5"), ("neutral_2gev_barrel", "2.3,5")):
        truth = measure(ask(mumu, line, versus="E", where=f"{PHOTON} AND other_e_cm_gev < 0.1", bins=bins))
        tagged = measure(ask(mumu, line, versus="E", where=PROBE, bins=bins, tag=TAG))
        assert tagged.curve.total[0] > 50
        (a,), (b,) = truth.curve.efficiency, tagged.curve.efficiency
        spread = np.hypot(*(np.diff(np.ravel(curve.interval())) / 2 for curve in (truth.curve, tagged.curve)))
        assert abs(a - b) < 4 * spread


def test_the_turn_on_is_at_its_threshold(mumu: Path, tmp_path: Path, darkline: Command):
    """The single-photon line of 1 GeV turns on at 1 GeV, within the resolution, by either method."""
    for extra, where in (((), PHOTON), (("--tag", TAG), f"{PROBE} AND found")):
        arguments = ("efficiency", mumu, "single_photon_45_115", "--versus", "E", "--bins", "0.3:3.5:16", *extra)
        fit = record_of(darkline(*arguments, "--where", where, "--out", tmp_path, "--json"))["fit"]
        assert fit["threshold"]["value"] == pytest.approx(1.0, abs=0.06)
        width = fit["width"]  # 24 MeV from the truth, 47 MeV by the tag
        assert 0.02 - 4 * width["error_up"] < width["value"] < 0.1
        # Lost are photons that convert, are not found as clusters or fail the shower shape, and from the truth also
        # events in which a muon makes the second cluster of the veto (docs/efficiency.md).
        assert fit["plateau"]["value"] > 0.8


def test_both_levels_are_the_product_of_conditions(mumu: Path):
    """L1LINES+HLTLINES passes where both do, A,B where one of them does."""
    options: dict[str, Any] = {"versus": "E", "bins": "0.5,5.0", "where": PHOTON, "events": 20_000}
    counts = {
        lines: measure(ask(mumu, lines, **options)).curve.passed[0]
        for lines in (
            "lml13",
            "single_photon_45_115",
            "lml13+single_photon_45_115",
            "single_photon_45_115,single_photon_500mev_44_98",
        )
    }
    single, both = counts["single_photon_45_115"], counts["lml13+single_photon_45_115"]
    assert 0 < both < min(single, counts["lml13"])
    assert counts["single_photon_45_115,single_photon_500mev_44_98"] > single


@pytest.mark.parametrize("versus", ["pt", "theta", "radius"])
def test_other_quantities_have_their_curves(versus: str, mumu: Path, tmp_path: Path, darkline: Command):
    """Transverse momentum and angle of a track, radius of its vertex: counts in bins, and a reason where no fit is."""
    probe = ("--probe", "track") if versus == "theta" else ()
    arguments = ("efficiency", mumu, "selectmumu", "--versus", versus, *probe, "--events", 5000, "--out", tmp_path)
    record = record_of(darkline(*arguments, "--json"))
    assert record["events"] == sum(row["total"] for row in record["bins"]) > 0
    assert (record["fit"] is None) == (record["no_fit"] is not None)
    assert versus == "pt" or record["no_fit"] == "this quantity has no turn-on"
    said = darkline(*arguments).out
    assert "selectmumu (hlt), truth" in said


def test_what_cannot_be_answered_is_refused(mumu: Path, tmp_path: Path, darkline: Command):
    """Unknown lines, runs, options, columns; no denominator: one line each, and no file."""
    out = ("--out", tmp_path / "out")

    def refuse(*arguments: object, words: tuple[str, ...]) -> None:
        refused(darkline("efficiency", *arguments, *out), *words)
        assert not (tmp_path / "out").exists()

    good = (mumu, "single_photon_45_115", "--versus", "E")
    refuse(mumu, "single_foton", "--versus", "E", words=("single_foton", "no such line in this run", "lml13"))
    refuse(mumu, "lml13+lml6", "--versus", "E", words=("lml6", "no such line"))
    refuse(mumu, "lml13", "--versus", "E", "--level", "hlt", words=("lml13", "no such line"))
    refuse(mumu, "lml13", "--versus", "E", "--level", "both", words=("L1LINES+HLTLINES",))
    refuse(mumu, "lml13", "--versus", "E", "--level", "l2", words=("--level", "l1, hlt, both"))
    refuse(mumu, "lml13", "--versus", "mass", words=("--versus", "E, pt, theta, radius"))
    refuse(mumu, "lml13", "--versus", "E", "--probe", "track", words=("--probe",))
    refuse(tmp_path, "lml13", "--versus", "E", words=("run.json", "not the directory of a run"))
    refuse(tmp_path / "none", "lml13", "--versus", "E", words=("run.json",))
    refuse(*good, "--bins", "1:2", words=("--bins", "LOW:HIGH:N"))
    refuse(*good, "--bins", "2,1", words=("--bins", "rising"))
    refuse(*good, "--where", "e_lab_gev >", words=("--where",))
    refuse(*good, "--where", "m2 > 1", words=("--where", "m2", "columns: e_cm_gev"))
    refuse(*good, "--where", "e_lab_gev", words=("--where",))
    refuse(*good, "--where", "e_cm_gev > 99", words=("no event to measure on",))
    refuse(*good, "--tag", TAG, "--where", "n_tracks = 7", words=("no event to measure on", "with the tag"))
    refuse(*good, "--tag", "ffo", words=("--tag", "L1LINES+HLTLINES"))
    refuse(*good, "--tag", "ffo+nonesuch", words=("nonesuch", "no such line"))
    refuse(*good, "--tag", "ffo+single_photon_45_115", words=("--tag", "is also what is measured"))
    refuse(*good, "--tag", TAG, "--truth", words=("--truth or --tag",))
    refuse(mumu, "displaced_vertex", "--versus", "radius", "--tag", TAG, words=("--versus", "truth alone"))


def test_a_run_with_other_menus_is_not_made_again(mumu: Path, tmp_path: Path, darkline: Command):
    """A menu that has changed since the run would measure something else."""
    changed = json.loads((mumu / "run.json").read_text())
    changed["menu_hash"] += 1
    (tmp_path / "run.json").write_text(json.dumps(changed))
    refused(darkline("efficiency", tmp_path, "lml13", "--versus", "E"), "the menus have changed")
