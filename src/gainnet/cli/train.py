"""Training of models and codes: `train scenes | seed-basis | language | ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from gainnet.cli.generate import read_prompts
from gainnet.cli.options import command
from gainnet.cli.printing import progress, training_progress
from gainnet.core.errors import ConfigError, check_name

Preset = Literal["default", "tiny"]
"""How thoroughly a model is trained."""


@command("scenes")
def scenes(
    *,
    out: Path,
    preset: Preset = "default",
    random_seed: int = 2026,
    hold_out: tuple[str, ...] = (),
    torch_device: str | None = None,
) -> None:
    """Train the scenes model: data, autoencoder, text encoder, denoiser, classifier. Goes on where it was stopped.

    Args:
        out: folder for checkpoints and weights.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of data, weights and noise.
        hold_out: a pair that the denoiser never sees, e.g. 'red star'; give it again for more.
        torch_device: where to train; a GPU where there is one.

    Example:
        gainnet train scenes --preset tiny --out out/scenes
    """
    pairs = [_words(pair) for pair in hold_out]
    from gainnet.models.loading import torch_device_of
    from gainnet.training.scenes import PRESETS, train_scenes

    device = None if torch_device is None else torch_device_of(torch_device)
    with training_progress() as show:
        typer.echo(train_scenes(out, random_seed, PRESETS[preset], pairs, show, device))


@command("emoji")
def emoji(
    *,
    source: Path,
    out: Path,
    preset: Preset = "default",
    random_seed: int = 2027,
    torch_device: str | None = None,
) -> None:
    """Train the emoji model: pictures, autoencoder, text encoder, denoiser. Goes on where it was stopped.

    Args:
        source: folder with icons.json and chars.json of npm's @iconify-json/noto 1.2.9 and annotations.json (English)
            of cldr-annotations-full 48.2.0.
        out: folder for pictures, checkpoints and weights.
        preset: default makes the weights that are shipped, tiny tries the code.
        random_seed: of data, weights and noise.
        torch_device: where to train; a GPU where there is one.

    Example:
        gainnet train emoji --source noto --preset tiny --out out/emoji
    """
    from gainnet.models.loading import torch_device_of
    from gainnet.training.emoji import PRESETS, read_emoji, train_emoji

    device = None if torch_device is None else torch_device_of(torch_device)
    with training_progress() as show:
        typer.echo(train_emoji(*read_emoji(source, out, show), out, random_seed, PRESETS[preset], show, device))


@command("few-steps")
def few_steps(
    *, out: Path, teacher: str = "scenes", preset: Preset = "default", random_seed: int = 2028, install: bool = False
) -> None:
    """Train a student of the scenes model that takes 1, 2 or 4 passes, not 20. Goes on where it was stopped.

    Args:
        out: folder for pairs, checkpoints and weights.
        teacher: scenes, or a folder that `train scenes` wrote.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of captions, noise and batches.
        install: keeps it as the fast model of its teacher, with which draft(form=fast) and studies find it.

    Example:
        gainnet train few-steps --preset tiny --out out/student
    """
    from gainnet.models.students import install_student
    from gainnet.training.few_steps import PRESETS, train_few_steps

    with training_progress() as show:
        folder = train_few_steps(out, teacher, random_seed, PRESETS[preset], show)
    typer.echo(folder)
    if install:
        typer.echo(f"installed in {install_student(folder)}")


@command("checker")
def checker(*, out: Path, preset: Preset = "default", random_seed: int = 4711) -> None:
    """Train the network that an edge checks its pictures with before it sends one. Goes on where it was stopped.

    Args:
        out: folder for checkpoints and weights.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of data, weights and noise.

    Example:
        gainnet train checker --preset tiny --out out/checker
    """
    from gainnet.training.checker import PRESETS, train_checker

    with training_progress() as show:
        typer.echo(train_checker(out, random_seed, PRESETS[preset], show))


@command("seed-basis")
def seed_basis(
    *, out: Path, model: str = "scenes", num_latents: int = 2000, random_seed: int = 0, prompts: Path | None = None
) -> None:
    """Learn the principal components of a model's latents, for the codecs linear and digital of seeds.

    Args:
        out: folder for the weights.
        model: scenes, a folder in diffusers' format, or a hub id in the local cache.
        num_latents: latents that the denoiser makes.
        random_seed: random seed of the first picture.
        prompts: a file with one prompt per line to generate latents from; when left out, captions of scenes or names of
            emoji for a model that was trained on them, and any other one needs a file.

    Example:
        gainnet train seed-basis --out out/basis
    """
    from gainnet.training.seed_basis import check_basis, train_seed_basis
    from gainnet.training.seed_sources import open_captioned

    check_basis(out, num_latents, random_seed=random_seed)
    source = open_captioned(model, None if prompts is None else read_prompts(None, prompts))
    with progress("seed-basis") as show:
        num_renders = 12000 if model == "scenes" and prompts is None else 0
        train_seed_basis(
            source, out, num_latents, num_renders, random_seed, progress=lambda n, total: show(n, total, "latents")
        )
    typer.echo(out)


@command("seed-codec")
def seed_codec(
    *,
    out: Path,
    model: str = "scenes",
    preset: Preset = "default",
    random_seed: int = 0,
    prompts: Path | None = None,
    pictures: Path | None = None,
    code: tuple[str, ...] = (),
    num_latents: int | None = None,
    effort: float = 1.0,
    torch_device: str = "cpu",
) -> None:
    """Learn to send a model's latents over the air: one codec for every size and SNR. Goes on where it was stopped.

    With prompts or pictures of yours, and for the emoji model, all three codes of a seed are learned (linear, seed,
    transform) and installed under the digest of the model, where `--codec seed=linear` and the others find them.

    Args:
        out: folder for latents, checkpoints and weights.
        model: scenes, a folder in diffusers' format, or a hub id in the local cache; with pictures also a folder of a
            tiny autoencoder.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of weights, batches, channels and noise.
        prompts: a file with one prompt per line to generate latents from.
        pictures: a folder of pictures to encode; those larger than the model's are cut into tiles.
        code: linear, seed or transform; again for more; all when left out. With prompts or pictures.
        num_latents: how many to learn from; 2000, or as many tiles as the pictures give, when left out.
        effort: share of the steps of the preset. With prompts or pictures.
        torch_device: where model and codes compute: cpu, cuda or mps.

    Example:
        gainnet train seed-codec --preset tiny --out out/seed
    """
    from gainnet.training.own_seeds import CODES, NUM_LATENTS, OwnTraining, train_own_seeds
    from gainnet.training.seed_codec import PRESETS, train_seed_codec
    from gainnet.training.seed_sources import Captioned, open_source

    for each in code:
        check_name("code", each, CODES)
    lines = None if prompts is None else read_prompts(None, prompts)
    source = open_source(model, lines, pictures, torch_device)
    is_own = not isinstance(source, Captioned)
    if not is_own and (code or num_latents is not None or effort != 1.0):
        raise ConfigError("prompts: give --prompts FILE or --pictures FOLDER with --code, --num-latents or --effort")
    training = OwnTraining(NUM_LATENTS if num_latents is None else num_latents, effort, preset)
    with training_progress() as show:
        if is_own:
            places = train_own_seeds(source, out, training, code or CODES, random_seed, show)
        else:
            train_seed_codec(source, out, PRESETS[preset], random_seed, show)
    typer.echo(out)
    for name, place in places.items() if is_own else ():
        typer.echo(f"seed={name}: installed in {place}")


@command("transform-seed")
def transform_seed(*, out: Path, model: str = "scenes", preset: Preset = "default", random_seed: int = 0) -> None:
    """Learn to code a model's latents in few bytes: transform and entropy model. Goes on where it was stopped.

    Args:
        out: folder for latents, checkpoints and weights.
        model: scenes, a folder in diffusers' format, or a hub id in the local cache.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of weights, batches, qualities and noise.

    Example:
        gainnet train transform-seed --preset tiny --out out/transform
    """
    from gainnet.training.seed_sources import open_source
    from gainnet.training.transform_seed import PRESETS, train_transform_seed

    with training_progress() as show:
        train_transform_seed(open_source(model), out, PRESETS[preset], random_seed, show)
    typer.echo(out)


@command("correction")
def correction(
    *,
    out: Path,
    model: str = "scenes",
    preset: Preset = "default",
    random_seed: int = 2028,
    fast: tuple[int, ...] = (),
) -> None:
    """Fit drafts of few passes, and learn to code what they lack of the finished latent. Goes on where it was stopped.

    Args:
        out: folder for pairs, drafts, checkpoints and weights.
        model: scenes, or a folder of a model for which transform-seed was trained.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of captions, noise and batches.
        fast: passes of the fast model whose drafts are corrected, too; again for more, 8 drafts in all.

    Example:
        gainnet train correction --preset tiny --out out/correction
    """
    from gainnet.training.correction import PRESETS, train_correction, with_fast

    with training_progress() as show:
        train_correction(model, out, with_fast(PRESETS[preset], fast), random_seed, show)
    typer.echo(out)


@command("through-channel")
def through_channel(
    *, out: Path, model: str = "scenes", preset: Preset = "default", random_seed: int = 2028, name: str | None = None
) -> None:
    """Fine-tune the decoder through fading and noise, and a control without a channel. Goes on where it was stopped.

    Args:
        out: folder for pairs, checkpoints and the two decoders, air and control.
        model: scenes, or a folder of a model with a linear code.
        preset: default makes the published weights, tiny tries the code.
        random_seed: of captions, noise, SNRs and fading.
        name: installs air under this name and the control under NAME-control, which must not stand for other weights.

    Example:
        gainnet train through-channel --preset tiny --out out/decoder
    """
    from gainnet.models.decoders import install_decoder
    from gainnet.training.through_channel import PRESETS, installed_name, train_through_channel

    with training_progress() as show:
        digests = train_through_channel(out, model, random_seed, PRESETS[preset], show)
    for arm, sha256 in digests.items():
        typer.echo(f"{out / arm}: {sha256}")
        if name is not None:
            typer.echo(f"installed in {install_decoder(out / arm, installed_name(name, arm))}")


@command("decision-table")
def decision_table(
    *, out: Path, model: str = "scenes", preset: Preset = "default", random_seed: int = 0, install: bool = False
) -> None:
    """Measure what every configuration sends and how good its pictures are: the table that decisions are made from.

    Args:
        out: folder for table.json.
        model: of the pictures.
        preset: default makes the shipped table, tiny tries the code.
        random_seed: of captions, noise and fading.
        install: lets decisions of this user be made by it, in the place of the shipped table.

    Example:
        gainnet train decision-table --preset tiny --out out/decisions
    """
    from gainnet.generation.decision.table import install_table
    from gainnet.studies.decision.measuring import PRESETS, measure

    with progress("decision table") as show:
        typer.echo(f"{out / 'table.json'}: {measure(out, model, random_seed, PRESETS[preset], show)}")
    if install:
        typer.echo(f"installed in {install_table(out / 'table.json')}")


@command("language")
def language(*, out: Path, preset: Preset = "default", random_seed: int = 0, texts: Path | None = None) -> None:
    """Train the small language model on public text, or on texts of yours. Goes on where it was stopped.

    Args:
        out: folder for checkpoints and model.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of text, weights and mini-batches.
        texts: file of texts as `gainnet learn` takes it, in the place of the public ones.

    Example:
        gainnet train language --preset tiny --out out/language
    """
    from gainnet.training.language import PRESETS, OwnTexts, train_language

    own = None
    if texts is not None:
        from gainnet.catalog.learning import read_texts

        kinds, test = read_texts(texts)
        own = OwnTexts([text for kind in kinds for text in kind], test)
    with training_progress() as show:
        trained = train_language(out, random_seed, PRESETS[preset], show, own)
    typer.echo(f"{out}: {trained['test_loss']} nats per token")


@command("summaries")
def summaries(*, out: Path, preset: Preset = "default", random_seed: int = 0) -> None:
    """Train the edge-end model and the clouds that write conclusions of trials. Goes on where it was stopped.

    Args:
        out: folder for checkpoints and the models.
        preset: default makes the shipped weights, tiny tries the code.
        random_seed: of fields, text, weights and mini-batches.

    Example:
        gainnet train summaries --preset tiny --out out/summaries
    """
    from gainnet.training.summaries import PRESETS, train_summaries

    with training_progress() as show:
        trained = train_summaries(out, random_seed, PRESETS[preset], show)
    typer.echo(f"{out}: {trained['num_parameters']} parameters after {trained['cpu_s']} s of processor time")


def _words(pair: str) -> tuple[str, str]:
    colour, _, shape = pair.partition(" ")
    if not (colour and shape):
        raise ConfigError(f"hold_out: {pair!r} is not a colour and a shape; write for example --hold-out 'red star'")
    return colour, shape


commands = (
    scenes, emoji, few_steps, checker, seed_basis, seed_codec, transform_seed, correction, through_channel,
    decision_table, language, summaries,
)  # fmt: skip
