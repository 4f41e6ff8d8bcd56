"""Prices of parts, which may stand for the same parts of a larger model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import final

from gainnet.core.errors import unknown_name
from gainnet.models.part import Part


@final
@dataclass(frozen=True)
class Price:
    """Cost of one part of a model.

    Args:
        flops_per_pass: floating-point operations of one forward pass of one item.
        memory_bytes: bytes of its parameters in half precision.
    """

    flops_per_pass: float
    memory_bytes: float


@final
@dataclass(frozen=True)
class Pricing:
    """Prices by role; a part whose role has no price costs what it really costs.

    Args:
        name: of the model that is priced, stated in every report.
        price_of_role: FLOPs per pass and bytes.

    >>> sd15, sdxl = pricing("sd15"), pricing("sdxl")
    >>> sorted(sd15.price_of_role)
    ['decoder', 'denoiser', 'image_encoder', 'text_encoder']
    >>> sdxl.price_of_role["denoiser"].flops_per_pass > 5 * sd15.price_of_role["denoiser"].flops_per_pass
    True
    """

    name: str
    price_of_role: Mapping[str, Price] = field(default_factory=dict)

    def flops(self, part: Part) -> float:
        """FLOPs per item of a part."""
        # A large model takes as many passes per picture as the small one that runs in its place.
        price = self.price_of_role.get(part.role)
        return part.flops if price is None else price.flops_per_pass * part.num_passes

    def memory_bytes(self, part: Part) -> float:
        """Bytes of a part's parameters."""
        price = self.price_of_role.get(part.role)
        return part.memory_bytes if price is None else price.memory_bytes


SHIPPED = Pricing("shipped")


@cache
def pricings() -> Mapping[str, Pricing]:
    """The price lists by name; `shipped` is the model itself.

    >>> sorted(pricings())
    ['sd15', 'sdxl', 'shipped']
    """
    tables = tomllib.loads(Path(__file__).with_name("pricing.toml").read_text())
    listed = {
        name: Pricing(name, {role: Price(**price) for role, price in roles.items()}) for name, roles in tables.items()
    }
    return {SHIPPED.name: SHIPPED, **listed}


def pricing(name: str) -> Pricing:
    """The price list of that name; raises `ConfigError` when there is none.

    >>> pricing("sd15").name
    'sd15'
    >>> pricing("sd2")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: priced_as: 'sd2' is unknown; choose one of sd15, sdxl, shipped
    """
    if name not in pricings():
        raise unknown_name("priced_as", name, pricings())
    return pricings()[name]
