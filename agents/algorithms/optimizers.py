"""Optimizers under the names that gin files use; a learning rate goes in, a Keras optimizer out.

The "legacy" classes are Keras' own former implementation. Their Adam takes about 1 ms less per
update of the Nature network on two cores than the present one, which computes the same.
"""

import tensorflow as tf

from agents.configuration import configurable
from agents.errors import require


@configurable
def adam(
    learning_rate: float, epsilon: float, beta_1: float = 0.9, beta_2: float = 0.999
) -> tf.keras.optimizers.legacy.Optimizer:
    """Adam (Kingma and Ba 2015), their "epsilon hat" of the remark before section 2.1.

    At update t it stands for an epsilon of epsilon / sqrt(1 - beta_2^t) in their algorithm 1, which
    optax follows: 1.26 times as large at update 1,000, equal within 1% from update 4,000 on.

    Raises:
      UserError: a value out of range.
    """
    _check_above_0("adam", learning_rate=learning_rate, epsilon=epsilon)
    _check_decays("adam", beta_1=beta_1, beta_2=beta_2)
    return tf.keras.optimizers.legacy.Adam(
        learning_rate=learning_rate, epsilon=epsilon, beta_1=beta_1, beta_2=beta_2
    )


@configurable
def rmsprop(
    learning_rate: float, epsilon: float, decay: float = 0.95, centered: bool = True
) -> tf.keras.optimizers.legacy.Optimizer:
    """RMSProp as Mnih et al. 2015 used it: centred, epsilon inside the square root.

    With g the gradient and both means starting at 0:

        m <- decay m + (1 - decay) g,   v <- decay v + (1 - decay) g^2
        w <- w - learning_rate g / sqrt(v - m^2 + epsilon)

    Not centred leaves out the m^2 (Hinton's lecture 6e of 2012).

    Raises:
      UserError: a value out of range.
    """
    _check_above_0("rmsprop", learning_rate=learning_rate, epsilon=epsilon)
    _check_decays("rmsprop", decay=decay)
    return tf.keras.optimizers.legacy.RMSprop(
        learning_rate=learning_rate,
        epsilon=epsilon,
        rho=decay,
        centered=centered,
        # Without momentum this class puts epsilon outside the root. A tensor counts as momentum,
        # whatever its value: TensorFlow's own kernel, with epsilon inside, then does the update.
        momentum=tf.constant(0.0),
    )


def _check_above_0(optimizer: str, **values: float) -> None:
    for name, value in values.items():
        require(f"{optimizer}.{name}", value, value > 0, "above 0")


def _check_decays(optimizer: str, **values: float) -> None:
    for name, value in values.items():
        require(f"{optimizer}.{name}", value, 0 <= value < 1, "at least 0 and below 1")
