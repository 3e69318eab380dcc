"""Progress on the terminal or in a notebook, and silence in a log file."""

from __future__ import annotations

import sys
from typing import Any

from tqdm.auto import tqdm


class Bar:
    """A bar in entities, and one in bytes for stored objects; both show nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._bytes: Any = None

    def begin(self, task: str) -> None:
        """Show the bar."""
        self._bar = tqdm(desc=task, unit=" entities", leave=False, disable=not self._is_seen(), delay=1)

    @staticmethod
    def _is_seen() -> bool:
        return "ipykernel" in sys.modules or sys.stderr.isatty()

    def advance(self, entities: int) -> None:
        """Move the bar."""
        self._bar.update(entities)

    def carry(self, done: int, total: int) -> None:
        """Move the bar of bytes, which has a total and so the time that is left; it is there for one chunk at a time."""
        if self._bytes is None or done < self._bytes.n:
            self._close_bytes()
            settings = {"unit": "B", "unit_scale": True, "leave": False, "delay": 1}
            self._bytes = tqdm(desc="objects", total=total, disable=not self._is_seen(), **settings)
        self._bytes.total = max(total, done)
        self._bytes.update(done - self._bytes.n)

    def _close_bytes(self) -> None:
        if self._bytes is not None:
            self._bytes.close()
            self._bytes = None

    def end(self) -> None:
        """Take the bars away."""
        self._close_bytes()
        self._bar.close()
