"""Invented drugs and diseases, and words for outcomes and people; the fields of trials draw from them."""

from __future__ import annotations

_BEGINNINGS = ("al", "cefa", "dexa", "flu", "hydro", "keto", "lami", "meto", "olme", "pera", "sulfa", "zola")
_STEMS = ("olol", "pril", "statin", "mab", "azole")
DRUGS = tuple(beginning + stem for beginning in _BEGINNINGS for stem in _STEMS)
"""As international non-proprietary names: a beginning and the stem of a class."""

_ORGANS = ("arthr", "bronch", "cardi", "cyst", "dermat", "gastr", "hepat", "myel", "nephr", "neur")
_ILLS = ("algia", "itis", "opathy", "osis")
CONDITIONS = tuple(organ + ill for organ in _ORGANS for ill in _ILLS)
"""An organ and what ails it."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OUTCOMES = _words(
    "albumin appetite balance bilirubin calcium cortisol cough dizziness fatigue ferritin fever folate grip hearing "
    "itching lactate leptin magnesium mobility pain potassium reading reflux renin sodium speech stiffness swelling "
    "tremor urate vision walking weakness wheezing yawning zinc"
)
"""Substances and signs that are measured."""

GROUPS = _words(
    "actors bakers clerks cyclists dancers divers drivers farmers guards infants joggers lawyers miners nurses "
    "painters pilots players porters runners sailors singers smokers soldiers students swimmers teachers twins waiters "
    "weavers women"
)
"""People who take part."""
