"""A run of averaging between an edge and devices over TLS is that of one process, with its safeguards."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.catalog.terms import Terms, offer
from gainnet.core.errors import ConfigError
from gainnet.learning.engines.averaged import Served, serve_averaging
from gainnet.learning.engines.streamed import join
from gainnet.learning.runner import SUMMARY
from gainnet.learning.safeguards.incentives import PAYMENTS
from gainnet.learning.safeguards.verification import verify_file
from gainnet.wire.keys import write_certificates
from gainnet.wire.tls import listening

CONFIG = LearnConfig(
    "adapter", clients=2, rounds=2, num_steps=1, batch_size=2, row_length=16, num_texts=8, rank=1, link="ideal"
)
TIMEOUT_S = 150.0


def over_streams(folder: Path, safeguards: SafeguardsConfig | None, gone: tuple[str, ...] = ()) -> Served:
    """A run whose devices are threads, each with a folder and a model of its own."""
    session = open_session(CONFIG, safeguards)
    names = [client.name for client in session.clients]
    write_certificates(folder / "keys", devices=names)
    offered = offer(CONFIG, session.model, session.safeguards)
    with listening("127.0.0.1", 0) as listener, ThreadPoolExecutor(4) as threads:
        host, port = listener.getsockname()
        joined = [
            threads.submit(
                join, host, port, folder / "keys", name, Terms().admit, False, TIMEOUT_S, kept=folder / "kept"
            )
            for name in names
        ]
        served = serve_averaging(session, offered, listener, folder / "keys", TIMEOUT_S, folder / "out")
        assert all(each.result().num_bits_up > 0 for each in joined)
    return served


@pytest.mark.slow
@pytest.mark.parametrize(
    "safeguards",
    [
        SafeguardsConfig(rule="median", contributions="shapley"),
        SafeguardsConfig(num_groups=1),
        SafeguardsConfig(num_groups=1, privacy="client", noise="seeded", accountant="rdp"),
    ],
    ids=["median-paid", "masked", "masked-private"],
)
def test_safeguards_are_those_of_one_process_to_the_last_bit(tmp_path: Path, safeguards: SafeguardsConfig) -> None:
    served = over_streams(tmp_path, safeguards)
    here = open_session(CONFIG, safeguards).run(tmp_path / "here")
    assert all(torch.equal(served.run.state[name], x) for name, x in here.state.items())
    assert served.run.losses == here.losses
    assert served.run.rounds == here.rounds, "and the cost on the air"
    details = json.loads((tmp_path / "out" / SUMMARY).read_text())["details"]
    assert [each["left_out"] for each in details] == [[], []]
    there, alone = verify_file(tmp_path / "out"), verify_file(tmp_path / "here")
    assert (there.model, there.models_of_client) == (alone.model, alone.models_of_client)
    paid = [tmp_path / name / PAYMENTS for name in ("out", "here")]
    if safeguards.contributions == "none":
        return
    lines, wanted = ([json.loads(line) for line in path.read_text().splitlines()] for path in paid)
    assert lines == wanted
    assert [sorted(line["payments"]) for line in lines] == [["device_0", "device_1"]] * 2
    assert all(sum(line["contributions"].values()) == pytest.approx(line["value"]) for line in lines)


@pytest.mark.slow
def test_devices_draw_the_noise_of_their_rows_and_the_edge_counts_it(tmp_path: Path) -> None:
    safeguards = SafeguardsConfig(privacy="example", accountant="rdp")
    served = over_streams(tmp_path, safeguards)
    assert served.guarantee is not None
    assert served.guarantee.private
    assert served.guarantee.num_releases == CONFIG.rounds * CONFIG.num_steps
    events = [path.read_text().split() for path in (tmp_path / "kept").glob("*/events.jsonl")]
    assert len(events) == 2
    assert not (tmp_path / "out" / "releases").exists()


@pytest.mark.slow
def test_an_edge_does_not_hand_out_noise_that_repeats() -> None:
    seeded = open_session(CONFIG, SafeguardsConfig(privacy="example", noise="seeded", accountant="rdp"))
    with pytest.raises(ConfigError, match="noise: devices in other processes"):
        offer(CONFIG, seeded.model, seeded.safeguards)
