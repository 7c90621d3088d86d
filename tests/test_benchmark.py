"""In: a small configuration. Out: figures that fit together."""

import pytest

from agents import benchmark, configuration
from agents.benchmark import STAGES


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(benchmark, "_SECONDS_PER_ROUND", 0.02)
    monkeypatch.setattr(benchmark, "WARM_UP_AGENT_STEPS", 200)


def load(*bindings):
    configuration.load(
        ["space_invaders.gin"],
        [
            *benchmark.loop_bindings(200, 400),
            "AtariEnvironment.num_envs = 4",
            "Replay.batch_size = 8",
            *bindings,
        ],
    )


def test_the_stages_of_the_loop_add_up_to_no_more_than_the_loop():
    load()
    figures = benchmark.time_loop(200, 400)
    per_update = 4e3 / figures.pop("agent_steps_per_second")
    assert set(figures) == set(STAGES)
    assert min(figures.values()) > 0
    assert 0.5 * per_update < sum(figures.values()) <= per_update


def test_every_stage_alone():
    load("nature_network.precision = 'float32'")
    figures = benchmark.time_stages("float32")
    assert min(figures.values()) > 0
    assert {name.partition("_")[0] for name in figures} == {*STAGES, "bare", "plain"}


def test_a_rate_counts_units():
    calls = []
    fast, slow = benchmark._rates(lambda: calls.append(1) or 6, lambda: calls.append(2) or 0)
    assert fast > 1000
    assert slow == 0
    assert calls[:2] == [1, 2]
    assert set(calls) == {1, 2}
