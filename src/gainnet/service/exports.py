"""Everything that a device without torch needs of a model: graphs, weights, bases, tables and words, with digests.

    model             its folder: unet/, vae/, text_encoder/, tokenizer/, ...
    codecs/seed       decoder of the learned seed codec
    codecs/transform  synthesis of the transform code; its entropy model is exact and stands in no graph
    codecs/correction what takes a draft and received values to a latent
    codecs/linear     principal components
    drafts.json       fitted steps, where the model has some
    device.json       digest and length of every file

The page of an edge fetches these files from `/device/`; `gainnet export device` writes them into a folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from gainnet.codecs.basis import BASES
from gainnet.codecs.correction import weights as correction_weights
from gainnet.codecs.correction.weights import TRANSFORM_ANCHOR, CorrectionWeights
from gainnet.codecs.seed_codec import weights as seed_weights
from gainnet.codecs.seed_codec.network import NUM_FEATURES, Received, SeedNetwork
from gainnet.codecs.seed_codec.weights import SeedWeights
from gainnet.codecs.transform_seed import weights as transform_weights
from gainnet.codecs.transform_seed.network import TransformNetwork
from gainnet.codecs.transform_seed.weights import TransformWeights
from gainnet.core.errors import ModelError
from gainnet.core.files import check_outside_package, check_writable, write_json
from gainnet.models.difference import DIFFERENCE
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.fitted import find_fitted
from gainnet.models.loading import find_folder
from gainnet.models.runtime.export import Calling, Traced, write_graph
from gainnet.models.runtime.manifest import Exported, sha256_of
from gainnet.models.runtime.parts import export_model
from gainnet.service.inverse import synthesis_of

INDEX: Final = "device.json"
DRAFTS: Final = "drafts.json"
_SUFFIXES: Final = (".json", ".txt", ".safetensors", ".onnx")


def export_device(model: DiffusionModel, folder: Path) -> dict[str, Any]:
    """Writes the files of a device into a folder, in which `model` is a model with graphs; returns the index.

    Args:
        model: computed by torch.
        folder: made if it is not there.

    Raises:
        ConfigError: the folder cannot be written, or lies in the package.
        ModelError: a network has no ONNX form.
        MissingExtraError: onnx is not installed.
    """
    check_outside_package(folder)
    if (find_folder(model.name) / DIFFERENCE).is_file():
        raise ModelError(f"model: {model.name} is stored as a difference, which no graph reads; export its teacher")
    check_writable(folder)
    for name, path in device_files(model).items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    export_model(model, folder / "model")
    export_codecs(model, {name: folder / name for name, _ in _sources(model)})
    index = index_of(model, device_files_in(folder))
    write_json(folder / INDEX, index)
    return index


def device_files(model: DiffusionModel) -> dict[str, Path]:
    """Files of a device by the path under which it fetches them, where they lie on this machine.

    Args:
        model: whose graphs lie beside its weights.
    """
    found = {
        f"{name}/{path.relative_to(source).as_posix()}": path
        for name, source in _sources(model)
        for path in _files(source)
    }
    fitted = find_fitted(model.name, model.sha256)
    return found if fitted is None else found | {DRAFTS: fitted}


def device_files_in(folder: Path) -> dict[str, Path]:
    """The same of a folder that `export_device` wrote."""
    return {path.relative_to(folder).as_posix(): path for path in _files(folder) if path.name != INDEX}


def index_of(model: DiffusionModel, files: Mapping[str, Path]) -> dict[str, Any]:
    """Model, shapes, and digest and length of every file: the content of `device.json`."""
    return {
        "model": model.name,
        "model_sha256": model.sha256,
        "latent": list(model.latent.shape),
        "image": list(model.image.shape),
        "files": {
            path: {"sha256": sha256_of(place), "num_bytes": place.stat().st_size}
            for path, place in sorted(files.items())
        },
    }


def export_codecs(model: DiffusionModel, folders: Mapping[str, Path]) -> None:
    """Writes the graphs of codecs beside their weights.

    Args:
        model: whose latents they carry.
        folders: of weights, by codec: `codecs/seed`, `codecs/transform`, `codecs/correction`; others are left as they
            are.
    """
    makers: dict[str, Callable[[Path], tuple[str, str, Traced]]] = {
        "codecs/seed": _seed_decoder,
        "codecs/transform": _transform_synthesis,
        "codecs/correction": _corrected,
    }
    for name in makers.keys() & folders.keys():
        graph, weights, traced = makers[name](folders[name])
        part = write_graph(traced, folders[name], graph, weights)
        Exported(folders[name], model.sha256, {Path(graph).stem: part}).write()


def _sources(model: DiffusionModel) -> Iterator[tuple[str, Path]]:
    """Folders of the model and of the codecs whose weights fit it, by where a device finds them."""
    yield "model", find_folder(model.name)
    finders: dict[str, Callable[[], Path]] = {
        "codecs/seed": lambda: seed_weights.NETWORKS.find(model.name, model.latents_sha256),
        "codecs/transform": lambda: transform_weights.TRANSFORMS.find(model.name, model.latents_sha256),
        "codecs/correction": lambda: correction_weights.CORRECTIONS.find(model.name, model.latents_sha256),
        "codecs/linear": lambda: BASES.find(model.name, model.latents_sha256),
    }
    for name, find in finders.items():
        # Weights of another model are none: they would decode to noise, and a device is better off without them.
        with suppress(ModelError):
            yield name, find()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file())


def _seed_decoder(folder: Path) -> tuple[str, str, Traced]:
    """Graph, weights and network of the learned seed decoder, from what the air delivered to a latent."""
    weights = SeedWeights.load(folder)
    network, num_values = weights.network, weights.basis.num_components
    # Computed now, so that the graph holds their values instead of the inverse that they come from.
    _ = weights.basis.squared_norms
    wide, tokens = torch.ones(2, num_values), torch.ones(weights.vocabulary.max_words, dtype=torch.long)
    inputs = {
        "turned": wide, "gain": wide, "noise": wide, "amplitudes": wide, "features": torch.zeros(NUM_FEATURES),
        "num_channel_uses": torch.tensor(64.0), "scale": torch.tensor(1.0), "words": tokens,
    }  # fmt: skip
    shape = weights.shape

    parts = nn.ModuleDict({"network": network, "inverse": synthesis_of(weights.basis)})

    def decode(
        parts: nn.ModuleDict, turned: Tensor, gain: Tensor, noise: Tensor, plain: Tensor, features: Tensor,
        uses: Tensor, scale: Tensor, words: Tensor,
    ) -> Tensor:  # fmt: skip
        network, inverse = cast(SeedNetwork, parts["network"]), parts["inverse"]
        # The linear error is the sender's own: nothing that is received depends on it.
        side = network.emphasised(features, plain, uses, torch.ones_like(uses))
        estimate = network.receive(Received(turned, gain, noise), scale[:, None, None] * side.amplitudes, side, words)
        return network.refine(inverse(estimate.components), estimate).reshape(-1, *shape)

    traced = Traced(
        Calling(parts, decode), inputs, ("latent",), lambda name: name.removeprefix("network.").removeprefix("inverse.")
    )
    return "decoder.onnx", seed_weights.FORMAT.file, traced


def _transform_synthesis(folder: Path) -> tuple[str, str, Traced]:
    """Graph, weights and network of the transform code's synthesis, from values to a latent."""
    weights = TransformWeights.load(folder)
    inputs = {
        "values": torch.zeros(weights.shape.num_values),
        "condition": torch.zeros(weights.shape.condition_width),
    }
    shape = weights.shape.latent

    def synthesise(network: TransformNetwork, values: Tensor, condition: Tensor) -> Tensor:
        return network.synthesise(values, condition).reshape(-1, *shape)

    traced = Traced(
        Calling(weights.network, synthesise), inputs, ("latent",), lambda name: name.removeprefix("network.")
    )
    return "synthesis.onnx", transform_weights.FORMAT.file, traced


def _corrected(folder: Path) -> tuple[str, str, Traced]:
    """Graph, weights and network that take a draft and received values to a latent."""
    weights = CorrectionWeights.load(folder)
    shape = weights.shape.latent
    inputs = {"draft": torch.zeros(shape), "values": torch.zeros(weights.shape.num_values)}
    # One row for all items: whatever the rate, the transform works at one quality and knows no prompt.
    condition = torch.eye(weights.shape.condition_width)[TRANSFORM_ANCHOR, None]

    def correct(network: TransformNetwork, draft: Tensor, values: Tensor) -> Tensor:
        own = draft.flatten(1)
        known = network.analyse(own, condition)
        added = network.synthesise(known + values, condition) - network.synthesise(known, condition)
        return (own + added).reshape(-1, *shape)

    traced = Traced(Calling(weights.network, correct), inputs, ("latent",), lambda name: name.removeprefix("network."))
    return "corrected.onnx", correction_weights.FORMAT.file, traced
