"""Menus in the form of the experiment's trigger-cut payloads, as JSON; and menus as TOML text.

In the conditions database of Belle II a menu is one payload ``software_trigger_cut&filter`` with the names of its lines
and the accept mode, and each line one payload ``software_trigger_cut&filter&<name>`` with cut, prescale and reject flag
(classes SoftwareTriggerMenu and DBRepresentationOfSoftwareTriggerCut of the public software, whose members give the
keys). `write_menu` writes them as one JSON object, payload name -> members::

    {"software_trigger_cut&filter": {"m_cutIdentifiers": ["ee2leg"], "m_acceptMode": false},
     "software_trigger_cut&filter&ee2leg": {"m_cutString": "ee2leg", "m_preScaleFactor": 1000, "m_isRejectCut": false},
     "darkline": {"name": "mine"}}

``darkline`` holds what payloads have no place for; without it there are the defaults, and the file names the menu. Two
other forms are read too, each a list with one object a line: what the experiment's ``b2hlt_triggers print --format
json`` prints (its key "Reject Menu" holds the accept mode), and the arguments of its ``upload_cut_to_db``. Lines of
other bases than ``filter`` (skims) decide nothing and are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daq.errors import InputError
from triggers.columns import AUTO

if TYPE_CHECKING:
    from daq.settings import Settings
    from hlt.menu import HltMenu

ENDINGS = (".json", ".toml")
MENU = "software_trigger_cut&filter"
OURS = "darkline"
_LINE_KEYS = {"m_cutString": "cut", "m_preScaleFactor": "prescale", "m_isRejectCut": "reject"}
_MENU_KEYS = ("m_cutIdentifiers", "m_acceptMode")
_PRINTED = ("Base Identifier", "Reject Menu", "Cut Identifier", "Cut Condition", "Cut Prescaling", "Reject Cut")
_UPLOADED = ("base_identifier", None, "cut_identifier", "cut_string", "prescale_factor", "reject_cut")


# ---- reading


def read_payloads(path: Path) -> dict[str, Any]:
    """Return the tables of the menu in a JSON file, as a TOML file would hold them.

    Raises
    ------
    InputError
        If the file is missing, is not JSON, or has not one of the three forms: file, key and rule.
    """
    content = _read(path)
    try:
        tables = _of_list(content) if isinstance(content, list) else _of_payloads(content)
    except _FormError as error:
        raise InputError(error.rule, file=path, key=error.key) from None
    return {"name": re.sub(r"[^A-Za-z0-9_.+-]|^[^A-Za-z0-9]", "_", path.stem).lstrip("_") or "menu", **tables}


class _FormError(Exception):
    def __init__(self, rule: str, key: str | None = None):
        super().__init__(rule)
        self.rule, self.key = rule, key


def _read(path: Path) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if twice := next((key for place, key in enumerate(keys) if key in keys[:place]), None):
            raise InputError("stands there twice", file=path, key=twice)
        return dict(pairs)

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", file=path) from None


def _of_payloads(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or MENU not in content:
        raise _FormError(f"must be an object with the payload {MENU!r}, or a list of lines")
    menu = _members(content[MENU], MENU, _MENU_KEYS)
    names, ours = menu["m_cutIdentifiers"], _object(content.get(OURS, {}), OURS)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _FormError("must be a list of names", f"[{MENU}] m_cutIdentifiers")
    more = {name: _object(extra, f"{OURS}.line.{name}") for name, extra in _object(ours.get("line", {}), OURS).items()}
    if stray := next((name for name in more if name not in names), None):
        raise _FormError("the menu has no such line", f"{OURS}.line.{stray}")
    lines = []
    for name in names:
        key = f"{MENU}&{name}"
        if key not in content:
            raise _FormError("the menu names this line, but it has no payload", key)
        cut = _members(content[key], key, tuple(_LINE_KEYS))
        factor = cut["m_preScaleFactor"]  # a list of one number in older versions
        cut["m_preScaleFactor"] = factor[0] if isinstance(factor, list) and len(factor) == 1 else factor
        lines.append({"name": name, **more.get(name, {}), **{ours: cut[theirs] for theirs, ours in _LINE_KEYS.items()}})
    return {**ours, "accept_mode": menu["m_acceptMode"], "line": lines}


def _members(payload: Any, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the members of a payload; those of ROOT's own (``_typename``, ``fBits``, ...) are passed over."""
    members = {key: value for key, value in _object(payload, name).items() if not re.match(r"_|f[A-Z]", key)}
    if unknown := next((key for key in members if key not in keys), None):
        raise _FormError(f"unknown key (known: {', '.join(keys)})", f"[{name}] {unknown}")
    if missing := next((key for key in keys if key not in members), None):
        raise _FormError("must be given", f"[{name}] {missing}")
    return members


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _FormError("must be an object", name)
    return value


def _of_list(records: list[Any]) -> dict[str, Any]:
    keys = next((form for form in (_PRINTED, _UPLOADED) if records and _has(records[0], form)), None)
    if keys is None:
        known = " or ".join(", ".join(filter(None, form)) for form in (_PRINTED, _UPLOADED))
        raise _FormError(f"a list of lines must hold objects with the keys {known}")
    base, mode, name, cut, prescale, reject = keys
    lines, modes = [], []
    for place, record in enumerate(records):
        if not _has(record, keys):
            raise _FormError(f"must have the keys {', '.join(filter(None, keys))}, as the first line has", f"[{place}]")
        if record[base] != "filter":
            continue
        modes.append(record[mode] if mode else False)
        lines.append({"name": record[name], "cut": record[cut], "prescale": record[prescale], "reject": record[reject]})
    if not lines:
        raise _FormError("holds no line of the base 'filter'")
    if any(mode != modes[0] for mode in modes):
        raise _FormError("must be the same for all lines", "Reject Menu")
    return {"accept_mode": modes[0], "line": lines}


def _has(record: Any, keys: tuple[str | None, ...]) -> bool:
    return isinstance(record, dict) and set(record) == {key for key in keys if key}


# ---- writing


def payloads_of(menu: HltMenu, column: str | None = None) -> dict[str, Any]:
    """Return the payloads of a menu, payload name -> members, with the prescales of one of its columns.

    Raises
    ------
    InputError
        If the menu has no such column, or has columns and none is named.
    """
    if menu.column and column in (None, AUTO):
        names = ", ".join(each.name for each in menu.column)
        raise InputError(f"payloads hold one prescale a line: name a column of the menu ({names})", key="column")
    menu = in_column(menu, column)
    content: dict[str, Any] = {
        MENU: {"m_cutIdentifiers": list(menu.line_names), "m_acceptMode": menu.accept_mode},
    }
    for line in menu.line:
        members = (line.cut, line.prescale, line.reject)
        content[f"{MENU}&{line.name}"] = dict(zip(_LINE_KEYS, members, strict=True))
    ours = _set(menu, ("accept_mode", "line"))
    extras = {line.name: _set(line, ("name", *_LINE_KEYS.values())) for line in menu.line}
    if extras := {name: extra for name, extra in extras.items() if extra}:
        ours["line"] = extras
    return {**content, OURS: ours}


def write_menu(menu: HltMenu, path: Path, column: str | None = None) -> None:
    """Write a menu in the format that the ending of the file says; it appears whole or not at all.

    ``.json``: payloads, see `payloads_of`. ``.toml``: `to_toml`, with the prescales of one column if it is named.

    Raises
    ------
    InputError
        If the ending is another, the menu has no such column, or payloads of a menu with columns are asked for without
        one, or the file cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"must end in {' or '.join(ENDINGS)}", key="--out", value=str(path))
    if path.suffix == ".json":
        _write(path, json.dumps(payloads_of(menu, column), indent=1, ensure_ascii=False) + "\n")
    else:
        _write(path, to_toml(menu if column is None else in_column(menu, column)))


def in_column(menu: HltMenu, column: str | None) -> HltMenu:
    """Return a menu with the prescales of one of its columns, and without columns."""
    prescales = menu.prescales(menu.choose(column, 0.0))
    lines = [line.model_copy(update={"prescale": n}) for line, n in zip(menu.line, prescales, strict=True)]
    return menu.model_copy(update={"column": (), "line": tuple(lines)})


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except (OSError, UnicodeEncodeError) as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"cannot be written: {error}", file=path) from None


def to_toml(menu: HltMenu) -> str:
    """Return a menu as the text of a TOML file; what is at its default is left out."""
    return "\n\n".join("\n".join(table) for table in _tables(menu)) + "\n"


def _tables(menu: HltMenu) -> Iterator[list[str]]:
    settings = _set(menu, ("column", "line"))
    inner = {key: value for key, value in settings.items() if isinstance(value, dict)}
    yield _entries({key: value for key, value in settings.items() if key not in inner})
    for key, value in inner.items():
        yield [f"[{key}]", *_entries(value)]
    for key, tables in (("column", menu.column), ("line", menu.line)):
        for table in tables:
            yield [f"[[{key}]]", *_entries(_set(table, ()))]


def _set(settings: Settings, without: tuple[str, ...]) -> dict[str, Any]:
    """Return what is not at its default, in plain types."""
    return settings.model_dump(mode="json", exclude_defaults=True, exclude=set(without))


def _entries(table: dict[str, Any]) -> list[str]:
    # JSON and TOML write texts, numbers, booleans and lists alike, but for one character.
    return [
        f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f") for key, value in table.items()
    ]
