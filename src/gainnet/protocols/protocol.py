"""The contract of a protocol: a value that writes plans."""

from __future__ import annotations

import typing
from typing import ClassVar, runtime_checkable

from gainnet.codecs import Codecs, Kind
from gainnet.models.diffusion import DiffusionModel
from gainnet.protocols.plan import Edges, Plan

MANY_EDGES = 16
"""As many as a cell has."""


class Protocol(typing.Protocol):
    """Who computes what and who sends what; the fields of the class are its parameters.

    sends: kinds of tensors that its plans may send, each through the codec of that kind in `Codecs`.
    max_edges: largest number of edges that it has a use for; 0 where the device is alone.
    """

    sends: ClassVar[tuple[Kind, ...]]
    max_edges: ClassVar[int]

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        """The plan for a model.

        Args:
            model: whose parts run.
            codecs: bound to what they carry.
            edges: that take part, at most `max_edges`.
            strength: share of the steps that change the device's picture, above 0 to 1; `None` for text to image.

        Raises:
            ConfigError: a parameter does not fit model or edges.
        """


@runtime_checkable
class Drafts(typing.Protocol):
    """A protocol whose device drafts a latent, and that sends what the draft lacks as a `correction` tensor."""

    def name_of_draft(self, model: DiffusionModel, strength: float | None = None) -> str:
        """Name of the draft, such as `coarse-5`, under which weights of its corrections are found."""


@runtime_checkable
class HandsOver(typing.Protocol):
    """A protocol that sends a latent between two steps of the sampler, as a `midway` tensor.

    resumes: whether the receiver can resume at the noise level that a `MatchedSeed` reports.
    """

    resumes: ClassVar[bool]

    def step_of_hand_over(self, model: DiffusionModel, strength: float | None = None) -> int:
        """Steps of the whole sampler before the latent that is sent, which has their noise level."""
