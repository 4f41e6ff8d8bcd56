"""The commands, tried as somebody does who has never seen them; tests are named after items of that review."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cli.test_options import COMMANDS
from gainnet.cli import app, printing
from gainnet.network import profile

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


def gainnet(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gainnet.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | environment, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_m3_help_is_whole_at_80_columns_and_has_an_example_that_parses(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, [*name.split(), "-h"]).output
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    example = str(COMMANDS[name].epilog).replace("\\[", "[").removeprefix("Example: gainnet ")
    assert "Example: gainnet" in shown
    # What a person types is text: no option takes the word None, and no quotient has 16 digits.
    assert "None" not in shown
    assert not re.search(r"\d\.\d{9}", shown)
    words = shlex.split(example)
    assert words[: len(name.split())] == name.split()
    COMMANDS[name].make_context(name, words[len(name.split()) :])


def test_m3_help_of_a_group_is_whole_at_80_columns_and_has_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in sorted({tuple(name.split()[:-1]) for name in COMMANDS}):
        shown = CliRunner().invoke(app, [*words, "-h"]).output
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= 80
        assert "Example: gainnet" in shown, words


def test_m3_commands_stand_in_groups_and_answer_in_any_case(call: Any) -> None:
    from importlib.metadata import version

    code, out, _ = call("-H")
    assert code == 0
    assert all(title in out for title in ("Pictures over the air", "Learning together", "Research", "This machine"))
    assert call("--VERSION") == (0, f"gainnet {version('gainnet')}\n", "")
    code, out, _ = call("STUDY", "LIST", "--JSON")
    assert json.loads(out)["studies"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_m3_a_shell_completes_commands_and_options(shell: str, call: Any) -> None:
    code, out, _ = call("--show-completion", shell)
    assert code == 0
    assert "_GAINNET_COMPLETE" in out


def test_m3_completions_are_those_of_the_command(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    monkeypatch.setenv("_GAINNET_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "gainnet generate --snr")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert call() == (0, "plain,--snr-db\n", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["generat"], "No such command 'generat'. Did you mean 'generate'?"),
        (["study", "RUNN"], "No such command 'runn'. Did you mean 'run'?"),
        (["compare"], "No such command 'compare'. Did you mean 'study compare'?"),
        (
            ["orchestrate", "--regime", "coupled"],
            "regime: 'coupled' is unknown; choose one of contention, independent; ",
        ),
        (["generate", "x", "--snrdb", "3"], "No such option '--snrdb'. Did you mean '--snr-db'?"),
        (["generate", "x", "--negative-prompt", "y"], "No such option '--negative-prompt'. Guidance leads away "),
        (["generate", "x", "--protocol", "EIUG"], "protocol: 'EIUG' is unknown; did you mean eiug? choose one of "),
        (["generate", "x", "--torch-device", "cuda:9"], "torch_device: "),
        # Also F12d: all curves take an hour, so that the place of their table is asked about before.
        (["measure", "bler", "--out", "."], "out: . is a folder where a file is to be written"),
    ],
)
def test_m9_a_mistake_names_one_right_word(arguments: list[str], line: str, call: Any) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {line}")
    assert err.lower().count("did you mean") <= 1


def test_h9_a_fault_of_ones_own_code_is_found(call: Any, tmp_path: Path) -> None:
    (tmp_path / "own_codec.py").write_text(
        "from gainnet.codecs import Float32\n\nclass Halves(Float32):\n"
        "    def encode(self, x, reported_snr):\n        raise ValueError('my own bug')\n"
    )
    options = ["generate", "a red star", "--num-steps", "1", "--codec", "seed=own_codec:Halves"]
    code, _, err = call(*options)
    assert code == 2
    assert err == "error: codec.seed: Halves.encode failed (ValueError: my own bug, own_codec.py line 5)\n"
    code, _, err = call(*options, "--debug")
    assert code == 2
    assert "Traceback (most recent call last):" in err
    assert "raise ValueError('my own bug')" in err
    sys.modules.pop("own_codec")
    code, _, err = call("generate", "x", "--codec", "seed=gainnet.core:types")
    assert "see 'Plugging in' in the docs" in err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_a_full_disk_and_a_closed_pipe_are_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "gainnet.cli", "generate", "-h"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr[-3000:]) == (
        2, "error: standard output: No space left on device; write it elsewhere\n",
    )  # fmt: skip
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    os.close(write)
    assert done.returncode == 2
    assert done.stderr == "error: standard output: closed before all was written; write it elsewhere\n"


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(n, marks=pytest.mark.slow) for n in ("latin-1", "cp1252"))]
)
def test_c18_any_encoding_shows_a_table(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gainnet.cli", "generate", "-h"], capture_output=True, check=False,
        env=ENVIRONMENT | {"PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"--num-channel-uses" in done.stdout


def test_f9_a_path_that_no_system_has_is_one_line(call: Any) -> None:
    long = "a" * 5000
    for arguments in (
        ["generate", "x", "--out", long], ["generate", "x", "--image", long], ["generate", "--prompts", long],
        ["generate", "x", "--network", long], ["generate", "x", "--trace", long], ["generate", "x", "--hardware", long],
        ["generate", "x", "--power", long], ["generate", "x", "--model", long], ["learn", "--texts", long],
        ["learn", "--out", long], ["orchestrate", "--scenario", long], ["study", "figures", long],
        ["study", "run", "sketch", "--config", long], ["study", "run", "sketch", "--quick", "--out", long],
        ["trust", "verify", long], ["split", "keys", long, "--device", "d"], ["measure", "trace", "--out", long],
        ["measure", "bler", "--out", long],
    ):  # fmt: skip
        code, out, err = call(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), (arguments, err[:300])
        assert len(err) < 300, arguments


def test_h3_the_default_codec_is_the_learned_one_and_is_said(call: Any) -> None:
    """Also M7 and issue 20: three sentences say what was made, what it cost and what the best opponent would have."""
    code, out, err = call(
        "generate", "a red star above a blue house at sunset", "--snr-db", "0", "--num-channel-uses", "512",
        "--random-seed", "7", "--show",
    )  # fmt: skip
    assert (code, err) == (0, "")
    lines = out.splitlines()
    made = next(k for k, line in enumerate(lines) if line.startswith("scenes drew"))
    assert lines[made] == "scenes drew 1 picture by eiug with seed=seed_prompt over awgn at 0 dB: PSNR 25.5 dB."
    assert lines[made + 1].startswith("It takes 1.961 s on the critical path, 60.74 J (9.145 J on the device), 482 ")
    assert lines[made + 2].startswith(
        "The best image codec over the same air (avif) has 20.3 dB in as many uses down, "
    )
    # The picture stands above them, in greys where there is no terminal.
    assert made == 33
    assert {len(line) for line in lines[:32]} == {64}
    assert all(len(line) <= 80 for line in lines if line.startswith(("│", "┃")))


BATCH = ("--prompts", "prompts.txt", "--num-steps", "1", "--codec", "seed=raw")


@pytest.mark.slow
def test_h4_uses_of_a_batch_are_per_picture(call: Any, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red star\na blue house\n")
    code, out, err = call("generate", *BATCH)
    assert (code, err) == (0, "")
    assert "scenes drew 2 pictures by eiug with seed=raw over awgn at 10 dB: PSNR " in out
    assert "512 down; all 2 take " in out


def test_h4_a_batch_is_per_picture(call: Any, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red star\na blue house\n")
    # Over an ideal air no opponent is searched for, which takes a second.
    code, out, err = call("generate", *BATCH, "--fading", "ideal")
    assert (code, err) == (0, "")
    assert "scenes drew 2 pictures by eiug " in out
    assert "Steps of all 2 pictures together, priced as sd15" in out
    listed = [line for line in out.splitlines() if line.startswith("- out/generate/image_")]
    assert [line.partition(": ")[2].partition(", ")[0] for line in listed] == ["'a red star'", "'a blue house'"]
    code, out, _ = call("estimate", *BATCH, "--json")
    assert isinstance(json.loads(out)["report"]["num_channel_uses_down"], int)


def test_h1_nothing_but_ours_is_printed_of_a_long_prompt(call: Any) -> None:
    code, out, err = call(
        "generate",
        "a dog riding a skateboard in Paris " * 5,
        "--model",
        "scenes",
        "--num-steps",
        "1",
        "--fading",
        "ideal",
    )
    assert (code, err) == (0, "")
    assert "scenes does not know 'dog'; the nearest word is 'fog'" in out


def test_h6_advice_by_tables_shows_uses_and_fits(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = call("advise", "--snr-db", "5", "--decide", "uses")
    assert (code, err) == (0, "")
    table = [line for line in out.splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, table)) <= 80
    assert "channel" in table[0] + table[1]
    assert "more configurations with --json" in out
    assert sum(line.startswith("│ centralized") for line in table) == 1


def test_h15_a_log_gets_the_step_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 11.0, 12.0])
    monkeypatch.setattr(printing.time, "monotonic", lambda: next(clock))
    with printing.status("loading") as show:
        for step in ("loading", "denoiser @ edge", "decoder @ device"):
            show(step)
    assert capsys.readouterr().err == "denoiser @ edge\n"


def test_m1_a_calibration_is_a_profile(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"peak_flops_per_s": 1e11, "efficiency": 0.25, "memory_bytes": 8e9}
    monkeypatch.setattr("gainnet.generation.calibrate.calibrate", lambda: measured)
    code, out, _ = call("calibrate")
    assert code == 0
    (tmp_path / "my.toml").write_text(out)
    assert profile(str(tmp_path / "my.toml")).flops_per_s == 2.5e10


REQUIRED = {
    "generate": ["x"], "estimate": ["x"], "export device": ["--out", "new"], "flower app": ["new"],
    "study run": ["image-quality", "--quick", "--out", "new"], "split serve": ["--keys", "none"],
}  # fmt: skip
"""What commands need before a name is looked at; every training needs a folder."""
WRONG = {
    "--protocol": "telepathy", "--show-plan": "telepathy", "--fading": "fog", "--policy": "genius",
    "--algorithm": "magic", "--scenario": "moonbase", "--hardware": "toaster", "--edge-hardware": "toaster",
    "--priced-as": "gpt", "--power": "strong", "--scheduler": "lucky", "--image": "nothing.png", "--trace": "none.csv",
    "--link": "string", "--rule": "cheat", "--domain": "astrology", "--code": "turbo", "--arm": "third",
    "--regime": "chaos", "--decoder": "nobody", "--task": "dance", "--model": "scenez", "--codec": "zip",
}  # fmt: skip
LATER = {"ask", "split join"}
"""Commands whose names an edge judges, so that nothing is loaded for them here."""


def test_m2_names_are_checked_before_a_model_is_loaded(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("gainnet.models.loading.open_pipeline", "transformers.PreTrainedModel.from_pretrained"):
        monkeypatch.setattr(place, lambda *_, **__: pytest.fail("loaded"))
    for name, command in COMMANDS.items():
        needed = REQUIRED.get(name, ["--out", "new"] if name.startswith("train") else [])
        for option in command.get_params(click.Context(command)):
            wrong = WRONG.get(option.opts[0])
            if wrong is None or name in LATER or isinstance(option.type, click.Choice):
                continue
            kind = "seed=" * (option.opts[0] == "--codec" and name in ("generate", "estimate"))
            begin_s = time.process_time()
            code, out, err = call(*name.split(), *needed, option.opts[0], kind + wrong)
            assert (code, out, err.count("\n")) == (2, "", 1), (name, option.opts[0], err)
            # Imports count in whichever test comes first.
            assert time.process_time() - begin_s < 8.0, (name, option.opts[0])
    assert not Path("new").exists()
    assert call("protocols", "--json")[0] == 0


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--power", "ppo", "--fading", "tdl-c"], "power: Ofdm does not tell gains block by block"),
        (
            ["--power", "ppo", "--fading", "rayleigh", "--codec", "seed=digital"],
            "power: it needs symbols, and seed=dig",
        ),
        (["--power", "ppo", "--fading", "rayleigh", "--protocol", "centralized"], "power: it needs symbols, and image"),
        (["--power", "ppo", "--fading", "rayleigh", "--protocol", "device_only"], "power: it needs symbols, and none "),
        (["--num-edges", "2"], "num_edges: eiug has no use for 2 edges"),
        (["--codec", "midway=raw"], "codec: eiug sends no 'midway', it sends prompt and seed"),
        (["--codec", "seed=float32", "--num-channel-uses", "9"], "num_channel_uses: Float32 has a fixed size"),
        (["--protocol", "device_only", "--num-channel-uses", "9"], "num_channel_uses: device_only sends no content"),
        (["--protocol", "ciag", "--cut", "99"], "cut: 99 is outside 0 to 10, the steps that run"),
        (["--fail", "edge_9@1"], "fail: 'edge_9' is no edge of the network; choose one of edge"),
        (["--height", "0"], "height: 0 is out of range; must be 1 pixel or more"),
    ],
)
def test_m2_what_does_not_fit_together_is_refused_before_a_model_is_loaded(
    options: list[str], line: str, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gainnet.models.loading.open_pipeline", lambda *_, **__: pytest.fail("loaded"))
    code, out, err = call("generate", "a red star", "--out", "new", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {line}")
    assert not Path("new").exists()


def test_h3_a_price_names_the_codec_as_a_generation_does(call: Any) -> None:
    code, out, err = call("estimate", "a red star", "--snr-db", "0", "--num-channel-uses", "512")
    assert (code, err) == (0, "")
    assert "scenes would draw 1 picture by eiug with seed=seed_prompt over awgn at 0 dB.\n" in out
    code, out, _ = call("estimate", "a red star", "--protocol", "ciag(cut=3)", "--codec", "midway=raw", "--json")
    asked = json.loads(out)
    assert (asked["protocol"], asked["codec"]["midway"]) == ("ciag(cut=3)", "raw")


@pytest.mark.slow
def test_means_of_bits_and_uses_are_whole_numbers_for_people_and_exact_in_json(call: Any) -> None:
    asked = ("estimate", "a red star", "--snr-db", "5", "--protocol", "centralized")
    code, out, err = call(*asked)
    assert (code, err) == (0, "")
    rows = [[each.strip() for each in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    # The label of a step may take two lines, of which one has numbers.
    numbers = [row[4:6] for row in rows if row[4]]
    assert len(numbers) == 6
    assert [each for row in numbers for each in row if not re.fullmatch(r"[\d,]+", each)] == []
    report = json.loads(call(*asked, "--json")[1])["report"]
    mean = report["num_channel_uses_down"]
    assert not float(mean).is_integer()
    assert numbers[-1][1] == f"{mean:,.0f}"


def test_h6_advice_spares_what_is_asked_for(call: Any) -> None:
    def least(spare: str) -> dict[str, Any]:
        code, out, _ = call("advise", "--spare", spare, "--json")
        assert code == 0
        found: dict[str, Any] = json.loads(out)["trials"][0]
        return found

    energy, air, time = (least(spare) for spare in ("energy", "air", "time"))
    assert air["num_channel_uses"] <= min(energy["num_channel_uses"], time["num_channel_uses"])
    assert time["latency_s"] <= min(energy["latency_s"], air["latency_s"])
    assert energy["device_energy_j"] <= min(air["device_energy_j"], time["device_energy_j"])
    code, _, err = call("advise", "--spare", "air", "--decide", "uses")
    assert (code, err) == (2, "error: spare: it says the same as decide; leave one of the two out\n")


def test_m4_protocols_are_described_at_80_columns(call: Any) -> None:
    code, out, err = call("protocols")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "eiug (1 edge): " in out.replace("\n    ", " ")
    assert "  device runs: text encoder, denoiser, decoder" in out
