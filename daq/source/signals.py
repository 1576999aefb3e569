"""Signals: a process file and the parameters of a run, settled into a chain, a rate and a lifetime."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from daq.errors import InputError
from daq.settings import SignalSettings
from daq.source.cascade import Chains
from daq.source.compiled import accepted_share, compile_tree
from daq.source.couplings import ctau_cm
from daq.source.decay import ChainSettings, Point, Tree, check_chain, grow
from daq.source.formulas import COUPLINGS, CROSS_SECTIONS, FRACTIONS, WIDTHS, MissingValue, Values
from daq.source.species import COLLISION, closest, parse_decay

_PROBE = 1e-6  # a coupling that is small enough for every formula: rates go with a power of it
_WHERE = "[source.signals] "


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal of a run, its open values settled."""

    name: str
    chains: Chains
    cross_section_nb: float
    """Of the events that are generated: all branching fractions included."""
    mass_gev: float
    ctau_cm: float


def check_process(settings: ChainSettings, file: Path | None = None) -> None:
    """Check all of a process file that does not depend on masses.

    Raises
    ------
    InputError
        As `check_chain`; for a formula or coupling that does not exist, or a fraction that is none.
    """
    check_chain(settings, file)
    named: list[tuple[str, str | None, Mapping[str, object]]] = [
        ("cross_section", settings.cross_section, CROSS_SECTIONS),
        ("coupling", settings.coupling, COUPLINGS),
        *(("[couplings]", name, COUPLINGS) for name in settings.couplings),
        *(("[particles] lifetime", row.lifetime, WIDTHS) for row in settings.particles.values()),
    ]
    for key, name, known in named:
        if name is not None and name not in known:
            raise InputError(closest(name, known, "is not known"), file=file, key=key, value=name)
    if settings.cross_section_nb is not None and (settings.cross_section is not None or settings.particles):
        rule = "is for a process of known particles, without a formula"
        raise InputError(rule, file=file, key="cross_section_nb", value=settings.cross_section_nb)
    parents = [parse_decay(row.decay)[0] for row in settings.decays]
    for row, parent in zip(settings.decays, parents, strict=True):
        key = f"decays {row.decay!r} fraction"
        if row.fraction is None and parents.count(parent) > 1:
            raise InputError(f"must be given, as {parent} has several decays", file=file, key=key)
        if isinstance(row.fraction, str) and row.fraction not in FRACTIONS:
            raise InputError(closest(row.fraction, FRACTIONS, "is not known"), file=file, key=key, value=row.fraction)
        if isinstance(row.fraction, float) and not 0 < row.fraction <= 1:
            raise InputError("must be above 0 and at most 1", file=file, key=key, value=row.fraction)


def settle(signal: SignalSettings, settings: ChainSettings, sqrt_s_gev: float, file: Path | None = None) -> Signal:
    """Settle a signal of a run.

    Parameters
    ----------
    signal, settings
        What the run asks for, and its process file.
    sqrt_s_gev
        Collision energy [GeV].
    file
        The process file, named in errors about it; errors about the run name no file.

    Raises
    ------
    InputError
        As `check_process` and `daq.source.decay.grow`; if the run names particles, couplings or decays that the process
        does not have, or a coupling outside its perturbative range.
    """
    check_process(settings, file)
    return _Settling(signal, settings, sqrt_s_gev).signal()


def settle_standard(name: str, settings: ChainSettings, sqrt_s_gev: float) -> Signal:
    """Settle a decay chain of the Standard Model, which has its rate in its file (`ChainSettings.is_standard`)."""
    as_given = SignalSettings(process=name, cross_section_nb=settings.cross_section_nb or 1.0)
    if settings.cross_section_nb is None:
        rate = _Settling(as_given, settings, sqrt_s_gev).rate(None)
        as_given = as_given.model_copy(update={"cross_section_nb": rate})
    return settle(as_given, settings, sqrt_s_gev)


class _Settling:
    """The values of one signal, from what was given to what follows."""

    def __init__(self, signal: SignalSettings, settings: ChainSettings, sqrt_s_gev: float):
        self._given, self._settings, self._sqrt_s = signal, settings, sqrt_s_gev
        self._masses = self._all_masses()
        self._overridden = self._all_overridden()
        self._couplings = {**settings.couplings, **self._checked_couplings()}

    def signal(self) -> Signal:
        given, settings = self._given, self._settings
        coupling = given.coupling
        try:
            cross_section = self.rate(coupling) if coupling is not None else given.cross_section_nb or 0.0
        except MissingValue as error:
            rule = f"cross_section {settings.cross_section} {error}: give cross_section_nb"
            raise InputError(rule, key=_WHERE + "process", value=given.process) from None
        if coupling is None:
            coupling = self._implied_coupling(cross_section)
        ctaus = {name: self._ctau(name, self._values(coupling)) for name in settings.particles}
        # With a rate of its own only the proportions of the fractions count; the coupling may be out of all bounds.
        tree = self._tree(self._values(given.coupling or _PROBE), ctaus)
        chains = compile_tree(settings, tree, self._masses, cross_section=self._shape())
        main = settings.particle or ""
        truth = self._masses.get(main, 0.0), ctaus.get(main, 0.0)
        return Signal(self._name(), chains, cross_section, *truth)

    def rate(self, coupling: float | None) -> float:
        """Return the cross-section of the generated events [nb]; `MissingValue` if its formula lacks something."""
        settings, values = self._settings, self._values(coupling)
        produced = CROSS_SECTIONS[settings.cross_section or ""](values)
        tree = self._tree(values, {})
        both = 2.0 if settings.conjugate else 1.0
        return both * produced * tree.fractions[COLLISION] * accepted_share(settings, tree)

    # ---- what the run gives

    def _all_masses(self) -> dict[str, float]:
        given, particles, main = self._given, self._settings.particles, self._settings.particle
        if (given.mass_gev is None) != (main is None):
            rule = f"must be given: the mass of {main}" if main else f"{given.process} has no one new particle"
            raise InputError(rule, key=_WHERE + "mass_gev", value=given.mass_gev)
        if given.ctau_cm is not None and main is None:
            rule = f"{given.process} has no one new particle: use ctaus_cm"
            raise InputError(rule, key=_WHERE + "ctau_cm", value=given.ctau_cm)
        others = [name for name in particles if name != main]
        tables = (("masses_gev", given.masses_gev, "mass_gev"), ("ctaus_cm", given.ctaus_cm, "ctau_cm"))
        for key, named, own_key in tables:
            for name in named:
                if name == main:
                    rule = f"is what the process is about: give its {own_key} without a name"
                    raise InputError(rule, key=_WHERE + key, value=name)
                if name not in particles:
                    rule = closest(name, others, "is no other new particle of this process")
                    raise InputError(rule, key=_WHERE + key, value=name)
        masses = {name: row.mass_gev for name, row in particles.items()} | given.masses_gev
        return masses if main is None or given.mass_gev is None else masses | {main: given.mass_gev}

    def _all_overridden(self) -> dict[int, float]:
        """Return the fractions that the run gives, by the number of the decay; the others of a parent are dropped."""
        listed = {" ".join(row.decay.split()): i for i, row in enumerate(self._settings.decays)}
        parents = [parse_decay(row.decay)[0] for row in self._settings.decays]
        fractions: dict[int, float] = {}
        for decay, fraction in self._given.fractions.items():
            number = listed.get(" ".join(decay.split()))
            if number is None:
                rule = closest(decay, listed, "is no decay of this process")
                raise InputError(rule, key=_WHERE + "fractions", value=decay)
            fractions = {i: 0.0 for i, parent in enumerate(parents) if parent == parents[number]} | fractions
            fractions[number] = fraction
        return fractions

    def _checked_couplings(self) -> dict[str, float]:
        given, settings = self._given, self._settings
        for name in given.couplings:
            if name not in settings.couplings:
                rule = closest(name, settings.couplings, "is no further coupling of this process")
                raise InputError(rule, key=_WHERE + "couplings", value=name)
        if given.coupling is not None and (settings.coupling is None or settings.cross_section is None):
            rule = f"{given.process} has no formula for its rate: give cross_section_nb"
            raise InputError(rule, key=_WHERE + "coupling", value=given.coupling)
        couplings = {**settings.couplings, **given.couplings}
        if given.coupling is not None and settings.coupling is not None:
            couplings[settings.coupling] = given.coupling
        for name, value in couplings.items():
            limit = COUPLINGS[name].limit(self._sqrt_s)
            if not 0 < value <= limit:
                key = "coupling" if name == settings.coupling else f"couplings {name}"
                rule = f"{name} must be above 0 and at most {limit:.4g} {COUPLINGS[name].unit}".rstrip()
                raise InputError(f"{rule}: outside its perturbative range", key=_WHERE + key, value=value)
        return couplings

    # ---- what follows

    def _values(self, coupling: float | None, s_gev2: float | None = None) -> Values:
        couplings = dict(self._couplings)
        if coupling is not None and self._settings.coupling is not None:
            couplings[self._settings.coupling] = coupling
        return Values(self._masses, couplings, s_gev2 or self._sqrt_s**2)

    def _fractions(self, values: Values) -> list[float]:
        fractions = []
        for number, row in enumerate(self._settings.decays):
            if number in self._overridden:
                fractions.append(self._overridden[number])
            elif isinstance(row.fraction, str):
                try:
                    fractions.append(FRACTIONS[row.fraction](values, *parse_decay(row.decay)))
                except ZeroDivisionError:  # nothing is open at this mass
                    fractions.append(0.0)
            else:
                fractions.append(1.0 if row.fraction is None else row.fraction)
        return fractions

    def _tree(self, values: Values, ctaus: Mapping[str, float]) -> Tree:
        try:
            point = Point(self._masses, ctaus, self._fractions(values))
        except MissingValue as error:
            raise InputError(f"a fraction {error}", key=_WHERE + "process", value=self._given.process) from None
        try:
            return grow(self._settings, point, self._sqrt_s)
        except InputError as error:
            # All that does not depend on the run was checked before: it is the run's masses or couplings.
            key = f"{_WHERE}process {self._given.process}, {error.key}"
            raise InputError(error.rule, key=key, value=error.value) from None

    def _implied_coupling(self, cross_section_nb: float) -> float | None:
        """Return the coupling that gives a cross-section; None if there is no formula."""
        if self._settings.coupling is None or self._settings.cross_section is None:
            return None
        try:
            once, twice = self.rate(_PROBE), self.rate(2 * _PROBE)
        except MissingValue:
            return None
        power = math.log2(twice / once) if once > 0 else 0.0
        return _PROBE * (cross_section_nb / once) ** (1 / power) if power > 0.5 else None

    def _ctau(self, name: str, values: Values) -> float:
        given, row = self._given, self._settings.particles[name]
        chosen = given.ctau_cm if name == self._settings.particle else given.ctaus_cm.get(name)
        if chosen is not None:
            return chosen
        if row.lifetime is not None:
            try:
                width = WIDTHS[row.lifetime](values, name)
            except (MissingValue, ZeroDivisionError):  # no coupling, or no mass: nothing follows
                width = 0.0
            if width > 0:
                return ctau_cm(width)
        return row.ctau_cm or 0.0

    def _shape(self) -> Callable[[float], float] | None:
        """Return the production cross-section as a function of s, for initial-state radiation."""
        name = self._settings.cross_section
        if name is None or not self._settings.isr:
            return None

        def shape(s_gev2: float) -> float:
            return CROSS_SECTIONS[name](self._values(self._given.coupling or _PROBE, s_gev2))

        return shape

    def _name(self) -> str:
        """Return the process with all that the run chose, so that two points of a grid have two names."""
        given = self._given
        parts = [given.process]
        parts += [f"{given.mass_gev:g}gev"] if given.mass_gev is not None else []
        parts += [f"{name}_{mass:g}gev" for name, mass in given.masses_gev.items()]
        parts += [f"ctau_{given.ctau_cm:g}cm"] if given.ctau_cm is not None else []
        parts += [f"{name}_ctau_{ctau:g}cm" for name, ctau in given.ctaus_cm.items()]
        parts += [f"{name}_{value:g}" for name, value in given.couplings.items()]
        parts += ["_".join(decay.split()) for decay in given.fractions]
        return "_".join(parts)
