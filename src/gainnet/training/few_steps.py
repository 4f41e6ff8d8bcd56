"""Distilling a guided sampler of many steps into a denoiser of the same size that takes a few."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.precision import half_precision
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import Checkpoint
from gainnet.core.run.loop import silent
from gainnet.core.text import tensor_to_text, text_to_tensor
from gainnet.models.denoising import with_denoiser
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.models.vocabulary import VOCABULARY, read_vocabulary
from gainnet.training.autoencoder import torch_stream
from gainnet.training.denoiser import build_scheduler, draw_items, plain_attention
from gainnet.training.export import write_pipeline
from gainnet.training.loop import Progress, Stage, Training, open_training
from gainnet.training.muon import muon_and_adamw
from gainnet.training.text_encoder import tokens_of

NAME, KIND = "student", "scenes_fast"
RANDOM_SEED = 2028
"""The random seed of the shipped weights."""
NUMS_PASSES = (1, 2, 4)
"""Numbers of passes that the student is trained for, all with the same weights."""
GENERATION = {"num_inference_steps": 2, "guidance_scale": 1.0, "height": 128, "width": 128}
SHARD_SIZE = 40
FIRST_RANDOM_SEED = 3 << 40
"""Of the noise of training pairs; studies and users draw theirs far below."""
PEAK_RATES = (2e-4, 7e-5)
"""Of kernels by Muon, and of everything else by AdamW."""
STEPS_WORTH_COMPILING = 500
"""Compiling takes as long as a hundred steps, and takes a quarter off each."""


@final
@dataclass(frozen=True)
class FewSteps:
    """How long the student trains, and on how much.

    Args:
        steps: of training.
        batch_size: pairs per step.
        window: shards of 40 pairs each, the latest, that a step draws from.
        shards: in all; a pair is met about `steps * batch_size / (40 * shards)` times, three by default.
        checkpoint_every: steps between checkpoints.
    """

    steps: int = 2000
    batch_size: int = 24
    window: int = 60
    shards: int = 400
    checkpoint_every: int = 100


PRESETS = {"default": FewSteps(), "tiny": FewSteps(4, 2, 1, 2, 2)}
"""Name -> how much training: `default` makes the shipped weights, `tiny` only shows that everything runs."""


@final
class Pairs:
    r"""Noise, caption and the latent that the teacher makes of them, in shards that are made when they are asked for.

    Pairs that are met again and again are soon known by heart, and making one takes about twice as long as learning
    from it. So a pair is met about three times, soon after it was made, and then left.

    Args:
        teacher: guided, with all its steps.
        folder: of the shards.
        random_seed: of captions and noise.
    """

    def __init__(self, teacher: DiffusionModel, folder: Path, random_seed: int) -> None:
        self._teacher, self._folder, self._random_seed = teacher, folder, random_seed
        self._shards: dict[int, tuple[Tensor, Tensor, list[str]]] = {}

    def draw(self, shards: range, num_pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor, list[str]]:
        """Noise and latents [num_pairs, *latent] with their captions, of pairs in some shards.

        Args:
            shards: to choose from; those that are not there yet are made.
            num_pairs: to choose, with replacement.
            generator: chooses.
        """
        self._shards = {k: self._shards.get(k) or self.shard(k) for k in shards}
        found = [divmod(int(k), SHARD_SIZE) for k in draw_items(len(shards) * SHARD_SIZE, num_pairs, generator)]
        chosen = [(self._shards[shards[s]], k) for s, k in found]
        noise = torch.stack([shard[0][k] for shard, k in chosen]).float()
        latents = torch.stack([shard[1][k] for shard, k in chosen]).float()
        return noise, latents, [shard[2][k] for shard, k in chosen]

    def shard(self, number: int) -> tuple[Tensor, Tensor, list[str]]:
        """Noise and latents [40, *latent] in half precision with their captions, of a shard; made once."""
        settings = {"model_sha256": self._teacher.sha256, "random_seed": self._random_seed, "shard": number}
        checkpoint = Checkpoint(self._folder / f"{number:04d}.safetensors", settings)
        if (found := checkpoint.read()) is None:
            found = {}, self._make(number)
            checkpoint.write(*found)
        tensors = found[1]
        # The noise is drawn again in a moment, and would be half of the file.
        return self._noise(number)["latent"].half(), tensors["latent"], tensor_to_text(tensors["prompt"])

    def _random(self, number: int) -> Random:
        first = FIRST_RANDOM_SEED + (self._random_seed << 30) + number * SHARD_SIZE
        return Random.of(range(first, first + SHARD_SIZE))

    def _noise(self, number: int) -> dict[str, Tensor]:
        return dict(self._teacher.prior({}, self._random(number)))

    @torch.no_grad()
    def _make(self, number: int) -> dict[str, Tensor]:
        random, prompts = self._random(number), captions_of(self._random_seed, number)
        tensors = self._noise(number) | {"prompt": text_to_tensor(prompts)}
        with half_precision(torch.device("cpu")):
            tensors |= self._teacher.text_encoder(tensors, random)
            latents = self._teacher.denoiser(tensors, random)["latent"]
        return {"latent": latents.half(), "prompt": tensors["prompt"]}


def captions_of(random_seed: int, shard: int) -> list[str]:
    """The 40 captions of a shard of training pairs."""
    scenes = draw_scenes(SHARD_SIZE, stream(random_seed, "few steps scenes", shard))
    return write_captions(scenes, stream(random_seed, "few steps captions", shard))


def training_captions(random_seed: int, steps: FewSteps) -> set[str]:
    """All captions of a training; nothing else of a student's pairs is seen twice."""
    return {caption for shard in range(steps.shards) for caption in captions_of(random_seed, shard)}


def amplitudes(num_passes: int) -> Iterator[tuple[int, tuple[float, float], tuple[float, float]]]:
    """Timestep of each pass of a sampler, with the amplitudes of signal and noise before and after the pass.

    Args:
        num_passes: of the sampler, at least 1.

    >>> [(t, round(before[0], 2), round(after[0], 2)) for t, before, after in amplitudes(2)]
    [(999, 0.0, 0.49), (499, 0.49, 1.0)]
    """
    scheduler: Any = build_scheduler()
    scheduler.set_timesteps(num_passes)
    alphas = scheduler.alphas_cumprod
    levels = [(float(alphas[t].sqrt()), float((1 - alphas[t]).sqrt())) for t in scheduler.timesteps]
    for timestep, (before, after) in zip(scheduler.timesteps, pairwise([*levels, (1.0, 0.0)]), strict=True):
        yield int(timestep), before, after


def fast(network: nn.Module, steps: FewSteps) -> nn.Module:
    """A network in the order of memory that half precision likes, compiled where that pays; the weights are shared.

    Args:
        network: a U-Net, moved in place.
        steps: how much training; a short one, or a machine without a compiler, runs the network as it is.
    """
    network = cast(Any, plain_attention(network)).to(memory_format=torch.channels_last)
    if steps.steps < STEPS_WORTH_COMPILING or not any(map(shutil.which, ("g++", "clang++"))):
        return network
    return compiled(network)


def compiled(network: nn.Module) -> nn.Module:
    """A U-Net of diffusers, compiled but for its upsamplers; the weights are shared."""
    from diffusers.models.upsampling import Upsample2D

    for part in network.modules():
        if isinstance(part, Upsample2D):
            # Compiled, they pass no gradient on (torch 2.13), and most layers would stand still.
            cast(Any, part).forward = torch.compiler.disable(part.forward)
    return cast(nn.Module, torch.compile(network))


def distillation_stage(student: nn.Module, teacher: DiffusionModel, pairs: Pairs, seed: int, steps: FewSteps) -> Stage:
    r"""A student that makes the teacher's latent from the same noise and caption, in 1, 2 or 4 passes.

    A pass is a DDIM step with a velocity, $\hat z_0 = \alpha_t z_t - \sigma_t v_\theta(z_t, t)$ and
    $z_s = \alpha_s \hat z_0 + \sigma_s \hat\epsilon$; with $n$ passes the last $\hat z_0$ is $\hat z^{(n)}$.
    The loss is $\sum_n \overline{\ln \lVert \hat z^{(n)} - z \rVert^2}$, where gradients go through all passes:
    later passes mend what earlier ones left open, which no training pass by pass teaches. The logarithm of each
    picture's error is what a mean PSNR is made of: it weighs all numbers of passes alike, though the error of one pass
    is many times that of four, and keeps the few pictures whose things move from outweighing all others.
    A step takes $n = 1$ and, in turn, 2 or 4: that is three passes a step where all numbers at once would be five.

    Args:
        student: starts with the teacher's weights; guidance is learned into it.
        teacher: whose text encoder reads the captions.
        pairs: of the teacher.
        seed: of what each step draws.
        steps: how much training.
    """
    network, cpu = fast(student, steps), torch.device("cpu")
    times = {n: list(amplitudes(n)) for n in NUMS_PASSES}
    tokenizer, text_encoder = teacher.pipeline.tokenizer, teacher.pipeline.text_encoder

    def sampled(noise: Tensor, hidden: Tensor, first: Tensor, num_passes: int) -> Tensor:
        z, clean, velocity = noise, noise, first
        for k, (timestep, (alpha, sigma), (next_alpha, next_sigma)) in enumerate(times[num_passes]):
            if k > 0:
                velocity = predict(z, timestep, hidden)
            clean = alpha * z - sigma * velocity
            z = next_alpha * clean + next_sigma * (sigma * z + alpha * velocity)
        return clean

    def predict(z: Tensor, timestep: int, hidden: Tensor) -> Tensor:
        at, z = torch.full((len(z),), timestep), z.contiguous(memory_format=torch.channels_last)
        return cast(Tensor, network(z, at, hidden, return_dict=False)[0]).float()

    def loss(step: int) -> Tensor:
        generator = torch_stream(seed, NAME, step)
        latest = steps.window + (steps.shards - steps.window) * step // max(1, steps.steps - 1)
        shards = range(latest - steps.window, latest)
        noise, latents, captions = pairs.draw(shards, steps.batch_size, generator)
        with half_precision(cpu):
            with torch.no_grad():
                hidden = text_encoder(tokens_of(tokenizer, captions)).last_hidden_state
            # All samplers begin with the same pass over pure noise.
            first = predict(noise, times[1][0][0], hidden)
            nums_passes = NUMS_PASSES[0], NUMS_PASSES[1 + step % 2]
            errors = [(sampled(noise, hidden, first, n) - latents).square().flatten(1).mean(1) for n in nums_passes]
        return torch.stack(errors).log().mean(1).sum()

    own: Any = student
    optimizers = muon_and_adamw(student, (own.conv_in, own.conv_out, own.time_embedding))
    return Stage(NAME, steps.steps, student, optimizers, PEAK_RATES, 0.999, loss)


def train_few_steps(
    out: Path,
    teacher: str = "scenes",
    random_seed: int = RANDOM_SEED,
    steps: FewSteps = PRESETS["default"],
    progress: Progress = silent,
) -> Path:
    """The folder of a student of the scenes model, `out/scenes_fast`; goes on where it was stopped.

    Its text encoder and autoencoder are the teacher's, so seeds and codecs of the teacher serve it, too.

    Args:
        out: where pairs, checkpoints and weights are written; outside of the package.
        teacher: `scenes`, or a folder as `train_scenes` writes it.
        random_seed: of captions, noise and batches.
        steps: how much training, see `PRESETS`.
        progress: receives (stage, steps taken, steps in all, mean loss).

    Raises:
        ConfigError: `out` lies in the package or holds another run, or the teacher samples in another way.
        ModelError: the teacher is not there or damaged.
    """
    folder, model = find_folder(teacher), load_model(teacher)
    if not (folder / "unet").is_dir():
        raise ModelError(f"teacher: {teacher} is stored as a difference to its own teacher; give that one, or scenes")
    _check_sampler(model)
    settings = {"random_seed": random_seed, "steps": asdict(steps), "teacher_sha256": model.sha256}
    with open_training(out, out / "stages", settings, steps.checkpoint_every, progress) as training, _quiet_compiler():
        return _train(training, model, folder, out, random_seed, steps)


@contextmanager
def _quiet_compiler() -> Iterator[None]:
    with warnings.catch_warnings():
        # It tells how diffusers is written, which nobody who trains can change.
        warnings.filterwarnings("ignore", "Dynamo detected", UserWarning)
        yield


def _train(
    training: Training, model: DiffusionModel, folder: Path, out: Path, random_seed: int, steps: FewSteps
) -> Path:
    from diffusers import UNet2DConditionModel

    student = cast(Any, UNet2DConditionModel).from_pretrained(folder / "unet", local_files_only=True).float()
    pairs = Pairs(with_denoiser(model, fast(model.pipeline.unet, steps)), out / "pairs", random_seed)
    training.train(distillation_stage(student, model, pairs, random_seed, steps))
    trained = {**training.settings, "cpu_s": round(training.cpu_s[NAME])}
    pipeline, vocabulary = model.pipeline, read_vocabulary(folder)
    networks = pipeline.vae, pipeline.text_encoder, pipeline.tokenizer, student
    files = {} if vocabulary is None else {VOCABULARY: vocabulary.to_json()}
    return write_pipeline(*networks, KIND, GENERATION, trained, out / KIND, files)


def _check_sampler(model: DiffusionModel) -> None:
    own, ours = model.pipeline.scheduler, cast(Any, build_scheduler())
    # Entries with an underscore say who wrote the file, not how it samples.
    kept = [{name: x for name, x in sampler.config.items() if name[0] != "_"} for sampler in (own, ours)]
    if type(own) is not type(ours) or kept[0] != kept[1]:
        raise ConfigError("teacher: its sampler is not that of the scenes model; give scenes or a folder like it")


def captions_seen(trained: Mapping[str, Any]) -> set[str]:
    """All captions that a student was trained on, from the `trained.json` of its folder."""
    return training_captions(trained["random_seed"], FewSteps(**trained["steps"]))
