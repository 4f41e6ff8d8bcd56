"""Reinforcement learning: one algorithm, one readable file.

`gainnet.agents.discrete_sac` builds on TorchRL (`pip install 'gainnet[rl]'`), so it is imported by its own name.
Whoever only uses a policy that was learned needs neither.
"""

from gainnet.agents.replay import Replay

__all__ = ["Replay"]
