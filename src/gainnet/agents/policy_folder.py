"""Folders of learned policies: shipped ones by name, those of the user by path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ModelError
from gainnet.core.weights import CONFIG, WeightsFormat, check_width

WEIGHTS = "actor.safetensors"


@final
@dataclass(frozen=True)
class PolicyFolders:
    """The policies of one kind.

    Args:
        shipped: folder that holds those of the package, one folder each.
        label: what errors begin with.
        kind: what `config.json` says it is; empty for what says nothing.
        command: what trains one.
    """

    shipped: Path
    label: str
    kind: str
    command: str

    @property
    def form(self) -> WeightsFormat:
        """How weights are stored."""
        return WeightsFormat(self.label, self.kind, WEIGHTS, "train it again")

    def names(self) -> list[str]:
        """Those of the package."""
        return sorted(path.parent.name for path in self.shipped.glob(f"*/{CONFIG}"))

    def read(self, name_or_folder: str) -> tuple[Path, dict[str, Any]]:
        """The folder and the configuration of a policy; a name without its training seed is that of the first.

        Raises:
            ModelError: there is none, or it is damaged.
        """
        name = next((n for n in (name_or_folder, f"{name_or_folder}-0") if n in self.names()), "")
        folder = self.shipped / name if name else Path(name_or_folder).expanduser()
        if not name_or_folder or not folder.is_dir():
            known = ", ".join(self.names())
            raise ModelError(f"{self.label}: {name_or_folder!r} is unknown; give a folder or one of {known}")
        if lacking := [file for file in (CONFIG, WEIGHTS) if not (folder / file).is_file()]:
            files = " and ".join(lacking)
            raise ModelError(f"{self.label}: {files} missing in {folder}; give a folder that {self.command} wrote")
        config = self.form.config(folder, {"features": list, "width": int, "sha256": str})
        check_width(self.label, folder, config["width"])
        return folder, config
