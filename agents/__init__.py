"""Deep Q-learning for Atari games on TF-Agents: environments, replay, agents, training."""

import os
import sys
import types

__version__ = "0.1.0"

# These act only before TensorFlow and TF-Agents are imported, hence here. TensorFlow 2.15
# prints some ten lines at every import, three of them marked as errors ("Unable to register cuDNN
# factory") though nothing is wrong; whatever does go wrong reaches Python as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Other processes may want some of the GPU's memory.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# TF-Agents imports the abandoned gym, which prints a banner, in a module that never uses it here.
sys.modules.setdefault("gym", types.ModuleType("gym"))
