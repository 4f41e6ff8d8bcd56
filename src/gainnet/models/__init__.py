"""Generative models as parts: the shipped one, and any pipeline of the Stable Diffusion family.

diffusers takes a component only from a module that is already imported. The shipped model folder names this one, so
`import gainnet` is enough for `StableDiffusionPipeline.from_pretrained`; what it names is loaded when first asked for.
"""

from typing import Any

_OF_AUTOENCODER = ("ModelMixin", "SceneAutoencoder")


def __getattr__(name: str) -> Any:
    """The autoencoder's class, and the class diffusers looks for beside it."""
    if name not in _OF_AUTOENCODER:
        raise AttributeError(f"module 'gainnet.models' has no attribute {name!r}")
    from gainnet.models import autoencoder

    return getattr(autoencoder, name)
