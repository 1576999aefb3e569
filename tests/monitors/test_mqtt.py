"""A run on a real broker: retained state, last will, commands and their answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from daq.errors import InputError
from monitors.mqtt import Broker, bridge
from tests.daq.stream import toy
from tests.waiting import wait_for


@pytest.fixture
def broker() -> Iterator[Broker]:
    """Return a mosquitto on the loopback."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("NO MQTT BROKER HERE: apt-get install mosquitto, and this test runs")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([program, "-p", str(port)], stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: _is_open(port), "the broker")
        yield Broker("localhost", port)
        process.kill()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Operator:
    """Somebody at the broker: keeps what he hears, and says things."""

    def __init__(self, broker: Broker):
        self.broker = broker
        self.heard: list[tuple[str, dict[str, Any], bool]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._attend()))

    def __enter__(self) -> Operator:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._listening.cancel)
        self._thread.join(30)

    async def _attend(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = asyncio.create_task(self._listen())
        with suppress(asyncio.CancelledError):
            await self._listening

    async def _listen(self) -> None:
        async with aiomqtt.Client(self.broker.host, self.broker.port) as self._client:
            await self._client.subscribe("darkline/#", qos=1)
            self._ready.set()
            async for message in self._client.messages:
                assert isinstance(message.payload, bytes)
                if message.payload.startswith(b"{"):
                    self.heard.append((str(message.topic), json.loads(message.payload), message.retain))

    def say(self, text: str, *, retain: bool = False) -> None:
        """Publish a command."""
        publishing = self._client.publish("darkline/toy/command", text, qos=1, retain=retain)
        asyncio.run_coroutine_threadsafe(publishing, self._loop).result(30)

    def states(self) -> list[str]:
        """Return the states heard so far, each once in a row."""
        said = [content["state"] for topic, content, _ in self.heard if topic == "darkline/toy/state"]
        return [state for i, state in enumerate(said) if i == 0 or said[i - 1] != state]

    def answers(self) -> list[dict[str, Any]]:
        """Return the answers heard so far."""
        return [content for topic, content, _ in self.heard if topic == "darkline/toy/answer"]


def test_a_run_is_commanded_over_mqtt(broker: Broker, tmp_path: Path):
    """Start, a command that is not allowed, one that is none, pause, resume: each answered; the end is retained."""
    with Operator(broker) as operator:
        directory = tmp_path / "run"
        ended: list[str] = []
        run = threading.Thread(target=lambda: toy.carry_through(directory, toy.toy_run(6000), hold=True))
        run.start()
        wait_for((directory / "status.json").exists, "the run")
        operator.say("stop", retain=True)  # long ago
        beside = threading.Thread(target=lambda: ended.append(bridge(directory, broker, "darkline/toy")))
        beside.start()
        wait_for(lambda: operator.states() == ["CONFIGURED"], "the state")
        commands = {"resume": False, "start": True, "explode": False, "pause": True}
        for number, (command, accepted) in enumerate(commands.items(), start=2):
            operator.say(command)
            answer = wait_for(lambda n=number: len(operator.answers()) >= n and operator.answers()[n - 1], command)
            assert (answer["command"], answer["accepted"]) == (command, accepted)
            assert bool(answer["rule"]) != accepted
        assert operator.answers()[0]["rule"] == "retained commands are not obeyed"
        operator.say("resume")
        run.join(60)
        beside.join(60)
        assert ended == ["DONE"]
        wait_for(lambda: operator.states()[-1] == "DONE", "the end")
        assert operator.states()[:2] == ["CONFIGURED", "RUNNING"]
    with Operator(broker) as late:
        wait_for(lambda: late.states() == ["DONE"], "the retained state")
        assert all(is_retained for topic, _, is_retained in late.heard if topic.endswith("state"))


@pytest.mark.parametrize(("text", "expected"), [("daq1", ("daq1", 1883)), ("localhost:1884", ("localhost", 1884))])
def test_brokers(text: str, expected: tuple[str, int]):
    """Host, with or without port."""
    assert Broker.of(text) == expected


@pytest.mark.parametrize("text", ["", ":1883", "host:", "host:0", "host:70000", "host:mqtt"])
def test_what_is_no_broker(text: str):
    """The rule is said."""
    with pytest.raises(InputError, match="must be HOST or HOST:PORT"):
        Broker.of(text)
