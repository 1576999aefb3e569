"""The language of decay chains: what it accepts conserves momentum, what it refuses it refuses by name."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daq.errors import InputError
from daq.source.catalogue import load_process
from daq.source.decay import Point, grow
from daq.source.species import COLLISION, TABLE, load_table, parse_decay, standard_model
from tests.daq.source.chains import FRAME, chain_settings, make

SQRT_S = FRAME.sqrt_s_gev
GOOD = """
title = "e+ e- -> gamma X, X -> mu+ mu- or pi+ pi-"
sampler = "decay_chain"
source = "a test"
particle = "X"
coupling = "eps"
decays = [
    { decay = "e+ e- -> gamma X", angle = "radiative" },
    { decay = "X -> mu+ mu-", fraction = 0.5 },
    { decay = "X -> pi+ pi-", fraction = 0.4 },
]

[particles]
X = { mass_gev = 1.0, ctau_cm = 1.0 }
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"X -> mu+ mu-"', '"X -> mu+ mew-"', ("X -> mu+ mew-", "no particle is called mew-", "did you mean")),
        ('"X -> mu+ mu-"', '"X mu+ mu-"', ("X mu+ mu-", "must read")),
        ('"X -> mu+ mu-"', '"X -> "', ("X ->", "must read")),
        ('"X -> mu+ mu-"', '"X -> mu+"', ("two or three products, has 1",)),
        ('"X -> mu+ mu-"', '"X -> mu+ mu- pi+ pi-"', ("two or three products, has 4",)),
        ('"X -> mu+ mu-"', '"X -> mu+ mu+"', ("X -> mu+ mu+", "charge 0 cannot become 2")),
        ("X -> pi+ pi-", "X -> mu- mu+", ("X -> mu- mu+", "listed twice")),
        ("X -> pi+ pi-", "Y -> pi+ pi-", ("no particle is called Y",)),
        ("X -> pi+ pi-", "D0 -> pi+ pi-", ("D0 -> pi+ pi-", "never reached")),
        ("fraction = 0.5", "fraction = 0.7", ("fraction", "1.1", "X must sum to at most 1")),
        ("fraction = 0.5", "fraction = -0.5", ("X -> mu+ mu-", "fraction", "-0.5", "above 0 and at most 1")),
        ("fraction = 0.5", "fraction = 1.5", ("fraction", "1.5", "above 0 and at most 1")),
        (", fraction = 0.5", "", ("X -> mu+ mu-", "must be given", "several decays")),
        ("fraction = 0.5", 'fraction = "dark_photon_mumo"', ("dark_photon_mumo", "did you mean dark_photon_mumu")),
        ("mass_gev = 1.0", "mass_gev = 0.25", ("X -> pi+ pi-", "closed", "0.25 GeV")),
        ("mass_gev = 1.0", "mass_gev = 11.0", ("e+ e- -> gamma X", "below the collision energy", "11")),
        ("mass_gev = 1.0", "mass_gev = -1.0", ("particles.X", "mass_gev", "-1.0", "greater than or equal to 0")),
        ("mass_gev = 1.0", "mass_gev = inf", ("mass_gev", "finite")),
        ("ctau_cm = 1.0", "ctau_cm = -1.0", ("ctau_cm", "-1.0", "greater than or equal to 0")),
        ("ctau_cm = 1.0", "width_gev = -0.1", ("width_gev", "-0.1", "greater than or equal to 0")),
        ("ctau_cm = 1.0", 'lifetime = "dark_foton"', ("dark_foton", "did you mean dark_photon")),
        ("ctau_cm = 1.0", "ctau = 1.0", ("ctau", "did you mean ctau_cm")),
        ('"radiative"', '"radiativ"', ("radiativ", "did you mean radiative")),
        ('"radiative"', "[0.1, 1.0, 0.0]", ("angle", "not negative between -1 and 1")),
        ('"radiative"', "[0.0, 0.0, 0.0]", ("angle", "not 0 throughout")),
        ('"radiative"', '"flat", matrix_element = "vector_fsr"', ("vector_fsr", "three products")),
        ('"radiative"', '"flat", matrix_element = "vektor"', ("vektor", "is not known")),
        ("fraction = 0.5 }", 'fraction = 0.5, angle = "fermion_pair" }', ("fermion_pair", 'a decay of "e+ e-"')),
        ('"e+ e- -> gamma X"', '"e+ e- -> X gamma"', ("radiative", "gamma as the first product")),
        ('particle = "X"', 'particle = "Z"', ("particle", "'Z'", "not in [particles]")),
        ('coupling = "eps"', 'coupling = "epsilon"', ("coupling", "epsilon", "did you mean eps")),
        ('coupling = "eps"', 'cross_section = "magic"', ("cross_section", "magic", "is not known")),
        ('coupling = "eps"', "acceptance_deg = [90.0, 30.0]", ("acceptance_deg", "must rise")),
        ('coupling = "eps"', 'colour = "red"', ("colour", "unknown key")),
        ("X = {", '"mu-" = {', ("mu-", "must be a new name")),
        ("[particles]", "[couplings]\nalfa_D = 0.1\n[particles]", ("[couplings]", "alfa_D", "did you mean alpha_D")),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path, old, new, words):
    """One line with file, key, value and rule."""
    from daq.source.catalogue import what_process

    assert old in GOOD
    path = tmp_path / "signal.toml"
    path.write_text(GOOD)
    assert what_process(path).startswith("a signal")
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        what_process(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("decays", "particles", "words"),
    [
        (["e+ e- -> X Y", "X -> Y Y", "Y -> gamma gamma"], {"X": 3.0, "Y": 1.0}, None),
        (["e+ e- -> X gamma", "X -> Y Y Y"], {"X": 3.0, "Y": 1.0}, "closed"),
        (["e+ e- -> Z"], {"Z": 12.0}, "above the collision energy"),
        (["e+ e- -> e+ e- X"], {"X": 1.0}, None),
    ],
)
def test_kinematics_decide(decays, particles, words):
    """A decay is open, or refused; equal masses on both sides are closed."""
    tables = chain_settings(
        [{"decay": decay} for decay in decays], particles={n: {"mass_gev": m} for n, m in particles.items()}
    )
    point = Point(particles, {}, [1.0] * len(decays))
    if words is None:
        assert grow(tables, point, SQRT_S).species[COLLISION].mass_gev == SQRT_S
    else:
        with pytest.raises(InputError, match=words):
            grow(tables, point, SQRT_S)


@pytest.mark.parametrize(
    ("decay", "words"),
    [
        ({"decay": "e+ e- -> e+ e- X", "matrix_element": "vector_fsr"}, "two charged leptons first, one not e"),
        ({"decay": "e+ e- -> X mu+ mu-", "matrix_element": "vector_fsr"}, "two charged leptons first"),
        ({"decay": "e+ e- -> mu+ mu- X", "matrix_element": "dipion"}, "needs the decay of a particle"),
        ({"decay": "e+ e- -> mu+ mu- X", "angle": "sin2"}, "two products"),
        ({"decay": "e+ e- -> X X", "angle": "magic"}, "is not known"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(decay, words):
    """An angle wants two products, a matrix element three of the right kind."""
    with pytest.raises(InputError, match=words):
        grow(chain_settings([decay], particles={"X": {"mass_gev": 1.0}}), Point({"X": 1.0}, {}, [1.0]), SQRT_S)


@pytest.mark.parametrize(
    ("collision", "rest", "words"),
    [
        ("e+ e- -> X X X", {"acceptance_deg": [10.0, 170.0]}, "acceptance_deg"),
        ("e+ e- -> Upsilon(4S)", {"acceptance_deg": [10.0, 170.0]}, "acceptance_deg"),
        ("e+ e- -> Upsilon(4S)", {"isr": True}, "resonance"),
    ],
)
def test_keys_that_would_change_nothing_are_refused(collision, rest, words):
    """An acceptance belongs to two products; a resonance has its energy already."""
    with pytest.raises(InputError, match=words):
        make([{"decay": collision}], 1, particles={"X": {"mass_gev": 1.0}}, **rest)


def test_a_virtual_photon_needs_one_that_is_too_heavy():
    """chi2 -> chi1 e e by a virtual A' asks for its mass, and refuses one that could be real."""
    decays = [{"decay": "e+ e- -> X Y"}, {"decay": "X -> Y e+ e-", "matrix_element": "virtual_photon"}]
    two = {"X": {"mass_gev": 3.0}, "Y": {"mass_gev": 1.0}}
    with pytest.raises(InputError, match="needs a particle that is called A'"):
        make(decays, 1, particles=two)
    with pytest.raises(InputError, match="would be real"):
        make(decays, 1, particles=two | {"A'": {"mass_gev": 1.5}})
    assert len(make(decays, 3, particles=two | {"A'": {"mass_gev": 2.5}})) == 3


def test_fractions_weight_what_is_generated():
    """Modes come as fraction times what their products do; the total is the share of the production."""
    decays = [
        {"decay": "e+ e- -> X gamma", "fraction": 0.5},
        {"decay": "e+ e- -> Y gamma", "fraction": 0.5},
        {"decay": "X -> mu+ mu-", "fraction": 0.2},
        {"decay": "Y -> pi+ pi-", "fraction": 0.5},
        {"decay": "Y -> e+ e-", "fraction": 0.1},
    ]
    particles = {"X": {"mass_gev": 1.0}, "Y": {"mass_gev": 1.0}}
    tables = chain_settings(decays, particles=particles)
    tree = grow(tables, Point({"X": 1.0, "Y": 1.0}, {}, [0.5, 0.5, 0.2, 0.5, 0.1]), SQRT_S)
    assert math.isclose(tree.fractions[COLLISION], 0.5 * 0.2 + 0.5 * 0.6)
    codes = make(decays, 40_000, particles=particles).pdg
    shares = np.array([np.mean(codes == code) for code in (13, -211, 11)]) * 3
    assert np.allclose(shares, np.array([0.1, 0.25, 0.05]) / 0.4, atol=5 * 0.5 / 200)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('anti = "e+", pdg = 11', 'anti = "e+", pdg = 11.5'), ("particles", "pdg")),
        (('name = "omega"', 'name = "phi"'), ("phi", "listed twice")),
        (("eta -> gamma gamma", "eta -> gamma gama"), ("eta -> gamma gama", "no particle is called gama")),
        (("eta -> gamma gamma", "eta -> gamma pi+"), ("charge",)),
        (("eta -> gamma gamma", "eta -> rho0 gamma"), ("closed",)),
    ],
)
def test_wrong_tables_are_refused(tmp_path, change, words):
    """The table of particles is checked like any file."""
    path = tmp_path / "particles.toml"
    path.write_text(TABLE.read_text().replace(*change, 1))
    with pytest.raises(InputError) as error:
        load_table(path)
    assert str(error.value).startswith(str(path))
    for word in words:
        assert word in str(error.value)


def test_table_is_whole():
    """Antiparticles mirror particles; fractions of the table are scaled to 1; masses are those of the facts."""
    model = standard_model()
    for kind in model.species.values():
        anti = model.species[kind.anti]
        assert (anti.mass_gev, anti.charge, anti.pdg) == (kind.mass_gev, -kind.charge, kind.anti_pdg)
    for parent, modes in model.decays.items():
        assert math.isclose(sum(mode.fraction for mode in modes), 1.0), parent
        assert parent in {anti.anti for anti in model.species.values()}
    facts = {
        "K_S0": 0.497611, "Lambda": 1.115683, "pi0": 0.134977, "eta": 0.547862, "phi": 1.01946, "J/psi": 3.09690,
        "D0": 1.86484, "K*0": 0.8955, "B+": 5.27941, "B0": 5.27972, "Upsilon(1S)": 9.4604, "Upsilon(2S)": 10.0234,
        "Upsilon(3S)": 10.3551, "Upsilon(4S)": 10.5794, "tau-": 1.77693,
    }  # fmt: skip
    assert {name: model.mass_gev(name) for name in facts} == facts
    assert (model.species["K_S0"].ctau_cm, model.species["Lambda"].ctau_cm) == (2.684, 7.89)


@settings(max_examples=60)
@given(st.text(alphabet="eX+->' \t", max_size=20))
def test_any_text_parses_or_is_refused(text):
    """Nothing but ``ValueError`` comes out, and what parses has a parent and products."""
    try:
        parent, products = parse_decay(text)
    except ValueError:
        return
    assert parent
    assert products


# ---- random chains

SM_PRODUCTS = (
    ("mu+", "mu-"),
    ("pi+", "pi-", "pi0"),
    ("gamma", "gamma"),
    ("K_S0", "K_S0"),
    ("tau+", "tau-"),
    ("nu_e", "gamma"),
)
SPECIES = standard_model().species


@st.composite
def random_chains(draw):
    """Draw a chain of new particles of random masses, each decay open by a margin, in decays of two and three."""
    particles, decays = {}, []

    def grow_below(parent, mass, depth):
        known = [p for p in SM_PRODUCTS if sum(SPECIES[name].mass_gev for name in p) < 0.999 * mass]
        if depth == 0 or mass < 0.3 or not draw(st.booleans()):
            if parent == COLLISION or (known and draw(st.booleans())):
                decays.append({"decay": f"{parent} -> {' '.join(draw(st.sampled_from(known)))}"})
            return
        shares = draw(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=3))
        left = mass * draw(st.sampled_from((0.3, 0.9, 0.999999)))
        names = []
        for share in shares:
            name = f"n{len(particles)}"
            particles[name] = {"mass_gev": left * share / sum(shares), "ctau_cm": draw(st.sampled_from((0.0, 1.0)))}
            names.append(name)
        decays.append({"decay": f"{parent} -> {' '.join(names)}"})
        for name in names:
            grow_below(name, particles[name]["mass_gev"], depth - 1)

    grow_below(COLLISION, SQRT_S, 3)
    return particles, decays


@settings(max_examples=60, deadline=None)
@given(random_chains(), st.booleans(), st.booleans())
def test_random_chains_conserve_momentum(chain, isr, conjugate):
    """Any tree of open decays generates, conserves four-momentum to 1e-9 and keeps every new particle on its shell."""
    particles, decays = chain
    ctaus = {name: row["ctau_cm"] for name, row in particles.items()}
    events = make(decays, 50, particles=particles, ctaus=ctaus, isr=isr, conjugate=conjugate)
    total = FRAME.to_lab @ [0, 0, 0, SQRT_S]
    for component, beams in zip(("px", "py", "pz", "energy"), total, strict=True):
        sums = np.add.reduceat(getattr(events, component), events.offsets[:-1])
        assert np.abs(sums - beams).max() < 1e-9
    squared = events.energy**2 - events.px**2 - events.py**2 - events.pz**2
    for i, name in enumerate(particles):
        own = events.pdg == 9_900_001 + i
        shell = particles[name]["mass_gev"] ** 2
        assert np.all(np.abs(squared[own] - shell) < 1e-9 * (1 + events.energy[own] ** 2))


@settings(max_examples=60, deadline=None)
@given(random_chains(), st.sampled_from(("closed", "unknown", "charge", "twice", "fractions")), st.data())
def test_broken_random_chains_are_refused(chain, fault, data):
    """Whichever decay is broken, the error names it."""
    particles, decays = chain
    number = data.draw(st.integers(0, len(decays) - 1))
    parent, products = parse_decay(decays[number]["decay"])
    broken = list(decays)
    if fault == "closed":
        heavy = max((p for p in products if p in particles), default=None)
        if heavy is None:
            return
        particles = particles | {heavy: {"mass_gev": 11.0}}
    elif fault == "unknown":
        broken[number] = {"decay": f"{parent} -> {products[0]} unobtainium"}
    elif fault == "charge":
        broken[number] = {"decay": f"{parent} -> pi+ gamma"}
    elif fault == "twice":
        broken.append(decays[number])
    else:
        broken[number] = decays[number] | {"fraction": 1.1}
    with pytest.raises(InputError) as error:
        make(broken, 1, particles=particles)
    named = {"closed": "closed", "unknown": "unobtainium", "charge": "charge", "twice": "twice", "fractions": parent}
    assert named[fault] in str(error.value)


def test_files_without_decays_or_not_toml(tmp_path: Path):
    """An empty list of decays, a missing one, no TOML: one line each."""
    path = tmp_path / "x.toml"
    for text, words in (
        ('title = "t"\nsampler = "decay_chain"\nsource = "s"\n', "decays: must be given"),
        ('title = "t"\nsampler = "decay_chain"\nsource = "s"\ndecays = []\n', "decays"),
        ("title = ", "not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            load_process(path)
