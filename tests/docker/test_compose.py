"""The compose file: no engine runs it here, but its command lines are ours, and every secret has a user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import darkline
from commands.node import check
from daq.settings import RunSettings, load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return the compose file."""
    return dict(yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")))


def parsed(command: list[str]) -> dict[str, Any]:
    """Return the parameters that the command line understands from the command of a service."""
    name, *arguments = command
    assert all(isinstance(each, str) for each in command), "a container is given text"
    node: Any = typer.main.get_command(darkline.app)
    context = node.commands[name].make_context(name, list(arguments))
    return dict(context.params)


def test_every_process_of_the_run_is_there_once(compose: dict[str, Any]):
    """A source, an L1, a spool, and as many workers as the configuration has; each may be in the farm."""
    found = []
    for service in compose["services"].values():
        given = parsed(service["command"])
        settings = load(ROOT / given["config"], RunSettings)
        check(given["role"], settings, given["slot"])
        found.append((given["role"], given["slot"]))
    workers = [("hlt", slot) for slot in range(settings.workers)]
    assert sorted(found) == sorted([("source", 0), ("l1", 0), ("spool", 0), *workers])


def test_endpoints_are_services(compose: dict[str, Any]):
    """Each role listens at the name of its own service."""
    settings = load(ROOT / "configs" / "runs" / "farm.toml", RunSettings)
    for role, endpoint in settings.stream.endpoints.items():
        host = endpoint.removeprefix("tcp://").partition(":")[0]
        assert parsed(compose["services"][host]["command"])["role"] == role


def test_secrets(compose: dict[str, Any]):
    """A service has the list and the secret of its own role, where the configuration looks for them, and no other."""
    settings = load(ROOT / "configs" / "runs" / "farm.toml", RunSettings)
    assert settings.stream.keys == "/run/secrets"
    for service in compose["services"].values():
        assert service["secrets"] == ["allowed.toml", f"{parsed(service['command'])['role']}.secret"]
        assert set(service["secrets"]) <= compose["secrets"].keys()
    assert all(Path(secret["file"]).name == name for name, secret in compose["secrets"].items())
    for ignored in (".gitignore", ".dockerignore"):
        assert "docker/keys" in (ROOT / ignored).read_text(), "keys must get neither into the repository nor the image"


def test_the_spool_outlives_its_container(compose: dict[str, Any]):
    """The run directory lies on a volume of the host."""
    spool = compose["services"]["spool"]
    assert parsed(spool["command"])["out"] == Path("runs/farm")
    assert spool["volumes"] == ["../runs:/darkline/runs"]
    assert "WORKDIR /darkline" in (ROOT / "docker" / "Dockerfile").read_text()
    assert all(service["restart"] == "on-failure" for service in compose["services"].values())
