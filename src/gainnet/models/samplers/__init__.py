"""Samplers of diffusers as functions of their state, which can be cut and sent between any two steps."""

from gainnet.models.samplers.course import Level, course
from gainnet.models.samplers.levels import Edm, Flow, Levels, Tabulated
from gainnet.models.samplers.names import SAMPLERS, name_of
from gainnet.models.samplers.sampler import Sampler

__all__ = ["SAMPLERS", "Edm", "Flow", "Level", "Levels", "Sampler", "Tabulated", "course", "name_of"]
