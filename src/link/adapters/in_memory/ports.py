"""The ports over a `World`: the same use cases as on real servers, offline."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from attrs import define, field

from link.adapters.in_memory.world import Death, Entry, Fault, Registration
from link.domain.errors import ConnectionLost, IncompleteCopy, KeyConflict, OutcomeUnknown, RemovalChanged, TransferAbandoned
from link.domain.transfers import OpenTransfer, Outcome
from link.use_cases.ports import Chunk, Difference, Page, Ports, Removal, Settled, SourceEvidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from link.adapters.in_memory.world import World
    from link.domain.keys import Key, Keys
    from link.domain.transfers import Transfer

TABLE = "entity"


@define
class _Steps:
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
            self._die()
        yield fault
        if fault is Fault.DIE_AFTER:
            self._die()
        if fault is Fault.LOSE_REPLY:
            raise OutcomeUnknown(server="memory", transfer=str(transfer.id if transfer else name))

    def _die(self) -> None:
        self.world.alive.discard(self.owner)
        raise Death


def _after(keys: Sequence[Key], after: Key | None, limit: int) -> list[Key]:
    return sorted(key for key in keys if after is None or key > after)[:limit]


@define
class InMemorySource(_Steps):
    """Reads the source table; a selection is a container of keys, or None for all."""

    memory: int = 1_000
    """Entities that fit into memory at once."""

    def page(self, selection: object, after: Key | None, limit: int) -> Page:
        """Return a page of the selected keys."""
        with self.step("page"):
            chosen = [key for key in self.world.source if selection is None or key in selection]  # type: ignore[operator]
            keys = _after(chosen, after, limit)
            return Page(keys=keys, evidence=[_seen(self.world, key) for key in keys], last=len(keys) < limit)

    def read(self, keys: Keys) -> Chunk:
        """Return entities without registering them."""
        with self.step("read"):
            return Chunk(keys=list(keys), rows={key: self.world.source[key] for key in keys if key in self.world.source})

    def split(self, keys: Keys) -> Sequence[Keys]:
        """Divide by `memory`."""
        return [keys[start : start + self.memory] for start in range(0, len(keys), self.memory)]


def _seen(world: World, key: Key) -> SourceEvidence:
    whole = world.evidence(key)
    return SourceEvidence(
        in_source=whole.in_source,
        registered=whole.registered,
        requested=whole.requested,
        approved=whole.approved,
        transfer=whole.transfer,
    )


@define
class InMemoryOutbound(_Steps):
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
        return transfer.owner in self.world.alive

    def evidence(self, keys: Keys) -> Sequence[SourceEvidence]:
        with self.step("evidence"):
            return [_seen(self.world, key) for key in keys]

    def register(self, transfer: Transfer, fresh: Keys, lost: Keys) -> Chunk:
        with self.step("register", transfer):
            self._open(transfer)
            world = self.world
            taken = [key for key in fresh if key in world.source and key not in world.outbound]
            flagged = world.requested | world.approved
            taken += [key for key in lost if key in world.outbound and self._is_settled(key) and key not in flagged]
            for key in taken:
                world.outbound[key] = Registration(transfer.id)
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
            return _after(mine, after, limit)

    def give_up(self, transfer: Transfer, keys: Keys) -> Settled | None:
        with self.step("give up", transfer):
            entry = self.world.journal.get(transfer.id)
            if entry is None or not entry.is_open:
                return None
            mine = self._under(transfer, keys)
            approved = [key for key in mine if key in self.world.requested]
            self.world.approved.update(approved)
            released = [key for key in mine if key not in self.world.requested]
            for key in released:
                del self.world.outbound[key]
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
            return _after([*(self.world.requested - self.world.approved)], after, limit)

    def withdrawn(self, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("withdrawn"):
            return _after(self._withdrawn([*self.world.approved]), after, limit)

    def _withdrawn(self, keys: Keys) -> list[Key]:
        approved = (key for key in keys if key in self.world.approved and key not in self.world.requested)
        return [key for key in approved if self._is_settled(key)]

    def release_withdrawn(self, keys: Keys) -> int:
        with self.step("release withdrawn"):
            free = self._withdrawn(keys)
            for key in free:
                self.world.approved.discard(key)
                del self.world.outbound[key]
            return len(free)


@define
class InMemoryLocal(_Steps):
    """Keeps copies and decisions."""

    def present(self, keys: Keys) -> Sequence[int]:
        with self.step("present"):
            return [position for position, key in enumerate(keys) if key in self.world.local]

    def clashes(self, keys: Keys) -> Sequence[int]:
        return [position for position, key in enumerate(keys) if list(keys).count(key) > 1]

    def named(self, key: Key) -> Mapping[str, str]:
        return {f"key{place}": value for place, value in enumerate(key)}

    def difference(self, chunk: Chunk) -> Sequence[Difference]:
        rows: Mapping[Key, object] = chunk.rows  # type: ignore[assignment]
        return [
            Difference(key=self.named(key), columns=["value"] if self.world.local[key] != rows.get(key) else [])
            for key in chunk.keys
            if key in self.world.local
        ]

    def is_alive(self, transfer: Transfer) -> bool:
        return transfer.owner in self.world.alive

    def _commit(self, name: str, transfer: Transfer | None, change: Mapping[Key, object] | Keys) -> None:
        """Decide and change in one transaction, now or, told to, later."""
        with self.step(name, transfer) as fault:
            if fault in {Fault.DELAY, Fault.DELAY_AND_DIE}:
                self.world.delayed.append(lambda: self._late(transfer, change))
                if fault is Fault.DELAY_AND_DIE:
                    self._die()
                raise OutcomeUnknown(server="memory", transfer=str(transfer.id if transfer else name))
            self._apply(transfer, change)

    def _late(self, transfer: Transfer | None, change: Mapping[Key, object] | Keys) -> None:
        try:
            self._apply(transfer, change)
        except (TransferAbandoned, KeyConflict):
            return

    def _apply(self, transfer: Transfer | None, change: Mapping[Key, object] | Keys) -> None:
        world = self.world
        if transfer is not None and transfer.id in world.decisions:
            raise TransferAbandoned(transfer=str(transfer.id))
        rows = change if isinstance(change, dict) else None
        if rows is not None and rows.keys() & world.local.keys():
            raise KeyConflict(table=TABLE, keys=[self.named(key) for key in rows.keys() & world.local.keys()])
        if transfer is not None:
            world.decisions[transfer.id] = Outcome.DONE
        if rows is not None:
            world.local.update(rows)
            return
        for key in change:
            world.lose(key)

    def commit_pull(self, transfer: Transfer, chunk: Chunk) -> None:
        rows: Mapping[Key, object] = chunk.rows  # type: ignore[assignment]
        self._commit("commit pull", transfer, dict(rows))

    def commit_delete(self, transfer: Transfer | None, keys: Keys, confirmed: Removal | None) -> Removal:
        there = [key for key in keys if key in self.world.local]
        if confirmed is None and there:
            raise IncompleteCopy(table=TABLE, expected=0, found=len(there))
        removal = Removal(counts={TABLE: len(there)})
        if confirmed is not None and removal.exceeds(confirmed):
            raise RemovalChanged(confirmed=confirmed.counts, found=removal.counts)
        self._commit("commit delete", transfer, list(keys) if confirmed is not None else [])
        return removal

    def abandon(self, transfer: Transfer) -> Outcome:
        with self.step("abandon"):
            return self.world.decisions.setdefault(transfer.id, Outcome.ABANDONED)

    def select(self, selection: object) -> Sequence[Key]:
        with self.step("select"):
            return sorted(key for key in self.world.local if selection is None or key in selection)  # type: ignore[operator]

    def preview(self, keys: Keys) -> Removal:
        return Removal(counts={TABLE: sum(key in self.world.local for key in keys)})

    def requests(self) -> Sequence[Key]:
        return sorted(self.world.shown)

    def change_requests(self, add: Keys, drop: Keys) -> int:
        with self.step("change requests"):
            new = [key for key in add if key not in self.world.shown and key in self.world.local]
            self.world.shown.difference_update(drop)
            self.world.shown.update(new)
            return len(new)


class Silence:
    """A progress that nobody watches."""

    def begin(self, task: str) -> None:
        """Do nothing."""

    def advance(self, entities: int) -> None:
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
            progress=Silence(),
            owner=self.owner,
            clock=time.monotonic,
            chunk=chunk,
        )

    def end(self) -> None:
        """End the process orderly."""
        self.world.alive.discard(self.owner)
