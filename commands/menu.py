"""`darkline menu`: what an L1 menu is made of, what its input bits are, and the menu in its other format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daq.errors import InputError
from triggers.gdl.menu import L1Menu, to_toml, to_triple
from triggers.gdl.triple import read_triple, write_triple
from triggers.input_bits import Explanation, explain, used_bits
from triggers.inputs import Quirks

_WIDTH = 118  # of a printed line


class Description(NamedTuple):
    """A menu that was read, and what there is to say of it."""

    menu: L1Menu
    explanation: Explanation

    @staticmethod
    def of(name_or_path: str, quirks: Quirks = "belle2") -> Description:
        """Read a menu; raise `InputError` if it is none."""
        menu = L1Menu.load(name_or_path)
        path = Path(name_or_path)
        named = read_triple(path).inputs.values() if path.suffix == ".alg" else (*used_bits(menu), *menu.absent)
        return Description(menu, explain(menu, named, quirks))

    def record(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        menu, said = self.menu, self.explanation
        return {
            "name": menu.name,
            "hash": f"{menu.hash:016x}",
            "lines": len(menu.lines),
            "products": sum(len(products) for products in menu.sums),
            "prescaled": {line.name: line.prescale for line in menu.lines if line.prescale != 1},
            "inputs": [bit._asdict() for bit in said.inputs],
            "never": list(said.never),
            "always": list(said.always),
            "held": list(said.held),
        }

    def summary(self) -> str:
        """Return the numbers, and the lists of inputs and lines that are worth a look."""
        menu, said = self.menu, self.explanation
        used = [bit for bit in said.inputs if bit.lines]
        constant = [bit for bit in said.inputs if bit.constant]
        head = (
            f"menu {menu.name} (hash {menu.hash:016x}): {len(menu.lines)} lines, "
            f"{sum(len(products) for products in menu.sums)} products; "
            f"{len(said.inputs)} inputs, {len(used)} used, {len(constant)} held at 0"
        )
        prescaled = [f"{line.name} {line.prescale}" for line in menu.lines if line.prescale != 1]
        lists = (
            ("prescales other than 1", prescaled),
            ("inputs held at 0 that lines use", [bit.name for bit in constant if bit.lines]),
            ("lines that never fire", said.never),
            ("lines that always fire", said.always),
            ("lines with parts held at 0", said.held),
        )
        return "\n".join([head, *(_wrapped(f"{what} ({len(names)})", names) for what, names in lists if names)])

    def inputs(self) -> str:
        """Return a table of the input bits: sub-trigger, whether it is computed, meaning, and below it the lines."""
        bits = self.explanation.inputs
        width = max((len(bit.name) for bit in bits), default=0)
        rows = []
        for bit in bits:
            state = "computed" if bit.constant is None else "held at 0"
            rows.append(f"{bit.name:{width}}  {bit.sub_trigger:8}  {state:9}  {bit.meaning}")
            if bit.constant:
                rows.append(f"{'':{width}}  why: {bit.constant}")
            rows.append(_wrapped(f"{'':{width}}  lines", bit.lines or ("none",)))
        return "\n".join(rows)


def _wrapped(what: str, names: Sequence[str]) -> str:
    """Return "what: a, b, c" in as many lines as it needs, those after the first further in."""
    indent = len(what) - len(what.lstrip()) + 4
    lines, line = [], f"{what}:"
    for k, name in enumerate(names):
        piece = f" {name}{',' if k < len(names) - 1 else ''}"
        if len(line) + len(piece) > _WIDTH:
            lines.append(line)
            line = " " * (indent - 1)
        line += piece
    return "\n".join([*lines, line])


def convert(source: str, out: Path) -> tuple[L1Menu, tuple[str, ...]]:
    """Write the menu ``source`` in the format that the name ``out`` says; return it as it is there, and what was lost.

    Raises
    ------
    InputError
        If there is no such menu or format, or the files cannot be written; then nothing is.
    """
    menu = L1Menu.load(source)
    if out.suffix not in (".toml", ".alg"):
        raise InputError("must end in .toml or .alg", key="--out", value=str(out))
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise InputError("would overwrite the menu itself", file=out, key="--out")
    parts = [out.with_name(f".part-{os.getpid()}-{out.stem}{suffix}") for suffix in _suffixes(out)]
    try:
        if out.suffix == ".toml":
            parts[0].write_text(to_toml(menu), encoding="utf-8")
        else:
            is_triple = Path(source).suffix == ".alg"
            write_triple(read_triple(Path(source)) if is_triple else to_triple(menu), parts[0])
        for part, suffix in zip(parts, _suffixes(out), strict=True):
            part.replace(out.with_suffix(suffix))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=out) from None
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    written = L1Menu.load(out)
    return written, tuple(_lost(menu, written))


def _suffixes(out: Path) -> tuple[str, ...]:
    return (".toml",) if out.suffix == ".toml" else (".alg", ".inp", ".oup")


def _lost(before: L1Menu, after: L1Menu) -> Iterator[str]:
    """Yield what the format or the file name could not keep."""
    if after.name != before.name:
        yield f"the name {before.name}: a menu of three files is called as they are"
    changed = [line.name for line, now in zip(before.lines, after.lines, strict=True) if line.prescale != now.prescale]
    if changed:
        yield f"prescales of {', '.join(changed)}"
    if after.timing != before.timing:
        yield "the timing"
