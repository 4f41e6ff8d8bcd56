"""Secure aggregation: the sum is exact, a summand is uniform, members may fall away, and robust rules need groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from gainnet.core.errors import ConfigError, PayloadError, PlanError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Open, WeightedMean
from gainnet.learning.clients import Client, cell_of, devices_of
from gainnet.learning.exchange import PRIVATE, Exchange, Uplink
from gainnet.learning.safeguards.crowd import Hosted, Weighted
from gainnet.learning.safeguards.masking import agree_secret, join_secret, mask_of, seal, split_secret, to_ring, unseal
from gainnet.learning.safeguards.member import Member, unmask, unmask_despite
from gainnet.learning.safeguards.noise import Seeded
from gainnet.learning.safeguards.privacy import NoisyMean, PrivateMean
from gainnet.learning.safeguards.robust import Median
from gainnet.learning.safeguards.secure_aggregation import MaskedMean, MaskedPrivateMean, MaskedSum
from gainnet.network import profile
from gainnet.radio import AWGN, Air, AnyLink, Ideal, Tabulated


def exchange(num: int, up: AnyLink | None = None, seed: int = 0) -> Exchange:
    links = (up or Ideal(),)
    cell = cell_of(devices_of(num), profile("edge_l4"), profile("phone"), links, (Ideal(),))
    return Exchange(cell, Random.of(seed), PRIVATE)


def clients(num: int) -> list[Client]:
    return [Client(name, torch.zeros(3 + i, 4)) for i, name in enumerate(devices_of(num))]


def vectors(num: int, size: int = 40) -> list[tuple[Client, Tensor]]:
    return [(c, Random.of(i).normal((size,), "x").double()) for i, c in enumerate(clients(num))]


def summed(uplink: Uplink, given: list[tuple[Client, Tensor]]) -> tuple[Tensor, tuple[str, ...]]:
    sums = MaskedSum()
    return sums.total(uplink, Hosted.of([(c.name, x) for c, x in given], sums.threshold(len(given)), 20))


def test_the_sum_is_the_plain_sum_exactly() -> None:
    given = vectors(5)
    total, names = summed(Uplink(exchange(5), "adapters"), given)
    fixed = [(x * 2**20).trunc() / 2**20 for _, x in given]
    assert torch.equal(total, torch.stack(fixed).sum(0)), "to the last bit, in the ring"
    assert names == devices_of(5)


@pytest.mark.parametrize("num_lost", [0, 1, 2, 3])
def test_members_that_fall_away_after_the_shares_are_left_out_exactly(num_lost: int) -> None:
    """Every choice of who is lost: the masks that others share with them come off by their key."""
    numbers, size = (1, 2, 4, 7, 9), 6
    rings = {i: np.arange(size, dtype=np.uint32) * np.uint32(i * 458_993_459) for i in numbers}
    members = {i: Member(i, 3) for i in numbers}
    publics = {i: member.public for i, member in members.items()}
    made = {i: member.shares(publics) for i, member in members.items()}
    masked = {i: members[i].masked(rings[i], publics) for i in numbers}
    for lost in itertools.combinations(numbers, num_lost):
        for member in members.values():
            member._answered = None  # as in a round of its own
        arrived = [i for i in numbers if i not in lost]
        total = np.sum([masked[i] for i in arrived], axis=0, dtype=np.uint32)
        if len(arrived) < 3:
            with pytest.raises(PlanError, match="no share"):
                members[arrived[0]].revealed({}, publics, arrived, lost)
            continue
        given = {i: members[i].revealed({j: made[j][i] for j in numbers}, publics, arrived, lost) for i in arrived}
        shares = {about: {i: given[i][about] for i in arrived} for about in numbers}
        wanted = np.sum([rings[i] for i in arrived], axis=0, dtype=np.uint32)
        assert np.array_equal(unmask(total, publics, shares, arrived), wanted)


def test_a_member_does_not_give_both_secrets_of_another_away() -> None:
    with pytest.raises(PlanError, match="no share"):
        Member(1, 2).revealed({}, {}, arrived=(1, 2), lost=(2,))


def test_a_masked_update_is_uniform() -> None:
    """Over the 256 values of every byte; the update itself is far from it."""
    ring = to_ring(0.01 * Random.of(0).normal((100_000,), "x"), 20, 3)
    members = {i: Member(i, 2) for i in (1, 2, 3)}
    publics = {i: member.public for i, member in members.items()}
    own_mask_alone = ring + mask_of(bytes(range(32)), len(ring))
    for hidden in (members[2].masked(ring, publics), members[2].masked(ring, {2: publics[2]}), own_mask_alone):
        found = [chisquare(np.bincount(part, minlength=256)).pvalue for part in hidden.view(np.uint8).reshape(-1, 4).T]
        assert min(found) > 1e-7
        assert abs(np.corrcoef(hidden.view(np.int32), ring.view(np.int32))[0, 1]) < 0.02
    assert max(chisquare(np.bincount(p, minlength=256)).pvalue for p in ring.view(np.uint8).reshape(-1, 4).T[2:]) < 1e-9


@pytest.mark.slow
def test_updates_that_come_too_late_are_left_out() -> None:
    """Vectors go up one after the other, so that a deadline between two of them loses the rest."""
    given, air = vectors(6), exchange(6, Tabulated(Air(AWGN(), 10.0)))
    summed(Uplink(air, "adapters"), given)
    stops = sorted(s.stop_s for s in air.report().steps if "adapters" in s.label and s.direction == "up")
    assert len(stops) == 6
    total, names = summed(Uplink(exchange(6, Tabulated(Air(AWGN(), 10.0))), "adapters", stops[3]), given)
    assert len(names) == 4
    wanted = [(x * 2**20).trunc() / 2**20 for c, x in given if c.name in names]
    assert torch.equal(total, torch.stack(wanted).sum(0))


def test_too_late_is_lost_and_too_few_say_nothing() -> None:
    total, names = summed(Uplink(exchange(3, Tabulated(Air(AWGN(), 10.0))), "adapters", 1e-9), vectors(3))
    assert names == ()
    assert not total.any()
    with pytest.raises(ConfigError, match="hides nothing"):
        MaskedSum().summed(Uplink(exchange(1), "adapters"), *finished_alone())


def finished(num: int) -> tuple[dict[str, Tensor], list[tuple[float, Client, dict[str, Tensor]]]]:
    start = {"a": torch.ones(2, 3), "b": torch.zeros(4)}
    made = [{n: x + Random.of(i).normal(x.shape, n) for n, x in start.items()} for i in range(num)]
    return start, [(float(num - i), c, values) for i, (c, values) in enumerate(zip(clients(num), made, strict=True))]


def finished_alone() -> tuple[dict[str, Tensor], Weighted, list[tuple[float, Client, dict[str, Tensor]]]]:
    start, done = finished(1)
    return start, Weighted(1.0), done


def test_the_masked_mean_is_the_open_mean(random: Random) -> None:
    start, done = finished(4)
    hidden = MaskedMean().gather(Uplink(exchange(4), "adapters"), start, done, random)
    plain = Open().gather(Uplink(exchange(4), "adapters"), start, done, random)
    assert hidden.included == plain.included == devices_of(4)
    for name in start:
        torch.testing.assert_close(hidden.state[name], plain.state[name], rtol=0, atol=1e-5)


def test_noise_on_the_masked_sum_is_noise_on_the_open_one(random: Random) -> None:
    start, done = finished(4)
    mean = NoisyMean(0.5, 1.0, 4, Seeded())
    hidden = MaskedPrivateMean(mean).gather(Uplink(exchange(4), "adapters"), start, done, random)
    plain = Open(PrivateMean(mean)).gather(Uplink(exchange(4), "adapters"), start, done, random)
    for name in start:
        torch.testing.assert_close(hidden.state[name], plain.state[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("num", [0, 1])
def test_a_round_with_nobody_to_hide_among_lets_noise_out(num: int, random: Random) -> None:
    start, done = finished(4)
    mean = MaskedPrivateMean(NoisyMean(0.5, 1.0, 4))
    merged = mean.gather(Uplink(exchange(4), "adapters"), start, done[:num], random)
    assert merged.included == ()
    assert not torch.equal(merged.state["b"], start["b"])


def test_a_rule_that_compares_needs_groups(random: Random) -> None:
    for num_groups in (1, 2):
        with pytest.raises(ConfigError, match="groups"):
            MaskedMean(Median(), num_groups)
    start, done = finished(5)
    with pytest.raises(ConfigError, match="groups"):
        MaskedMean(Median(), 3).gather(Uplink(exchange(5), "adapters"), start, done, random)
    start, done = finished(8)
    done[2][2]["b"].fill_(150.0)
    robust = MaskedMean(Median(), 3).gather(Uplink(exchange(8), "adapters"), start, done, random)
    plain = MaskedMean(WeightedMean(), 3).gather(Uplink(exchange(8), "adapters"), start, done, random)
    assert float(robust.state["b"].abs().max()) < 3 < 10 < float(plain.state["b"].abs().max())
    assert set(robust.included) == set(devices_of(8))


def test_everything_crosses_the_air(random: Random) -> None:
    start, done = finished(3)
    air = exchange(3)
    MaskedMean().gather(Uplink(air, "adapters"), start, done, random)
    labels = [step.label for step in air.report().steps if step.direction != "none"]
    for kind in ("keys", "shares", "adapters"):
        assert sum(kind in label for label in labels) >= 3
    ring_bits = 32 * (10 + 1)
    assert all(s.num_bits > ring_bits for s in air.report().steps if "adapters" in s.label and s.direction == "up")


def test_one_member_that_gives_wrong_shares_is_found_and_the_sum_is_right() -> None:
    numbers, ring = (1, 2, 3, 4), np.arange(6, dtype=np.uint32)
    members = {i: Member(i, 3) for i in numbers}
    publics = {i: member.public for i, member in members.items()}
    made = {i: member.shares(publics) for i, member in members.items()}
    total = np.sum([member.masked(ring, publics) for member in members.values()], axis=0, dtype=np.uint32)
    given = {i: members[i].revealed({j: made[j][i] for j in numbers}, publics, numbers, ()) for i in numbers}
    shares = {about: {i: given[i][about] for i in numbers} for about in numbers}
    assert unmask_despite(total, publics, shares, numbers, 3)[1] is None
    shares[1][3] = shares[2][3]
    bare, liar = unmask_despite(total, publics, shares, numbers, 3)
    assert liar == 3
    assert np.array_equal(bare, 4 * ring)
    shares[1][2] = shares[2][2]
    with pytest.raises(PayloadError, match="do not belong together"):
        unmask_despite(total, publics, shares, numbers, 3)


def test_shares_give_a_secret_back_and_fewer_do_not() -> None:
    secret = bytes(range(32))
    shares = dict(enumerate(split_secret(secret, 5, 3), 1))
    for some in itertools.combinations(shares, 3):
        assert join_secret({i: shares[i] for i in some}) == secret
    with pytest.raises(PayloadError):
        join_secret({i: shares[i] for i in (1, 4)})
    with pytest.raises(ConfigError):
        split_secret(secret, 3, 4)


def test_sealed_shares_cannot_be_changed() -> None:
    content = seal(b"share", bytes(32))
    with pytest.raises(PayloadError, match="changed"):
        unseal(bytes([content[0] ^ 1]) + content[1:], bytes(32))


def test_a_member_answers_one_request_a_round() -> None:
    """Two that contradict each other gave both secrets of a member, and so its update, away."""
    members = {i: Member(i, 2) for i in (1, 2, 3)}
    publics = {i: member.public for i, member in members.items()}
    held = {j: member.shares(publics)[1] for j, member in members.items()}
    first = members[1].revealed(held, publics, (1, 2, 3), ())
    assert members[1].revealed(held, publics, (3, 2, 1), ()) == first, "the same again is a retry"
    with pytest.raises(PlanError, match="no share"):
        members[1].revealed(held, publics, (1, 2), (3,))


@pytest.mark.parametrize("odd", [b"", b"short", bytes(64), bytes(1000)])
def test_malformed_keys_and_shares_are_one_line(odd: bytes) -> None:
    member, publics = Member(1, 2), {1: Member(1, 2).public, 2: Member(2, 2).public}
    ring = np.zeros(3, dtype=np.uint32)
    for call in (
        lambda: member.shares({1: publics[1], 2: odd}),
        lambda: member.masked(ring, {1: publics[1], 2: odd}),
        lambda: member.revealed({1: odd, 2: odd}, publics, (1, 2), ()),
        lambda: Member(1, 2).revealed({}, publics, (1, 2), ()),
        lambda: Member(1, 2).revealed({1: odd, 2: odd}, {1: odd, 2: odd}, (1, 2), ()),
        lambda: unmask(ring, publics, {1: {1: odd, 2: odd}}, (1, 2)),
        lambda: unmask(ring, publics, {1: {9: bytes(66)}}, (1, 2)),
        lambda: unmask(ring, publics, {1: {}}, (1, 2)),
    ):
        with pytest.raises(PayloadError) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [(3, 5, 4), (120,) * 10, (1_000_000, 2, 700_000), (3_000_000_000, 1)])
def test_any_number_of_rows_with_the_error_that_is_stated(rows: tuple[int, ...], random: Random) -> None:
    start, num = {"a": torch.zeros(60, dtype=torch.float64)}, len(rows)
    crowd = [Client(name, torch.empty(n, 0)) for name, n in zip(devices_of(num), rows, strict=True)]
    done = [(0.0, c, {"a": Random.of(i).normal((60,), "x").double().clamp(-4, 4)}) for i, c in enumerate(crowd)]
    hidden = MaskedMean().gather(Uplink(exchange(num), "adapters"), start, done, random).state["a"]
    plain = Open().gather(Uplink(exchange(num), "adapters"), start, done, random).state["a"]
    sums = MaskedSum()
    bound = 2.0**-sums.num_fraction_bits * num * sums.scale(max(rows), num) / sum(rows)
    # The sum of the weights is off by as much as a value, which moves the mean by that times itself.
    assert float((hidden - plain).abs().max()) <= bound * (1 + float(plain.abs().max()))
    assert bound <= max(2.0**-28 * num**2, 2.0**-20)


@pytest.mark.parametrize("value", [2.0**11, float("nan"), float("-inf")])
def test_what_does_not_fit_the_ring_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="update"):
        to_ring(torch.tensor([value]), 20, 1)


def test_purposes_have_keys_of_their_own() -> None:
    from gainnet.learning.safeguards.masking import new_key, public_of

    one, other = new_key(), new_key()
    assert agree_secret(one, public_of(other), "mask") != agree_secret(one, public_of(other), "share 1 2")


@pytest.fixture
def random() -> Random:
    return Random.of(3)
