"""Studies of orchestration: the race, the pipeline, summaries of tables with known answers, real smoke runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration import Greedy, LoadTable, State, graph_of, play
from gainnet.studies import find_study, run_study, show_study
from gainnet.studies import gairom_robustness as robustness
from gainnet.studies.gairom import GAIROM
from gainnet.studies.gairom.arena import arena, scenario_of_regime
from gainnet.studies.gairom.methods import race
from gainnet.studies.gairom.pipeline import overlap
from gainnet.studies.gairom.question import cases
from gainnet.studies.gairom.summary import metric_names, shares, summarise
from gainnet.studies.gairom_learning import GAIROM_LEARNING, rank_correlations
from gainnet.studies.gairom_learning.digits import load_digits
from gainnet.studies.gairom_learning.fedavg import Perceptrons, Samples, accuracy, average_by_model, local_steps
from gainnet.studies.gairom_learning.training import trained_accuracy
from gainnet.studies.gairom_robustness.methods import as_plain, as_schedules, tighten
from gainnet.studies.presets import load_config

NAMES = ("gain-models", "gairom", "gairom-regimes", "gairom-robustness", "gairom-scale", "gairom-learning")


def row(method: str, regime: str, seed: int, gain: float, **more: Any) -> dict[str, Any]:
    return {"method": method, "regime": regime, "num_clients": 50, "training_seed": None, "random_seed": seed,
            "gain": gain, **more}  # fmt: skip


def test_shares_are_means_over_worlds_of_the_ratio_to_that_worlds_best() -> None:
    rows = [row("reference", "coupled", s, best) for s, best in ((0, 10.0), (1, 20.0))]
    rows += [row("greedy", "coupled", 0, 9.0), row("greedy", "coupled", 1, 16.0)]
    rows += [
        row("sac", "coupled", s, g, training_seed=t) for s, t, g in ((0, 0, 10), (0, 1, 8), (1, 0, 20), (1, 1, 16))
    ]
    metrics = summarise(pd.DataFrame(rows))
    assert metrics["coupled.greedy_of_optimum"] == pytest.approx((0.9 + 0.8) / 2)
    assert metrics["coupled.sac_of_optimum"] == pytest.approx(0.9)
    assert metrics["coupled.sac_of_optimum.worst_training_seed"] == pytest.approx(0.8)
    width = 12.7062 * math.sqrt(2) * 0.05 / math.sqrt(2)
    assert metrics["coupled.greedy_of_optimum.half_width"] == pytest.approx(width, rel=1e-4)
    assert set(metrics) <= set(metric_names())


def test_the_best_baseline_is_that_of_each_world_and_sizes_do_not_mix() -> None:
    rows = [row("reference", "independent", s, 10.0) for s in (0, 1)]
    rows += [row("ml_c", "independent", 0, 8.0), row("mp_tsc", "independent", 0, 4.0)]
    rows += [row("ml_c", "independent", 1, 2.0), row("mp_tsc", "independent", 1, 5.0)]
    rows += [row("sac", "independent", s, 10.0, training_seed=0) for s in (0, 1)]
    rows += [row("reference", "contention", 0, 4.0) | {"num_clients": 200}]
    rows += [row("sac", "contention", 0, 3.0, training_seed=0) | {"num_clients": 200}]
    metrics = summarise(pd.DataFrame(rows))
    assert metrics["independent.sac_over_best_paper_baseline"] == pytest.approx((10 / 8 + 10 / 5) / 2)
    assert metrics["contention.sac_of_bound_200_clients"] == pytest.approx(0.75)
    assert "contention.sac_of_bound" not in metrics


def test_the_race_ends_with_an_association_as_good_or_out_of_time() -> None:
    here = arena(scenario_of_regime("contention", 6), "contention", 3)
    graph = graph_of(here.world, here.regime, 0, State.empty(here.world))
    table = LoadTable.of(graph)
    gain = float(table.total(Greedy()(graph, Random.of(0)).model))
    won = race(table, gain, 8.0)
    assert won.reached
    assert won.gain >= gain * (1 - 1e-9)
    lost = race(table, 10 * won.gain, 1.0)
    assert not lost.reached
    assert lost.gain < 10 * won.gain


def test_the_overlapped_pipeline_is_never_worse_and_fills_in_one_round() -> None:
    found = overlap(arena(scenario_of_regime("independent", 20), "independent", 4).world)
    assert len(found.ratio) > 50
    assert float(found.ratio.min()) >= 1
    assert float(found.ratio.mean()) > 1.3
    assert found.fill_rounds == 1


def test_less_of_a_resource_changes_nothing_else() -> None:
    world = arena(scenario_of_regime("independent", 5), "independent", 0).world
    short = tighten(world, "time", 5.0)
    assert short.scenario.rounds.duration_s == 5.0
    assert torch.equal(short.client_m, world.client_m)
    assert torch.equal(short.cn0_down_hz, world.cn0_down_hz)
    assert torch.equal(tighten(world, "compute", 0.5).cycles_per_s, world.cycles_per_s / 2)


def test_boards_survive_the_table() -> None:
    from gainnet.orchestration.drawing import of_client
    from gainnet.orchestration.rollout import schedules_of

    here = arena(scenario_of_regime("independent", 4), "independent", 1)
    played = play(here.world, here.regime, Greedy(), here.random)
    board = [of_client(schedule, 2) for schedule in schedules_of(here.world, here.regime, played)]
    again = as_schedules(as_plain(board))
    for one, other in zip(board, again, strict=True):
        assert one.pieces == other.pieces
        torch.testing.assert_close(one.start_s, other.start_s, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.high, other.high, atol=1e-6, rtol=0)


def test_what_is_kept_is_measured_against_the_same_world_without_limit() -> None:
    rows = []
    for seed, (full, half) in enumerate(((10.0, 8.0), (20.0, 10.0))):
        for amount, gain in ((1.0, full), (0.5, half)):
            common = {"scenario": "street", "resource": "compute", "amount": amount, "random_seed": seed}
            rows.append({"method": "reference", "training_seed": None, "gain": gain, **common})
            rows += [{"method": "sac", "training_seed": t, "gain": gain * s, **common} for t, s in ((0, 1.0), (1, 0.9))]
    table = pd.DataFrame(rows)
    metrics = robustness.summarise(table)
    assert metrics["optimum_kept.compute_half"] == pytest.approx((0.8 + 0.5) / 2)
    assert metrics["sac_of_optimum.compute_half"] == pytest.approx(0.95)
    assert [name for name, _ in robustness.draw(table)] == ["gain_kept", "share_of_optimum"]


def test_one_client_with_all_samples_is_plain_gradient_descent() -> None:
    train, _ = load_digits(4)
    start = Perceptrons.drawn(1, 8, Random.of(0))
    samples = Samples(train.images[None, :40], train.labels[None, :40], torch.tensor([40]))
    stepped = local_steps(start, samples, 10, 0.1)
    hidden, output = (x[0].clone().requires_grad_() for x in (start.hidden, start.output))
    for begin in range(0, 40, 10):
        middle = torch.relu(train.images[begin : begin + 10] @ hidden[:-1] + hidden[-1])
        loss = torch.nn.functional.cross_entropy(middle @ output[:-1] + output[-1], train.labels[begin : begin + 10])
        slopes = torch.autograd.grad(loss, (hidden, output))
        hidden, output = (
            (x - 0.1 * g).detach().requires_grad_() for x, g in zip((hidden, output), slopes, strict=True)
        )
    torch.testing.assert_close(stepped.hidden[0], hidden, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(stepped.output[0], output, atol=1e-6, rtol=1e-5)


def test_clients_side_by_side_are_clients_alone_and_idle_models_stay() -> None:
    train, _ = load_digits(4)
    start = Perceptrons.drawn(3, 8, Random.of(1))
    num = torch.tensor([17, 0, 5])
    together = Samples(train.images[:20].expand(3, 20, 64), train.labels[:20].expand(3, 20), num)
    local = local_steps(start, together, 8, 0.1)
    assert torch.equal(local.hidden[1], start.hidden[1])
    alone = Samples(train.images[None, :5], train.labels[None, :5], torch.tensor([5]))
    torch.testing.assert_close(local.hidden[2], local_steps(start.of(torch.tensor([2])), alone, 8, 0.1).hidden[0])
    models = Perceptrons.drawn(2, 8, Random.of(2))
    mean = average_by_model(models, local, torch.tensor([0, 1, 0]), num)
    torch.testing.assert_close(mean.hidden[0], (17 * local.hidden[0] + 5 * local.hidden[2]) / 22)
    assert torch.equal(mean.hidden[1], models.hidden[1])


def test_digits_of_a_domain_are_learned_from_that_domain() -> None:
    """A world of one domain-pure client teaches the model it serves and no other."""
    train, test = load_digits(4)
    start = Perceptrons.drawn(1, 32, Random.of(3))
    images, labels = train.of_domain(1)
    samples = Samples(images[None], labels[None], torch.tensor([len(labels)]))
    model = start
    for _ in range(5):
        model = local_steps(model, samples, 16, 0.1)
    assert float(accuracy(model, *test.of_domain(1))) > 0.9
    assert float(accuracy(model, *test.of_domain(0))) < 0.1


def test_training_on_a_rollout_beats_guessing() -> None:
    train, test = load_digits(4)
    here = arena(scenario_of_regime("independent", 8), "independent", 2)
    played = play(here.world, here.regime, Greedy(), here.random)
    small = {"width": 16, "batch_size": 16, "learning_rate": 0.1}
    config = load_config(GAIROM_LEARNING, "quick", small)
    found = trained_accuracy(here.world, played, train, test, config, Random.of(2))
    assert found.shape == (4,)
    assert float(found.mean()) > 0.15


def test_rank_correlation_is_spearmans() -> None:
    gains = {"ml_c": (1.0, 0.2), "random": (2.0, 0.1), "greedy": (3.0, 0.4), "sac": (4.0, 0.9)}
    points = pd.DataFrame(
        [
            {"regime": "independent", "method": m, "random_seed": 0, "gain": g, "accuracy": a}
            for m, (g, a) in gains.items()
        ]
    )
    assert rank_correlations(points)["rho"].tolist() == pytest.approx([1 - 6 * 2 / (4 * 15)])


@pytest.mark.parametrize("name", NAMES)
def test_every_case_has_its_own_key_and_method(name: str) -> None:
    study = find_study(name)
    for preset in ("default", "quick", "full"):
        listed = list(study.cases(load_config(study, preset)))
        assert len({case.key for case in listed}) == len(listed)
        assert {case.method for case in listed} <= set(study.methods)
    assert show_study(name).metrics == study.metric_names


def test_moving_in_turn_is_left_out_where_nobody_shares() -> None:
    listed = list(cases(load_config(GAIROM, "full")))
    alone = {case.method for case in listed if case.values["regime"] != "contention"}
    assert "best_response" not in alone
    assert "greedy" in alone


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_quick_runs_have_every_metric_and_figures(name: str, tmp_path: Path) -> None:
    result = run_study(name, "quick", tmp_path)
    assert set(result.metrics) == set(find_study(name).metric_names)
    assert any(value is not None for value in result.metrics.values())
    assert all(path.stat().st_size > 1000 for path in result.figure_paths)
    if name == "gairom":
        found = shares(pd.read_csv(result.table_path))
        assert bool((found["share"] <= 1 + 1e-9).all())


def test_a_policy_that_was_not_trained_is_named() -> None:
    from gainnet.studies.gairom.arena import Learned

    with pytest.raises(ConfigError, match="training_seeds"):
        Learned({}).of("independent", 7)
