"""Where a language model is cut between device and edge."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

from gainnet.core.errors import ConfigError, check_range

_TEXT = re.compile(r"(embedding_only|u_shape)(?:\+(\d+))?")


@final
@dataclass(frozen=True)
class Cut:
    """Modules on the device: the embeddings, some blocks, and the head or not.

    device: embeddings, blocks[:k]  ==activations==>  edge: blocks[k:] (head)  ==(U-shape)==>  device: head, loss

    In an encoder-decoder model the blocks are those of the encoder, and the device embeds for the decoder, too.
    Without the head on the device the labels go to the edge, and in a causal model the labels are the text: that cut
    is cheap and not private.

    Args:
        num_blocks: blocks on the device, >= 0.
        head_on_device: whether the head and the loss are on the device (U-shape).

    Raises:
        ConfigError: a negative number of blocks.

    >>> Cut.parse("u_shape+1")
    Cut(num_blocks=1, head_on_device=True)
    """

    num_blocks: int = 0
    head_on_device: bool = False

    def __post_init__(self) -> None:
        check_range(self.num_blocks >= 0, "cut", self.num_blocks, "0 blocks on the device or more")

    @staticmethod
    def parse(text: str) -> Cut:
        """The cut of a text: `embedding_only` or `u_shape`, with `+k` for k blocks on the device.

        Raises:
            ConfigError: any other text.
        """
        # The whole text has to match: a trailing word would otherwise be ignored silently.
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ConfigError(f"cut: {text!r} is unknown; give embedding_only, embedding_only+2, u_shape or u_shape+1")
        return Cut(int(found[2] or 0), found[1] == "u_shape")

    @property
    def name(self) -> str:
        """The text that `parse` takes."""
        return ("u_shape" if self.head_on_device else "embedding_only") + (
            f"+{self.num_blocks}" if self.num_blocks else ""
        )

    @property
    def labels_reach_edge(self) -> bool:
        """Whether the edge computes the loss."""
        return not self.head_on_device
