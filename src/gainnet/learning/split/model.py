"""Where a language model is cut, and its two parts, on a device and on an edge, that train as if they were whole."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from gainnet.core.errors import ConfigError, GainnetError, ModelError, check_range
from gainnet.learning.split.anatomy import Called, Elsewhere, Port, anatomy_of, calls_of, probe_of, tap


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

    >>> Cut(1, head_on_device=True).name
    'u_shape+1'
    """

    num_blocks: int = 0
    head_on_device: bool = False

    def __post_init__(self) -> None:
        check_range(self.num_blocks >= 0, "cut", self.num_blocks, "0 blocks on the device or more")

    @property
    def name(self) -> str:
        """The usual name, as the command line takes it."""
        blocks = f"+{self.num_blocks}" if self.num_blocks else ""
        return ("u_shape" if self.head_on_device else "embedding_only") + blocks

    @property
    def labels_reach_edge(self) -> bool:
        """Whether the edge computes the loss."""
        return not self.head_on_device


TOLERANCE = 1e-4


@final
@dataclass(frozen=True, eq=False)
class SplitModel:
    """A model cut into segments that share its parameters.

    front (device) ==activations==> body (edge) ==activations==> tail (device, U-shape only)

    The segments are the model itself with `Elsewhere` in the place of what the other side holds, so that any
    architecture is cut whose blocks stand in a list. Whether the segments give the logits of the whole is tried on
    a probe when the cut is made.

    Args:
        whole: the model; its parameters are those of the segments.
        cut: where it is cut.
        front: embeddings and first blocks, on the device.
        body: the rest, on the edge.
        tail: the head on the device, `None` where the edge has it.
        to_body: what crosses between front and body.
        to_tail: what crosses between body and tail.
        tied: names (on the device, on the edge) of one weight that both sides hold.

    >>> from gainnet.models.language import small_decoder
    >>> split = SplitModel.of(small_decoder(16, 2, 2, 40), Cut(1, head_on_device=True))
    >>> device, edge = (sum(p.numel() for p in part.parameters()) for part in (split.front, split.body))
    >>> device > 0 and edge > 0 and split.tail is not None
    True
    >>> SplitModel.of(small_decoder(16, 2, 2, 40), Cut(2))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: cut: 2 blocks of 2 are on the device; leave one
    """

    whole: nn.Module
    cut: Cut
    front: nn.Module
    body: nn.Module
    tail: nn.Module | None
    to_body: tuple[Port, ...]
    to_tail: tuple[Port, ...]
    tied: tuple[tuple[str, str], ...]

    @staticmethod
    def of(model: Any, cut: Cut) -> SplitModel:
        """A model of transformers, cut; the model keeps its parameters and is trained with its segments.

        Raises:
            ConfigError: more blocks than the model has.
            ModelError: the segments do not give the logits of the whole.
        """
        try:
            return SplitModel._of(model, cut)
        except GainnetError:
            raise
        # Architectures differ without end: whatever one of them trips over is said in one line.
        except Exception as error:
            why = " ".join(str(error).split())[:120] or type(error).__name__
            name = type(model).__name__
            raise ModelError(f"model: {name} cannot be cut as {cut.name} ({why}); choose fedavg or lora") from error

    @staticmethod
    def _of(model: Any, cut: Cut) -> SplitModel:
        anatomy = anatomy_of(model)
        first, others = anatomy.stacks[0], anatomy.stacks[1:]
        if cut.num_blocks >= len(first.blocks):
            raise ConfigError(f"cut: {cut.num_blocks} blocks of {len(first.blocks)} are on the device; leave one")
        # A decoder's embeddings stay on the device, too: the edge must not see its input tokens.
        front = {*first.front, *first.blocks[: cut.num_blocks], *(name for s in others for name in s.front)}
        head = {anatomy.head} if cut.head_on_device else set()
        entries = (first.blocks[cut.num_blocks], *(stack.blocks[0] for stack in others))
        # Shapes are watched before anything is replaced; afterwards the whole model can no longer be run.
        calls = calls_of(model)
        units = _units(model, front | head | set(entries))
        rest = units - front - head - _second_names(model, units, calls)
        segments = [_segment(model, units, kept, calls) for kept in (front, rest, head)]
        to_body, to_tail = _crossing(model, entries), ((anatomy.head, 0),) if head else ()
        tied = _untie(model, segments)
        split = SplitModel(model, cut, segments[0], segments[1], segments[2] if head else None, to_body, to_tail, tied)
        split._try()
        return split

    def names(self, side: str) -> tuple[str, ...]:
        """Names of the parameters of the whole that the device or the edge trains."""
        # By identity: segments share the parameters of the whole, under names that may differ.
        held, named = {id(p) for p in self.parameters(side)}, self.whole.named_parameters()
        copies = {device for device, _ in self.tied} if side == "edge" else set()
        return tuple(name for name, p in named if id(p) in held or name in copies)

    def trained(self, side: str) -> tuple[str, ...]:
        """Those of `names` that are not locked: what a side sends, and keeps from round to round."""
        return tuple(name for name in self.names(side) if self.whole.get_parameter(name).requires_grad)

    def parameters(self, side: str) -> list[nn.Parameter]:
        """Parameters that the device or the edge holds, each once."""
        segments = (self.front, self.tail) if side == "device" else (self.body,)
        found = {id(p): p for segment in segments if segment is not None for p in segment.parameters()}
        return list(found.values())

    @property
    def segments(self) -> tuple[nn.Module, ...]:
        """In the order of their work."""
        return tuple(segment for segment in (self.front, self.body, self.tail) if segment is not None)

    def copy_tied(self) -> None:
        """Gives the edge the device's values of what both hold."""
        with torch.no_grad():
            for device, edge in self.tied:
                self.body.get_parameter(edge).copy_(self.whole.get_parameter(device))

    def _try(self) -> None:
        # Tensors without values are cut to count what a step takes: there is nothing to compare.
        if any(isinstance(p, FakeTensor) for p in self.whole.parameters()):
            return
        # Dropout would make two right answers differ.
        was_training = self.whole.training
        self._train(False)
        with torch.no_grad():
            given = probe_of(self.whole)
            wanted = self.whole(**given).logits
            logits = logits_of(self, given)
        self._train(was_training)
        if logits.shape != wanted.shape or not torch.allclose(logits, wanted, atol=TOLERANCE, rtol=TOLERANCE):
            raise ModelError(f"model: cut as {self.cut.name} it is not the whole model; cut it elsewhere")

    def _train(self, mode: bool) -> None:
        for module in (self.whole, *self.segments):
            module.train(mode)


def run_segment(
    segment: nn.Module, given: dict[str, Tensor], ports: dict[Port, Tensor], wanted: tuple[Port, ...]
) -> tuple[dict[Port, Tensor], Tensor]:
    """(what crosses at the wanted ports, logits) of a segment.

    Args:
        segment: front, body or tail.
        given: arguments of the model, blank where another segment reads them.
        ports: what has crossed to this segment.
        wanted: what crosses from it.
    """
    with tap(segment, ports, wanted) as kept:
        logits: Tensor = segment(**given, use_cache=False).logits
    return kept, logits


def logits_of(split: SplitModel, given: dict[str, Tensor]) -> Tensor:
    """[batch, ...], logits of all segments one after the other, for arguments of the whole model, each [batch, ...]."""
    blank = {key: torch.zeros_like(x) for key, x in given.items()}
    sent, _ = run_segment(split.front, given, {}, split.to_body)
    hidden, logits = run_segment(split.body, blank, sent, split.to_tail)
    return logits if split.tail is None else run_segment(split.tail, blank, hidden, ())[1]


def name_of(port: Port) -> str:
    """The name under which a tensor crosses.

    >>> name_of(("block", 0))
    'block:0'
    """
    return f"{port[0]}:{port[1]}"


def by_name(tensors: Mapping[Port, Tensor]) -> dict[str, Tensor]:
    """Tensors without their history, by the names under which they cross."""
    return {name_of(port): x.detach() for port, x in tensors.items()}


def _units(model: nn.Module, wanted: Iterable[str]) -> set[str]:
    """A model cut into the wanted modules, all blocks, and every other module with parameters of its own."""
    blocks = {name for stack in anatomy_of(model).stacks for name in stack.blocks}
    tops = blocks | set(wanted)
    inside = tuple(f"{name}." for name in tops)
    return tops | {
        name
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False)) and not name.startswith(inside)
    }


def _second_names(model: nn.Module, units: set[str], calls: Mapping[str, Called]) -> set[str]:
    """Units that never run and only name parameters of others that do, as T5's `shared`."""
    called = {id(p) for name in units & calls.keys() for p in model.get_submodule(name).parameters()}
    silent = units - calls.keys()
    return {name for name in silent if all(id(p) in called for p in model.get_submodule(name).parameters())}


def _segment(model: nn.Module, units: set[str], kept: set[str], calls: Mapping[str, Called]) -> nn.Module:
    """The model with the same parameters, and `Elsewhere` in the place of every unit that is not kept."""
    # A deep copy whose memo holds the parameters copies modules and shares weights: a step on a segment is one on the
    # whole. Buffers, such as rotary frequencies, are constants.
    shared: dict[int, Any] = {id(x): x for x in (*model.parameters(), *model.buffers())}
    segment = copy.deepcopy(model, shared)
    replaced = units - kept
    # A module around parts of both sides, as BERT's head around a map of the edge, stays in both as a frame.
    frames = {name for name in units if any(other.startswith(f"{name}.") for other in kept)}
    elsewhere = {id(p) for name in replaced - frames for p in segment.get_submodule(name).parameters()}
    for name in frames:
        frame = segment.get_submodule(name)
        for key, p in list(frame.named_parameters(recurse=False)):
            # A second name of a weight of the other side, as the bias of that head: its owner uses it.
            if name in replaced or id(p) in elsewhere:
                frame.register_parameter(key, None)
    for name in sorted(replaced - frames):
        # Parts of what is gone are gone with it.
        if not any(name.startswith(f"{other}.") for other in replaced - frames):
            segment.set_submodule(name, Elsewhere(segment.get_submodule(name), calls.get(name)))
    return segment


def _crossing(model: nn.Module, entries: tuple[str, ...]) -> tuple[Port, ...]:
    """Arguments of the entries that depend on parameters before them: what has to cross, and get gradients back."""
    ports: list[Port] = []
    # With everything trainable the arguments that depend on parameters before the cut are those that want a gradient.
    locked = [p for p in model.parameters() if not p.requires_grad]
    for p in locked:
        p.requires_grad_(True)
    for name in entries:

        def keep(module: nn.Module, args: Any, kwargs: Any, name: str = name) -> Any:
            arguments: dict[int | str, Any] = {**dict(enumerate(args)), **kwargs}
            found = [place for place, x in arguments.items() if isinstance(x, Tensor) and x.requires_grad]
            # What an encoder made for a decoder is made on the edge.
            hidden = arguments[found[0]]
            ports.extend((name, place) for place in found if place == found[0] or _is_bias(arguments[place], hidden))

        hook = model.get_submodule(name).register_forward_pre_hook(keep, with_kwargs=True)
        with torch.enable_grad():
            model(**probe_of(model), use_cache=False)
        hook.remove()
    for p in locked:
        p.requires_grad_(False)
    return tuple(ports)


def _is_bias(x: Tensor, hidden: Tensor) -> bool:
    """Whether a tensor is one of attention scores and not another sequence of hidden states."""
    # T5 computes its position bias in the first block and hands it to the others, across the cut.
    return x.dim() == 4 and x.dim() != hidden.dim()


def _untie(model: nn.Module, segments: list[nn.Module]) -> tuple[tuple[str, str], ...]:
    """Gives the edge a copy of its own of every weight that both sides hold; names (on the device, on the edge)."""
    device = {id(p) for segment in (segments[0], segments[2]) for p in segment.parameters()}
    names = {id(p): name for name, p in model.named_parameters()}
    tied: dict[int, tuple[nn.Parameter, str]] = {}
    for name, module in list(segments[1].named_modules(remove_duplicate=False)):
        for key, p in list(module.named_parameters(recurse=False)):
            # A locked weight stays equal by itself.
            if id(p) in device and p.requires_grad:
                # One copy for all places on the edge that share the weight, or they would part among themselves.
                copied = nn.Parameter(p.detach().clone(), p.requires_grad)
                setattr(module, key, tied.setdefault(id(p), (copied, f"{name}.{key}"))[0])
    return tuple((names[key], full) for key, (_, full) in tied.items())
