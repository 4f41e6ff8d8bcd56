"""How long a mixed-integer program takes to find an association as good as a given one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from gainnet.orchestration import LoadTable, milp_round

_FIRST_LIMIT_S = 1.0
_GAP = 1e-3


@final
@dataclass(frozen=True)
class Race:
    """Outcome of the programs.

    Args:
        gain: of its best association.
        duration_s: measured time of the program that was as good, or of the last one.
        reached: whether it was as good.
    """

    gain: float
    duration_s: float
    reached: bool


def race(table: LoadTable, gain: float, time_limit_s: float) -> Race:
    """Solves the round with 1, 2, 4, ... seconds until the association is as good as `gain`.

    A program that is given T seconds reports its best association at the end, so the time is known up to a factor of
    two; only the last program counts, not those before, and not the time that the table of worths took. All of that
    favours the program.

    Args:
        table: worths of one scenario in one round.
        gain: of the association to reach.
        time_limit_s: of the longest program > 0.

    >>> from gainnet.studies.gairom.arena import arena, scenario_of_regime
    >>> from gainnet.orchestration import State, graph_of
    >>> one = arena(scenario_of_regime("independent", 4), "contention", 0)
    >>> graph = graph_of(one.world, one.regime, 0, State.empty(one.world))
    >>> race(LoadTable.of(graph), 0.0, 5.0).reached
    True
    """
    limit_s = min(_FIRST_LIMIT_S, time_limit_s)
    while True:
        found = milp_round(table, limit_s, _GAP)
        reached = found.gain >= gain * (1 - 1e-9)
        if reached or limit_s >= time_limit_s:
            return Race(found.gain, found.duration_s, reached)
        limit_s = min(2 * limit_s, time_limit_s)
