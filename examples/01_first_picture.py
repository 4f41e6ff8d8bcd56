"""The first picture over the air: an edge generates it, a device finishes it, a noisy link carries the seed."""

from pathlib import Path

from gainnet import GenerationConfig, generate, save

config = GenerationConfig(("a red star above a blue house at sunset",), snr_db=0.0, num_channel_uses=512, random_seed=7)
result = generate(config)
save(result, Path("out/first_picture"))

print(f"PSNR against the channel-free picture: {result.quality.psnr_db:.2f} dB")
print(f"channel uses: {result.report.num_channel_uses('down'):.0f} down, {result.report.num_channel_uses('up'):.0f} up")
print(f"priced as {result.report.priced_as}: {result.report.duration_s:.3f} s, {result.report.energy_j:.1f} J")
if result.baseline is not None:
    print(f"{result.baseline.name} over the same air: {result.baseline.psnr_db_equal_uses:.2f} dB")
print("see out/first_picture/report.html")
