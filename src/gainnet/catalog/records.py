"""Records in texts, as the command line, TOML files and studies write them; `opening` makes objects of them.

Nothing here imports torch, so that a command can show its options at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, final

from gainnet.core.errors import ConfigError, check_name, check_range, unknown_name

IDEAL: Final = "ideal"
"""Name of an air without noise: links carry everything at once and for nothing."""
MIN_SNR_DB, MAX_SNR_DB = -60.0, 100.0
MAX_CANDIDATES: Final = 64
NO_NEGATIVE: Final = "Guidance leads away from the empty prompt alone; say in the prompt what to draw."
"""Answer to a negative prompt, which other programs take."""
MAX_REPORT_DELAY: Final = 10**6
REGIMES: Final = ("independent", "contention")
"""Whether clients share the spectrum of the edges."""
LEARNING_LINKS: Final = ("ideal", "tabulated", "shannon")
RULES: Final = ("mean", "median", "trimmed_mean", "krum", "multi_krum")
"""How an edge merges updates."""
PRIVACY: Final = ("none", "client", "example")
"""Whose presence is hidden."""


def check_reports(error_db: float, delay: int = 0) -> None:
    """Raises `ConfigError` for reports that are out of range, by the names of the options.

    Args:
        error_db: standard deviation of their error in dB.
        delay: their age in fading blocks.

    >>> check_reports(-1.0)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: report_error_db: -1.0 is out of range; must be 0 dB or more
    """
    check_range(0.0 <= error_db < math.inf, "report_error_db", error_db, "0 dB or more")
    check_range(0 <= delay <= MAX_REPORT_DELAY, "report_delay", delay, f"0 to {MAX_REPORT_DELAY} blocks")


@final
@dataclass(frozen=True)
class GenerationConfig:
    """One batch of prompts, a protocol, the air between edge and device, and the hardware that is priced.

    Args:
        prompts: one or more texts, each at most 2,048 bytes of UTF-8.
        protocol: a name that `gainnet protocols` lists, with arguments as in ciag(cut=3), or module:Class.
        snr_db: mean received Es/N0, -60 to 100 dB (E|h|^2 = 1, E|s|^2 = 1).
        fading: awgn, rayleigh, rician, jakes, tdl-a to -e, cdl-a to -e, ofdm, dft_spread, ideal (no errors, no noise),
            or module:Class; with arguments as in rayleigh(block_length=64).
        codec: KIND=NAME: seed=raw, linear, seed, seed_prompt, digital, transform, transform_prompt or float32;
            midway=matched, raw, uniform or float32; image=webp, avif, jpeg, png, raw_pixels or float32;
            sketch=quantized, edges, analog, raw_pixels or float32; correction=residual, uniform or float32; each with
            arguments as in seed=linear(num_channel_uses=512), or KIND=module:Class; again for another kind; the best
            that fits when left out.
        num_channel_uses: complex channel uses per picture of the content; the codec's own choice when left out.
        random_seed: of the first item; item k has `random_seed + k`.
        model: `scenes`, `emoji`, a folder in diffusers' format (families sd, sdxl, sd3, flux), a hub id, or
            `module:function` that returns a `DiffusionModel`; the shipped one that knows most words when left out.
        hardware: of the device, a profile or a .toml file.
        edge_hardware: of the edge, likewise.
        priced_as: model whose FLOPs and bytes are priced: `sd15`, `sdxl`, or `shipped` for the model that runs.
        bandwidth_hz: bandwidth of the link (assumed 1 MHz).
        num_steps: sampler steps; the model's own default when left out.
        guidance_scale: classifier-free guidance; the model's own default when left out.
        torch_device: where torch runs: cpu, cuda or mps, where it has it.
        runtime: what computes the networks of the model: torch, or onnx, which is faster on a processor.
        online: whether a hub id may be downloaded.
        image: a picture file of the device's, of any size, for image-to-image; text-to-image when left out.
        strength: share of the steps that change that picture, above 0 to 1.
        num_edges: edges of the cell, 1 to 16; they share the air.
        network: a .toml file of nodes, media and links instead of a cell; see `read_network`.
        cut: steps of the sampler before the hand-over; the protocol's own choice when left out.
        cooperation: how edges share one generation: `pipeline`, `guidance` or `regions`; its own choice when left out.
        num_candidates: pictures that an edge draws to choose from, 1 to 64; the protocol's own choice when left out.
        deadline_s: time after which a transfer is given up and what is missing is concealed; none when left out.
        failures: (node, index of the step before which it dies).
        trace: a .csv file with a column snr_db (or SNR) in the place of `fading`; a row is one fading block, and the
            mean SNR is the trace's own.
        delivery: a packet-delivery trace of Mahimahi in the place of the air: whole milliseconds, one per 1,500 bytes.
        report_error_db: standard deviation of the error of every SNR report to the sender.
        report_delay: fading blocks between the measurement of a report and its use.
        harq: `none` sends failed codewords anew; `ir` sends incremental redundancy at the code rates of 5G; `free`
            sends it at any length, and counts acknowledgements as channel uses.
        num_devices: devices of the cell that ask at once, 1 to 64; prompts are dealt to them in turn.
        scheduler: who gets a block: `round_robin` or `proportional_fair`.
        power: who decides the power of a fading block of symbols: ppo, sac, pathwise, replanned, mean_gain,
            fixed_multiplier, truncated_inversion, greedy, a folder of train power-control, or module:Class; constant
            when left out, which is better where a seed meets one or two fades.
        height: of the picture in pixels; the model's own when left out.
        width: likewise; both or none.
        edge_power: share of its transmit power that the edge spends on what it sends, above 0 to 1.

    Raises:
        ConfigError: a field is out of range.

    >>> GenerationConfig(("a yellow star",), snr_db=5.0).protocol
    'eiug'
    """

    prompts: tuple[str, ...]
    protocol: str = "eiug"
    snr_db: float = 10.0
    fading: str = "awgn"
    codec: Mapping[str, str] = field(default_factory=dict)
    num_channel_uses: int | None = None
    random_seed: int = 0
    model: str | None = None
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
    delivery: str | None = None
    report_error_db: float = 0.0
    report_delay: int = 0
    harq: Literal["none", "ir", "free"] = "free"
    num_devices: int = 1
    scheduler: str = "round_robin"
    power: str | None = None
    height: int | None = None
    width: int | None = None
    edge_power: float = 1.0

    def __post_init__(self) -> None:
        # Numbers are checked here as well as by the objects, so that a mistake is found before a model is loaded.
        if not MIN_SNR_DB <= self.snr_db <= MAX_SNR_DB:
            raise ConfigError(f"snr_db: {self.snr_db} is outside -60 to 100 dB; --fading ideal has no noise")
        check_reports(self.report_error_db, self.report_delay)
        if self.strength is not None and self.image is None:
            raise ConfigError("strength: there is no picture to change; give --image FILE or leave it out")
        if self.network is not None and self.num_edges != 1:
            raise ConfigError("num_edges: the network file lists the edges; leave the number out")
        if self.num_candidates is not None and not 1 <= self.num_candidates <= MAX_CANDIDATES:
            raise ConfigError(f"num_candidates: {self.num_candidates} is outside 1 to {MAX_CANDIDATES}")
        if self.trace is not None and self.fading != "awgn":
            raise ConfigError(f"trace: it takes the place of --fading {self.fading}; give one of the two")
        own = [name for name in ("trace", "network", "power") if getattr(self, name) is not None]
        if self.edge_power != 1.0 and (self.network is not None or self.delivery is not None):
            raise ConfigError("edge_power: the file says what nodes send with; leave it out")
        if self.delivery is not None and (own or self.fading != "awgn"):
            other = own[0] if own else "fading"
            raise ConfigError(f"{other}: a packet-delivery trace has no use for it; leave it out or leave delivery out")
        if self.harq not in ("none", "ir", "free"):
            raise ConfigError(f"harq: {self.harq!r} is unknown; choose none, ir or free")
        if not 0.0 < self.edge_power <= 1.0:
            raise ConfigError(f"edge_power: {self.edge_power} is no share of a power; must be above 0, at most 1")
        if self.runtime not in ("torch", "onnx"):
            raise ConfigError(f"runtime: {self.runtime!r} is unknown; choose torch or onnx")


@final
@dataclass(frozen=True)
class EpisodeConfig:
    """An episode in text, as the command line and files give it.

    Args:
        policy: lookahead, sac, another name, a folder of weights, or module:Name; with arguments as in
            best_response(num_starts=8).
        scenario: name of a scenario, with arguments as in street(num_clients=5), or a TOML file.
        regime: independent, or contention for the spectrum of the edges; what the scenario was made for when left out.
        random_seed: of the world, >= 0.
        num_clients: how many; the scenario's own number when left out.
        num_rounds: how many; the scenario's own number when left out.
        mobility: file of the ways of vehicles, as FCD XML of SUMO (gzipped or not), GPX, CSV or .sumocfg; the
            scenario moves them when left out.
        mobility_start_s: time of that file at which the first round begins; its first one when left out. Scenarios of
            SUMO begin with empty roads.
        requests_per_s: requests of users per second, for content of all models together; edges answer them from the
            pools that training uses, too. Nobody asks when left out.

    Raises:
        ConfigError: a field is out of range.
    """

    policy: str = "lookahead"
    scenario: str = "street"
    regime: str | None = None
    random_seed: int = 0
    num_clients: int | None = None
    num_rounds: int | None = None
    mobility: str | None = None
    mobility_start_s: float | None = None
    requests_per_s: float | None = None

    def __post_init__(self) -> None:
        if self.mobility_start_s is not None and self.mobility is None:
            raise ConfigError("mobility_start_s: it is a time of a file of ways; give --mobility FILE or leave it out")
        if self.requests_per_s is not None:
            allowed = "a positive number, such as 5"
            check_range(0 < self.requests_per_s < math.inf, "requests_per_s", self.requests_per_s, allowed)
        if self.regime not in (None, *REGIMES):
            raise ConfigError(
                f"{unknown_name('regime', str(self.regime), REGIMES)}; --scenario takes coupled and others"
            )
        for name in ("num_clients", "num_rounds"):
            if (given := getattr(self, name)) is not None and given < 1:
                raise ConfigError(f"{name}: {given} {name[4:]} are too few; give 1 or more")
        if self.random_seed < 0:
            raise ConfigError(f"random_seed: {self.random_seed} is negative; give 0 or more")


@final
@dataclass(frozen=True)
class LearnConfig:
    """Rounds of learning in text: who learns what, how, and over which air.

    Args:
        algorithm: fedavg, fedprox, fedadam, fedyogi, scaffold, fsl (shared edge part), fsl_averaged, split_lora,
            soft_prompt, lora or adapter, or module:Class; with arguments as in lora(rank=4), which come before the
            options of the same name.
        cut: for fsl: embedding_only or u_shape, with `+k` for k blocks on the device.
        codec: for fsl: float32, float16, int8, top_k or `module:Class`, with arguments as in top_k(share=0.1).
        model: `abstracts` (shipped), a folder in Hugging Face format, or a hub id as owner/name.
        domains: fields of the synthetic abstracts.
        texts: a text file, one text per line, in the place of the synthetic ones; the last tenth is the test. A file as
            `apt-cache dumpavail` prints it gives descriptions of packages, sections are kinds, every tenth is the test.
        num_texts: abstracts per domain.
        row_length: tokens per row.
        clients: how many devices.
        skew: concentration of Dirichlet shares; `inf` for equal shares.
        skew_of: in what clients differ: kind (domains), quantity (how much text), or feature (how usual its words are).
        rounds: how many, over all starts.
        num_steps: mini-batches per client and round.
        batch_size: rows per mini-batch.
        rate: learning rate on the devices.
        edge_rate: learning rate of a shared edge part; that of the devices when `None`.
        optimizer: `sgd` or `adamw`.
        num_parts: equal parts of a mini-batch whose gradients are added up, to save memory.
        precision: float32, or bf16 for forward passes in bfloat16.
        dropout: off, or keyed at the rates of the model.
        rank: rank of LoRA, or virtual tokens of a soft prompt.
        share: part of the clients that is drawn for a round, above 0 to 1.
        drop_out: probability that a client falls away during a round.
        deadline_s: priced seconds after which a client does not count.
        link: ideal, tabulated (5G codewords at table speed) or shannon.
        fading: awgn, rayleigh, rician, jakes, tdl-a to tdl-e or cdl-a to cdl-e.
        snr_db: mean received Es/N0, -60 to 100 dB.
        report_error_db: standard deviation of the error of SNR reports.
        max_attempts: how often a codeword is sent at most.
        bandwidth_hz: of the cell, which all devices share.
        hardware: of the devices, a profile or a .toml file.
        edge_hardware: of the edge, likewise.
        torch_device: where torch runs: cpu, cuda or mps, where it has it.
        online: whether a hub id may be downloaded; otherwise it has to be in the local cache.
        random_seed: of everything that is drawn.
        task: text; or draw, where the denoiser of a model of pictures learns the style of the devices' pictures. Its
            usual settings are the algorithm lora, the model scenes, rank 8 and a rate of 0.02.
        pictures: for draw: a folder of pictures that are called by their captions, or one that the npm package
            @iconify-json/fluent-emoji-flat was unpacked into; scenes as stickers where it is left out.
        num_pictures: for draw: pictures per device.

    Raises:
        ConfigError: a field is out of range.
    """

    algorithm: str = "fsl"
    cut: str = "u_shape"
    codec: str = "int8"
    model: str = "abstracts"
    domains: tuple[str, ...] = ("cardiology", "oncology", "endocrinology")
    texts: str | None = None
    num_texts: int = 400
    row_length: int = 72
    clients: int = 4
    skew: float = math.inf
    skew_of: Literal["kind", "quantity", "feature"] = "kind"
    rounds: int = 10
    num_steps: int = 4
    batch_size: int = 8
    rate: float = 1e-3
    edge_rate: float | None = None
    optimizer: Literal["sgd", "adamw"] = "adamw"
    num_parts: int = 1
    precision: Literal["float32", "bf16"] = "float32"
    dropout: Literal["off", "keyed"] = "off"
    rank: int = 2
    share: float = 1.0
    drop_out: float = 0.0
    deadline_s: float = math.inf
    link: str = "tabulated"
    fading: str = "awgn"
    snr_db: float = 10.0
    report_error_db: float = 0.0
    max_attempts: int = 8
    bandwidth_hz: float = 20e6
    hardware: str = "phone"
    edge_hardware: str = "edge_l4"
    torch_device: str = "cpu"
    online: bool = False
    random_seed: int = 0
    task: Literal["text", "draw"] = "text"
    pictures: str | None = None
    num_pictures: int = 16

    def __post_init__(self) -> None:
        check_reports(self.report_error_db)
        check_name("link", self.link, LEARNING_LINKS)
        check_name("task", self.task, ("text", "draw"))
        for name in ("rounds", "clients", "num_texts", "rank", "num_pictures"):
            check_range(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check_range(self.row_length >= 4, "row_length", self.row_length, "4 tokens or more")
        check_range(self.random_seed >= 0, "random_seed", self.random_seed, "0 or more")
        check_range(self.skew > 0.0, "skew", self.skew, "positive, for example 0.3, or inf for equal shares")
        if not self.domains:
            # Here, since numpy comes with it and help is shown without.
            from gainnet.models.language_text import DOMAINS

            raise ConfigError(f"domains: none is given; choose among {', '.join(DOMAINS)}")


@final
@dataclass(frozen=True)
class SafeguardsConfig:
    """Safeguards of rounds of averaging in text.

    Args:
        rule: mean, median, trimmed_mean, krum or multi_krum.
        num_poisoned: clients that may be poisoned, which trimmed_mean and Krum bear; with masked sums, groups.
        num_groups: of masked sums, of which the edge sees nothing else; 0 where it sees every update.
        privacy: none, client (whether a client takes part) or example (whether a row is in its text).
        epsilon: after all rounds, > 0.
        delta: after all rounds, in (0, 1).
        clip_norm: of a client's update, or of a row's gradient.
        sample_rate: of the rows of a client per step, where rows are hidden.
        noise: system (nobody can draw it again) or seeded (it repeats: for tests alone, and not private).
        accountant: prv (numerical composition) or rdp (Rényi divergences, up to a sixth above it).
        contributions: none, shapley or leave_one_out: what every update has added, and what clients are paid for it.

    Raises:
        ConfigError: a name is unknown, a count is negative, a number of poisoned clients is given to a rule that has no
            use for it, or privacy of clients has another rule than the mean.
    """

    rule: str = "mean"
    num_poisoned: int = 0
    num_groups: int = 0
    privacy: Literal["none", "client", "example"] = "none"
    epsilon: float = 8.0
    delta: float = 1e-5
    clip_norm: float = 1.0
    sample_rate: float = 0.2
    noise: Literal["system", "seeded"] = "system"
    accountant: Literal["prv", "rdp"] = "prv"
    contributions: Literal["none", "shapley", "leave_one_out"] = "none"

    def __post_init__(self) -> None:
        check_name("rule", self.rule, RULES)
        check_name("privacy", self.privacy, PRIVACY)
        check_name("noise", self.noise, ("system", "seeded"))
        check_name("accountant", self.accountant, ("prv", "rdp"))
        check_name("contributions", self.contributions, ("none", "shapley", "leave_one_out"))
        check_range(self.num_poisoned >= 0, "num_poisoned", self.num_poisoned, "0 or more")
        if self.num_poisoned and self.rule in ("mean", "median"):
            raise ConfigError(f"num_poisoned: {self.rule} has no use for it; choose trimmed_mean, krum or multi_krum")
        check_range(self.num_groups >= 0, "num_groups", self.num_groups, "0 for updates in the open, or more")
        if self.privacy == "client" and (self.rule != "mean" or self.num_groups > 1):
            raise ConfigError("privacy: of clients it is noise on one mean; leave rule and groups, or give one group")
