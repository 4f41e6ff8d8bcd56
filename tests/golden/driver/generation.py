"""Pictures over the air, from configuration to report."""

from __future__ import annotations

from typing import Any

from gainnet.catalog import GenerationConfig
from gainnet.catalog.labels import labels_of_config
from gainnet.catalog.opening import open_request
from gainnet.generation.quality import mean_fidelity
from golden.driver.air import listening
from golden.driver.material import folder, model
from golden.driver.values import of_report, of_tensor, plain

FILES = {"image": "picture.png", "network": "network.toml", "trace": "trace.csv"}


def run(case: dict[str, Any]) -> dict[str, Any]:
    """What is on the air, the picture, what it cost, how good it is, and what the estimate says.

    Args:
        case: fields of the configuration by name; `image`, `network` and `trace` are true for the shared file.
    """
    fields = {key: str(folder() / FILES[key]) if key in FILES else value for key, value in case.items()}
    fields["prompts"] = tuple(fields["prompts"])
    fields["failures"] = tuple((node, step) for node, step in fields.pop("failures", ()))
    config = GenerationConfig(**{"num_steps": 2, "harq": "none", **fields})
    with listening() as log:
        request = open_request(config, model(config.num_steps or 2))
        made = request.generate()
    labels = labels_of_config(made, config)
    baseline = made.baseline
    return {
        "codecs": dict(labels.codecs),
        "air": {name: entry for name, entry in sorted(log.items()) if name.startswith("air/")},
        "images": of_tensor(made.values),
        "references": of_tensor(made.references),
        "report": of_report(made.report),
        # The share that the classifier finds, without the count of things by which a generation's fidelity goes since.
        "quality": plain(
            {
                **vars(made.quality),
                "prompt_fidelity": mean_fidelity(made.values, [image.prompt for image in made.images]),
            }
        ),
        "baseline": None
        if baseline is None
        else {
            "name": baseline.name,
            "num_channel_uses_equal_psnr": plain(baseline.num_channel_uses_equal_psnr),
            "psnr_db_equal_uses": plain(baseline.psnr_db_equal_uses),
            "image": of_tensor(baseline.image),
        },
        "fading": labels.fading,
        "snr_db": labels.met and labels.met.snr_db,
        "num_edges": len(made.network.edges),
        "estimate": of_report(request.estimate()),
    }
