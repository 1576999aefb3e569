"""Commands to a run: each is carried out or refused with the rule, and none costs an event."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq

from daq.errors import InputError, RunAborted
from daq.run_directory import RunFile, read_run
from daq.stream.supervision.control import Answer, ask
from tests.daq.stream import toy
from tests.daq.stream.test_run import EVENTS, run_toy, same_spool
from tests.waiting import wait_for


class Going:
    """A held toy run in a thread."""

    def __init__(self, directory: Path, run: RunFile | None = None):
        self.directory, self._of = directory, run or toy.toy_run(EVENTS)
        self.result: Any = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for(lambda: self.status().get("state") == "CONFIGURED" and self.status()["processes"][-1]["statistics"])

    def _run(self) -> None:
        try:
            self.result = run_toy(self.directory, self._of, hold=True)
        except Exception as error:
            self.result = error

    def status(self) -> dict[str, Any]:
        """Return what status.json says, empty if it is not there yet."""
        path = self.directory / "status.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def done(self) -> int:
        """Return how many blocks are done."""
        return int(self.status()["blocks_done"])

    def ask(self, command: str) -> Answer:
        """Send a command."""
        return ask(self.directory, command)

    def end(self) -> Any:
        """Wait for the end and return the summary, or what was raised."""
        self._thread.join(60)
        return self.result


@pytest.fixture
def going(tmp_path: Path) -> Iterator[Going]:
    """Return a run that waits for the command to start."""
    run = Going(tmp_path / "run")
    yield run
    if run.result is None:
        run.ask("abort")
    run.end()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of an undisturbed run."""
    directory = tmp_path_factory.mktemp("reference") / "run"
    run_toy(directory, toy.toy_run(EVENTS))
    return directory


def test_start_pause_resume_to_the_end(going: Going, reference: Path):
    """Nothing is made before the start and in a pause; the spool is that of a run that nobody spoke to."""
    refused = going.ask("pause")
    assert (refused.accepted, refused.state) == (False, "CONFIGURED")
    assert refused.rule == "a run that is CONFIGURED cannot pause (allowed: start, fail, abort)"
    assert going.done() == 0
    assert going.ask("start") == Answer(accepted=True, state="RUNNING")
    wait_for(lambda: going.done() >= 8)
    assert going.ask("pause").state == "PAUSED"
    assert not going.ask("pause").accepted
    assert not going.ask("start").accepted
    before = wait_for(lambda: going.status()["since_progress_s"] > 0.5 and going.status())
    assert before["blocks_in_flight"] < 4  # all but an unfinished part has become durable
    after = wait_for(lambda: going.status()["since_progress_s"] > 1.0 and going.status())
    assert (after["blocks_done"], after["stalled"]) == (before["blocks_done"], "")
    assert going.ask("resume").state == "RUNNING"
    assert going.end()["state"] == "DONE"
    same_spool(going.directory, reference)


def test_stop_out_of_a_pause_completes_the_part_at_hand(going: Going, reference: Path):
    """What is in flight becomes durable, the books balance, and the rest can be made later."""
    going.ask("start")
    wait_for(lambda: going.done() >= 4)
    going.ask("pause")
    assert going.ask("stop").state == "DRAINING"
    summary = going.end()
    assert (summary["state"], summary["stopped_early"]) == ("DONE", True)
    assert 0 < summary["generated"] < EVENTS
    run_toy(going.directory, read_run(going.directory), resume=True)
    same_spool(going.directory, reference)


def test_a_run_ends_in_a_pause_if_all_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The last blocks were made before the pause: they become durable, and the run is DONE."""
    monkeypatch.setenv("TOY_WORK_S", "0.1")
    going = Going(tmp_path / "run", toy.toy_run(12 * 64))  # less than a window
    going.ask("start")
    wait_for(lambda: going.status()["blocks_in_flight"] == 12)
    assert going.ask("pause").state == "PAUSED"
    summary = going.end()
    assert (summary["state"], summary["generated"]) == ("DONE", 12 * 64)


def test_a_run_of_before_there_were_commands_is_resumed(going: Going):
    """A status.json that names no place for commands, or is no status at all, stands in nobody's way."""
    going.ask("start")
    wait_for(lambda: going.done() >= 4)
    going.ask("abort")
    going.end()
    (going.directory / "status.json").write_text('{"state": "ABORTED"}')
    assert run_toy(going.directory, read_run(going.directory), resume=True)["generated"] == EVENTS


def test_abort_waits_for_nothing(going: Going):
    """The run ends at once, says so, and lives on in its directory."""
    going.ask("start")
    wait_for(lambda: going.done() >= 4)
    assert going.ask("abort").state == "ABORTED"
    assert isinstance(going.end(), RunAborted)
    assert going.status()["state"] == "ABORTED"
    with pytest.raises(InputError, match="no run is going on"):
        going.ask("resume")
    assert run_toy(going.directory, read_run(going.directory), resume=True)["generated"] == EVENTS


def test_of_two_commands_at_once_one_is_refused(going: Going):
    """Eight operators start the run together: one of them does, the others get the rule."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(going.ask, ["start"] * 8))
    assert sum(answer.accepted for answer in answers) == 1
    assert {answer.rule for answer in answers if not answer.accepted} == {
        "a run that is RUNNING cannot start (allowed: pause, stop, fail, abort)"
    }


def test_what_is_no_command(going: Going, tmp_path: Path):
    """Refused here with the list; one that comes by the socket all the same is answered with the rule."""
    with pytest.raises(InputError, match="must be one of start, pause, resume, stop, abort"):
        going.ask("finish")
    with pytest.raises(InputError, match="not the directory of a run"):
        ask(tmp_path, "start")
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.connect(going.status()["control"])
        for noise in (b"", b"\xff\x00", b"configure", b"x" * 4096):
            socket.send(noise)
            assert socket.poll(5000)
            answer = json.loads(socket.recv())
            assert (answer["accepted"], answer["state"]) == (False, "CONFIGURED")
            assert "is no command (commands: start, pause, resume, stop, abort)" in answer["rule"]
