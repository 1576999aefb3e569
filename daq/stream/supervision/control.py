"""Commands to a run that is going on: who asks, and who answers.

The supervisor listens on a socket in the private directory of the run (mode 0700); status.json says where. Whoever may
enter that directory may command the run. Commands are taken one by one, so of two at once the second one meets the
state that the first one has led to.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq

from daq.errors import InputError, RunError
from daq.run_control import ORDERS, Command, RunState
from daq.run_directory import STATUS, read_run
from daq.settings import read_json

_ASK_S = 10.0


class Answer(msgspec.Struct, frozen=True):
    """What a run says to a command."""

    accepted: bool
    state: str
    rule: str = ""
    """Why it was refused."""


class Counter:
    """Where commands come in; ``obey`` is asked for each."""

    def __init__(self, context: zmq.Context[Any], endpoint: str):
        self.endpoint = endpoint
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 200)
        self.socket.setsockopt(zmq.MAXMSGSIZE, 4096)
        self.socket.bind(endpoint)

    def serve(self, obey: Callable[[Command], RunState], state: Callable[[], RunState]) -> None:
        """Answer all that has come; ``obey`` raises `RunError` with the rule if a command can't be followed."""
        while self.socket.poll(0):
            peer, *frames = self.socket.recv_multipart()
            try:
                after = obey(_order(frames[-1] if frames else b""))
            except RunError as error:
                answer = Answer(accepted=False, state=state(), rule=str(error))
            else:
                answer = Answer(accepted=True, state=after)
            self.socket.send_multipart([peer, b"", msgspec.json.encode(answer)])


def _order(text: bytes) -> Command:
    name = text.decode(errors="replace")
    if name not in ORDERS:
        raise RunError(f"{name!r} is no command (commands: {', '.join(ORDERS)})")
    return Command(name)


def _is_listening(endpoint: str) -> bool:
    """Return whether anybody listens on an ipc endpoint; ZeroMQ would wait for somebody to come."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(endpoint.removeprefix("ipc://")) == 0


def ask(directory: Path, command: str) -> Answer:
    """Send a command to the run that is going on in a directory, and return its answer.

    Raises
    ------
    InputError
        If it is no command, or no run is going on there.
    RunError
        If the run does not answer.
    """
    if command not in ORDERS:
        raise InputError(f"must be one of {', '.join(ORDERS)}", key="command", value=command)
    read_run(directory)
    endpoint = read_json(directory / STATUS, if_missing="the run has only just begun: try again").get("control")
    if not isinstance(endpoint, str) or not _is_listening(endpoint):
        raise InputError("no run is going on in it", file=directory)
    with zmq.Context() as context, context.socket(zmq.REQ) as counter:
        counter.setsockopt(zmq.LINGER, 0)
        counter.connect(endpoint)
        counter.send(command.encode())
        if not counter.poll(round(1e3 * _ASK_S)):
            raise RunError(f"{directory}: the run did not answer in {_ASK_S:g} s")
        return msgspec.json.decode(counter.recv(), type=Answer)
