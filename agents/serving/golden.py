"""Golden inputs and outputs: what every server of a version must answer, without TensorFlow.

`golden.npz` in a version's `assets.extra/` holds
    observation uint8 [N, 84, 84, 4], action int64 [N], q_values float32 [N, num_actions]
    frames uint8 [M, 4, 2, height, width, 3], frames_action, frames_q_values
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

PATH = Path("assets.extra", "golden.npz")
RELATIVE_TOLERANCE = 1e-5  # of the largest Q-value


class Case(NamedTuple):
    """A request, and its answer."""

    signature: str
    inputs: dict[str, np.ndarray]
    action: np.ndarray
    q_values: np.ndarray

    def check(self, outputs: dict[str, np.ndarray]) -> float:
        """The largest difference of a Q-value, relative to the largest Q-value.

        Raises:
          ValueError: the answer is not the golden one, in one line.
        """
        action, q_values = np.asarray(outputs["action"]), np.asarray(outputs["q_values"])
        if q_values.shape != self.q_values.shape or action.shape != self.action.shape:
            raise ValueError(f"{self.signature}: Q-values of shape {list(q_values.shape)}")
        largest = np.abs(self.q_values).max()
        difference = np.abs(q_values - self.q_values).max()
        if not difference <= RELATIVE_TOLERANCE * largest:
            raise ValueError(
                f"{self.signature}: the Q-values differ from the agent's by up to "
                f"{difference:.1e}, the largest of which is {largest:.1e}"
            )
        if (action != self.action).any():
            raise ValueError(f"{self.signature}: other actions than the agent's")
        return float(difference / largest) if largest else 0.0


def cases(version: Path) -> Iterator[Case]:
    """One for each signature of an exported version."""
    with np.load(version / PATH) as golden:
        observation = golden["observation"]
        answer = golden["action"], golden["q_values"]
        yield Case("serving_default", {"observation": observation}, *answer)
        as_bytes = np.array([row.tobytes() for row in observation], object)
        yield Case("serving_bytes", {"observation_bytes": as_bytes}, *answer)
        answer = golden["frames_action"], golden["frames_q_values"]
        yield Case("frames", {"frames": golden["frames"]}, *answer)
