"""Arms of the study: who trains on which pictures, each with as many samples, and what it then draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import denoiser_of, require_peft
from gainnet.learning.algorithms.methods import Lora
from gainnet.learning.clients import Client, LocalTraining, cell_of, devices_of
from gainnet.learning.runner import run_rounds
from gainnet.learning.session import Learning
from gainnet.models.denoising import TrainedDenoiser, draw_captions, fresh_draws, rows_of_pictures, with_denoiser
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.language import row_losses
from gainnet.models.loading import load_model
from gainnet.network import profile
from gainnet.radio import AnyLink, Arq, Ideal, Radios, Tabulated
from gainnet.studies.draw_together.judge import MOST_NOISE, Judge, behind_autoencoder, train_judge
from gainnet.studies.draw_together.material import Material, gather
from gainnet.studies.draw_together.question import ARMS, DrawTogetherConfig
from gainnet.studies.study import Case, Method, Row
from gainnet.studies.trained import Stopwatch, trained_columns
from gainnet.studies.weights import picture_digests

UNTRAINED: Final[Row] = {"num_steps": 0, "num_samples": 0, "measured_training_s": 0.0, "is_shorter": False}


@final
@dataclass(frozen=True, eq=False)
class Drawn:
    """Scores of an arm for all held-out captions.

    Args:
        columns: of its training.
        style: [num_captions], probability of the devices' style, by the judge.
        fidelity: one per caption.
        loss: [num_captions], of the held-out pictures in the devices' style; `None` for pictures that were drawn.
    """

    columns: Row
    style: Tensor
    fidelity: list[float]
    loss: Tensor | None = None

    def row(self, item: int) -> Row:
        """Scores of a caption."""
        style = float(self.style[item])
        loss = None if self.loss is None else float(self.loss[item])
        scores: Row = {"style": float(style > 0.5), "style_probability": style, "fidelity": self.fidelity[item]}
        return {**scores, "loss": loss, **self.columns}


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that arms share.

    Args:
        config: of the study.
        model: that learns a style.
        material: pictures and captions.
        judge: of the style.
    """

    config: DrawTogetherConfig
    model: DiffusionModel
    material: Material
    judge: Judge

    def scored(self, pictures: Tensor, columns: Row, loss: Tensor | None = None) -> Drawn:
        """Scores of pictures [num_captions, 3, height, width] in [0, 1] for the held-out captions."""
        return Drawn(columns, self.judge(pictures), self.material.fidelity(pictures, self.captions), loss)

    @property
    def captions(self) -> tuple[str, ...]:
        """Those that are held out."""
        return self.material.held_out.captions

    def as_drawn(self, style: str) -> Drawn:
        """Held-out pictures as a house drew them, behind the autoencoder."""
        pictures = getattr(self.material.held_out, style)
        random = Random.of(0).child("held out")
        return self.scored(behind_autoencoder(self.model, pictures, 0.0, random), UNTRAINED)

    def arm(self, name: str, random_seed: int) -> Drawn:
        """Scores of what a model of an arm draws, after its training."""
        denoiser, random = TrainedDenoiser(self.model), Random.of(random_seed).child("draw-together")
        own, held_out = self.material.devices, self.material.held_out
        rows = rows_of_pictures(denoiser, self.model, own.pictures, own.captions, random.child("devices"))
        # The same draws of noise for every random seed: losses of arms are compared picture by picture.
        test = rows_of_pictures(denoiser, self.model, held_out.styled, held_out.captions, Random.of(0).child("test"))
        trained: Any = denoiser
        columns = UNTRAINED
        if name != "none":
            trained, columns = self.train(name, denoiser, rows, test, random_seed)
        network = with_denoiser(self.model, denoiser_of(trained))
        pictures = draw_captions(network, self.captions, random_seed)
        return self.scored(pictures, columns, row_losses(trained, test))

    def train(
        self, name: str, denoiser: TrainedDenoiser, rows: Tensor, test: Tensor, random_seed: int
    ) -> tuple[Any, Row]:
        """(trained model, columns of its training); every arm sees as many samples in as many steps.

        Args:
            name: of the arm.
            denoiser: that is trained.
            rows: [num_rows, length], of all devices.
            test: [num_captions, length], of held-out pictures.
            random_seed: of mini-batches and draws.
        """
        config, fresh, watch = self.config, fresh_draws(denoiser, self.model), Stopwatch()
        joined = 1 if name == "federated" else config.num_devices
        learning = Learning(
            Lora(config.rank, "frozen"),
            self.network(1 if joined > 1 else config.num_devices, Ideal() if joined > 1 else None),
            LocalTraining(rate=config.rate, num_steps=config.num_steps * joined, batch_size=config.batch_size),
            random_seed=random_seed,
        )
        held = {
            "federated": rows,
            "central": rows,
            # One of the devices by itself, another one with every random seed.
            "alone": rows[random_seed % config.num_devices :: config.num_devices],
        }[name]
        clients: tuple[Client, ...] = tuple(replace(client, fresh=fresh) for client in learning.deal([held]))
        algorithm, _ = learning.bound(denoiser, rows.shape[1])
        # A handful of test rows after every round: the scores come from all of them, once, at the end.
        run = run_rounds(algorithm, clients, test[:4], config.rounds, random_seed)
        model = algorithm.model_of(run.state)
        steps = config.rounds * config.num_steps * config.num_devices
        samples = steps * config.batch_size
        columns = {**trained_columns({"adapter": model}, steps, samples, watch.cpu_s, samples)}
        bits = {name: run.report[name] for name in ("num_bits_up", "num_bits_down")}
        return model, columns | (bits if name == "federated" else {})

    def network(self, num_clients: int, link: AnyLink | None) -> Any:
        """A cell with devices over the air of the settings, or over a link that is given."""
        device, edge = profile("phone"), profile("edge_l4")
        up, down = (
            link
            or Tabulated(
                replace(self.config.air, medium=medium),
                Radios(sender.tx_power_w, receiver.rx_power_w),
                Arq(harq="none"),
            )
            for medium, sender, receiver in (("up", device, edge), ("down", edge, device))
        )
        return cell_of(devices_of(num_clients), edge, device, (up,), (down,))


def open_methods(config: DrawTogetherConfig) -> Mapping[str, Method]:
    """Arms and drawn pictures; the judge is trained once, and an arm once per random seed.

    Raises:
        ConfigError: pictures are missing or too few.
        MissingExtraError: PEFT or what draws emoji is not installed.
    """
    require_peft()
    model = load_model(config.model)
    material = gather(config, model)
    bench = Bench(config, model, material, _judge(config, model, material))

    @cache
    def drawn(method: str, random_seed: int) -> Drawn:
        return bench.arm(method, random_seed) if method in ARMS else bench.as_drawn(method)

    def row(method: str, case: Case, random: Random) -> Row:
        return drawn(method, case.random_seed if method in ARMS else 0).row(case.count("item"))

    return {method: partial(row, method) for method in config.methods}


def _judge(config: DrawTogetherConfig, model: DiffusionModel, material: Material) -> Judge:
    random, judged = Random.of(0).child("judge"), material.judged
    # As they are and disturbed, so that the judge knows neither style by the faults of the autoencoder.
    plain, styled = (
        torch.cat((x, behind_autoencoder(model, x, MOST_NOISE, random.child(name))))
        for name, x in (("plain", judged.plain), ("styled", judged.styled))
    )
    return train_judge(plain, styled, config.judge_steps, random)


def identity(config: DrawTogetherConfig) -> Mapping[str, str]:
    """sha256 of the model, and of the classifier that judges scenes."""
    return picture_digests(config.model, *(() if config.pictures else ("classifier",)))
