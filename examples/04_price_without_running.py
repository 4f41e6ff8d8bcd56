"""What every protocol would cost, without running anything: the same report, from the same ledger."""

from gainnet import GenerationConfig, estimate, open_model
from gainnet.protocols import PROTOCOLS

PROMPTS = ("a red star above a blue house at sunset",)
model = open_model(GenerationConfig(PROMPTS))

print("protocol      priced as   time_s  energy_j  uses up  uses down")
for priced_as in ("sd15", "sdxl"):
    for protocol in PROTOCOLS:
        config = GenerationConfig(PROMPTS, protocol, snr_db=10.0, priced_as=priced_as)
        report = estimate(config, model)
        up, down = report.num_channel_uses("up"), report.num_channel_uses("down")
        print(f"{protocol:<13} {priced_as:<9} {report.duration_s:8.3f} {report.energy_j:9.1f} {up:8.0f} {down:10.0f}")
