"""Progress on the terminal or in a notebook, and silence in a log file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable


class Bar:
    """A bar in entities, and one in bytes for stored objects; both show nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._bytes: Any = None
        self._expected = 0

    def begin(self, task: str) -> None:
        """Show the bar."""
        self._bar = tqdm(desc=task, unit=" entities", leave=False, disable=not self._is_seen(), delay=1)

    @staticmethod
    def _is_seen() -> bool:
        return "ipykernel" in sys.modules or sys.stderr.isatty()

    def advance(self, entities: int) -> None:
        """Move the bar."""
        self._bar.update(entities)

    def expect(self, amount: Callable[[], int]) -> None:
        """Ask for the total of the bar of bytes."""
        if self._is_seen():
            self._expected = amount()

    def carry(self, size: int) -> None:
        """Move the bar of bytes, which has a total and so the time that is left; more than expected moves the total."""
        if self._bytes is None:
            settings = {"unit": "B", "unit_scale": True, "leave": False, "delay": 1}
            self._bytes = tqdm(desc="objects", total=self._expected, disable=not self._is_seen(), **settings)
        self._bytes.total = max(self._bytes.total, self._bytes.n + size)
        self._bytes.update(size)

    def end(self) -> None:
        """Take the bars away."""
        if self._bytes is not None:
            self._bytes.close()
        self._bar.close()
