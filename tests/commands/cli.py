"""Run darkline in this process, as its command line does: quick, where a test needs many runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

import darkline


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Done:
    """Run one command to its end."""
    monkeypatch.setattr(sys, "argv", ["darkline", *map(str, arguments)])
    capsys.readouterr()
    try:
        darkline.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    said = capsys.readouterr()
    return Done(code, said.out, said.err)


def refused(done: Done, *words: str) -> None:
    """Assert that the input was refused in one line that holds all the words."""
    assert done.code == 2, done
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    for word in words:
        assert word in lines[0], lines[0]
