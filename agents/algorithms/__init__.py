"""One small file per algorithm, each a TF-Agents agent made from gin.

Importing this package makes every algorithm, augmentation and optimizer known to gin.
"""

from agents.algorithms import augmentation, c51, dqn, iqn, munchausen_dqn, optimizers, qr_dqn

__all__ = ["augmentation", "c51", "dqn", "iqn", "munchausen_dqn", "optimizers", "qr_dqn"]
