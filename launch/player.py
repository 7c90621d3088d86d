"""In: the flags that say who plays, by which rules. Out: the agent, and what an evaluator takes.

What the commands that play games share.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from absl import flags

from agents.errors import UserError

if TYPE_CHECKING:
    from agents.players import Player

FLAGS = flags.FLAGS
PROTOCOLS = ["dopamine", "nature", "atari_100k", "ale_v5", "rl_zoo"]

flags.disclaim_key_flags()  # a flag belongs to the command that calls `define_flags`


def define_flags() -> None:
    """Defines --run_dir, --checkpoint, --protocol, --epsilon, --seed and --num_envs."""
    flags.DEFINE_string("run_dir", None, "The run directory of a training.")
    define_checkpoint_flag()
    flags.DEFINE_enum("protocol", None, PROTOCOLS, "The rules; default: those of its training.")
    flags.DEFINE_float("epsilon", None, "Probability of a random action; default: the run's own.")
    flags.DEFINE_integer("seed", 0, "Of the first game; the next ones count on.", lower_bound=0)
    flags.DEFINE_integer("num_envs", 32, "Games side by side, at most.", lower_bound=1)


def define_checkpoint_flag() -> None:
    """Defines --checkpoint."""
    flags.DEFINE_string(
        "checkpoint",
        "last",
        "Which one: last, best (in the evaluations of its training), or its agent steps.",
    )


def checkpoint() -> int | Literal["best"] | None:
    """--checkpoint as `agents.restoring.restore_agent` takes it.

    Raises:
      UserError: it is none.
    """
    if FLAGS.checkpoint == "best":
        return "best"
    if FLAGS.checkpoint == "last":
        return None
    if not FLAGS.checkpoint.isdecimal():
        raise UserError(f"--checkpoint must be last, best or a number, got {FLAGS.checkpoint!r}")
    return int(FLAGS.checkpoint)


def from_flags(model_dir: str | None = None) -> Player:
    """The agent of --run_dir, or of an exported model, with the rules in force.

    Raises:
      UserError: there is no such agent.
    """
    agent_steps = checkpoint()
    if model_dir and FLAGS["checkpoint"].present:
        raise UserError("a model is one agent: leave out --checkpoint")
    stay_on_cpu()

    from agents import players

    if model_dir:
        return players.from_model(Path(model_dir), FLAGS.protocol)
    return players.from_run(Path(FLAGS.run_dir), agent_steps, FLAGS.protocol)


def stay_on_cpu() -> None:
    """Leaves the GPU to a training, which may want all of it; a CPU repeats itself to the bit."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def evaluator_arguments() -> dict[str, float | None]:
    """--epsilon, --seed and --num_envs by name."""
    return {name: FLAGS[name].value for name in ("epsilon", "seed", "num_envs")}
