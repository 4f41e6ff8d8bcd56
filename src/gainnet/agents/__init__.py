"""Reinforcement learning: one algorithm, one readable file.

`gainnet.agents.discrete_sac`, `ppo` and `sac` build on TorchRL (`pip install 'gainnet[rl]'`), so they are imported by
their own names; `pathwise` needs torch alone. Using a learned policy needs none of them. Environments and rewards are
with their subject, in `power_control` and `orchestration`.
"""

from gainnet.agents.replay import Replay

__all__ = ["Replay"]
