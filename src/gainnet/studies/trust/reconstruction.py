"""How much of a device's text an edge reads off the activations that it is sent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gainnet.catalog import parse
from gainnet.catalog.learning import cut_of, open_model
from gainnet.catalog.records import LearnConfig
from gainnet.codecs import Float32
from gainnet.core.randomness import Random
from gainnet.learning.safeguards.attack import (
    Coded,
    InverterTraining,
    Noisy,
    activations_of,
    look_up,
    loss_seen_through,
    share_recovered,
    trained_inverter,
)
from gainnet.models.language import pack
from gainnet.models.language_text import PUBLIC, write_texts
from gainnet.studies.study import Case, Row
from gainnet.studies.trust.config import TrustConfig

VICTIM_SEED = (1 << 40) + 7
PUBLIC_SEED = (1 << 40) + 9


def reconstruction(config: TrustConfig, case: Case, _: Random) -> Row:
    """Share of tokens that the better of two attackers reads; which is better it finds out on public text.

    Args:
        config: of the study.
        case: cut, codec and noise.
    """
    model, tokenizer = open_model(config.model)
    random = Random.of(case.random_seed).child("reconstruction")
    public, held_out, victim, common = _rows(config, tokenizer, case.random_seed)
    num_blocks = cut_of(case.text("cut")).num_blocks
    view = Noisy(float(case.values["noise"] or 0.0), parse("codec.activations", case.text("codec")))
    seen = {
        who: view(activations_of(model, num_blocks, rows), random.child(who))
        for who, rows in (("victim", victim), ("public", held_out))
    }
    inverter = trained_inverter(model, num_blocks, view, public, InverterTraining(config.inverter.num_steps), random)
    with torch.no_grad():
        read = {"inverter": {who: inverter(x).argmax(-1) for who, x in seen.items()}}
    if num_blocks == 0:
        table = model.get_input_embeddings().weight.detach()
        read["look_up"] = {who: look_up(x, table) for who, x in seen.items()}
    # On public text, since an attacker cannot see how well it reads the secret one.
    tried = {name: share_recovered(found["public"], held_out) for name, found in read.items()}
    best = read[max(tried, key=tried.__getitem__)]["victim"]
    exact = Coded(Float32())
    return {
        "recovered": share_recovered(best, victim),
        "recovered_facts": share_recovered(best, victim, common),
        "recovered_by_look_up": share_recovered(read["look_up"]["victim"], victim) if "look_up" in read else None,
        "recovered_by_inverter": share_recovered(read["inverter"]["victim"], victim),
        "recovered_blindly": float(torch.bincount(victim.flatten()).max()) / victim.numel(),
        "loss_before": loss_seen_through(model, num_blocks, exact, victim, random),
        "loss": loss_seen_through(model, num_blocks, view, victim, random.child("victim")),
    }


def _rows(config: TrustConfig, tokenizer: Any, random_seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of (public text to train on, public text to choose by, the device's text), and words that all texts have."""
    length, given = LearnConfig().row_length, config.inverter
    train = write_texts(PUBLIC, given.num_public_texts, PUBLIC_SEED + random_seed)
    choose = write_texts(PUBLIC, max(4, given.num_public_texts // 10), PUBLIC_SEED - 1 - random_seed)
    secret = [
        text for d in LearnConfig().domains for text in write_texts(d, given.num_texts, VICTIM_SEED + random_seed)
    ]
    # Words that all texts have give nothing away about one of them.
    everywhere = set.intersection(*(set(tokenizer(text)["input_ids"]) for text in secret)) | {tokenizer.eos_token_id}
    public, held_out, victim = (pack(texts, tokenizer, length) for texts in (train, choose, secret))
    return public, held_out, victim, torch.tensor(sorted(everywhere))
