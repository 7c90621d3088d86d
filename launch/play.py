"""Plays games by asking a server for the actions: this project's, TF Serving, or one like it.

    python launch/play.py --address=localhost:8500 --model=space_invaders
    python launch/play.py --address=http://localhost:8501 --model=space_invaders --episodes=20
    python launch/play.py --model=space_invaders --repeat_action_probability=0 --noop_max=30

It needs no TensorFlow. The games are those of an evaluation with the same seed and rules, for a
model of the game's minimal action set and a frame skip of 4.
"""

import time

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_string("address", "localhost:8500", "HOST:PORT for gRPC, http://HOST:PORT for REST.")
flags.DEFINE_string("model", None, "The model's name on the server.")
flags.DEFINE_string("game", None, "ALE's name of the game; default: the model's name.")
flags.DEFINE_integer("episodes", 1, "Games, played side by side.", 1)
flags.DEFINE_integer("seed", 1_000_000, "Of the first game; the next ones count on.", 0, 2 * 10**9)
flags.DEFINE_integer("max_frames", 108_000, "A game is cut here.", 4, 10**9)
flags.DEFINE_float("repeat_action_probability", 0.25, "Stickiness of the actions.", 0, 1)
flags.DEFINE_integer("noop_max", 0, "A game starts with up to so many no-op frames.", 0, 10**9)


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.model:
        raise UserError("name a model of the server: --model=space_invaders")

    import grpc
    import numpy as np
    import requests
    from ale_py.vector_env import AtariVectorEnv

    from agents.games import rom_name
    from agents.serving.client import connect

    try:
        game = rom_name(FLAGS.game or FLAGS.model)
    except UserError as e:
        raise UserError(f"{e}, as in --game=space_invaders") from e
    ask = connect(FLAGS.address, FLAGS.model)
    remedy = f"does a server at --address={FLAGS.address} have --model={FLAGS.model}?"
    env = AtariVectorEnv(
        game,
        FLAGS.episodes,
        max_num_frames_per_episode=FLAGS.max_frames,
        repeat_action_probability=FLAGS.repeat_action_probability,
        use_fire_reset=False,
        noop_max=FLAGS.noop_max + 1,  # ALE draws from 0 to noop_max - 1
        reward_clipping=False,
    )
    frames, _ = env.reset(seed=FLAGS.seed)
    scores, playing, seconds = np.zeros(FLAGS.episodes), np.ones(FLAGS.episodes, bool), []
    while playing.any():
        start = time.perf_counter()
        try:
            # Oldest frame first in the last dimension; bytes are the most compact by REST.
            rows = [stack.tobytes() for stack in frames.transpose(0, 2, 3, 1)]
            answer = ask("serving_bytes", "observation_bytes", np.array(rows, object))
        except grpc.RpcError as e:
            raise UserError(f"{e.code().name}: {e.details()}; {remedy}") from e
        except requests.RequestException as e:
            raise UserError(f"{e}; {remedy}") from e
        num_actions = len(env.ale.get_action_set())
        if answer["q_values"].shape[1] != num_actions:
            raise UserError(f"{FLAGS.model} is not of {game}, which has {num_actions} actions")
        seconds.append(time.perf_counter() - start)
        frames, rewards, terminated, truncated, _ = env.step(answer["action"].astype(np.int32))
        scores += rewards * playing
        playing &= ~(terminated | truncated)
    print("scores:", *(f"{score:g}" for score in scores))
    milliseconds = 1e3 * np.percentile(seconds, [50, 99])
    print(
        f"mean {scores.mean():g}; {len(seconds)} requests of {FLAGS.episodes} observations, "
        "median {:.1f} ms, 99% within {:.1f} ms".format(*milliseconds)
    )


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
