"""The port to the registrations, flags and transfers at the source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import define

from link.adapters.datajoint import rows, wire
from link.adapters.datajoint.dialect import dialect, read_id
from link.adapters.datajoint.grants import lock_holders
from link.adapters.datajoint.guard import held_groups
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
        if not keys:
            return []
        tables = self.tables()
        relation, args = self._relation(tables, keys)
        names = ", ".join(f"k.c{index} AS {key}" for index, key in enumerate(tables.keys))
        position = tables.session.quote("~n")  # a key may well have a column `n`
        found = tables.evidence(f"(SELECT k.n AS {position}, {names} FROM {relation}) x", args, f"x.{position}")
        return [evidence for _, evidence in found]

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
        session, speech = tables.session, dialect(tables.session)
        ident = speech.id(transfer.id)
        with session.transaction(transfer.id):
            self._open(tables, transfer, len(fresh) + len(lost))
            if fresh:
                self._insert(tables, ident, fresh)
            if lost:
                unflagged = f"NOT {tables.flagged(tables.requested)} AND NOT {tables.flagged(tables.approved)}"
                self._take(tables, ident, lost, f"{tables.settled} AND {unflagged}", hold=True)
            self.guard.hold(session, transfer.id)

    def _read(self, tables: SourceTables, transfer: Transfer) -> Chunk:
        """Read masters and parts as of one moment: registering locks the masters, and does not keep parts from coming."""
        session, speech = tables.session, dialect(tables.session)
        place = f"{tables.outbound} o JOIN {{table}} t ON {tables.same('t', 'o')} WHERE o.{TRANSFER} = {speech.uuid}"
        with session.snapshot():
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

    def _insert(self, tables: SourceTables, ident: object, fresh: Keys) -> None:
        session, speech = tables.session, dialect(tables.session)
        relation, args = self._relation(tables, fresh)
        on = wire.key_join(session, tables.entity.master.key, "s")
        ignore = speech.ignore_duplicates(f"{tables.outbound}.{TRANSFER}")
        session.query(
            f"INSERT INTO {tables.outbound} ({', '.join(tables.keys)}, {TRANSFER}, {HELD})"
            f" SELECT {tables.columns('s')}, {speech.uuid}, {speech.uuid} FROM {relation}"
            f" {wire.joining(session)} {tables.source} s ON {on} {ignore}",
            (ident, ident, *args),
        )

    def _take(self, tables: SourceTables, ident: object, keys: Keys, condition: str, *, hold: bool = False) -> None:
        """Put the rows of `keys` that meet `condition` under the transfer `ident`.

        To `hold` them is for rows that are going to be local again: one whose approval lab S has deleted is not held any more.
        """
        uuid = dialect(tables.session).uuid
        changes = [f"{TRANSFER} = {uuid}", *([f"{HELD} = COALESCE(o.{HELD}, {uuid})"] if hold else [])]
        self._update(tables, ident, keys, changes, condition)

    def _update(self, tables: SourceTables, ident: object, keys: Keys, changes: list[str], condition: str = "TRUE") -> None:
        """Make `changes`, each with one place for `ident`."""
        session = tables.session
        relation, args = self._relation(tables, keys)
        on = wire.key_join(session, tables.entity.master.key, "o")
        statement = dialect(session).update(tables.outbound, "o", relation, on, ", ".join(changes), condition)
        session.query(statement, _update_args(session.backend, (ident,) * len(changes), args))

    def mark(self, transfer: Transfer, keys: Keys) -> int:
        """Put the registrations of `keys` under the transfer; return how many of them are under it now."""
        return self._tried(lambda: self._mark(self.tables(), transfer, keys))

    def _mark(self, tables: SourceTables, transfer: Transfer, keys: Keys) -> int:
        session, speech = tables.session, dialect(tables.session)
        ident = speech.id(transfer.id)
        with session.transaction(transfer.id):
            if not self._is_open(tables, transfer):
                self._open(tables, transfer, len(keys))
            self._take(tables, ident, keys, f"{tables.settled} AND NOT {tables.flagged(tables.approved)}")
            return len(self._under(tables, ident, keys, lock=False))

    def _is_open(self, tables: SourceTables, transfer: Transfer) -> bool:
        """Whether the transfer is open; from here to the commit nobody else can close it."""
        speech = dialect(tables.session)
        found = tables.session.query(
            f"SELECT 1 FROM {tables.journal} WHERE transfer = {speech.uuid} AND closed IS NULL FOR UPDATE",
            (speech.id(transfer.id),),
        )
        return len(found) == 1

    def _under(self, tables: SourceTables, ident: object, keys: Keys, *, lock: bool) -> list[int]:
        """Return the positions of those of `keys` that are under the transfer and not approved, and lock their rows."""
        return self._positions(tables, ident, keys, f"NOT {tables.flagged(tables.approved)}", lock=lock)

    def _positions(self, tables: SourceTables, ident: object, keys: Keys, condition: str = "TRUE", *, lock: bool) -> list[int]:
        session, speech = tables.session, dialect(tables.session)
        relation, args = self._relation(tables, keys)
        on = wire.key_join(session, tables.entity.master.key, "o")
        of = " OF o" if session.backend == "postgresql" else ""
        found = session.query(
            f"SELECT k.n FROM {relation} {wire.joining(tables.session)} {tables.outbound} o ON {on}"
            f" WHERE o.{TRANSFER} = {speech.uuid}"
            f" AND {condition} ORDER BY k.n{f' FOR UPDATE{of}' if lock else ''}",
            (*args, ident),
        )
        return [int(row[0]) for row in found]

    def give_up(self, transfer: Transfer, keys: Keys) -> Settled | None:
        """Take the registrations of `keys` away, or do nothing where the transfer is closed already."""
        return self._tried(lambda: self._give_up(self.tables(), transfer, keys))

    def _give_up(self, tables: SourceTables, transfer: Transfer, keys: Keys) -> Settled | None:
        with tables.session.transaction(transfer.id):
            if not self._is_open(tables, transfer):
                return None
            ident = dialect(tables.session).id(transfer.id)
            mine = [keys[position] for position in self._under(tables, ident, keys, lock=True)] if keys else []
            return self._settle(tables, mine) if mine else Settled()

    def _settle(self, tables: SourceTables, keys: Keys) -> Settled:
        """Approve the requested ones of the locked `keys` and release the others; their flags are read once."""
        wanted = self._flagged(tables, tables.requested, keys)
        asked = [key for position, key in enumerate(keys) if position in wanted]
        there = self._flagged(tables, tables.source, asked) if asked else set()
        approved = [key for place, key in enumerate(asked) if place in there]
        gone = [key for place, key in enumerate(asked) if place not in there]
        released = [*(key for position, key in enumerate(keys) if position not in wanted), *gone]
        with self._lifted(tables, keys):
            if approved:
                self._approve(tables, approved)
            if gone:
                self._delete(tables, tables.requested, gone)
            if released:
                self._release(tables, released)
        return Settled(released=len(released), approved=len(approved))

    def _lifted(self, tables: SourceTables, keys: Keys) -> Any:
        relation, args = self._relation(tables, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "o")
        return self.guard.lifted(tables.session, lambda: held_groups(tables.session, tables.names, relation, on, args))

    def _flagged(self, tables: SourceTables, flags: str, keys: Keys) -> set[int]:
        relation, args = self._relation(tables, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "f")
        found = tables.session.query(f"SELECT k.n FROM {relation} {wire.joining(tables.session)} {flags} f ON {on}", args)
        return {int(row[0]) for row in found}

    def _approve(self, tables: SourceTables, keys: Keys) -> None:
        relation, args = self._relation(tables, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "o")
        tables.session.query(
            f"INSERT INTO {tables.approved} ({', '.join(tables.keys)})"
            f" SELECT {tables.columns('o')} FROM {relation} {wire.joining(tables.session)} {tables.outbound} o ON {on}",
            args,
        )
        self._unhold(tables, keys)

    def _unhold(self, tables: SourceTables, keys: Keys) -> None:
        relation, args = self._relation(tables, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "o")
        tables.session.query(dialect(tables.session).update(tables.outbound, "o", relation, on, f"{HELD} = NULL"), args)

    def _release(self, tables: SourceTables, keys: Keys) -> None:
        self._unhold(tables, keys)
        self._delete(tables, tables.outbound, keys)

    def _delete(self, tables: SourceTables, table: str, keys: Keys) -> None:
        relation, args = self._relation(tables, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "o")
        tables.session.query(dialect(tables.session).delete(table, "o", relation, on), args)

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
            withdrawn = [keys[position] for position in self._lock_withdrawn(tables, keys)]
            wanted = self._flagged(tables, tables.requested, withdrawn) if withdrawn else set()
            there = self._flagged(tables, tables.source, withdrawn) if wanted else set()
            free = [key for position, key in enumerate(withdrawn) if position not in wanted & there]
            if free:
                for table in (tables.requested, tables.approved, tables.outbound):
                    self._delete(tables, table, free)
            return len(free)

    # ---- changes of a repair

    def reinstate(self, transfer: Transfer, keys: Keys) -> int:
        """Register `keys` again, take approvals back, hold: one transaction."""
        return self._tried(lambda: self._reinstate(self.tables(), transfer, keys))

    def _reinstate(self, tables: SourceTables, transfer: Transfer, keys: Keys) -> int:
        session, speech = tables.session, dialect(tables.session)
        ident = speech.id(transfer.id)
        with session.transaction(transfer.id):
            self._open(tables, transfer, len(keys))
            lapsed = f"({tables.flagged(tables.approved)} OR o.{HELD} IS NULL)"
            self._take(tables, ident, keys, f"{tables.settled} AND {tables.flagged(tables.source)} AND {lapsed}", hold=True)
            self._insert(tables, ident, keys)
            mine = [keys[position] for position in self._positions(tables, ident, keys, lock=True)]
            if mine:
                self._delete(tables, tables.approved, mine)
                self.guard.hold(session, transfer.id)
        return len(mine)

    def drop_stray_flags(self, keys: Keys) -> int:
        """Delete the flags of those of `keys` that are neither registered nor in the source."""
        return self._tried(lambda: self._drop_stray_flags(self.tables(), keys))

    def _drop_stray_flags(self, tables: SourceTables, keys: Keys) -> int:
        with tables.session.transaction("of stray flags"):
            kept = self._flagged(tables, tables.outbound, keys) | self._flagged(tables, tables.source, keys)
            flagged = self._flagged(tables, tables.requested, keys) | self._flagged(tables, tables.approved, keys)
            stray = [keys[position] for position in sorted(flagged - kept)]
            for table in (tables.requested, tables.approved) if stray else ():
                self._delete(tables, table, stray)
            return len(stray)

    # ---- statements

    def _lock_withdrawn(self, tables: SourceTables, keys: Keys) -> list[int]:
        relation, args = self._relation(tables, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "o")
        of = " OF o" if tables.session.backend == "postgresql" else ""
        found = tables.session.query(
            f"SELECT k.n FROM {relation} {wire.joining(tables.session)} {tables.outbound} o ON {on}"
            f" WHERE {tables.flagged(tables.approved)} AND {tables.settled} ORDER BY k.n FOR UPDATE{of}",
            args,
        )
        return [int(row[0]) for row in found]

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

    def _relation(self, tables: SourceTables, keys: Keys) -> tuple[str, Sequence[Any]]:
        return wire.key_relation(tables.session, tables.entity.master.key, keys)


def _update_args(backend: str, changes: tuple[Any, ...], relation: Sequence[Any]) -> tuple[Any, ...]:
    """Order arguments as `Dialect.update` orders the places: PostgreSQL names the changes first, MySQL the join."""
    return (*changes, *relation) if backend == "postgresql" else (*relation, *changes)
