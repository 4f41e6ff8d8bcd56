"""Processor time until a device shows a picture: import gainnet, transmit a seed in two halves, decode it; bar 3 s.

`python benchmarks/startup.py` starts an interpreter of its own for each line, since a module is imported only once.
Beside the bar stand, without one, real 5G codewords and the whole generative model: Sionna and diffusers are imported
when the first of them is used.
"""

from __future__ import annotations

import json
import subprocess
import sys

BAR_CPU_S = 3.0
PREPARED = """
import torch
import gainnet
from gainnet.codecs import Content, Float32, LinearCode, bind
from gainnet.core.types import Spec
from gainnet.protocols.transmit import accept, emit
spec, random = Spec((4, 16, 16)), gainnet.Random.of([0])
"""
HALVES = """
codec = bind({codec}, Content(spec))
(sent,) = emit(torch.ones(1, 4, 16, 16), codec, ({link},), (random,))
assert accept(sent, codec, spec).values.shape == (1, 4, 16, 16)
"""
DECODED = """
from gainnet.models.scene_layers import load_decoder
seed = accept(sent, codec, spec).values
assert load_decoder()(seed).shape == (1, 3, 128, 128)
"""
CASES = {
    "device": PREPARED + HALVES.format(codec="LinearCode(256)", link="gainnet.Analog(gainnet.Air())") + DECODED,
    "codewords": PREPARED + HALVES.format(codec="Float32()", link="gainnet.Digital(gainnet.Air())"),
    "model": "import gainnet\ngainnet.load('scenes')",
}
MEASURED = """
import resource
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def measure(code: str) -> tuple[float, float]:
    """Processor time in s and largest memory in MB of an interpreter that runs this code."""
    ran = subprocess.run([sys.executable, "-c", code + MEASURED], capture_output=True, text=True, check=True)
    cpu_s, memory_mb = (float(word) for word in ran.stdout.split()[-2:])
    return cpu_s, memory_mb


def main() -> int:
    """Exit code 1 when the bar is missed."""
    found = {name: measure(code) for name, code in CASES.items()}
    for name, (cpu_s, memory_mb) in found.items():
        print(f"{name:<10} {cpu_s:6.2f} CPU-s {memory_mb:6.0f} MB" + (f"   bar {BAR_CPU_S} s" * (name == "device")))
    print(json.dumps({"benchmark": "startup", **{f"{name}_cpu_s": cpu_s for name, (cpu_s, _) in found.items()}}))
    return int(found["device"][0] > BAR_CPU_S)


if __name__ == "__main__":
    sys.exit(main())
