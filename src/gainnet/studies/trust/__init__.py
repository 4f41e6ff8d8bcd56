"""Study trust: what poisoned clients, privacy and curious edges leave of learning together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gainnet.learning.algorithms.adapters import require_peft
from gainnet.learning.safeguards.masking import require_cryptography
from gainnet.learning.safeguards.privacy import require_opacus
from gainnet.studies.statistics import round_metrics
from gainnet.studies.study import Method, Study
from gainnet.studies.trust.config import METHODS, TrustConfig, cases
from gainnet.studies.trust.drawing import draw_shares
from gainnet.studies.trust.reconstruction import reconstruction
from gainnet.studies.trust.rounds import contributions, learn_poisoned, private
from gainnet.studies.weights import language_digest

__all__ = ["TRUST", "TrustConfig"]

RULES = ("median", "trimmed_mean", "krum", "multi_krum", "masked_median")
ATTACKS = ("sign_flip", "gaussian", "text")
DP_CLIENTS = (10, 50, 200)
CODED = {
    "embedding_only": ("embedding_only", "float32"), "u_shape": ("u_shape", "float32"), "int8": ("u_shape", "int8"),
}  # fmt: skip
DEEP = {f"u_shape_{k}": (f"u_shape+{k}", "float32") for k in (1, 2, 3)} | {
    "int8_3": ("u_shape+3", "int8"), "top_k": ("embedding_only", "top_k"), "top_k_3": ("u_shape+3", "top_k"),
}  # fmt: skip
NOISE = 1.0
"""Noise as large as the signal: beyond it the model is of no use."""

METRIC_NAMES = (
    "robust_of_clean",
    "plain_of_clean",
    *(f"robust_of_clean.{rule}" for rule in RULES),
    *(f"{who}.{attack}" for attack in ATTACKS for who in ("robust_of_clean", "plain_of_clean")),
    "dp8_of_clean",
    *(f"dp8_of_clean.client.{count}" for count in DP_CLIENTS),
    "dp8_of_clean.example.10",
    "dp8.epsilon",
    "dp8.delta",
    "dp8.num_clients",
    *(f"attack_recovered.{name}" for name in (*CODED, *DEEP, "noise")),
    "noise_loss_ratio",
    "contribution.poisoned_share",
    "contribution.sampled_error_share",
    "auction.budget_of_value",
)


def open_methods(config: TrustConfig) -> Mapping[str, Method]:
    """All parts; raises when one lacks its library."""
    require_peft(), require_opacus(), require_cryptography()
    parts = {
        "poisoned": learn_poisoned,
        "private": private,
        "reconstruction": reconstruction,
        "contributions": contributions,
    }
    return {name: partial(part, config) for name, part in parts.items()}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Shares of the clean fall in loss, shares of tokens recovered, and what contributions say; means over seeds.

    A share is (loss before - loss after) over the same of the run without attack, or without noise, of that random
    seed. A rule is judged by its worst attack; `robust_of_clean` is that of the rule that is best by it.
    """
    parts = {"poisoned": _robust, "private": _private, "reconstruction": _recovered, "contributions": _contributed}
    found: dict[str, float | None] = {}
    for method, rows in table.groupby("method"):
        found |= parts[str(method)](rows)
    return round_metrics(found, 6)


def kept_under_attack(rows: pd.DataFrame) -> pd.DataFrame:
    """[attack, rule, random_seed, kept], share of what the plain mean learns without attack."""
    rows = rows.assign(fall=rows["loss_before"] - rows["loss"])
    clean = rows[(rows["attack"] == "none") & (rows["rule"] == "mean")][["random_seed", "fall"]]
    paired = rows.merge(clean, on="random_seed", suffixes=("", "_clean"))
    return paired.assign(kept=paired["fall"] / paired["fall_clean"])[["attack", "rule", "random_seed", "kept"]]


def kept_in_private(rows: pd.DataFrame) -> pd.DataFrame:
    """[level, num_clients, random_seed, kept], share of what the same rounds learn without noise."""
    rows = rows.assign(fall=rows["loss_before"] - rows["loss"], noisy=~rows["level"].astype(str).str.endswith("_clean"))
    rows = rows.assign(level=rows["level"].astype(str).str.removesuffix("_clean"))
    keys = ["level", "num_clients", "random_seed"]
    paired = rows[rows["noisy"]].merge(rows[~rows["noisy"]][[*keys, "fall"]], on=keys, suffixes=("", "_clean"))
    return paired.assign(kept=paired["fall"] / paired["fall_clean"])


def _robust(rows: pd.DataFrame) -> dict[str, float | None]:
    means = kept_under_attack(rows).groupby(["attack", "rule"])["kept"].mean().unstack("attack")
    attacks = [attack for attack in ATTACKS if attack in means.columns]
    worst = means[attacks].min(axis=1)
    found: dict[str, float | None] = {f"robust_of_clean.{r}": worst[r] for r in RULES if r in worst.index}
    tried = worst[[rule for rule in RULES if rule in worst.index]]
    found |= {"plain_of_clean": worst.get("mean"), "robust_of_clean": tried.max() if len(tried) else None}
    for attack in attacks:
        found[f"plain_of_clean.{attack}"] = means[attack].get("mean")
        found[f"robust_of_clean.{attack}"] = means[attack].get(str(tried.idxmax())) if len(tried) else None
    return found


def _private(rows: pd.DataFrame) -> dict[str, float | None]:
    kept = kept_in_private(rows)
    means = kept.groupby(["level", "num_clients"])["kept"].mean().reset_index()
    known = {f"dp8_of_clean.{r['level']}.{int(r['num_clients'])}": r["kept"] for r in means.to_dict("records")}
    largest = kept[kept["level"] == "client"]["num_clients"].max()
    most = kept[(kept["level"] == "client") & (kept["num_clients"] == largest)]
    found: dict[str, float | None] = {name: share for name, share in known.items() if name in METRIC_NAMES}
    if not most.empty:
        found |= {"dp8_of_clean": most["kept"].mean(), "dp8.num_clients": largest}
        found |= {"dp8.epsilon": most["epsilon"].max(), "dp8.delta": most["delta"].max()}
    return found


def _recovered(rows: pd.DataFrame) -> dict[str, float | None]:
    quiet = rows[rows["noise"] == 0.0].groupby(["cut", "codec"])["recovered"].mean()
    found: dict[str, float | None] = {
        f"attack_recovered.{name}": quiet.get(key) for name, key in (CODED | DEEP).items()
    }
    noisy = rows[(rows["noise"] == NOISE) & (rows["cut"] == "embedding_only")]
    if not noisy.empty:
        found["attack_recovered.noise"] = noisy["recovered"].mean()
        found["noise_loss_ratio"] = (noisy["loss"] / noisy["loss_before"]).mean()
    return found


def _contributed(rows: pd.DataFrame) -> dict[str, float | None]:
    last = max(int(c.split(".")[1]) for c in rows.columns if c.startswith("shapley."))
    return {
        "contribution.poisoned_share": (rows[f"shapley.{last}"] / rows["fall_of_all"]).mean(),
        "contribution.sampled_error_share": (rows["sampled_error"] / rows["fall_of_all"].abs()).mean(),
        "auction.budget_of_value": (rows["auction_budget"] / rows["auction_value"]).mean(),
    }


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """One figure for what learning keeps, one for what an edge reads."""
    poisoned, private = (table[table["method"] == name] for name in ("poisoned", "private"))
    kept = (kept_under_attack(poisoned) if len(poisoned) else None, kept_in_private(private) if len(private) else None)
    yield from draw_shares(table, *kept)


def identity(config: TrustConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return language_digest(config.model)


TRUST: Study[Any] = Study("trust", TrustConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
