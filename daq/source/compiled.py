"""From a checked tree of decays to the arrays of the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from daq.errors import InputError
from daq.jit import Array
from daq.source import cascade
from daq.source.cascade import CHAIN, ELEMENT, FSR_KNOTS, MODE, NODE, WEIGHT_KNOTS, Chains
from daq.source.decay import ChainSettings, Tree, share_of
from daq.source.fsr import FSR, fsr_maximum
from daq.source.kinematics import ELECTRON_GEV
from daq.source.pair_weights import PAIR_WEIGHTS
from daq.source.radiation import RADIATED_KNOTS, radiated_fractions
from daq.source.species import COLLISION, Decay

_POLYNOMIALS: Mapping[str, tuple[float, float, float]] = {"1+cos2": (1, 0, 1), "sin2": (1, 0, -1), "cos2": (0, 0, 1)}
_SHAPES: Mapping[str, int] = {
    "flat": cascade.FLAT,
    "radiative": cascade.RADIATIVE,
    "higgsstrahlung": cascade.HIGGSSTRAHLUNG,
    "fermion_pair": cascade.FERMION_PAIR,
}


NO_CHAINS = Chains(
    np.zeros(0, CHAIN), np.zeros(0, NODE), np.zeros(0, MODE), np.zeros(0, ELEMENT), np.zeros((0, WEIGHT_KNOTS)),
    np.zeros((0, 2, RADIATED_KNOTS)),
)  # fmt: skip


def compile_tree(
    settings: ChainSettings,
    tree: Tree,
    masses_gev: Mapping[str, float],
    *,
    cross_section: Callable[[float], float] | None = None,
) -> Chains:
    """Return one chain for the kernel.

    Parameters
    ----------
    settings, tree
        The process file and its tree at a point, from `daq.source.decay.grow`.
    masses_gev
        Of all new particles, also of those that do not occur but in a matrix element.
    cross_section : s [GeV2] -> any unit
        Shape of the cross-section, for initial-state radiation; 1/s if not given.
    """
    number = {name: i for i, name in enumerate(tree.species)}
    modes = [mode for name in number for mode in tree.decays[name]]
    counts = [len(tree.decays[name]) for name in number]
    tables = _Tables(tree, masses_gev)
    low, high = np.cos(np.radians(settings.acceptance_deg))[::-1]
    node, mode = np.zeros(len(number), NODE), np.zeros(len(modes), MODE)
    for name, kind in tree.species.items():
        ctau = 0.0 if kind.width_gev else kind.ctau_cm
        last = sum(counts[: number[name] + 1])
        first = last - counts[number[name]]
        masses = kind.mass_gev, kind.width_gev, tree.masses_min_gev[name], ctau
        node[number[name]] = (kind.pdg, kind.anti_pdg, first, last, *masses)
    for row, one in zip(mode, modes, strict=True):
        row["shape"], row["angle"], row["table"] = tables.add(one)
        row["size"], row["axis"] = len(one.products), cascade.BEAM if one.axis == "beam" else cascade.HELICITY
        row["product"][: len(one.products)] = [number[product] for product in one.products]
        row["cosine"] = (low, high) if one.parent == COLLISION else (-1.0, 1.0)
    mode["cumulative"] = np.concatenate([_cumulative(tree, name) for name in number])
    radiated = np.zeros((0, 2, RADIATED_KNOTS))
    if settings.isr:
        energies = tree.species[COLLISION].mass_gev, _threshold(tree)
        radiated = radiated_fractions(*energies, cross_section or (lambda s: 1 / s))[None]
    chain = number[COLLISION], 0 if settings.isr else -1, settings.conjugate, tree.slots[COLLISION] + 1
    weights = np.array(tables.pair_weight, dtype=float).reshape(-1, WEIGHT_KNOTS)
    return Chains(np.array([chain], CHAIN), node, mode, np.array(tables.element, ELEMENT), weights, radiated)


def join(parts: Sequence[Chains]) -> Chains:
    """Return any number of chains in one set of tables."""
    nodes = modes = elements = weights = spectra = 0
    moved = [NO_CHAINS]
    for part in parts:
        chain, node, mode = part.chain.copy(), part.node.copy(), part.mode.copy()
        chain["root"] += nodes
        chain["radiates"] += np.where(chain["radiates"] < 0, 0, spectra)
        node["first"] += modes
        node["last"] += modes
        mode["product"] += nodes
        tables_before = np.where(mode["shape"] == cascade.FSR, elements, weights)
        mode["table"] += np.where(mode["table"] < 0, 0, tables_before)
        moved.append(part._replace(chain=chain, node=node, mode=mode))
        nodes, modes, spectra = nodes + len(node), modes + len(mode), spectra + len(part.radiated)
        elements, weights = elements + len(part.element), weights + len(part.pair_weight)
    return Chains(*(np.concatenate(columns) for columns in zip(*moved, strict=True)))


def accepted_share(settings: ChainSettings, tree: Tree) -> float:
    """Return the share of the production inside ``acceptance_deg``, from the angle of the collision's products."""
    low, high = np.cos(np.radians(settings.acceptance_deg))[::-1]
    total = sum(share_of(mode, tree) for mode in tree.decays[COLLISION])
    inside = sum(share_of(mode, tree) * _between(tree, mode, low, high) for mode in tree.decays[COLLISION])
    return float(inside / total)


def _between(tree: Tree, mode: Decay, low: float, high: float) -> float:
    """Return the share of a two-body production with the first product between two cosines."""
    if len(mode.products) != 2:
        return 1.0
    s = tree.species[COLLISION].mass_gev ** 2
    first, second = (tree.species[name].mass_gev ** 2 / s for name in mode.products)
    if mode.angle == "radiative":
        edge = math.sqrt(1 + 4 * ELECTRON_GEV**2 / s)

        def radiative(c: float) -> float:
            return 2 * (1 + second**2) / (1 - second) ** 2 / edge * math.atanh(c / edge) - c

        return (radiative(high) - radiative(low)) / (2 * radiative(1.0))
    if mode.angle == "higgsstrahlung":
        lam = (1 - first - second) ** 2 - 4 * first * second
        a0, a1, a2 = lam + 8 * first, 0.0, -lam
    elif mode.angle == "fermion_pair":
        a0, a1, a2 = 1 + 4 * first, 0.0, 1 - 4 * first
    else:
        a0, a1, a2 = _coefficients(mode)
    inside = a0 * (high - low) + a1 * (high**2 - low**2) / 2 + a2 * (high**3 - low**3) / 3
    return inside / (2 * a0 + 2 * a2 / 3)


def _coefficients(mode: Decay) -> tuple[float, float, float]:
    if isinstance(mode.angle, str):
        return _POLYNOMIALS.get(mode.angle, (1.0, 0.0, 0.0))
    return mode.angle


def _cumulative(tree: Tree, name: str) -> Array:
    """Return the cumulative probabilities of a particle's modes: by what is generated to the end of the chain."""
    shares = np.array([share_of(mode, tree) for mode in tree.decays[name]])
    return np.cumsum(shares) / shares.sum() if shares.size else shares


def _threshold(tree: Tree) -> float:
    """Return the energy that initial-state radiation must leave [GeV].

    All productions are open. A ``radiative`` one keeps half of the energy that it can radiate: of two photons from the
    initial state the harder one counts as its own.
    """
    s = tree.species[COLLISION].mass_gev ** 2
    least = 0.0
    for mode in tree.decays[COLLISION]:
        mass = sum(tree.masses_min_gev[name] for name in mode.products)
        least = max(least, math.sqrt(0.5 * (s + mass**2)) if mode.angle == "radiative" else mass)
    return least


class _Tables:
    """The tables of the modes, as they are asked for."""

    def __init__(self, tree: Tree, masses_gev: Mapping[str, float]):
        self._tree, self._new = tree, masses_gev
        self.pair_weight: list[Array] = []
        self.element: list[tuple[int, tuple[float, float], list[float]]] = []

    def add(self, mode: Decay) -> tuple[int, tuple[float, float, float], int]:
        """Return (shape, coefficients of the angle, row of a table or -1) of a mode."""
        if mode.matrix_element in FSR:
            return cascade.FSR, (1.0, 0.0, 0.0), self._radiated_off(mode)
        if mode.matrix_element is not None:
            return cascade.FLAT, (1.0, 0.0, 0.0), self._weights(mode)
        if len(mode.products) == 1:
            return cascade.PASS_ON, (1.0, 0.0, 0.0), -1
        shape = _SHAPES.get(mode.angle, cascade.POLYNOMIAL) if isinstance(mode.angle, str) else cascade.POLYNOMIAL
        return shape, _coefficients(mode), -1

    def _weights(self, mode: Decay) -> int:
        """Tabulate a weight of the pair mass, its maximum scaled to 1."""
        parent, first, second, third = (self._tree.species[n].mass_gev for n in (mode.parent, *mode.products))
        low, high = second + third, parent - first
        pair = np.linspace(low, high, WEIGHT_KNOTS)
        pair[0] = max(low, 1e-6)  # a virtual photon has no mass 0
        try:
            weights = PAIR_WEIGHTS[mode.matrix_element or ""](pair**2, (parent, first, second, third), self._new)
        except ValueError as error:
            raise InputError(str(error), key="[source.signals] decay", value=str(mode)) from None
        weights = np.maximum(weights, 0.0)
        self.pair_weight.append(weights / weights.max())
        return len(self.pair_weight) - 1

    def _radiated_off(self, mode: Decay) -> int:
        """Tabulate the largest weight of a matrix element for all energies that initial-state radiation can leave."""
        masses = [self._tree.species[name].mass_gev for name in mode.products]
        if masses[2] <= 0:
            rule = f"{mode.products[2]} needs a mass: without one it would be radiated without end"
            raise InputError(rule, key="[source.signals] decay", value=str(mode))
        kind, available = FSR[mode.matrix_element or ""], self._tree.species[COLLISION].mass_gev - sum(masses)
        logs = np.linspace(math.log(1e-4 * available), math.log(available), FSR_KNOTS)
        bounds = [fsr_maximum(kind, sum(masses) + math.exp(log), *masses) for log in logs]
        self.element.append((kind, (logs[0], logs[-1]), bounds))
        return len(self.element) - 1
