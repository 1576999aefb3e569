"""Decay chains as text: what a process file may say, and the checked tree of its decays.

A chain begins with the collision, ``e+ e-``, and follows its products through the decays that the file lists::

    decays = [
        { decay = "e+ e- -> A' h'", angle = "higgsstrahlung" },
        { decay = "A' -> chi1 chi2" },
        { decay = "chi2 -> chi1 e+ e-", matrix_element = "virtual_photon" },
        { decay = "h' -> mu+ mu-", fraction = 0.3 },
        { decay = "h' -> pi+ pi-", fraction = 0.4 },
    ]

A particle whose decays are not listed decays as in configs/particles.toml, or it is final. Listed fractions are
branching fractions: what they lack to 1 is not generated, and lowers the rate. docs/signals.md explains every key;
`daq.source.compiled` turns a tree into the arrays of the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from daq.errors import InputError
from daq.settings import Settings
from daq.source.fsr import FSR
from daq.source.pair_weights import PAIR_NEEDS, PAIR_WEIGHTS
from daq.source.species import (
    COLLISION,
    Decay,
    Species,
    check_decay,
    check_open,
    closest,
    parse_decay,
    standard_model,
)

ON_RESONANCE_GEV = 0.02
"""Within this distance of its mass the collision makes a resonance at rest; above, with a photon (radiative return)."""
NEW_PDG = 9_900_001  # codes that are free for users, one for each new particle
COLLISION_ANGLES = ("radiative", "higgsstrahlung", "fermion_pair")
ANGLES = ("flat", "1+cos2", "sin2", "cos2", *COLLISION_ANGLES)
_CHARGED_LEPTONS = (11, 13, 15)
_WIDTHS_BELOW = 5  # a wide particle is made down to this many widths below its mass, and above its threshold


class DecaySettings(Settings):
    """One decay of a process file."""

    decay: str
    """``parent -> product product [product]``, at blanks; the first product carries the angle."""
    fraction: float | str | None = None
    """Branching fraction, or the name of a formula; 1 for an only decay if not given."""
    angle: str | tuple[float, float, float] = "flat"
    """Distribution of the cosine of the first product: a name, or a0, a1, a2 of a0 + a1 c + a2 c^2."""
    axis: Literal["helicity", "beam"] = "helicity"
    """What the angle is measured from, in the rest frame of the parent: its own flight, or the electron beam."""
    matrix_element: str | None = None
    """Name of a three-body matrix element; phase space if not given."""


class NewParticle(Settings):
    """A particle that is in no table: neutral, its own antiparticle, invisible unless it decays."""

    mass_gev: float = Field(ge=0, allow_inf_nan=False)
    """Mass if the run gives none [GeV]."""
    ctau_cm: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Proper decay length if nothing else gives one [cm]; 0 if not given."""
    lifetime: str | None = None
    """Name of the formula of the total width, used where the couplings are known."""
    width_gev: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Full width of a Breit-Wigner curve that the mass is drawn from [GeV]; such a particle does not fly."""
    pdg: int | None = None
    """Code in the particle list; 9900001 and up if not given."""


class ChainSettings(Settings):
    """A process file with ``sampler = "decay_chain"``: a signal or a Standard Model process as a chain."""

    title: str
    sampler: Literal["decay_chain"]
    source: str
    """Where the model, its rate and its angles come from, and what is approximate."""
    decays: tuple[DecaySettings, ...] = Field(min_length=1)
    particles: dict[str, NewParticle] = Field(default_factory=dict)
    """The new particles."""
    particle: str | None = None
    """The new particle that ``mass_gev`` and ``ctau_cm`` of a run, and the truth columns, are about."""
    cross_section: str | None = None
    """Name of the formula of the production cross-section."""
    cross_section_nb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Instead of a formula, for a process of the Standard Model: that of the events that are generated [nb]."""
    coupling: str | None = None
    """Name of what a run gives as ``coupling``."""
    couplings: dict[str, float] = Field(default_factory=dict)
    """Other couplings that formulas take, with the values used if the run gives none."""
    acceptance_deg: tuple[float, float] = (0.0, 180.0)
    """Polar angles of the first of two products of the collision, where what initial-state radiation leaves rests."""
    isr: bool = False
    """Whether a photon is radiated in the initial state."""
    conjugate: bool = False
    """Half of the events are charge-conjugated; a rate from formulas then counts both."""

    @property
    def is_standard(self) -> bool:
        """Whether this is a process of the Standard Model with its rate in the file: no new particle, no coupling."""
        has_formula = self.cross_section is not None and self.coupling is None
        return not self.particles and (has_formula or self.cross_section_nb is not None)


@dataclass(frozen=True, slots=True)
class Point:
    """The values of what a process file leaves open."""

    masses_gev: Mapping[str, float]
    """Of all new particles."""
    ctaus_cm: Mapping[str, float]
    fractions: Sequence[float]
    """Of the decays, in the order of the file; 0 drops a decay."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checked chain: what can become of what. Each mapping is by the name of a particle that can occur."""

    species: dict[str, Species]
    """The collision is the first."""
    decays: dict[str, tuple[Decay, ...]]
    """Open decays; none of a particle that is final."""
    fractions: dict[str, float]
    """The product of the branching fractions below a particle: the share of its decays that is generated."""
    masses_min_gev: dict[str, float]
    """Least mass with which a particle can do all that it does."""
    slots: dict[str, int]
    """Most particles that one particle can become, all generations and itself."""


def check_chain(settings: ChainSettings, file: Path | None = None) -> list[tuple[str, tuple[str, ...]]]:
    """Return parent and products of each decay of a process file, having checked all that masses do not decide.

    Raises
    ------
    InputError
        With file, key, value and rule: an unknown particle, angle or matrix element, one that does not fit its decay,
        a decay that is listed twice, breaks charge or is never reached.
    """
    for name in settings.particles:
        if name in standard_model().species or name == COLLISION or " " in name or name == "->":
            raise InputError("must be a new name without blanks", file=file, key="[particles]", value=name)
    low, high = settings.acceptance_deg
    if not 0 <= low < high <= 180:
        raise InputError("must rise within 0 and 180", file=file, key="acceptance_deg", value=settings.acceptance_deg)
    if settings.particle is not None and settings.particle not in settings.particles:
        rule = closest(settings.particle, settings.particles, "is not in [particles]")
        raise InputError(rule, file=file, key="particle", value=settings.particle)
    species = _species(settings, {name: row.mass_gev for name, row in settings.particles.items()}, {}, 0.0)
    found: list[tuple[str, tuple[str, ...]]] = []
    for row in settings.decays:
        try:
            parent, products = _checked(row, species)
        except ValueError as error:
            raise InputError(str(error), file=file, key="decays decay", value=row.decay) from None
        if (parent, sorted(products)) in [(p, sorted(q)) for p, q in found]:
            raise InputError("listed twice", file=file, key="decays decay", value=row.decay)
        found.append((parent, products))
    reached = _reached(found)
    for row, (parent, _) in zip(settings.decays, found, strict=True):
        if parent not in reached:
            raise InputError(f"never reached: nothing makes {parent}", file=file, key="decays decay", value=row.decay)
    sizes = {len(products) for parent, products in found if parent == COLLISION}
    if settings.isr and 1 in sizes:
        raise InputError("a resonance is made without initial-state radiation", file=file, key="isr", value=True)
    if settings.acceptance_deg != (0.0, 180.0) and sizes != {2}:
        rule = "needs a collision with two products"
        raise InputError(rule, file=file, key="acceptance_deg", value=settings.acceptance_deg)
    return found


def grow(settings: ChainSettings, point: Point, sqrt_s_gev: float, file: Path | None = None) -> Tree:
    """Return the tree of a chain at a point of its parameters.

    Raises
    ------
    InputError
        As `check_chain`; if a decay with a fraction is closed, fractions of one particle sum to more than 1, a particle
        decays in a circle, or nothing is left to generate.
    """
    listed = check_chain(settings, file)
    species = _species(settings, point.masses_gev, point.ctaus_cm, sqrt_s_gev)
    own: dict[str, list[Decay]] = {}
    for row, (parent, products), fraction in zip(settings.decays, listed, point.fractions, strict=True):
        own.setdefault(parent, [])
        if fraction == 0:
            continue
        decay = Decay(parent, products, fraction, row.angle, row.axis, row.matrix_element)
        try:
            if parent == COLLISION and len(products) == 1:
                decay = _resonance(decay, species)
            if len(decay.products) > 1:
                check_open(parent, decay.products, species)
        except ValueError as error:
            raise InputError(str(error), file=file, key="decays decay", value=row.decay) from None
        own[parent].append(decay)
    for parent, modes in own.items():
        total = math.fsum(mode.fraction for mode in modes)
        if not 0 < total <= 1 + 1e-9:
            none = f"no decay of {parent} is left: each is closed, or has the fraction 0"
            rule = f"the fractions of {parent} must sum to at most 1" if total else none
            raise InputError(rule, file=file, key="decays fraction", value=total)
    tree = Tree({}, {}, {}, {}, {})
    _visit(COLLISION, (), species, {**standard_model().decays, **own}, tree, file)
    return tree


def _visit(
    name: str, above: tuple[str, ...], species: Mapping[str, Species], decays: Mapping[str, Sequence[Decay]],
    tree: Tree, file: Path | None,
) -> None:  # fmt: skip
    """Enter a particle and all below it into the tree."""
    if name in above:
        raise InputError("decays in a circle", file=file, key="decays decay", value=" -> ".join((*above, name)))
    if name in tree.fractions:
        return
    one, modes = species[name], tuple(decays.get(name, ()))
    tree.species[name], tree.decays[name] = one, modes
    for mode in modes:
        for product in mode.products:
            _visit(product, (*above, name), species, decays, tree, file)
    lightest = one.mass_gev if one.width_gev == 0 else max(0.0, one.mass_gev - _WIDTHS_BELOW * one.width_gev)
    needed = [sum(tree.masses_min_gev[product] for product in mode.products) for mode in modes]
    tree.masses_min_gev[name] = lightest if one.width_gev == 0 else max([lightest, *needed])
    tree.fractions[name] = sum(share_of(mode, tree) for mode in modes) if modes else 1.0
    tree.slots[name] = 1 + max((sum(tree.slots[product] for product in mode.products) for mode in modes), default=0)


def share_of(mode: Decay, tree: Tree) -> float:
    """Return the share of a parent's decays that go by this mode and are generated to the end."""
    return mode.fraction * math.prod(tree.fractions[product] for product in mode.products)


def _species(
    settings: ChainSettings, masses_gev: Mapping[str, float], ctaus_cm: Mapping[str, float], sqrt_s_gev: float
) -> dict[str, Species]:
    """Return all particles that the chain may name, with the collision."""
    species = dict(standard_model().species)
    species[COLLISION] = Species(COLLISION, COLLISION, 0, 0, 0, sqrt_s_gev)
    for number, (name, row) in enumerate(settings.particles.items()):
        pdg = NEW_PDG + number if row.pdg is None else row.pdg
        ctau = ctaus_cm.get(name, 0.0)
        species[name] = Species(name, name, pdg, pdg, 0, masses_gev[name], ctau, row.width_gev)
    return species


def _resonance(decay: Decay, species: dict[str, Species]) -> Decay:
    """Make the one product at rest with the energy of the collision, or, if that is above its mass, with a photon."""
    (name,) = decay.products
    one, available = species[name], species[COLLISION].mass_gev
    if abs(available - one.mass_gev) <= ON_RESONANCE_GEV:
        species[name] = replace(one, mass_gev=available, width_gev=0.0)
        return decay
    if available < one.mass_gev:
        raise ValueError(f"closed: a mass of {one.mass_gev:g} GeV is above the collision energy, {available:.3f} GeV")
    return replace(decay, products=("gamma", name), angle="radiative")


def _reached(decays: Sequence[tuple[str, tuple[str, ...]]]) -> set[str]:
    """Return all particles that the decays and those of the table can make from the collision."""
    listed = {parent for parent, _ in decays}
    edges = [*decays]
    for parent, modes in standard_model().decays.items():
        edges += [(parent, mode.products) for mode in modes if parent not in listed]
    reached, before = {COLLISION}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {product for parent, products in edges if parent in reached for product in products}
    return reached


def _checked(row: DecaySettings, species: Mapping[str, Species]) -> tuple[str, tuple[str, ...]]:
    """Return parent and products of one decay; raise ``ValueError`` if it is wrong at any masses."""
    parent, products = parse_decay(row.decay)
    check_decay(parent, products, species)
    _check_shape(row, parent, [species[name] for name in products])
    if (needed := PAIR_NEEDS.get(row.matrix_element or "", parent)) not in species:
        raise ValueError(f"matrix_element {row.matrix_element!r} needs a particle that is called {needed}")
    return parent, products


def _check_shape(row: DecaySettings, parent: str, products: Sequence[Species]) -> None:
    """Raise ``ValueError`` if the angle or the matrix element does not exist or does not fit the decay."""
    of_collision, is_fsr = parent == COLLISION, row.matrix_element in FSR
    if row.matrix_element is not None:
        if not is_fsr and row.matrix_element not in PAIR_WEIGHTS:
            rule = f"matrix_element {row.matrix_element!r} is not known"
            raise ValueError(closest(row.matrix_element, (*FSR, *PAIR_WEIGHTS), rule))
        if len(products) != 3 or is_fsr != of_collision:
            needs = f'a decay of "{COLLISION}"' if is_fsr else "the decay of a particle"
            raise ValueError(f"matrix_element {row.matrix_element!r} needs {needs} with three products")
        if is_fsr and not _is_lepton_pair(products):
            raise ValueError(f"matrix_element {row.matrix_element!r} needs two charged leptons first, one not e, and X")
    if row.angle == "flat":
        return
    if len(products) != 2:
        raise ValueError("an angle needs a decay with two products")
    if isinstance(row.angle, str):
        if row.angle not in ANGLES:
            raise ValueError(closest(row.angle, ANGLES, f"angle {row.angle!r} is not known"))
        if row.angle in COLLISION_ANGLES and not of_collision:
            raise ValueError(f'angle {row.angle!r} needs a decay of "{COLLISION}"')
        if row.angle == "radiative" and products[0].name != "gamma":
            raise ValueError("angle 'radiative' needs gamma as the first product")
    elif not _is_density(row.angle):
        raise ValueError(f"angle {list(row.angle)} must be finite, not negative between -1 and 1, and not 0 throughout")


def _is_lepton_pair(products: Sequence[Species]) -> bool:
    """Tell whether the first two are charged leptons; with two electrons there would be a t channel."""
    codes = sorted(abs(one.pdg) for one in products[:2])
    return all(code in _CHARGED_LEPTONS for code in codes) and codes != [11, 11]


def _is_density(angle: tuple[float, float, float]) -> bool:
    """Tell whether a0 + a1 c + a2 c^2 is a density on [-1, 1]."""
    a0, a1, a2 = angle
    if not all(math.isfinite(a) for a in angle) or not any(angle):
        return False
    places = [-1.0, 1.0] + ([-0.5 * a1 / a2] if a2 and abs(a1) <= 2 * abs(a2) else [])
    return all(a0 + a1 * c + a2 * c * c >= 0 for c in places)
