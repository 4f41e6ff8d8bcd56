"""What is asked of one generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from gainnet.core.errors import ConfigError

MIN_SNR_DB, MAX_SNR_DB = -60.0, 100.0
MAX_CHANNEL_USES = 10_000_000
MAX_PROMPT_BYTES = 2048


@final
@dataclass(frozen=True)
class GenerationConfig:
    """One batch of prompts, a protocol, the air between edge and device, and the hardware that is priced.

    Args:
        prompts: one or more texts, each at most 2,048 bytes of UTF-8.
        protocol: `eiug`, `centralized`, `device_only`, or `module:function`.
        snr_db: mean received Es/N0, -60 to 100 dB (E|h|^2 = 1, E|s|^2 = 1).
        fading: `awgn`, `rayleigh`, `ideal` (error-free links), or `module:Class` of a channel.
        codec: which codec carries a `seed`, an `image` or a `prompt`; by name or `module:Class`.
        num_channel_uses: complex channel uses per picture of the content transfer; the codec's own choice when `None`.
        random_seed: of the first item; item k has `random_seed + k`.
        model: `scenes`, a folder in diffusers' format, a hub id, or `module:function` that returns a `DiffusionModel`.
        hardware: of the device, a profile or a .toml file.
        edge_hardware: of the edge, likewise.
        priced_as: model whose FLOPs and bytes are priced: `sd15`, `sdxl`, or `shipped` for the model that runs.
        bandwidth_hz: bandwidth of the link (assumed 1 MHz).
        num_steps: sampler steps; the model's own default when `None`.
        guidance_scale: classifier-free guidance; the model's own default when `None`.
        torch_device: where torch runs.
        online: whether a hub id may be downloaded.

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
    online: bool = False

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ConfigError("prompt: there is none; give a text")
        for prompt in self.prompts:
            _check_prompt(prompt)
        if not MIN_SNR_DB <= self.snr_db <= MAX_SNR_DB:
            raise ConfigError(f"snr_db: {self.snr_db} is outside -60 to 100 dB; --fading ideal has no noise")
        uses = self.num_channel_uses
        if uses is not None and not 1 <= uses <= MAX_CHANNEL_USES:
            raise ConfigError(f"num_channel_uses: {uses} is outside 1 to {MAX_CHANNEL_USES}")
        if not 0 <= self.random_seed < 2**63:
            raise ConfigError(f"random_seed: {self.random_seed} is negative or too large; give 0 to 2^63 - 1")
        if not 0.0 < self.bandwidth_hz <= 1e12:
            raise ConfigError(f"bandwidth_hz: {self.bandwidth_hz} is outside 0 to 1e12 Hz")


def _check_prompt(prompt: str) -> None:
    if not prompt.strip():
        raise ConfigError("prompt: it is empty; say what to draw")
    if "\0" in prompt:
        raise ConfigError("prompt: it holds a NUL character; remove it")
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        raise ConfigError("prompt: it is not UTF-8 text; give text in UTF-8")
    if len(prompt.encode()) > MAX_PROMPT_BYTES:
        raise ConfigError(f"prompt: {prompt[:40]!r}… is longer than {MAX_PROMPT_BYTES} bytes; shorten it")
