"""Examples: a game goes in, what it shows when it is played at random comes out.

Both kinds of input that a server takes: observations, and the emulator's screens.
"""

import ale_py
import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv

from agents.environments import STACK_SIZE, AtariEnvironment


def random_actions(num_actions: int, agent_steps: int) -> np.ndarray:
    """The same at each call, int32 [agent_steps]."""
    return np.random.default_rng(0).integers(num_actions, size=agent_steps, dtype=np.int32)


def observations(env: AtariEnvironment, actions: np.ndarray) -> np.ndarray:
    """Plays in the one copy of a game; uint8 [len(actions) + 1, 84, 84, 4]."""
    seen = [env.reset().observation]
    seen += [env.step(action[None]).observation for action in actions]
    return np.concatenate(seen)


def screen_shape(game: str) -> tuple[int, int]:
    """Height and width of what the emulator shows; 210 and 160 but for a few games."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.loadROM(str(roms.get_rom_path(game)))
    return ale.getScreenDims()


def frames(game: str, actions: np.ndarray, frameskip: int, seed: int = 0) -> np.ndarray:
    """Plays without sticky actions or no-ops.

    Args:
      game: ALE's name of it.
      actions: int32 [T], one per agent step.
      frameskip: emulator frames per agent step; of a single one ALE takes no maximum.
      seed: of the emulator.

    Returns:
      uint8 [T + 1, 4, 2, height, width, 3], the input of the signature `frames` at the start and
      after each action; after the game's end, of the next one.
    """
    height, width = screen_shape(game)
    ale = AtariVectorEnv(
        game,
        1,
        num_threads=1,
        frameskip=1,
        stack_num=1,
        maxpool=False,
        grayscale=False,
        img_height=height,
        img_width=width,
        use_fire_reset=False,
        noop_max=1,  # ALE draws from 0 to noop_max - 1
    )
    start = ale.reset(seed=seed)[0][0, 0]
    black = np.zeros_like(start)
    pairs = [*[np.stack([black, black])] * (STACK_SIZE - 1), np.stack([black, start])]
    for action in actions:
        shown = [ale.step(action[None])[0][0, 0] for _ in range(frameskip)]
        pairs.append(np.stack([black, *shown][-2:]))
    return np.stack([pairs[t : t + STACK_SIZE] for t in range(len(actions) + 1)])
