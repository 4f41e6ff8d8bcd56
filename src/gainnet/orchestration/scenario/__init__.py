"""A square with edges, connected vehicles and targets: every number of it, from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, final

from pydantic import BaseModel, Field, ValidationError, model_validator

from gainnet.core.errors import ConfigError, nearest
from gainnet.core.files import read_toml
from gainnet.core.outside import first_mistake


def _added(default: Any) -> Any:
    """A field that scenarios got later: left out where it is its default, so that digests of older ones hold."""
    return Field(default, exclude_if=lambda value: value == default)


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Range = tuple[Positive, Positive]
Count = Annotated[int, Field(ge=1, le=200_000)]
Ceiling = Literal["steady", "consumable"]
"""The bound on the samples of a round: what a steady state holds (Zeros is then never worse than serial), or only what
another CR could consume with its whole pool."""


@final
class Rounds(BaseModel, frozen=True, extra="forbid"):
    """Communication rounds: `num_rounds` decisions, and one more CR that only consumes, each of `duration_s`."""

    num_rounds: Annotated[int, Field(ge=1, le=1000)]
    duration_s: Positive
    ceiling: Ceiling = "steady"


@final
class Clients(BaseModel, frozen=True, extra="forbid"):
    """Connected vehicles; bandwidth and compute rate are uniform between two values."""

    num_clients: Count
    bandwidth_hz: Range
    cycles_per_s: Range
    tx_power_dbm: Finite


@final
class Targets(BaseModel, frozen=True, extra="forbid"):
    """Other vehicles; the domain of each is uniform (assumed)."""

    num_targets: Count


@final
class Camera(BaseModel, frozen=True, extra="forbid"):
    """A camera, which sees the targets in range that are within its angle around the way ahead and behind no other."""

    field_of_view_deg: Annotated[float, Field(gt=0, le=360)]
    vehicle_width_m: Positive = 1.8


@final
class SensingNumbers(BaseModel, frozen=True, extra="forbid"):
    """Ranges and rates of sensors, and the resources that a sample takes.

    In one CR a target has at most `most_samples_per_target` that differ, of each kind; without it there is no limit.
    Without a camera every target in range is seen.
    """

    camera: Camera | None = _added(None)

    most_samples_per_target: Positive | None = None
    wireless_range_m: NotNegative
    visual_range_m: NotNegative
    wireless_samples_per_target_s: NotNegative
    visual_samples_per_target_s: NotNegative
    wireless_spectrum_hz_s: Positive
    visual_cycles: Positive


@final
class Blockage(BaseModel, frozen=True, extra="forbid"):
    """Loss of a link across which a vehicle stands (assumed values: 3GPP TR 37.885 has a mean of 9 dB)."""

    loss_db: NotNegative = 9.0
    vehicle_height_m: Positive = 3.0
    vehicle_width_m: Positive = 2.6


@final
class ResponsesNumbers(BaseModel, frozen=True, extra="forbid"):
    """Gains of an npz file of impulse responses instead of path loss, shadowing and fading."""

    path: Path


Association = Literal["own", "nearest", "cell_free"]
"""Which edges a client's link is with: that of the model it serves; the nearest, which fetches the model; or all at
once, whose powers add up."""


@final
class HandOver(BaseModel, frozen=True, extra="forbid"):
    """The cost of a change of the edge: time of the CR that begins on the new one, and gain of the round."""

    interruption_s: NotNegative = 0.0
    cost: NotNegative = 0.0


@final
class Radio(BaseModel, frozen=True, extra="forbid"):
    """The air between edges and clients; fading is the mean power of `fading_blocks` Rayleigh blocks per CR."""

    carrier_ghz: Annotated[float, Field(ge=0.5, le=100.0)]
    edge_height_m: Annotated[float, Field(gt=1.0, le=150.0)]
    client_height_m: Annotated[float, Field(gt=1.0, le=22.5)]
    edge_tx_power_dbm: Finite
    client_noise_figure_db: Finite
    edge_noise_figure_db: Finite
    fading_blocks: Count
    association: Association = _added("own")
    interference: Annotated[float, Field(ge=0, le=1)] = _added(0.0)
    """Share of time in which the other cells are on the air."""
    blockage: Blockage | None = _added(None)
    responses: ResponsesNumbers | None = _added(None)
    measured: bool = _added(False)
    """Whether the links of vehicles have the signal-to-noise ratio that their track was recorded with."""


@final
class GainNumbers(BaseModel, frozen=True, extra="forbid"):
    """How data correlation is measured and how the gain of a model saturates."""

    correlation: Literal["kl", "jensen_shannon", "variance"]
    smoothing: Annotated[float, Field(gt=0, lt=1)]
    function: Literal["log", "saturating"]
    scale_samples: Positive


@final
class WaypointNumbers(BaseModel, frozen=True, extra="forbid"):
    """Random waypoints."""

    kind: Literal["waypoint"]
    least_speed_m_per_s: Positive
    most_speed_m_per_s: Positive


@final
class ManhattanNumbers(BaseModel, frozen=True, extra="forbid"):
    """Streets of a grid."""

    kind: Literal["manhattan"]
    num_blocks: Count
    least_speed_m_per_s: Positive
    most_speed_m_per_s: Positive


@final
class TraceNumbers(BaseModel, frozen=True, extra="forbid"):
    """A file of tracks, as `gainnet.network.track_files.read_tracks` takes; clients come first, targets after them."""

    kind: Literal["trace"]
    path: Path


@final
class RoadNumbers(BaseModel, frozen=True, extra="forbid"):
    """A file of tracks in which whoever is present is a client, and the other vehicles are its targets.

    `start_s` is the time of the file at which the first CR begins, its first one if it is not given; `origin_m` the
    point of the file that is the corner of the square. Further targets, as many as `targets.num_targets`, stand where
    vehicles passed, if `beside` says so.
    """

    kind: Literal["roads"]
    path: Path
    start_s: Finite | None = None
    origin_m: tuple[Finite, Finite] = (0.0, 0.0)
    beside: bool = False


@final
class Edge(BaseModel, frozen=True, extra="forbid"):
    """A base station with a server; its bandwidth is what clients share under contention."""

    position_m: tuple[Finite, Finite]
    bandwidth_hz: Positive
    cycles_per_s: Positive | None = _added(None)
    """Compute rate for training and for requests; without one an edge only relays."""


@final
class DomainModel(BaseModel, frozen=True, extra="forbid"):
    """A domain-specific model on an edge: weights of its domains, size, training cost, weight in the total gain."""

    edge: Annotated[int, Field(ge=0)]
    domains: tuple[NotNegative, ...]
    num_bits: Positive
    cycles_per_sample: Positive
    weight: Positive
    edge_cycles_per_sample: NotNegative = _added(0.0)
    """Cycles that its edge spends on a sample that a client trains on, as in split learning."""


@final
class Requests(BaseModel, frozen=True, extra="forbid"):
    """A class of requests for content of a model: how many, and what one of them takes.

    Users are within `within_m` of the model's edge (assumed). An answer of `num_bits` takes a channel of `bandwidth_hz`
    as long as it needs, and `deadline_s` is the mean delay that they bear, transfer included.
    """

    model: Annotated[int, Field(ge=0)]
    per_s: Positive
    num_bits: Positive
    cycles: Positive
    deadline_s: Positive
    bandwidth_hz: Positive
    within_m: Positive = 150.0


@final
class Scenario(BaseModel, frozen=True, extra="forbid"):
    """Everything about a square but the draw of the dice.

    Raises:
        ConfigError: from `load_scenario` and `scenario_of`, on one line that names the field.

    >>> load_scenario("street").clients.num_clients
    50
    """

    name: str
    side_m: Positive
    num_domains: Annotated[int, Field(ge=1, le=1000)]
    rounds: Rounds
    clients: Clients
    targets: Targets
    sensing: SensingNumbers
    radio: Radio
    gain: GainNumbers
    mobility: Annotated[WaypointNumbers | ManhattanNumbers | TraceNumbers | RoadNumbers, Field(discriminator="kind")]
    handover: HandOver | None = _added(None)
    edges: Annotated[tuple[Edge, ...], Field(min_length=1)]
    models: Annotated[tuple[DomainModel, ...], Field(min_length=1)]
    requests: tuple[Requests, ...] = _added(())

    @model_validator(mode="after")
    def _check(self) -> Scenario:
        for low, high in (self.clients.bandwidth_hz, self.clients.cycles_per_s):
            if low > high:
                raise ValueError(f"clients: a range from {low:g} to {high:g} is empty; give the smaller one first")
        for number, model in enumerate(self.models):
            if model.edge >= len(self.edges):
                raise ValueError(f"models.{number}.edge: there is no edge {model.edge}; there are {len(self.edges)}")
            if len(model.domains) != self.num_domains or sum(model.domains) == 0:
                raise ValueError(f"models.{number}.domains: give {self.num_domains} weights that are not all 0")
        for number, request in enumerate(self.requests):
            if request.model >= len(self.models):
                raise ValueError(f"requests.{number}.model: there is no model {request.model}; give 0 or more")
            edge = self.models[request.model].edge
            if self.edges[edge].cycles_per_s is None:
                raise ValueError(f"edges.{edge}.cycles_per_s: requests need it; give cycles per second, such as 6e10")
        return self


class _Roads(BaseModel, frozen=True):
    mobility: RoadNumbers


_FOLDER = Path(__file__).parent


def scenario_names() -> list[str]:
    """The shipped scenarios.

    >>> scenario_names()
    ['contention', 'coupled', 'figure', 'square', 'street']
    """
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_scenario(name_or_path: str) -> Scenario:
    """The scenario of that name, or of a TOML file.

    Raises:
        ConfigError: neither a shipped name nor a readable file of exactly those fields.

    >>> load_scenario("street").rounds.num_rounds
    5
    >>> load_scenario("streat")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: scenario: 'streat' is unknown; did you mean street? choose one ...
    """
    shipped = name_or_path in scenario_names()
    if not shipped and Path(name_or_path).is_dir():
        raise ConfigError(f"scenario: {name_or_path} is a folder; give a .toml file")
    path = _FOLDER / f"{name_or_path}.toml" if shipped else Path(name_or_path)
    if not shipped and path.suffix != ".toml":
        mend = nearest(name_or_path, scenario_names())
        raise ConfigError(f"scenario: {name_or_path!r} is unknown; {mend}, or give a .toml file")
    return scenario_of(read_toml(path, "scenario"))


def scenario_of(fields: dict[str, Any]) -> Scenario:
    """The scenario of a mapping as TOML gives it; raises `ConfigError` on one line.

    Where it is on recorded roads and has no edges, they are on a grid of 2 x 2 over the bounding box of the tracks.

    >>> scenario_of(load_scenario("street").model_dump() | {"side_m": -1.0})
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: scenario.side_m: -1.0 is not allowed; give more than 0
    """
    try:
        mobility = fields.get("mobility")
        if "edges" not in fields and isinstance(mobility, dict) and mobility.get("kind") == "roads":
            # Read only here: whoever gives edges needs no file of tracks to check a scenario.
            from gainnet.orchestration.roads import edges_over

            fields = {**fields, "edges": edges_over(_Roads.model_validate({"mobility": mobility}).mobility)}
        return Scenario.model_validate(fields)
    except ValidationError as error:
        place, words = first_mistake(error.errors())
        raise ConfigError(f"scenario.{place}: {words}" if place else f"scenario: {words}") from None
