"""Settings that the tests of the source share."""

from typing import Any

from daq.settings import RunSettings, parse

ALP = {"process": "alp_gamma_gamma", "mass_gev": 3.0, "cross_section_nb": 20.0}


def run_settings(
    *processes: str, signals: tuple[dict[str, Any], ...] = (), background: dict[str, Any] | None = None, **rest: Any
) -> RunSettings:
    """Return the settings of a run over these processes; the menus are never opened."""
    source: dict[str, Any] = {"processes": list(processes), "signals": list(signals)}
    source |= {} if background is None else {"background": background}
    menus = {"l1": {"menu": "none"}, "hlt": {"menu": "none"}}
    return parse({"name": "test", "source": source, **menus, **rest}, RunSettings)
