"""Reinforcement learning: one algorithm, one readable file.

`gainnet.agents.discrete_sac`, `ppo` and `sac` build on TorchRL (`pip install 'gainnet[rl]'`), so they are imported by
their own names; `pathwise` needs torch alone. Whoever only uses a policy that was learned needs none of them.
"""

from gainnet.agents.replay import Replay

__all__ = ["Replay"]
