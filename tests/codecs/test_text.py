"""Prompts as bytes."""

import pytest
import torch

from gainnet.codecs import TextCodec
from gainnet.core.errors import PayloadError
from gainnet.core.text import tensor_to_text, text_to_tensor
from gainnet.core.types import Bits, Spec
from gainnet.models.scenes import draw_scenes, stream, write_captions

TEXTS = ["a red star", "ein großes Haus", "星", ""]


def test_texts_come_back_without_their_padding_on_the_air() -> None:
    prompts = text_to_tensor(TEXTS)
    payload = TextCodec().encode(prompts, torch.ones(4))
    assert payload.strings == tuple(text.encode() for text in TEXTS)
    assert torch.equal(TextCodec().decode(payload, Spec((prompts.shape[-1],))), prompts)


def test_a_lost_prompt_is_empty_and_batches_keep_their_shape() -> None:
    back = TextCodec().decode(Bits((None, b"ab"), (2, 1)), Spec((4,)))
    assert back.shape == (2, 1, 4)
    assert tensor_to_text(back) == ["", "ab"]


def test_captions_take_as_many_bytes_as_expected() -> None:
    scenes = draw_scenes(300, stream(3, "text codec", 0))
    prompts = text_to_tensor(write_captions(scenes, stream(3, "text codec captions", 0)))
    payload = TextCodec().encode(prompts, torch.ones(300))
    size = TextCodec().size(Spec((prompts.shape[-1],)))
    assert payload.num_bits / 300 == pytest.approx(size.expected, rel=0.05)
    assert max(8 * len(string or b"") for string in payload.strings) <= size.upper


@pytest.mark.parametrize("string", [b"\xff\xfe", b"\xe6\x98", b"a\0b", b"too long for this"])
def test_what_is_no_prompt_is_refused(string: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^text: [^\n]*$"):
        TextCodec().decode(Bits((string,), ()), Spec((8,)))
