"""The command line is a thin door: one JSON object, one line per mistake, nothing half written."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

PROMPT = "a red star above a blue house at sunset"
REPORT_KEYS = {
    "duration_s", "energy_j", "num_bits", "num_channel_uses_up", "num_channel_uses_down", "num_channel_uses_backhaul",
    "steps",
}  # fmt: skip
STEP_KEYS = {
    "label", "start_s", "duration_s", "wall_s", "energy_j", "flops", "num_bits", "num_channel_uses",
    "num_retransmissions", "delivered",
}  # fmt: skip


def test_generate_prints_one_json_object(call, tmp_path):
    code, out, _ = call("generate", PROMPT, "--snr-db", "0", "--num-steps", "2", "--json")
    assert code == 0
    summary = json.loads(out)
    assert set(summary) == {
        "protocol", "prompt", "model", "codec", "fading", "snr_db", "power", "random_seed", "num_edges", "image_path",
        "wall_s", "quality", "report", "baseline", "images", "configuration", "runtime", "warnings", "sampler",
        "original",
    }  # fmt: skip
    assert set(summary["quality"]) == {"psnr_db", "ssim", "exact", "prompt_fidelity", "reference_fidelity"}
    assert (summary["model"], summary["original"], summary["warnings"]) == ("scenes", None, [])
    assert set(summary["report"]) >= REPORT_KEYS
    assert set(summary["report"]["steps"][0]) >= STEP_KEYS
    assert set(summary["baseline"]) == {"name", "num_channel_uses_equal_psnr", "psnr_db_equal_uses"}
    assert (tmp_path / summary["image_path"]).is_file()
    assert [image["image_path"] for image in summary["images"]] == [summary["image_path"]]


@pytest.mark.slow
def test_a_file_of_prompts_is_a_batch(call, tmp_path):
    (tmp_path / "prompts.txt").write_text("a red star\n\na blue house\n")
    code, out, _ = call(
        "generate", "--prompts", "prompts.txt", "--fading", "ideal", "--num-steps", "1", "--json", "--out", "o"
    )
    assert code == 0
    assert json.loads(out)["prompt"] == ["a red star", "a blue house"]
    assert sorted(path.name for path in (tmp_path / "o").glob("image*")) == ["image_000.png", "image_001.png"]


@pytest.mark.slow
def test_words_that_no_model_knows_are_named_before_any_number(call):
    code, out, err = call("generate", "a red zeppelin", "--num-steps", "1", "--fading", "ideal")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[:2] == ["model: scenes", "scenes does not know 'zeppelin'; the nearest word is 'pink'"]
    assert "against the unsplit picture: exact" in lines
    assert "against the prompt: nothing here can judge pictures of such prompts" in lines
    code, out, _ = call("estimate", "a red zeppelin", "--json")
    assert [json.loads(out)[key] for key in ("model", "warnings")] == [
        "scenes",
        [{"word": "zeppelin", "nearest": "pink"}],
    ]


@pytest.mark.slow
def test_estimate_and_protocols_and_tables_for_people(call):
    code, out, _ = call("estimate", PROMPT, "--codec", "seed=raw")
    assert code == 0
    assert "critical path" in out
    code, out, _ = call("estimate", PROMPT, "--json")
    assert set(json.loads(out)["report"]) >= REPORT_KEYS
    code, out, _ = call("protocols", "--json")
    described = {row["protocol"]: row for row in json.loads(out)["protocols"]}
    assert described["eiug"]["device runs"] == "decoder"
    assert described["device_only"]["on the air"] == "–"


def test_a_codec_channel_and_protocol_of_ones_own(call, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from gainnet.codecs import RawAnalog\n"
        "from dataclasses import dataclass\n"
        "from gainnet.protocols import Eiug\n"
        "from gainnet.radio import AWGN as MyChannel\n"
        "class MyCodec(RawAnalog):\n    pass\n"
        "@dataclass(frozen=True)\n"
        "class MyProtocol:\n"
        "    sends = Eiug.sends\n"
        "    max_edges = 1\n"
        "    def plan(self, model, codecs, edges, strength=None):\n"
        "        return Eiug().plan(model, codecs, edges)\n"
    )
    own = ["--codec", "seed=mine:MyCodec", "--fading", "mine:MyChannel", "--protocol", "mine:MyProtocol"]
    code, out, err = call("generate", PROMPT, *own, "--snr-db", "0", "--num-steps", "1", "--json")
    assert code == 0, err
    printed = json.loads(out)
    assert printed["quality"]["psnr_db"] > 10
    assert printed["codec"]["seed"] == "mine:MyCodec"
    assert printed["report"]["num_channel_uses_down"] == 512


def test_h5_two_edges_one_of_which_dies_and_a_picture_of_the_device(call, tmp_path):
    from PIL import Image

    Image.new("RGB", (90, 60), (200, 30, 30)).save(tmp_path / "mine.jpg")
    asked = ["--protocol", "uidcg", "--num-edges", "2", "--image", "mine.jpg", "--strength", "0.5", "--num-steps", "4"]
    code, out, err = call("generate", "a red star", *asked, "--fail", "edge_2@14", "--snr-db", "15", "--json")
    assert code == 0, err
    # A flat picture is what an autoencoder keeps best, and what comes out is further from it than that.
    original = json.loads(out)["original"]
    assert original["kept_psnr_db"] > max(20, original["psnr_db"])
    assert all((tmp_path / original[name]).is_file() for name in ("image_path", "kept_path"))
    page = (tmp_path / "out" / "generate" / "report.html").read_text()
    for sentence in ("autoencoder alone keeps", "against the unsplit picture", "against the given picture"):
        assert sentence in page
    report = json.loads(out)["report"]
    assert report["recoveries"][0]["lost"] == ["edge_2"]
    assert report["recoveries"][0]["ran_on"] == ["edge_1"]
    assert report["num_bits_backhaul"] > 0
    assert report["nodes"]["device"]["flops"] == report["device_flops"] > 0


def test_a_plan_is_drawn(call, tmp_path):
    code, out, _ = call("protocols", "--show-plan", "diug", "--num-edges", "3")
    assert code == 0
    assert out.splitlines()[0].split() == ["device", "edge_1", "edge_2", "edge_3"]
    code, out, _ = call("protocols", "--show-plan", "eiug", "--out", "plan.png")
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_advice_has_reasons(call):
    code, out, _ = call(
        "advise", "--snr-db", "5", "--hardware", "phone", "--deadline-s", "2", "--num-steps", "4", "--json"
    )
    assert code == 0
    advice = json.loads(out)
    assert len(advice["trials"]) == 12
    assert advice["protocol"] in [trial["protocol"] for trial in advice["trials"] if not trial["reason"]]
    assert any(reason.startswith("device_only is out") for reason in advice["reasons"])


def test_advice_by_tables_shows_what_every_configuration_costs(call):
    code, out, _ = call("advise", "--snr-db", "5", "--deadline-s", "4", "--min-psnr-db", "24", "--json")
    assert code == 0
    advice = json.loads(out)
    assert advice["protocol"] == advice["decision"]["protocol"] == advice["trials"][0]["protocol"]
    assert advice["reasons"][0].endswith("configurations keep the bounds")
    for name in ("num_channel_uses", "device_energy_j", "latency_s", "psnr_db"):
        assert all(trial[name] >= 0.0 for trial in advice["trials"])


PLUG = """
from gainnet.codecs import Float32, RawAnalog
value = 3
class Needs:
    def __init__(self, something):
        pass
class Nothing:
    pass
class Misfit(Float32):
    def encode(self, x, reported_snr):
        return RawAnalog().encode(x, reported_snr)
class Broken(Float32):
    def decode(self, payload, spec):
        raise KeyError("lost")
class NotANumber(Float32):
    def decode(self, payload, spec):
        return super().decode(payload, spec) * float("nan")
def nothing(*arguments):
    return None
def strange(model, smell_codec):
    return None
def fails(model):
    raise OSError("no")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate"],
        ["generate", ""],
        ["generate", "x", "--protocol", "telepathy"],
        ["generate", "x", "--codec", "seed=zip"],
        ["generate", "x", "--codec", "seed"],
        ["generate", "x", "--fading", "fog"],
        ["generate", "x", "--snr-db", "nan"],
        ["generate", "x", "--snr-db", "inf"],
        ["generate", "x", "--snr-db", "5000"],
        ["generate", "x", "--snr-db", "loud"],
        ["generate", "x", "--num-channel-uses", "-3"],
        ["generate", "x", "--num-channel-uses", "many"],
        ["generate", "x", "--hardware", "toaster"],
        ["generate", "x", "--priced-as", "gpt"],
        ["generate", "x", "--model", "/nowhere/at/all"],
        ["generate", "x", "--model", "empty"],
        ["generate", "x", "--out", "file/below"],
        ["generate", "x", "--prompts", "nothing.txt"],
        ["generate", "--prompts", "nothing.txt"],
        ["generate", "x", "--torch-device", "abacus"],
        ["generate", "x", "--no-such-option"],
        ["estimate", "x", "--protocol", "telepathy"],
        ["generate", "x", "--model", ""],
        ["generate", "x\udcff"],
        ["generate", "x", "--codec", "seed=raw", "--codec", "seed=linear"],
        ["generate", "x", "--codec", "image=webp"],
        ["generate", "x", "--codec", "seed=float32", "--num-channel-uses", "10"],
        ["generate", "x", "--protocol", "device_only", "--num-channel-uses", "10"],
        ["generate", "x", "--fading", "raises:X"],
        ["generate", "x", "--fading", "exits:X"],
        ["generate", "x", "--fading", ".x:Y"],
        ["generate", "x", "--fading", "plug:Needs"],
        ["generate", "x", "--fading", "plug:Nothing"],
        ["generate", "x", "--fading", "plug:value"],
        ["generate", "x", "--codec", "seed=plug:Needs"],
        ["generate", "x", "--codec", "seed=plug:Nothing"],
        ["generate", "x", "--codec", "seed=plug:Misfit", "--num-steps", "1"],
        ["generate", "x", "--codec", "seed=gainnet.codecs:Float16", "--num-channel-uses", "100"],
        ["generate", "x", "--codec", "seed=plug:Broken", "--num-steps", "1", "--fading", "ideal"],
        ["generate", "x", "--codec", "seed=plug:NotANumber", "--num-steps", "1", "--fading", "ideal"],
        ["generate", "x", "--codec", "seed=gainnet.codecs:TextCodec", "--num-steps", "1"],
        ["generate", "x", "--protocol", "plug:value"],
        ["generate", "x", "--protocol", "plug:nothing"],
        ["generate", "x", "--protocol", "plug:strange"],
        ["generate", "x", "--protocol", "plug:fails"],
        ["generate", "x", "--model", "plug:nothing"],
        ["train", "scenes", "--preset", "tiny", "--out", "file"],
        ["train", "scenes", "--preset", "tiny", "--out", "new", "--random-seed", "-3"],
        ["train", "scenes", "--preset", "tiny", "--out", "new", "--torch-device", "warp"],
        ["train", "seed-basis", "--out", "file"],
        ["train", "seed-basis", "--out", "new", "--random-seed", "-3"],
        ["study", "run", "no-such-study"],
        ["study", "run", "image-quality", "--quick", "--full"],
        ["study", "run", "image-quality", "--quick", "--config", "own.toml"],
        ["study", "figures", "nowhere"],
        ["study", "compare", "nowhere", "there"],
        ["generate", "x", "--num-edges", "2"],
        ["generate", "x", "--num-edges", "0"],
        ["generate", "x", "--cut", "3"],
        ["generate", "x", "--protocol", "ciag", "--cut", "99"],
        ["generate", "x", "--protocol", "uidcg", "--num-edges", "3", "--cooperation", "guidance"],
        ["generate", "x", "--protocol", "uidcg", "--num-edges", "2", "--cooperation", "magic"],
        ["generate", "x", "--fail", "edge_2"],
        ["generate", "x", "--fail", "edge_9@1"],
        ["generate", "x", "--deadline-s", "0"],
        ["generate", "x", "--image", "nothing.png"],
        ["generate", "x", "--image", "file"],
        ["generate", "x", "--image", "file", "--strength", "2"],
        ["generate", "x", "--network", "nothing.toml"],
        ["protocols", "--show-plan", "telepathy"],
        ["protocols", "--show-plan", "eiug", "--out", "empty"],
        ["protocols", "--num-edges", "3"],
        ["advise", "--deadline-s", "-1"],
        ["advise", "--strength", "0.5"],
        ["generate", "a red star", "--min-psnr-db", "20"],
        ["generate", "a red star", "--decide", "latency", "--protocol", "ciag"],
        ["advise", "--image", "nothing.png"],
        ["measure", "trace", "--random-seed", "-1", "--out", "new.csv"],
        ["train", "power-importance", "--random-seed", "-1", "--out", "new.json"],
        ["trust", "learn", "--epsilon", "3"],
        ["trust", "learn", "--privacy", "client", "--sample-rate", "0.1"],
        ["trust", "learn", "--num-poisoned", "2"],
        pytest.param(["trust", "learn", "--privacy", "example", "--algorithm", "fedavg"], marks=pytest.mark.slow),
        pytest.param(["study", "run", "power-control", "--quick", "--trace", "file"], marks=pytest.mark.slow),
        ["no-such-command"],
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(call, tmp_path, monkeypatch, arguments):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "plug.py").write_text(PLUG)
    (tmp_path / "raises.py").write_text("1 / 0")
    (tmp_path / "exits.py").write_text("import sys; sys.exit(0)")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(*arguments)
    for module in ("plug", "raises", "exits"):
        sys.modules.pop(module, None)
    assert code == 2, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


WAITING = """
import pathlib, time
from gainnet.codecs import Float32
class Waiting(Float32):
    def encode(self, x, reported_snr):
        pathlib.Path("started").touch()
        time.sleep(60)
        return super().encode(x, reported_snr)
"""


INTERRUPTING = """
import os, signal
from gainnet.codecs import Float32
class Interrupting(Float32):
    def encode(self, x, reported_snr):
        os.kill(os.getpid(), signal.SIGINT)
        return super().encode(x, reported_snr)
"""


def test_ctrl_c_leaves_no_half_written_file(call, tmp_path, monkeypatch):
    """As the slow test below, without the seconds of another interpreter."""
    (tmp_path / "interrupting.py").write_text(INTERRUPTING)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code, out, err = call(
            "generate", PROMPT, "--num-steps", "1", "--codec", "seed=interrupting:Interrupting", "--out", "o"
        )
    finally:
        signal.signal(signal.SIGINT, heeded)
        sys.modules.pop("interrupting", None)
    assert (code, out, err) == (130, "", "interrupted; nothing was left half written\n")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["interrupting.py"]


@pytest.mark.slow
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_generation_leaves_no_half_written_file(tmp_path, which):
    (tmp_path / "mine.py").write_text(WAITING)
    arguments = ["generate", PROMPT, "--num-steps", "1", "--codec", "seed=mine:Waiting", "--out", "o"]
    command = [sys.executable, "-m", "gainnet.cli", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    # A shell that runs tests in the background has them ignore Ctrl-C, and what they start inherits that.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, env=environment, preexec_fn=heeding)
    while not (tmp_path / "started").exists() and running.poll() is None:
        time.sleep(0.1)
    running.send_signal(which)
    _, err = running.communicate(timeout=60)
    assert running.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(which, -signal.SIGKILL), err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine.py", "started"]
    if which == signal.SIGINT:
        assert err.decode() == "interrupted; nothing was left half written\n"


@pytest.mark.slow
def test_doctor_tries_a_picture_and_names_every_extra(call):
    code, out, err = call("doctor", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert set(found) == {"checks", "extras", "notes"}
    assert {"torch", "scenes weights", "ideal link is exact"} <= {row["check"] for row in found["checks"]}
    assert all(row["passed"] for row in found["checks"])
    assert {"serve", "learning", "export"} <= {row["extra"] for row in found["extras"]}


@pytest.mark.slow
def test_generate_decodes_with_a_decoder_of_a_name(call, tmp_path, monkeypatch):
    from gainnet.models.decoders import install_decoder, save_decoder
    from gainnet.models.loading import load_model

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    model = load_model("scenes")
    sha256 = save_decoder(tmp_path / "decoder", model.pipeline.vae.decoder, model.sha256, {"trained": {}})
    install_decoder(tmp_path / "decoder", "mine")
    code, out, _ = call("generate", PROMPT, "--decoder", "mine", "--num-steps", "1", "--json")
    assert not code
    assert json.loads(out)["decoder"] == {"name": "mine", "sha256": sha256}
    for name in ("yours", "../mine"):
        code, out, err = call("generate", PROMPT, "--decoder", name, "--num-steps", "1", "--json", "--out", "none")
        assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert not list(tmp_path.glob("none/*"))
