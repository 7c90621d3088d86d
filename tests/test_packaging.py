"""The wheel works outside the checkout, and an unsuitable machine is told what is missing."""

import configparser
import email
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "gin_configs", "launch")
SHIPPED_SUFFIXES = {".py", ".pyi", ".gin", ".space", ".csv", ".html"}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what a wheel is made of, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        "constraints.txt",
    ):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation"]
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run([*pip, "--wheel-dir", directory, source], check=True)
    (path,) = directory.glob("atari_dqn-*.whl")
    return path


def inside_dist_info(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [path for path in archive.namelist() if path.endswith(f".dist-info/{name}")]
        return archive.read(path).decode()


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SHIPPED_SUFFIXES
    }
    assert "gin_configs/space_invaders.gin" in expected
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not name.split("/")[0].endswith("-info")}
    assert inside == expected


def test_the_installed_wheel_loads_its_gin_files_from_a_foreign_directory(wheel, tmp_path):
    target, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", target]
    subprocess.run([*pip, wheel], check=True)
    script = (
        "import agents.training; from agents import configuration\n"
        "configuration.load(['space_invaders.gin'])\n"
        "print(agents.__file__, configuration.bindings()['AtariEnvironment.game'])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(target), "HOME": str(elsewhere)},
        cwd=elsewhere,
        capture_output=True,
        text=True,
    )
    assert run.stdout == f"{target}/agents/__init__.py 'space_invaders'\n", run.stderr


def test_every_command_has_an_entry_point(wheel):
    commands = {path.stem for path in (ROOT / "launch").glob("*.py")} - {
        "__init__",
        "command",
        "player",
    }
    entries = configparser.ConfigParser()
    entries.read_string(inside_dist_info(wheel, "entry_points.txt"))
    assert dict(entries["console_scripts"]) == {
        f"atari-dqn-{command}": f"launch.{command}:cli" for command in commands
    }
    for command in commands:
        assert "def cli() -> None:" in (ROOT / "launch" / f"{command}.py").read_text()


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 12, 1)])
def test_setup_refuses_another_python_in_one_line(source, version):
    script = f"import runpy, sys; sys.version_info = {version}; runpy.run_path('setup.py')"
    run = subprocess.run([sys.executable, "-c", script], cwd=source, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == (
        "atari-dqn needs Python 3.10 or 3.11 (TensorFlow 2.15 and Reverb 0.14 have no wheels for"
        f" others); this is Python {'.'.join(map(str, version))}\n"
    )


def test_make_refuses_another_python_in_one_line(source, tmp_path):
    python = tmp_path / "python3.12"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.12.1\n')
    python.chmod(0o755)
    command = ["make", "--silent", "install", f"PYTHON={python}"]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.splitlines()[0] == (
        "atari-dqn needs Python 3.10 or 3.11 (TensorFlow 2.15 and Reverb 0.14 have no wheels for"
        " others); found Python 3.12.1. Set PYTHON=/path/to/python3.11."
    )
    assert not (source / ".venv").exists()


@pytest.mark.parametrize("python", ["3.10", "3.11"])
def test_constraints_lie_within_the_ranges_of_setup(wheel, python):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pinned = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate({"python_version": python})
    }
    metadata = email.message_from_string(inside_dist_info(wheel, "METADATA"))
    ranges = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    assert len(ranges) > 10
    for required in ranges:
        assert required.specifier.contains(pinned[canonicalize_name(required.name)]), required
