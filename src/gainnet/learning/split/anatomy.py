"""Parts of a Hugging Face model, found by watching one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError
from gainnet.models.language import inputs_of
from gainnet.models.language_families import language_family_of

Port = tuple[str, int | str]
"""A tensor argument of a module's call: (name of the module, place or keyword)."""


@final
@dataclass(frozen=True)
class Stack:
    """An encoder or a decoder: what runs before its blocks, and its blocks.

    Args:
        front: names of the modules with parameters of their own that run before the first block.
        blocks: names of the blocks, in order.
    """

    front: tuple[str, ...]
    blocks: tuple[str, ...]


@final
@dataclass(frozen=True)
class Anatomy:
    """The modules of a model in the order of their work.

    Args:
        stacks: (encoder, decoder) of an encoder-decoder, else the only one.
        head: name of the module that makes logits.
    """

    stacks: tuple[Stack, ...]
    head: str


def probe_of(model: Any) -> dict[str, Tensor]:
    """A small input that the model takes, where it is."""
    device = next(model.parameters()).device
    return inputs_of(model, *(x.to(device) for x in language_family_of(model).probe(model)))


def anatomy_of(model: Any) -> Anatomy:
    """The anatomy of a model of a known family.

    Raises:
        ModelError: it has no head, or no list of blocks.
    """
    names, family = {id(module): name for name, module in model.named_modules()}, language_family_of(model)
    head = family.head(model)
    if head is None or id(head) not in names:
        raise ModelError(f"model: it has no head that makes logits; give a whole model of the family {family.name}")
    return Anatomy(tuple(_stack(model, parent, names) for parent in family.stacks(model)), names[id(head)])


def _stack(model: nn.Module, parent: nn.Module, names: dict[int, str]) -> Stack:
    # Every architecture of transformers keeps its blocks in a ModuleList; the outermost one comes first.
    lists = [module for module in parent.modules() if isinstance(module, nn.ModuleList) and len(module) > 0]
    if not lists:
        raise ModelError("model: no list of blocks was found in it; this architecture cannot be cut")
    blocks = tuple(names[id(block)] for block in lists[0])
    return Stack(_called_between(model, parent, lists[0][0], names), blocks)


def _called_between(model: nn.Module, start: nn.Module, stop: nn.Module, names: dict[int, str]) -> tuple[str, ...]:
    """Modules with parameters of their own that run after `start` or a part of it is entered and before `stop` is."""
    found: dict[str, None] = {}
    begun, ended, inside = False, False, names[id(start)]

    def watch(module: nn.Module) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            nonlocal begun, ended
            # Order of calls, not of attributes: GPT-2 names its embeddings after what Llama names before. OPT calls
            # its decoder past the module around it.
            begun = begun or module is start or names[id(module)].startswith(f"{inside}.")
            ended = ended or module is stop
            if begun and not ended and any(True for _ in module.parameters(recurse=False)):
                found[names[id(module)]] = None

        return hook

    with ExitStack() as hooks, torch.no_grad():
        for module in model.modules():
            hooks.callback(module.register_forward_pre_hook(watch(module)).remove)
        model(**probe_of(model))
    return tuple(found)


class Called(NamedTuple):
    """A call of a module on the probe: shape of its first tensor, `None` without any, and its output."""

    given: torch.Size | None
    output: Any


@final
class Elsewhere(nn.Module):
    """Stands where a module is that another node holds: shapes as if it were there, and no parameters.

    Args:
        module: what is elsewhere.
        called: its call on the probe; `None` for a module that never runs.
    """

    def __init__(self, module: nn.Module, called: Called | None) -> None:
        super().__init__()
        plain = {k: v for k, v in vars(module).items() if isinstance(v, str | int | float) and not k.startswith("_")}
        for key in plain.keys() - {"training"}:  # e.g. the kind of attention, which the model asks its blocks for
            setattr(self, key, plain[key])
        for key, p in module.named_parameters(recurse=False):
            # Mamba asks its head for the type of its weight; a tensor without entries is no parameter, but has one.
            setattr(self, key, torch.empty(0, dtype=p.dtype))
        for key, child in module.named_children():
            # ViT asks a map inside its embeddings for its type.
            self.add_module(key, Elsewhere(child, None))
        output = None if called is None else called.output
        # Blocks return tuples in some versions and tensors in others; the model around them indexes what it expects.
        first = output[0] if isinstance(output, tuple) else output
        self.given = None if called is None else called.given
        self.made = torch.Size((1, 1)) if first is None else first.shape
        self.like = torch.empty(0) if first is None else first.new_empty(0)
        self.num_more = len(output) - 1 if isinstance(output, tuple) else None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Hidden states unchanged where they keep their width; zeros in the place of everything else."""
        x = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        kept = x is not None and x.is_floating_point() and len(x.shape) == len(self.made)
        y = x if kept and x is not None and x.shape[-1] == self.made[-1] else self._zeros(x)
        return y if self.num_more is None else (y, *[None] * self.num_more)

    def _zeros(self, x: Tensor | None) -> Tensor:
        """Zeros [batch, ...] of the shape that the model reckons with; nobody reads them."""
        if x is None or self.given is None:
            # A table of positions that is given a length: what it makes is added to embeddings of any number of rows.
            return self.like.new_zeros(1, self.made[-1])
        gained = len(self.made) - len(self.given)
        # Tokens gain a width; pictures become so many patches, and have one size.
        shape = {0: (*x.shape[:-1], self.made[-1]), 1: (*x.shape, self.made[-1])}
        pictures = (x.shape[0], *self.made[1:])
        wanted = pictures if len(self.given) == 4 else shape.get(gained, pictures)
        return self.like.new_zeros(1).expand(*wanted)


def calls_of(model: nn.Module) -> dict[str, Called]:
    """The last call of every module of a model on the probe, by name."""
    calls: dict[str, Called] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            x = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
            calls[name] = Called(None if x is None else x.shape, output)

        return hook

    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():
            hooks.callback(module.register_forward_hook(keep(name), with_kwargs=True).remove)
        model(**probe_of(model))
    return calls


@contextmanager
def tap(model: nn.Module, given: dict[Port, Tensor], wanted: tuple[Port, ...]) -> Iterator[dict[Port, Tensor]]:
    """A model whose calls take some tensors from elsewhere and whose other tensors are kept as they pass.

    Args:
        model: whose modules are called.
        given: tensors that replace arguments.
        wanted: arguments that are kept; what comes after them sees them detached.
    """
    kept: dict[Port, Tensor] = {}
    modules = dict(model.named_modules(remove_duplicate=False))

    def tap(name: str) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            ours = {place: x for (owner, place), x in given.items() if owner == name}
            arguments: dict[Any, Any] = {**dict(enumerate(args)), **kwargs, **ours}
            for owner, place in wanted:
                if owner == name:
                    kept[owner, place] = arguments[place]
                    # The graph ends at the cut: its other side computes the gradients from here on.
                    arguments[place] = arguments[place].detach()
            # An argument may be given by place here and by keyword in another version; each goes back where it came
            # from.
            return tuple(arguments[i] for i in range(len(args))), {k: arguments[k] for k in kwargs}

        return hook

    with ExitStack() as hooks:
        for name in {owner for owner, _ in (*given, *wanted)}:
            hooks.callback(modules[name].register_forward_pre_hook(tap(name), with_kwargs=True).remove)
        yield kept
