"""One small file per algorithm, each a TF-Agents agent made from gin.

Importing this package makes every algorithm and optimizer known to gin.
"""

from agents.algorithms import dqn, optimizers

__all__ = ["dqn", "optimizers"]
