"""What the ports in memory share: every method is a named step that can be faulted."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define

from link.adapters.in_memory.world import Death, Fault
from link.domain.errors import ConnectionLost, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from link.adapters.in_memory.world import World
    from link.domain.keys import Key
    from link.domain.transfers import Transfer


@define
class Steps:
    """What the ports of one run share."""

    world: World
    owner: UUID

    @contextmanager
    def step(self, name: str, transfer: Transfer | None = None) -> Iterator[Fault | None]:
        """Take one step whole, or be faulted before or after it."""
        fault = self.world.at_step(self.owner, name)
        if fault is Fault.FAIL:
            raise ConnectionLost(server="memory", detail=f"told to fail at {name}")
        if fault is Fault.DIE:
            self.die()
        yield fault
        if fault is Fault.DIE_AFTER:
            self.die()
        if fault is Fault.LOSE_REPLY:
            raise OutcomeUnknown(server="memory", transfer=str(transfer.id if transfer else name))

    def die(self) -> None:
        self.world.alive.discard(self.owner)
        raise Death


def first_after(keys: Sequence[Key], after: Key | None, limit: int) -> list[Key]:
    """Return the first `limit` of `keys` after `after`, as a page of them."""
    return sorted(key for key in keys if after is None or key > after)[:limit]
