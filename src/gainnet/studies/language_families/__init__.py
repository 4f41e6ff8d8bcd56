"""Study language-families: is a model that is cut anywhere the model that is not cut?"""

from gainnet.studies.language_families.study import LANGUAGE_FAMILIES_STUDY

__all__ = ["LANGUAGE_FAMILIES_STUDY"]
