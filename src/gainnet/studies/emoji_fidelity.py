"""Study emoji-fidelity: does the emoji model draw what a name says?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, final

import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.outside import read_json
from gainnet.core.randomness import Random
from gainnet.models.efficientnet import EfficientNet, Features, features_of, load_features
from gainnet.models.emoji.album import Album
from gainnet.models.emoji.captions import WORDINGS, Wording, read_wordings
from gainnet.models.emoji.names import outside_autoencoder
from gainnet.models.loading import find_folder, load_model
from gainnet.studies.emoji_gallery import draw_gallery, gallery_row
from gainnet.studies.figures import legend_below, panels
from gainnet.studies.palette import BLUE, GREY, SKY
from gainnet.studies.pictures import RANDOM_SEEDS_APART
from gainnet.studies.settings import NonEmpty, Seeds
from gainnet.studies.statistics import at, present, psnr_db, round_metrics
from gainnet.studies.study import Case, Method, Row, Study
from gainnet.studies.weights import picture_digests
from gainnet.training.emoji_evaluation import ask, frechet_distance, halves, nearest, score
from gainnet.training.scenes_evaluation import generate

METHODS = ("seen", "held_out", "autoencoder", "distance", "gallery")
SCORES = ("top1", "top5", "concept", "tone", "tone_chance", "top1_pooled", "concept_pooled")
LABELS = {
    "top1": "nearest\nis right", "top5": "among the\nfive nearest", "concept": "right but\nfor the tone",
    "tone": "tone\nis right", "tone_chance": "tone\nby chance",
}  # fmt: skip
BARS = {"seen": "seen names", "held_out": "held-out compositions", "autoencoder": "pictures, encoded and decoded"}
METRIC_NAMES = (
    *(f"{score}.{method}" for method in METHODS[:3] for score in SCORES),
    "autoencoder_psnr_db.seen",
    "autoencoder_psnr_db.held_out",
    "frechet_distance.samples",
    "frechet_distance.pictures",
)


@final
@dataclass(frozen=True)
class EmojiFidelityConfig:
    """Settings of the study emoji-fidelity.

    Args:
        random_seeds: each draws its own captions and initial noise.
        num_captions: captions of `seen` and of `held_out`, and pictures of `autoencoder`, per random seed.
        num_samples: samples and pictures that a distance is taken of, per random seed.
        num_shown: samples of the gallery, two thirds of them of seen names, per random seed.
        methods: what is measured.
        album: file of all pictures, as `gainnet train emoji` keeps it.
        model: name or folder of the model.
    """

    random_seeds: Seeds
    num_captions: Annotated[int, Field(ge=1, le=10_000)]
    num_samples: Annotated[int, Field(ge=65, le=1_800)]
    num_shown: Annotated[int, Field(ge=3, le=96)]
    methods: NonEmpty[Literal["seen", "held_out", "autoencoder", "distance", "gallery"]]
    album: str
    model: str = "emoji"


def cases(config: EmojiFidelityConfig) -> Iterator[Case]:
    """Every method once per random seed, but the gallery once per sample."""
    for random_seed, method in product(config.random_seeds, config.methods):
        if method == "gallery":
            held_out = config.num_shown // 3
            counts = {"seen": config.num_shown - held_out, "held_out": held_out}
            for half, number in counts.items():
                for item in range(number):
                    yield Case(method, {"half": half, "item": item}, random_seed)
            continue
        number = config.num_samples if method == "distance" else config.num_captions
        yield Case(method, {"num_items": number}, random_seed)


@final
@dataclass(frozen=True, eq=False)
class Material:
    """A model, the pictures that it learned, and what a network sees in them.

    Args:
        pipeline: diffusers' pipeline of the model.
        defaults: steps and guidance of the model.
        album: all pictures.
        wordings: what each may be called.
        network: that features come from.
        features: of all pictures.
    """

    pipeline: Any
    defaults: tuple[int, float]
    album: Album
    wordings: Sequence[Wording]
    network: EfficientNet
    features: Features

    def samples(self, captions: Sequence[str], random_seed: int) -> Tensor:
        """[n, 3, 128, 128], a picture per caption, in [0, 1]."""
        return generate(self.pipeline, captions, random_seed, *self.defaults).clamp(0, 1)

    def judge(self, pictures: Tensor, asked: Sequence[int]) -> dict[str, float]:
        """Scores of pictures [n, 3, 128, 128] by the pictures of the album that they should be."""
        found = features_of(pictures, self.network)
        scores = score(nearest(found.local, self.features.local), asked, self.album.shown)
        # Of the last layer, too: it hardly sees tones, and the autoencoder alone already changes what it finds.
        pooled = score(nearest(found.pooled, self.features.pooled), asked, self.album.shown)
        return scores | {"top1_pooled": pooled["top1"], "concept_pooled": pooled["concept"]}

    @torch.no_grad()
    def decoded(self, chosen: Tensor) -> Tensor:
        """[n, 3, 128, 128], pictures of the album after encoding and decoding, in [0, 1]."""
        chunks = [self.pipeline.vae(x.float() / 127.5 - 1).sample for x in self.album.pictures[chosen].split(50)]
        return (torch.cat(chunks).clamp(-1, 1) + 1) / 2


def gather(config: EmojiFidelityConfig) -> Material:
    """The model and the pictures of its training, with their features, which takes a minute.

    Raises:
        ConfigError: the album is missing, or not the one that the model was trained on.
    """
    folder, path = find_folder(config.model), Path(config.album)
    if not path.is_file():
        raise ConfigError(f"album: {path} is not there; `gainnet train emoji --out runs/emoji` draws it first")
    album = Album.kept(path, path.parent)
    trained = read_json((folder / "trained.json").read_bytes(), "model")
    if trained.get("album_sha256") != album.sha256:
        raise ConfigError(f"album: {path} is not what {config.model!r} was trained on; draw it with the same versions")
    model = load_model(config.model)
    wordings = read_wordings(folder / WORDINGS)
    network = load_features()
    defaults = model.denoiser.num_steps, model.denoiser.guidance_scale
    return Material(model.pipeline, defaults, album, wordings, network, features_of(album.pictures, network))


def open_methods(config: EmojiFidelityConfig) -> Mapping[str, Method]:
    """Methods of the study, on a model that is loaded once."""
    material = gather(config)
    album = material.album

    def names(case: Case, random: Random) -> Row:
        asked = ask(album, material.wordings, case.method == "held_out", case.count("num_items"), case.random_seed)
        return material.judge(material.samples(asked.captions, case.random_seed), asked.pictures)

    def autoencoder(case: Case, random: Random) -> Row:
        asked = ask(album, material.wordings, False, case.count("num_items"), case.random_seed)
        scores = material.judge(material.decoded(torch.tensor(asked.pictures)), asked.pictures)
        return scores | _psnr(material, case.count("num_items"))

    def distance(case: Case, random: Random) -> Row:
        one, other = halves(len(album.pictures), case.count("num_items"), case.random_seed)
        captions = [material.wordings[k].own() for k in one.tolist()]
        samples = features_of(material.samples(captions, case.random_seed), material.network).pooled
        pooled = material.features.pooled
        return {
            "frechet_distance_samples": frechet_distance(samples, pooled[other], pooled),
            "frechet_distance_pictures": frechet_distance(pooled[one], pooled[other], pooled),
        }

    def gallery(case: Case, random: Random) -> Row:
        item = case.count("item")
        asked = ask(album, material.wordings, case.text("half") == "held_out", item + 1, case.random_seed)
        sample = material.samples(asked.captions[item:], RANDOM_SEEDS_APART * case.random_seed + item)
        first = int(nearest(features_of(sample, material.network).local, material.features.local)[0, 0])
        return gallery_row(
            asked.captions[item], sample[0], album.names[first][0], album.pictures[first], first == asked.pictures[item]
        )

    found = {"seen": names, "held_out": names, "autoencoder": autoencoder, "distance": distance, "gallery": gallery}
    return {name: method for name, method in found.items() if name in config.methods}


def _psnr(material: Material, number: int) -> dict[str, float]:
    """PSNR in dB of the mean error over pictures that the autoencoder was trained on, and over those kept out of it."""
    held_out = [outside_autoencoder(shown) for shown in material.album.shown]
    found = {}
    for name, among in (("seen", False), ("held_out", True)):
        chosen = torch.tensor([k for k, out in enumerate(held_out) if out is among])
        # Spread over the whole album, which lists alike pictures side by side.
        chosen = chosen[:: max(1, len(chosen) // number)]
        error = material.decoded(chosen) - material.album.pictures[chosen] / 255
        found[f"psnr_db_{name}"] = psnr_db(float(error.square().mean()))
    return found


def identity(config: EmojiFidelityConfig) -> Mapping[str, str]:
    """sha256 of the model, whose record names the pictures that it was trained on."""
    return picture_digests(config.model)


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over the random seeds."""
    means = {method: rows.mean(numeric_only=True) for method, rows in table.groupby("method")}
    columns = {f"{name}.{method}": (method, name) for method in METHODS[:3] for name in SCORES}
    for half in ("seen", "held_out"):
        columns[f"autoencoder_psnr_db.{half}"] = "autoencoder", f"psnr_db_{half}"
    for kind in ("samples", "pictures"):
        columns[f"frechet_distance.{kind}"] = "distance", f"frechet_distance_{kind}"
    known = {key: means[method].get(name) for key, (method, name) in columns.items() if method in means}
    return round_metrics(known, 6)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Scores of seen names and held-out compositions, beside those of pictures that were only encoded and decoded.

    And samples, each beside the picture of the training that is nearest to it.
    """
    if "gallery" in set(table["method"]):
        yield "emoji_gallery", draw_gallery(table[table["method"] == "gallery"])
    methods = present(table, "method", METHODS[:3])
    if not methods:
        return
    note = "Nearest of all pictures by features of EfficientNet-Lite0, third stage in 8 x 8 cells."
    figure, (ax,) = panels(1, 1, "Is the nearest emoji the one that was asked for?", note)
    names = tuple(LABELS)
    for place, method in enumerate(methods):
        values = [float(at(table, method=method)[name].mean()) for name in names]
        left = [x + 0.25 * (place - 1) for x in range(len(names))]
        ax.bar(left, values, 0.24, color=(BLUE, SKY, GREY)[METHODS.index(method)], label=BARS[method])
    ax.set_xticks(range(len(names)), list(LABELS.values()))
    ax.set(ylabel="share of captions", ylim=(0, 1))
    legend_below([ax], 3)
    yield "emoji_fidelity", figure


EMOJI_FIDELITY = Study(
    "emoji-fidelity", EmojiFidelityConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
