"""Study trust: what poisoned clients, privacy and curious edges leave of learning together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.learning.algorithms.adapters import require_peft
from gainnet.learning.safeguards.accounting import require_opacus
from gainnet.learning.safeguards.masking import require_cryptography
from gainnet.studies.figures import legend_below, panels, short, with_own
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, INDIGO, MARKER_OF, ORANGE, PURPLE, RED, SKY
from gainnet.studies.statistics import at, beside, named, present, round_metrics
from gainnet.studies.study import Method, Study
from gainnet.studies.trust.attacks import accounting, attacked
from gainnet.studies.trust.config import FORGED, METHODS, SAFEGUARDS, TrustConfig, cases
from gainnet.studies.trust.reconstruction import reconstruction
from gainnet.studies.trust.rounds import contributions, learn_poisoned, private
from gainnet.studies.weights import language_digest

__all__ = ["TRUST", "TrustConfig"]

RULES = ("median", "trimmed_mean", "krum", "multi_krum", "masked_median")
ATTACKS = ("sign_flip", "gaussian", "text")
"""Attacks that know no other client's update; the one that does, `hidden`, has metrics of its own."""
HIDDEN_FROM = ("mean", "median", "trimmed_mean", "multi_krum", "masked_median")
DP_CLIENTS = (10, 50, 200)
CUTS = ("embedding_only", "u_shape")
CODED = {
    "embedding_only": ("embedding_only", "float32"), "u_shape": ("u_shape", "float32"), "int8": ("u_shape", "int8"),
}  # fmt: skip
DEEP = {f"u_shape_{k}": (f"u_shape+{k}", "float32") for k in (1, 2, 3)} | {
    "int8_3": ("u_shape+3", "int8"), "top_k": ("embedding_only", "top_k"), "top_k_3": ("u_shape+3", "top_k"),
}  # fmt: skip
NOISE = 1.0
"""Noise as large as the signal: beyond it the model is of no use."""
COLOUR_OF_RULE = {
    "mean": GREY, "median": BLUE, "trimmed_mean": GREEN, "krum": SKY, "multi_krum": ORANGE, "masked_mean": RED,
    "masked_median": PURPLE,
}  # fmt: skip
MARK_OF_CODEC = {"float32": ("o", BLUE), "float16": ("v", SKY), "int8": ("s", GREEN), "top_k": ("D", PURPLE)}
FLOOR = -0.5
"""Below this a share has its number instead of a place: it says no more than that the model became worse."""

READ_OFF = {
    "embedding_only.none": ("embedding_only", "float32", 0.0), "embedding_only.int8": ("embedding_only", "int8", 0.0),
    "embedding_only.noise": ("embedding_only", "float32", NOISE), "u_shape.none": ("u_shape", "float32", 0.0),
    "u_shape.int8": ("u_shape", "int8", 0.0), "u_shape.noise": ("embedding_only", "float32", NOISE),
}  # fmt: skip
"""Cut, codec and noise by attack and safeguard; the same embeddings cross both cuts, so that noise is tried at one."""
RECOVERED = (
    *(f"recovered.{name}" for name in READ_OFF), "recovered.embedding_only.guess", "recovered.u_shape.guess",
    *(f"recovered.{attack}.{arm}" for attack, some in SAFEGUARDS.items() for arm in ("none", "guess", *some)),
)  # fmt: skip

METRIC_NAMES = (
    "robust_of_clean", "plain_of_clean",
    *(f"robust_of_clean.{rule}" for rule in RULES),
    *(f"{who}.{attack}" for attack in ATTACKS for who in ("robust_of_clean", "plain_of_clean")),
    *(f"hidden_of_clean.{rule}" for rule in HIDDEN_FROM),
    "dp8_of_clean",
    *(f"dp8_of_clean.client.{count}" for count in DP_CLIENTS),
    "dp8_of_clean.example.10", "dp8.epsilon", "dp8.delta", "dp8.num_clients",
    *(f"attack_recovered.{name}" for name in (*CODED, *DEEP, "noise")),
    *RECOVERED, "noise_recoverable", "noise_tried", "forgeries_accepted", "forgeries_tried", "epsilon_over_opacus",
    "noise_loss_ratio", "contribution.poisoned_share", "contribution.sampled_error_share", "auction.budget_of_value",
)  # fmt: skip


_PARTS = (learn_poisoned, private, reconstruction, contributions, attacked, accounting)


def open_methods(config: TrustConfig) -> Mapping[str, Method]:
    """All parts; raises when one lacks its library."""
    require_peft(), require_opacus(), require_cryptography()
    parts = zip(METHODS, _PARTS, strict=True)
    return {name: partial(part, config) for name, part in parts}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Shares of the clean fall in loss, shares of tokens recovered, and what contributions say; means over seeds.

    A share is (loss before - loss after) over the same of the run without attack, or without noise, of that random
    seed. A rule is judged by its worst attack; `robust_of_clean` is that of the rule that is best by it.
    """
    parts = {"poisoned": _robust, "private": _private, "reconstruction": _recovered, "contributions": _contributed}
    parts |= {"attacks": _attacked, "accounting": _counted}
    found: dict[str, float | None] = {}
    for method, rows in table.groupby("method"):
        found |= parts[str(method)](rows)
    return round_metrics(found, 6)


def kept_under_attack(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `kept`, the share of what the plain mean learns from the same random seed without attack."""
    rows = rows.assign(fall=rows["loss_before"] - rows["loss"])
    clean = beside(rows, at(rows, attack="none", rule="mean"), ["random_seed"], "fall")
    return rows.assign(kept=rows["fall"] / clean).dropna(subset=["kept"])


def kept_in_private(rows: pd.DataFrame) -> pd.DataFrame:
    """The noisy rows with `kept`, the share of what the same rounds learn without noise."""
    level, fall = rows["level"].astype(str), rows["loss_before"] - rows["loss"]
    rows = rows.assign(fall=fall, level=level.str.removesuffix("_clean"), noisy=~level.str.endswith("_clean"))
    clean = beside(rows, at(rows, noisy=False), ["level", "num_clients", "random_seed"], "fall")
    return at(rows.assign(kept=rows["fall"] / clean), noisy=True).dropna(subset=["kept"])


def _robust(rows: pd.DataFrame) -> dict[str, float | None]:
    means = kept_under_attack(rows).groupby(["attack", "rule"])["kept"].mean().unstack("attack")
    attacks = [attack for attack in ATTACKS if attack in means.columns]
    # The worst attack, because whoever attacks chooses after the rule is known.
    worst = means[attacks].min(axis=1)
    found: dict[str, float | None] = {f"robust_of_clean.{r}": worst[r] for r in RULES if r in worst.index}
    tried = worst[[rule for rule in RULES if rule in worst.index]]
    found |= {"plain_of_clean": worst.get("mean"), "robust_of_clean": tried.max() if len(tried) else None}
    for attack in attacks:
        found[f"plain_of_clean.{attack}"] = means[attack].get("mean")
        found[f"robust_of_clean.{attack}"] = means[attack].get(str(tried.idxmax())) if len(tried) else None
    if "hidden" in means.columns:
        found |= {f"hidden_of_clean.{rule}": means["hidden"].get(rule) for rule in HIDDEN_FROM}
    return found


def _private(rows: pd.DataFrame) -> dict[str, float | None]:
    kept = kept_in_private(rows)
    known = named(kept.groupby(["level", "num_clients"])["kept"].mean(), "dp8_of_clean.{}.{:g}")
    found: dict[str, float | None] = {name: share for name, share in known.items() if name in METRIC_NAMES}
    by_client = at(kept, level="client")
    if len(most := at(by_client, num_clients=by_client["num_clients"].max())):
        found |= {"dp8_of_clean": most["kept"].mean(), "dp8.num_clients": most["num_clients"].max()}
        found |= {f"dp8.{name}": most[name].max() for name in ("epsilon", "delta")}
    return found


def _recovered(rows: pd.DataFrame) -> dict[str, float | None]:
    quiet = at(rows, noise=0.0).groupby(["cut", "codec"])["recovered"].mean()
    each = rows.groupby(["cut", "codec", "noise"])["recovered"].mean()
    read: dict[str, float | None] = {f"recovered.{name}": each.get(key) for name, key in READ_OFF.items()}
    if "recovered_blindly" in rows:
        read |= {f"recovered.{cut}.guess": at(rows, cut=cut)["recovered_blindly"].mean() for cut in CUTS}
    found: dict[str, float | None] = read | {
        f"attack_recovered.{x}": quiet.get(key) for x, key in (CODED | DEEP).items()
    }
    if len(noisy := at(rows, noise=NOISE, cut="embedding_only")):
        found["attack_recovered.noise"] = noisy["recovered"].mean()
        found["noise_loss_ratio"] = (noisy["loss"] / noisy["loss_before"]).mean()
    return found


def _attacked(rows: pd.DataFrame) -> dict[str, float | None]:
    """Means over random seeds, and how many tries of the safeguarded arms came through."""
    means = rows.groupby(["attack", "rule"])["recovered"].mean()
    found: dict[str, float | None] = dict(named(means, "recovered.{}.{}"))
    through = rows.assign(count=rows["recovered"] * rows["tried"])
    for what, count, attacks, rule in (
        ("noise", "recoverable", ["noise_subtraction"], "system"), ("forgeries", "accepted", list(FORGED), "record"),
    ):  # fmt: skip
        chosen = through[through["attack"].isin(attacks) & (through["rule"] == rule)]
        found |= {f"{what}_{count}": chosen["count"].sum(), f"{what}_tried": chosen["tried"].sum()}
    return found


def _counted(rows: pd.DataFrame) -> dict[str, float | None]:
    """The ratio that is farthest from one."""
    ratios = rows[[column for column in rows.columns if str(column).startswith("epsilon_ratio.")]].to_numpy().ravel()
    return {"epsilon_over_opacus": float(max(ratios, key=lambda ratio: abs(ratio - 1.0)))}


def _contributed(rows: pd.DataFrame) -> dict[str, float | None]:
    last = max(int(c.split(".")[1]) for c in rows.columns if c.startswith("shapley."))
    return {
        "contribution.poisoned_share": (rows[f"shapley.{last}"] / rows["fall_of_all"]).mean(),
        "contribution.sampled_error_share": (rows["sampled_error"] / rows["fall_of_all"].abs()).mean(),
        "auction.budget_of_value": (rows["auction_budget"] / rows["auction_value"]).mean(),
    }


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """One figure for what learning keeps, one for what an edge reads."""
    poisoned, noisy, read = (at(table, method=name) for name in ("poisoned", "private", "reconstruction"))
    if len(poisoned) and len(noisy):
        yield "trust_learning", _learning(kept_under_attack(poisoned), kept_in_private(noisy))
    if len(read):
        yield "trust_reconstruction", _reconstruction(read)


def _learning(attacked: pd.DataFrame, private: pd.DataFrame) -> Figure:
    note = (
        "share of the fall in loss that the same rounds reach with the plain mean, without attack and without noise; "
        f"means of {attacked['random_seed'].nunique()} random seeds with their range; an arrow with its number: a mean "
        f"below {FLOOR}; privacy: epsilon = {private['epsilon'].max():.3g}, delta = {private['delta'].max():.0e}"
    )
    figure, axes = panels(1, 2, "What learning keeps", note)
    attacks = list(dict.fromkeys(attacked["attack"]))
    rules = present(attacked, "rule", COLOUR_OF_RULE)
    for place, rule in enumerate(rules):
        kept = _range(at(attacked, rule=rule), "attack")
        x = [attacks.index(attack) + (place - (len(rules) - 1) / 2) * 0.12 for attack in kept.index]
        look: dict[str, Any] = {
            "fmt": MARKER_OF[COLOUR_OF_RULE[rule]],
            "color": COLOUR_OF_RULE[rule],
            "label": rule.replace("_", " "),
        }
        _within(axes[0], x, kept, look)
    axes[0].axhline(0.9, color=GREY, linewidth=0.8, linestyle=":")
    axes[0].set(title="under attack", ylabel="share kept", ylim=(FLOOR - 0.05, 1.3))
    axes[0].set_xticks(range(len(attacks)), [attack.replace("_", " ") for attack in attacks])
    for level, colour in (("client", BLACK), ("example", INDIGO)):
        if len(rows := at(private, level=level)):
            kept, look = (
                _range(rows, "num_clients"),
                {"fmt": f"{MARKER_OF[colour]}-", "color": colour, "label": f"{level}s hidden"},
            )
            _within(axes[1], list(kept.index), kept, look)
    axes[1].set(title="with privacy", xscale="log", xlabel="clients", ylim=(FLOOR - 0.05, 1.3))
    legend_below(axes, 4)
    return figure


def _range(rows: pd.DataFrame, over: str) -> pd.DataFrame:
    """Mean, least and largest share that is kept."""
    return rows.groupby(over)["kept"].agg(["mean", "min", "max"])


def _within(ax: Axes, x: Sequence[float], kept: pd.DataFrame, look: Mapping[str, Any]) -> None:
    """Means with their range; an arrow with its number at the lower edge where a mean lies below it."""
    shown, places = kept["mean"] >= FLOOR, np.array(x, dtype=float)
    inside, low = kept[shown], kept["min"].clip(lower=FLOOR)[shown]
    ax.errorbar(places[shown], inside["mean"], [inside["mean"] - low, inside["max"] - inside["mean"]], **look)
    for place, mean in zip(places[~shown], kept["mean"][~shown], strict=True):
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": look["color"], "linewidth": 1.2}
        ax.annotate("", (place, FLOOR), (place, FLOOR + 0.16), arrowprops=arrow)
        # Beside the arrow and level, where neither its shaft nor a line of the grid crosses the digits.
        beside: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": "small"}
        ax.annotate(f"{mean:.3g}", (place, FLOOR + 0.08), **beside)


def _reconstruction(rows: pd.DataFrame) -> Figure:
    note = (
        "the edge knows the device's part and has public text; of look-up and a trained inverter the better one; "
        "untuned model;\ndotted: the most frequent word; noise has the variance (ratio x signal) squared"
    )
    figure, axes = panels(1, 2, "What a curious edge reads off activations", note)
    quiet = at(rows, noise=0.0).groupby(["cut", "codec"])["recovered"].mean().unstack("codec")
    users = with_own({}, rows.assign(method=rows["codec"]), MARK_OF_CODEC)
    marks = MARK_OF_CODEC | {name: (style.marker, style.colour) for name, style in users.items()}
    for codec, (marker, colour) in marks.items():
        if codec in quiet.columns:
            axes[0].plot(
                quiet.index,
                quiet[codec],
                marker,
                color=colour,
                label=short(codec),
                fillstyle="none",
                markersize=9,
            )
    axes[0].set(ylabel="share of tokens recovered", ylim=(0, 1.05))
    axes[0].tick_params(axis="x", rotation=20)
    for cut, colour in (("embedding_only", BLUE), ("u_shape+3", ORANGE)):
        means: Any = at(rows, codec="float32", cut=cut).groupby("noise")[["recovered", "loss", "loss_before"]].mean()
        axes[1].plot(means["loss"], means["recovered"], "o-", color=colour, label=f"{cut}, noise")
    axes[1].set(xlabel="nats per token of the model that sees the noise", ylabel="share recovered", ylim=(0, 1.05))
    for ax in axes:
        ax.axhline(rows["recovered_blindly"].mean(), color=GREY, linewidth=0.8, linestyle=":")
    legend_below(axes, 3)
    return figure


def identity(config: TrustConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return language_digest(config.model)


TRUST: Study[Any] = Study("trust", TrustConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
