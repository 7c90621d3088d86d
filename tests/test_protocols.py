"""The rules of a configuration, and which shipped protocols have them."""

import ast

import pytest

from agents import configuration, protocols
from launch import player


@pytest.fixture
def bound():
    """The bindings that gin files and lines make."""

    def bound(*gin_files, bindings=()):
        configuration.load(gin_files, bindings)
        return configuration.bindings()

    yield bound
    configuration.load([])


@pytest.mark.parametrize(
    ("protocol", "in_training", "in_evaluation"),
    [
        ("dopamine", ["dopamine", "ale_v5"], ["dopamine", "ale_v5"]),
        ("ale_v5", ["dopamine", "ale_v5"], ["dopamine", "ale_v5"]),
        ("nature", ["nature", "atari_100k"], ["nature", "atari_100k"]),
        ("atari_100k", ["nature", "atari_100k"], ["nature", "atari_100k"]),
        ("rl_zoo", ["rl_zoo"], ["rl_zoo"]),
    ],
)
def test_a_shipped_protocol_is_known_by_its_rules(bound, protocol, in_training, in_evaluation):
    rules = protocols.rules(bound(f"{protocol}.gin"))
    assert protocols.names(rules, in_training=True) == in_training
    assert protocols.names(rules, in_training=False) == in_evaluation


def test_a_lost_life_counts_in_training_only(bound):
    rules = protocols.rules(
        bound("nature.gin", bindings=["AtariEnvironment.terminal_on_life_loss = False"])
    )
    assert protocols.names(rules, in_training=True) == []
    assert protocols.names(rules, in_training=False) == ["nature", "atari_100k"]


@pytest.mark.parametrize(
    "line", ["noop_max = 1", "full_action_space = True", "max_frames_per_episode = 18_000"]
)
def test_other_rules_have_no_name(bound, line):
    rules = protocols.rules(bound("dopamine.gin", bindings=[f"AtariEnvironment.{line}"]))
    assert protocols.names(rules, in_training=False) == []


def test_rules_are_what_the_environment_is_made_with(bound):
    bindings = bound("nature.gin", bindings=["AtariEnvironment.num_envs = 3"])
    rules = protocols.rules(bindings)
    assert (rules["noop_max"], rules["repeat_action_probability"]) == (30, 0)
    assert not {"game", "num_envs", "seed", "num_threads", "self"} & set(rules)
    for name, value in rules.items():
        assert value == ast.literal_eval(bindings[f"AtariEnvironment.{name}"])
    assert protocols.rules({})["max_frames_per_episode"] == 108_000, "the default"


def test_bindings_make_a_protocol_but_for_what_is_kept(bound):
    lines = protocols.bindings(protocols.shipped("nature"), keep=["frameskip"])
    rules = protocols.rules(bound(bindings=[*lines, "AtariEnvironment.frameskip = 3"]))
    assert rules == protocols.shipped("nature") | {"frameskip": 3}


def test_the_commands_know_all_protocols():
    assert tuple(player.PROTOCOLS) == protocols.NAMES
