"""Input bits that the public trigger simulation does not give as they are meant, or not at all.

The switch ``quirks`` chooses: "belle2" is the Belle II public simulation bit for bit; "ideal" is what a bit means, for
the bits that are a `Quirk` and for no others. Each stands where it is made; `triggers.inputs.QUIRKS` has all of them.
"""

from __future__ import annotations

from typing import NamedTuple


class Quirk(NamedTuple):
    """A bit that the public simulation does not give as it is meant."""

    ideal: str
    """What it means, and says with "ideal"."""
    belle2: str
    """What it says with "belle2"."""
    source: str
    """Where it is known from."""
    is_constant: bool = False
    """The bit is held at 0 with "belle2"."""


Bits = dict[str, "str | Quirk"]
"""The decisions of a sub-trigger in the order of its word, by the names of the GDL input bits: what each says."""
