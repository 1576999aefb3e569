"""A run on MQTT: its state goes out, commands come in.

::

    <topic>/state      retained: what status.json says of the run, in short; LOST if this bridge died before the run
    <topic>/command    start, pause, resume, stop or abort
    <topic>/answer     what the run said to a command

A process of its own beside the run: the broker may be slow, or away, or come back, and no event waits for it. Whoever
may publish on the broker may command the run.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt

from daq.errors import DarklineError, InputError
from daq.run_control import MOVES, RunState
from daq.run_directory import STATUS
from daq.stream.supervision.control import ask

_POLL_S = 0.2
_AGAIN_S = 1.0  # until the broker is tried again
_SHOWN = ("state", "name", "blocks", "blocks_done", "blocks_in_flight", "stalled")


class Broker(NamedTuple):
    """Where an MQTT broker listens."""

    host: str
    port: int = 1883

    @classmethod
    def of(cls, text: str) -> Broker:
        """Read HOST or HOST:PORT; raise `InputError` if it is neither."""
        host, colon, port = text.rpartition(":")
        if not colon:
            host, port = port, str(cls._field_defaults["port"])
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise InputError("must be HOST or HOST:PORT", key="--broker", value=text)
        return cls(host, int(port))


def bridge(directory: Path, broker: Broker, topic: str) -> RunState:
    """Publish the state of the run in a directory and pass commands to it until it ends; return how it ended."""
    return asyncio.run(_keep_up(directory, broker, topic))


async def _keep_up(directory: Path, broker: Broker, topic: str) -> RunState:
    """Connect, and again whenever the connection is lost."""
    will = aiomqtt.Will(f"{topic}/state", json.dumps({"state": "LOST"}), qos=1, retain=True)
    while True:
        try:
            async with aiomqtt.Client(broker.host, broker.port, will=will) as client:
                await client.subscribe(f"{topic}/command", qos=1)
                listening = asyncio.create_task(_listen(client, directory, topic))
                try:
                    return await _publish(client, directory, topic, listening)
                finally:
                    listening.cancel()
        except aiomqtt.MqttError:
            await asyncio.sleep(_AGAIN_S)


async def _publish(client: aiomqtt.Client, directory: Path, topic: str, listening: asyncio.Task[None]) -> RunState:
    """Publish whenever something has changed, until the run has ended."""
    said: dict[str, Any] = {}
    while True:
        status = await asyncio.to_thread(_status, directory)
        if status and status != said:
            await client.publish(f"{topic}/state", json.dumps(status), qos=1, retain=True)
            said = status
            if not MOVES[state := RunState(status["state"])]:
                return state
        done, _ = await asyncio.wait([listening], timeout=_POLL_S)
        if done:
            listening.result()  # raises what ended it: the connection is lost


def _status(directory: Path) -> dict[str, Any]:
    """Return what is published of status.json, nothing while there is none."""
    try:
        status = json.loads((directory / STATUS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {name: status[name] for name in _SHOWN}


async def _listen(client: aiomqtt.Client, directory: Path, topic: str) -> None:
    """Pass commands on to the run, and its answers back."""
    async for message in client.messages:
        text = bytes(message.payload).decode(errors="replace") if isinstance(message.payload, bytes) else ""
        answer: dict[str, Any] = {"command": text[:100], "accepted": False}
        if message.retain:  # it was meant for some run in the past
            answer["rule"] = "retained commands are not obeyed"
        else:
            try:
                given = await asyncio.to_thread(ask, directory, text)
                answer |= {"accepted": given.accepted, "state": given.state, "rule": given.rule}
            except DarklineError as error:
                answer["rule"] = str(error)
        await client.publish(f"{topic}/answer", json.dumps(answer), qos=1)
