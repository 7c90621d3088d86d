"""In: a game's name and its protocol. Out: N copies of it as one batched TF-Agents environment.

ALE's C++ vector environment does the work (frame skip, max-pooling over the last two frames,
grayscale, 84x84, stack of four); this file gives its calls the meaning TF-Agents expects.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms
from ale_py.vector_env import AtariVectorEnv
from tf_agents.environments.py_environment import PyEnvironment
from tf_agents.specs import BoundedArraySpec
from tf_agents.trajectories import time_step as ts

from agents.configuration import configurable
from agents.errors import require
from agents.games import rom_name

FRAME_SIZE = 84
STACK_SIZE = 4


@configurable
class AtariEnvironment(PyEnvironment):
    """`num_envs` copies of one Atari game, stepped together by C++ threads.

    Observation: uint8 [N, 84, 84, 4], oldest frame first; each step returns a new array. At every
    FIRST the stack is three black frames and the newest, so that an episode's own frames are
    enough to rebuild all its stacks.
    Action: int32 [N], an index into `action_meanings()`.
    Reward: float32 [N], the raw score. Discount: float32 [N], 0 where the episode terminated,
    1 elsewhere, also where it was truncated.

    An environment whose last step was LAST answers the next call with FIRST: its action is
    ignored and its reward is 0, while the other environments go on.

    With `terminal_on_life_loss` a lost life ends the episode (LAST, discount 0) and the game goes
    on: the call that answers FIRST plays one agent step of no-op, or of FIRE where
    `use_fire_reset` presses it, as OpenAI Baselines' EpisodicLifeEnv does. Should the game end
    within that step, a new one begins at once: FIRST shows its start, and `get_info()` reports
    the game over there.

    Args:
        game: any spelling that `rom_name` takes.
        num_envs: number of copies, N.
        seed: copy i is seeded with `seed + i`. Equal seeds and actions give equal runs.
        repeat_action_probability: stickiness: at each frame the action before is repeated with
            this probability (Machado et al. 2018, section 5.2).
        noop_max: a game starts with 0 to `noop_max` no-op frames, drawn uniformly. A FIRE press
            counts as one of them.
        use_fire_reset: press FIRE at the start of games that have this action.
        terminal_on_life_loss: end the episode, but not the game, at each lost life.
        full_action_space: all 18 actions instead of those that the game uses.
        max_frames_per_episode: truncate a game after this many frames, those of its no-op start
            not counted.
        frameskip: frames per agent step. Frames are skipped here and nowhere else.
        num_threads: C++ threads; 0: one per core, at most one per copy.

    Raises:
        UserError: unknown game, or a number out of range.
    """

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        seed: int = 0,
        repeat_action_probability: float = 0.25,
        noop_max: int = 0,
        use_fire_reset: bool = False,
        terminal_on_life_loss: bool = False,
        full_action_space: bool = False,
        max_frames_per_episode: int = 108_000,
        frameskip: int = 4,
        num_threads: int = 0,
    ):
        super().__init__(handle_auto_reset=False)
        for name, value, low, end in (
            ("num_envs", num_envs, 1, 2**16),
            ("seed", seed, 0, 2**31 - num_envs),
            ("repeat_action_probability", repeat_action_probability, 0, 1),
            ("noop_max", noop_max, 0, 2**31 - 1),
            ("frameskip", frameskip, 1, 2**31),
            ("max_frames_per_episode", max_frames_per_episode, frameskip, 2**31),
            ("num_threads", num_threads, 0, 2**16),
        ):
            holds = low <= value < end
            require(f"AtariEnvironment.{name}", value, holds, f"at least {low} and below {end}")

        self.game = rom_name(game)
        self.frameskip = frameskip
        self._seed: int | None = seed
        self._terminal_on_life_loss = terminal_on_life_loss
        self.ale_rules = {  # as `AtariVectorEnv` takes them
            "max_num_frames_per_episode": max_frames_per_episode,
            "repeat_action_probability": repeat_action_probability,
            "full_action_space": full_action_space,
            "noop_max": noop_max + 1,  # ALE draws from 0 to noop_max - 1
            "use_fire_reset": use_fire_reset,
            # Scores stay raw, and `terminated` stays the real game's: lives are compared here.
            "reward_clipping": False,
            "life_loss_info": False,
        }
        self._ale = AtariVectorEnv(
            self.game,
            num_envs,
            num_threads=num_threads,
            img_height=FRAME_SIZE,
            img_width=FRAME_SIZE,
            stack_num=STACK_SIZE,
            frameskip=frameskip,
            **self.ale_rules,
        )
        self._action_meanings = [action.name for action in self._ale.ale.get_action_set()]
        presses_fire = use_fire_reset and "FIRE" in self._action_meanings
        self._restart_action = self._action_meanings.index("FIRE") if presses_fire else 0  # 0: NOOP
        self.protocol = (
            f"sticky actions {repeat_action_probability:g}, "
            f"{f'up to {noop_max}' if noop_max else 'no'} no-ops, {'FIRE pressed, ' * presses_fire}"
            f"a lost life {'ends' if terminal_on_life_loss else 'does not end'} an episode, "
            f"{max_frames_per_episode:,} frames a game at most"
        )
        self._observation_spec = BoundedArraySpec(
            (FRAME_SIZE, FRAME_SIZE, STACK_SIZE), np.uint8, 0, 255, "observation"
        )
        self._action_spec = BoundedArraySpec((), np.int32, 0, self.num_actions - 1, "action")

    @property
    def batched(self) -> bool:
        return True

    @property
    def batch_size(self) -> int:
        return self._ale.num_envs

    @property
    def num_actions(self) -> int:
        return len(self._action_meanings)

    def action_meanings(self) -> list[str]:
        """ALE's names of the actions 0 to num_actions - 1, such as `NOOP` and `RIGHTFIRE`.

        The first is `NOOP`, but for backgammon and video_checkers, which have none.
        """
        return list(self._action_meanings)

    def screens(self, seed: int, actions: Iterable[int]) -> Iterator[np.ndarray]:
        """Plays a game again and yields what its screen showed, in the game's own colours.

        Args:
            seed: with which a copy began: copy i of an environment with the seed s began with
                s + i.
            actions: of the copy's first game, until at most its end.

        Yields:
            uint8 [F, H, W, 3] RGB, for the game's start (one frame) and then for each action (all
            of its emulator frames: `frameskip`, or fewer where the game ended). Screens are 160
            wide and mostly 210 high, and there are 60 frames a second.
        """
        ALEInterface.setLoggerMode(LoggerMode.Error)  # instead of a banner for each one
        cartridge = ALEInterface()
        cartridge.loadROM(str(roms.get_rom_path(self.game)))
        height, width = cartridge.getScreenDims()
        screen = AtariVectorEnv(
            self.game,
            1,
            num_threads=1,
            img_height=height,
            img_width=width,
            grayscale=False,
            maxpool=False,
            stack_num=1,
            frameskip=1,
            **self.ale_rules,
        )
        frames, _ = screen.reset(seed=seed)
        yield frames[0]
        for action in actions:
            shown = []
            for _ in range(self.frameskip):
                frames, _, terminated, truncated, _ = screen.step(np.array([action]))
                shown.append(frames[0, 0])
                if terminated[0] or truncated[0]:
                    break
            yield np.stack(shown)

    def observation_spec(self) -> BoundedArraySpec:
        return self._observation_spec

    def action_spec(self) -> BoundedArraySpec:
        return self._action_spec

    def get_info(self) -> dict[str, np.ndarray]:
        """What the last step says of the real games, whose episodes lives may divide; all [N].

        `game_over` bool: the game ended or was truncated in this step; True in one step per game.
        `score` int64: raw score of the game so far, at its end the final one.
        `episode_frames` int32: frames of the game so far, those of its start included: no-ops,
        FIRE and, in some games, the presses by which ALE itself leaves the title screen.
        `lives` int32: lives left.
        """
        return {
            "game_over": self._game_over,
            "score": self._score,
            "episode_frames": self._episode_frames,
            "lives": self._lives,
        }

    def _reset(self) -> ts.TimeStep:
        frames, info = self._ale.reset(seed=self._seed)
        self._seed = None  # later resets go on with the same random streams
        n = self.batch_size
        self._last = self._game_over = np.zeros(n, bool)
        self._score = np.zeros(n, np.int64)
        self._episode_frames = info["episode_frame_number"]
        self._lives = info["lives"]
        self._frames_to_hide = np.zeros(n, np.int64)
        return ts.TimeStep(
            np.full(n, ts.StepType.FIRST),
            np.zeros(n, np.float32),
            np.ones(n, np.float32),
            frames.transpose(0, 2, 3, 1),
        )

    def _step(self, action: np.ndarray) -> ts.TimeStep:
        self.send(action)
        return self.receive()

    def send(self, action: np.ndarray) -> None:
        """Starts a step, which ALE's threads do while this one goes on; `receive` ends it."""
        # ALE would wait for ever: the thread that meets an unknown action never answers.
        if action.min() < 0 or action.max() >= self.num_actions:
            raise ValueError(f"actions must be from 0 to {self.num_actions - 1}, not {action}")
        if self._terminal_on_life_loss:
            action = np.where(self._last, np.int32(self._restart_action), action)
        self._ale.send(action)

    def receive(self) -> ts.TimeStep:
        """Waits for the end of the step that `send` started."""
        first = self._last
        frames, reward, terminated, truncated, info = self._ale.recv()

        self._score = np.where(self._game_over, 0, self._score) + reward
        self._episode_frames = info["episode_frame_number"]
        self._game_over = self._last = terminated | truncated
        if self._terminal_on_life_loss:
            ended_at_first = self._game_over & first
            if ended_at_first.any():
                frames, info = self._ale.reset(options={"reset_mask": ended_at_first})
            lost = (info["lives"] < self._lives) & ~first
            terminated = terminated & ~first | lost
            self._last = self._game_over & ~first | lost
            reward = np.where(first, 0, reward)
            self._frames_to_hide = np.where(first, STACK_SIZE, self._frames_to_hide) - 1
            for i in np.flatnonzero(self._frames_to_hide > 0):
                frames[i, : self._frames_to_hide[i]] = 0
        self._lives = info["lives"]
        return ts.TimeStep(
            np.add(self._last, ~first, dtype=np.int32),  # FIRST 0, MID 1, LAST 2
            reward.astype(np.float32),
            np.subtract(1, terminated, dtype=np.float32),
            frames.transpose(0, 2, 3, 1),
        )
