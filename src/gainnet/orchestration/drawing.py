"""Pictures of an episode: the map of every round, boards of a few clients, gain against everybody else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from gainnet.orchestration.board import draw_board, legend
from gainnet.orchestration.resources import Grid
from gainnet.orchestration.rollout import schedules_of
from gainnet.orchestration.rounds import Schedule
from gainnet.orchestration.scenario import ManhattanNumbers, Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    # An episode draws itself in a notebook, so that this module knows its type alone.
    from gainnet.orchestration.episode import Episode

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#777777")
"""Of domains, and of models by their main domain: Okabe and Ito's palette (2008), with a brown and a grey."""

_CURVES = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_CLIENTS = {"independent": "independent clients", "contention": "clients that share the spectrum of edges"}
NUM_SHOWN_CLIENTS = 3
_MANY_CLIENTS = 120
_LABEL_OF_POLICY = {
    "ml_c": "ML-C", "ml_cc": "ML-CC", "ml_scc": "ML-SCC", "mp_tsc": "MP-TSC", "sac": "SAC",
    "largest_correlation": "largest correlation", "sequential_greedy": "sequential greedy",
    "best_response": "best response", "crowd_greedy": "crowd greedy", "lookahead": "look-ahead",
    "lagrangian": "Lagrangian", "sac_paper": "SAC as in GainNet", "mappo": "MAPPO",
    "sac_drawn": "SAC on drawn scenarios", "best_found": "best found", "measured": "measured gain",
    "optimum": "published optimum",
}  # fmt: skip


def label_of(policy: str) -> str:
    """A policy's name for a figure.

    >>> label_of("ml_c"), label_of("greedy"), label_of("my_policy:MostSamples")
    ('ML-C', 'greedy', 'MostSamples')
    """
    # A policy of one's own goes by the name of its class or function, without the module.
    return _LABEL_OF_POLICY.get(policy, policy.rpartition(":")[2])


def shown_clients(episode: Episode) -> tuple[int, ...]:
    """Clients whose boards are worth a look: of those that change their model most often, the busiest."""
    model, sensed = episode.chosen.model, episode.chosen.sensed.sum(-2)
    changes = (model[1:] != model[:-1]).sum(-2)
    order = torch.argsort(changes * (1 + sensed.max()) + sensed, descending=True)
    return tuple(int(client) for client in order[:NUM_SHOWN_CLIENTS])


def draw_map(episode: Episode) -> Figure:
    """Where everybody is and whom each client serves, one panel per round, with the sensing ranges of a few clients."""
    num_rounds = episode.world.scenario.rounds.num_rounds
    columns = min(num_rounds, 3)
    rows = -(-num_rounds // columns)
    figure, axes = _figure(
        rows, columns, (4.3 * columns, 4.45 * rows + 1.0),
        f"Who serves which model: {label_of(episode.policy)} in {episode.scenario}, "
        f"random seed {episode.random_seed}",
    )  # fmt: skip
    for cr, ax in enumerate(axes):
        if cr >= num_rounds:
            ax.set_axis_off()
            continue
        _draw_round(ax, episode, cr)
    _map_legend(axes[-1] if num_rounds < len(axes) else None, figure, episode.world.scenario)
    return figure


def _draw_round(ax: Axes, episode: Episode, cr: int) -> None:
    world, model = episode.world, episode.chosen.model[cr]
    scenario, client_m = world.scenario, world.client_m[cr]
    _draw_streets(ax, scenario)
    edge_m = torch.tensor([edge.position_m for edge in scenario.edges], dtype=torch.float64)
    edge_of_model = torch.tensor([one.edge for one in scenario.models])
    colours = colours_of_models(scenario)
    active = episode.chosen.sensed[cr] > 0
    width, size = (0.35, 9.0) if len(client_m) > _MANY_CLIENTS else (0.9, 30.0)
    for n in range(len(client_m)):
        served = int(model[n])
        end = edge_m[edge_of_model[served]]
        if active[n]:
            xs, ys = ([float(client_m[n, k]), float(end[k])] for k in range(2))
            ax.plot(xs, ys, color=colours[served], linewidth=width, alpha=0.45, zorder=2)
    targets = world.target_m[cr]
    domains = [COLOURS[int(d) % len(COLOURS)] for d in world.domain_of_target]
    ax.scatter(targets[:, 0], targets[:, 1], s=11, c=domains, marker="s", alpha=0.75, linewidths=0, zorder=3)
    face = [colours[int(m)] if on else "white" for m, on in zip(model, active, strict=True)]
    edges = [colours[int(m)] for m in model]
    ax.scatter(client_m[:, 0], client_m[:, 1], s=size, c=face, edgecolors=edges, linewidths=0.9, zorder=4)
    ax.scatter(edge_m[:, 0], edge_m[:, 1], s=150, c="black", marker="^", zorder=5)
    _draw_ranges(ax, episode, cr)
    ax.spines[["top", "right"]].set_visible(True)
    ax.grid(False)
    gain = float(episode.chosen.gain[cr])
    ax.set(xlim=(0, scenario.side_m), ylim=(0, scenario.side_m), aspect="equal", xticks=[], yticks=[])
    present = int((~client_m.isnan().any(-1)).sum())
    ax.set_title(f"round {cr + 1}: gain {gain:.2f}, {int(active.sum())} of {present} clients sense", fontsize=10)


def _draw_ranges(ax: Axes, episode: Episode, cr: int) -> None:
    from matplotlib.patches import Circle

    sensing = episode.world.scenario.sensing
    for name, n in zip("ABC", shown_clients(episode), strict=False):
        x, y = (float(v) for v in episode.world.client_m[cr, n])
        for range_m, style in ((sensing.wireless_range_m, "--"), (sensing.visual_range_m, "-")):
            ax.add_patch(Circle((x, y), range_m, fill=False, linestyle=style, linewidth=0.9, color="#333333", zorder=6))
        side_m = episode.world.scenario.side_m
        inwards = 7 if x < side_m / 2 else -7, 7 if y < side_m / 2 else -7
        ax.annotate(
            name, (x, y), textcoords="offset points", xytext=inwards, fontsize=10, fontweight="bold", zorder=8,
            ha="left" if inwards[0] > 0 else "right", va="bottom" if inwards[1] > 0 else "top",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "#333333", "linewidth": 0.6},
        )  # fmt: skip


def _draw_streets(ax: Axes, scenario: Scenario) -> None:
    if not isinstance(scenario.mobility, ManhattanNumbers):
        return
    for k in range(scenario.mobility.num_blocks + 1):
        at = scenario.side_m * k / scenario.mobility.num_blocks
        ax.axhline(at, color="#e7e7e7", linewidth=3.0, zorder=0)
        ax.axvline(at, color="#e7e7e7", linewidth=3.0, zorder=0)


def _map_legend(free: Axes | None, figure: Figure, scenario: Scenario) -> None:
    """In the panel that is left over, or below."""
    from matplotlib.lines import Line2D

    def dot(marker: str, colour: str, label: str, face: str | None = None) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, linestyle="", label=label, markerfacecolor=face or colour)

    sensing = scenario.sensing
    marks = [
        dot("^", "black", "edge"),
        dot("o", "#333333", "client, in the colour of the model it serves"),
        dot("o", "#333333", "client that senses nothing", "white"),
        dot("s", "#333333", "target, in the colour of its domain"),
        Line2D([], [], color="#333333", linestyle="--", label=f"wireless sensing, {sensing.wireless_range_m:g} m"),
        Line2D([], [], color="#333333", linestyle="-", label=f"visual sensing, {sensing.visual_range_m:g} m"),
    ]
    marks += [dot("D", COLOURS[d % len(COLOURS)], f"domain {d + 1}") for d in range(min(scenario.num_domains, 8))]
    if free is None:
        figure.legend(handles=marks, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    else:
        free.legend(handles=marks, loc="center", frameon=False, fontsize=11, labelspacing=0.9)


def draw_boards(episode: Episode) -> Figure:
    """The pools of a few clients over all CRs: who uses which share of spectrum and computing when."""
    clients = shown_clients(episode)
    schedules = schedules_of(episode.world, episode.regime, episode.chosen)
    figure, axes = _figure(
        2 * len(clients), 1, (12.5, 3.9 * len(clients) + 0.9),
        f"Boards: {label_of(episode.policy)} in {episode.scenario}; "
        "numbers are rounds; a CR senses for one round while it consumes the round before",
    )  # fmt: skip
    grid = Grid(num_slots=9, num_rows=5)
    for position, (name, n) in enumerate(zip("ABC", clients, strict=False)):
        pair = axes[2 * position], axes[2 * position + 1]
        draw_board(pair, [of_client(schedule, n) for schedule in schedules], grid)
        if own := pair[0].get_legend():
            own.remove()
        served = " → ".join(str(int(m) + 1) for m in episode.chosen.model[:, n])
        mhz, giga = float(episode.world.bandwidth_hz[n]) / 1e6, float(episode.world.cycles_per_s[n]) / 1e9
        pair[0].set_xlabel("")
        pair[0].annotate(
            f"client {name}: models {served}; {mhz:.1f} MHz, {giga:.1f} G cycles/s", (0, 1), fontsize=10,
            fontweight="bold", xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        )  # fmt: skip
    figure.legend(**legend(), loc="outside lower center", frameon=False, fontsize=10)
    return figure


def of_client(schedule: Schedule, client: int) -> Schedule:
    """The schedule of one client of [num_clients]."""
    columns = (schedule.start_s, schedule.end_s, schedule.low, schedule.high, schedule.duration_s)
    return Schedule(schedule.pieces, *(column[client] for column in columns))


def draw_gain(episode: Episode) -> Figure:
    """Gain of every round, and the totals of all policies against the best there is."""
    figure, axes = _figure(
        1, 2, (12.5, 5.2), f"Gain in {episode.scenario}, {_CLIENTS[episode.regime.name]}, "
        f"random seed {episode.random_seed}",
    )  # fmt: skip
    _draw_rounds(axes[0], episode)
    _draw_totals(axes[1], episode)
    return figure


def _draw_rounds(ax: Axes, episode: Episode) -> None:
    """The policy, the best others that differ from it, and the reference."""
    names = [episode.policy]
    for name in sorted(episode.rollouts, key=episode.gain_of, reverse=True):
        gains = [episode.gain_of(one) for one in names]
        # Curves on one another show nothing; where nobody gains anything, there is one curve.
        if len(names) < 6 and not any(math.isclose(gain, episode.gain_of(name), rel_tol=1e-6) for gain in gains):
            names.append(name)
    for position, name in enumerate(names):
        gain, first = episode.rollouts[name].gain, position == 0
        ax.plot(
            range(1, len(gain) + 1), gain, color=_CURVES[position], marker="o", markersize=5 if first else 3.5,
            linewidth=2.4 if first else 1.2, label=label_of(name), zorder=5 if first else 3,
        )  # fmt: skip
    if episode.reference is not None:
        gain, name = episode.reference.gain, episode.reference.name
        ax.plot(range(1, len(gain) + 1), gain, "k:", linewidth=1.8, label=name, zorder=6)
    ax.set(xlabel="round", ylabel="gain of the round", title="the policy and the best others", ylim=(0, None))
    ax.set_xticks(range(1, len(episode.chosen.gain) + 1))
    ax.legend(frameon=False, fontsize=9, ncols=2)


def _draw_totals(ax: Axes, episode: Episode) -> None:
    names = sorted(episode.rollouts, key=episode.gain_of)
    colours = [_CURVES[0] if name == episode.policy else "#9DB9CF" for name in names]
    bars = ax.barh([label_of(name) for name in names], [episode.gain_of(name) for name in names], color=colours)
    ax.bar_label(bars, [_share(episode, name) for name in names], padding=-46, fontsize=9.5)
    reference, share = episode.reference, ""
    if reference is not None:
        share = f", as share of the {reference.name} (dotted)"
        ax.axvline(reference.total, color="black", linestyle=":", linewidth=1.8)
    ax.set(xlabel="gain of all rounds", title=f"all policies{share}")
    ax.grid(axis="y", alpha=0.0)


def _share(episode: Episode, policy: str) -> str:
    share = episode.share_of(policy)
    return f"{episode.gain_of(policy):.2f}" if share is None else f"{100 * share:.1f} %"


def colours_of_models(scenario: Scenario) -> Sequence[str]:
    """A colour for every model, that of its main domain."""
    main = [max(range(scenario.num_domains), key=lambda d: model.domains[d]) for model in scenario.models]
    return [COLOURS[d % len(COLOURS)] for d in main]


def _figure(rows: int, columns: int, size_in: tuple[float, float], title: str) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes:
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes
