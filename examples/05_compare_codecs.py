"""Three ways to send one seed over the same air, each in 512 channel uses or a little more."""

import torch

from gainnet import load
from gainnet.codecs import LinearCode, QuantizedSeed, RawAnalog, SeedBasis
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.units import db_to_linear, psnr_db_of_mse
from gainnet.protocols.transmit import transmit
from gainnet.radio import AWGN, Air, Analog, Tabulated

NUM_CHANNEL_USES = 512
model, random = load(), Random.of([1, 2, 3, 4])
basis = SeedBasis.load(model.name, model.sha256)

tensors = {"prompt": text_to_tensor(["a yellow star", "a green tree at night", "a blue house", "a yellow moon"])}
with torch.no_grad():
    for part in model.parts:
        tensors |= part({key: tensors[key] for key in part.reads}, random)
latents, images = tensors["latent"], tensors["image"]

print("SNR dB   codec     latent error   PSNR dB   uses per picture")
for snr_db in (0.0, 5.0, 10.0):
    analog, digital = Analog(Air(AWGN(), snr_db)), Tabulated(Air(AWGN(), snr_db))
    max_bits = digital.capacity_bits(NUM_CHANNEL_USES, db_to_linear(snr_db))
    choices = {
        "raw": (RawAnalog(NUM_CHANNEL_USES, scale=basis.root_mean_square), analog),
        "linear": (LinearCode(NUM_CHANNEL_USES, basis), analog),
        "digital": (QuantizedSeed(max_bits=max_bits, basis=basis), digital),
    }
    for name, (codec, link) in choices.items():
        received = transmit(latents, codec, link, random.child("air", name))
        with torch.no_grad():
            finished = model.decoder({"latent": received.values}, random)["image"]
        error = (received.values - latents).square().mean() / latents.var()
        psnr_db = psnr_db_of_mse((finished - images).square().mean())
        uses = received.usage.num_channel_uses / len(latents)
        print(f"{snr_db:6.0f}   {name:<9} {error:12.3f} {psnr_db:9.2f} {uses:12.0f}")
