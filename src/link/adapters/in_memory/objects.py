"""The port to stored objects in memory: two more steps that can fail, and objects that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from link.adapters.in_memory.steps import Steps
from link.adapters.in_memory.world import TABLE
from link.domain.errors import ObjectMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.domain.transfers import Transfer
    from link.use_cases.ports import Chunk


@define
class InMemoryObjects(Steps):
    """Brings nothing along; the world says what is missing."""

    def prepare(self) -> None:
        with self.step("prepare"):
            pass

    def bring(self, transfer: Transfer, chunk: Chunk) -> tuple[Chunk, Sequence[tuple[int, ObjectMissing]]]:
        with self.step("bring", transfer):
            missing = [
                (position, ObjectMissing(table=TABLE, column="object", store="memory", path="/".join(key)))
                for position, key in enumerate(chunk.keys)
                if key in self.world.without_objects
            ]
            return chunk, missing
