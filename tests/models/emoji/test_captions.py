"""Captions of emoji: the stated rules, and that no two pictures share a wording."""

import numpy as np

from gainnet.models.emoji.captions import Wording, wordings
from gainnet.models.emoji.words import MAX_NUM_TOKENS, build_tokenizer, caption_words

NAMES = (
    ("judge",),
    ("woman-judge-dark-skin-tone", "woman-judge-tone5"),
    ("pizza", "pie-slice"),
    ("red-apple",),
    ("green-apple",),
    ("people-holding-hands-dark-skin-tone-light-skin-tone",),
)
SYNONYMS = {"pizza": ("pizzas", "slice"), "red-apple": ("apple",), "green-apple": ("apple", "Pomme")}


def test_every_rule_is_applied() -> None:
    judge, toned, pizza, red, green, pair = wordings(NAMES, SYNONYMS)
    assert judge.others == ("judges",)
    assert toned == Wording("woman judge", ("female judge",), ("dark",))
    assert set(pizza.others) == {"pizzas", "slice", "pie slice"}
    assert pair.own() == "people holding hands dark skin tone light skin tone"
    # "apple" alone would ask for two pictures.
    assert red.others == ("red apples",)
    assert green.others == ("pomme", "green apples")


def test_captions_hold_only_words_of_the_vocabulary() -> None:
    rng, own = np.random.default_rng(0), wordings(NAMES, SYNONYMS)
    words = caption_words(own)
    captions = {wording.paraphrase(rng) for wording in own for _ in range(100)}
    assert {word for caption in captions for word in caption.split()} | {"an"} == set(words)
    assert {"female judge with dark skin", "the pizza", "a red apple", "red apples"} <= captions
    tokenizer = build_tokenizer(words)
    assert all(len(tokenizer(caption).input_ids) == len(caption.split()) + 2 for caption in captions)
    assert max(len(tokenizer(caption).input_ids) for caption in captions) <= MAX_NUM_TOKENS


def test_half_of_the_captions_are_the_name() -> None:
    rng, wording = np.random.default_rng(0), Wording("judge", (), ("dark",))
    captions = [wording.write(rng) for _ in range(400)]
    assert 180 < captions.count(wording.own()) < 260
    assert "a dark skinned judge" in captions
