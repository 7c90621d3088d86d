"""What all commands share: help, errors in one line and exit status 2, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from agents.errors import UserError
from launch import command

ROOT = Path(__file__).parent.parent
COMMANDS = sorted(
    path
    for path in (ROOT / "launch").glob("*.py")
    if path.name not in ("__init__.py", "command.py", "player.py")
)
COMMAND = '''
"""Counts to a number.

    python count.py --to=3
"""
from absl import flags
from agents.errors import UserError
from launch import command

command.define_gin_flags()
TO = flags.DEFINE_integer("to", 3, "The last number.", lower_bound=0)

def main(argv):
    if TO.value > 9:
        raise UserError(f"--to={TO.value} is too many: count to 9")
    if TO.value == 7:
        raise KeyboardInterrupt
    print(*range(TO.value), flags.FLAGS.gin_file, flags.FLAGS.gin_bindings)

command.run(main)
'''


@pytest.fixture
def count(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        (tmp_path / "count.py").write_text(COMMAND.lstrip())
        command = [sys.executable, str(tmp_path / "count.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return run


def test_flags_reach_main(count):
    run = count("--to=2", "--gin_file=a", "--gin_file=b", "--gin_bindings=A.x=1,2")
    assert (run.returncode, run.stdout) == (0, "0 1 ['a', 'b'] ['A.x=1,2']\n")


def test_help_shows_examples_and_this_commands_flags_only(count):
    run = count("--help")
    assert run.returncode == 0
    assert run.stdout.startswith("Counts to a number.\n\n    python count.py --to=3\n")
    for flag in ("--to", "--gin_file", "--gin_bindings"):
        assert f"  {flag}: " in run.stdout
    assert "--verbosity" not in run.stdout


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--to=12", "--to=12 is too many: count to 9"),
        ("--to=x", "flag --to=x: invalid literal for int() with base 10: 'x'"),
        ("--to=-1", "flag --to=-1: -1 is not a non-negative integer"),
        ("--gin_fil=a", "no flag --gin_fil: did you mean --gin_file?"),
        ("--algo=dqn", "no flag --algo: see --help, and docs/from_rl_zoo.md for flags of RL-Zoo"),
        ("pong", "unexpected argument 'pong': every option starts with --, see --help"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(count, argument, message):
    run = count(argument)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", f"error: {message}\n")


def test_an_interrupt_leaves_no_traceback(count):
    run = count("--to=7")
    assert (run.returncode, run.stderr) == (130, "")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_help_of_every_command_comes_without_loading_tensorflow(path, tmp_path):
    script = (
        "import runpy, sys\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert 'tensorflow' not in sys.modules"
    )
    command = [sys.executable, "-c", f"import sys; sys.argv = [{str(path)!r}, '--help']\n{script}"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert f"python launch/{path.name} " in run.stdout
    assert "\nOptions:\n" in run.stdout


def test_a_missing_package_is_named_with_its_extra():
    expected = pytest.raises(UserError, match=r"optuna is missing: pip install -e '\.\[tune\]'")
    with expected, command.extra("tune"):
        raise ModuleNotFoundError(name="optuna")
