"""Why a line of the HLT fired on an event, or did not."""

from __future__ import annotations

import numpy as np

from commands.explain_hlt import explanation_of
from hlt.emulator import HltEmulator
from hlt.menu import HltMenu, Line
from tests.hlt.test_emulator import menu_of, sample
from tests.hlt.vectors import BEAM


def explain(menu: HltMenu, row: int):
    """Explain one event of the sample."""
    batch, l1, _ = sample()
    emulator = HltEmulator(menu, seed=1, beam=BEAM)
    observed = emulator.observe(batch, l1)
    result = emulator.decide(observed, batch["run"], batch["event"])
    return explanation_of(emulator, f"event {row}", observed, result, row, {"vtx_status": 0.0})


def test_each_condition_is_shown_with_its_values():
    """A line is what its conditions, joined by "and", say; a choice among several is one of them."""
    vectors = sample()[2]
    cuts = {
        "range": "0.8 < maximumPCMS < 4.5 and not [ee2leg or nTrkLoose + 1 >= 3]",
        "flag": "singleMuon",
        "all": "",
    }
    menu = menu_of(*(Line(name=name, cut=cut) for name, cut in cuts.items()))
    for row in range(0, len(vectors), 29):
        found = explain(menu, row)
        momentum, tracks = vectors["maximumPCMS"][row], vectors["nTrkLoose"][row]
        expected = [
            ("range", "0.8 < maximumPCMS", momentum > 0.8),
            ("range", "maximumPCMS < 4.5", momentum < 4.5),
            ("range", "not [ee2leg or nTrkLoose + 1 >= 3]", not (vectors["ee2leg"][row] or tracks >= 2)),
            ("flag", "singleMuon", bool(vectors["singleMuon"][row])),
            ("all", "1", True),
        ]
        assert [(clause.line, clause.text, clause.holds) for clause in found.clauses] == expected
        assert found.clauses[2].values == {"ee2leg": vectors["ee2leg"][row], "nTrkLoose": tracks}
        assert found.raw == {line: all(ok for name, _, ok in expected if name == line) for line in cuts}
        assert found.variables["nTrkLoose"] == tracks
        assert found.variables["vtx_status"] == 0


def test_no_line_is_asked_about_an_event_over_the_cap():
    """It is kept, with no line set and no clause shown."""
    tracks = np.diff(sample()[0]["tracks.offsets"])
    menu = menu_of(Line(name="all", cut=""), max_tracks=1)
    over = explain(menu, int(np.flatnonzero(tracks > 1)[0]))
    assert (over.over_cap, over.accepted, over.raw, over.clauses) == (True, True, {"all": False}, [])
    assert "over the cap" in over.text()
    assert [clause.text for clause in explain(menu, int(np.flatnonzero(tracks == 1)[0])).clauses] == ["1"]


def test_a_line_that_rejects_says_so():
    """What a reject line fired on is not said to be kept; a prescale that held an event back is named."""
    menu = menu_of(Line(name="no", cut="", reject=True), Line(name="rare", cut="", prescale=0))
    text = explain(menu, 0).text()
    assert "rejected" in text.splitlines()[0]
    assert "  no: fired, which rejects" in text
    assert "  rare: fired, prescaled away (0)" in text
