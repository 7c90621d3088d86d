"""Film: a game that was played goes in; what is to be seen of it comes out, frame by frame."""

import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from agents.collection import QFunction
from agents.environments import FRAME_SIZE, STACK_SIZE
from agents.evaluation import Evaluation, Evaluator

_GAP = 8  # pixels, as all lengths below
_LINE = 16
_NAME = 104  # left of a bar
_NUMBER = 48  # right of a bar
_PANEL = STACK_SIZE * (FRAME_SIZE + _GAP) + _GAP
_BATCH = 64
_GREY, _WHITE, _YELLOW = (110, 110, 110), (230, 230, 230), (240, 200, 60)


def film(
    evaluation: Evaluation,
    evaluator: Evaluator,
    game: int,
    *,
    scale: int,
    caption: str = "",
    overlay: QFunction | None = None,
) -> Iterator[np.ndarray]:
    """Plays a game of an evaluation again and yields every frame of its emulator.

    Args:
      evaluation: with the game.
      evaluator: that made the evaluation.
      game: which one.
      scale: pixels of the film per pixel of the game, in both directions.
      caption: a line above the screen, followed by the score; none if it is empty.
      overlay: the agent that played, to see beside the screen the stack that it sees, oldest
        frame first, and its Q-values as bars over their range in this game, the action taken
        in yellow.

    Yields:
      uint8 [H, W, 3] RGB of one even size. Of the emulator's start there is one frame.
    """
    actions = evaluation.actions[game]
    env = evaluator.environment(game, 1)
    panel = _Panel(overlay, evaluator, game, actions, env.action_meanings()) if overlay else None
    screens = env.screens(evaluator.seed + game, actions)
    time_step = env.reset()
    for step, shown in enumerate(screens):  # the start, and then what each action brought
        beside = panel.draw(time_step.observation[0], max(0, step - 1)) if panel else None
        if step:
            time_step = env.step(actions[step - 1 : step])
        line = f"{caption}   score {env.get_info()['score'][0]}" if caption else ""
        for screen in shown:
            yield _compose(screen, scale, line, beside)
    if env.get_info()["score"][0] != evaluation.scores[game]:
        raise RuntimeError(f"game {game} did not repeat itself: {env.get_info()['score'][0]}")


def _compose(screen: np.ndarray, scale: int, caption: str, beside: np.ndarray | None) -> np.ndarray:
    picture = screen.repeat(scale, axis=0).repeat(scale, axis=1)
    if caption:
        strip = Image.new("RGB", (picture.shape[1], _LINE + 4))
        _draw(strip).text((4, 3), caption, _WHITE, _font())
        picture = np.concatenate([np.asarray(strip), picture])
    if beside is not None:
        height = max(len(picture), len(beside))
        picture = np.concatenate([_padded(picture, height), _padded(beside, height)], axis=1)
    return _padded(picture, len(picture) + len(picture) % 2)


def _padded(picture: np.ndarray, height: int) -> np.ndarray:
    return np.pad(picture, ((0, height - len(picture)), (0, 0), (0, 0)))


class _Panel:
    """What the agent sees and thinks in one game."""

    def __init__(
        self,
        agent: QFunction,
        evaluator: Evaluator,
        game: int,
        actions: np.ndarray,
        meanings: list[str],
    ):
        self._actions = actions
        self._meanings = meanings
        self._q_values = _q_values(agent, evaluator, game, actions)
        self._low, self._high = self._q_values.min(), self._q_values.max()

    def draw(self, observation: np.ndarray, step: int) -> np.ndarray:
        """uint8 [H, _PANEL, 3] of one agent step."""
        top = 2 * _LINE + FRAME_SIZE + _GAP
        image = Image.new("RGB", (_PANEL, top + _LINE * len(self._meanings) + _GAP))
        draw, font = _draw(image), _font()
        draw.text((_GAP, 2), "what the network sees, and its Q-values", _WHITE, font)
        for i in range(STACK_SIZE):
            frame = Image.fromarray(observation[:, :, i])
            image.paste(frame, (_GAP + i * (FRAME_SIZE + _GAP), _LINE + 4))
        room = _PANEL - _NAME - _NUMBER - _GAP
        span = max(self._high - self._low, 1e-9)
        for i, (meaning, q_value) in enumerate(
            zip(self._meanings, self._q_values[step], strict=True)
        ):
            y = top + _LINE * i
            colour = _YELLOW if i == self._actions[step] else _GREY
            width = round(room * (q_value - self._low) / span)
            draw.text((_GAP, y), meaning, _WHITE, font)
            draw.rectangle((_NAME, y + 2, _NAME + width, y + _LINE - 4), colour)
            draw.text((_PANEL - _NUMBER, y), f"{q_value:.3f}", _WHITE, font)
        return np.asarray(image)


def _q_values(agent: QFunction, evaluator: Evaluator, game: int, actions: np.ndarray) -> np.ndarray:
    """Those of every agent step of a game, float32 [T, num_actions]."""
    env = evaluator.environment(game, 1)

    def observations() -> Iterator[np.ndarray]:
        time_step = env.reset()
        for action in actions:
            yield time_step.observation[0]
            time_step = env.step(action[None])

    stream, batches = observations(), []
    while batch := list(itertools.islice(stream, _BATCH)):
        batches.append(agent.q_values(tf.constant(np.stack(batch))).numpy())
    return np.concatenate(batches)


def _draw(image: Image.Image) -> ImageDraw.ImageDraw:
    draw = ImageDraw.Draw(image)
    draw.fontmode = "1"  # sharp, and few colours for a gif
    return draw


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(12)
