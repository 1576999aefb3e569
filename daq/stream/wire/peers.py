"""Who may say what on the wire, and what becomes of a peer that does not keep to it.

Peers go by name: a role, and a slot where a role has several processes. A name from the wire is looked up in tables,
written to the log, and nothing else; there are so few possible names that no table of peers can grow without end.

An error costs a peer nothing but the block, which is asked for again. A peer with `MOST_ERRORS` errors and not one
good block between them, or one that belongs to another run, is *barred* for `BARRED_S`: it gets no grants and what it
says is dropped unread and counted (``refused``). After that it is heard again, since it may have been put right.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

ROLES = ("source", "l1", "hlt", "spool", "supervisor", "control")
_NAME = re.compile(rf"({'|'.join(ROLES)})(-[0-9]{{1,3}})?")

MOST_ERRORS = 16
BARRED_S = 5.0

_RECEIVERS, _SENDERS = frozenset({"l1", "hlt", "spool"}), frozenset({"source", "l1", "hlt"})
SPEAKERS: dict[str, frozenset[str]] = {
    "hello": _SENDERS,
    "mark": _SENDERS,
    "parcel": _SENDERS,
    "grant": _RECEIVERS,
    "lost": _RECEIVERS,
    "again": _RECEIVERS,
    "durable": frozenset({"spool"}),
    "end": frozenset({"source", "l1"}),
    "ended": _RECEIVERS,
    "conduct": frozenset({"supervisor", "control"}),
}
"""Tag of a message -> the roles that may say it."""


def role_of(name: str) -> str:
    """Return the role that a process of this name has."""
    return name.partition("-")[0]


def name_of(identity: bytes) -> str | None:
    """Return the name that a peer announced, None if no process of ours has such a name."""
    try:
        name = identity.decode("ascii")
    except UnicodeDecodeError:
        return None
    return name if _NAME.fullmatch(name) else None


class Standing:
    """How the peers of a port have behaved; ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._errors: dict[str, int] = {}  # in a row
        self._barred_until: dict[str, float] = {}

    def blame(self, peer: str, *, foreign: bool = False) -> None:
        """Note an error of a peer; ``foreign`` if it is no damage, but somebody who has no business here."""
        self._errors[peer] = self._errors.get(peer, 0) + 1
        if foreign or self._errors[peer] >= MOST_ERRORS:
            self._errors[peer] = 0
            self._barred_until[peer] = self._clock() + BARRED_S

    def praise(self, peer: str) -> None:
        """Note a good block of a peer."""
        if self._errors:
            self._errors.pop(peer, None)

    def is_barred(self, peer: str) -> bool:
        """Return whether a peer is not to be heard now."""
        if not self._barred_until:
            return False
        if (until := self._barred_until.get(peer)) is None:
            return False
        if self._clock() < until:
            return True
        del self._barred_until[peer]
        return False
