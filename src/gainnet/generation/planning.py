"""A generation before it runs: prompts, model, protocol, codecs and air, and the plan that they make together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, final

from torch import Tensor

from gainnet.codecs import CODECS, AnyCodec, Codecs, Kind, bind
from gainnet.codecs.selection import Automatic
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.plugins import call_plugin, require_members, snake_case
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place, Spec, Symbols
from gainnet.generation.cell import Cell, Over, downlink, network_over
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.network import Network
from gainnet.protocols import PROTOCOLS, Eiug, Plan, Pricing, Protocol, Transfer, pricing
from gainnet.protocols.binding import Binding, kinds_sent
from gainnet.protocols.deadline import within
from gainnet.protocols.task import PICTURE, PROMPT
from gainnet.radio import Air, Digital, Powered, PowerPolicy, Tabulated

MAX_CHANNEL_USES: Final = 10_000_000
MAX_PROMPT_BYTES: Final = 2048
DEFAULT_STRENGTH: Final = 0.6


@final
@dataclass(frozen=True, eq=False)
class Job:
    """Everything that one generation is made with; fields as the arguments of `generate`.

    Args:
        prompts: one per picture, each at most 2,048 bytes of UTF-8.
        model: whose parts run.
        protocol: who computes and who sends what.
        codecs: what carries what.
        air: radio conditions, a cell or a network.
        num_channel_uses: complex channel uses per picture of the content.
        picture: [3, H, W] in [0, 1], to be changed.
        strength: share of the steps that change the picture, above 0 to 1; with a picture 0.6 when `None`.
        deadline_s: seconds after which a transfer is given up.
        failures: (edge, index of the step before which it dies).
        priced_as: model whose FLOPs and bytes are priced.
        random_seed: of the first picture.

    Raises:
        ConfigError: a field is out of range.
    """

    prompts: tuple[str, ...]
    model: DiffusionModel
    protocol: Protocol = Eiug()
    codecs: Codecs = Codecs()
    air: Over = Air()
    num_channel_uses: int | None = None
    picture: Tensor | None = None
    strength: float | None = None
    deadline_s: float = math.inf
    failures: tuple[tuple[str, int], ...] = ()
    priced_as: Pricing = pricing("sd15")
    random_seed: int = 0

    def __post_init__(self) -> None:
        check_prompts(self.prompts)
        if self.num_channel_uses is not None and not 1 <= self.num_channel_uses <= MAX_CHANNEL_USES:
            raise ConfigError(f"num_channel_uses: {self.num_channel_uses} is outside 1 to {MAX_CHANNEL_USES}")
        if self.strength is not None and not 0.0 < self.strength <= 1.0:
            raise ConfigError(f"strength: {self.strength} is not above 0 and at most 1; 1 keeps nothing of the picture")
        if not self.deadline_s > 0.0:
            raise ConfigError(f"deadline_s: {self.deadline_s} must be a positive time; give seconds")
        if not 0 <= self.random_seed < 2**63:
            raise ConfigError(f"random_seed: {self.random_seed} is negative or too large; give 0 to 2^63 - 1")
        if wrong := [step for _, step in self.failures if step < 0]:
            raise ConfigError(f"fail: there is no step {wrong[0]}; count from 0")

    @property
    def random(self) -> Random:
        """Streams of the items: item 3 of a batch draws as item 3 alone."""
        return Random.of([self.random_seed + item for item in range(len(self.prompts))])

    @property
    def applied_strength(self) -> float | None:
        """Strength of image-to-image; `None` for text-to-image."""
        return DEFAULT_STRENGTH if self.picture is not None and self.strength is None else self.strength

    def inputs(self) -> dict[Place, Tensor]:
        """What the device has: prompts, and for image-to-image the picture, once per prompt."""
        given = {PROMPT: text_to_tensor(self.prompts)}
        if self.picture is not None:
            given[PICTURE] = self.picture.expand(len(self.prompts), *self.picture.shape)
        return given

    def input_specs(self) -> dict[Place, Spec]:
        """Shapes of one item of the inputs, without the batch."""
        given = {PROMPT: Spec((max(len(prompt.encode()) for prompt in self.prompts),))}
        return given if self.applied_strength is None else given | {PICTURE: self.model.image}


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


def planned(job: Job) -> Planned:
    """Network and plan of a job, with codecs bound to model, prompts and link.

    Raises:
        ConfigError: something is given that the protocol has no use for, or parts do not fit each other.
        ModelError: no weights of a codec fit the model.
    """
    protocol, model, strength = job.protocol, job.model, job.applied_strength
    # Power changes no plan, so that is made first: a policy that fits neither air nor codec is told both.
    network = network_over(replace(job.air, power=None) if isinstance(job.air, Cell) else job.air)
    require_members("protocol", protocol, ("sends", "max_edges", "plan"))
    name = snake_case(type(protocol).__name__)
    if len(network.edges) > max(protocol.max_edges, 1):
        several = ", ".join(key for key, other in PROTOCOLS.items() if other.max_edges > 1)
        raise ConfigError(f"num_edges: {name} has no use for {len(network.edges)} edges; give 1 or one of {several}")
    link = downlink(network)
    # Only a radio loses anything; an ideal link or a wire has no noise.
    snr = link.air.snr if isinstance(link, Digital | Tabulated) else math.inf
    binding = Binding(protocol, model, link, snr, job.prompts, job.num_channel_uses, strength)
    chosen = binding.chosen(job.codecs)
    bound = binding.bound(chosen)
    plan = call_plugin("protocol", protocol.plan, model, bound, network.edges, strength)
    if not isinstance(plan, Plan):
        raise ConfigError(f"protocol: {name} returned a {type(plan).__name__}, not a Plan")
    sent = {kind: chosen.of(kind) for kind in kinds_sent(plan, bound, protocol)}
    _check_use(name, job, plan, sent)
    binding.check_fits(bound, {kind: f"{kind}={label_of(kind, codec)}" for kind, codec in sent.items()})
    if isinstance(job.air, Cell) and job.air.power is not None:
        _check_power(job.air.air, job.air.power, plan, sent, binding)
        network = job.air.network()
    return Planned(network, plan if math.isinf(job.deadline_s) else within(plan, job.deadline_s), sent)


def check_prompts(prompts: tuple[str, ...]) -> None:
    """Raises `ConfigError` when there is no prompt, or one is empty, too long or no UTF-8 text."""
    if not prompts:
        raise ConfigError("prompt: there is none; give a text")
    for prompt in prompts:
        if not prompt.strip():
            raise ConfigError("prompt: it is empty; say what to draw")
        if "\0" in prompt:
            raise ConfigError("prompt: it holds a NUL character; remove it")
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise ConfigError("prompt: it is not UTF-8 text; give text in UTF-8")
        if len(prompt.encode()) > MAX_PROMPT_BYTES:
            raise ConfigError(f"prompt: {prompt[:40]!r}… is longer than {MAX_PROMPT_BYTES} bytes; shorten it")


def label_of(kind: Kind, codec: AnyCodec) -> str:
    """Name of a codec in the table of its kind, else of its class.

    >>> from gainnet.codecs import LinearCode
    >>> label_of("seed", LinearCode(512))
    'linear'
    """
    equal = (name for name, make in CODECS[kind].items() if make() == codec)
    alike = (name for name, make in CODECS[kind].items() if type(make()) is type(codec))
    return next(equal, None) or next(alike, type(codec).__name__)


def _check_use(name: str, job: Job, plan: Plan, sent: Mapping[Kind, AnyCodec]) -> None:
    """Refuses whatever would be without effect."""
    given = [kind for kind in CODECS if not isinstance(job.codecs.of(kind), Automatic)]
    if unused := sorted(set(given) - set(sent)):
        raise ConfigError(f"codec: {name} sends no {unused[0]!r}, it sends {' and '.join(sent) or 'nothing'}")
    if job.num_channel_uses is not None and not set(sent) - {"prompt"}:
        raise ConfigError(f"num_channel_uses: {name} sends no content; leave it out")
    if job.applied_strength is not None and not any(PICTURE in step.needs for step in plan.steps):
        raise ConfigError(f"image: {name} has no use for it; leave it out or choose another protocol")


def _check_power(air: Air, policy: PowerPolicy, plan: Plan, sent: Mapping[Kind, AnyCodec], binding: Binding) -> None:
    """Raises `ConfigError` with everything that a power policy does not fit."""
    misfits = []
    try:
        Powered(air.fading, policy)
    except ConfigError as error:
        misfits.append(str(error).removeprefix("power: "))
    if not any(isinstance(step, Transfer) and step.codec.emits is Symbols for step in plan.steps):
        misfits.append(f"{_without_symbols(sent, binding)}, or leave power out")
    if misfits:
        raise ConfigError(f"power: {'; and '.join(misfits)}")


def _without_symbols(sent: Mapping[Kind, AnyCodec], binding: Binding) -> str:
    """That no symbols are sent, and which codecs would send some."""
    kind = next((kind for kind in sent if kind != "prompt"), None)
    if kind is None:
        return "it needs symbols, and none are sent; choose another protocol"
    names = [name for name in CODECS[kind] if _sends_symbols(kind, name, binding)]
    choice = " or ".join(f"{kind}={name}" for name in names[:2]) or "another protocol"
    return f"it needs symbols, and {kind}={label_of(kind, sent[kind])} sends bits; choose {choice}"


def _sends_symbols(kind: Kind, name: str, binding: Binding) -> bool:
    try:
        return bind(CODECS[kind][name](), binding.content(kind)).emits is Symbols
    except (ConfigError, ModelError):
        return False
