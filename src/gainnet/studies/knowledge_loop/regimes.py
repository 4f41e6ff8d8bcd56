"""Arms where a loop could pay: edges that skip the cloud, architectures that differ, edges that come late.

differ: edge k, architecture k --adapters--> cloud: each architecture distils from the experts of all --weights--> edge
late:   a cloud that has met the field --weights--> an edge of one device with little text --rounds--> its model
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, final

import torch
from torch import nn

from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.clients import Client, LocalTraining
from gainnet.learning.exchange import PRIVATE, Exchange
from gainnet.learning.loop import CLOUD, Distillation, backhaul_of, distil, grow, merged_into, train_centrally
from gainnet.models.language import mean_loss, small_decoder
from gainnet.network import profile
from gainnet.radio import Ideal
from gainnet.studies.knowledge_loop.question import DOMAINS
from gainnet.studies.knowledge_loop.texts import Texts, cell, edge_of, growth_of, num_samples
from gainnet.studies.study import Case, Method, Row
from gainnet.studies.trained import Stopwatch, trained_columns

OTHER_ARCHITECTURES = ((64, 3), (48, 2))
"""(width, blocks) of the foundation models of the second and the third edge; the first has the study's."""


@final
@dataclass(frozen=True, eq=False)
class Budget:
    """The end of a loop, and the bits that led to it.

    Args:
        cloud: its last foundation model.
        bits_backhaul: between cloud and edges, over all cycles.
    """

    cloud: Any
    bits_backhaul: float


@final
@dataclass(frozen=True, eq=False)
class Ended:
    """A trained arm.

    Args:
        models: that serve each field.
        num_steps: of the optimizers, all together.
        num_samples: rows of private text, with repetition.
        cpu_s: processor time in s.
        bits_backhaul: between cloud and edges.
        num_rounds: in which devices and edge exchanged something.
    """

    models: Mapping[str, Any]
    num_steps: int
    num_samples: int
    cpu_s: float
    bits_backhaul: float = 0.0
    num_rounds: int = 0


def regime_methods(texts: Callable[[int], Texts], budget: Callable[[int], Budget]) -> dict[str, Method]:
    """The arms that are cases of their own, by name.

    Args:
        texts: of a random seed.
        budget: of the loop of one architecture with that random seed.
    """

    @cache
    def foundations(seed: int) -> tuple[Any, ...]:
        return _foundations(texts(seed), Random.of(seed).child("foundations"))

    @cache
    def alike_fedavg(seed: int) -> Ended:
        found = texts(seed)
        bits = budget(seed).bits_backhaul + _bits_of_growth(found, [found.model] * len(DOMAINS))
        return _fedavg(found, found.model, bits, Random.of(seed).child("alike.fedavg"))

    @cache
    def differ_loop(seed: int) -> Ended:
        return _differ_loop(texts(seed), foundations(seed), Random.of(seed).child("differ.loop"))

    def differ_fedavg(seed: int) -> Ended:
        # Averaging needs one architecture, and the smallest is the one that every edge can run.
        bits = differ_loop(seed).bits_backhaul + _bits_of_growth(texts(seed), foundations(seed))
        return _fedavg(texts(seed), foundations(seed)[-1], bits, Random.of(seed).child("differ.fedavg"))

    def late(start: Callable[[int], Any], seed: int) -> Ended:
        return _late(texts(seed), start(seed), Random.of(seed).child("late edges"))

    def late_joint(seed: int) -> Ended:
        found = texts(seed)
        rows = {d: torch.cat([found.rows[d], found.late[d]]) for d in DOMAINS}
        return _joint(found, [found.model], rows, Random.of(seed).child("late.joint"))

    arms: dict[str, Callable[[int], Ended]] = {
        "alike.skip_cloud": lambda s: _skip_cloud(texts(s), [texts(s).model] * len(DOMAINS), Random.of(s)),
        "alike.fedavg": alike_fedavg,
        "differ.loop": differ_loop,
        "differ.skip_cloud": lambda s: _skip_cloud(texts(s), foundations(s), Random.of(s)),
        "differ.fedavg": differ_fedavg,
        "differ.joint": lambda s: _joint(texts(s), foundations(s), texts(s).rows, Random.of(s).child("differ.joint")),
        "late.loop": partial(late, lambda s: budget(s).cloud),
        "late.skip_cloud": partial(late, lambda s: texts(s).model),
        "late.fedavg": partial(late, lambda s: alike_fedavg(s).models[DOMAINS[0]]),
        "late.joint": late_joint,
    }

    def method(arm: Callable[[int], Ended]) -> Method:
        def run(case: Case, random: Random) -> Row:
            return _row(texts(case.random_seed), case.method, arm(case.random_seed))

        return run

    return {name: method(arm) for name, arm in arms.items()}


def _row(texts: Texts, name: str, ended: Ended) -> Row:
    """Losses of the models that serve each field, in it and in all fields, and what was trained."""
    losses = {f: {d: mean_loss(model, texts.test[d]) for d in DOMAINS} for f, model in ended.models.items()}
    own = [losses[f][f] for f in DOMAINS]
    everywhere = [x for of_field in losses.values() for x in of_field.values()]
    found: dict[str, Any] = {"loss": sum(own) / len(own), "loss_everywhere": sum(everywhere) / len(everywhere)}
    found |= {f"own.{f}.loss": losses[f][f] for f in DOMAINS}
    # Late edges train as long as each other, and less than joint training, which is no arm but the limit.
    others = 0 if name.startswith("late") else num_samples(texts.config)
    found |= trained_columns(dict(ended.models), ended.num_steps, ended.num_samples, ended.cpu_s, others)
    return found | {"num_bits_backhaul": ended.bits_backhaul, "num_rounds": ended.num_rounds}


def _foundations(texts: Texts, random: Random) -> tuple[Any, ...]:
    """A foundation model per edge, each of another architecture, which know public text."""
    config, num_tokens = texts.config, texts.model.config.vocab_size
    found = [texts.model]
    for index, (width, num_layers) in enumerate(OTHER_ARCHITECTURES):
        model = small_decoder(width, num_layers, 4, num_tokens, texts.random_seed)
        rate, stream = config.foundation_rate, random.child(index)
        train_centrally(model, texts.public, config.foundation_steps, 16, rate, stream)
        found.append(model.eval())
    return tuple(found)


def _grown(texts: Texts, domain: str, foundation: Any, rounds: int, random: Random) -> Any:
    """The adapters of a field's edge after some rounds with its devices."""
    edge = edge_of(texts, domain, texts.clients(domain))
    return grow(edge, foundation, growth_of(texts.config, foundation, edge.cell), rounds, random.child(domain))


def _skip_cloud(texts: Texts, foundations: Sequence[Any], random: Random) -> Ended:
    """Every edge grows with its devices for as many rounds as in all cycles of the loop, and asks nobody else."""
    config, watch = texts.config, Stopwatch()
    rounds, stream = config.cycles * config.rounds, random.child("skip_cloud")
    models = {
        domain: merged_into(foundation, _grown(texts, domain, foundation, rounds, stream))
        for domain, foundation in zip(DOMAINS, foundations, strict=True)
    }
    samples = num_samples(config)
    return Ended(models, samples // config.batch_size, samples, watch.cpu_s, num_rounds=rounds * len(DOMAINS))


def _differ_loop(texts: Texts, foundations: Sequence[Any], random: Random) -> Ended:
    """Experts of three architectures teach each other on public text (Lin et al. 2020, FedDF), cycle after cycle."""
    config, watch, bits = texts.config, Stopwatch(), 0.0
    settings = Distillation(config.distil_steps, 16, config.distil_rate)
    names = [NodeId(d) for d in DOMAINS]
    backhaul = backhaul_of(names, profile("edge_a100"), profile("edge_l4"), Ideal())
    models, experts = dict(zip(DOMAINS, foundations, strict=True)), dict[str, Any]()
    for cycle in range(config.cycles):
        stream = random.child("cycle", cycle)
        exchange = Exchange(backhaul, stream, PRIVATE)
        for domain in DOMAINS:
            exchange.send_file("weights", CLOUD, (NodeId(domain),), dict(models[domain].named_parameters()))
            adapters = _grown(texts, domain, models[domain], config.rounds, stream)
            exchange.send_until("adapters", NodeId(domain), CLOUD, adapters)
            experts[domain] = merged_into(models[domain], adapters)
        bits += exchange.report().num_bits
        # After the last cycle nobody would be sent what is distilled.
        if cycle + 1 < config.cycles:
            models = {d: copy.deepcopy(expert) for d, expert in experts.items()}
            for domain, student in models.items():
                teachers = tuple(experts.values())
                distil(student, teachers, texts.public, settings, stream.child("distil", domain))
    samples, distilled = num_samples(config), (config.cycles - 1) * len(DOMAINS) * config.distil_steps
    rounds = config.cycles * config.rounds * len(DOMAINS)
    return Ended(experts, samples // config.batch_size + distilled, samples, watch.cpu_s, bits, rounds)


def _bits_of_growth(texts: Texts, foundations: Sequence[Any]) -> float:
    """Bits between edges and devices in all rounds of a loop; payloads alone, without what an air would repeat."""
    config, bits = texts.config, 0.0
    for domain, foundation in zip(DOMAINS, foundations, strict=True):
        devices = texts.clients(domain)
        growth = growth_of(config, copy.deepcopy(foundation), cell(devices, Ideal()))
        # A round sends as much whatever was trained in it, so the shortest one is enough.
        growth = replace(growth, training=replace(growth.training, num_steps=1))
        random = Random.of(0)
        _, report = growth.round(growth.init(random), devices, random)
        bits += report.num_bits * config.cycles * config.rounds
    return bits


def _fedavg(texts: Texts, foundation: Any, bits: float, random: Random) -> Ended:
    """FedAvg of whole models in as many rounds as the loop's bits allow, at least one, with as many samples."""
    config, watch = texts.config, Stopwatch()
    devices = tuple(client for domain in DOMAINS for client in texts.clients(domain))
    num_steps = config.cycles * config.rounds * config.num_steps
    cost = whole_step_cost(foundation, texts.rows[DOMAINS[0]][: config.batch_size])

    def algorithm(steps: int) -> FedAvg:
        training = LocalTraining("adamw", config.joint_rate, steps, config.batch_size)
        return FedAvg(copy.deepcopy(foundation), cell(devices, Ideal()), training, cost)

    one = algorithm(1)
    _, report = one.round(one.init(random), devices, random)
    # Fewer rounds of more steps: FedAvg spends its bits on few whole models, and must not train less for it.
    rounds = min(num_steps, max(1, int(bits // report.num_bits)))
    final = algorithm(num_steps // rounds)
    state = final.init(random)
    for index in range(rounds):
        state, _ = final.round(state, devices, random.child("round", index))
    model, steps = copy.deepcopy(final.model_of(state)), num_steps // rounds * rounds * len(devices)
    return Ended(dict.fromkeys(DOMAINS, model), steps, steps * config.batch_size, watch.cpu_s, 0.0, rounds)


def _joint(texts: Texts, foundations: Sequence[Any], rows: Mapping[str, torch.Tensor], random: Random) -> Ended:
    """Central training of each architecture on the text of all fields, with as many samples as the loop."""
    config, watch, models = texts.config, Stopwatch(), list[nn.Module]()
    steps = num_samples(config) // 16
    for index, foundation in enumerate(foundations):
        model = copy.deepcopy(foundation)
        train_centrally(model, torch.cat([*rows.values()]), steps, 16, config.joint_rate, random.child(index))
        models.append(model.eval())
    serving = models if len(models) == len(DOMAINS) else models * len(DOMAINS)
    return Ended(dict(zip(DOMAINS, serving, strict=True)), steps * len(models), steps * 16 * len(models), watch.cpu_s)


def _late(texts: Texts, start: Any, random: Random) -> Ended:
    """An edge per field that comes late: one device, little text, few rounds, from a given start."""
    config, watch, models = texts.config, Stopwatch(), dict[str, Any]()
    for domain in DOMAINS:
        edge = edge_of(texts, domain, (Client(NodeId(f"{domain}_late"), texts.late[domain]),))
        growth = growth_of(config, start, edge.cell)
        # The same streams from every start, so that the starts alone make the difference.
        adapters = grow(edge, start, growth, config.late_rounds, random.child(domain))
        models[domain] = merged_into(start, adapters)
    steps = len(DOMAINS) * config.late_rounds * config.num_steps
    return Ended(models, steps, steps * config.batch_size, watch.cpu_s, num_rounds=config.late_rounds * len(DOMAINS))
