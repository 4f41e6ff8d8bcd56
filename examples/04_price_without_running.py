"""The price of every protocol, without running anything: the same report, from the same ledger."""

import gainnet
from gainnet import Air
from gainnet.protocols import PROTOCOLS

model = gainnet.load("scenes")

print("protocol      priced as   time_s  energy_j  uses up  uses down")
for priced_as in ("sd15", "sdxl"):
    for name, protocol in PROTOCOLS.items():
        report = gainnet.estimate(protocol(), model, air=Air(snr_db=10.0), priced_as=gainnet.pricing(priced_as))
        up, down = report.num_channel_uses("up"), report.num_channel_uses("down")
        print(f"{name:<13} {priced_as:<9} {report.duration_s:8.3f} {report.energy_j:9.1f} {up:8.0f} {down:10.0f}")
