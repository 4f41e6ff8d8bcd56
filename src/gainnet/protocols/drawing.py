"""Plans as pictures: a lane per node, what it computes, and the transfers between the lanes."""

from __future__ import annotations

import io
from collections.abc import Sequence

from gainnet.core.types import NodeId
from gainnet.protocols.plan import Compute, Plan, Step

LANE = 30
"""Characters between two lanes."""


def lanes(plan: Plan) -> tuple[NodeId, ...]:
    """Nodes of a plan: the one with the result first, then as they come.

    >>> lanes(Plan((), (NodeId("device"), "image")))
    ('device',)
    """
    nodes = [plan.result[0]]
    for step in plan.steps:
        nodes += [step.node] if isinstance(step, Compute) else [step.source, *step.targets]
    return tuple(dict.fromkeys(nodes))


def draw_text(plan: Plan) -> str:
    """The plan for a terminal, one line per step; an arrow has a head at every node that receives."""
    nodes = lanes(plan)
    head = "".join(node.ljust(LANE) for node in nodes).rstrip()
    rule = "".join("│".ljust(LANE) for _ in nodes).rstrip()
    return "\n".join([head, rule, *(_line(step, nodes) for step in plan.steps), rule])


def draw_figure(plan: Plan) -> bytes:
    """The plan as a PNG file: time goes down, a lane per node, boxes compute, arrows send."""
    # Imported here: drawing is rare, and matplotlib takes long to load.
    from matplotlib.figure import Figure

    nodes = lanes(plan)
    height = max(2.0, 0.34 * (len(plan.steps) + 2))
    figure = Figure(figsize=(2.6 * len(nodes) + 0.6, height), dpi=120)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-0.6, len(nodes) - 0.4)
    axes.set_ylim(len(plan.steps) + 0.6, -1.6)
    axes.set_axis_off()
    for column, node in enumerate(nodes):
        axes.text(column, -1.0, node, ha="center", va="center", fontsize=11, weight="bold")
        axes.plot([column, column], [-0.5, len(plan.steps) - 0.3], color="0.8", lw=1, zorder=0)
    for row, step in enumerate(plan.steps):
        _draw_step(axes, step, row, nodes)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _line(step: Step, nodes: Sequence[NodeId]) -> str:
    # A row of lanes is drawn first and the step over it, so that crossed lanes stay visible.
    cells = list("".join("│".ljust(LANE) for _ in nodes))
    if isinstance(step, Compute):
        at = nodes.index(step.node) * LANE
        return _written(cells, at, f"■ {step.part.name}"[: LANE - 1])
    source, targets = nodes.index(step.source), [nodes.index(target) for target in step.targets]
    first, last = min(source, *targets) * LANE, max(source, *targets) * LANE
    cells[first : last + 1] = "─" * (last - first + 1)
    cells[source * LANE] = "●"
    for target in targets:
        cells[target * LANE] = "▶" if target > source else "◀"
    name = step.arrives_as or step.tensor
    return _written(cells, first + 2, f" {name} ({type(step.codec).__name__}) "[: last - first - 3])


def _written(cells: list[str], at: int, text: str) -> str:
    cells[at : at + len(text)] = text
    return "".join(cells).rstrip()


def _draw_step(axes, step: Step, row: int, nodes: Sequence[NodeId]) -> None:  # type: ignore[no-untyped-def]
    if isinstance(step, Compute):
        box = {"boxstyle": "round,pad=0.25", "fc": "#dbe9f6", "ec": "#4f81bd", "lw": 0.8}
        axes.text(nodes.index(step.node), row, step.part.name, ha="center", va="center", fontsize=7.5, bbox=box)
        return
    source = nodes.index(step.source)
    for target in step.targets:
        arrow = {"arrowstyle": "-|>", "color": "#c0504d", "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (nodes.index(target), row), (source, row), arrowprops=arrow)
    middle = (source + nodes.index(step.targets[0])) / 2.0
    label = f"{step.arrives_as or step.tensor} · {type(step.codec).__name__}"
    axes.text(middle, row - 0.08, label, ha="center", va="bottom", fontsize=7, color="#8c2f2c")
