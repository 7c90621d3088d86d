"""Games played through a server have the scores of an evaluation; the client has no TensorFlow."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agents import configuration
from agents.evaluation import Evaluator
from tests import serving, tiny_dqn

ROOT = Path(__file__).parent.parent

# As `python launch/play.py`, and fails if that imports what it must not.
PLAY = """
import sys
from launch import play
try:
    play.cli()
finally:
    assert not {"tensorflow", "tf_agents", "reverb"} & set(sys.modules)
"""


def play(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", PLAY, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def server(exported):
    with serving.served(serving.config(exported.parent)) as server:
        yield server


def evaluate(protocol: str) -> list[float]:
    """Scores of an evaluation without chance but for the game's own."""
    agent, _ = tiny_dqn.for_space_invaders()
    configuration.load([f"{protocol}.gin"], ["AtariEnvironment.game = 'space_invaders'"])
    evaluator = Evaluator(agent, episodes=3, epsilon=0.0, max_frames_per_episode=2400, seed=5)
    scores = evaluator.run().scores
    configuration.load([])
    return [float(score) for score in scores]


@pytest.mark.parametrize(
    ("scheme", "protocol", "rules"),
    [
        ("", "dopamine", []),
        ("http://", "dopamine", []),
        ("", "nature", ["--repeat_action_probability=0", "--noop_max=30"]),
    ],
)
def test_scores_are_those_of_an_evaluation(server, scheme, protocol, rules):
    scores = evaluate(protocol)
    port = server.ports.rest if scheme else server.ports.grpc
    run = play(
        f"--address={scheme}127.0.0.1:{port}",
        *("--model=policy", "--game=space_invaders", "--episodes=3", "--seed=5"),
        *("--max_frames=2400", *rules),
    )
    assert (run.returncode, run.stderr) == (0, "")
    played, latency = run.stdout.splitlines()
    assert [float(score) for score in played.removeprefix("scores: ").split()] == scores
    assert len(set(scores)) > 1, "the games must tell apart"
    summary = rf"mean {sum(scores) / 3:g}; \d+ requests of 3 observations, median .*"
    assert re.fullmatch(summary, latency)


def test_mistakes_are_one_line(server):
    grpc, rest = f"127.0.0.1:{server.ports.grpc}", f"http://127.0.0.1:{server.ports.rest}"
    game = "--game=space_invaders"
    remedy = "does a server at --address={} have --model=x?"
    nothing = '{"error": "Servable not found for request: Latest(x)"}; '
    for arguments, message in (
        ([], "name a model of the server: --model=space_invaders"),
        (["--model=x"], "unknown game 'x': did you mean 'klax'?, as in --game=space_invaders"),
        (["--model=joust"], "'joust' needs two players: choose another game, as in --game="),
        ([f"--address={rest}", "--model=x", game], nothing + remedy.format(rest)),
        (
            [f"--address={grpc}", "--model=x", game],
            "NOT_FOUND: Servable not found for request: Latest(x); " + remedy.format(grpc),
        ),
        (
            [f"--address={grpc}", "--model=policy", "--game=breakout"],
            "policy is not of breakout, which has 4 actions",
        ),
        (["--address=http://127.0.0.1:1", "--model=x", game], remedy.format("http://127.0.0.1:1")),
    ):
        run = play(*arguments)
        assert (run.returncode, run.stdout) == (2, ""), run.stderr
        assert run.stderr.startswith("error: ")
        assert run.stderr.count("\n") == 1
        assert message in run.stderr
