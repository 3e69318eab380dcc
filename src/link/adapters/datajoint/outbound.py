"""The port to the registrations, flags and transfers at the source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import define

from link.adapters.datajoint import rows
from link.adapters.datajoint.chosen import Chosen
from link.adapters.datajoint.dialect import dialect, read_id
from link.adapters.datajoint.grants import lock_holders
from link.adapters.datajoint.layout import HELD, TRANSFER
from link.adapters.datajoint.line import LOCK_SECONDS, lock_is_held
from link.adapters.datajoint.source import keys_of
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import LinkEnded, LockWait
from link.domain.transfers import OpenTransfer, Operation, Transfer
from link.use_cases.ports import Chunk, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any
    from uuid import UUID

    from link.adapters.datajoint.evidence import SourceTables
    from link.adapters.datajoint.guard import Guard
    from link.domain.keys import Key, Keys
    from link.use_cases.ports import SourceEvidence

TRIES = 8
"""How often a transaction is tried that the server itself calls off (40001, deadlock)."""


@define(kw_only=True)
class DataJointOutbound:
    """Keeps the registrations of one link; each method is one transaction on the source server."""

    tables: Callable[[], SourceTables]
    guard: Guard
    link: UUID
    place: str
    """Where the local table is, as the registry has it."""
    who: str
    version: str

    # ---- reads

    def open_transfers(self) -> Sequence[OpenTransfer]:
        """Return this link's open transfers, oldest first."""
        tables = self.tables()
        speech = dialect(tables.session)
        found = tables.session.query(
            f"SELECT transfer, owner, operation, opened, who FROM {tables.journal}"
            f" WHERE link = {speech.uuid} AND closed IS NULL ORDER BY opened, transfer",
            (speech.id(self.link),),
        )
        return [
            OpenTransfer(
                transfer=Transfer(operation=Operation(operation), id=read_id(transfer), owner=read_id(owner)),
                opened=opened,
                who=who,
            )
            for transfer, owner, operation, opened, who in found
        ]

    def is_alive(self, transfer: Transfer) -> bool:
        """Whether the source server shows the transfer's run to be alive."""
        return lock_is_held(self.tables().session, transfer.owner)

    def evidence(self, keys: Keys) -> Sequence[SourceEvidence]:
        """Return the evidence for `keys`, in their order."""
        return Chosen(tables=self.tables(), keys=keys).evidence() if keys else []

    def rows(self, transfer: Transfer, after: Key | None, limit: int) -> Sequence[Key]:
        """Return keys whose last transfer is `transfer`."""
        tables = self.tables()
        speech = dialect(tables.session)
        condition = f"o.{TRANSFER} = {speech.uuid}"
        return keys_of(tables, f"{tables.outbound} o", condition, (speech.id(transfer.id),), after, limit)

    def requested(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return keys that are requested and not approved."""
        tables = self.tables()
        return keys_of(tables, f"{tables.requested} o", f"NOT {tables.flagged(tables.approved)}", (), after, limit)

    def withdrawn(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return settled keys that are approved, but not requested or not in the source."""
        tables = self.tables()
        joined = f"{tables.approved} a JOIN {tables.outbound} o ON {tables.same('a', 'o')}"
        condition = f"{tables.settled} AND {tables.pointless}"
        return keys_of(tables, joined, condition, (), after, limit)

    # ---- changes

    def register(self, transfer: Transfer, fresh: Keys, lost: Keys) -> Chunk:
        """Open the transfer and register, then read in one snapshot what is registered and so stays."""
        self._tried(lambda: self._register(self.tables(), transfer, fresh, lost))
        return self._tried(lambda: self._read(self.tables(), transfer))

    def _register(self, tables: SourceTables, transfer: Transfer, fresh: Keys, lost: Keys) -> None:
        with tables.session.transaction(transfer.id):
            self._open(tables, transfer, len(fresh) + len(lost))
            if fresh:
                Chosen(tables=tables, keys=fresh).insert(transfer)
            if lost:
                unflagged = f"NOT {tables.flagged(tables.requested)} AND NOT {tables.flagged(tables.approved)}"
                Chosen(tables=tables, keys=lost).take(transfer, f"{tables.settled} AND {unflagged}", hold=True)
            self.guard.hold(tables, transfer)

    def _read(self, tables: SourceTables, transfer: Transfer) -> Chunk:
        """Read masters and parts as of one moment: registering locks the masters, and does not keep parts from coming."""
        session, speech = tables.session, dialect(tables.session)
        place = f"{tables.outbound} o JOIN {{table}} t ON {tables.same('t', 'o')} WHERE o.{TRANSFER} = {speech.uuid}"
        with session.snapshot([tables.outbound, *(session.table(each.name, each.schema) for each in tables.entity.tables)]):
            return rows.read(tables, place, (speech.id(transfer.id),))

    def _open(self, tables: SourceTables, transfer: Transfer, entities: int) -> None:
        """Enter the transfer, provided that outbound still serves this local table; from here to the commit it does."""
        speech = dialect(tables.session)
        opened = tables.session.change(
            f"INSERT INTO {tables.journal} (transfer, owner, link, operation, entities, opened, who, version)"
            f" SELECT {speech.uuid}, {speech.uuid}, r.link, %s, %s, {speech.now}, %s, %s FROM {tables.registry} r"
            f" WHERE r.outbound_table = %s AND r.link = {speech.uuid} AND r.local_server = %s {speech.share}",
            (
                *(speech.id(value) for value in (transfer.id, transfer.owner)),
                *(transfer.operation.value, entities, self.who, self.version),
                *(tables.names.master, speech.id(self.link), self.place),
            ),
        )
        if opened != 1:
            raise LinkEnded(outbound=tables.outbound.replace("%%", "%"))

    def mark(self, transfer: Transfer, keys: Keys) -> int:
        """Put the registrations of `keys` under the transfer; return how many of them are under it now."""
        return self._tried(lambda: self._mark(self.tables(), transfer, keys))

    def _mark(self, tables: SourceTables, transfer: Transfer, keys: Keys) -> int:
        chosen = Chosen(tables=tables, keys=keys)
        with tables.session.transaction(transfer.id):
            if not self._is_open(tables, transfer):
                self._open(tables, transfer, len(keys))
            chosen.take(transfer, f"{tables.settled} AND NOT {tables.flagged(tables.approved)}")
            return len(chosen.under(transfer, f"NOT {tables.flagged(tables.approved)}", lock=False))

    def _is_open(self, tables: SourceTables, transfer: Transfer) -> bool:
        """Whether the transfer is open; from here to the commit nobody else can close it."""
        speech = dialect(tables.session)
        found = tables.session.query(
            f"SELECT 1 FROM {tables.journal} WHERE transfer = {speech.uuid} AND closed IS NULL FOR UPDATE",
            (speech.id(transfer.id),),
        )
        return len(found) == 1

    def give_up(self, transfer: Transfer, keys: Keys) -> Settled | None:
        """Take the registrations of `keys` away, or do nothing where the transfer is closed already.

        A pull that is undone leaves what it has not registered itself: rows that were lost locally wait for the next one.
        """
        return self._tried(lambda: self._give_up(self.tables(), transfer, keys))

    def _give_up(self, tables: SourceTables, transfer: Transfer, keys: Keys) -> Settled | None:
        with tables.session.transaction(transfer.id):
            if not self._is_open(tables, transfer):
                return None
            chosen = Chosen(tables=tables, keys=keys)
            own, condition = transfer.operation is Operation.PULL, f"NOT {tables.flagged(tables.approved)}"
            mine = chosen.under(transfer, condition, lock=True, own=own) if keys else []
            return self._settle(tables, chosen.some(mine)) if mine else Settled()

    def _settle(self, tables: SourceTables, mine: Chosen) -> Settled:
        """Approve the requested ones of the locked registrations and release the others; their flags are read once."""
        wanted = mine.among(tables.requested)
        there = mine.some(sorted(wanted)).among(tables.source) if wanted else set()
        asked = [position for place, position in enumerate(sorted(wanted)) if place in there]
        gone = sorted(wanted - {*asked})
        released = sorted({*range(len(mine.keys))} - {*asked})
        self.guard.lift(mine)
        if asked:
            mine.some(asked).approve()
        if gone:
            mine.some(gone).delete(tables.requested)
        if released:
            mine.some(released).release()
        return Settled(released=len(released), approved=len(asked))

    def close(self, transfer: Transfer) -> bool:
        """Close the transfer in a statement that commits by itself; False where it was not open."""
        tables = self.tables()
        speech = dialect(tables.session)
        changed = tables.session.change(
            f"UPDATE {tables.journal} SET closed = {speech.now} WHERE transfer = {speech.uuid} AND closed IS NULL",
            (speech.id(transfer.id),),
        )
        return changed == 1

    def release_withdrawn(self, keys: Keys) -> int:
        """Release the settled and approved ones of `keys` that are no longer requested, or not in the source."""
        return self._tried(lambda: self._release_withdrawn(self.tables(), keys))

    def _release_withdrawn(self, tables: SourceTables, keys: Keys) -> int:
        with tables.session.transaction("of a withdrawn approval"):
            chosen = Chosen(tables=tables, keys=keys)
            withdrawn = chosen.some(chosen.registered(f"{tables.flagged(tables.approved)} AND {tables.settled}", lock=True))
            wanted = withdrawn.among(tables.requested) if withdrawn.keys else set()
            there = withdrawn.among(tables.source) if wanted else set()
            free = withdrawn.some(sorted({*range(len(withdrawn.keys))} - (wanted & there)))
            for table in (tables.requested, tables.approved, tables.outbound) if free.keys else ():
                free.delete(table)
            return len(free.keys)

    # ---- changes of a repair

    def reinstate(self, transfer: Transfer, keys: Keys) -> int:
        """Register `keys` again, take approvals back, hold: one transaction."""
        return self._tried(lambda: self._reinstate(self.tables(), transfer, keys))

    def _reinstate(self, tables: SourceTables, transfer: Transfer, keys: Keys) -> int:
        chosen = Chosen(tables=tables, keys=keys)
        with tables.session.transaction(transfer.id):
            self._open(tables, transfer, len(keys))
            lapsed = f"({tables.flagged(tables.approved)} OR o.{HELD} IS NULL)"
            chosen.take(transfer, f"{tables.settled} AND {tables.flagged(tables.source)} AND {lapsed}", hold=True)
            chosen.insert(transfer)
            mine = chosen.under(transfer, lock=True)
            if mine:
                chosen.some(mine).delete(tables.approved)
                self.guard.hold(tables, transfer)
        return len(mine)

    def drop_stray_flags(self, keys: Keys) -> int:
        """Delete the flags of those of `keys` that are neither registered nor in the source."""
        return self._tried(lambda: self._drop_stray_flags(self.tables(), keys))

    def _drop_stray_flags(self, tables: SourceTables, keys: Keys) -> int:
        with tables.session.transaction("of stray flags"):
            chosen = Chosen(tables=tables, keys=keys)
            kept = chosen.among(tables.outbound) | chosen.among(tables.source)
            stray = (chosen.among(tables.requested) | chosen.among(tables.approved)) - kept
            for table in (tables.requested, tables.approved) if stray else ():
                chosen.some(sorted(stray)).delete(table)
            return len(stray)

    # ---- how

    def _tried(self, unit: Callable[[], Any]) -> Any:
        """Run a unit that undoes itself whole, again where the server called it off; say who is in the way of a lock."""
        for attempt in range(TRIES):
            try:
                return unit()
            except Refused as error:  # noqa: PERF203 - a retry needs it
                if error.refusal is Refusal.LOCK_TIMEOUT:
                    raise self._waited() from None
                if error.refusal is not Refusal.CONFLICT or attempt == TRIES - 1:
                    raise
                time.sleep(0.02 * 2**attempt)
        raise AssertionError

    def _waited(self) -> LockWait:
        tables = self.tables()
        master = tables.entity.master
        return LockWait(table=master.name, holders=lock_holders(tables.session, master), seconds=LOCK_SECONDS)
