"""The floors of the library: no import runs upwards, and no two files import each other."""

import ast
import graphlib
import importlib.metadata
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the ground up. Below SHARED a module imports strictly lower floors only; from there on also
# its own. A package counts as one entry. A new module of the library gets its place here.
FLOORS = [
    {"errors", "ports"},
    {"arguments", "games"},
    {"configuration"},
    {
        "environments",
        "networks",
        "replay",
        "run_directory",
        "scores",
        "stop_signal",
    },
    {"algorithms", "checkpoints", "collection", "evaluation", "protocols"},
    {"learner", "memory", "profiling", "reporting", "serving", "summaries"},
    {"training"},
    {
        "assessment",
        "doctor",
        "hub",
        "players",
        "recording",
        "restoring",
        "speed",
        "tuning",
    },
]
SHARED = 4


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "agents").rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, at its top or inside a function, by their full names."""
    found = set()
    package = module_name(path if path.name == "__init__.py" else path.parent / "__init__.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                found.add(submodule if submodule in MODULES else base)
    return found


def floor(module: str) -> int:
    room = module.split(".")[1]
    (number,) = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    return number


def test_every_module_has_one_floor():
    rooms = [room for rooms in FLOORS for room in rooms]
    assert len(rooms) == len(set(rooms))
    modules = {module.split(".")[1] for module in MODULES if module != "agents"}
    assert modules <= set(rooms), "give a new module its place in FLOORS"


@pytest.mark.parametrize("module", [module for module in MODULES if module != "agents"])
def test_no_import_runs_upwards(module):
    for imported in imports(MODULES[module]):
        if not imported.startswith("agents."):
            assert imported.split(".")[0] not in ("agents", "launch", "gin_configs", "tests")
        elif imported.split(".")[1] != module.split(".")[1]:  # a package may import its own files
            highest = floor(module) if floor(module) >= SHARED else floor(module) - 1
            assert floor(imported) <= highest, f"{module} imports {imported}"


def test_no_two_files_import_each_other():
    graph = {name: imports(path) & set(MODULES) - {name} for name, path in MODULES.items()}
    assert graph["agents"] == set(), "agents/__init__.py stays light: every import passes it"
    assert list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("path", sorted((ROOT / "launch").glob("*.py")), ids=lambda path: path.name)
def test_commands_are_thin(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 100
    # `python launch/train.py` puts launch/ first on the path, where it would hide such a module.
    assert (
        path.stem
        not in sys.stdlib_module_names | importlib.metadata.packages_distributions().keys()
    )


def test_an_upward_import_would_be_seen():
    assert floor("agents.environments") < floor("agents.algorithms.dqn") < floor("agents.training")
    assert "agents.configuration" in imports(ROOT / "agents" / "environments.py")
