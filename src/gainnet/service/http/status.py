"""What the dashboard reads: `GET /v1/status` gives one JSON object, `GET /v1/events` the same as server-sent events.

Each event is `event: status`, `data: {...}` once a second. All times are seconds; `at_s` is the server's clock (Unix).

    {
      "at_s": 1764276000.0, "uptime_s": 12.5, "version": "0.1.0", "model": "scenes", "runtime": "onnx",
      "ready": true, "draining": false,
      "topology": {"nodes": [{"name": "edge", "kind": "edge", "address": "https://127.0.0.1:8080", "alive": true}],
                   "links": [{"source": "edge", "target": "device", "medium": "air"}]},
      "connected": [{"name": "device-3", "kind": "device", "protocol": "eiug", "since_s": 3.1}],
      "engine": {"open": 3, "waiting": 2, "most_waiting": 256, "most_batch": 16, "occupancy": 5.2,
                 "passes": {"unet": 120, "text_encoder": 8, "decoder": 8}, "busy_s": {"unet": 3.2},
                 "ticks": [{"begin_s": -0.4, "duration_s": 0.05, "network": "unet", "rows": 4, "requests": [7, 8]}]},
      "requests": [{"id": "7", "kind": "images", "protocol": "centralized", "state": "done", "begin_s": -2.0,
                    "end_s": -1.2, "step": 10, "num_steps": 10, "num_channel_uses": 512, "energy_j": 0.3}],
      "counts": {"accepted": 10, "done": 8, "failed": 1, "cancelled": 1, "refused": 0, "late": 0, "late_frames": 0},
      "failures": [{"at_s": -5.0, "node": "edge_2", "step": 3, "what": "vanished"}],
      "energy": {"modelled_j": 12.0, "cpu_s": 4.1}, "uses": {"up": 512, "down": 4096}
    }

`begin_s` and `end_s` count from `at_s` (negative: in the past); `end_s` is null while it runs. `requests` holds the
last 64, `ticks` the last 256, `failures` the last 16, newest last. `state` is one of queued, running, done, failed,
cancelled. Ids are the server's own numbers: nothing that a client wrote is in here.
"""
