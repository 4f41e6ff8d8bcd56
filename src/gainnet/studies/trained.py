"""Columns about the training of an arm, so that a shorter one is not taken for a worse one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from torch import Tensor, nn

from gainnet.core.run.checkpoint import fingerprint
from gainnet.studies.study import Row


@final
@dataclass
class Stopwatch:
    """Processor time of this process in s since it was made.

    >>> Stopwatch().cpu_s >= 0.0
    True
    """

    _start_s: float = field(default_factory=time.process_time)

    @property
    def cpu_s(self) -> float:
        """Seconds until now."""
        return time.process_time() - self._start_s


def trained_columns(
    models: Mapping[str, nn.Module], num_steps: int, num_samples: int, cpu_s: float, num_samples_of_others: int = 0
) -> Row:
    """Columns of a trained arm: steps, samples, processor time, digest of the weights, and whether it was cut short.

    Args:
        models: that the arm ends with, by name.
        num_steps: of its optimizers, all together.
        num_samples: rows of private text that were trained on, with repetition.
        cpu_s: processor time of the training in s.
        num_samples_of_others: rows of the arms that it stands beside; 5 % fewer are as many.

    >>> dict(trained_columns({}, 3, 9, 0.5, 10))["is_shorter"]
    True
    """
    values: dict[str, Tensor] = {
        f"{k}.{name}": x for k, model in models.items() for name, x in model.state_dict().items()
    }
    return {
        "num_steps": num_steps,
        "num_samples": num_samples,
        "measured_training_s": cpu_s,
        "weights_sha256": fingerprint(values),
        "is_shorter": num_samples < 0.95 * num_samples_of_others,
    }
