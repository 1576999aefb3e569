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

_EXTERNAL = "external signal, not simulated"
_NO_TOP = "the TOP is not simulated but for its time"
_NOT_FILLED = "not filled by the public simulation"
_WIRED = "wired to 0 in the matching module of the public simulation"
_UNCLEAR = "not filled by the public simulation; sources do not agree on the meaning"
_FOURTH = "no such bit in the public simulation, which sends three of this number"

NOT_SIMULATED: dict[str, str] = {
    **dict.fromkeys(("top_0", "top_1", "top_2", "top_bb", "top_active"), _NO_TOP),
    **dict.fromkeys((f"cdctop_{k}" for k in range(4)), _NO_TOP),
    **dict.fromkeys(("revo", "her_kick", "ler_kick", "injv"), f"accelerator: {_EXTERNAL}"),
    **dict.fromkeys(("bha_delay", "pseud_rand", "plsin", "poissonin", "periodin"), f"random or timed: {_EXTERNAL}"),
    **dict.fromkeys((f"nimin{k}" for k in range(4)), f"NIM: {_EXTERNAL}"),
    **dict.fromkeys((f"ta_{k}" for k in range(4)), f"number of tracks of any kind: {_NOT_FILLED}"),
    **dict.fromkeys(("track", "trkfit", "trkflt"), f"activity of the CDC: {_NOT_FILLED}"),
    **dict.fromkeys(("tx_0", "tx_1"), f"no source says what it means; {_NOT_FILLED}"),
    **dict.fromkeys(("itsfb2b", "tsf0b2b", "tsf1b2b", "tsf2b2b"), f"track segments back to back: {_NOT_FILLED}"),
    **dict.fromkeys(("trkbha1", "trkbha2"), f"track-matched 3D Bhabha: {_NOT_FILLED}"),
    **dict.fromkeys(("grlgg1", "grlgg2"), f"two photons of the GRL: {_NOT_FILLED}"),
    "ecl_bhauni": f"Bhabha of one cluster: {_NOT_FILLED}",
    **dict.fromkeys(("klmb2b", "eklmb2b", "eklmb2b_0", "eklmb2b_1", "eklmb2b_2"), f"KLM back to back: {_UNCLEAR}"),
    **dict.fromkeys(("klm_3", "eklm_3"), _FOURTH),
    **dict.fromkeys(("fwdsb", "bwdsb", "fwdnb", "bwdnb", "brlfb1", "brlfb2", "brlnb1", "brlnb2"), _WIRED),
    **dict.fromkeys((f"inp{k}" for k in range(151, 162)), "placeholder"),
}
"""Input bits of the menus 0010 to 0036 that are always 0, and why."""
