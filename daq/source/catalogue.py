"""The processes of a run: files of configs/processes, checked and settled at its beams and parameters."""

from __future__ import annotations

from pathlib import Path

from daq.errors import InputError, naming
from daq.settings import CONFIGS, BeamSettings, RunSettings, SignalSettings, parse, read_toml
from daq.source.decay import ChainSettings
from daq.source.formats import read_sample
from daq.source.kinematics import CollisionFrame, collision_frame
from daq.source.signals import Signal, check_process, settle, settle_standard
from daq.source.species import closest
from daq.source.standard.process import Process, ProcessSettings, check_energy

NB_CM2 = 1e-33
PROCESSES, SAMPLES = CONFIGS / "processes", CONFIGS / "samples"


def load_process(path: Path) -> ProcessSettings | ChainSettings:
    """Read a file of configs/processes; raise `InputError` with every broken rule."""
    tables = read_toml(path)
    if tables.get("sampler") != "decay_chain":
        return parse(tables, ProcessSettings, file=path)
    settings = parse(tables, ChainSettings, file=path)
    check_process(settings, path)
    return settings


def what_process(path: Path) -> str:
    """Check a file of configs/processes, a signal at the masses that it gives, and say what it is."""
    settings = load_process(path)
    if isinstance(settings, ChainSettings):
        sqrt_s = collision_frame(BeamSettings()).sqrt_s_gev
        with naming(path):
            if settings.is_standard:
                settle_standard(path.stem, settings, sqrt_s)
                return f"a process: {settings.title}"
            main = settings.particles[settings.particle].mass_gev if settings.particle else None
            settle(SignalSettings(process=path.stem, mass_gev=main, cross_section_nb=1.0), settings, sqrt_s)
        return f"a signal: {settings.title}"
    return f"a process: {settings.title}"


def processes_of(settings: RunSettings, frame: CollisionFrame) -> list[Process | Signal]:
    """Return the processes of a run, then its signals.

    Raises
    ------
    InputError
        If there is none, one is unknown, listed twice, a signal where a process is due (or the reverse), or too heavy.
    """
    source = settings.source
    if not source.processes and not source.signals:
        raise InputError("a mix needs at least one process or signal", key="[source] processes")
    processes = [standard(name, frame, settings.beam.luminosity_cm2_s) for name in source.processes]
    processes += [_signal(signal, frame) for signal in source.signals]
    names = [process.name for process in processes]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError("listed twice", key="[source] process", value=repeated)
    return processes


def standard(name: str, frame: CollisionFrame, luminosity_cm2_s: float) -> Process | Signal:
    """Return a Standard Model process by the name of its file, ready to be generated."""
    settings = _named(name, "[source] processes")
    if isinstance(settings, ChainSettings):
        if not settings.is_standard:
            raise InputError("is a signal: list it under [[source.signals]]", key="[source] processes", value=name)
        return settle_standard(name, settings, frame.sqrt_s_gev)
    check_energy(name, settings, frame.sqrt_s_gev)
    cross_section = settings.cross_section_nb or 0.0
    if settings.rate_hz is not None:
        cross_section = settings.rate_hz / (luminosity_cm2_s * NB_CM2)
    sample = read_sample(SAMPLES / settings.sample) if settings.sample is not None else None
    return Process(name, settings, cross_section, sample)


def standard_names() -> list[str]:
    """Return the names of all files of configs/processes that a run can list under ``[source] processes``."""
    files = [(path.stem, load_process(path)) for path in sorted(PROCESSES.glob("*.toml"))]
    return [name for name, settings in files if not isinstance(settings, ChainSettings) or settings.is_standard]


def _named(name: str, key: str) -> ProcessSettings | ChainSettings:
    known = sorted(path.stem for path in PROCESSES.glob("*.toml"))
    if name not in known:
        rule = closest(name, known, f"no such process in {PROCESSES.parent.name}/{PROCESSES.name}")
        raise InputError(rule, key=key, value=name)
    return load_process(PROCESSES / f"{name}.toml")


def _signal(signal: SignalSettings, frame: CollisionFrame) -> Signal:
    settings = _named(signal.process, "[source.signals] process")
    if not isinstance(settings, ChainSettings):
        rule = "is not a signal: list it under [source] processes"
        raise InputError(rule, key="[source.signals] process", value=signal.process)
    return settle(signal, settings, frame.sqrt_s_gev)
