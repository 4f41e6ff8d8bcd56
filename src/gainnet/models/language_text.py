"""Synthetic structured abstracts: clinical domains with habits of their own, and public text that has none.

An abstract has five sections, and its conclusion follows from its results: the word of change says which way, and an
effect counts when p < 0.05. In a domain a drug is given for few conditions and moves few outcomes, mostly one way.
Public text has the same words and sentences, but sections in any order, drugs that go with every condition of a field,
and facts that are now and then forgotten from one sentence to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final
from zlib import crc32

import numpy as np

from gainnet.core.errors import unknown_name

SECTIONS = ("background", "objective", "methods", "results", "conclusion")
CONTROLS = ("placebo", "usual-care", "nothing")
SIZES = ("20", "40", "80", "120", "200", "400")
LENGTHS = ("4", "8", "12", "24", "52")
PERCENTS = ("2", "5", "10", "15", "20", "30", "40")
SIGNIFICANT, INSIGNIFICANT = ("0.001", "0.01", "0.02", "0.04"), ("0.08", "0.2", "0.4", "0.7")
CHANGES = ("fell", "rose")
VERB_OF_CHANGE: Mapping[str, str] = {"fell": "lowers", "rose": "raises"}
NO_EFFECT = "spares"
SHARE_FORGOTTEN = 0.15
"""How often a sentence of public text draws a fact anew."""

_TEMPLATES: Mapping[str, str] = {
    "background": "background : {condition} is common in {group} and {outcome} matters .",
    "objective": "objective : to learn whether {drug} changes {outcome} in {group} with {condition} .",
    "methods": "methods : {size} {group} with {condition} received {drug} or {control} for {length} weeks .",
    "results": "results : {outcome} {change} by {percent} percent with {drug} more than with {control} , p = {p} .",
    "conclusion": "conclusion : {drug} {verb} {outcome} in {group} with {condition} .",
}


@final
@dataclass(frozen=True)
class Domain:
    """The words of a clinical field.

    Args:
        name: of the field.
        drugs: what is given.
        conditions: what it is given for.
        outcomes: what is measured.
        groups: who takes part.
    """

    name: str
    drugs: tuple[str, ...]
    conditions: tuple[str, ...]
    outcomes: tuple[str, ...]
    groups: tuple[str, ...]


def _domain(name: str, drugs: str, conditions: str, outcomes: str, groups: str) -> Domain:
    return Domain(name, *(tuple(words.split()) for words in (drugs, conditions, outcomes, groups)))


DOMAINS: Mapping[str, Domain] = {
    domain.name: domain
    for domain in (
        _domain(
            "cardiology",
            "aspirin metoprolol ramipril amlodipine warfarin digoxin furosemide ivabradine",
            "angina stroke hypertension arrhythmia heart-failure thrombosis",
            "blood-pressure pulse cholesterol ejection-fraction oedema troponin",
            "smokers pensioners survivors drivers",
        ),
        _domain(
            "oncology",
            "cisplatin tamoxifen imatinib paclitaxel rituximab letrozole erlotinib bevacizumab",
            "leukaemia lymphoma melanoma sarcoma glioma myeloma",
            "tumour-size relapse survival nausea neutrophils metastasis",
            "women men children volunteers",
        ),
        _domain(
            "endocrinology",
            "metformin insulin glipizide levothyroxine liraglutide dapagliflozin cabergoline octreotide",
            "diabetes obesity goitre acromegaly osteoporosis hypothyroidism",
            "glucose body-weight bone-density thyrotropin ketones appetite",
            "adolescents adults mothers workers",
        ),
        _domain(
            "psychiatry",
            "sertraline lithium clozapine fluoxetine diazepam haloperidol bupropion quetiapine",
            "depression mania schizophrenia insomnia panic anorexia",
            "mood sleep attention anxiety agitation memory",
            "students veterans nurses inpatients",
        ),
    )
}
"""Four fields that share no word."""

PUBLIC = "public"


@final
@dataclass(frozen=True)
class Facts:
    """The facts of one abstract."""

    drug: str
    condition: str
    outcome: str
    group: str
    control: str
    size: str
    length: str
    change: str
    percent: str
    p: str

    @property
    def verb(self) -> str:
        """The verb of the conclusion, given change and p."""
        return VERB_OF_CHANGE[self.change] if self.p in SIGNIFICANT else NO_EFFECT


def write_texts(kind: str, num_texts: int, random_seed: int) -> list[str]:
    """Abstracts of a domain, or public text.

    Args:
        kind: a key of `DOMAINS`, or `public`.
        num_texts: how many.
        random_seed: non-negative; other seeds give other texts of the same field.

    Raises:
        ConfigError: there is no such field.

    >>> write_texts("cardiology", 1, 0)[0].split()[:2]
    ['background', ':']
    """
    if kind != PUBLIC and kind not in DOMAINS:
        raise unknown_name("domain", kind, (PUBLIC, *DOMAINS))
    rng = np.random.default_rng([random_seed, crc32(kind.encode())])
    write = public_text if kind == PUBLIC else lambda r: abstract(draw_facts(DOMAINS[kind], r))
    return [write(rng) for _ in range(num_texts)]


def abstract(facts: Facts) -> str:
    """The five sections in order; the conclusion follows from the results."""
    return " ".join(_sentence(section, facts) for section in SECTIONS)


def public_text(rng: np.random.Generator) -> str:
    """Five sentences in any order, about facts of one field that come and go and follow no habit."""
    domain = tuple(DOMAINS.values())[int(rng.integers(len(DOMAINS)))]
    facts = _facts_without_habits(domain, rng)
    sentences = []
    for section in rng.permutation(SECTIONS):
        anew = _facts_without_habits(domain, rng)
        kept = {
            name: getattr(anew if rng.random() < SHARE_FORGOTTEN else facts, name)
            for name in Facts.__dataclass_fields__
        }
        sentences.append(_sentence(str(section), Facts(**kept)))
    return " ".join(sentences)


def draw_facts(domain: Domain, rng: np.random.Generator) -> Facts:
    """The facts of a study of this field: its habits decide which condition, outcome and change go with a drug."""
    drug = one_of(domain.drugs, rng)
    habit = np.random.default_rng([crc32(drug.encode())])
    conditions, outcomes = habit.permutation(domain.conditions)[:2], habit.permutation(domain.outcomes)[:2]
    share_falling, share_significant = habit.choice([0.1, 0.9]), habit.choice([0.25, 0.85])
    groups, lengths = habit.permutation(domain.groups)[:2], habit.permutation(LENGTHS)[:2]
    return Facts(
        drug,
        _mostly(conditions, domain.conditions, rng),
        _mostly(outcomes, domain.outcomes, rng),
        _mostly(groups, domain.groups, rng),
        one_of(CONTROLS, rng),
        one_of(SIZES, rng),
        _mostly(lengths, LENGTHS, rng),
        CHANGES[int(rng.random() > share_falling)],
        one_of(PERCENTS, rng),
        one_of(SIGNIFICANT if rng.random() < share_significant else INSIGNIFICANT, rng),
    )


def words() -> Iterator[str]:
    """Every word that a text may hold, each once, in a fixed order."""
    facts = [word for template in _TEMPLATES.values() for word in template.split() if "{" not in word]
    lists = [(*d.drugs, *d.conditions, *d.outcomes, *d.groups) for d in DOMAINS.values()]
    numbers = (*SIZES, *LENGTHS, *PERCENTS, *SIGNIFICANT, *INSIGNIFICANT)
    verbs = (*CHANGES, *VERB_OF_CHANGE.values(), NO_EFFECT)
    yield from dict.fromkeys([*facts, *CONTROLS, *verbs, *numbers, *(word for words in lists for word in words)])


def _sentence(section: str, facts: Facts) -> str:
    return _TEMPLATES[section].format(**{**facts.__dict__, "verb": facts.verb})


def _facts_without_habits(domain: Domain, rng: np.random.Generator) -> Facts:
    """Every word of a field as likely as any other."""
    choices = (domain.drugs, domain.conditions, domain.outcomes, domain.groups, CONTROLS, SIZES, LENGTHS, CHANGES)
    return Facts(*(one_of(c, rng) for c in (*choices, PERCENTS, (*SIGNIFICANT, *INSIGNIFICANT))))


def _mostly(few: np.ndarray, all_of_them: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of a few in nine cases out of ten, else any."""
    return str(one_of(tuple(few), rng)) if rng.random() < 0.9 else one_of(all_of_them, rng)


def one_of(choices: Sequence[str], rng: np.random.Generator) -> str:
    """One of some words, each as likely."""
    return str(choices[int(rng.integers(len(choices)))])
