"""The app with a real Flower: simulated on Ray, and deployed as processes with TLS and node keys."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from gainnet.catalog.flower import AppSettings, write_app
from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.catalog.terms import Terms, offer
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.engines.flower.local import Federation, federation
from gainnet.learning.safeguards.verification import omitted, read_lines, verify_file
from gainnet.models.language import small_decoder, word_tokenizer
from gainnet.wire.keys import write_node_key

TIMEOUT_S = 300.0
NODES = ("device_0", "device_1")

# Ray leaves pipes and processes of its own to the garbage collector; Flower says that its simulation will move.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collects them here, and not where warnings are errors."""
    yield
    gc.collect()


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A model small enough that nodes start and train in seconds, in the format that anybody's model has."""
    small_decoder(16, 2, 2).save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def few_rounds(algorithm: str, model: str, rounds: int = 2) -> LearnConfig:
    small = {"clients": 2, "num_steps": 2, "batch_size": 4, "num_texts": 12, "row_length": 24}
    return LearnConfig(algorithm, model=model, rounds=rounds, **small)  # type: ignore[arg-type]


def farthest(a: State, b: State) -> float:
    assert set(a) == set(b)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_simulated_rounds_are_those_in_process(model: str, tmp_path: Path) -> None:
    from gainnet.learning.engines.flower.simulation import simulate

    config = few_rounds("adapter", model)
    settings = AppSettings(config, str(tmp_path / "out"), 120.0)
    session, here = settings.open(), open_session(config).run()
    offered = offer(config, session.model)
    simulated = simulate(session, offered, Terms(model).admit, settings.timeout_s, tmp_path / "out")
    assert farthest(simulated.state, here.state) < 1e-5
    assert simulated.rounds == here.rounds
    assert (tmp_path / "out" / "state.safetensors").is_file()


def test_simulated_masked_sums_are_those_in_process_and_the_record_holds(model: str, tmp_path: Path) -> None:
    from gainnet.learning.engines.flower.simulation import simulate

    config, safeguards = few_rounds("lora", model), SafeguardsConfig(num_groups=1)
    settings = AppSettings(config, str(tmp_path / "out"), 240.0, safeguards)
    assert AppSettings.of_table(settings.to_table()) == settings
    session = settings.open()
    offered = offer(config, session.model, session.safeguards)
    simulated = simulate(session, offered, Terms(model, only_masked=True).admit, settings.timeout_s, tmp_path / "out")
    here = open_session(config, safeguards).run(tmp_path / "here")
    assert farthest(simulated.state, here.state) == 0.0
    assert simulated.rounds == here.rounds
    assert [detail["left_out"] for detail in simulated.details] == [[], []]
    there, here_too = verify_file(tmp_path / "out"), verify_file(tmp_path / "here")
    assert there.models_of_client == here_too.models_of_client == {"device_0": 2, "device_1": 2}
    assert there.model == here_too.model
    lines = read_lines(tmp_path / "out", "record")
    receipts = read_lines(next((tmp_path / "out.nodes").glob("device_0.*/*.receipts.jsonl")), "receipt")
    assert [omitted(one, lines, there.edge_key) for one in receipts] == [False, False]


@pytest.mark.timeout(1800)
def test_deployed_rounds_are_those_in_process_and_outlive_a_node(model: str, tmp_path: Path) -> None:
    config = few_rounds("fedavg", model)
    with federation(tmp_path / "federation") as processes:
        for name in NODES:
            processes.register(name)
            processes.start_node(name, {"model": model, "kept": str(tmp_path / "kept")})
        assert ended(processes, AppSettings(config, str(tmp_path / "both"), TIMEOUT_S)) == "finished:completed"
        assert farthest(load_file(tmp_path / "both" / "state.safetensors"), open_session(config).run().state) < 1e-5

        # A stranger has a good certificate of the server and a key that nobody has registered.
        write_node_key(processes.folder, "stranger")
        assert processes.start_node("stranger").wait(60.0) != 0
        assert "SuperNode ID" not in words_of(processes, "stranger")

        run_id = submitted(processes, AppSettings(few_rounds("fedavg", model, 1), str(tmp_path / "one"), 60.0))
        wait_until_asked(processes, "device_1", 3)
        processes.kill("device_1")
        assert processes.wait_for(run_id, TIMEOUT_S) == "finished:completed"
    session = open_session(config)
    random = Random.of(config.random_seed).child("learning")
    start = session.algorithm.init(random)
    alone, _ = session.algorithm.round(start, session.clients[:1], random.child("round", 0))
    assert farthest(load_file(tmp_path / "one" / "state.safetensors"), alone) < 1e-5
    assert all(process.poll() is not None for process in processes.processes.values())


def test_an_app_that_flower_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="flower: flwr run failed"):
        Federation(tmp_path, 1).submit(tmp_path)


def submitted(processes: Federation, settings: AppSettings) -> str:
    write_app(Path(settings.out) / "app", settings)
    return processes.submit(Path(settings.out) / "app")


def ended(processes: Federation, settings: AppSettings) -> str:
    return processes.wait_for(submitted(processes, settings), TIMEOUT_S)


def words_of(processes: Federation, name: str) -> str:
    return (processes.folder / f"{name}.log").read_text()


def wait_until_asked(processes: Federation, name: str, num_messages: int) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while words_of(processes, name).count("Receiving: train message") < num_messages:
        assert time.monotonic() < end_s
        time.sleep(0.2)


def test_node_keys_are_secret_and_differ(tmp_path: Path) -> None:
    for name in NODES:
        write_node_key(tmp_path, name)
    private, other = ((tmp_path / f"{name}.key").read_bytes() for name in NODES)
    assert private != other
    assert (tmp_path / "device_0.key").stat().st_mode & 0o077 == 0
