"""Menus of the experiment's GDL: read as they are, refused where they contradict themselves, written back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.errors import InputError
from daq.jit import Array
from triggers.bits import flags_of, planes_of, words_of
from triggers.gdl.ftdl import compile_program, evaluate
from triggers.gdl.menu import L1Menu, to_toml, to_triple
from triggers.gdl.triple import Triple, read_triple, write_triple
from triggers.inputs import INPUT_NAMES

INP = "0 ehigh\n1 veto\n4 ta_0\n\n5 inp005\n"
OUP = "0 hie\n1 ta\n3 all\n7 oup007\n"
ALG = " 0 !1\n 4 + 0 !4 1\n\n"


def files(folder: Path, inp: str = INP, oup: str = OUP, alg: str = ALG) -> Path:
    """Write the three files of a menu and return the path of the ``.alg``."""
    for suffix, text in ((".inp", inp), (".oup", oup), (".alg", alg)):
        (folder / f"menu{suffix}").write_text(text, encoding="utf-8")
    return folder / "menu.alg"


def by_text(line: str, bits: Array) -> Array:
    """Evaluate a line of an ``.alg`` file on (events, inputs) bits, straight from the text."""
    terms = [term.split() for term in line.split("+")]
    held = [[~bits[:, int(t[1:])] if t[0] == "!" else bits[:, int(t)] for t in term] for term in terms]
    return np.any([np.all(term, axis=0) if term else np.ones(len(bits), np.bool_) for term in held], axis=0)


def words_of_flags(flags: Array) -> Array:
    """Return (events, bits) flags as words."""
    words = np.zeros((len(flags), -(-flags.shape[1] // 64)), dtype=np.uint64)
    for k in range(flags.shape[1]):
        words[:, k // 64] |= flags[:, k].astype(np.uint64) << np.uint64(k % 64)
    return words


def lines_of(menu: L1Menu, flags: Array) -> Array:
    """Return the (events, lines) decisions of a menu on flags of the computed input bits."""
    planes = planes_of(words_of_flags(flags), len(INPUT_NAMES))
    out = words_of(evaluate(menu.compile(INPUT_NAMES), planes, len(flags)), len(flags))
    return np.stack([flags_of(out, k) for k in range(len(menu.lines))], axis=1)


def test_small_menu(tmp_path: Path):
    """Indices may jump, an empty line is true, a placeholder at the end needs no logic."""
    triple = read_triple(files(tmp_path))
    assert triple.inputs == {0: "ehigh", 1: "veto", 4: "ta_0", 5: "inp005"}
    assert triple.line_names == ("hie", "ta", "all")
    assert triple.sums == (
        (frozenset({("ehigh", True), ("veto", False)}),),
        (frozenset({("ta_0", True)}), frozenset({("ehigh", True), ("ta_0", False), ("veto", True)})),
        (frozenset(),),
    )


def test_absent_bits_are_zero_and_named(tmp_path: Path):
    """What is not computed is 0 in the logic, and the menu says what that is and which lines it touches."""
    menu = L1Menu.load(files(tmp_path))
    assert menu.name == "menu"
    assert menu.absent == ("ta_0", "inp005")
    assert menu.held_lines == ("ta",)
    assert [line.prescale for line in menu.lines] == [1, 1, 1]
    flags = np.random.default_rng(1).random((100, len(INPUT_NAMES))) < 0.5
    ehigh, veto = flags[:, INPUT_NAMES.index("ehigh")], flags[:, INPUT_NAMES.index("veto")]
    assert_array_equal(lines_of(menu, flags), np.stack([ehigh & ~veto, ehigh & veto, np.ones(100, np.bool_)], axis=1))


def test_toml_does_not_take_absent_bits_silently(tmp_path: Path):
    """A TOML menu must declare what is held at 0, and cannot declare what is computed."""
    path = tmp_path / "menu.toml"
    text = to_toml(L1Menu.load(files(tmp_path)))
    path.write_text(text.replace('"ta_0",', "", 1), encoding="utf-8")
    with pytest.raises(InputError, match="unknown bit ta_0"):
        L1Menu.load(path)
    path.write_text(text.replace('"ta_0",', '"ta_0", "ehigh",', 1), encoding="utf-8")
    with pytest.raises(InputError, match="absent = 'ehigh': this bit is computed"):
        L1Menu.load(path)


@pytest.mark.parametrize(
    ("changed", "where", "rule"),
    [
        ({"alg": " 0\n 2\n"}, "menu.alg: line 2 = '2'", "no such input (the last one of menu.inp is 5)"),
        ({"alg": " 0\n !6\n\n"}, "menu.alg: line 2 = '!6'", "no such input"),
        ({"alg": " 0 -1\n"}, "menu.alg: line 1 = '-1'", "index of an input, 0 or more"),
        ({"alg": " 0 ! 1\n"}, "menu.alg: line 1 = '!'", "without a blank between"),
        ({"alg": " 0 ehigh\n"}, "menu.alg: line 1 = 'ehigh'", "index of an input"),
        ({"alg": " 0 \u0661\n"}, "menu.alg: line 1", "index of an input"),
        ({"alg": " 0 + \n"}, "menu.alg: line 1 = '0 +'", "nothing on one side of a '+'"),
        ({"alg": " 0\n 0\n 0\n 0\n 0\n"}, "menu.alg: line 5", "no name in menu.oup, which has 4"),
        ({"alg": " 0\n 0\n"}, "menu.oup: line 3 = 'all'", "must be a placeholder oupNNN"),
        ({"alg": ""}, "menu.alg", "is empty"),
        ({"inp": ""}, "menu.inp", "is empty"),
        ({"oup": "\n\n"}, "menu.oup", "names no bit"),
        ({"inp": INP + "4 tb_0\n"}, "menu.inp: line 6 = 4", "line 3 has this index"),
        ({"inp": INP + "6 ta_0\n"}, "menu.inp: line 6 = 'ta_0'", "line 3 has this name"),
        ({"oup": OUP + "9 hie\n"}, "menu.oup: line 5 = 'hie'", "line 1 has this name"),
        ({"inp": INP + "6\n"}, "menu.inp: line 6 = '6'", "an index, 0 or more, and a name"),
        ({"inp": INP + "-6 x\n"}, "menu.inp: line 6 = '-6 x'", "an index, 0 or more, and a name"),
        ({"oup": OUP + "8 4x\n"}, "menu.oup: line 5 = '8 4x'", "an index, 0 or more, and a name"),
        ({"inp": INP + "6 nf\n"}, "menu.inp: line 6 = 'nf'", "a word of the logic"),
    ],
)
def test_mistakes_name_file_line_and_rule(tmp_path: Path, changed: dict[str, str], where: str, rule: str):
    """One line says where, what and why."""
    with pytest.raises(InputError) as caught:
        L1Menu.load(files(tmp_path, **changed))
    assert str(caught.value).startswith(f"{tmp_path}/{where}")
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alg", ["ftd_0010", "ftd_0021", "ftd_0036"])
@pytest.mark.parametrize("inp", ["ftd_0010", "ftd_0021", "ftd_0036"])
@pytest.mark.parametrize("oup", ["ftd_0010", "ftd_0021", "ftd_0036"])
def test_mixed_versions(shared: Path, tmp_path: Path, alg: str, inp: str, oup: str):
    """Outputs of another version never fit; inputs of a later one may: all indices exist, and that is all one sees."""
    for suffix, name in ((".alg", alg), (".inp", inp), (".oup", oup)):
        text = (shared / "data" / "gdl" / f"{name}{suffix}").read_text(encoding="utf-8")
        (tmp_path / f"mixed{suffix}").write_text(text, encoding="utf-8")
    if oup == alg and inp >= alg:
        assert read_triple(tmp_path / "mixed.alg").sums
        return
    rule = r"mixed\.(alg|oup): line \d+( = '.*')?: (no such input|no name in mixed\.oup|an output without a line)"
    with pytest.raises(InputError, match=rule):
        read_triple(tmp_path / "mixed.alg")


@pytest.mark.parametrize("suffix", [".inp", ".oup", ".alg"])
def test_missing_file(tmp_path: Path, suffix: str):
    """All three must be there."""
    files(tmp_path).with_suffix(suffix).unlink()
    with pytest.raises(InputError, match=rf"menu\{suffix}: no such file"):
        read_triple(tmp_path / "menu.alg")


@given(st.text(st.sampled_from("0145 !+-x\n\t"), max_size=60), st.text(st.sampled_from("01 ab\n"), max_size=30))
def test_any_text_is_a_menu_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, alg: str, names: str):
    """Whatever the files hold, nothing but `InputError` comes out."""
    folder = tmp_path_factory.mktemp("menu")
    for broken in ({"alg": alg}, {"inp": names}, {"oup": names}):
        try:
            L1Menu.load(files(folder, **broken))
        except InputError as error:
            assert "menu." in str(error)


@st.composite
def triples(draw: st.DrawFn) -> Triple:
    """Draw a menu: indices that jump, placeholders, lines that are always or never true."""
    indices = st.lists(st.integers(0, 300), min_size=1, max_size=12, unique=True).map(sorted)
    some = draw(st.lists(st.sampled_from(INPUT_NAMES), min_size=0, max_size=6, unique=True))
    inputs = {k: some[i] if i < len(some) else f"inp{k}" for i, k in enumerate(draw(indices))}
    product = st.frozensets(st.tuples(st.sampled_from(list(inputs.values())), st.booleans()), min_size=1, max_size=4)
    sums = st.one_of(st.lists(product, min_size=1, max_size=4).map(tuple), st.just((frozenset(),)))
    outputs = draw(indices)
    lines = draw(st.integers(1, len(outputs)))
    return Triple(
        inputs=inputs,
        outputs={k: f"line{k}" if i < lines else f"oup{k}" for i, k in enumerate(outputs)},
        sums=tuple(draw(st.lists(sums, min_size=lines, max_size=lines))),
    )


@given(triples())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, triple: Triple):
    """Written and read it is the same triple; as a menu, back again or by way of TOML, it keeps numbers and names."""
    folder = tmp_path_factory.mktemp("menu")
    write_triple(triple, folder / "menu.alg")
    assert read_triple(folder / "menu.alg") == triple
    menu = L1Menu.load(folder / "menu.alg")
    (folder / "toml").mkdir()
    (folder / "toml" / "menu.toml").write_text(to_toml(menu), encoding="utf-8")
    by_toml = L1Menu.load(folder / "toml" / "menu.toml")
    assert by_toml.tables == menu.tables
    for one in (menu, by_toml):
        assert one.hash == menu.hash
        again = to_triple(one)
        assert (again.inputs, again.outputs) == (triple.inputs, triple.outputs)
        write_triple(again, folder / "toml" / "menu.alg")
        last = L1Menu.load(folder / "toml" / "menu.alg")
        assert (last.hash, last.sums, last.absent) == (menu.hash, menu.sums, menu.absent)


@given(triples(), st.integers(0, 2**32 - 1))
def test_logic_of_a_loaded_menu_is_that_of_the_text(
    tmp_path_factory: pytest.TempPathFactory, triple: Triple, seed: int
):
    """On random bits each line is what its text says with 0 for what is not computed, also written out once more."""
    folder = tmp_path_factory.mktemp("menu")
    write_triple(triple, folder / "menu.alg")
    assert_logic(folder / "menu.alg", seed)


def assert_logic(alg: Path, seed: int) -> None:
    """Fail unless the menu, and the menu written out again, decide like the text of the file."""
    texts = alg.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    inputs = [line.split() for line in alg.with_suffix(".inp").read_text(encoding="utf-8").splitlines()]
    random = np.random.default_rng(seed)
    flags = random.random((300, len(INPUT_NAMES))) < random.choice([0.1, 0.5, 0.9], 300)[:, None]
    bits = np.zeros((300, 1 + max(int(index) for index, _ in inputs)), dtype=np.bool_)
    for index, name in inputs:
        if name in INPUT_NAMES:
            bits[:, int(index)] = flags[:, INPUT_NAMES.index(name)]
    expected = np.stack([by_text(text, bits) for text in texts], axis=1)
    menu = L1Menu.load(alg)
    assert_array_equal(lines_of(menu, flags), expected)
    again = alg.parent / "again.alg"
    write_triple(to_triple(menu), again)
    assert_array_equal(lines_of(L1Menu.load(again), flags), expected)


@pytest.mark.parametrize(
    ("name", "n_inputs", "n_outputs", "n_products"),
    [("ftd_0010", 130, 134, 379), ("ftd_0021", 149, 157, 451), ("ftd_0036", 162, 175, 539)],
)
def test_menus_of_the_experiment(
    shared: Path, tmp_path: Path, name: str, n_inputs: int, n_outputs: int, n_products: int
):
    """Sizes are the published ones; every line is its text on random values of all inputs; files come back equal."""
    alg = shared / "data" / "gdl" / f"{name}.alg"
    triple = read_triple(alg)
    assert (len(triple.inputs), len(triple.outputs)) == (n_inputs, n_outputs)
    assert sum(len(products) for products in triple.sums) == n_products

    flags = np.random.default_rng(36).random((2000, n_inputs)) < np.linspace(0.05, 0.95, 2000)[:, None]
    program = compile_program(triple.sums, list(triple.inputs.values()))
    out = words_of(evaluate(program, planes_of(words_of_flags(flags), n_inputs), 2000), 2000)
    for k, text in enumerate(alg.read_text(encoding="utf-8").removesuffix("\n").split("\n")):
        assert_array_equal(flags_of(out, k), by_text(text, flags), err_msg=triple.line_names[k])

    write_triple(triple, tmp_path / f"{name}.alg")
    assert read_triple(tmp_path / f"{name}.alg") == triple
    for suffix in (".inp", ".oup"):
        assert (tmp_path / f"{name}{suffix}").read_bytes() == alg.with_suffix(suffix).read_bytes()
    assert_logic(tmp_path / f"{name}.alg", seed=1)

    menu = L1Menu.load(alg)
    assert set(menu.absent) == set(triple.inputs.values()) - set(INPUT_NAMES)
    (tmp_path / "menu.toml").write_text(to_toml(menu), encoding="utf-8")
    assert L1Menu.load(tmp_path / "menu.toml").hash == menu.hash
