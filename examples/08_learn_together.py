"""Fine-tune one language model three ways on text that stays on devices, and see what each costs."""

import math

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig

SETTINGS = {"num_texts": 60, "clients": 2, "rounds": 2, "num_steps": 4, "skew": 0.5, "snr_db": 10.0}
CHOICES = {
    "fedavg": {"algorithm": "fedavg", "rate": 2e-3},
    "fsl": {"algorithm": "fsl", "cut": "u_shape", "codec": "int8", "rate": 2e-3},
    "lora": {"algorithm": "lora", "rank": 1, "rate": 3e-2},
}

print("algorithm   perplexity   Mbit on the air   device MB   device MFLOPs per step")
for name, choice in CHOICES.items():
    session = open_session(LearnConfig(**SETTINGS, **choice))
    run = session.run()
    mbit = sum(r["num_bits_up"] + r["num_bits_down"] for r in run.rounds) / 1e6
    memory = session.cost.device_memory_bytes(session.states_per_value) / 1e6
    perplexity, mflops = math.exp(run.rounds[-1]["test_loss"]), session.cost.device_flops / 1e6
    print(f"{name:<10}{perplexity:12.3f}{mbit:18.2f}{memory:12.2f}{mflops:25.1f}")
