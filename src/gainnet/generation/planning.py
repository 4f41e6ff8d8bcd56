"""A generation before it runs: the network of its air, its codecs, and the plan that its protocol makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from gainnet.codecs import CODECS, AnyCodec, Codecs, Kind
from gainnet.codecs.selection import Automatic, check_length
from gainnet.core.errors import ConfigError
from gainnet.core.plugins import call_plugin, require_members, snake_case
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place, Spec, Symbols
from gainnet.generation.arguments import check_objects
from gainnet.generation.cell import Cell, Over, downlink, network_over
from gainnet.generation.trials import check_channel, check_codec, check_power_policy, is_of_user
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.network import Network
from gainnet.protocols import PROTOCOLS, Plan, Protocol, Transfer
from gainnet.protocols.binding import contents_of, prompt_spec
from gainnet.protocols.deadline import within
from gainnet.protocols.fitting import check_budgets, check_power, may_send_symbols
from gainnet.protocols.task import PICTURE, PROMPT
from gainnet.radio import Air


@final
@dataclass(frozen=True)
class Planned:
    """A plan that fits its network.

    Args:
        network: nodes and links.
        plan: who computes and who sends what.
        codecs: that the plan sends with, as they were chosen, before they were bound.
    """

    network: Network
    plan: Plan
    codecs: Mapping[Kind, AnyCodec]


def make_plan(
    air: Over,
    protocol: Protocol,
    model: DiffusionModel,
    prompts: Sequence[str],
    codecs: Codecs = Codecs(),  # noqa: B008
    num_channel_uses: int | None = None,
    strength: float | None = None,
    deadline_s: float = math.inf,
) -> Planned:
    """Network and plan of a generation, with codecs bound to model, prompts and link; arguments as of `estimate`.

    Raises:
        ConfigError: something is given that the protocol has no use for, or parts do not fit each other.
        ModelError: no weights of a codec fit the model.
    """
    check_objects(model, codecs)
    network, name = check_choices(air, protocol, codecs, num_channel_uses), snake_case(type(protocol).__name__)
    link = downlink(network)
    contents = contents_of(protocol, model, prompts, link, num_channel_uses, strength)
    chosen = codecs.choose(contents)
    bound = chosen.bind(contents)
    for kind, content in contents.items():
        if is_of_user(chosen.of(kind)):
            check_codec(kind, bound.of(kind), content)
    plan = call_plugin("protocol", protocol.plan, model, bound, network.edges, strength)
    if not isinstance(plan, Plan):
        raise ConfigError(f"protocol: {name} returned a {type(plan).__name__}, not a Plan")
    # A cut may leave nothing of a kind to be sent. By identity, since equal codecs may carry two kinds.
    used = {id(step.codec) for step in plan.steps if isinstance(step, Transfer)}
    sent = {kind: chosen.of(kind) for kind in contents if id(bound.of(kind)) in used}
    _check_effects(name, sent, codecs, num_channel_uses)
    if strength is not None and not any(PICTURE in step.needs for step in plan.steps):
        raise ConfigError(f"image: {name} has no use for it; leave it out or choose another protocol")
    if isinstance(air, Cell) and air.power is not None:
        has_symbols = any(isinstance(step, Transfer) and step.codec.emits is Symbols for step in plan.steps)
        check_power(air.air, air.power, sent, has_symbols)
        network = air.network()
    check_budgets(bound, contents, sent, link)
    if not math.isinf(deadline_s):
        plan = within(plan, deadline_s)
    return Planned(network, plan, sent)


def check_choices(
    air: Over,
    protocol: Protocol,
    codecs: Codecs,
    num_channel_uses: int | None = None,
    failures: Sequence[tuple[str, int]] = (),
) -> Network:
    """The network of an air, where air, protocol and codecs fit each other as far as that shows without a model.

    Args:
        air: as in `generate`; likewise the others.

    Raises:
        ConfigError: they do not; a model has not to be loaded to say so.

    >>> from gainnet.codecs import WebP
    >>> from gainnet.protocols import Eiug
    >>> check_choices(Air(), Eiug(), Codecs(image=WebP()))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: codec: eiug sends no 'image', it sends prompt and seed
    """
    if isinstance(air, Cell | Air):
        _check_air(air)
    # Power changes no network, so that is made first: the error about a policy then names both air and codec.
    network = network_over(replace(air, power=None) if isinstance(air, Cell) else air)
    require_members("protocol", protocol, ("sends", "max_edges", "plan"))
    name, sent = snake_case(type(protocol).__name__), {kind: codecs.of(kind) for kind in protocol.sends}
    if len(network.edges) > max(protocol.max_edges, 1):
        several = ", ".join(key for key, other in PROTOCOLS.items() if other.max_edges > 1)
        raise ConfigError(f"num_edges: {name} has no use for {len(network.edges)} edges; give 1 or one of {several}")
    if unknown := [node for node, _ in failures if node not in network.edges]:
        raise ConfigError(f"fail: {unknown[0]!r} is no edge of the network; choose one of {', '.join(network.edges)}")
    _check_effects(name, sent, codecs, num_channel_uses)
    for kind in sent:
        if num_channel_uses is not None and kind != "prompt" and not isinstance(sent[kind], Automatic):
            check_length(sent[kind], num_channel_uses)
    if isinstance(air, Cell) and air.power is not None:
        check_power(air.air, air.power, sent, any(may_send_symbols(kind, sent[kind]) for kind in sent))
    return network


def _check_effects(name: str, sent: Mapping[Kind, AnyCodec], codecs: Codecs, num_channel_uses: int | None) -> None:
    """Raises `ConfigError` for whatever would be without effect on a protocol that sends those kinds."""
    given = [kind for kind in CODECS if not isinstance(codecs.of(kind), Automatic)]
    if unused := sorted(set(given) - set(sent)):
        raise ConfigError(f"codec: {name} sends no {unused[0]!r}, it sends {' and '.join(sent) or 'nothing'}")
    if num_channel_uses is not None and not set(sent) - {"prompt"}:
        raise ConfigError(f"num_channel_uses: {name} sends no content; leave it out")


def _check_air(air: Air | Cell) -> None:
    """Measures what is of the user's, since a fault would otherwise show when a picture has been computed, or never."""
    fading = air.air.fading if isinstance(air, Cell) else air.fading
    if is_of_user(fading):
        require_members("fading", fading, ("block_length", "blocks", "first_gain", "transmit"))
        check_channel(fading)
    if isinstance(air, Cell) and air.power is not None and is_of_user(air.power):
        check_power_policy(air.power)


def streams(random_seed: int, num_items: int) -> Random:
    """Random streams of a batch, in which item 3 draws as item 3 alone.

    >>> streams(5, 2) == Random.of([5, 6])
    True
    """
    return Random.of(range(random_seed, random_seed + num_items))


def shapes_of(prompts: Sequence[str], model: DiffusionModel, strength: float | None) -> dict[Place, Spec]:
    """Shapes of the inputs of the device: prompts, and for image-to-image the picture."""
    return {PROMPT: prompt_spec(prompts)} | ({} if strength is None else {PICTURE: model.image})


def inputs(prompts: Sequence[str], picture: Tensor | None = None) -> dict[Place, Tensor]:
    """Inputs of the device: prompts, and for image-to-image the picture [3, H, W], once per prompt."""
    given = {PROMPT: text_to_tensor(prompts)}
    return given if picture is None else given | {PICTURE: picture.expand(len(prompts), *picture.shape)}
