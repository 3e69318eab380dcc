"""Runs: the processes at lab L, each with ports of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from attrs import define, field

from link.adapters.in_memory.inspector import InMemoryInspector, InMemoryPremises
from link.adapters.in_memory.local import InMemoryLocal
from link.adapters.in_memory.objects import InMemoryObjects
from link.adapters.in_memory.source import InMemoryOutbound, InMemorySource
from link.use_cases.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Callable

    from link.adapters.in_memory.world import World


class Silence:
    """A progress that nobody watches."""

    def begin(self, task: str) -> None:
        """Do nothing."""

    def advance(self, entities: int) -> None:
        """Do nothing."""

    def expect(self, amount: Callable[[], int]) -> None:
        """Do nothing."""

    def carry(self, size: int) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


@define
class Run:
    """One process at lab L: alive from `ports` on until `end`, or until it is told to die."""

    world: World
    owner: UUID = field(factory=uuid4)

    def ports(self, *, chunk: int = 10_000, memory: int = 1_000, link: str = "link") -> Ports:
        """Return ports for the use cases, and show the run to be alive."""
        self.world.alive.add(self.owner)
        return Ports(
            source=InMemorySource(self.world, self.owner, memory),
            outbound=InMemoryOutbound(self.world, self.owner, link),
            local=InMemoryLocal(self.world, self.owner),
            inspector=InMemoryInspector(self.world, self.owner),
            progress=Silence(),
            objects=InMemoryObjects(self.world, self.owner),
            owner=self.owner,
            clock=time.monotonic,
            chunk=chunk,
        )

    def premises(self) -> InMemoryPremises:
        """Return what `doctor` and `repair` look at first."""
        return InMemoryPremises(self.world, self.owner)

    def end(self) -> None:
        """End the process orderly."""
        self.world.alive.discard(self.owner)
