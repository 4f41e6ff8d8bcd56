"""Names of emoji and the fixed selections that are kept out of training."""

import pytest

from gainnet.models.emoji.names import EmojiName, one_in, outside_autoencoder, outside_denoiser


@pytest.mark.parametrize(
    ("name", "concept", "tones"),
    [
        ("red-heart", "red-heart", ()),
        ("judge-medium-dark-skin-tone", "judge", ("medium-dark",)),
        ("woman-light-skin-tone-bald", "woman-bald", ("light",)),
        ("kiss-woman-man-dark-skin-tone-medium-skin-tone", "kiss-woman-man", ("dark", "medium")),
    ],
)
def test_parse(name: str, concept: str, tones: tuple[str, ...]) -> None:
    assert EmojiName.parse(name) == EmojiName(concept, tones)


def test_selections_do_not_depend_on_what_else_there_is() -> None:
    judges = [EmojiName("judge", (tone,)) for tone in ("light", "dark")]
    # All tones of a concept lie on the same side of the autoencoder's cut, else it would have seen the drawing.
    assert len({outside_autoencoder(name) for name in judges}) == 1
    assert not outside_denoiser(EmojiName("judge", ()))
    assert 60 < sum(one_in(11, str(k)) for k in range(1000)) < 120
