"""Commands to a real run from the command line: exit codes, answers, and a spool that they do not change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.chain.commands import DEMO, darkline_here, spool, start, summary_of, words
from tests.waiting import wait_for

EVENTS = 60_000


def state_of(directory: Path) -> str:
    """Return the state of a run, empty while there is none."""
    try:
        status: dict[str, Any] = json.loads((directory / "status.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return ""
    return str(status["state"])


def test_a_run_is_held_started_paused_resumed(tmp_path: Path):
    """0 for what was done, 1 with the rule for what is not allowed, 2 for what is no run or no command."""
    directory = tmp_path / "run"
    with start("run", DEMO, "--events", EVENTS, "--hold", "--out", directory, "--json") as process:
        wait_for(lambda: state_of(directory) == "CONFIGURED", "a run that waits")
        refused = darkline_here("control", directory, "resume")
        assert (refused.returncode, refused.stdout) == (
            1, "refused: a run that is CONFIGURED cannot resume (allowed: start, fail, abort)\n",
        )  # fmt: skip
        for command, state in (("start", "RUNNING"), ("pause", "PAUSED"), ("resume", "RUNNING")):
            answer = json.loads(darkline_here("control", directory, command, "--json").stdout)
            assert answer == {"accepted": True, "state": state, "rule": ""}
        out, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(out)["generated"] == EVENTS
    gone = darkline_here("control", directory, "pause")
    assert (gone.returncode, gone.stderr) == (2, f"darkline: {directory}: no run is going on in it\n")
    wrong = darkline_here("control", directory, "explode")
    assert (wrong.returncode, "must be one of start, pause, resume, stop, abort" in wrong.stderr) == (2, True)
    summary_of(darkline_here("run", DEMO, "--events", EVENTS, "--out", tmp_path / "other", "--json"))
    assert spool(directory).equals(spool(tmp_path / "other"), null_equal=True)
    assert words(directory).equals(words(tmp_path / "other"))


def test_an_aborted_run_can_be_resumed(tmp_path: Path):
    """Exit code 1 and the way on; then the rest is made."""
    directory = tmp_path / "run"
    with start("run", DEMO, "--events", EVENTS, "--hold", "--out", directory) as process:
        wait_for(lambda: state_of(directory) == "CONFIGURED", "a run that waits")
        assert darkline_here("control", directory, "start").returncode == 0
        assert darkline_here("control", directory, "abort").returncode == 0
        _, said = process.communicate()
    assert process.returncode == 1
    assert said == "darkline: the run was aborted; --resume goes on with it\n"
    assert state_of(directory) == "ABORTED"
    assert summary_of(darkline_here("run", "--resume", directory, "--json"))["generated"] == EVENTS
