"""What is said of the inputs and lines of a menu is true of its logic."""

from __future__ import annotations

from itertools import product

from hypothesis import given

from tests.triggers.gdl.test_triple import triples
from triggers.gdl.menu import L1Menu
from triggers.gdl.triple import Triple, write_triple
from triggers.input_bits import explain, origin_of, used_bits
from triggers.inputs import INPUT_NAMES


def test_every_bit_has_an_origin():
    """What is computed has a meaning of its own and is not constant; what no sub-trigger makes says why it is 0."""
    computed = [origin_of(name, "ideal") for name in INPUT_NAMES if name != "veto"]
    assert {origin.sub_trigger for origin in computed} == {"CDC", "ECL", "GRL", "KLM"}
    assert all(origin.meaning and origin.constant is None for origin in computed)
    meanings = [origin.meaning for origin in computed]
    assert not {meaning for meaning in meanings if meanings.count(meaning) > 1}
    for name in ("veto", "top_active", "i2io", "some_bit_of_the_future"):
        assert origin_of(name).constant


@given(triples())
def test_lines_that_never_or_always_fire(tmp_path_factory, triple: Triple):
    """By the truth table: with the constant bits at 0, over all values of the others."""
    alg = tmp_path_factory.mktemp("menu") / "menu.alg"
    write_triple(triple, alg)
    menu = L1Menu.load(alg)
    said = explain(menu, triple.inputs.values())
    assert [bit.name for bit in said.inputs] == list(triple.inputs.values())
    free = [bit.name for bit in said.inputs if bit.constant is None]
    outcomes: dict[str, set[bool]] = {name: set() for name in menu.line_names}
    for values in product([False, True], repeat=len(free)):
        bits = dict.fromkeys(triple.inputs.values(), False) | dict(zip(free, values, strict=True))
        for name, products in zip(menu.line_names, triple.sums, strict=True):
            outcomes[name].add(any(all(bits[bit] == on for bit, on in some) for some in products))
    assert list(said.never) == [name for name, seen in outcomes.items() if seen == {False}]
    assert set(said.always) <= {name for name, seen in outcomes.items() if seen == {True}}
    assert not set(said.held) & {*said.never, *said.always}
    for bit in said.inputs:
        assert (bit.name in used_bits(menu)) == bool(bit.lines)
