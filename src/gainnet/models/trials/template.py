"""Template labels: how a finding is put, which result it rests upon, its effect, and which remarks follow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from gainnet.models.trials.abstract import CONCLUSION, StructuredAbstract

MAX_RESULT = 9
"""Results beyond this one are called by this number."""

FORMS = ("statement", "comparison", "treatment", "evidence")
"""How a finding is put: as a plain statement, by comparing, by what the treatment does, or as what a study shows."""

_FORMS: Mapping[str, re.Pattern[str]] = {
    "evidence": re.compile(r"\b(study|studies|trial|findings|data|results|evidence|suggest|indicat|demonstrat)"),
    "comparison": re.compile(r"\b(than|compared|comparison|versus|vs|among)\b"),
    "treatment": re.compile(r"\b(treat|therap|administ|interven|regimen)"),
}
_EFFECTS: Mapping[str, re.Pattern[str]] = {
    "none": re.compile(r"\b(no|not|neither|nor|without|similar|equivalent|comparable|lack)\b"),
    "lower": re.compile(r"\b(lower|reduc|decreas|fall|fewer|less|small|short|prevent)"),
    "higher": re.compile(r"\b(higher|rais|increas|rise|rising|more|great|long)"),
    "better": re.compile(r"\b(improv|effective|superior|benefi|better|efficac|success)"),
}
_REMARKS: Mapping[str, re.Pattern[str]] = {
    "research": re.compile(r"\b(further|future|larger (trials|studies)|research|warranted|confirm)"),
    "safety": re.compile(r"\b(safe|safely|safety|tolera|adverse|side[ -]effect|harm|toxic)"),
    "recommendation": re.compile(r"\b(recommend|should|advis|guideline|may be used|can be used)"),
}
_SAID = re.compile(r"\((?P<result>\d)\), effect (?P<effect>\w+)(, then (?P<then>.+))?")
_WORD = re.compile(r"[a-z][a-z0-9-]{3,}")


@final
@dataclass(frozen=True)
class Template:
    """The content of a conclusion, without its words.

    Args:
        form: one of `FORMS`.
        result: number of the sentence of the results that it rests upon, from 1.
        effect: lower, higher, better, none (no difference) or other.
        remarks: safety, recommendation, research, in the order in which they follow the finding.
    """

    form: str
    result: int
    effect: str
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        """As it stands in a prompt.

        >>> str(Template("comparison", 2, "lower", ("safety", "research")))
        'comparison from result (2), effect lower, then safety, research'
        """
        after = f", then {', '.join(self.remarks)}" if self.remarks else ""
        return f"{self.form} from result ({self.result}), effect {self.effect}{after}"


def template_of(abstract: StructuredAbstract) -> Template:
    """The template of the conclusion that the authors wrote, found by overlap and by key words.

    The result is the one that shares most words with the conclusion, rare words of the results counting more (their
    inverse frequency over the results). Form and effect are those of the sentences that are no remark; the first
    kind of key words wins, in the order evidence, comparison, treatment and none, lower, higher, better.

    Args:
        abstract: with results and a conclusion.

    >>> from gainnet.models.trials.abstract import Sentence
    >>> results = (Sentence("results", "pulse rose, p = 0.4."), Sentence("results", "pain fell, p = 0.01."))
    >>> conclusion = (Sentence("conclusions", "it reduces pain."), Sentence("conclusions", "larger trials are needed."))
    >>> template_of(StructuredAbstract("a", results + conclusion))
    Template(form='statement', result=2, effect='lower', remarks=('research',))
    """
    sentences = [text.lower() for text in abstract.texts(CONCLUSION)]
    remarks = [_kind(_REMARKS, text, "") for text in sentences]
    # A conclusion of remarks alone has a finding all the same: its first sentence.
    findings = [text for text, remark in zip(sentences, remarks, strict=True) if not remark] or sentences[:1]
    followed = tuple(dict.fromkeys(remark for remark in remarks if remark))
    finding = " ".join(findings)
    form, effect = _kind(_FORMS, finding, "statement"), _kind(_EFFECTS, finding, "other")
    return Template(form, _closest(abstract.texts("results"), finding), effect, followed)


def read_template(text: str) -> Template:
    """A template as it stands in a prompt; what cannot be read is empty, or result 0.

    >>> read_template("comparison from result (2), effect lower, then safety, research")
    Template(form='comparison', result=2, effect='lower', remarks=('safety', 'research'))
    >>> read_template("comparison from pain")
    Template(form='comparison', result=0, effect='', remarks=())
    """
    form, _, rest = text.partition(" from result ")
    said = _SAID.fullmatch(rest)
    if said is None:
        return Template(form.split(" ")[0], 0, "", ())
    return Template(form, int(said["result"]), said["effect"], tuple(filter(None, (said["then"] or "").split(", "))))


def _kind(kinds: Mapping[str, re.Pattern[str]], sentence: str, default: str) -> str:
    """The first kind whose key words stand in a sentence."""
    return next((name for name, words in kinds.items() if words.search(sentence)), default)


def _closest(results: Sequence[str], finding: str) -> int:
    words = [set(_WORD.findall(result.lower())) for result in results]
    frequency = Counter(word for found in words for word in found)
    said = set(_WORD.findall(finding))
    # Squared, so that one word that a single result has outweighs several that all of them share.
    shared = [sum(1 / frequency[word] ** 2 for word in found & said) for found in words]
    return min(MAX_RESULT, 1 + max(range(len(shared)), key=shared.__getitem__, default=0))
