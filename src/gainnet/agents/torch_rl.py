"""The one import of TorchRL and tensordict."""

from __future__ import annotations

import warnings

from gainnet.core.errors import MissingExtraError

try:
    with warnings.catch_warnings():
        # They warn of matters of their own when imported, which no user of gainnet can mend.
        warnings.simplefilter("ignore")
        from tensordict import TensorDict
        from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
        from torchrl.modules import TanhNormal
        from torchrl.objectives import ClipPPOLoss, DiscreteSACLoss, SACLoss, SoftUpdate
        from torchrl.objectives.value.functional import generalized_advantage_estimate
except ImportError:
    raise MissingExtraError("torchrl", "rl") from None

__all__ = [
    "ClipPPOLoss",
    "DiscreteSACLoss",
    "ProbabilisticTensorDictModule",
    "ProbabilisticTensorDictSequential",
    "SACLoss",
    "SoftUpdate",
    "TanhNormal",
    "TensorDict",
    "TensorDictModule",
    "generalized_advantage_estimate",
]
