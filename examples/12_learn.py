"""Two devices adapt a language model to their text, which stays with them; losses, bits and energy are counted."""

import gainnet
from gainnet import Air, Client, Lora
from gainnet.catalog.learning import open_model
from gainnet.models.language import pack
from gainnet.models.language_text import write_texts

model, tokenizer = open_model("abstracts")
clients = [Client(field, pack(write_texts(field, 40, 1), tokenizer, 72)) for field in ("cardiology", "oncology")]
run = gainnet.learn(Lora(rank=1), clients, model, air=Air(snr_db=10.0), rounds=2)

print(f"test loss of the rounds: {', '.join(f'{loss:.4f}' for loss in run.losses)}")
print(f"Mbit on the air: {(run.report['num_bits_up'] + run.report['num_bits_down']) / 1e6:.3f}")
print(f"energy in J: {run.report['energy_j']:.2f}")
