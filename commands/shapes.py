"""``darkline shapes``: signal of a search, simulated through the chain, and the shapes fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from chain import Chain, simulate
from daq import __version__
from daq.settings import RunSettings

if TYPE_CHECKING:
    from offline.search import Search
    from offline.shapes import Shapes


def signal_shapes(search: Search, settings: RunSettings, say: Callable[[str], None]) -> Shapes:
    """Simulate the signal of a search through the chain at each of its shape masses, and fit its shapes.

    The events are those that ``settings.source.signals`` names first, with ``settings.events`` at each mass, at a rate
    so low that none is lost to dead time: that is part of the live luminosity, not of the efficiency.
    """
    from offline.observables import Frame
    from offline.shapes import SignalSample, fit_shapes

    chain, signal = Chain.of(settings), settings.source.signals[0]

    def samples() -> Iterator[SignalSample]:
        for mass in search.shape_masses_gev:
            say(f"{signal.process} at {mass:g} GeV")
            at_mass = signal.model_copy(update={"mass_gev": mass, "cross_section_nb": 1e-6, "coupling": None})
            source = settings.source.model_copy(update={"processes": (), "signals": (at_mass,)})
            yield SignalSample(mass, simulate(settings.model_copy(update={"source": source})), settings.events)

    lines = search.trigger.model_dump()
    prescales = {level: {line: chain.menus[level]["lines"][line] for line in names} for level, names in lines.items()}
    provenance = {
        "signal": signal.process,
        "events_per_mass": settings.events,
        "seed": settings.seed,
        "l1_menu": f"{chain.l1.name} {chain.l1.hash:016x}",
        "hlt_menu": f"{chain.hlt.name} {chain.hlt.hash}",
        "darkline": __version__,
    }
    return fit_shapes(search, samples(), Frame.of(settings.beam), prescales=prescales, provenance=provenance)
