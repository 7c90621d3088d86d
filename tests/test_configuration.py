"""Gin files and bindings: what reaches a constructor, and the line a user reads when it cannot."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import gin
import pytest

import agents.training  # noqa: F401 (makes every name known to gin)
import gin_configs
from agents import configuration
from agents.algorithms.optimizers import adam
from agents.errors import UserError

FOLDER = Path(gin_configs.__file__).parent
SHIPPED = sorted(path.name for path in FOLDER.glob("*.gin"))


def shipped_text(name: str) -> str:
    return (FOLDER / name).read_text()


@configuration.configurable
class Engine:
    """Something to configure."""

    def __init__(
        self,
        cylinders: int,
        litres: float = 2.0,
        fuel: Literal["petrol", "diesel"] = "petrol",
        name: str | None = None,
        turbo: bool = False,
        parts: Any = (),
    ):
        self.arguments = (cylinders, litres, fuel, name, turbo, parts)


@configuration.configurable
class RacingEngine(Engine):
    """Takes over the constructor, and so the bindings, of another configurable."""


@configuration.configurable
class ElectricEngine(Engine):
    """Has an argument of its own, and passes on all others."""

    def __init__(self, cylinders: int = 0, *, volts: int = 400, **kwargs):
        super().__init__(cylinders, **kwargs)
        self.volts = volts


@configuration.configurable
def drive(engine: Any, kilometres: int = 1) -> tuple:
    return engine, kilometres


@pytest.fixture(autouse=True)
def _clean():
    yield
    gin.clear_config()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a gin file into the current directory, a temporary one."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, *lines: str) -> str:
        (tmp_path / name).write_text("\n".join(lines))
        return name

    return write


def error_of(files=(), bindings=()) -> str:
    with pytest.raises(UserError) as caught:
        configuration.load(files, bindings)
    assert gin.config_str() == ""
    assert configuration.bindings() == {}
    (line,) = str(caught.value).splitlines()
    return line


def test_later_files_override_earlier_ones_and_bindings_override_files(write):
    first = write("first.gin", "Engine.cylinders = 4", "Engine.litres = 1.5", "Engine.turbo = True")
    second = write("second.gin", "Engine.litres = 3", "Engine.turbo = False")
    configuration.load([first, second], ["Engine.turbo = True"])
    assert Engine().arguments == (4, 3, "petrol", None, True, ())


def test_a_caller_overrides_bindings():
    configuration.load([], ["Engine.cylinders = 4"])
    assert Engine(8, fuel="diesel").arguments[:3] == (8, 2.0, "diesel")


def test_macros_references_and_scopes():
    bindings = ["SIZE = 6", "sport/Engine.cylinders = %SIZE", "drive.engine = @sport/Engine()"]
    configuration.load([], bindings)
    assert drive()[0].arguments[0] == 6
    configuration.load([], ["drive.engine = @Engine"])
    assert drive()[0] is Engine


def test_a_subclass_takes_bindings_of_its_own_and_of_its_base():
    configuration.load([], ["Engine.cylinders = 4", "RacingEngine.litres = 5.0"])
    assert RacingEngine().arguments[:2] == (4, 5.0)
    assert Engine().arguments[:2] == (4, 2.0)


def test_a_subclass_passes_on_what_it_does_not_know():
    configuration.load(
        [], ["ElectricEngine.volts = 800", "ElectricEngine.litres = 0.0", "Engine.turbo = True"]
    )
    engine = ElectricEngine()
    assert engine.volts == 800
    assert engine.arguments == (0, 0.0, "petrol", None, True, ())


def test_each_load_starts_afresh():
    configuration.load([], ["Engine.cylinders = 4", "Engine.litres = 3.0"])
    configuration.load([], ["Engine.cylinders = 5"])
    assert configuration.bindings() == {"Engine.cylinders": "5"}
    assert Engine().arguments[:2] == (5, 2.0)


def test_an_include_is_found_beside_the_file_that_includes_it(write, tmp_path, monkeypatch):
    (tmp_path / "garage").mkdir()
    write("garage/base.gin", "Engine.cylinders = 4")
    write("base.gin", "Engine.cylinders = 99")
    write("garage/mine.gin", "include 'base.gin'")
    configuration.load(["garage/mine.gin"])
    assert configuration.bindings() == {"Engine.cylinders": "4"}


def test_names_of_ours_win_over_those_of_tf_agents():
    from tf_agents.train import learner as tf_agents_learner

    from agents import learner

    assert learner.Learner.__name__ == tf_agents_learner.Learner.__name__
    known = error_of(bindings=["Learner.nothing_like_it = 1"])
    assert "'nothing_like_it' of Learner" in known


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_file_loads_by_name_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configuration.load([name])
    by_file = configuration.bindings()
    configuration.load([name.removesuffix(".gin")])
    assert configuration.bindings() == by_file != {}


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (
            "ElectricEngine.litre = 0.0",
            "unknown parameter 'litre' of ElectricEngine: did you mean 'litres'?",
        ),
        (
            "Engine.cylinder = 4",
            "unknown parameter 'cylinder' of Engine: did you mean 'cylinders'?",
        ),
        ("Engine.self = 4", "unknown parameter 'self' of Engine: it has cylinders, litres, fuel"),
        ("Engin.cylinders = 4", "unknown name 'Engin': did you mean 'Engine'?"),
        ("drive.engine = @Engin()", "unknown name 'Engin': did you mean 'Engine'?"),
        ("Engine.cylinders = 'eight'", "Engine.cylinders must be an int, got 'eight'"),
        ("Engine.cylinders = 8.5", "Engine.cylinders must be an int, got 8.5"),
        ("Engine.cylinders = 1e6", "Engine.cylinders must be an int, got 1000000.0: write 1000000"),
        ("Engine.cylinders = True", "Engine.cylinders must be an int, got True"),
        ("Engine.cylinders = None", "Engine.cylinders must be an int, got None"),
        ("Engine.litres = True", "Engine.litres must be a float, got True"),
        ("Engine.turbo = 1", "Engine.turbo must be a bool, got 1"),
        ("Engine.name = 1", "Engine.name must be a str or None, got 1"),
        ("Engine.fuel = 'coal'", "Engine.fuel must be 'petrol' or 'diesel', got 'coal'"),
        ("a/Engine.cylinders = 'x'", "a/Engine.cylinders must be an int, got 'x'"),
        ("X = 'x'\nEngine.cylinders = %X", "Engine.cylinders must be an int, got 'x'"),
        (
            "SIZE = 1\nEngine.cylinders = %SIZES",
            "%SIZES, for Engine.cylinders, is not defined: did",
        ),
        ("X = %X\nEngine.cylinders = %X", "%X, for Engine.cylinders, is defined by itself"),
        ("Engine.fuel = diesel", "diesel is not a value, write text in quotes, 'diesel'"),
        ("Engine.turbo = true", "true is not a value, did you mean True?"),
        ("Engine.cylinders =", "cannot read 'Engine.cylinders =': "),
        ("Engine.cylinders 4", "cannot read 'Engine.cylinders 4': "),
        ("Engine.parts = (1,", "cannot read 'Engine.parts = (1,': "),
        ("X = {[]: 1}", "cannot read 'X = {[]: 1}': unhashable"),
        ("Engine.cylinders = @Engine", "Engine.cylinders must be an int, got @Engine"),
        (
            "Engine.cylinders = 4; Engine.name = 'V4'",
            "cannot read \"Engine.cylinders = 4; Engine.name = 'V4'\": one binding to a line",
        ),
        ("import os", "may import modules of agents only"),
        ("from os import path", "may import modules of agents only"),
        ("import agents.no_such_module", "there is no module agents.no_such_module"),
        ("include 'no_such.gin'", "there is no gin file 'no_such.gin'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_line(binding, message):
    assert message in error_of(bindings=[binding])


def test_a_mistake_in_a_file_names_file_and_line(write):
    write("engine.gin", "Engine.litres = 3.0", "", "Engine.cylinders = 'eight'")
    assert error_of(["engine.gin"]) == "engine.gin:3: Engine.cylinders must be an int, got 'eight'"
    write("engine.gin", "Engine.litres = 3.0", "Engine.cylinder = 8")
    assert error_of(["engine.gin"]).startswith("engine.gin:2: unknown parameter 'cylinder'")
    write("engine.gin", "Engine.litres = 3.0", "Engine:", "  cylinders = 8", "  name = ?")
    assert error_of(["engine.gin"]).startswith("engine.gin:4: cannot read 'name = ?'")
    write("outer.gin", "", "include 'engine.gin'")
    assert error_of(["outer.gin"]).startswith("engine.gin:4: cannot read 'name = ?'")


def test_a_missing_file_comes_with_the_closest_shipped_name(write):
    wrong = error_of(["space_invader.gin"])
    assert wrong == (
        "there is no gin file 'space_invader.gin', here or shipped: "
        "did you mean 'space_invaders.gin'?"
    )
    write("outer.gin", "include 'space_invader.gin'")
    assert error_of(["outer.gin"]) == f"outer.gin:1: {wrong}"


def test_files_that_cannot_be_read(write, tmp_path):
    write("a.gin", "include 'b.gin'")
    write("b.gin", "include 'a.gin'")
    assert error_of(["a.gin"]) == "b.gin:1: a.gin includes itself: remove this line"
    (tmp_path / "binary.gin").write_bytes(b"\xff\xfe\x00")
    assert "cannot read the gin file" in error_of(["binary.gin"])


def test_a_gin_file_may_import_a_module_of_ours():
    script = (
        "import sys; from agents import configuration;"
        "configuration.load([], ['import agents.scores']); print('agents.scores' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True"


def test_values_passed_in_code_are_checked_too():
    with pytest.raises(UserError) as caught:
        Engine("x")
    assert str(caught.value).splitlines()[0] == "Engine.cylinders must be an int, got 'x'"
    with pytest.raises(UserError, match=r"^drive.kilometres must be an int, got None"):
        drive(1, kilometres=None)


def test_a_value_that_nobody_gives_is_asked_for():
    with pytest.raises(UserError, match=r"Engine.cylinders has no value: bind it to an int"):
        Engine()


def test_the_message_of_a_user_error_is_one_line():
    assert str(UserError("two\n  lines")) == "two lines"


def test_a_binding_that_nothing_used_is_named(write):
    mine = write("mine.gin", "SIZE = 4", "Engine.cylinders = 4", "Engine.litres = 1.0")
    configuration.load([mine], ["drive.kilometres = 7", "drive.engine = 1"])
    Engine(litres=3.0)
    drive(engine=2)
    with pytest.raises(UserError) as caught:
        configuration.check_used()
    assert str(caught.value) == (
        "nothing in this run uses SIZE (mine.gin:1), Engine.litres (mine.gin:3), drive.engine:"
        " remove it or correct it"
    )


@pytest.mark.parametrize(
    ("binding", "closest"),
    [
        ("learning_rate = 1e-4", "adam.learning_rate"),
        ("rmsprop.learning_rate = 1e-4", "adam.learning_rate"),
        ("RATE = 1e-4", "RATES"),
        ("EPSILON = 1e-4", "adam.epsilon"),
        ("beta = 0.9", "adam.beta_2, adam.beta_1"),
    ],
)
def test_an_unused_binding_comes_with_the_closest_names_in_use(write, binding, closest):
    mine = write("mine.gin", "include 'dqn.gin'", "RATES = 1e-3", "adam.learning_rate = %RATES")
    configuration.load([mine], [binding])
    adam()
    with pytest.raises(UserError) as caught:
        configuration.check_used()
    name = binding.split()[0]
    assert f"nothing in this run uses {name} (did you mean {closest}?): " in str(caught.value)


def test_used_bindings_pass_through_macros_references_and_scopes():
    configuration.load(
        [],
        [
            "SIZE = 4",
            "Engine.litres = 1.0",
            "sport/Engine.cylinders = %SIZE",
            "drive.engine = @sport/Engine()",
        ],
    )
    drive()
    configuration.check_used()


def test_a_binding_hidden_by_an_inner_scope_is_unused():
    configuration.load([], ["Engine.cylinders = 4", "sport/Engine.cylinders = 8"])
    with gin.config_scope("sport"):
        Engine()
    with pytest.raises(UserError, match=r"uses Engine.cylinders: remove"):
        configuration.check_used()


def test_shipped_files_are_exempt_unless_the_user_overrides_them():

    configuration.load(["dqn.gin"])
    configuration.check_used()
    configuration.load(["dqn.gin"], ["DQN.gamma = 0.5"])
    with pytest.raises(UserError, match=r"uses DQN.gamma: remove"):
        configuration.check_used()


def test_bindings_are_sorted_and_have_their_macros_resolved():
    configuration.load(
        [],
        [
            "SIZE = 4",
            "Engine.parts = {'a': [%SIZE, (1, %SIZE)], 'b': @drive}",
            "Engine.cylinders = %SIZE",
            "a/Engine.fuel = 'diesel'",
        ],
    )
    assert list(configuration.bindings().items()) == [
        ("Engine.cylinders", "4"),
        ("Engine.parts", "{'a': [4, (1, 4)], 'b': @drive}"),
        ("a/Engine.fuel", "'diesel'"),
    ]


def test_bindings_written_as_gin_load_again():
    configuration.load([], ["SIZE = 4", "Engine.cylinders = %SIZE", "drive.engine = @Engine()"])
    before, text = configuration.bindings(), gin.config_str()
    configuration.load([], [text])
    assert configuration.bindings() == before


def test_differences_are_shown_from_the_run_to_now():
    old = {"A.x": "1", "A.y": "2", "A.z": "3"}
    new = {"A.x": "1", "A.y": "5", "B.w": "'pong'"}
    assert configuration.differences(old, new) == [
        "A.y: 2 in the run, 5 now",
        "A.z: 3 in the run, not set now",
        "B.w: not set in the run, 'pong' now",
    ]
    assert configuration.differences(old, old) == []


def test_one_protocol_replaces_another_but_two_are_refused(write):
    game, skip = write("game.gin", "include 'dopamine.gin'"), "AtariEnvironment.frameskip"
    mine = write("mine.gin", f"{skip} = 2")
    configuration.load([game, "nature.gin", "nature.gin"], [f"{skip} = 3"])
    assert configuration.bindings()[skip] == "3"
    for other in ("atari_100k.gin", mine):
        line = error_of([game, "nature.gin", other])
        assert line.startswith(f"nature.gin and {other} both set {skip}")


ALGORITHMS = [
    name for name in SHIPPED if re.search(r"^DQN\.name = ", shipped_text(name), re.MULTILINE)
]


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "dopamine_dqn.gin", "nature.gin", "rl_zoo.gin"])
def test_a_game_may_stand_before_or_after(algorithm):
    configuration.load(["pong.gin", algorithm])
    in_order = configuration.bindings()
    configuration.load([algorithm, "pong.gin"])
    assert configuration.bindings() == in_order


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("rainbow.gin", "iqn.gin"),
        ("full_rainbow.gin", "rainbow.gin"),
        ("rainbow.gin", "full_rainbow.gin"),
        ("dueling_dqn.gin", "double_dqn.gin"),
        ("rainbow.gin", "dqn.gin"),
        ("rainbow.gin", "own.gin"),
    ],
)
def test_two_algorithms_are_refused(write, first, second):
    own = write("own.gin", "include 'dqn.gin'", "DQN.name = 'own'")
    expected = f"{first} and {second} are two algorithms: name one of them"
    assert error_of(["pong.gin", first, own if second == "own.gin" else second]) == expected
    both = write("both.gin", *(f"include '{name}'" for name in ("pong.gin", first, second)))
    assert error_of([both]) == expected


def test_a_protocol_that_was_named_is_not_replaced_by_an_include():
    remedy = "drq_eps.gin would replace the protocol rl_zoo.gin: name rl_zoo.gin after it"
    assert error_of(["pong.gin", "rl_zoo.gin", "drq_eps.gin"]) == remedy
    configuration.load(["pong.gin", "drq_eps.gin", "rl_zoo.gin"])
    assert configuration.bindings()["AtariEnvironment.use_fire_reset"] == "True"


@pytest.mark.parametrize(
    ("own_lines", "files", "expected"),
    [
        (["Training.agent_steps = 5"], ["OWN", "pong.gin"], {"Training.agent_steps": "5"}),
        (["DQN.n_step = 5", "include 'dqn.gin'"], ["OWN"], {"DQN.n_step": "5"}),
        (["include 'pong.gin'", "DQN.n_step = 5"], ["OWN", "noisy_dqn.gin"], {"DQN.n_step": "5"}),
        (
            ["include 'pong.gin'", "include 'rainbow.gin'", "adam.epsilon = 0.5"],
            ["OWN", "breakout.gin"],
            {
                "AtariEnvironment.game": "'breakout'",
                "Training.agent": "@C51",
                "DQN.n_step": "3",
                "adam.epsilon": "0.5",
            },
        ),
        (
            ["include 'nature.gin'"],
            ["OWN", "pong.gin"],
            {"AtariEnvironment.noop_max": "30", "AtariEnvironment.game": "'pong'"},
        ),
        (["DQN.name = 'mine'"], ["pong.gin", "rainbow.gin", "OWN"], {"DQN.name": "'mine'"}),
        (["DQN.name = 'mine'"], ["OWN", "rainbow.gin"], {"DQN.name": "'rainbow'"}),
        (["DQN.n_step = 5"], ["pong.gin", "rainbow.gin", "OWN"], {"DQN.n_step": "5"}),
        (["DQN.n_step = 5"], ["pong.gin", "OWN", "rainbow.gin"], {"DQN.n_step": "3"}),
        ([], ["pong.gin", "drq_eps.gin", "dopamine.gin"], {"AtariEnvironment.noop_max": "0"}),
        ([], ["pong.gin", "breakout.gin"], {"AtariEnvironment.game": "'breakout'"}),
        ([], ["pong.gin", "rainbow.gin", "dopamine_dqn.gin"], {"DQN.n_step": "3"}),
    ],
)
def test_what_is_named_or_written_last_counts_but_for_the_defaults(
    write, own_lines, files, expected
):
    own = write("own.gin", *own_lines)
    files = [own if name == "OWN" else name for name in files]
    configuration.load(files)
    named = configuration.bindings()
    assert expected.items() <= named.items()
    # As tune.py's best.gin has them.
    configuration.load([write("best.gin", *(f"include {name!r}" for name in files))])
    assert configuration.bindings() == named


def test_a_changed_copy_of_the_defaults_is_not_undone_by_the_shipped_one(write):
    write("dqn.gin", "include 'dopamine.gin'", "DQN.gamma = 0.9")
    own = write("own_pong.gin", "include 'dqn.gin'", "AtariEnvironment.game = 'pong'")
    configuration.load([own, "munchausen_dqn.gin"])
    assert configuration.bindings()["DQN.gamma"] == "0.9"
    configuration.load(["rainbow.gin", own])
    assert configuration.bindings()["DQN.n_step"] == "3"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_named_twice_is_as_named_once(name):
    configuration.load(["pong.gin", name])
    once = configuration.bindings()
    configuration.load(["pong.gin", name, name])
    assert configuration.bindings() == once


def test_an_own_configuration_names_this_package_only():
    configuration.load(["space_invaders.gin"])
    configuration.check_own()


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("Training.agent = @dqn_agent.DqnAgent", r"Training\.agent names tf_agents\..*DqnAgent"),
        ("C51.network = [{'a': @dqn_agent.DqnAgent()}]", r"C51\.network names tf_agents\."),
        ("C51.network = %X\nX = (@dqn_agent.DqnAgent,)", r"C51\.network names tf_agents\."),
        ("dqn_agent.DqnAgent.gamma = 0.5", r"DqnAgent\.gamma names tf_agents\."),
    ],
)
def test_a_configuration_from_elsewhere_may_name_nothing_else(write, binding, message):
    configuration.load([write("theirs.gin", binding)])
    with pytest.raises(UserError, match=message):
        configuration.check_own()


@pytest.mark.parametrize(
    ("binding", "parameter"),
    [("Replay.scratch_dir = '/home'", "scratch_dir"), ("Training.run_dir = 'x'", "run_dir")],
)
def test_what_the_code_passes_is_not_bound(binding, parameter):
    line = error_of([], [binding])
    assert f"unknown parameter '{parameter}' of " in line
    assert f", {parameter}" not in line.partition("it has")[2]


def test_a_directory_is_no_gin_file(tmp_path):
    assert error_of([str(tmp_path)]) == f"{tmp_path} is a directory: name a file in it"


def test_bindings_are_read_without_effect(write):
    path = write("some.gin", "# Note", "dqn.DQN.gamma = {'low': 0.9}", "X = [1, @DQN]")
    ((name, value, place), (macro, _, _)) = configuration.read(path)
    assert (name, value, place) == ("DQN.gamma", {"low": 0.9}, "some.gin:2: ")
    assert macro == "X"
    assert configuration.bindings() == {}


def test_a_file_is_located_from_anywhere(write, monkeypatch):
    path = write("some.gin", "Engine.cylinders = 4")
    located = configuration.located(path)
    assert configuration.located("pong") == "pong.gin"
    monkeypatch.chdir("/")
    configuration.load([located])
    assert configuration.bindings() == {"Engine.cylinders": "4"}


def test_an_argument_is_what_is_bound_or_its_default():
    configuration.load([], ["Engine.litres = %SIZE", "SIZE = 3.5"])
    assert configuration.argument(Engine, "litres") == 3.5
    assert configuration.argument(Engine, "fuel") == "petrol"
