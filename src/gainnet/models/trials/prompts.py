"""Prompts of the cloud and of the edge-end model, verbatim.

cloud alone   instruction, document                        --> conclusion
Part          instruction, document, template              --> conclusion
Full          instruction, document, template, draft       --> conclusion
few-shot      instruction, three trials of the field with their conclusions, document  --> conclusion
edge          document                                     --> template, draft
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from gainnet.models.trials.abstract import StructuredAbstract

CLOUD_ALONE = "Write the conclusion of this trial.\n{document}\nCONCLUSION:"
PART = (
    "Write the conclusion of this trial. Follow the template: form and result of the finding, its effect, remarks.\n"
    "{document}\nTEMPLATE: {template}\nCONCLUSION:"
)
FULL = (
    "Write the conclusion of this trial. Follow the draft, but correct its facts.\n"
    "{document}\nTEMPLATE: {template}\nDRAFT: {draft}\nCONCLUSION:"
)
FEW_SHOT = (
    "Write the conclusion of the last trial, as the other trials of its field are concluded.\n{trials}\nCONCLUSION:"
)
EDGE = "{document}\nTEMPLATE:"
FORMS = ("cloud", "part", "full")
"""The forms of a prompt that a cloud gets."""

_MARK = re.compile("conclusion:", re.IGNORECASE)


@final
@dataclass(frozen=True)
class EdgeAnswer:
    """The answer of the edge-end model to a document.

    Args:
        template: labels of what a conclusion should say.
        draft: a conclusion of its own.
    """

    template: str
    draft: str


def cloud_prompt(form: str, document: str, answer: EdgeAnswer) -> str:
    """The prompt of the cloud.

    Args:
        form: one of `FORMS`.
        document: what the conclusion is written from.
        answer: of the edge-end model; the form `cloud` leaves it out.

    Raises:
        KeyError: there is no such form.

    >>> print(cloud_prompt("part", "RESULTS: pain fell.", EdgeAnswer("statement from result (1)", "")))
    Write the conclusion of this trial. Follow the template: form and result of the finding, its effect, remarks.
    RESULTS: pain fell.
    TEMPLATE: statement from result (1)
    CONCLUSION:
    """
    words = {"cloud": CLOUD_ALONE, "part": PART, "full": FULL}[form]
    return words.format(document=document, template=answer.template, draft=answer.draft)


def few_shot_prompt(examples: Sequence[StructuredAbstract], document: str) -> str:
    """The prompt of a cloud that reads whole trials of the field instead of an edge-end model's answer.

    Args:
        examples: trials of the same field, with their conclusions.
        document: what the conclusion is written from.

    >>> from gainnet.models.trials.abstract import Sentence
    >>> example = StructuredAbstract("a", (Sentence("results", "pain rose."), Sentence("conclusions", "it hurts.")))
    >>> print(few_shot_prompt([example], "RESULTS: (1) pain fell."))
    Write the conclusion of the last trial, as the other trials of its field are concluded.
    RESULTS: (1) pain rose.
    CONCLUSION: it hurts.
    RESULTS: (1) pain fell.
    CONCLUSION:
    """
    return FEW_SHOT.format(
        trials="\n".join([*(f"{a.document}\nCONCLUSION: {a.conclusion}" for a in examples), document])
    )


def edge_prompt(document: str) -> str:
    """The prompt of the edge-end model."""
    return EDGE.format(document=document)


def edge_completion(template: str, conclusion: str) -> str:
    """The completion that the edge-end model is trained on."""
    return f" {template}\nCONCLUSION: {conclusion}"


def read_edge_answer(completion: str) -> EdgeAnswer:
    """Template and draft out of what the edge-end model wrote; what it left out is empty.

    >>> read_edge_answer(edge_completion("statement from result (1)", "pain is lower."))
    EdgeAnswer(template='statement from result (1)', draft='pain is lower.')
    """
    template, draft = (*_MARK.split(completion, maxsplit=1), "")[:2]
    return EdgeAnswer(" ".join(template.split()), " ".join(draft.split()))
