"""A search file is checked when it is read; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from daq.errors import InputError
from daq.settings import CONFIGS
from offline.search import Search, find, load_search

FILE = CONFIGS / "searches" / "alp_three_photon.toml"


def test_the_committed_search_is_valid(search: Search):
    """Each mass has one range, with the published orders and observables."""
    assert [search.range_of(mass) for mass in (0.2, 0.499, 0.5, 3.99, 4.0, 6.84, 6.85, 9.7)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [mass_range.background_order for mass_range in search.ranges] == [2, 4, 4, 5]
    assert search.cuts(0)[-1] == "photon_energy_min_gev > 1.0"
    assert search.cuts(2)[-1] == "photon_energy_min_gev > 0.65"
    with pytest.raises(InputError, match="mass_gev = 10"):
        search.range_of(10.0)


def test_a_search_is_found_by_name_or_path():
    """A bare name means the file in configs/searches."""
    assert find("alp_three_photon") == FILE
    assert find(FILE) == FILE
    with pytest.raises(InputError, match=r"search = 'nothing': no such search \(known: alp_three_photon"):
        load_search("nothing")
    with pytest.raises(InputError, match=r"nothing\.toml: no such file"):
        load_search("nothing.toml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("bins = 100", "bnis = 100", ["[scan] bnis = 100", "did you mean bins?"]),
        ("bins = 100", "bins = '100'", ["[scan] bins = '100'", "integer"]),
        ("bins = 100", "bins = 3", ["[scan] bins = 3", "greater than or equal to 10"]),
        ("level = 0.95", "level = 95", ["[method] level = 95", "less than 1"]),
        ('name = "profile_one_sided"', 'name = "guess"', ["[method] name = 'guess'"]),
        ('coupling = "alp_photon"', 'coupling = "alp"', ["coupling = 'alp'", "known: alp_photon"]),
        ("n_tracks = 0", "n_trakcs = 0", ["n_trakcs", "no such column", "n_tracks"]),
        ("n_tracks = 0", "n_tracks = = 0", ["n_tracks = = 0", "not a SQL expression"]),
        ("n_tracks = 0", "n_tracks + 1", ["n_tracks + 1", "must be true or false"]),
        ("mass_gev = [0.5, 4.0]", "mass_gev = [0.6, 4.0]", ["range 2", "must begin where range 1 ends"]),
        ("mass_gev = [0.5, 4.0]", "mass_gev = [4.0, 0.5]", ["mass_gev must be positive and rise"]),
        ("0.4, 0.5,", "0.4,", ["range 1", "shape_masses_gev"]),
        ("window_sigma = [-20.0, 30.0]", "window_sigma = [20.0, 30.0]", ["window_sigma"]),
        ("[0.5, 0.055]", "[0.1, 0.055]", ["efficiency: masses must rise"]),
        ('hlt = ["', 'hlt = []  # ["', ["[trigger] hlt"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: list[str]):
    """The refusal names the file, the key, the value and the rule."""
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "edited.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_search(path)
    for word in ["edited.toml", *words]:
        assert word in str(caught.value)


def test_systematics_are_linear_between_points(search: Search):
    """The efficiency error falls from 8 % at the lowest mass to 5.5 % from 0.5 GeV on."""
    assert search.systematics.at(0.2)[0] == pytest.approx(0.08)
    assert search.systematics.at(0.35)[0] == pytest.approx(0.0675)
    assert search.systematics.at(5.0)[0] == pytest.approx(0.055)
