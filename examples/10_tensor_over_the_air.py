"""A tensor over the air, without any model: one function transmits whatever a codec encodes.

The tensor has 1,024 values of variance 1, of which 256 channel uses carry 512, two in each: the error cannot fall below
0.5, and a receiver that hears nothing and takes zeros has 1.
"""

import gainnet
from gainnet import Air, LinearCode, Random, Rayleigh

latent = Random.of([3]).normal((4, 16, 16), "latent")

print("SNR dB   mean squared error   channel uses")
for snr_db in (-10, 0, 10):
    received = gainnet.transmit(latent, LinearCode(256), Air(Rayleigh(), snr_db=snr_db), random=7)
    error = (received.values - latent).square().mean()
    print(f"{snr_db:6}   {error:18.3f}   {received.usage.num_channel_uses:12.0f}")
