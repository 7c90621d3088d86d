"""In: the configuration in force. Out: what this machine has for it, or what to do, topic by topic.

A topic is a function that returns what it found or raises a UserError with the remedy. Libraries
that may fail to load are imported inside the functions, so that the topics before them are told.
"""

import importlib
import importlib.metadata
import inspect
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from agents import configuration
from agents.errors import UserError

_PACKAGE = "atari-dqn"
_INSTALL = "pip install --constraint constraints.txt --editable ."
_TENSORBOARD_PORT = 6006


class Finding(NamedTuple):
    """One topic."""

    topic: str
    is_ok: bool
    text: str  # what was found, or what to do


def examine_installation() -> Iterator[Finding]:
    """What can be told before any library is loaded, and whether they load."""
    yield _finding("python", _python)
    yield _finding("packages", _packages)
    yield _finding("extras", _extras)
    yield _finding("libraries", _libraries)


def examine_machine(run_dir: Path) -> Iterator[Finding]:
    """What the configuration in force needs; the libraries must load.

    Args:
      run_dir: where the run would go; need not exist.
    """
    yield _finding("games", _games)
    yield _finding("GPU", _gpu)
    yield _finding("precision", _precision)
    yield _finding("memory", _memory)
    yield _finding("disk", lambda: _disk(run_dir))
    yield _finding("films", _films)
    yield _finding("ports", _ports)


def _finding(topic: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(topic, True, check())
    except UserError as problem:
        return Finding(topic, False, str(problem))


def _python() -> str:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    is_known = platform.python_version().startswith(("3.10.", "3.11."))
    if not is_known or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise UserError(f"{found}: take Python 3.10 or 3.11 on Linux x86_64, Reverb has no others")
    return found


def _requirements() -> list[Requirement]:
    try:
        lines = importlib.metadata.requires(_PACKAGE)
    except importlib.metadata.PackageNotFoundError as e:
        raise UserError(f"{_PACKAGE} is not installed in this Python: {_INSTALL}") from e
    return [Requirement(line) for line in lines or []]


def _is_wanted(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _misfit(requirement: Requirement) -> str | None:
    """What is wrong with an installed package, or that it is missing."""
    wanted = f"{requirement.name} {requirement.specifier}"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted} is missing"
    fits = requirement.specifier.contains(version, prereleases=True)
    return None if fits else f"{wanted} is wanted, {version} is here"


def _packages() -> str:
    wanted = [r for r in _requirements() if _is_wanted(r, extra="")]
    if misfits := list(filter(None, map(_misfit, wanted))):
        raise UserError(f"{'; '.join(misfits)}: {_INSTALL}")
    versions = [
        f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "dm-reverb")
    ]
    return f"all {len(wanted)} fit, {', '.join(versions)}"


def _extras() -> str:
    """Never a fault: each command names the extra that it misses. cuda is the GPU's topic."""
    optional = [r for r in _requirements() if not _is_wanted(r, extra="")]
    extras = importlib.metadata.metadata(_PACKAGE).get_all("Provides-Extra", [])
    lacking = [x for x in extras if any(_is_wanted(r, x) and _misfit(r) for r in optional)]
    here = [x for x in extras if x not in lacking and x != "cuda"]
    return f"here: {', '.join(here) or 'none'}; not here, and not always needed: " + (
        ", ".join(x for x in lacking if x != "cuda") or "none"
    )


def _libraries() -> str:
    for name in ("tensorflow", "reverb", "tf_agents", "ale_py"):
        try:
            importlib.import_module(name)
        except Exception as e:  # a wheel that does not fit raises anything
            first = str(e).strip().splitlines()[:1]
            raise UserError(f"{name} does not load ({' '.join(first)}): {_INSTALL}") from e
    return "TensorFlow, Reverb, TF-Agents and ALE load"


def _games() -> str:
    from ale_py import roms

    from agents.environments import AtariEnvironment

    found = f"{len(roms.get_all_rom_ids())} ROMs"
    if (game := configuration.argument(AtariEnvironment, "game")) is inspect.Parameter.empty:
        return found
    AtariEnvironment(num_envs=1, num_threads=1).reset()
    return f"{found}; {game} starts"


def _gpu() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and os.path.exists("/dev/nvidia0"):
        cuda = tf.sysconfig.get_build_info().get("cuda_version", "12")
        raise UserError(
            f"TensorFlow does not see the NVIDIA GPU that is here: pip install -e '.[cuda]', "
            f"and a driver for CUDA {cuda}"
        )
    if not gpus:
        return f"none; a training takes the CPU, {os.cpu_count()} cores"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return ", ".join(detail.get("device_name", "a GPU") for detail in details)


def _precision() -> str:
    from agents.networks import precision_policy

    if precision_policy("auto").name == "mixed_bfloat16":
        return "'auto' is mixed_bfloat16, which this device multiplies in hardware"
    return "'auto' is float32: this device has no bfloat16 in hardware"


def _replay() -> tuple[int, str]:
    """Its transitions at its fullest, and their game; "" while none is named."""
    from agents.environments import AtariEnvironment
    from agents.games import rom_name
    from agents.replay import Replay
    from agents.training import Training

    capacity = configuration.argument(Replay, "capacity")
    length = configuration.argument(Training, "agent_steps")
    game = configuration.argument(AtariEnvironment, "game")
    if length is inspect.Parameter.empty:
        raise UserError(
            "nothing binds Training.agent_steps: name a game, as in --gin_file=pong.gin"
        )
    return min(capacity, length), "" if game is inspect.Parameter.empty else rom_name(game)


def _memory() -> str:
    from agents import memory

    transitions, game = _replay()
    memory.check_memory(transitions, game)
    need = transitions * memory.memory_bytes_per_transition(game)
    return (
        f"{memory.available_memory_bytes() / 1e9:.1f} GB are free; a replay of {transitions:,} "
        f"transitions takes up to {memory.size(need)}"
    )


def _disk(run_dir: Path) -> str:
    from agents import memory

    transitions, game = _replay()
    absolute = run_dir.expanduser().absolute()
    there = next(path for path in (absolute, *absolute.parents) if path.is_dir())
    if not os.access(there, os.W_OK):
        raise UserError(f"{there} cannot be written: choose another --run_dir")
    memory.check_disk(transitions, game, there)
    return f"{there} has room for the checkpoints of {transitions:,} transitions"


def _films() -> str:
    try:
        import imageio_ffmpeg

        encoder = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as e:
        raise UserError("there is no encoder for films: pip install -e '.[video]'") from e
    black = ["-f", "lavfi", "-i", "color=size=160x210:duration=0.1", "-c:v", "libx264"]
    command = [encoder, "-loglevel", "error", *black, "-f", "null", "-"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as e:
        raise UserError(
            f"{encoder} cannot encode ({e}): pip install --force-reinstall imageio-ffmpeg"
        ) from e
    return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()} encodes H.264"


def _ports() -> str:
    from agents.ports import obstacle
    from agents.replay import Replay, check_port

    port = configuration.argument(Replay, "port")
    if port is not None:
        check_port(port)
    is_taken = obstacle("", _TENSORBOARD_PORT)
    tensorboard = "is taken, the next one serves" if is_taken else "is free"
    return f"replay: {port or 'any free one'}; TensorBoard: {_TENSORBOARD_PORT} {tensorboard}"
