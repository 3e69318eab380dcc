"""The port to stored objects in memory, where rows are complete in themselves: two more steps that can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from link.adapters.in_memory.steps import Steps

if TYPE_CHECKING:
    from link.domain.transfers import Transfer
    from link.use_cases.ports import Chunk


@define
class InMemoryObjects(Steps):
    """Brings nothing along."""

    def prepare(self) -> None:
        with self.step("prepare"):
            pass

    def bring(self, transfer: Transfer, chunk: Chunk) -> Chunk:
        with self.step("bring", transfer):
            return chunk
