"""The table of run states has no way around it."""

from __future__ import annotations

import pytest

from daq.errors import RunError
from daq.run_control import MOVES, Command, RunState, move


def test_the_usual_way():
    """A run is configured, started, paused, resumed, stopped and finished."""
    state = RunState.BOOTED
    for command in ("configure", "start", "pause", "resume", "stop", "finish"):
        state = move(state, Command(command))
    assert state is RunState.DONE


@pytest.mark.parametrize("state", RunState)
@pytest.mark.parametrize("command", Command)
def test_every_move_is_in_the_table_or_refused(state: RunState, command: Command):
    """What the table does not list raises the rule: state, command and what would be allowed."""
    if command in MOVES[state]:
        assert move(state, command) is MOVES[state][command]
    else:
        with pytest.raises(RunError, match=f"a run that is {state} cannot {command} .allowed: "):
            move(state, command)


def test_every_state_can_be_reached_and_left():
    """No state is cut off, and only the three ends have no way out."""
    reachable = {RunState.BOOTED} | {after for moves in MOVES.values() for after in moves.values()}
    assert reachable == set(RunState)
    assert {state for state, moves in MOVES.items() if not moves} == {"DONE", "FAILED", "ABORTED"}
