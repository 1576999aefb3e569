"""The particles that decay chains may name: masses, lifetimes, widths, charges and default decays.

All numbers stand in configs/particles.toml. Decays of the table stand for all decays of their particle: their fractions
are weights and come out of here scaled to a sum of 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pydantic import Field

from daq.errors import InputError
from daq.settings import CONFIGS, Settings, load

TABLE = CONFIGS / "particles.toml"
COLLISION = "e+ e-"
"""Name of what every chain begins with: electron and positron in their CM frame."""


@dataclass(frozen=True, slots=True)
class Species:
    """One kind of particle."""

    name: str
    anti: str
    """Name of the antiparticle; of the particle itself if they are one."""
    pdg: int
    anti_pdg: int
    charge: int
    """In units of the positron's."""
    mass_gev: float
    ctau_cm: float = 0.0
    width_gev: float = 0.0
    """If not 0 the mass is drawn from a Breit-Wigner curve of this full width."""

    def conjugate(self) -> Species:
        """Return the antiparticle."""
        return replace(self, name=self.anti, anti=self.name, pdg=self.anti_pdg, anti_pdg=self.pdg, charge=-self.charge)


@dataclass(frozen=True, slots=True)
class Decay:
    """One decay mode: ``fraction`` of the decays of ``parent``."""

    parent: str
    products: tuple[str, ...]
    fraction: float
    angle: str | tuple[float, float, float] = "flat"
    axis: str = "helicity"
    matrix_element: str | None = None

    def __str__(self) -> str:
        return f"{self.parent} -> {' '.join(self.products)}"


class ParticleRow(Settings):
    """One row of the table."""

    name: str
    pdg: int
    charge: int
    mass_gev: float = Field(ge=0)
    anti: str | None = None
    ctau_cm: float = Field(default=0.0, ge=0)
    width_gev: float = Field(default=0.0, ge=0)


class DefaultDecay(Settings):
    """One default decay."""

    decay: str
    fraction: float = Field(gt=0)
    matrix_element: str | None = None


class ParticleTable(Settings):
    """The file."""

    particles: tuple[ParticleRow, ...] = Field(min_length=1)
    decays: tuple[DefaultDecay, ...] = ()


@dataclass(frozen=True, slots=True)
class StandardModel:
    """Species by name, and the default decays of those that decay."""

    species: Mapping[str, Species]
    decays: Mapping[str, tuple[Decay, ...]]

    def mass_gev(self, name: str) -> float:
        """Return the mass of a particle of the table."""
        return self.species[name].mass_gev


def parse_decay(text: str) -> tuple[str, tuple[str, ...]]:
    """Split ``parent -> product product [product]`` at blanks; raise ``ValueError`` if it is not of that form."""
    parent, arrow, products = (part.strip() for part in text.partition("->"))
    names = tuple(products.split())
    if not arrow or not parent or not names or "->" in names or (" " in parent and parent != COLLISION):
        raise ValueError(f'must read "parent -> product product"; the collision is "{COLLISION}"')
    return parent, names


def closest(name: str, known: Iterable[str], rule: str) -> str:
    """Return the rule for a name that nobody knows, with the nearest one that is known, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(names) or 'none'}"
    return f"{rule} ({hint})"


def load_table(path: Path = TABLE) -> StandardModel:
    """Read and check a table of particles.

    Raises
    ------
    InputError
        With file, key, value and rule: a name or PDG code twice, an unknown product, a decay that breaks charge or
        energy conservation.
    """
    table = load(path, ParticleTable)
    species: dict[str, Species] = {}
    for row in table.particles:
        anti, anti_pdg = (row.name, row.pdg) if row.anti is None else (row.anti, -row.pdg)
        numbers = row.mass_gev, row.ctau_cm, row.width_gev
        one = Species(row.name, anti, row.pdg, anti_pdg, row.charge, *numbers)
        for each in (one, one.conjugate()):
            if each.name in species and (row.anti is not None or each is one):
                raise InputError("listed twice", file=path, key="particles name", value=each.name)
            species[each.name] = each
    decays: dict[str, list[Decay]] = {}
    for row_of in table.decays:
        try:
            parent, products = parse_decay(row_of.decay)
            check_decay(parent, products, species)
            check_open(parent, products, species)
        except ValueError as error:
            raise InputError(str(error), file=path, key="decays decay", value=row_of.decay) from None
        one_of = Decay(parent, products, row_of.fraction, matrix_element=row_of.matrix_element)
        decays.setdefault(parent, []).append(one_of)
        anti = species[parent].anti
        if anti != parent:
            mirrored = tuple(species[name].anti for name in products)
            decays.setdefault(anti, []).append(replace(one_of, parent=anti, products=mirrored))
    scaled = {
        parent: tuple(replace(d, fraction=d.fraction / sum(each.fraction for each in modes)) for d in modes)
        for parent, modes in decays.items()
    }
    return StandardModel(MappingProxyType(species), MappingProxyType(scaled))


def check_decay(parent: str, products: tuple[str, ...], species: Mapping[str, Species]) -> None:
    """Raise ``ValueError`` if a decay names unknown particles, has too many, or breaks charge."""
    for name in (parent, *products):
        if name not in species:
            close = difflib.get_close_matches(name, list(species), n=1)
            hint = f"did you mean {close[0]}?" if close else f"neither in [particles] nor in {TABLE.name}"
            raise ValueError(f"no particle is called {name} ({hint})")
    least = 1 if parent == COLLISION else 2
    if not least <= len(products) <= 3:
        raise ValueError(f"must have two or three products, has {len(products)}: go through an intermediate particle")
    charge = sum(species[name].charge for name in products)
    if charge != species[parent].charge:
        raise ValueError(f"charge {species[parent].charge} cannot become {charge}")


def check_open(parent: str, products: tuple[str, ...], species: Mapping[str, Species]) -> None:
    """Raise ``ValueError`` if a decay is closed: its products are as heavy as its parent."""
    total, available = sum(species[name].mass_gev for name in products), species[parent].mass_gev
    if total >= available and parent == COLLISION:
        raise ValueError(f"closed: products of {total:g} GeV must be below the collision energy, {available:.3f} GeV")
    if total >= available:
        raise ValueError(f"closed: a mass of {available:g} GeV cannot become products of {total:g} GeV")


@cache
def standard_model() -> StandardModel:
    """Return the table of configs/particles.toml."""
    return load_table()
