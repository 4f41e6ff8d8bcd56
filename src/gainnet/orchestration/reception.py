"""How well clients and edges receive each other in every round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.surroundings import blocked
from gainnet.radio import pathloss
from gainnet.radio.impulse import ImpulseResponses

_NOISE_DBM_PER_HZ = -174.0


def reception_hz(
    scenario: Scenario, client_m: Tensor, vehicle_m: Tensor, bandwidth_hz: Tensor, random: Random
) -> tuple[Tensor, Tensor]:
    """Received power over noise density down and up, [*batch, num_crs, num_clients, num_edges] each.

    place --path loss, shadowing, fading | impulse responses--> gain --blockage--> --noise, other cells--> C / N0

    Args:
        scenario: powers, heights, edges and what disturbs.
        client_m: [*batch, num_crs, num_clients, 2], positions; NaN where a client is away, who receives nothing.
        vehicle_m: [*batch, num_crs, num_vehicles, 2], who may stand in the way.
        bandwidth_hz: [*batch, num_clients], of the clients.
        random: one stream per scenario.

    Raises:
        ConfigError: a file of impulse responses does not fit.
    """
    radio, present = scenario.radio, ~client_m.isnan().any(-1)
    place_m = client_m.nan_to_num(0.0)
    if radio.responses is None:
        gain = _statistical(scenario, place_m, random)
    else:
        gain = _of_responses(scenario, Path(radio.responses.path), place_m, bandwidth_hz)
    if radio.blockage is not None:
        heights_m = radio.client_height_m, radio.edge_height_m, radio.blockage.vehicle_height_m
        behind = blocked(client_m, edges_m(scenario), vehicle_m, heights_m, radio.blockage.vehicle_width_m)
        gain = torch.where(behind, gain * 10 ** (-radio.blockage.loss_db / 10), gain)
    if not bool(present.all()):
        gain = torch.where(present.unsqueeze(-1), gain, 0.0)
    down, up = cn0_of_gain_hz(scenario, gain)
    if radio.interference > 0:
        down, up = _among_cells(scenario, down, up, bandwidth_hz)
    return _associated(scenario, place_m, down), _associated(scenario, place_m, up)


def edges_m(scenario: Scenario) -> Tensor:
    """[num_edges, 2], positions in m."""
    return torch.tensor([edge.position_m for edge in scenario.edges], dtype=torch.float64)


def nearest_edge(scenario: Scenario, client_m: Tensor) -> Tensor:
    """[...], int64, the nearest edge of clients at [..., 2] m."""
    nearest: Tensor = (client_m.unsqueeze(-2) - edges_m(scenario)).norm(dim=-1).argmin(-1)
    return nearest


def cn0_of_gain_hz(scenario: Scenario, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Received power over noise density down and up, [...] each, of power gains [...]."""
    radio = scenario.radio
    down_dbhz = radio.edge_tx_power_dbm - _NOISE_DBM_PER_HZ - radio.client_noise_figure_db
    up_dbhz = scenario.clients.tx_power_dbm - _NOISE_DBM_PER_HZ - radio.edge_noise_figure_db
    return gain * 10 ** (down_dbhz / 10), gain * 10 ** (up_dbhz / 10)


def of_snr_hz(scenario: Scenario, snr_db: Tensor, bandwidth_hz: Tensor) -> tuple[Tensor, Tensor]:
    """Received power over noise density down and up, [*batch, num_crs, num_clients, num_edges], as it was measured.

    The uplink has less by the difference of powers and noise figures (assumed: a phone measures the downlink alone).

    Args:
        scenario: powers.
        snr_db: [*batch, num_crs, num_clients], of the downlink on the client's band; NaN is no link.
        bandwidth_hz: [*batch, num_clients].
    """
    snr = torch.where(snr_db.isnan(), 0.0, 10 ** (snr_db / 10))
    down = (snr * bandwidth_hz.unsqueeze(-2)).unsqueeze(-1).expand(*snr.shape, len(scenario.edges))
    less = [float(x) for x in cn0_of_gain_hz(scenario, torch.ones((), dtype=torch.float64))]
    return down, down * (less[1] / less[0])


def _statistical(scenario: Scenario, client_m: Tensor, random: Random) -> Tensor:
    """[*batch, num_crs, num_clients, num_edges], power gains; both directions have the same."""
    radio = scenario.radio
    distance_m = (client_m.unsqueeze(-2) - edges_m(scenario)).norm(dim=-1)
    shape = tuple(distance_m.shape[-3:])
    moved_m = (client_m - client_m.roll(1, -3)).norm(dim=-1)

    def walk(name: str, correlation_m: float) -> Tensor:
        return pathloss.along_the_way(random.normal(shape, name).double(), moved_m, correlation_m)

    # A Gaussian process made uniform: line of sight comes and goes along the way, with the right probability
    # everywhere.
    in_sight = torch.special.ndtr(walk("sight", pathloss.SIGHT_M)) < pathloss.line_of_sight_probability(distance_m)
    shadowing_db = torch.where(
        in_sight,
        pathloss.LOS_SHADOWING_DB * walk("shadowing in sight", pathloss.LOS_SHADOWING_M),
        pathloss.NLOS_SHADOWING_DB * walk("shadowing", pathloss.NLOS_SHADOWING_M),
    )
    loss_db = pathloss.path_loss_db(distance_m, in_sight, radio.carrier_ghz, radio.edge_height_m, radio.client_height_m)
    # The mean of k independent exponential gains is a Gamma variable of shape k over k.
    draws = [g.standard_gamma(radio.fading_blocks, shape) / radio.fading_blocks for g in random.generators("fading")]
    fading = torch.from_numpy(np.stack(draws)).reshape(distance_m.shape)
    # Both directions see the same path at the same time.
    return fading * 10 ** (-(loss_db + shadowing_db) / 10)


def _of_responses(scenario: Scenario, path: Path, client_m: Tensor, bandwidth_hz: Tensor) -> Tensor:
    """[*batch, num_crs, num_clients, num_edges], mean gains over the band of every client."""
    responses = ImpulseResponses.read(path)
    if responses.num_bases != len(scenario.edges):
        raise ConfigError(
            f"radio.responses.path: {path} has {responses.num_bases} base stations for {len(scenario.edges)} edges; "
            "give as many"
        )
    band_hz = bandwidth_hz.unsqueeze(-2).expand(client_m.shape[:-1])
    found = responses.gain(client_m.reshape(-1, 2), band_hz.reshape(-1))
    return found.reshape(*client_m.shape[:-1], len(scenario.edges))


def _among_cells(scenario: Scenario, down: Tensor, up: Tensor, bandwidth_hz: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the power of other cells as noise, spread over the bandwidth of an edge.

    Downlink: all other edges send. Uplink: all clients send whose strongest edge is another one (assumed).
    """
    share = scenario.radio.interference
    band = torch.tensor([edge.bandwidth_hz for edge in scenario.edges], dtype=torch.float64)
    density = down / band
    others = density.sum(-1, keepdim=True) - density
    foreign = torch.nn.functional.one_hot(down.argmax(-1), len(band)) == 0
    arriving = (up * foreign).sum(-2, keepdim=True) / band
    # A client is no interference to itself.
    heard = arriving - up * foreign / band
    return down / (1 + share * others), up / (1 + share * heard.clamp_min(0.0))


def _associated(scenario: Scenario, client_m: Tensor, cn0_hz: Tensor) -> Tensor:
    """The same for every model's edge, where links are with the nearest edge or with all at once."""
    if scenario.radio.association == "nearest":
        serving = nearest_edge(scenario, client_m).unsqueeze(-1)
        return cn0_hz.gather(-1, serving).expand_as(cn0_hz)
    if scenario.radio.association == "cell_free":
        # Maximum-ratio combining: signal-to-noise ratios add up.
        return cn0_hz.sum(-1, keepdim=True).expand_as(cn0_hz)
    return cn0_hz
