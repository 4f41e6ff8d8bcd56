"""Invented drugs, conditions, outcomes and groups, put together from the pieces that real names are made of."""

from __future__ import annotations

import numpy as np

_BEGINNINGS = [
    "al",
    "be",
    "cefa",
    "dexa",
    "emi",
    "flu",
    "gali",
    "hydro",
    "ima",
    "keto",
    "lami",
    "meto",
    "nor",
    "olme",
    "pera",
    "qui",
    "rami",
    "sulfa",
    "tica",
    "vora",
    "zola",
]
_MIDDLES = ["ba", "co", "di", "fe", "lo", "mi", "na", "pe", "ra", "se", "ti", "va", "xe"]
_STEMS = [
    "olol",
    "pril",
    "sartan",
    "statin",
    "mab",
    "tinib",
    "azole",
    "cillin",
    "dipine",
    "oxetine",
    "parin",
    "glipt",
    "azepam",
    "triptan",
    "mycin",
    "sone",
]
_ORGANS = [
    "arthr",
    "bronch",
    "cardi",
    "col",
    "cyst",
    "dermat",
    "encephal",
    "gastr",
    "hepat",
    "laryng",
    "myel",
    "nephr",
    "neur",
    "oste",
    "pancreat",
    "ven",
]
_ILLS = ["algia", "itis", "opathy", "osis", "ismus", "aemia", "oma"]
_WHICH = ("", "", "", "acute", "chronic", "juvenile", "mild", "severe")
_SUBSTANCES = [
    "albumin",
    "bilirubin",
    "calcium",
    "ferritin",
    "lactate",
    "leptin",
    "magnesium",
    "potassium",
    "renin",
    "sodium",
    "urate",
    "zinc",
    "cortisol",
    "folate",
    "iron",
]
_SIGNS = [
    "appetite",
    "balance",
    "cough",
    "dizziness",
    "fatigue",
    "fever",
    "grip",
    "hearing",
    "itching",
    "mobility",
    "pain",
    "reflux",
    "reading",
    "speech",
    "stiffness",
    "swelling",
    "tremor",
    "vision",
    "walking",
    "weakness",
    "wheezing",
    "yawning",
]
_KINDS = ("", "", "-level", "-score", "-rate", "-count", "-time")
_GROUPS = [
    "actors",
    "bakers",
    "builders",
    "clerks",
    "cyclists",
    "dancers",
    "divers",
    "farmers",
    "firemen",
    "fishermen",
    "gardeners",
    "guards",
    "infants",
    "joggers",
    "lawyers",
    "miners",
    "musicians",
    "painters",
    "pilots",
    "players",
    "porters",
    "prisoners",
    "refugees",
    "runners",
    "sailors",
    "singers",
    "soldiers",
    "swimmers",
    "tailors",
    "teachers",
    "teenagers",
    "twins",
    "typists",
    "volunteers",
    "waiters",
    "walkers",
    "weavers",
    "welders",
]


def drug_name(rng: np.random.Generator) -> str:
    """As international non-proprietary names: a beginning, perhaps a middle, and the stem of a class.

    >>> drug_name(np.random.default_rng(0))
    'lamimab'
    """
    middle = _one(_MIDDLES, rng) if rng.random() < 0.5 else ""
    return _one(_BEGINNINGS, rng) + middle + _one(_STEMS, rng)


def condition_name(rng: np.random.Generator) -> str:
    """An organ and what ails it."""
    which = _one(_WHICH, rng)
    return f"{which}{'-' if which else ''}{_one(_ORGANS, rng)}{_one(_ILLS, rng)}"


def outcome_name(rng: np.random.Generator) -> str:
    """A substance or a sign, and how it is counted."""
    return _one(_SUBSTANCES + _SIGNS, rng) + _one(_KINDS, rng)


def group_names(count: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Different groups of people."""
    return tuple(str(name) for name in rng.choice(_GROUPS, count, replace=False))


def _one(choices: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
