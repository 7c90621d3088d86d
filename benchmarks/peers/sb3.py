"""Times Stable-Baselines3's DQN as RL-Zoo sets it up on Atari; prints agent steps per second.

    python benchmarks/peers/sb3.py --agent_steps=12000

Runs in an environment with `requirements.txt`, without this project. The Nature network, batch 32,
one update per 4 agent steps; what is timed comes after a warm-up with updates.
"""

import argparse
import time

import ale_py
import gymnasium
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack

LEARNING_STARTS_AGENT_STEPS = 1_000
WARM_UP_AGENT_STEPS = 3_000


class Stopwatch(BaseCallback):
    """Notes when the warm-up was over."""

    def _on_step(self) -> bool:
        if self.num_timesteps <= WARM_UP_AGENT_STEPS:
            self.started, self.started_at = time.perf_counter(), self.num_timesteps
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent_steps", type=int, default=12_000)
    parser.add_argument("--num_envs", type=int, default=1)
    arguments = parser.parse_args()
    gymnasium.register_envs(ale_py)
    total = WARM_UP_AGENT_STEPS + arguments.agent_steps
    env = make_atari_env("SpaceInvadersNoFrameskip-v4", n_envs=arguments.num_envs, seed=0)
    model = DQN(
        "CnnPolicy",
        VecFrameStack(env, 4),
        learning_rate=1e-4,
        buffer_size=100_000,
        learning_starts=LEARNING_STARTS_AGENT_STEPS,
        batch_size=32,
        train_freq=max(1, 4 // arguments.num_envs),
        gradient_steps=max(1, arguments.num_envs // 4),
        target_update_interval=1_000,
        exploration_fraction=LEARNING_STARTS_AGENT_STEPS / total,
        exploration_final_eps=0.01,
        device="cpu",
    )
    watch = Stopwatch()
    model.learn(total, callback=watch)
    seconds = time.perf_counter() - watch.started
    print((model.num_timesteps - watch.started_at) / seconds)


if __name__ == "__main__":
    main()
