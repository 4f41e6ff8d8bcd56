"""Measurements of the scenes model: pictures of unseen captions, decoded pictures, and the classifier itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.attributes import JUDGE, AttributeClassifier
from gainnet.models.scenes import (
    ATTRIBUTES,
    COLOURS,
    SHAPES,
    UNNAMED,
    Pair,
    Scenes,
    caption_labels,
    draw_scenes,
    parse,
    render,
    scene_labels,
    stream,
    write_captions,
)
from gainnet.training.autoencoder import torch_stream
from gainnet.training.scenes import training_captions

BATCH_SIZE = 10
COLUMNS = {
    "background": ("background",),
    "layout": ("layout",),
    "colour": ("first_colour", "second_colour"),
    "shape": ("first_shape", "second_shape"),
    "size": ("first_size", "second_size"),
}


def load_pipeline(folder: Path) -> Any:
    """Diffusers' pipeline of a model folder, in single precision and silent."""
    from diffusers import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def generate(
    pipeline: Any, captions: Sequence[str], random_seed: int, num_inference_steps: int, guidance: float
) -> Tensor:
    """[n, 3, 128, 128], one picture per caption, pixels in [0, 1].

    Args:
        pipeline: the model.
        captions: n captions.
        random_seed: of the initial noise, which depends on the caption's index too.
        num_inference_steps: DDIM steps.
        guidance: scale of classifier-free guidance; 1 is none.
    """
    pictures, unet = [], pipeline.unet.config
    shape = unet.in_channels, unet.sample_size, unet.sample_size
    for start in range(0, len(captions), BATCH_SIZE):
        batch = list(captions[start : start + BATCH_SIZE])
        # One generator per caption, so that its picture does not depend on the size of the batch.
        noise = [
            torch.randn(shape, generator=torch_stream(random_seed, "evaluation noise", start + k))
            for k in range(len(batch))
        ]
        settings: dict[str, Any] = {"num_inference_steps": num_inference_steps, "guidance_scale": guidance}
        output = pipeline(batch, latents=torch.stack(noise), output_type="pt", **settings)
        pictures.append(output.images.float())
    return torch.cat(pictures)


def shares_right(predicted: Tensor, named: Tensor) -> dict[str, float]:
    """Attribute -> share of its namings that were seen; `all` -> share of pictures with everything that was named.

    Args:
        predicted: [n, 8], classes seen.
        named: [n, 8], classes named, `UNNAMED` where there is none.

    >>> seen, named = torch.full((1, 8), UNNAMED), torch.full((1, 8), UNNAMED)
    >>> seen[0, :4], named[0, :4] = torch.tensor([1, 0, 3, 0]), torch.tensor([1, 0, 3, 1])
    >>> shares = shares_right(seen, named)
    >>> shares["shape"], shares["colour"], shares["all"]
    (1.0, 0.0, 0.0)
    """
    is_named, right = named != UNNAMED, predicted == named
    order = list(ATTRIBUTES)
    shares = {}
    for name, attributes in COLUMNS.items():
        columns = [order.index(attribute) for attribute in attributes]
        shares[name] = float(right[:, columns][is_named[:, columns]].float().mean())
    return shares | {"all": float((right | ~is_named).all(1).float().mean())}


def unseen_captions(model_folder: Path, num_captions: int, random_seed: int) -> list[str]:
    """Captions that the model's training never wrote; as it wrote nearly all that name one thing, most name two.

    Args:
        model_folder: its `trained.json` says which captions it was trained on.
        num_captions: how many.
        random_seed: of the captions.

    Raises:
        ModelError: its `trained.json` is missing or damaged.
    """
    try:
        seen = training_captions(json.loads((model_folder / "trained.json").read_text()))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"model: {model_folder}/trained.json is missing or damaged ({error!r}); give a folder of train scenes"
        ) from error
    rng = stream(random_seed, "evaluation", 0)
    unseen: list[str] = []
    while len(unseen) < num_captions:
        captions = write_captions(draw_scenes(num_captions, rng), rng)
        unseen += [caption for caption in captions if caption not in seen]
    return unseen[:num_captions]


def evaluate_captions(
    pipeline: Any,
    classifier: AttributeClassifier,
    captions: Sequence[str],
    random_seed: int,
    num_inference_steps: int = 10,
    guidance: float = 3.0,
) -> dict[str, float]:
    """Prompt fidelity: the shares of attributes that generated pictures have, by the classifier."""
    pictures = generate(pipeline, captions, random_seed, num_inference_steps, guidance)
    return shares_right(classifier.predict(pictures), caption_labels([parse(caption) for caption in captions]))


def _evaluation_pictures(num_pictures: int, random_seed: int) -> tuple[Scenes, Tensor]:
    scenes = draw_scenes(num_pictures, stream(random_seed, "evaluation pictures", 0))
    return scenes, torch.cat([render(scenes[start : start + 64]) for start in range(0, num_pictures, 64)])


@torch.no_grad()
def evaluate_autoencoder(pipeline: Any, num_pictures: int, random_seed: int) -> dict[str, float]:
    """Fidelity of encoding and decoding on unseen pictures: dB of their mean square error, and SSIM."""
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    _, pictures = _evaluation_pictures(num_pictures, random_seed)
    decoded = torch.cat([pipeline.vae(batch * 2 - 1).sample / 2 + 0.5 for batch in pictures.split(64)]).clamp(0, 1)
    pairs = zip(decoded.split(64), pictures.split(64), strict=True)
    similarity = torch.stack([cast(Tensor, ssim(x, y, data_range=1.0)) for x, y in pairs])
    psnr_db = psnr_db_of_mse((decoded - pictures).square().mean())
    return {"autoencoder_psnr_db_original": float(psnr_db), "autoencoder_ssim_original": float(similarity.mean())}


def evaluate_classifier(classifier: AttributeClassifier, num_pictures: int, random_seed: int) -> dict[str, float]:
    """How often the classifier is right on unseen pictures as they are drawn."""
    scenes, pictures = _evaluation_pictures(num_pictures, random_seed)
    predicted = torch.cat([classifier.predict(batch) for batch in pictures.split(64)])
    return {f"classifier_{name}": share for name, share in shares_right(predicted, scene_labels(scenes)).items()}


def evaluate(
    model_folder: Path,
    num_captions: int = 500,
    random_seed: int = 0,
    classifier_folder: Path | None = None,
    num_pictures: int = 512,
) -> dict[str, float]:
    """All measured numbers of a scenes model.

    Args:
        model_folder: in diffusers' format.
        num_captions: how many unseen captions are generated.
        random_seed: of captions, noise and pictures; streams that no training uses.
        classifier_folder: the classifier; None takes the one shipped with the package.
        num_pictures: how many drawn pictures autoencoder and classifier are measured on.

    Returns:
        `background`, `layout`, `colour`, `shape`, `size`, `all` (shares of what captions name that the pictures have),
        `autoencoder_psnr_db_original`, `autoencoder_ssim_original`, and `classifier_background` … on drawn pictures.
    """
    pipeline = load_pipeline(model_folder)
    classifier = AttributeClassifier.from_pretrained(JUDGE, classifier_folder)
    captions, size = unseen_captions(model_folder, num_captions, random_seed), (num_pictures, random_seed)
    metrics = evaluate_captions(pipeline, classifier, captions, random_seed)
    return metrics | evaluate_autoencoder(pipeline, *size) | evaluate_classifier(classifier, *size)


def evaluate_pairs(
    model_folder: Path,
    pairs: Sequence[Pair],
    num_captions: int = 200,
    random_seed: int = 0,
    classifier_folder: Path | None = None,
) -> dict[str, float]:
    """Shares of right shapes and colours over things of given (colour, shape) pairs, one in every caption.

    Args:
        model_folder: in diffusers' format, usually trained without the pairs.
        pairs: (colour, shape), for instance `("red", "star")`.
        num_captions: how many captions are generated.
        random_seed: of captions and noise.
        classifier_folder: the classifier; None takes the one shipped with the package.

    Returns:
        `heldout_pairs_shape` and `heldout_pairs_colour`.
    """
    rng = stream(random_seed, "evaluation pairs", 0)
    scenes = draw_scenes(num_captions, rng)
    chosen = rng.integers(len(pairs), size=num_captions)
    colours = np.array([COLOURS.index(colour) for colour, _ in pairs])[chosen]
    shapes = np.array([SHAPES.index(shape) for _, shape in pairs])[chosen]
    scenes = replace(
        scenes,
        colour=np.stack((colours, scenes.colour[:, 1]), axis=1),
        shape=np.stack((shapes, scenes.shape[:, 1]), axis=1),
    )
    captions = write_captions(scenes, rng)
    pictures = generate(load_pipeline(model_folder), captions, random_seed, 10, 3.0)
    right = AttributeClassifier.from_pretrained(JUDGE, classifier_folder).predict(pictures) == scene_labels(scenes)
    order = list(ATTRIBUTES)
    return {
        "heldout_pairs_shape": float(right[:, order.index("first_shape")].float().mean()),
        "heldout_pairs_colour": float(right[:, order.index("first_colour")].float().mean()),
    }
