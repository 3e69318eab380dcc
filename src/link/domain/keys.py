"""Keys as the domain sees them: opaque, positional, and never compared here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Key: TypeAlias = tuple[str, ...]
"""The primary key of an entity, each value as text that a server rendered and that a server reads back unchanged.

Whether two keys are equal is for a server to say (its collation decides), so nothing in the domain compares them: batches
travel as sequences, and answers about them come back as positions in the batch.
"""

Keys: TypeAlias = "Sequence[Key]"


def batches(keys: Keys, size: int) -> Iterator[Keys]:
    """Yield `keys` in order, at most `size` at a time."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def pick(keys: Keys, positions: Sequence[int]) -> list[Key]:
    """Return the keys that stand at `positions`."""
    return [keys[position] for position in positions]


def spelled(key: Mapping[str, str]) -> str:
    """Return a key with the names of its attributes, for messages and reports."""
    return "(" + ", ".join(f"{name}={value!r}" for name, value in key.items()) + ")"
