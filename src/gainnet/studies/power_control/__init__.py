"""Study power-control: transmit power over fading blocks, learned and otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gainnet.core.errors import ConfigError
from gainnet.models.loading import find_folder, weights_sha256
from gainnet.power_control import trained_config
from gainnet.power_control.quality import load_importance
from gainnet.studies.power_control.drawing import draw
from gainnet.studies.power_control.methods import methods
from gainnet.studies.power_control.question import METHODS, PowerControlConfig, cases
from gainnet.studies.power_control.summary import METRIC_NAMES, summarise
from gainnet.studies.results import config_hash
from gainnet.studies.study import Study


def identity(config: PowerControlConfig) -> Mapping[str, str]:
    """Digests of the policies, of the importance of blocks, of the decoder and of the trace."""
    importance = load_importance()
    found = {f"policy.{name}": str(trained_config(name)["sha256"]) for name in config.learned}
    weights = {"latent": importance.latent, "picture": importance.picture, "floor": importance.picture_floor}
    found["importance"] = config_hash(weights)
    if "decoder" in config.conditions:
        found["model"] = weights_sha256(find_folder("scenes"))
    if config.trace:
        found["trace"] = _digest(Path(config.trace))
    return found


def _digest(path: Path) -> str:

    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"trace: {path} cannot be read ({error.strerror}); give a CSV file") from None


POWER_CONTROL = Study(
    "power-control", PowerControlConfig, METHODS, METRIC_NAMES, cases, methods, identity, summarise, draw
)
