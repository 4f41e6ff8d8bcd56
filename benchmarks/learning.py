"""What learning together costs this machine: a round of FedAvg in process, beside as many plain PyTorch steps.

Both train copies of one model on the same rows with the same optimizer, in turn, on one thread. Bar: the median
processor time of the round within 1.1 times that of the steps. Split learning is measured beside it, without a bar.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from gainnet.codecs import Int8
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.costs import split_step_cost, whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.fsl import SharedEdge, SplitLearning
from gainnet.learning.clients import Client, LocalTraining, cell_of, devices_of
from gainnet.learning.split.model import Cut
from gainnet.models.language import pack, small_decoder, word_tokenizer
from gainnet.models.language_text import write_texts
from gainnet.network import profile
from gainnet.radio import Ideal

RATIO_BAR, NUM_RUNS, NUM_CLIENTS = 1.1, 7, 4
TRAINING = LocalTraining("adamw", 1e-3, num_steps=8, batch_size=8)


def plain(model: Any, clients: tuple[Client, ...]) -> Callable[[], Any]:
    """Steps as one would write them without this package."""
    batches = [c.rows[i * 8 : i * 8 + 8] for c in clients for i in range(TRAINING.num_steps)]

    def run() -> None:
        optimizer = torch.optim.AdamW(model.parameters(), TRAINING.rate, weight_decay=0.0)
        for rows in batches:
            logits = model(input_ids=rows, use_cache=False).logits[:, :-1]
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return run


def rounds_of(algorithm: Any, clients: tuple[Client, ...]) -> Callable[[], Any]:
    """A round from the same start each time."""
    random = Random.of(0)
    start = algorithm.init(random)
    return lambda: algorithm.round(start, clients, random)


def timed_s(run: Callable[[], Any]) -> float:
    """Processor time of one call."""
    begin_s = time.process_time()
    run()
    return time.process_time() - begin_s


def main() -> int:
    """Exit code 1 when the bar is missed."""
    torch.set_num_threads(1)
    model = small_decoder(96, 4, 4)
    rows = pack(write_texts("cardiology", 400, 0), word_tokenizer(), 72)
    clients = tuple(Client(name, rows[i * 64 : i * 64 + 64]) for i, name in enumerate(devices_of(NUM_CLIENTS)))
    air = (Ideal(),)
    cell = cell_of(devices_of(NUM_CLIENTS), profile("edge_l4"), profile("phone"), air, air)
    cut = Cut(0, True)
    fedavg = FedAvg(copy.deepcopy(model), cell, TRAINING, whole_step_cost(model, rows[:8]))
    costs = {cut.name: split_step_cost(copy.deepcopy(model), cut, rows[:8])}
    split = SplitLearning(copy.deepcopy(model), cell, TRAINING, costs, cut, Int8(), SharedEdge(1e-3))
    runs = (plain(model, clients), rounds_of(fedavg, clients), rounds_of(split, clients))
    for run in runs:
        run()
    columns = zip(*[[timed_s(run) for run in runs] for _ in range(NUM_RUNS)], strict=True)
    plain_s, fedavg_s, split_s = (median(column) for column in columns)
    measured = {"fedavg_ratio": fedavg_s / plain_s, "split_ratio": split_s / plain_s}
    num_steps = NUM_CLIENTS * TRAINING.num_steps
    print(f"{num_steps} plain PyTorch steps        {plain_s:.3f} s (processor time, median)")
    print(f"a round of FedAvg, as many    {fedavg_s:.3f} s")
    print(f"a round of split learning     {split_s:.3f} s (int8 both ways, U-shape)")
    print(f"ratio of FedAvg               {measured['fedavg_ratio']:.3f}   bar {RATIO_BAR}")
    print(f"ratio of split learning       {measured['split_ratio']:.3f}   no bar")
    print(json.dumps({"benchmark": "learning", **measured}))
    return int(measured["fedavg_ratio"] > RATIO_BAR)


if __name__ == "__main__":
    sys.exit(main())
