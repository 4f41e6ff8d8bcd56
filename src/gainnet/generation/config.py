"""What is asked of one generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

from gainnet.core.errors import ConfigError

MIN_SNR_DB, MAX_SNR_DB = -60.0, 100.0
MAX_CHANNEL_USES = 10_000_000
MAX_PROMPT_BYTES = 2048
DEFAULT_STRENGTH = 0.6
MAX_REPORT_DELAY = 1_000_000
IDEAL = "ideal"
MAX_EDGES = 16
MAX_CANDIDATES = 64


@final
@dataclass(frozen=True)
class GenerationConfig:
    """One batch of prompts, a protocol, the air between edge and device, and the hardware that is priced.

    Args:
        prompts: one or more texts, each at most 2,048 bytes of UTF-8.
        protocol: a name that `gainnet protocols` lists, or `module:Class`.
        snr_db: mean received Es/N0, -60 to 100 dB (E|h|^2 = 1, E|s|^2 = 1).
        fading: `awgn`, `rayleigh`, `rician`, `jakes`, `tdl-a` to `-e`, `cdl-a` to `-e`, `ideal` (error-free links), or
            `module:Class` of a channel.
        codec: which codec carries a `seed`, a latent `midway`, an `image`, a `sketch` or a `prompt`; by name or
            `module:Class`.
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
        image: a picture file of the device's, of any size, for image-to-image; text-to-image when `None`.
        strength: share of the steps that change that picture, above 0 to 1; `DEFAULT_STRENGTH` when `None`.
        num_edges: edges of the cell, 1 to 16; they share the air.
        network: a .toml file of nodes, media and links instead of a cell; see `network_of`.
        cut: steps of the sampler before the hand-over; the protocol's own choice when `None`.
        cooperation: how edges share one generation: `pipeline`, `guidance` or `regions`; its own choice when `None`.
        num_candidates: pictures that an edge draws to choose from, 1 to 64; the protocol's own choice when `None`.
        deadline_s: time after which a transfer is given up and what is missing is concealed; none when `None`.
        failures: (node, index of the step before which it dies).
        trace: a .csv file with a column snr_db (or SNR) in the place of `fading`; a row is one fading block, and the
            mean SNR is the trace's own.
        report_error_db: standard deviation of the error of every SNR report to the sender.
        report_delay: fading blocks between the measurement of a report and its use.
        harq: `none` sends failed codewords anew, `ir` sends incremental redundancy.
        num_devices: devices of the cell that ask at once, 1 to 64; prompts are dealt to them in turn.
        scheduler: who gets a block: `round_robin` or `proportional_fair`.
        power: who decides the power of a fading block of symbols: a name in `gainnet.power_control.POWERS`, a folder
            that `gainnet train power-control` wrote, or `module:Class`; constant power when `None`.

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

    @property
    def picture_strength(self) -> float | None:
        """Strength of image-to-image; `None` without a picture."""
        return None if self.image is None else DEFAULT_STRENGTH if self.strength is None else self.strength

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
        self._check_edges()
        self._check_air()

    def _check_air(self) -> None:
        if self.trace is not None and self.fading != "awgn":
            raise ConfigError(f"trace: it takes the place of --fading {self.fading}; give one of the two")
        if not 0.0 <= self.report_error_db < float("inf"):
            raise ConfigError(f"report_error_db: {self.report_error_db} is out of range; give 0 or more dB")
        if not 0 <= self.report_delay <= MAX_REPORT_DELAY:
            raise ConfigError(f"report_delay: {self.report_delay} is outside 0 to {MAX_REPORT_DELAY} blocks")
        if self.power is not None and self.fading == IDEAL:
            raise ConfigError("power: an ideal link has no fading to follow; choose --fading rayleigh, for example")
        if self.power is not None and (self.report_delay or self.report_error_db):
            raise ConfigError("power: it follows the true gain of a block; leave report_delay and report_error_db out")
        if self.harq not in ("none", "ir"):
            raise ConfigError(f"harq: {self.harq!r} is unknown; choose none or ir")

    def _check_edges(self) -> None:
        if self.strength is not None and not 0.0 < self.strength <= 1.0:
            raise ConfigError(f"strength: {self.strength} is not above 0 and at most 1; 1 keeps nothing of the picture")
        if not 1 <= self.num_edges <= MAX_EDGES:
            raise ConfigError(f"num_edges: {self.num_edges} is outside 1 to {MAX_EDGES}")
        if self.network is not None and self.num_edges != 1:
            raise ConfigError("num_edges: the network file lists the edges; leave the number out")
        if self.num_candidates is not None and not 1 <= self.num_candidates <= MAX_CANDIDATES:
            raise ConfigError(f"num_candidates: {self.num_candidates} is outside 1 to {MAX_CANDIDATES}")
        if self.deadline_s is not None and not 0.0 < self.deadline_s < float("inf"):
            raise ConfigError(f"deadline_s: {self.deadline_s} is no time; give a positive number of seconds")
        if wrong := [step for _, step in self.failures if step < 0]:
            raise ConfigError(f"fail: there is no step {wrong[0]}; count from 0")


def _check_prompt(prompt: str) -> None:
    if not prompt.strip():
        raise ConfigError("prompt: it is empty; say what to draw")
    if "\0" in prompt:
        raise ConfigError("prompt: it holds a NUL character; remove it")
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        raise ConfigError("prompt: it is not UTF-8 text; give text in UTF-8")
    if len(prompt.encode()) > MAX_PROMPT_BYTES:
        raise ConfigError(f"prompt: {prompt[:40]!r}… is longer than {MAX_PROMPT_BYTES} bytes; shorten it")
