"""TOML menus as text: where a value stands in a file, and a menu written out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from triggers.gdl.settings import MenuTables

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([\w.-]+)\s*=")


class Places:
    """The lines of a file in which its values stand; for messages only: unusual spellings are not found."""

    def __init__(self, text: str):
        self._line_of: dict[tuple[str, int], int] = {}  # (dotted keys, number of the table) -> line
        table, number, seen = "", 0, dict[str, int]()
        for line, content in enumerate(text.splitlines(), start=1):
            if header := _HEADER.fullmatch(content):
                table = header[2]
                number = seen.get(table, -1) + 1 if header[1] == "[[" else 0
                seen[table] = number
                self._line_of.setdefault((table, number), line)
            elif key := _KEY.match(content):
                self._line_of.setdefault((f"{table}.{key[1]}" if table else key[1], number), line)

    def before(self, keys: Sequence[Any]) -> str:
        """Return "line 7: " for the value that the keys lead to, "" if it is not found."""
        number = next((key for key in keys if isinstance(key, int)), 0)
        names = [str(key) for key in keys if not isinstance(key, int)]
        while names:
            if line := self._line_of.get((".".join(names), number)):
                return f"line {line}: "
            names.pop()
        return ""


def written(tables: MenuTables) -> str:
    """Return a menu as the text of a TOML file, which loads to the same tables; defaults are mostly left out."""
    return "\n\n".join("\n".join(table) for table in _tables(tables)) + "\n"


def _tables(tables: MenuTables) -> Iterator[list[str]]:
    yield [f"name = {_quoted(tables.name)}", f"prescale_by = {_quoted(tables.prescale_by)}"]
    if tables.absent:
        yield ["absent = [", *(f"  {_quoted(name)}," for name in tables.absent), "]"]
    timing = tables.timing.model_dump(exclude_defaults=True)
    yield from _nested("timing", {"minimum_spacing_ns": tables.timing.minimum_spacing_ns} | timing)
    for column in tables.column:
        yield ["[[column]]", *_entries(column.model_dump(exclude_defaults=True))]
    for name, table in (("inputs", tables.inputs), ("outputs", tables.outputs)):
        if table:
            yield [f"[{name}]", *_entries(table)]
    for line in tables.line:
        yield ["[[line]]", *_entries(line.model_dump(exclude_defaults=True))]


def _nested(name: str, table: dict[str, Any]) -> Iterator[list[str]]:
    """Yield a table and the tables in it."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    yield [f"[{name}]", *_entries({key: value for key, value in table.items() if key not in inner})]
    for key, value in inner.items():
        yield from _nested(f"{name}.{key}", value)


def _entries(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return repr(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # what TOML escapes and JSON does not
