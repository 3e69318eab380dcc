"""Progress on the terminal or in a notebook, and silence in a log file."""

from __future__ import annotations

import sys
from typing import Any

from tqdm.auto import tqdm


class Bar:
    """A progress bar in entities; it shows nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, task: str) -> None:
        """Show the bar."""
        self._bar = tqdm(desc=task, unit=" entities", leave=False, disable=not self._is_seen(), delay=1)

    @staticmethod
    def _is_seen() -> bool:
        return "ipykernel" in sys.modules or sys.stderr.isatty()

    def advance(self, entities: int) -> None:
        """Move the bar."""
        self._bar.update(entities)

    def end(self) -> None:
        """Take the bar away."""
        self._bar.close()
