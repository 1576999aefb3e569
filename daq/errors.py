"""The whole tree of errors; every one says what, which value, and which rule.

::

    DarklineError
    ├── InputError      what a user gave us is wrong       -> exit code 2
    │   └── EventError  an event batch breaks its own table
    ├── WireError       what a peer sent us is wrong       -> counted, asked for again
    └── RunError        the run did not end as it must     -> exit code 1
        └── RunAborted  its operator did not want to wait
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DarklineError(Exception):
    """Base of all errors that darkline raises on purpose."""


class InputError(DarklineError):
    """Something that a user gave us is wrong: one line with file, key, value and rule."""

    def __init__(self, rule: str, *, file: str | Path | None = None, key: str | None = None, value: object = None):
        self.rule, self.file, self.key, self.value = rule, file, key, value
        what = key if value is None else f"{key} = {value!r}" if key else repr(value)
        super().__init__(": ".join(str(part) for part in (file, what, rule) if part))


class EventError(InputError):
    """An event batch breaks the rules of its table (offsets that run backwards, wrong lengths, ...)."""


class WireError(DarklineError):
    """A frame does not check out; the text names peer, block and field.

    ``block`` is the number of the block if the frame can be trusted that far, else None. ``foreign`` says that the
    frame is whole, but belongs to another run or event model: no damage, a peer that has no business here.
    """

    def __init__(self, text: str, *, block: int | None = None, peer: str = "", foreign: bool = False):
        self.block, self.peer, self.foreign = block, peer, foreign
        super().__init__(text)


class RunError(DarklineError):
    """A run ended, but not as it must: it does not reconcile, or a stage could not be kept alive."""


class RunAborted(RunError):
    """A run was told to abort; what is durable stays, and the run can be resumed."""


@contextmanager
def naming(file: str | Path) -> Iterator[None]:
    """Let input errors that name no file name this one: the file that the settings came from."""
    try:
        yield
    except InputError as error:
        if error.file is not None:
            raise
        raise InputError(error.rule, file=file, key=error.key, value=error.value) from None
