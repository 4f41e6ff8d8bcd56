"""Texts, test rows, edges and the foundation model of one random seed."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from gainnet.catalog.learning import TEST_SEED, open_model
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import attach
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining, cell_of, partition
from gainnet.learning.loop import Distillation, Edge, Loop, backhaul_of
from gainnet.models.language import pack, row_losses
from gainnet.models.language_text import PUBLIC, write_texts
from gainnet.network import Network, profile
from gainnet.radio import AnyLink, Arq, Ideal, Tabulated
from gainnet.studies.knowledge_loop.question import DOMAINS, LATE, KnowledgeLoopConfig

ROW_LENGTH = 72


class Texts:
    """Texts, test rows and the foundation model of one random seed."""

    def __init__(self, config: KnowledgeLoopConfig, random_seed: int) -> None:
        self.config, self.random_seed = config, random_seed
        self.model, tokenizer = open_model(config.model)

        def rows(kind: str, count: int, seed: int) -> Tensor:
            return pack(write_texts(kind, count, seed), tokenizer, ROW_LENGTH)

        # Seeds of training, test and public text lie apart, so that no text is in two of them.
        self.rows = {d: rows(d, config.num_texts, 100 + random_seed) for d in (*DOMAINS, LATE)}
        self.test = {d: rows(d, config.num_test_texts, TEST_SEED + random_seed) for d in (*DOMAINS, LATE)}
        self.public = rows(PUBLIC, config.num_public_texts, 200 + random_seed)
        # Of edges that come late to a field that others have been to: text that nobody else holds.
        self.late = {d: rows(d, config.late_texts, 300 + random_seed) for d in DOMAINS}

    def losses(self, model: Any, label: str) -> dict[str, float]:
        """Mean test loss of a model in every domain."""
        return {f"{label}.{domain}.loss": float(row_losses(model, self.test[domain]).mean()) for domain in DOMAINS}

    def fell(self, before: Any, after: Any, label: str) -> dict[str, float]:
        """By how many standard errors the loss fell, row by row of the same text, in every domain."""
        found = {}
        for domain in DOMAINS:
            # Differences of the same rows: texts differ far more from each other than two models on one text.
            gain = row_losses(before, self.test[domain]) - row_losses(after, self.test[domain])
            found[f"{label}.{domain}.fell_by_errors"] = float(gain.mean() / (gain.std() / len(gain) ** 0.5))
        return found

    def clients(self, domain: str) -> tuple[Client, ...]:
        """Devices of a domain, each with its part of the text."""
        count = self.config.devices_per_edge
        parts = partition([self.rows[domain]], count, float("inf"), Random.of(self.random_seed).child(domain))
        return tuple(Client(NodeId(f"{domain}_{i}"), part) for i, part in enumerate(parts))


def loop_of(texts: Texts, domains: tuple[str, ...]) -> Loop:
    """The loop of some fields, an edge each."""
    config = texts.config
    edges = [edge_of(texts, domain, texts.clients(domain)) for domain in domains]
    growth = growth_of(config, texts.model, edges[0].cell)
    backhaul = backhaul_of([edge.name for edge in edges], profile("edge_a100"), profile("edge_l4"), Ideal())
    distillation = Distillation(config.distil_steps, 16, config.distil_rate)
    return Loop(tuple(edges), config.rounds, growth, backhaul, texts.public, config.merge, distillation)  # type: ignore[arg-type]


def edge_of(texts: Texts, domain: str, devices: tuple[Client, ...]) -> Edge:
    """The edge of a field with its devices, over the air of the study."""
    return Edge(NodeId(domain), devices, cell(devices, Tabulated(texts.config.air, arq=Arq(harq="none"))))


def cell(devices: tuple[Client, ...], link: AnyLink) -> Network:
    """One edge and its devices, on links of one kind both ways."""
    return cell_of((c.name for c in devices), profile("edge_l4"), profile("phone"), (link,), (link,))


def growth_of(config: KnowledgeLoopConfig, foundation: Any, network: Network) -> Fpl:
    """How an edge and its devices grow a model of their field: LoRA on the foundation model."""
    training = LocalTraining("adamw", config.rate, config.num_steps, config.batch_size)
    rows = torch.zeros(config.batch_size, ROW_LENGTH, dtype=torch.long)
    cost = whole_step_cost(attach(copy.deepcopy(foundation), "lora", config.rank), rows)
    return Fpl(foundation, network, training, cost, "lora", config.rank)


def num_samples(config: KnowledgeLoopConfig) -> int:
    """Rows that all devices of the loop train on, with repetition."""
    per_edge = config.cycles * config.rounds * config.devices_per_edge * config.num_steps * config.batch_size
    return len(DOMAINS) * per_edge
