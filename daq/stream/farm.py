"""Processes of a run that nobody supervises: one a host, or wherever an operator starts them.

Each is started with the same configuration and a role. They find each other at the endpoints of the configuration,
check that they are of the same run and menus, and may be killed and started again in any order. What a supervisor does
for a local run they do by themselves: the source begins at once and drains at SIGTERM; when all is durable it says so,
the end travels down the stream, and whoever has passed it on exits. The spool closes the books before it answers.

The order of the end: source to L1, L1 to the workers, each until it is answered or `END_PATIENCE_S` is over (a worker
that is dead cannot answer); then source to spool, until that answers.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daq.errors import RunError
from daq.stream.loops import END_PATIENCE_S, BlockMaker, Source, Spool, tell
from daq.stream.node import Node
from daq.stream.wire.messages import Conduct, End

_SPOOL_PATIENCE_S = 600.0  # it reads every part again before it closes the books
_QUIET_S = 2.0  # without the source asking again: it has heard the answer


def farm_source(node: Node, maker: BlockMaker) -> None:
    """Be the source of a farm until all is durable and the spool has closed the books.

    Raises
    ------
    RunError
        If a block never became durable, or the spool does not answer.
    """
    source = Source(node, maker, Conduct())
    with _draining_at_signals(source):
        while not (source.finished or source.failure):
            source.turn()
        end = End(source.n_blocks, source.failure, node.statistics["resends"])
        node.log.info("end of run", blocks=end.n_blocks, failure=end.failure)
        if silent := tell(node, source.outlet, ["l1-0"], end, 3 * END_PATIENCE_S):
            node.log.warning("has not answered to the end of the run", peers=silent)
        if tell(node, source.outlet, ["spool-0"], end, _SPOOL_PATIENCE_S):
            raise RunError(f"the spool has not closed the books within {_SPOOL_PATIENCE_S:g} s")
    if end.failure:
        raise RunError(end.failure)


def farm_spool(node: Node, close_books: Callable[[End], bool]) -> None:
    """Be the spool of a farm until the source says that the run has ended.

    ``close_books`` returns whether the books balance; it is called once, before the source is answered.

    Raises
    ------
    RunError
        If the disk did not take a part for too long, or the books do not balance.
    """
    spool = Spool(node)
    while spool.end is None:
        spool.turn()
        if spool.failure:
            raise RunError(spool.failure)
    is_balanced = close_books(spool.end)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_S:
        if spool.answer_end():
            quiet_since = time.monotonic()
        node.report()
        node.wait(spool.source)
    if not is_balanced:
        raise RunError("the run ended, but not as it must: summary.json says why")


@contextmanager
def _draining_at_signals(source: Source) -> Iterator[None]:
    """Let the first SIGTERM (or Ctrl-C) drain the run, and the second one end the process."""

    def drain(number: int, _: object) -> None:
        source.stop()
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

    before = {which: signal.signal(which, drain) for which in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
