"""Split learning with devices that are processes of their own: TLS on both sides, every bit on the sockets counted."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig
from gainnet.catalog.terms import offer
from gainnet.learning.engines.streamed import serve
from gainnet.wire.keys import write_certificates
from gainnet.wire.tls import listening

CONFIG = LearnConfig("fsl", clients=2, rounds=1, num_steps=2, num_texts=30, link="ideal", codec="int8")
DEVICES = ("device_0", "device_1")

with TemporaryDirectory() as folder, listening("127.0.0.1", 0) as listener:
    keys, port = Path(folder), listener.getsockname()[1]
    write_certificates(keys, devices=DEVICES)
    join = [sys.executable, "-m", "gainnet.cli", "split", "join"]
    there = ["--keys", str(keys), "--port", str(port), "--json"]
    devices = [subprocess.Popen([*join, name, *there], stdout=subprocess.DEVNULL) for name in DEVICES]
    session = open_session(CONFIG)
    run, traffic = serve(session, offer(CONFIG, session.model), listener, keys, timeout_s=300.0)
    assert [device.wait(60) for device in devices] == [0, 0]

here = open_session(CONFIG).run()
farthest = max(float((run.state[name] - here.state[name]).abs().max()) for name in here.state)
priced_up, priced_down = (here.rounds[-1][f"num_bits_{way}"] / 1e6 for way in ("up", "down"))
framing = 1 - (traffic.num_bits_up + traffic.num_bits_down) / 8 / (traffic.num_bytes_up + traffic.num_bytes_down)
print(
    f"test loss after the round: {run.rounds[-1]['test_loss']:.4f}, in one process {here.rounds[-1]['test_loss']:.4f}"
)
print(f"farthest weight from one process: {farthest:.1e}")
print(f"Mbit of payload on the sockets: {traffic.num_bits_up / 1e6:.3f} up, {traffic.num_bits_down / 1e6:.3f} down")
print(f"Mbit that one process books: {priced_up:.3f} up, {priced_down:.3f} down")
print(f"framing: {framing:.2%} of the bytes")
