"""Keras Q-networks: stacked observations go in; one value, or one distribution, per action out.

A network is an encoder (`encoders`: images to features) and a head (`q_network`: features to
values), both made of Keras' layers and those of `layers`.
"""

from agents.networks.encoders import impala_encoder, nature_encoder
from agents.networks.precision import Precision, precision_policy
from agents.networks.q_network import OBSERVATION_SHAPE, nature_network, q_network

__all__ = [
    "OBSERVATION_SHAPE",
    "Precision",
    "impala_encoder",
    "nature_encoder",
    "nature_network",
    "precision_policy",
    "q_network",
]
