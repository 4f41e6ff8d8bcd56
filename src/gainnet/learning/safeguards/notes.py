"""Memory of a member from one message to the next, and after its process has died."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole


@final
@dataclass(frozen=True)
class Notes:
    """Tables of JSON by name, in files that their owner alone can read.

    Args:
        folder: of the files; kept in memory alone when `None`.
    """

    folder: Path | None = None
    _tables: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    def read(self, name: str) -> dict[str, Any]:
        """A table as it was written last; empty where there is none.

        Raises:
            ConfigError: its file is damaged.
        """
        if name not in self._tables and self.folder is not None and (path := self.folder / f"{name}.json").is_file():
            try:
                self._tables[name] = dict(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                raise ConfigError(f"kept: {path} is damaged; delete the folder and join anew") from None
        return dict(self._tables.get(name, {}))

    def write(self, name: str, table: dict[str, Any]) -> None:
        """Replaces a table."""
        self._tables[name] = dict(table)
        if self.folder is not None:
            write_whole(self.folder / f"{name}.json", json.dumps(table).encode(), 0o600)
