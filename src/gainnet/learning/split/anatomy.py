"""Parts of a Hugging Face language model, found by watching one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError
from gainnet.models.language import inputs_of

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
    """The modules of a language model in the order of their work.

    Args:
        stacks: (decoder,) of a causal model, (encoder, decoder) else.
        head: name of the module that makes logits.
    """

    stacks: tuple[Stack, ...]
    head: str


def probe_of(model: Any) -> dict[str, Tensor]:
    """A small input that every language model takes."""
    # Two rows and several tokens: broadcasting cannot hide a wrong axis, and small indices exist in any vocabulary.
    tokens = torch.arange(10).reshape(2, 5) % min(7, model.config.vocab_size - 1)
    return inputs_of(model, tokens, tokens[:, :4] + 1)


def anatomy_of(model: Any) -> Anatomy:
    """The anatomy of a causal or an encoder-decoder model of transformers.

    Raises:
        ModelError: it has no head, or no list of blocks.
    """
    names = {id(module): name for name, module in model.named_modules()}
    head = model.get_output_embeddings()
    if head is None or id(head) not in names:
        raise ModelError("model: it has no language head; give a causal or an encoder-decoder language model")
    # The encoder comes first: its blocks are those that the cut counts.
    parents = (model.get_encoder(), model.get_decoder()) if model.config.is_encoder_decoder else (model.base_model,)
    return Anatomy(tuple(_stack(model, parent, names) for parent in parents), names[id(head)])


def _stack(model: nn.Module, parent: nn.Module, names: dict[int, str]) -> Stack:
    # Every architecture of transformers keeps its blocks in a ModuleList; the outermost one comes first.
    lists = [module for module in parent.modules() if isinstance(module, nn.ModuleList) and len(module) > 0]
    if not lists:
        raise ModelError("model: no list of blocks was found in it; this architecture cannot be cut")
    blocks = tuple(names[id(block)] for block in lists[0])
    return Stack(_called_between(model, parent, lists[0][0], names), blocks)


def _called_between(model: nn.Module, start: nn.Module, stop: nn.Module, names: dict[int, str]) -> tuple[str, ...]:
    """Modules with parameters of their own that run after `start` is entered and before `stop` is."""
    found: dict[str, None] = {}
    active = False

    def watch(module: nn.Module) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            nonlocal active
            # Order of calls, not of attributes: GPT-2 names its embeddings after what Llama names before.
            active = (active or module is start) and module is not stop
            if active and any(True for _ in module.parameters(recurse=False)):
                found[names[id(module)]] = None

        return hook

    with ExitStack() as hooks, torch.no_grad():
        for module in model.modules():
            hooks.callback(module.register_forward_pre_hook(watch(module)).remove)
        model(**probe_of(model))
    return tuple(found)


@final
class Elsewhere(nn.Module):
    """Stands where a module is that another node holds: passes its input on, and has no parameters.

    Args:
        module: what is elsewhere.
        output: what it gave when it was watched: a tensor, or a tuple whose first entry is one.
    """

    def __init__(self, module: nn.Module, output: Any) -> None:
        super().__init__()
        plain = {k: v for k, v in vars(module).items() if isinstance(v, str | int | float) and not k.startswith("_")}
        for key in plain.keys() - {"training"}:  # e.g. the kind of attention, which the model asks its blocks for
            setattr(self, key, plain[key])
        # Blocks return tuples in some versions and tensors in others; the model around them indexes what it expects.
        first = output[0] if isinstance(output, tuple) else output
        self.width = int(first.shape[-1])
        self.num_more = len(output) - 1 if isinstance(output, tuple) else None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Hidden states unchanged; zeros in the place of embeddings."""
        x = next(a for a in (*args, *kwargs.values()) if isinstance(a, Tensor))
        # Tokens come in where embeddings were: what goes on has the width of a hidden state and is never read.
        if not x.is_floating_point():
            x = torch.zeros(1).expand(*x.shape, self.width)
        return x if self.num_more is None else (x, *[None] * self.num_more)


def outputs_of(model: nn.Module) -> dict[str, Any]:
    """Outputs of every module of a model on the probe, by name."""
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, args, output: outputs.__setitem__(name, output)

    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():
            hooks.callback(module.register_forward_hook(keep(name)).remove)
        model(**probe_of(model))
    return outputs


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
