"""Reinforcement learning: one algorithm, one readable file, on TorchRL."""

from gainnet.agents.replay import Replay

__all__ = ["Replay"]
