"""Identification: the quoted efficiencies with the quoted mis-identification rates, and the KLM behind it."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from daq.event import EventBatch
from daq.source.response.numbers import Identification
from tests.daq.source.guns import N, shoot

MASSES = {11: 0.511e-3, 13: 0.10566, 211: 0.13957, 321: 0.49368, 2212: 0.93827}
NAMES = ("e", "mu", "pi", "k", "p")


def ratio(pdg: int, name: str, momentum: float, theta: float = 60.0, n: int = 4 * N):
    """Return the likelihood of a hypothesis over its sum with the pion's, for true particles of a kind."""
    batch, _ = shoot(pdg, momentum, theta, mass=MASSES[pdg], n=n)
    likelihood, pion = batch[f"tracks.pid_{name}"].astype(float), batch["tracks.pid_pi"].astype(float)
    return likelihood / (likelihood + pion)


def likelihoods(batch: EventBatch):
    return np.stack([batch[f"tracks.pid_{name}"] for name in NAMES])


@pytest.mark.parametrize(
    ("pdg", "name", "cut", "efficiency", "rate"),
    [(11, "e", 0.949, 0.86, 0.004), (13, "mu", 0.567, 0.90, 0.07), (321, "k", 0.596, 0.90, 0.06)],
)
def test_quoted_working_points(pdg, name, cut, efficiency, rate):
    """Electron 86 % / 0.4 %, muon 90 % / 7 %, kaon 90 % / 6 %: one cut has both (S4 of the physics sheet)."""
    for true, expected in ((pdg, efficiency), (211, rate)):
        selected = ratio(true, name, 2.0) > cut
        assert abs(selected.mean() - expected) < 5 * math.sqrt(expected * (1 - expected) / selected.size)


def test_separations_follow_from_the_quoted_numbers():
    """Quantile of the efficiency plus that of one minus the rate."""
    numbers = Identification()
    assert math.isclose(numbers.electron, norm.ppf(0.86) + norm.ppf(0.996), rel_tol=1e-4)
    assert math.isclose(numbers.muon, norm.ppf(0.90) + norm.ppf(0.93), rel_tol=1e-4)
    assert math.isclose(numbers.kaon, norm.ppf(0.90) + norm.ppf(0.94), rel_tol=1e-4)


def test_likelihoods_are_shares():
    """They are positive and sum to 1, and the right one is the largest, for pions with four rivals least often."""
    for index, pdg in enumerate(MASSES):
        shares = likelihoods(shoot(pdg, 2.0, 60.0, mass=MASSES[pdg])[0])
        assert np.allclose(shares.sum(axis=0), 1, atol=1e-6)
        assert shares.min() >= 0
        assert np.mean(shares.argmax(axis=0) == index) > 0.7


def test_likelihoods_say_what_is_known():
    """A hypothesis of likelihood p is right in a share p of tracks drawn with equal numbers: they are calibrated."""
    batches = [shoot(pdg, 2.0, 60.0, mass=MASSES[pdg], n=3 * N)[0] for pdg in MASSES]
    size = min(len(batch["tracks.pid_k"]) for batch in batches)
    stated = np.concatenate([batch["tracks.pid_k"][:size] for batch in batches])
    is_kaon = np.repeat(np.arange(5) == 3, size)
    for low, high in ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9)):
        chosen = (stated > low) & (stated < high)
        assert abs(is_kaon[chosen].mean() - stated[chosen].mean()) < 5 * 0.5 / math.sqrt(np.count_nonzero(chosen))


def test_separation_has_its_range():
    """Muons need the KLM's threshold; kaons are told less well at high momentum, and outside of TOP and ARICH."""
    assert np.all(ratio(13, "mu", 0.5, n=N) == 0.5)
    powers = [np.mean(ratio(321, "k", p, theta, n=N) > 0.5) for p, theta in ((2.0, 60.0), (5.0, 60.0), (2.0, 135.0))]
    assert powers[0] > powers[1] > 0.5
    assert powers[0] > powers[2] > 0.5


def test_klm_layers_need_momentum_and_acceptance():
    """Muons reach the KLM from 0.6 GeV on and at 20-155 degrees, 95 % of them; hadrons in 5 %; the plateau is 1 GeV."""
    layers = {p: shoot(13, p, 80.0, mass=0.10566)[0]["tracks.klm_layers"] for p in (0.5, 0.75, 1.5)}
    assert not layers[0.5].any()
    assert 0 < np.median(layers[0.75]) < np.median(layers[1.5])
    assert np.median(layers[1.5]) >= 8
    assert abs(np.mean(layers[1.5] > 0) - 0.95) < 0.02
    assert abs(np.mean(shoot(211, 1.5, 80.0, mass=0.13957)[0]["tracks.klm_layers"] > 0) - 0.05) < 0.02
    assert not shoot(13, 3.0, 18.5, mass=0.10566)[0]["tracks.klm_layers"].any()


def test_klm_hits_and_muon_likelihood_go_together():
    """Pions that look like muons are those with hits in the KLM."""
    batch, _ = shoot(211, 2.0, 60.0, mass=0.13957)
    hit = batch["tracks.klm_layers"] > 0
    assert batch["tracks.pid_mu"][hit].mean() > 0.4
    assert batch["tracks.pid_mu"][~hit].mean() < 0.15
