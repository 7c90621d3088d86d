"""In: ALE's games through `AtariEnvironment`. Out: agreement with Gymnasium's wrappers, frame by
frame, and with the protocols' published rules."""

import ast
import collections
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from ale_py import Action, ALEInterface, roms
from ale_py.env import AtariEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation
from tf_agents.environments.utils import validate_py_environment

import gin_configs
from agents import configuration
from agents.environments import AtariEnvironment
from agents.errors import UserError
from agents.games import rom_name

FIRST, MID, LAST = 0, 1, 2
TWO_PLAYER = ["combat", "joust", "maze_craze", "warlords"]
GIN_FILES = Path(gin_configs.__file__).parent

# Machado et al. 2018, Dopamine, DQN Zoo and ALE: the table of protocols.
STICKY = {
    "repeat_action_probability": 0.25,
    "noop_max": 0,
    "use_fire_reset": False,
    "terminal_on_life_loss": False,
    "full_action_space": False,
    "max_frames_per_episode": 108_000,
    "frameskip": 4,
}
NO_OP_STARTS = {
    **STICKY,
    "repeat_action_probability": 0.0,
    "noop_max": 30,
    "terminal_on_life_loss": True,
}
PROTOCOLS = {
    "dopamine": STICKY,
    "nature": NO_OP_STARTS,
    "atari_100k": NO_OP_STARTS,
    "ale_v5": STICKY,
}
PROTOCOL_FILES = {**PROTOCOLS, "rl_zoo": {**NO_OP_STARTS, "use_fire_reset": True}}
DETERMINISTIC = {**STICKY, "repeat_action_probability": 0.0}


@pytest.fixture
def protocol(request):
    """What gin binds for `AtariEnvironment` when a protocol's file is loaded."""
    configuration.load([request.param])
    prefix = "AtariEnvironment."
    yield {
        name.removeprefix(prefix): ast.literal_eval(value)
        for name, value in configuration.bindings().items()
        if name.startswith(prefix)
    }
    configuration.load([])


def random_actions(environment, steps, seed=0):
    shape = (steps, environment.batch_size)
    return np.random.default_rng(seed).integers(0, environment.num_actions, shape, np.int32)


def play(environment, actions):
    """All time steps, the reset's included, and the `get_info()` of each."""
    time_steps, infos = [environment.reset()], [environment.get_info()]
    for action in actions:
        time_steps.append(environment.step(action))
        infos.append(environment.get_info())
    return time_steps, infos


class PressAtStart(gymnasium.Wrapper):
    """Plays `actions`, one frame each, at the start of a game."""

    actions = ()

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        for action in self.actions:
            observation, _, _, _, info = self.env.step(action)
        return observation, info


class Reference:
    """One game behind Gymnasium's own wrappers, in TF-Agents' terms."""

    def __init__(self, game, seed, settings):
        atari = AtariEnv(
            game,
            frameskip=1,
            repeat_action_probability=settings["repeat_action_probability"],
            full_action_space=settings["full_action_space"],
            max_num_frames_per_episode=settings["max_frames_per_episode"],
        )
        atari.ale.setInt("random_seed", seed)
        atari.load_game()
        meanings = atari.get_action_meanings()
        fire = settings["use_fire_reset"] and "FIRE" in meanings
        self.fire = [meanings.index("FIRE")] if fire else []
        self.terminal_on_life_loss = settings["terminal_on_life_loss"]
        self.start = PressAtStart(atari)
        self.env = FrameStackObservation(
            AtariPreprocessing(self.start, noop_max=0, frame_skip=settings["frameskip"]),
            stack_size=4,
            padding_type="zero",
        )

    def reset(self, start_frames):
        """The FIRST of a game that starts with this many frames of FIRE and no-ops."""
        self.start.actions = self.fire + [0] * (start_frames - len(self.fire))
        stack, info = self.env.reset()
        self.score, self.last, self.game_over, self.lives = 0, False, False, info["lives"]
        self.frames_seen = 1
        return self.expect(FIRST, stack, 0, 1, info["episode_frame_number"])

    def step(self, action, start_frames):
        """What follows when the agent takes an action; a new game starts with `start_frames`."""
        first = self.last
        if first and self.game_over:
            return self.reset(start_frames)
        if self.game_over:  # at the FIRST before
            self.score = 0
        if first:
            action = (self.fire or [0])[0]
        stack, reward, terminated, truncated, info = self.env.step(action)
        frames = info["episode_frame_number"]
        self.score += reward
        self.game_over = terminated or truncated
        lost = self.terminal_on_life_loss and info["lives"] < self.lives
        if first and self.game_over:
            stack, info = self.env.reset()
        self.lives = info["lives"]
        self.frames_seen = 1 if first else self.frames_seen + 1
        if first:
            self.last = False
            return self.expect(FIRST, stack, 0, 1, frames)
        self.last = self.game_over or lost
        discount = 0 if terminated or lost else 1
        return self.expect(LAST if self.last else MID, stack, reward, discount, frames)

    def expect(self, step_type, stack, reward, discount, frames):
        stack = np.moveaxis(stack, 0, -1).copy()
        stack[..., : max(0, 4 - self.frames_seen)] = 0  # nothing from before the episode's FIRST
        return {
            "step_type": step_type,
            "observation": stack,
            "reward": reward,
            "discount": discount,
            "game_over": self.game_over,
            "score": self.score,
            "lives": self.lives,
            "episode_frames": frames,
        }


def compare_with_reference(game, settings, steps, num_envs=2, seed=11):
    """Plays random actions here and in Gymnasium's wrappers; counts what happened."""
    environment = AtariEnvironment(game, num_envs=num_envs, seed=seed, **settings)
    actions = random_actions(environment, steps)
    time_steps, infos = play(environment, actions)
    counts = collections.Counter()
    for i in range(num_envs):
        reference, score = Reference(game, seed + i, settings), 0
        for t, (time_step, info) in enumerate(zip(time_steps, infos, strict=True)):
            start_frames = info["episode_frames"][i]
            if t == 0:
                expected = reference.reset(start_frames)
            else:
                expected = reference.step(actions[t - 1, i], start_frames)
            for name, got in {**time_step._asdict(), **info}.items():
                assert np.array_equal(got[i], expected[name]), f"{game} {i}, step {t}: {name}"

            is_first, is_last = (expected["step_type"] == kind for kind in (FIRST, LAST))
            counts["games"] += expected["game_over"]
            counts["games truncated"] += expected["game_over"] and is_last and expected["discount"]
            counts["games over at FIRST"] += expected["game_over"] and is_first
            counts["points at FIRST"] += is_first and expected["score"] > score
            counts["lives lost"] += is_last and not expected["game_over"]
            counts["rewards"] += expected["reward"] != 0
            score = expected["score"]
    return counts


# ------------------------------------------------------------------------------- Gymnasium's frames


@pytest.mark.parametrize("protocol", PROTOCOLS, indirect=True)
@pytest.mark.parametrize(
    ("game", "steps"),
    [
        ("space_invaders", 500),
        ("breakout", 400),
        ("pong", 1000),
        ("seaquest", 500),
        ("ms_pacman", 550),
    ],
)
def test_equals_gymnasium_frame_by_frame(game, steps, protocol):
    counts = compare_with_reference(game, protocol, steps)
    assert counts["games"] >= 1
    assert counts["rewards"] >= 1
    assert (counts["lives lost"] > 0) == (protocol["terminal_on_life_loss"] and game != "pong")


@pytest.mark.parametrize(
    "changes",
    [
        {"full_action_space": True},
        {"frameskip": 3},
        {"terminal_on_life_loss": True, "use_fire_reset": True, "noop_max": 7},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_other_settings_equal_gymnasium(changes):
    assert compare_with_reference("breakout", {**STICKY, **changes}, steps=300)["games"] >= 2


@pytest.mark.parametrize(
    ("game", "event"), [("breakout", "games over at FIRST"), ("space_invaders", "points at FIRST")]
)
def test_what_happens_in_the_call_after_a_lost_life_equals_gymnasium(game, event):
    # Steps this long lose lives, end games and score points also where they answer FIRST.
    settings = {**NO_OP_STARTS, "noop_max": 0, "use_fire_reset": True, "frameskip": 100}
    assert compare_with_reference(game, settings, steps=60)[event] >= 2


# -------------------------------------------------------------------------------- episodes and info


def test_truncation():
    # 42 is no multiple of the frame skip: the last agent step is cut to two frames.
    settings = {**DETERMINISTIC, "max_frames_per_episode": 42}
    environment = AtariEnvironment("pong", num_envs=2, **settings)
    time_steps, infos = play(environment, random_actions(environment, 24))
    for i in range(2):
        assert [t.step_type[i] for t in time_steps] == 2 * ([FIRST] + 10 * [MID] + [LAST]) + [FIRST]
        assert all(t.discount[i] == 1 for t in time_steps)
        frames = [info["episode_frames"][i] for info in infos]
        assert frames == 2 * [*range(0, 44, 4), 42] + [0]
        assert [info["game_over"][i] for info in infos] == 2 * (11 * [False] + [True]) + [False]


def test_truncation_equals_gymnasium():
    settings = {**STICKY, "max_frames_per_episode": 403, "terminal_on_life_loss": True}
    counts = compare_with_reference("breakout", settings, steps=500)
    assert counts["games truncated"] >= 4
    assert counts["lives lost"] >= 1


@pytest.mark.parametrize(
    ("game", "lives_at_the_episodes_ends"),
    [
        ("breakout", [4, 3, 2, 1, 0]),
        ("seaquest", [3, 2, 1, 0]),
        ("qbert", [3, 2, 1, 0]),
        # These count the lives in reserve: with 0 the last one is still played.
        ("bank_heist", [3, 2, 1, 0, 0]),
        ("frogger", [3, 2, 1, 0, 0]),
    ],
)
def test_a_lost_life_ends_the_episode_and_not_the_game(game, lives_at_the_episodes_ends):
    settings = {**DETERMINISTIC, "terminal_on_life_loss": True}
    environment = AtariEnvironment(game, num_envs=2, **settings)
    time_steps, infos = play(environment, random_actions(environment, 650))
    games = 0
    for i in range(2):
        lives_at_ends = []
        for time_step, info in zip(time_steps, infos, strict=True):
            if time_step.step_type[i] == LAST:
                assert time_step.discount[i] == 0
                lives_at_ends.append(info["lives"][i])
            if info["game_over"][i]:
                assert lives_at_ends == lives_at_the_episodes_ends
                lives_at_ends, games = [], games + 1
    assert games >= 2


def test_without_life_loss_an_episode_is_a_game():
    environment = AtariEnvironment("breakout", num_envs=4, **DETERMINISTIC)
    time_steps, infos = play(environment, random_actions(environment, 400))
    is_last = np.array([t.step_type == LAST for t in time_steps])
    assert is_last.sum() >= 4
    assert np.array_equal(is_last, [info["game_over"] for info in infos])
    assert all(info["lives"][i] == 0 for info in infos for i in np.flatnonzero(info["game_over"]))


def test_after_a_lost_life_the_stack_is_as_at_a_games_start():
    settings = {**DETERMINISTIC, "terminal_on_life_loss": True}
    environment = AtariEnvironment("breakout", num_envs=1, **settings)
    time_steps, infos = play(environment, random_actions(environment, 200))
    lost = next(
        t
        for t, step in enumerate(time_steps)
        if step.step_type[0] == LAST and not infos[t]["game_over"][0]
    )
    for first in (0, lost + 1):
        assert time_steps[first].step_type[0] == FIRST
        seen = []
        for time_step in time_steps[first : first + 4]:
            seen.append(time_step.observation[0, ..., -1])
            black = [np.zeros((84, 84), np.uint8)] * (4 - len(seen))
            assert np.array_equal(time_step.observation[0], np.stack(black + seen, axis=-1))


def test_a_game_that_ends_in_the_call_after_a_lost_life_starts_anew_at_once():
    settings = {**DETERMINISTIC, "terminal_on_life_loss": True}
    actions = random_actions(AtariEnvironment("breakout"), 200)
    time_steps, infos = play(AtariEnvironment("breakout", **settings), actions)
    lost = next(t for t, step in enumerate(time_steps) if step.step_type[0] == LAST)
    frames = int(infos[lost]["episode_frames"][0])

    # The same game again, now truncated two frames into the step that would follow.
    settings["max_frames_per_episode"] = frames + 2
    cut = AtariEnvironment("breakout", num_envs=2, **settings)
    time_steps, infos = play(cut, np.repeat(actions[: lost + 3], 2, axis=1))
    score = infos[lost]["score"][0]
    assert time_steps[lost].step_type[0] == LAST
    assert time_steps[lost + 1].step_type[0] == FIRST
    assert time_steps[lost + 1].discount[0] == 1
    assert np.array_equal(time_steps[lost + 1].observation[0], time_steps[0].observation[0])
    assert infos[lost + 1]["game_over"][0]
    assert infos[lost + 1]["episode_frames"][0] == frames + 2
    assert infos[lost + 1]["score"][0] == score
    assert time_steps[lost + 2].step_type[0] == MID
    assert not infos[lost + 2]["game_over"][0]
    assert infos[lost + 2]["episode_frames"][0] == 4
    assert infos[lost + 2]["score"][0] == 0
    assert [info["game_over"][0] for info in infos].count(True) == 1


@pytest.mark.parametrize(
    ("game", "rules"),
    [
        ("space_invaders", {}),
        ("breakout", {"noop_max": 30, "use_fire_reset": True}),
        ("pong", {"noop_max": 7, "max_frames_per_episode": 402}),
    ],
)
def test_screens_show_the_game_that_a_copy_played(game, rules):
    env = AtariEnvironment(game, num_envs=3, seed=11, **rules)
    env.reset()
    start_frames = env.get_info()["episode_frames"][2]
    rng, actions = np.random.default_rng(0), []
    while not env.get_info()["game_over"][2]:
        action = rng.integers(env.num_actions, size=3, dtype=np.int32)
        actions.append(action[2])
        env.step(action)
    start, *steps = env.screens(13, actions)
    assert start.shape == (1, 210, 160, 3)
    assert [len(step) for step in steps[:-1]] == [4] * (len(actions) - 1)
    shown = 4 * (len(steps) - 1) + len(steps[-1])
    assert start_frames + shown == env.get_info()["episode_frames"][2]


@pytest.mark.parametrize("game", ["space_invaders", "adventure"])  # 210 and 250 lines
def test_screens_have_the_emulators_own_colours(game):
    env = AtariEnvironment(game, seed=5, repeat_action_probability=0.0, full_action_space=True)
    ale = ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(str(roms.get_rom_path(game)))
    actions = np.random.default_rng(0).integers(18, size=30)
    for step, action in zip(list(env.screens(5, actions))[1:], actions, strict=True):
        for frame in step:
            ale.act(Action(action))
            np.testing.assert_array_equal(frame, ale.getScreenRGB())


def test_fire_start():
    settings = {**DETERMINISTIC, "use_fire_reset": True, "terminal_on_life_loss": True}
    counts = compare_with_reference("breakout", settings, steps=400)
    assert counts["games"] >= 2
    assert counts["lives lost"] >= 8

    # Breakout's ball stays away until somebody fires: without a press the game stands still.
    still = {}
    for use_fire_reset in (False, True):
        environment = AtariEnvironment(
            "breakout", **{**DETERMINISTIC, "use_fire_reset": use_fire_reset}
        )
        assert environment.reset() is not None
        assert environment.get_info()["episode_frames"][0] == use_fire_reset
        for _ in range(100):
            environment.step(np.zeros(1, np.int32))
        still[use_fire_reset] = environment.get_info()["lives"][0] == 5
    assert still == {False: True, True: False}


def test_fire_start_of_a_game_without_fire():
    environment = AtariEnvironment("ms_pacman", **{**DETERMINISTIC, "use_fire_reset": True})
    environment.reset()
    assert "FIRE" not in environment.action_meanings()
    assert environment.get_info()["episode_frames"][0] == 0


@pytest.mark.parametrize(
    ("noop_max", "use_fire_reset", "start_frames"),
    [
        (0, False, {0}),
        (1, False, {0, 1}),
        (5, False, {0, 1, 2, 3, 4, 5}),
        (0, True, {1}),
        (5, True, {1, 2, 3, 4, 5}),
    ],
)
def test_noop_starts(noop_max, use_fire_reset, start_frames):
    settings = {**DETERMINISTIC, "noop_max": noop_max, "use_fire_reset": use_fire_reset}
    environment = AtariEnvironment("pong", num_envs=5, **settings)
    drawn = set()
    for _ in range(8):
        environment.reset()
        drawn |= set(environment.get_info()["episode_frames"].tolist())
    assert drawn == start_frames


# ---------------------------------------------------------------------------- contract of TF-Agents


@pytest.mark.parametrize("settings", [STICKY, NO_OP_STARTS], ids=["games", "lives"])
def test_passes_tf_agents_validation(settings):
    environment = AtariEnvironment("space_invaders", num_envs=4, **settings)
    validate_py_environment(environment, episodes=6)


def test_specs():
    environment = AtariEnvironment("pong", num_envs=3)
    assert environment.batched
    assert environment.batch_size == 3
    assert environment.observation_spec().shape == (84, 84, 4)
    assert environment.observation_spec().dtype == np.uint8
    assert environment.action_spec().shape == ()
    assert environment.action_spec().dtype == np.int32
    assert (environment.action_spec().minimum, environment.action_spec().maximum) == (0, 5)
    assert environment.num_actions == 6
    assert environment.action_meanings() == AtariEnv("pong").get_action_meanings()
    everything = AtariEnvironment("pong", full_action_space=True)
    assert everything.num_actions == len(everything.action_meanings()) == 18


def test_the_observation_is_a_view_and_no_step_overwrites_it():
    environment = AtariEnvironment("pong", num_envs=2)
    time_steps, copies = [environment.reset()], []
    for action in random_actions(environment, 20):
        copies.append([np.copy(part) for part in time_steps[-1]])
        time_steps.append(environment.step(action))
    for time_step, copy in zip(time_steps, copies, strict=False):
        assert all(map(np.array_equal, time_step, copy))
        assert time_step.observation.transpose(0, 3, 1, 2).flags.c_contiguous


def test_reset_starts_all_games_again():
    environment = AtariEnvironment("breakout", num_envs=3, **DETERMINISTIC)
    start = environment.reset()
    for action in random_actions(environment, 150):
        environment.step(action)
    assert environment.get_info()["score"].any()
    again = environment.reset()
    assert all(map(np.array_equal, again, start))
    assert np.array_equal(again.step_type, [FIRST] * 3)
    assert environment.current_time_step() is again
    info = environment.get_info()
    assert not info["score"].any()
    assert not info["episode_frames"].any()
    assert info["lives"].tolist() == [5, 5, 5]
    assert environment.step(np.zeros(3, np.int32)).step_type.tolist() == [MID] * 3


def test_the_first_step_resets():
    environment = AtariEnvironment("pong", num_envs=2)
    assert environment.step(np.zeros(2, np.int32)).step_type.tolist() == [FIRST, FIRST]


def frames_of(environment, actions, i):
    return np.stack([step.observation[i] for step in play(environment, actions)[0]])


def test_seeds():
    settings = {**NO_OP_STARTS, "repeat_action_probability": 0.25}
    two = AtariEnvironment("breakout", num_envs=2, seed=5, **settings)
    actions = random_actions(two, 100)
    actions[:, 1] = actions[:, 0]
    first = frames_of(two, actions, 0)
    again = frames_of(AtariEnvironment("breakout", 2, seed=5, **settings), actions, 0)
    other = frames_of(AtariEnvironment("breakout", 2, seed=6, **settings), actions, 0)
    second = frames_of(AtariEnvironment("breakout", 2, seed=5, **settings), actions, 1)
    assert np.array_equal(first, again)
    assert np.array_equal(second, other)
    assert not np.array_equal(first, second)

    # A reset does not fall back on the seed: the second game differs from the first.
    assert not np.array_equal(frames_of(two, actions, 0), first)


def test_results_do_not_depend_on_the_number_of_threads():
    runs = [
        frames_of(environment, random_actions(environment, 50), i=4)
        for environment in (
            AtariEnvironment("seaquest", 5, num_threads=num_threads) for num_threads in (1, 3)
        )
    ]
    assert np.array_equal(*runs)


def test_the_defaults_are_dopamines_protocol():
    by_default = AtariEnvironment("breakout", num_envs=2, seed=3)
    explicit = AtariEnvironment("breakout", num_envs=2, seed=3, **STICKY)
    actions = random_actions(by_default, 100)
    assert np.array_equal(frames_of(by_default, actions, 1), frames_of(explicit, actions, 1))


# ------------------------------------------------------------------------------ games and bad input


@pytest.mark.parametrize("game", sorted({*roms.get_all_rom_ids()} - {*TWO_PLAYER}))
def test_every_game_runs(game):
    environment = AtariEnvironment(game, num_threads=1)
    time_steps, infos = play(environment, random_actions(environment, 12))
    assert [t.step_type[0] for t in time_steps] == [FIRST] + 12 * [MID]
    assert time_steps[-1].observation.any()
    assert infos[-1]["episode_frames"][0] - infos[0]["episode_frames"][0] == 12 * 4
    assert (environment.action_meanings()[0] == "NOOP") == (
        game not in ("backgammon", "video_checkers")
    )


@pytest.mark.parametrize("game", TWO_PLAYER)
def test_two_player_games_are_refused(game):
    with pytest.raises(UserError, match=f"'{game}' needs two players"):
        AtariEnvironment(game)


@pytest.mark.parametrize("rom", roms.get_all_rom_ids())
def test_every_name_has_its_gymnasium_spellings(rom):
    pascal = rom.title().replace("_", "")
    spellings = [rom, pascal, f"ALE/{pascal}-v5", f"{pascal}-v0", f"{pascal}NoFrameskip-v4"]
    spellings.append(f"{pascal}Deterministic-v4")
    if rom in TWO_PLAYER:
        for spelling in spellings:
            with pytest.raises(UserError, match="two players"):
                rom_name(spelling)
    else:
        assert {rom_name(spelling) for spelling in spellings} == {rom}


def test_a_name_brings_no_frame_skip_of_its_own():
    for spelling in ("ALE/Pong-v5", "PongDeterministic-v4", "PongNoFrameskip-v4"):
        environment = AtariEnvironment(spelling)
        assert environment.game == "pong"
        play(environment, random_actions(environment, 3))
        assert environment.get_info()["episode_frames"][0] == 3 * 4


@pytest.mark.parametrize(
    ("game", "closest"),
    [
        ("space_invadrs", "space_invaders"),
        ("ALE/Brekout-v5", "breakout"),
        ("Pong-ram-v4", "pong"),
        ("mspacman2", "ms_pacman"),
    ],
)
def test_an_unknown_game_is_refused_with_the_closest_name(game, closest):
    with pytest.raises(UserError) as refused:
        AtariEnvironment(game)
    message = str(refused.value).splitlines()[0]
    assert message == f"unknown game '{game}': did you mean '{closest}'?"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_envs", 0),
        ("num_envs", 10**9),
        ("seed", -1),
        ("seed", 2**31 - 1),
        ("repeat_action_probability", -0.1),
        ("repeat_action_probability", 1.0),
        ("repeat_action_probability", float("nan")),
        ("noop_max", -1),
        ("noop_max", 2**31),
        ("frameskip", 0),
        ("max_frames_per_episode", 3),
        ("max_frames_per_episode", 2**31),
        ("num_threads", -1),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(argument, value):
    with pytest.raises(UserError) as refused:
        AtariEnvironment("pong", **{argument: value})
    message = str(refused.value).splitlines()[0]
    assert message.startswith(f"AtariEnvironment.{argument} must be at least ")
    assert message.endswith(f"got {value}")


@pytest.mark.parametrize("action", [-1, 6])
def test_an_action_out_of_range_is_refused(action):
    environment = AtariEnvironment("pong", num_envs=2)
    environment.reset()
    with pytest.raises(ValueError, match="from 0 to 5"):
        environment.step(np.array([0, action], np.int32))


# ---------------------------------------------------------------------------------------- gin files


@pytest.mark.parametrize(
    ("protocol", "published"), PROTOCOL_FILES.items(), ids=PROTOCOL_FILES, indirect=["protocol"]
)
def test_protocol_files_bind_the_published_values(protocol, published):
    assert protocol == published


def test_game_files_name_their_game():
    games = {
        path.stem: line.split("=")[1].strip().strip("'\"")
        for path in GIN_FILES.glob("*.gin")
        for line in path.read_text().splitlines()
        if line.startswith("AtariEnvironment.game")
    }
    assert {
        "space_invaders",
        "beam_rider",
        "breakout",
        "enduro",
        "pong",
        "seaquest",
        "qbert",
        "ms_pacman",
        "freeway",
        "asterix",
    } <= set(games)
    assert all(game == stem == rom_name(game) for stem, game in games.items())


@pytest.mark.parametrize(("game", "pressed"), [("breakout", "FIRE pressed, "), ("freeway", "")])
def test_the_protocol_in_words_has_fire_where_it_is_pressed(game, pressed):
    environment = AtariEnvironment(game, noop_max=30, use_fire_reset=True)
    assert environment.protocol == (
        f"sticky actions 0.25, up to 30 no-ops, {pressed}a lost life does not end an episode, "
        "108,000 frames a game at most"
    )
