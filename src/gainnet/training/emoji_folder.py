"""The files of the emoji model beside its networks: its words, its captions, what was held out, card and notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

from safetensors.torch import save
from torch import Tensor, nn

from gainnet.models import emoji
from gainnet.models.emoji.album import Album
from gainnet.models.emoji.captions import WORDINGS, Wording, wordings_as_json
from gainnet.models.emoji.judge import JUDGE, EmojiJudge
from gainnet.models.emoji.names import outside_autoencoder, outside_denoiser
from gainnet.models.emoji.words import caption_words
from gainnet.models.vocabulary import VOCABULARY, Vocabulary

DOMAIN: Final = "Noto's emoji on white, by their English names, with skin tones"
HELD_OUT: Final = "held_out.json"
CARD, NOTICE = "README.md", "NOTICE.txt"
_FRAME = Template(Path(__file__).with_name("emoji_card.md").read_text(encoding="utf-8"))


def held_out(album: Album) -> dict[str, list[str]]:
    """Names that training never saw: of `compositions` the denoiser, of `concepts` the autoencoder.

    Args:
        album: all pictures.
    """
    pairs = list(zip(album.names, album.shown, strict=True))
    return {
        "compositions": sorted(own[0] for own, shown in pairs if outside_denoiser(shown)),
        "concepts": sorted({shown.concept for _, shown in pairs if outside_autoencoder(shown)}),
    }


def emoji_files(
    album: Album,
    wordings: Sequence[Wording],
    latents: Tensor,
    trained: Mapping[str, Any],
    figures: Sequence[Mapping[str, Any]],
    networks: tuple[nn.Module, nn.Module, Any, nn.Module],
) -> dict[str, Any]:
    """Content of every further file of the model's folder by name: a text, what JSON holds, or bytes.

    Args:
        album: all pictures.
        wordings: what each may be called.
        latents: [n, c, h, w], of all pictures.
        trained: settings, PSNR and processor time, the content of `trained.json`.
        figures: that were taken while it trained, in the order of their steps.
        networks: autoencoder, text encoder, tokenizer and denoiser.
    """
    vocabulary = Vocabulary(DOMAIN, frozenset(caption_words(wordings)))
    return {
        WORDINGS: wordings_as_json(wordings),
        VOCABULARY: vocabulary.to_json(),
        HELD_OUT: held_out(album),
        JUDGE: save(EmojiJudge.of(latents, wordings).tensors()),
        CARD: card(album, vocabulary, trained, figures, networks),
        NOTICE: (Path(emoji.__file__).with_name(NOTICE)).read_text(encoding="utf-8"),
    }


def card(
    album: Album,
    vocabulary: Vocabulary,
    trained: Mapping[str, Any],
    figures: Sequence[Mapping[str, Any]],
    networks: tuple[nn.Module, Any, Any, nn.Module],
) -> str:
    """The model's card: what it is, its source and licences, what it knows, what was held out, training, limits."""
    autoencoder, text_encoder, _, denoiser = networks
    steps, kept_out, cpu_s = trained["steps"], held_out(album), trained["cpu_s"]
    return _FRAME.substitute(
        vae=_millions(autoencoder),
        text_encoder=_millions(text_encoder),
        unet=_millions(denoiser),
        text_layers=steps["text_encoder_layers"],
        hidden_size=steps["hidden_size"],
        denoiser_channels=tuple(steps["denoiser_channels"]),
        num_words=f"{len(vocabulary.words):,}",
        num_pictures=f"{len(album.pictures):,}",
        album_sha256=trained["album_sha256"],
        num_compositions=len(kept_out["compositions"]),
        num_concepts=len(kept_out["concepts"]),
        num_kept_out=sum(outside_autoencoder(shown) for shown in album.shown),
        random_seed=trained["random_seed"],
        cpu_s=f"{sum(cpu_s.values()):,.0f}",
        stages="\n".join(_stages(steps, cpu_s)),
        seen_db=f"{trained['psnr_db']['seen']:.2f}",
        held_out_db=f"{trained['psnr_db']['held_out']:.2f}",
        figures=_figures(figures),
    )


def _millions(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.2f} M"


def _stages(steps: Mapping[str, Any], cpu_s: Mapping[str, float]) -> list[str]:
    first = steps["autoencoder"]
    made = {
        "autoencoder": (
            "autoencoder, whole, from that of the scenes (Muon; noise on half of the latents)", first["joint"],
            first["batch_size"],
        ),
        "decoder": ("its decoder alone", first["decoder"], first["batch_size"]),
        "text_encoder": (
            "text encoder, to predict the principal components of the latents", steps["text_encoder"],
            steps["text_encoder_batch_size"],
        ),
        "denoiser": (
            f"denoiser with the text encoder at half its rate, which falls over {steps['denoiser']:,} steps",
            steps["denoiser_stop"], steps["denoiser_batch_size"],
        ),
    }  # fmt: skip
    return [f"| {what} | {number:,} x {size} | {cpu_s[name]:,.0f} |" for name, (what, number, size) in made.items()]


def _figures(figures: Sequence[Mapping[str, Any]]) -> str:
    """A table of the figures, as they were about once per hour of processor time; nothing where there are none."""
    if not figures:
        return ""
    heads = "| CPU-hours of the denoiser | loss | top-1, top-5 seen | top-1, concept, tone held out | tone by chance |"
    rows = [_figures_row(each) for each in figures]
    about = "While the denoiser trained, 60 captions each, by the nearest latent of all pictures:"
    return "\n".join(("", about, "", heads, "|---|---|---|---|---|", *rows, ""))


def _figures_row(taken: Mapping[str, Any]) -> str:
    seen, other = taken.get("seen", {}), taken.get("held_out", {})

    def shares(scores: Mapping[str, float], *names: str) -> str:
        return ", ".join(f"{scores[name]:.2f}" if name in scores else "–" for name in names)

    cells = shares(seen, "top1", "top5"), shares(other, "top1", "concept", "tone"), shares(other, "tone_chance")
    return f"| {taken['cpu_s'] / 3600:.2f} | {taken['loss']:.3f} | {' | '.join(cells)} |"
