"""Menus as payloads and as TOML text: what is written reads as the same menu; what is no menu is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daq.errors import InputError
from daq.settings import parse
from hlt.menu import MENUS, HltMenu
from hlt.payloads import ENDINGS, MENU, in_column, payloads_of, read_payloads, to_toml, write_menu
from hlt.variables import VARIABLES

SMALL = HltMenu.model_validate(
    {
        "name": "small",
        "line": (
            {"name": "2_loose_tracks_q==0", "cut": "nTrkLoose == 2 and netChargeLoose == 0", "prescale": 7},
            {"name": "veto", "cut": "[ee2leg or ee2clst]", "reject": True},
        ),
    }
)
PRINTED = [
    {
        "Base Identifier": "filter",
        "Reject Menu": True,
        "Cut Identifier": line.name,
        "Cut Condition": line.cut,
        "Cut Prescaling": line.prescale,
        "Reject Cut": line.reject,
    }
    for line in SMALL.line
]
UPLOADED = [
    {
        "cut_string": line.cut,
        "base_identifier": "filter",
        "cut_identifier": line.name,
        "prescale_factor": line.prescale,
        "reject_cut": line.reject,
    }
    for line in SMALL.line
]


def written(content: Any, folder: Path, name: str = "small.json") -> Path:
    """Write JSON, and return where."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("path", sorted(MENUS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_menu_written_out_is_the_same_menu(path, ending, tmp_path):
    """Every menu of ours comes back with the same hash, and with the same again when it is written once more."""
    menu = HltMenu.load(path)
    if menu.column and ending == ".json":
        menu = in_column(menu, menu.column[0].name)
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    write_menu(menu, first)
    again = HltMenu.load(first)
    assert (again, again.hash) == (menu, menu.hash)
    write_menu(again, second)
    assert first.read_bytes() == second.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
lines = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.=<>! -]{0,20}[a-z]\Z"),
        "cut": st.one_of(st.just(""), st.sampled_from(VARIABLES).map(lambda name: f"{name} <= 2\n and not [nElow]")),
    },
    optional={
        "prescale": st.integers(0, 2**32 - 1),
        "reject": st.booleans(),
        "budget_us": st.floats(1e-3, 1e9),
        "comment": texts,
    },
).filter(lambda line: not line["name"].startswith("raw_"))
menus = st.fixed_dictionaries(
    {"name": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.+-]{0,9}\Z"), "line": st.lists(lines, min_size=1, max_size=4)},
    optional={
        "accept_mode": st.booleans(),
        "prescale_by": st.sampled_from(["hash", "counter"]),
        "no_l1_summary": st.sampled_from(["random", "none"]),
        "max_pairs": st.integers(1, 10**6),
        "budget": st.fixed_dictionaries(
            {}, optional={"event_us": st.floats(1e-3, 1e9), "policy": st.just("reject"), "sample": st.integers(0, 99)}
        ),
    },
).filter(lambda menu: len({line["name"] for line in menu["line"]}) == len(menu["line"]))


@settings(max_examples=60, deadline=None)
@given(menus)
def test_any_menu_survives_both_forms(tmp_path_factory, content):
    """Whatever the texts and numbers, payloads and TOML give the menu back."""
    menu = parse(content, HltMenu)
    folder = tmp_path_factory.mktemp("menus")
    for ending in ENDINGS:
        write_menu(menu, folder / f"menu{ending}")
        assert HltMenu.load(folder / f"menu{ending}") == menu


def test_payloads_have_the_names_and_members_of_the_experiment():
    """One payload for the menu, one for each line; what they have no place for stands apart."""
    content = payloads_of(SMALL)
    assert content == {
        "software_trigger_cut&filter": {"m_cutIdentifiers": ["2_loose_tracks_q==0", "veto"], "m_acceptMode": False},
        "software_trigger_cut&filter&2_loose_tracks_q==0": {
            "m_cutString": "nTrkLoose == 2 and netChargeLoose == 0",
            "m_preScaleFactor": 7,
            "m_isRejectCut": False,
        },
        "software_trigger_cut&filter&veto": {
            "m_cutString": "[ee2leg or ee2clst]",
            "m_preScaleFactor": 1,
            "m_isRejectCut": True,
        },
        "darkline": {"name": "small"},
    }


def test_payloads_as_root_writes_them(tmp_path):
    """Members of ROOT's own, a list as prescale and payloads of other bases or lines are no obstacle."""
    content = payloads_of(SMALL)
    del content["darkline"]
    for payload in content.values():
        payload.update({"_typename": "Belle2::SoftwareTriggerMenu", "fUniqueID": 0, "fBits": 0})
    line = content[f"{MENU}&veto"]
    line["m_preScaleFactor"] = [line["m_preScaleFactor"]]
    content |= {"software_trigger_cut&skim": {}, f"{MENU}&not_in_the_menu": {}}
    assert HltMenu.load(written(content, tmp_path)) == SMALL


@pytest.mark.parametrize(("records", "accept_mode"), [(PRINTED, True), (UPLOADED, False)])
def test_lists_of_lines(records, accept_mode, tmp_path):
    """What the experiment's tool prints, and the arguments of its uploads; a skim in between decides nothing."""
    skim = {key: "skim" if value == "filter" else value for key, value in records[0].items()}
    menu = HltMenu.load(written([records[0], skim, records[1]], tmp_path, "0 menu of mine.json"))
    assert menu.line == SMALL.line
    assert menu.accept_mode is accept_mode
    assert menu.name == "0_menu_of_mine"


def edited(change: Any) -> dict[str, Any]:
    """Return the payloads of the small menu after a change."""
    content = payloads_of(SMALL)
    change(content)
    return content


VETO = f"{MENU}&veto"
BAD: list[tuple[Any, str]] = [
    ("", "not JSON"),
    ("{", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("3", "must be an object with the payload 'software_trigger_cut&filter', or a list of lines"),
    ("{}", "must be an object with the payload"),
    ("[]", "a list of lines must hold objects with the keys Base Identifier, "),
    ([1], "a list of lines must hold objects"),
    ([PRINTED[0], UPLOADED[1]], "[1]: must have the keys Base Identifier"),
    ([PRINTED[0], PRINTED[1] | {"Reject Menu": False}], "Reject Menu: must be the same for all lines"),
    ([PRINTED[0] | {"Base Identifier": "skim"}], "holds no line of the base 'filter'"),
    ([PRINTED[0] | {"Cut Prescaling": -3}], "[line.0] prescale = -3: must be a whole number"),
    ([PRINTED[0] | {"Cut Condition": "nTrkLose > 1"}], "no variable 'nTrkLose' (did you mean nTrkLoose"),
    ([PRINTED[0], PRINTED[0]], "two lines have the name 2_loose_tracks_q==0"),
    ('{"a": 1, "a": 2}', "a: stands there twice"),
    (edited(lambda c: c.pop(VETO)), f"{VETO}: the menu names this line, but it has no payload"),
    (edited(lambda c: c[VETO].pop("m_cutString")), f"[{VETO}] m_cutString: must be given"),
    (edited(lambda c: c[VETO].update(m_cut="x")), f"[{VETO}] m_cut: unknown key (known: m_cutString"),
    (edited(lambda c: c.update({VETO: 3})), f"{VETO}: must be an object"),
    (edited(lambda c: c[VETO].update(m_preScaleFactor=[1, 2])), "line veto has 2 prescales, the menu has 0 columns"),
    (edited(lambda c: c[VETO].update(m_isRejectCut="no")), "[line.1] reject = 'no': "),
    (edited(lambda c: c[MENU].update(m_cutIdentifiers="veto")), f"[{MENU}] m_cutIdentifiers: must be a list of names"),
    (edited(lambda c: c[MENU].update(m_acceptMode=1)), "accept_mode = 1: "),
    (edited(lambda c: c["darkline"].update(line={"vito": {}})), "darkline.line.vito: the menu has no such line"),
    (edited(lambda c: c["darkline"].update(max_track=3)), "max_track = 3: unknown key (did you mean max_tracks?)"),
    (edited(lambda c: c.update(darkline=[])), "darkline: must be an object"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=range(len(BAD)))
def test_what_is_no_menu_is_refused_by_name(content, message, tmp_path):
    """One line with file, key and rule, whatever is wrong."""
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        HltMenu.load(written(content, tmp_path))
    assert str(caught.value).startswith(str(tmp_path / "small.json"))
    assert len(str(caught.value).splitlines()) == 1


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["filter", "veto", "ee2leg"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from([MENU, VETO, "darkline", "line", "m_cutIdentifiers", "name"]), inner, max_size=4
        ),
    ),
    max_leaves=8,
)


@given(st.one_of(json_values, st.dictionaries(st.sampled_from([MENU, VETO, "darkline"]), json_values)))
def test_any_json_is_a_menu_or_an_input_error(tmp_path_factory, content):
    """No content of a JSON file ends in another error."""
    path = written(content, tmp_path_factory.mktemp("json"))
    try:
        HltMenu.load(path)
    except InputError as error:
        assert str(path) in str(error)


def test_a_menu_with_columns_is_written_in_one_of_them(tmp_path):
    """Payloads hold one prescale a line, so the column must be named; TOML keeps them all."""
    tables = {
        "name": "two",
        "column": [{"name": name, "luminosity_cm2_s": value} for name, value in (("low", 1e34), ("high", 1e35))],
        "line": [{"name": "mu", "cut": "singleMuon", "prescale": [1, 10]}, {"name": "all", "cut": "", "prescale": 5}],
    }
    menu = parse(tables, HltMenu)
    with pytest.raises(InputError, match=re.escape("name a column of the menu (low, high)")):
        write_menu(menu, tmp_path / "two.json")
    assert not list(tmp_path.iterdir())
    write_menu(menu, tmp_path / "two.json", "high")
    assert HltMenu.load(tmp_path / "two.json") == in_column(menu, "high")
    assert "prescale = [1, 10]" in to_toml(menu)
    write_menu(menu, tmp_path / "two.toml")
    assert HltMenu.load(tmp_path / "two.toml") == menu
    write_menu(menu, tmp_path / "low.toml", "low")
    assert HltMenu.load(tmp_path / "low.toml") == in_column(menu, "low")
    assert in_column(menu, "low").prescales(None) == (1, 5)
    assert len({menu.hash, in_column(menu, "low").hash, in_column(menu, "high").hash}) == 3
    with pytest.raises(InputError, match="no such prescale column"):
        write_menu(menu, tmp_path / "mid.toml", "mid")


def test_missing_and_unwritable_files(tmp_path):
    """A file that is not there, and a folder that is not there to write to."""
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        read_payloads(tmp_path / "none.json")
    for ending in ENDINGS:
        with pytest.raises(InputError, match="cannot be written"):
            write_menu(SMALL, tmp_path / "nowhere" / f"menu{ending}")
    with pytest.raises(InputError, match=re.escape("must end in .json or .toml")):
        write_menu(SMALL, tmp_path / "menu.alg")
    assert not list(tmp_path.iterdir())
