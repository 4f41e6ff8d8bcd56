"""Study families: every family of models with every sampler that it runs with, beside diffusers' own pipelines."""

from gainnet.studies.families.study import FAMILIES_STUDY

__all__ = ["FAMILIES_STUDY"]
