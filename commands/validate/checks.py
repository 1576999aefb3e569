"""What `darkline validate source` measures: quantity by quantity, the quoted or chosen number and what comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from commands.validate.guns import Gun, Shots
from commands.validate.masses import photon_pairs, track_pairs
from daq.event import Array
from daq.source.detector import DIAGONAL, MASSES_GEV
from daq.source.helix import perigee
from daq.source.response.numbers import Calorimeter, Identification, Material, Tracking
from daq.source.response.tracks import CURVATURE

ELECTRON, MUON, PION, KAON = MASSES_GEV[:4]
HELIX = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
POINTS = ((11, "e", "electron", 0.86, 0.004), (13, "mu", "muon", 0.90, 0.07), (321, "k", "kaon", 0.90, 0.06))
"""Identification as quoted: PDG code, column, name, efficiency, rate of pions."""
MASS = {11: ELECTRON, 13: MUON, 211: PION, 321: KAON}


@dataclass(frozen=True, slots=True)
class Check:
    """One number: what is expected, what comes out, and how far apart they may be."""

    group: str
    quantity: str
    expected: float
    measured: float
    error: float
    """Statistical error of the measurement."""
    tolerance: float
    """What is allowed beyond five statistical errors: the expected number is rounded, or of another definition."""
    source: str

    @property
    def is_good(self) -> bool:
        """Tell whether the two agree."""
        return abs(self.measured - self.expected) <= self.tolerance + 5.0 * self.error

    def record(self) -> dict[str, Any]:
        """Return the check as JSON-ready numbers."""
        return asdict(self) | {"is_good": self.is_good}


def cut_of(efficiency: float, rate: float) -> float:
    """Return the cut on P / (P + P_pi) with this efficiency, and this rate of pions."""
    from scipy.stats import norm

    q_efficiency, q_rate = norm.ppf(efficiency), norm.ppf(1 - rate)
    separation = q_efficiency + q_rate
    return float(1 / (1 + math.exp(-separation * (q_rate - 0.5 * separation))))


def checks(gun: Gun) -> Iterator[Check]:
    """Yield every check."""
    yield from _tracks(gun)
    yield from _identification(gun)
    yield from _clusters(gun)
    yield from _material(gun)
    yield from _masses(gun)
    yield from _trigger(gun)


def share(group: str, quantity: str, selected: Array, expected: float, source: str, tolerance: float = 0.0) -> Check:
    """Return the check of a share of events."""
    error = math.sqrt(max(expected * (1 - expected), 1 / selected.size) / selected.size)
    return Check(group, quantity, expected, float(np.mean(selected)), error, tolerance, source)


def half_width(values: Array) -> float:
    """Return half of the width of the central 68.3 %."""
    low, high = np.quantile(values, [0.1587, 0.8413])
    return float(0.5 * (high - low))


def pulls(shots: Shots, charge: int, rho_cm: float = 0.0) -> Array:
    """Return (measured - true) / error of the five helix parameters: (tracks, 5)."""
    rows = shots.rows("tracks")
    true = np.array(
        [
            perigee(
                rho_cm * math.cos(phi), rho_cm * math.sin(phi), rho_cm / math.tan(theta),
                p * math.sin(theta) * math.cos(phi), p * math.sin(theta) * math.sin(phi), p * math.cos(theta), charge,
            )
            for p, theta, phi in zip(shots.momentum[rows], shots.theta[rows], shots.phi[rows], strict=True)
        ]
    )  # fmt: skip
    measured = np.stack([shots.batch[f"tracks.{name}"].astype(float) for name in HELIX], axis=1)
    difference = measured - true
    difference[:, 1] = np.arctan2(np.sin(difference[:, 1]), np.cos(difference[:, 1]))
    return np.asarray(difference / np.sqrt(shots.batch["tracks.cov"][:, DIAGONAL].astype(float)))


def _tracks(gun: Gun) -> Iterator[Check]:
    group, numbers = "tracks", Tracking()
    quoted = "Belle II: sqrt((0.0011 pT)^2 + (0.0030/beta)^2)"
    for p in (0.5, 1.0, 3.0):
        shots = gun(-13, p, 90.0, mass=MUON)
        pt = CURVATURE / np.abs(shots.batch["tracks.omega_per_cm"].astype(float))
        n, beta = pt.size, p / math.hypot(p, MUON)
        expected = 100 * math.hypot(0.0011 * p, 0.0030 / beta)
        width = 100 * half_width(pt / p)
        yield Check(group, f"sigma(pT)/pT at {p:g} GeV [%]", expected, width, 1.2 * width / math.sqrt(2 * n), 0, quoted)
        expected = 1e4 * math.hypot(0.0010, 0.0015 / p)
        width = 1e4 * half_width(shots.batch["tracks.d0_cm"].astype(float))
        error = 1.2 * width / math.sqrt(2 * n)
        yield Check(group, f"sigma(d0) at {p:g} GeV, 90 deg [um]", expected, width, error, 0, "Belle II: 10 + 15/p um")
    prompt = gun(211, 1.0, 90.0, mass=PION).has("tracks")
    yield share(group, "efficiency of prompt pions, 1 GeV", prompt, 0.95, "Belle II, about 0.95")
    for theta in (16.5, 150.5):
        outside = gun(211, 1.0, theta, mass=PION).has("tracks")
        yield share(group, f"efficiency at {theta:g} deg, outside of 17-150", outside, 0.0, "Belle II acceptance")
    for rho in (10.0, 30.0, 60.0):
        found = gun(211, 1.0, 80.0, mass=PION, rho_cm=rho).has("tracks")
        expected = 0.95 * math.exp(-0.5 * (rho / numbers.rho_cm) ** 2)
        yield share(group, f"efficiency from rho = {rho:g} cm", found, expected, "surrogate exp(-(rho/60 cm)^2 / 2)")
    for rho in (0.0, 5.0, 25.0):
        found_pulls = pulls(gun(-13, 1.0, 75.0, mass=MUON, rho_cm=rho), 1, rho)
        n = len(found_pulls)
        for i, name in enumerate(HELIX):
            mean, width = float(found_pulls[:, i].mean()), float(found_pulls[:, i].std())
            where = f"pull of {name}, rho = {rho:g} cm"
            yield Check(group, f"mean of the {where}", 0.0, mean, 1 / math.sqrt(n), 0, "by construction")
            yield Check(group, f"width of the {where}", 1.0, width, 1 / math.sqrt(2 * n), 0, "by construction")


def likelihood_share(shots: Shots, name: str) -> Array:
    """Return P / (P + P_pi) of the tracks."""
    likelihood, pion = (shots.batch[f"tracks.pid_{which}"].astype(float) for which in (name, "pi"))
    return np.asarray(likelihood / (likelihood + pion))


def _identification(gun: Gun) -> Iterator[Check]:
    group, numbers = "identification", Identification()
    for pdg, name, title, efficiency, rate in POINTS:
        cut, quoted = cut_of(efficiency, rate), f"Belle II: {100 * efficiency:g} % at {100 * rate:g} % of pions"
        for true, expected, what in ((pdg, efficiency, f"{title} efficiency"), (211, rate, f"pions called {title}")):
            passed = likelihood_share(gun(true, 2.0, 60.0, mass=MASS[true]), name) > cut
            yield share(group, f"{what}, 2 GeV, P/(P + P_pi) > {cut:.3f}", passed, expected, quoted)
    for p, expected in ((0.55, 0.0), (1.5, 0.95)):
        hit = gun(13, p, 80.0, mass=MUON).batch["tracks.klm_layers"] > 0
        yield share(
            group, f"muons of {p:g} GeV with KLM hits", hit, expected, "Belle: threshold 0.6 GeV, 95 % at 1-3 GeV"
        )
    hit = gun(211, 2.0, 80.0, mass=PION).batch["tracks.klm_layers"] > 0
    yield share(group, "pions with KLM hits", hit, 1 - _below(numbers.punch_through), "surrogate")


def _below(quantile: float) -> float:
    return 0.5 * math.erfc(-quantile / math.sqrt(2.0))


def _clusters(gun: Gun) -> Iterator[Check]:
    group, numbers = "clusters", Calorimeter()
    quoted = "Belle II 2018: 3 % at 0.65 GeV, 2 % above 1 GeV; fit (0.016/E) + 0.016"
    for energy in (0.65, 1.0, 2.0, 5.0):
        shots = gun(22, energy, 80.0)
        ratio = shots.batch["clusters.energy_gev"][shots.photons()].astype(float) / energy
        expected, width = 100 * math.hypot(0.016 / energy, 0.016), 100 * half_width(ratio)
        error = 1.2 * width / math.sqrt(2 * ratio.size)
        yield Check(
            group, f"sigma(E)/E at {energy:g} GeV [%]", expected, width, error, 0.15 * expected, f"{quoted}; with tail"
        )
    shots = gun(22, 2.0, 70.0)
    chosen = shots.photons()
    theta = 1e3 * (shots.batch["clusters.theta"][chosen] - shots.theta[shots.rows("clusters")[chosen]])
    width = half_width(theta)
    yield Check(
        group, "sigma(theta) [mrad]", 5.0, width, 1.2 * width / math.sqrt(2 * theta.size), 0, "Belle II: about 5"
    )
    dull = shots.batch["clusters.zernike_mva"][chosen] < 0.5
    yield share(group, "photons with Zernike MVA below 0.5", dull, 0.02, "single-photon line: 2 % lost")
    late = np.abs(shots.batch["clusters.time_ns"]) > shots.batch["clusters.dt99_ns"]
    yield share(group, "clusters outside of dt99", late, 0.01, "definition of dt99")
    for theta_deg in (11.9, 31.8, 129.7, 155.6):
        seen = gun(22, 2.0, theta_deg).has("clusters")
        yield share(group, f"photons seen at {theta_deg:g} deg", seen, 0.0, "gap or end of the ECL", 0.06)
    crack = math.degrees(math.atan(1 / numbers.cot_crack))
    lost = _photon_lost(gun(22, 2.0, crack))
    expected = 1 - (1 - numbers.crack_loss) * numbers.efficiency
    yield share(
        group, f"photons lost in the crack, {crack:.1f} deg", lost, expected, "surrogate; 90 deg in the CM", 0.02
    )


def _photon_lost(shots: Shots) -> Array:
    lost = np.ones(len(shots.batch), dtype=np.bool_)
    lost[shots.rows("clusters")[shots.photons()]] = False
    return lost


def _material(gun: Gun) -> Iterator[Check]:
    group, total = "material", sum(Material().lengths)
    shots = gun(22, 2.0, 90.0)
    converted = 1 - math.exp(-7 / 9 * total)
    both = Tracking().efficiency ** 2
    two = np.diff(shots.batch["tracks.offsets"]) == 2
    yield share(
        group,
        "photons with two tracks, 90 deg",
        two,
        converted * both,
        "1 - exp(-7/9 X/X0), less pairs with a soft one",
        0.006,
    )
    good = shots.photons() & (shots.batch["clusters.zernike_mva"] > 0.5)
    seen = np.zeros(len(shots.batch), dtype=np.bool_)
    seen[shots.rows("clusters")[good]] = True
    yield share(group, "photons kept as photons, 2 GeV", seen, 0.90, "Belle II: 90 % above 1.5 GeV", 0.03)


def _masses(gun: Gun) -> Iterator[Check]:
    group = "mass peaks"
    kaon_short, pion_0, psi = 0.497611, 0.134977, 3.09690
    peaks = (
        ("pi0 to two photons, 1 GeV", pion_0, 0.02, photon_pairs(gun.pairs(pion_0, (22, 22), 0.0, 1.0))),
        (
            "K0S to two pions, 1 GeV",
            kaon_short,
            0.002,
            track_pairs(gun.pairs(kaon_short, (211, -211), PION, 1.0), PION),
        ),
        ("J/psi to two muons, 1 GeV", psi, 0.002, track_pairs(gun.pairs(psi, (-13, 13), MUON, 1.0), MUON)),
    )
    for name, expected, tolerance, (mass, error) in peaks:
        spread = 1.25 * half_width(mass) / math.sqrt(mass.size)
        yield Check(
            group, f"median mass, {name} [GeV]", expected, float(np.median(mass)), spread, tolerance * expected, "PDG"
        )
        width = half_width((mass - np.median(mass)) / error)
        allowed = 0.15 if "photons" in name else 0.05
        yield Check(
            group, f"width over the promised one, {name}", 1.0, width, 1.2 / math.sqrt(2 * mass.size), allowed,
            "errors of the two, propagated",
        )  # fmt: skip


def _trigger(gun: Gun) -> Iterator[Check]:
    group = "trigger"
    shots = gun(22, 2.0, np.random.default_rng(gun.seed).uniform(40, 120, gun.events), trigger=True)
    cells = np.bincount(shots.rows("tc"), weights=shots.batch["tc.energy_gev"], minlength=gun.events)
    clusters = np.bincount(shots.rows("clusters"), weights=shots.batch["clusters.energy_gev"], minlength=gun.events)
    ratio = (cells / np.maximum(clusters, 1e-3))[clusters > 1.0]
    error = float(ratio.std()) / math.sqrt(ratio.size)
    yield Check(
        group, "energy of the cells over that of the clusters, 2 GeV", 1.0, float(ratio.mean()), error, 0.03,
        "shared; less what stays below 100 MeV",
    )  # fmt: skip
    yield Check(
        group, "least energy of a cell [GeV]", 0.1, float(shots.batch["tc.energy_gev"].min()), 0.0, 0.005,
        "TSIM: threshold of 100 MeV",
    )  # fmt: skip
    for p, expected, tolerance in ((0.25, 0.0, 0.0), (0.3, 0.72, 0.05), (1.0, 0.89, 0.05)):
        found = gun(-13, p, 90.0, mass=MUON, trigger=True).has("trk2d")
        yield share(
            group,
            f"2D tracks of {p:g} GeV muons",
            found,
            expected,
            "turn-on at 34 steps; two tracks 79 +- 5 % (Belle II 2018)",
            tolerance,
        )
    shots = gun(13, 2.0, 80.0, mass=MUON, trigger=True)
    fired, offline = shots.has("klm_track_sectors"), shots.batch["tracks.klm_layers"] >= 4
    should = np.zeros(gun.events, dtype=np.bool_)
    should[shots.rows("tracks")[offline]] = True
    yield Check(
        group,
        "events where KLM sector and track disagree",
        0.0,
        float(np.mean(fired != should)),
        0.0,
        0.0,
        "one event",
    )
