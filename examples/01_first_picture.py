"""A picture that edge and device make together over a noisy link, its cost, and the best image codec over that link."""

import gainnet
from gainnet import Air, Codecs, LinearCode

model = gainnet.load("scenes")
prompt = "a red star above a blue house at sunset"
result = gainnet.generate(prompt, model, codecs=Codecs(seed=LinearCode(512)), air=Air(snr_db=0.0), random_seed=7)
result.images[0].save("star.png")
gainnet.save(result, "out/first_picture")

print(f"PSNR against the channel-free picture: {result.quality.psnr_db:.2f} dB")
print(f"channel uses: {result.report.num_channel_uses('down'):.0f} down, {result.report.num_channel_uses('up'):.0f} up")
print(f"priced as {result.report.priced_as}: {result.report.duration_s:.3f} s, {result.report.energy_j:.1f} J")
if result.baseline is not None:
    print(f"{result.baseline.name} over the same air: {result.baseline.psnr_db_equal_uses:.2f} dB")
print("see out/first_picture/report.html")
