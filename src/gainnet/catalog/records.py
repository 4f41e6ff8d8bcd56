"""Records in texts, as the command line, TOML files and studies write them; `opening` makes objects of them.

Nothing here imports torch, so that a command can show its options at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, final

from gainnet.core.errors import ConfigError, unknown_name

IDEAL: Final = "ideal"
"""Name of an air without noise: links carry everything at once and for nothing."""
MIN_SNR_DB, MAX_SNR_DB = -60.0, 100.0
MAX_CANDIDATES: Final = 64
REGIMES: Final = ("independent", "contention")
"""Whether clients share the spectrum of the edges."""


@final
@dataclass(frozen=True)
class GenerationConfig:
    """One batch of prompts, a protocol, the air between edge and device, and the hardware that is priced.

    Args:
        prompts: one or more texts, each at most 2,048 bytes of UTF-8.
        protocol: a name that `gainnet protocols` lists, with arguments as in ciag(cut=3), or module:Class.
        snr_db: mean received Es/N0, -60 to 100 dB (E|h|^2 = 1, E|s|^2 = 1).
        fading: awgn, rayleigh, rician, jakes, tdl-a to -e, cdl-a to -e, ideal (no errors, no noise), or module:Class;
            with arguments as in rayleigh(block_length=64).
        codec: seed=raw|linear|seed|seed_prompt|digital|transform|transform_prompt|float32,
            midway=matched|raw|uniform|float32, image=webp|avif|jpeg|png|raw_pixels|float32,
            sketch=quantized|edges|analog|raw_pixels|float32, or KIND=module:Class; with arguments as in
            seed=linear(num_channel_uses=512).
        num_channel_uses: complex channel uses per picture of the content; the codec's own choice when left out.
        random_seed: of the first item; item k has `random_seed + k`.
        model: `scenes`, a folder in diffusers' format, a hub id, or `module:function` that returns a `DiffusionModel`.
        hardware: of the device, a profile or a .toml file.
        edge_hardware: of the edge, likewise.
        priced_as: model whose FLOPs and bytes are priced: `sd15`, `sdxl`, or `shipped` for the model that runs.
        bandwidth_hz: bandwidth of the link (assumed 1 MHz).
        num_steps: sampler steps; the model's own default when left out.
        guidance_scale: classifier-free guidance; the model's own default when left out.
        torch_device: where torch runs.
        runtime: what computes the networks of the model: torch, or onnx, which is faster on a processor.
        online: whether a hub id may be downloaded.
        image: a picture file of the device's, of any size, for image-to-image; text-to-image when left out.
        strength: share of the steps that change that picture, above 0 to 1.
        num_edges: edges of the cell, 1 to 16; they share the air.
        network: a .toml file of nodes, media and links instead of a cell; see `network_of`.
        cut: steps of the sampler before the hand-over; the protocol's own choice when left out.
        cooperation: how edges share one generation: `pipeline`, `guidance` or `regions`; its own choice when left out.
        num_candidates: pictures that an edge draws to choose from, 1 to 64; the protocol's own choice when left out.
        deadline_s: time after which a transfer is given up and what is missing is concealed; none when left out.
        failures: (node, index of the step before which it dies).
        trace: a .csv file with a column snr_db (or SNR) in the place of `fading`; a row is one fading block, and the
            mean SNR is the trace's own.
        report_error_db: standard deviation of the error of every SNR report to the sender.
        report_delay: fading blocks between the measurement of a report and its use.
        harq: `none` sends failed codewords anew, `ir` sends incremental redundancy.
        num_devices: devices of the cell that ask at once, 1 to 64; prompts are dealt to them in turn.
        scheduler: who gets a block: `round_robin` or `proportional_fair`.
        power: who decides the power of a fading block of symbols: ppo, sac, pathwise, replanned, mean_gain,
            fixed_multiplier, truncated_inversion, greedy, a folder of train power-control, or module:Class; constant
            when left out, which is better where a seed meets one or two fades.

    Raises:
        ConfigError: a field is out of range.

    >>> GenerationConfig(("a red star",), snr_db=5.0).protocol
    'eiug'
    """

    prompts: tuple[str, ...]
    protocol: str = "eiug"
    snr_db: float = 10.0
    fading: str = "awgn"
    codec: Mapping[str, str] = field(default_factory=dict)
    num_channel_uses: int | None = None
    random_seed: int = 0
    model: str = "scenes"
    hardware: str = "phone"
    edge_hardware: str = "edge_a100"
    priced_as: str = "sd15"
    bandwidth_hz: float = 1e6
    num_steps: int | None = None
    guidance_scale: float | None = None
    torch_device: str = "cpu"
    runtime: Literal["torch", "onnx"] = "torch"
    online: bool = False
    image: str | None = None
    strength: float | None = None
    num_edges: int = 1
    network: str | None = None
    cut: int | None = None
    cooperation: str | None = None
    num_candidates: int | None = None
    deadline_s: float | None = None
    failures: tuple[tuple[str, int], ...] = ()
    trace: str | None = None
    report_error_db: float = 0.0
    report_delay: int = 0
    harq: Literal["none", "ir"] = "none"
    num_devices: int = 1
    scheduler: str = "round_robin"
    power: str | None = None

    def __post_init__(self) -> None:
        # Numbers are checked here as well as by the objects, so that a mistake is found before a model is loaded.
        if not MIN_SNR_DB <= self.snr_db <= MAX_SNR_DB:
            raise ConfigError(f"snr_db: {self.snr_db} is outside -60 to 100 dB; --fading ideal has no noise")
        if self.strength is not None and self.image is None:
            raise ConfigError("strength: there is no picture to change; give --image FILE or leave it out")
        if self.network is not None and self.num_edges != 1:
            raise ConfigError("num_edges: the network file lists the edges; leave the number out")
        if self.num_candidates is not None and not 1 <= self.num_candidates <= MAX_CANDIDATES:
            raise ConfigError(f"num_candidates: {self.num_candidates} is outside 1 to {MAX_CANDIDATES}")
        if self.trace is not None and self.fading != "awgn":
            raise ConfigError(f"trace: it takes the place of --fading {self.fading}; give one of the two")
        if self.harq not in ("none", "ir"):
            raise ConfigError(f"harq: {self.harq!r} is unknown; choose none or ir")
        if self.runtime not in ("torch", "onnx"):
            raise ConfigError(f"runtime: {self.runtime!r} is unknown; choose torch or onnx")


@final
@dataclass(frozen=True)
class EpisodeConfig:
    """An episode in text, as the command line and files give it.

    Args:
        policy: sac, another name, a folder of weights, or module:Name.
        scenario: name of a scenario or a TOML file.
        regime: independent, or contention for the spectrum of the edges; `None` is what the scenario was made for.
        random_seed: of the world, >= 0.
        num_clients: clients; the scenario's own if `None`.
        num_rounds: rounds; the scenario's own if `None`.

    Raises:
        ConfigError: a field is out of range.
    """

    policy: str = "sac"
    scenario: str = "street"
    regime: str | None = None
    random_seed: int = 0
    num_clients: int | None = None
    num_rounds: int | None = None

    def __post_init__(self) -> None:
        if self.regime not in (None, *REGIMES):
            raise unknown_name("regime", str(self.regime), REGIMES)
        for name in ("num_clients", "num_rounds"):
            if (given := getattr(self, name)) is not None and given < 1:
                raise ConfigError(f"{name}: {given} {name[4:]} are too few; give 1 or more")
        if self.random_seed < 0:
            raise ConfigError(f"random_seed: {self.random_seed} is negative; give 0 or more")
