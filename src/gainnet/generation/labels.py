"""Names of the objects of a generation, for people and for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from gainnet.radio import Air


@final
@dataclass(frozen=True)
class Labels:
    """Texts that name what a generation was made with; `gainnet.catalog.labels` finds them.

    Args:
        protocol: e.g. `ciag(cut=3)`.
        model: e.g. `scenes`.
        codecs: by what they carried.
        fading: that the content met.
        met: air that the content met, with its mean SNR; `None` without noise.
        power: policy of power; `None` for constant power.
        hardware: of the device.
        edge_hardware: of the edges.
        configuration: constructor texts of protocol, codecs and air.
    """

    protocol: str
    model: str
    codecs: Mapping[str, str]
    fading: str
    met: Air | None
    power: str | None
    hardware: str
    edge_hardware: str
    configuration: Mapping[str, str] = field(default_factory=dict)

    @property
    def air(self) -> str:
        """Fading and mean SNR."""
        return self.fading if self.met is None else f"{self.fading} at {self.met.snr_db:.4g} dB"
