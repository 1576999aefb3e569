"""Many machines: the same run by processes that nobody supervises, over tcp with keys, whatever the cables do."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from daq.stream.wire.keys import ALLOWED, make_keys, read_allowed
from tests.chain.commands import darkline_here
from tests.chain.farm import Farm, Network, counters, decisions, write_config
from tests.waiting import wait_for

EVENTS = 60_000
ROLES = ["source", "l1", "hlt", "spool"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the same run, on one machine."""
    directory = tmp_path_factory.mktemp("local")
    config = write_config(directory / "run.toml", EVENTS, {})
    done = darkline_here("run", config, "--out", directory / "run")
    assert done.returncode == 0, done.stderr
    return directory / "run"


def same_decisions(one: Path, other: Path) -> None:
    """Fail unless both runs decided alike on every event."""
    for mine, theirs in zip(decisions(one), decisions(other), strict=True):
        assert mine.equals(theirs)


def test_a_farm_on_one_machine(tmp_path: Path, undisturbed: Path):
    """Four commands, started in the wrong order, one killed and started again: all exit 0, the books balance."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    endpoints = {role: f"tcp://127.0.0.1:{port}" for role, port in zip(("source", "l1", "spool"), ports, strict=True)}
    config = write_config(tmp_path / "run.toml", EVENTS, endpoints)
    with Farm(tmp_path, config, None) as farm:
        workers = [farm.start("hlt", slot=slot) for slot in (0, 1)]
        source = farm.start("source")
        l1, spool = farm.start("l1"), farm.start("spool")
        farm.wait_for_blocks(8)
        spool.kill()
        spool = farm.start("spool")
        assert spool.exit_code() == 0, farm.said()
        assert [each.exit_code() for each in (source, l1, *workers)] == [0] * 4, farm.said()
    summary = counters(farm.run)
    assert (summary["state"], summary["generated"]) == ("DONE", EVENTS)
    same_decisions(farm.run, undisturbed)


def test_hosts_with_a_pulled_cable_and_a_stranger(tmp_path: Path, undisturbed: Path):
    """Source and L1, two workers, spool, each on a host of its own, with keys.

    The cable of one worker is pulled in mid-run, and plugged in again once the other has taken over; a stranger that
    claims to be a worker is refused. The spool is that of an undisturbed run.
    """
    make_keys(tmp_path / "keys", ROLES)
    make_keys(tmp_path / "forged", ["hlt"])
    (tmp_path / "forged" / ALLOWED).write_text(
        (tmp_path / "keys" / ALLOWED)
        .read_text()
        .replace(read_allowed(tmp_path / "keys")["hlt"], read_allowed(tmp_path / "forged")["hlt"])
    )
    with Network(4) as network:
        at = {"source": network.address(0), "l1": network.address(0), "spool": network.address(3)}
        endpoints = {role: f"tcp://{address}:{7100 + i}" for i, (role, address) in enumerate(at.items())}
        config = write_config(tmp_path / "run.toml", EVENTS, endpoints)
        hosts = network.hosts
        with Farm(tmp_path, config, tmp_path / "keys") as farm:
            spool = farm.start("spool", host=hosts[3])
            l1 = farm.start("l1", host=hosts[0])
            stranger = farm.start("hlt", host=hosts[1], keys=tmp_path / "forged", folder="stranger")
            wait_for(lambda: "its key is not on the list" in farm.log("l1-0"), "the refusal of the stranger")
            workers = [farm.start("hlt", slot=slot, host=hosts[1 + slot]) for slot in (0, 1)]
            source = farm.start("source", host=hosts[0])
            farm.wait_for_blocks(8)
            network.pull(2)
            cut_at = farm.blocks_done()
            assert cut_at < 90, "the run was nearly over before the cable was pulled"
            farm.wait_for_blocks(cut_at + 16)  # more than a window: without the other worker it would stand still
            network.plug(2)
            assert spool.exit_code() == 0, farm.said()
            assert [each.exit_code() for each in (source, l1, *workers)] == [0] * 4, farm.said()
            log, complaint = farm.log("l1-0"), farm.log("stranger")
            assert stranger.is_running
    summary = counters(farm.run)
    assert (summary["state"], summary["generated"]) == ("DONE", EVENTS)
    assert json.dumps(read_allowed(tmp_path / "forged")["hlt"]) in log
    assert "refused by l1: our key is not let in" in complaint
    assert network.address(1) in log
    assert summary["refused"] >= 1
    same_decisions(farm.run, undisturbed)
    secrets = [path.read_text().split('secret = "')[1][:40] for path in (tmp_path / "keys").glob("*.secret")]
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".secret"]
    assert not [path for path in left for secret in secrets if secret.encode() in path.read_bytes()]


def test_a_cable_that_stays_out(tmp_path: Path, undisturbed: Path):
    """The other worker does the rest; the one that was cut off is waited for at the end, but not for ever."""
    make_keys(tmp_path / "keys", ROLES)
    with Network(3) as network:
        at = {"source": network.address(0), "l1": network.address(0), "spool": network.address(0)}
        endpoints = {role: f"tcp://{address}:{7100 + i}" for i, (role, address) in enumerate(at.items())}
        config = write_config(tmp_path / "run.toml", EVENTS, endpoints)
        with Farm(tmp_path, config, tmp_path / "keys") as farm:
            inside = [farm.start(role, host=network.hosts[0]) for role in ("spool", "l1", "source")]
            workers = [farm.start("hlt", slot=slot, host=network.hosts[1 + slot]) for slot in (0, 1)]
            farm.wait_for_blocks(8)
            network.pull(2)
            assert farm.blocks_done() < 90
            assert [each.exit_code() for each in (*inside, workers[0])] == [0] * 4, farm.said()
            assert workers[1].is_running
    same_decisions(farm.run, undisturbed)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["l1"], "stream.endpoints.*must say where it listens"),
        (["painter"], "must be one of source, l1, hlt, spool"),
        (["hlt", "--slot", 2], "the run has 2 workers"),
        (["l1", "--slot", 1], "there is only one l1"),
    ],
)
def test_what_is_no_farm(arguments: list[object], rule: str, tmp_path: Path):
    """Said in one line, exit code 2, and nothing is made."""
    config = write_config(tmp_path / "run.toml", 100, {})
    done = darkline_here("node", arguments[0], config, *arguments[1:], "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert re.search(rule, done.stderr)
    assert not (tmp_path / "out").exists()


def test_endpoints_of_other_machines_need_keys(tmp_path: Path):
    """A run whose sockets others can reach is refused without keys, for `run` and `node` alike."""
    config = write_config(tmp_path / "run.toml", 100, {"source": "tcp://10.1.2.3:7000"})
    for command in (["run", config], ["node", "source", config], ["check", config]):
        done = darkline_here(*command)
        assert done.returncode == 2
        assert "endpoints.source = 'tcp://10.1.2.3:7000'" in done.stderr
        assert "needs keys" in done.stderr
