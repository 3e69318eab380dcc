"""The source server's ports in memory: the source table, registrations, flags and the journal."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from attrs import define

from link.adapters.in_memory.steps import Steps, first_after
from link.adapters.in_memory.world import Entry, Registration
from link.domain.transfers import OpenTransfer, Operation
from link.use_cases.ports import Chunk, Page, Settled, SourceEvidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.in_memory.world import World
    from link.domain.keys import Key, Keys
    from link.domain.transfers import Transfer


@define
class InMemorySource(Steps):
    """Reads the source table; a selection is a container of keys, or None for all."""

    memory: int = 1_000
    """Entities that fit into memory at once."""

    def page(self, selection: object, after: Key | None, limit: int) -> Page:
        """Return a page of the selected keys."""
        with self.step("page"):
            chosen = [key for key in self.world.source if selection is None or key in selection]  # type: ignore[operator]
            keys = first_after(chosen, after, limit)
            return Page(keys=keys, evidence=[seen(self.world, key) for key in keys], last=len(keys) < limit)

    def read(self, keys: Keys) -> Chunk:
        """Return entities without registering them."""
        with self.step("read"):
            return Chunk(keys=list(keys), rows={key: self.world.source[key] for key in keys if key in self.world.source})

    def split(self, keys: Keys) -> Sequence[Keys]:
        """Divide by `memory`."""
        with self.step("split"):
            return [keys[start : start + self.memory] for start in range(0, len(keys), self.memory)]

    def expected(self, selection: object) -> int:
        """Return 0: rows are complete in themselves here."""
        with self.step("expected"):
            return 0


def seen(world: World, key: Key) -> SourceEvidence:
    """Return what the source server says of a key."""
    whole = world.evidence(key)
    return SourceEvidence(
        in_source=whole.in_source,
        registered=whole.registered,
        requested=whole.requested,
        approved=whole.approved,
        transfer=whole.transfer,
    )


@define
class InMemoryOutbound(Steps):
    """Keeps registrations, flags and the journal."""

    link: str = "link"

    def open_transfers(self) -> Sequence[OpenTransfer]:
        with self.step("open transfers"):
            entries = sorted(self.world.journal.values(), key=lambda entry: entry.number)
            return [
                OpenTransfer(transfer=entry.transfer, opened=datetime.now(timezone.utc), who="memory")
                for entry in entries
                if entry.is_open and entry.link == self.link
            ]

    def is_alive(self, transfer: Transfer) -> bool:
        with self.step("is alive at the source"):
            return transfer.owner in self.world.alive

    def evidence(self, keys: Keys) -> Sequence[SourceEvidence]:
        with self.step("evidence"):
            return [seen(self.world, key) for key in keys]

    def register(self, transfer: Transfer, fresh: Keys, lost: Keys) -> Chunk:
        with self.step("register", transfer):
            self._open(transfer)
            world = self.world
            taken = [key for key in fresh if key in world.source and key not in world.outbound]
            world.outbound.update({key: Registration(transfer.id) for key in taken})
            flagged = world.requested | world.approved
            lost = [key for key in lost if key in world.source and key in world.outbound]
            again = [key for key in lost if self._is_settled(key) and key not in flagged and key not in taken]
            for key in again:
                known = world.outbound[key]
                world.outbound[key] = Registration(transfer.id, by=known.by if known.held else transfer.id)
            taken += again
            return Chunk(keys=taken, rows={key: world.source[key] for key in taken})

    def _open(self, transfer: Transfer) -> None:
        entry = Entry(transfer=transfer, link=self.link, number=len(self.world.journal))
        self.world.journal.setdefault(transfer.id, entry)

    def _is_settled(self, key: Key) -> bool:
        entry = self.world.journal.get(self.world.outbound[key].transfer)
        return entry is not None and not entry.is_open

    def mark(self, transfer: Transfer, keys: Keys) -> int:
        with self.step("mark", transfer):
            self._open(transfer)
            for key in keys:
                if key in self.world.outbound and self._is_settled(key) and key not in self.world.approved:
                    self.world.outbound[key].transfer = transfer.id
            return len(self._under(transfer, keys))

    def _under(self, transfer: Transfer, keys: Keys) -> list[Key]:
        world = self.world
        mine = (key for key in keys if key in world.outbound and world.outbound[key].transfer == transfer.id)
        return [key for key in mine if key not in world.approved]

    def rows(self, transfer: Transfer, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("rows"):
            mine = [key for key, found in self.world.outbound.items() if found.transfer == transfer.id]
            return first_after(mine, after, limit)

    def give_up(self, transfer: Transfer, keys: Keys) -> Settled | None:
        with self.step("give up", transfer):
            entry = self.world.journal.get(transfer.id)
            if entry is None or not entry.is_open:
                return None
            mine = self._under(transfer, keys)
            if transfer.operation is Operation.PULL:
                mine = [key for key in mine if self.world.outbound[key].by == transfer.id]
            approved = [key for key in mine if key in self.world.requested and key in self.world.source]
            self.world.approved.update(approved)
            released = [key for key in mine if key not in approved]
            for key in released:
                del self.world.outbound[key]
                self.world.requested.discard(key)
            return Settled(released=len(released), approved=len(approved))

    def close(self, transfer: Transfer) -> bool:
        with self.step("close", transfer):
            entry = self.world.journal.get(transfer.id)
            was_open = entry is not None and entry.is_open
            if entry is not None:
                entry.is_open = False
            return was_open

    def requested(self, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("requested"):
            return first_after([*(self.world.requested - self.world.approved)], after, limit)

    def withdrawn(self, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("withdrawn"):
            return first_after(self._withdrawn([*self.world.approved]), after, limit)

    def _withdrawn(self, keys: Keys) -> list[Key]:
        world = self.world
        approved = (key for key in keys if key in world.approved and key in world.outbound and self._is_settled(key))
        return [key for key in approved if key not in world.requested or key not in world.source]

    def release_withdrawn(self, keys: Keys) -> int:
        with self.step("release withdrawn"):
            free = self._withdrawn(keys)
            for key in free:
                self.world.approved.discard(key)
                self.world.requested.discard(key)
                del self.world.outbound[key]
            return len(free)

    def reinstate(self, transfer: Transfer, keys: Keys) -> int:
        with self.step("reinstate", transfer):
            self._open(transfer)
            world = self.world
            for key in keys:
                known = world.outbound.get(key)
                lapsed = known is not None and self._is_settled(key) and (key in world.approved or not known.held)
                if key in world.source and (known is None or lapsed):
                    world.outbound[key] = Registration(transfer.id)
                    world.approved.discard(key)
            return len(self._under(transfer, keys))

    def drop_stray_flags(self, keys: Keys) -> int:
        with self.step("drop stray flags"):
            world = self.world
            stray = [key for key in keys if key not in world.outbound and key not in world.source]
            flagged = [key for key in stray if key in world.requested | world.approved]
            world.requested.difference_update(flagged)
            world.approved.difference_update(flagged)
            return len(flagged)
