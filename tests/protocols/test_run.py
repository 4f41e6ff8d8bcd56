"""One ledger prices what runs and what is only estimated."""

import numpy as np
import pytest
import torch

from gainnet.codecs import Float32, QuantizedSketch, RawAnalog
from gainnet.codecs.rate_matched import RateMatched
from gainnet.core.errors import NodeFailedError, PlanError
from gainnet.core.randomness import Random
from gainnet.core.types import Size
from gainnet.network import Network, Node
from gainnet.protocols import Compute, Plan, Transfer, estimate, execute
from gainnet.protocols.ledger import Timeline
from gainnet.radio import AWGN, Air, Analog, Digital, Ideal, Rayleigh, Tabulated
from toy_parts import DEVICE, EDGE, OTHER, SHAPE, Add, hardware, network

X = torch.arange(4.0)


def send(codec, source=EDGE, target=DEVICE):
    return Plan(
        (
            Compute(source, Add("x", "y", 1.0, noise=1.0)),
            Transfer(source, (target,), "y", codec),
            Compute(target, Add("y", "z", 2.0)),
        ),
        (target, "z"),
    )


def inputs(batch):
    return {(EDGE, "x"): X.expand(*batch, 4)}


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize(("codec", "link"), [(Float32(), Ideal()), (RawAnalog(), Analog(Air(snr_db=3.0)))])
def test_estimate_equals_execute_for_fixed_sizes(batch, codec, link):
    num_items = int(np.prod(batch, dtype=int))
    random = Random(tuple(range(num_items)), batch)
    _, ran = execute(send(codec), inputs(batch), network(link), random)
    priced = estimate(send(codec), {(EDGE, "x"): SHAPE}, network(link), num_items=num_items)
    assert priced.duration_s == pytest.approx(ran.duration_s, rel=1e-12)
    for a, b in zip(priced.steps, ran.steps, strict=True):
        assert (a.label, a.start_s, a.duration_s, a.energy_j, a.num_bits, a.num_channel_uses, a.flops) == (
            b.label, b.start_s, b.duration_s, b.energy_j, b.num_bits, b.num_channel_uses, b.flops
        )  # fmt: skip
    assert priced.energy_j == ran.energy_j


def test_an_ideal_link_changes_nothing():
    at, _ = execute(send(Float32()), inputs(()), network(Ideal()), Random.of(0))
    torch.testing.assert_close(at[DEVICE, "z"], X + 3.0 + Random.of(0).normal((4,), "add_y"))


@pytest.mark.parametrize(
    ("least_snr", "fewest", "most"), [pytest.param(0.0, 12, 12, marks=pytest.mark.slow), (10.0, 1, 11), (1e9, 0, 0)]
)
def test_an_item_that_no_budget_fits_is_not_delivered(least_snr, fewest, most):
    """A byte carries no sketch, 2,000 bits carry any; some blocks are better than the mean SNR."""
    codec = RateMatched(QuantizedSketch, lambda snr: 2000.0 if snr > least_snr else 8.0, (1.0,))
    plan = Plan((Transfer(EDGE, (DEVICE,), "x", codec),), (DEVICE, "x"))
    sketches = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    link = Tabulated(Air(Rayleigh(), 10.0))
    at, report = execute(plan, {(EDGE, "x"): sketches}, network(link), Random.of(range(12)))
    assert fewest <= sum(bool((x != 0.5).any()) for x in at[DEVICE, "x"]) <= most
    assert report.delivered == (fewest == 12)


def test_item_three_of_a_batch_equals_item_three_alone():
    link = network(Analog(Air(snr_db=0.0)))
    batch, _ = execute(send(RawAnalog()), inputs((4,)), link, Random.of([5, 6, 7, 8]))
    alone, _ = execute(send(RawAnalog()), inputs(()), link, Random.of(8))
    torch.testing.assert_close(batch[DEVICE, "z"][3], alone[DEVICE, "z"])


def test_two_sends_of_one_tensor_have_different_noise():
    codec = RawAnalog()
    steps = (Transfer(EDGE, (DEVICE,), "x", codec, "a"), Transfer(EDGE, (DEVICE,), "x", codec, "b"))
    at, _ = execute(Plan(steps, (DEVICE, "b")), inputs(()), network(Analog(Air(snr_db=0.0))), Random.of(0))
    assert not torch.allclose(at[DEVICE, "a"], at[DEVICE, "b"])


def test_the_tail_of_a_plan_sees_the_noise_of_the_whole():
    link, plan = network(Analog(Air(snr_db=0.0))), send(RawAnalog())
    whole, _ = execute(plan, inputs(()), link, Random.of(1))
    there = {(EDGE, "y"): whole[EDGE, "y"]}
    tail, _ = execute(plan.remaining(there), there, link, Random.of(1))
    torch.testing.assert_close(tail[DEVICE, "z"], whole[DEVICE, "z"])


def test_nodes_work_in_parallel_and_a_node_works_in_sequence():
    def draw(node):
        return (Compute(node, Add("x", "y", 1.0)), Compute(node, Add("y", "z", 1.0)))

    given = {(EDGE, "x"): SHAPE, (OTHER, "x"): SHAPE}
    net = network(Ideal())
    both = estimate(Plan(draw(EDGE) + draw(OTHER), (OTHER, "z")), given, net)
    fast, slow = (estimate(Plan(draw(node), (node, "z")), given, net) for node in (EDGE, OTHER))
    assert fast.duration_s == pytest.approx(2.0)
    assert slow.duration_s == pytest.approx(4.0)
    assert both.duration_s == pytest.approx(4.0)
    assert both.energy_j == pytest.approx(fast.energy_j + slow.energy_j)
    assert both.idle_energy_j == pytest.approx(2.0 * 1.0)


def test_two_edges_share_one_medium():
    def to_device(*sources):
        steps = tuple(Transfer(source, (DEVICE,), "x", RawAnalog(), f"from_{source}") for source in sources)
        return Plan(steps, (DEVICE, f"from_{sources[-1]}"))

    given = {(EDGE, "x"): SHAPE, (OTHER, "x"): SHAPE}
    net = network(Analog(Air(bandwidth_hz=1.0)))
    assert estimate(to_device(EDGE), given, net).duration_s == pytest.approx(2.0)
    assert estimate(to_device(EDGE, OTHER), given, net).duration_s == pytest.approx(4.0)


def test_a_broadcast_is_one_transmission():
    step = Transfer(EDGE, (DEVICE, OTHER), "x", RawAnalog())
    at, report = execute(Plan((step,), (DEVICE, "x")), inputs(()), network(Analog(Air(snr_db=0.0))), Random.of(0))
    assert report.num_channel_uses() == 2
    assert not torch.allclose(at[DEVICE, "x"], at[OTHER, "x"])
    link = Analog()
    assert report.energy_j == pytest.approx(2e-6 * (link.radios.tx_power_w + 2 * link.radios.rx_power_w))


def test_the_directions_of_a_cell():
    plan = send(Float32(), EDGE, OTHER)
    _, report = execute(plan, inputs(()), network(Digital(Air(snr_db=20.0))), Random.of(0))
    assert report.num_channel_uses("backhaul") == report.num_channel_uses() > 0


@pytest.mark.slow
def test_estimate_is_the_mean_of_runs_over_a_link_that_retransmits():
    link = Tabulated(Air(AWGN(), 2.0))
    plan, given = send(Float32()), {(EDGE, "x"): SHAPE}
    runs = [execute(plan, inputs(()), network(link), Random.of(k))[1] for k in range(400)]
    uses = np.array([run.num_channel_uses() for run in runs])
    times_s = np.array([run.duration_s for run in runs])
    priced = estimate(plan, given, network(link))
    assert abs(priced.num_channel_uses() - uses.mean()) <= 4 * uses.std() / np.sqrt(400) + 1e-9
    assert abs(priced.duration_s - times_s.mean()) <= 4 * times_s.std() / np.sqrt(400) + 1e-4 * times_s.mean()


def test_the_critical_path_of_random_steps_is_the_mean_of_the_maximum():
    a, b = np.random.default_rng(0).exponential(size=(2, 1000))
    timeline = Timeline(1000)
    timeline.book(("a",), (), ((EDGE, "a"),), a)
    timeline.book(("b",), (), ((EDGE, "b"),), b)
    timeline.book(("c",), ((EDGE, "a"), (EDGE, "b")), (), 1.0)
    assert timeline.stop_s.mean() == pytest.approx(np.maximum(a, b).mean() + 1.0)
    assert timeline.stop_s.mean() > 2.3


def test_memory_is_checked_with_slices_counted_once():
    def on(memory_bytes):
        return Network({EDGE: Node("edge", hardware(1e9, memory_bytes))}, {})

    plan = Plan((Compute(EDGE, Add("x", "y", 1.0)), Compute(EDGE, Add("y", "z", 1.0))), (EDGE, "z"))
    assert estimate(plan, {(EDGE, "x"): SHAPE}, on(2e6)).steps
    with pytest.raises(PlanError, match="choose larger hardware"):
        estimate(plan, {(EDGE, "x"): SHAPE}, on(1e6))


def test_inputs_of_a_wrong_batch_are_refused():
    with pytest.raises(PlanError, match="does not start with the batch"):
        execute(send(Float32()), inputs((3,)), network(Ideal()), Random.of([1, 2]))


def with_fallback():
    """Both edges send; when one dies the device goes on with the other one's."""
    steps = (
        Compute(EDGE, Add("x", "y", 1.0)),
        Compute(OTHER, Add("x", "y", 10.0)),
        Transfer(EDGE, (DEVICE,), "y", Float32(), "from_edge"),
        Transfer(OTHER, (DEVICE,), "y", Float32(), "from_other"),
        Compute(DEVICE, Add("from_edge", "half", 0.0)),
        Compute(DEVICE, Add("from_other", "result", 0.0)),
    )

    def fallback(arrived):
        key = "from_edge" if (DEVICE, "from_edge") in arrived else "from_other"
        return Plan((Compute(DEVICE, Add(key, "result", 0.0)),), (DEVICE, "result"))

    return Plan(steps, (DEVICE, "result"), fallback)


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_dead_edge_is_replaced_by_what_arrived(index):
    given = {(EDGE, "x"): X, (OTHER, "x"): X}
    net = network(Ideal())
    at, report = execute(with_fallback(), given, net, Random.of(0), failures=((OTHER, index),))
    torch.testing.assert_close(at[DEVICE, "result"], X + 1.0)
    assert all(node != OTHER for node, _ in at)
    assert report.duration_s >= net.detection_s


def test_a_death_after_the_last_transfer_costs_nothing():
    given = {(EDGE, "x"): X, (OTHER, "x"): X}
    at, report = execute(with_fallback(), given, network(Ideal()), Random.of(0), failures=((OTHER, 4),))
    torch.testing.assert_close(at[DEVICE, "result"], X + 10.0)
    assert len(report.steps) == 6


def test_without_a_fallback_a_death_is_an_error():
    with pytest.raises(NodeFailedError, match="edge died"):
        execute(send(Float32()), inputs(()), network(Ideal()), Random.of(0), failures=((EDGE, 1),))


def test_gradients_travel_through_a_run():
    x = X.clone().requires_grad_()
    at, _ = execute(send(RawAnalog()), {(EDGE, "x"): x}, network(Analog(Air(snr_db=10.0))), Random.of(0))
    at[DEVICE, "z"].sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())


def test_usage_of_a_size_scales_with_items():
    link = Analog()
    assert link.usage(Size.fixed(10), 3).num_channel_uses == 30
