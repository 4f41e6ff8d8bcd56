"""Noisy values that leave: drawn once, written down before they are sent, and sent again as they are."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from gainnet.core.errors import ConfigError, system_reason
from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State

EVENTS = "events.jsonl"


@final
@dataclass(frozen=True)
class Releases:
    """Noisy values of a run by who lets them out, the last one of each.

    draw: one more event --noise--> file --send--> ...; after a kill the file is sent, and nothing is drawn.

    Two draws of noise on the same sum are two releases, whose mean has less noise; so an event is written before noise
    is drawn, and one whose values were lost, or deleted, counts as well.

    Args:
        folder: of the files; nothing is kept when `None`, in a run that cannot go on after a kill.
    """

    folder: Path | None = None

    def once(self, who: NodeId, start: State, draw: Callable[[], State]) -> State:
        """Values that were drawn before from the same start, or values that are drawn now.

        Args:
            who: lets them out.
            start: the state that the round began with.
            draw: adds the noise.

        Raises:
            ConfigError: a file of the folder is damaged, or cannot be written.
        """
        if self.folder is None:
            return draw()
        place, began = Checkpoint(self.folder / f"{who}.safetensors", {"who": who}), fingerprint(start)
        found = place.read()
        if found is not None and found[0].get("start") == began:
            return found[1]
        self._note(who, began)
        drawn = draw()
        place.write({"start": began}, drawn)
        return drawn

    def last(self, who: NodeId) -> State | None:
        """Values that were let out last; `None` where none were, or none are kept."""
        found = None if self.folder is None else Checkpoint(self.folder / f"{who}.safetensors", {"who": who}).read()
        return None if found is None else found[1]

    def num_events(self) -> int:
        """How often values were drawn, of whom they were drawn most often; also of those that never left."""
        path = None if self.folder is None else self.folder / EVENTS
        if path is None or not path.is_file():
            return 0
        try:
            # A line that a kill has cut counts for everybody, since nobody knows whose it was.
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
            whole = [json.loads(line)["who"] for line in lines if line.endswith("}")]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"out: {path} cannot be read ({system_reason(error)}); what was spent is unknown, begin anew"
            ) from None
        return max(Counter(whole).values(), default=0) + len(lines) - len(whole)

    def _note(self, who: NodeId, began: str) -> None:
        assert self.folder is not None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / EVENTS).open("a", encoding="utf-8") as file:
                # A line of its own behind one that was cut; empty lines say nothing.
                file.write("\n" + json.dumps({"start": began, "who": who}, sort_keys=True))
                file.flush()
                # On the disk before noise exists: a draw that a power cut forgets would not be counted.
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigError(f"out: cannot write {self.folder} ({error.strerror}); make room") from None
