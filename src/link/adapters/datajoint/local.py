"""The port to the copies and the decisions on the local server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import datajoint as dj
from attrs import define, field

from link.adapters.datajoint import cascade, decisions, wire
from link.adapters.datajoint.declaration import requests_name
from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.line import lock_is_held
from link.adapters.datajoint.model import Kind
from link.adapters.datajoint.objects import same_value
from link.adapters.datajoint.rows import reader
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import Busy, IncompleteCopy, KeyConflict, RemovalChanged, TransferAbandoned, ValueNotRepresentable
from link.domain.transfers import Outcome, Transfer
from link.use_cases.ports import Difference, Removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from link.adapters.datajoint.model import Column, EntityModel, TableModel
    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys
    from link.use_cases.ports import Chunk


@define(kw_only=True)
class DataJointLocal:
    """Keeps one linked table's copies; each method is one transaction on the local server."""

    session: Callable[[], Session]
    entity: EntityModel
    """The source's declaration: names, kinds and order of the columns on the wire."""
    copies: EntityModel
    """The local tables' own declaration: types, charsets and collations that keys compare with here."""
    link: UUID
    _looked_at: Chunk | None = field(default=None, init=False)
    """The chunk that `unfit` has last looked at."""

    # ---- reads

    def present(self, keys: Keys) -> Sequence[int]:
        """Return the positions of the keys that the local table holds."""
        return self._positions(self.session(), self.copies.master, keys) if keys else []

    def _positions(self, session: Session, table: TableModel, keys: Keys) -> list[int]:
        relation, args = wire.key_relation(session, self._key, keys)
        on = wire.key_join(session, self._key, "t")
        found = session.query(
            f"SELECT k.n FROM {relation} {wire.joining(session)} {session.table(table.name)} t ON {on} ORDER BY k.n", args
        )
        return [int(row[0]) for row in found]

    @property
    def _key(self) -> tuple[Column, ...]:
        return self.copies.master.key

    def clashes(self, keys: Keys) -> Sequence[int]:
        """Return the positions of the keys that are equal to another one of them here."""
        if len(keys) < 2 or not any(column.kind in {Kind.STRING, Kind.ENUM} for column in self._key):  # noqa: PLR2004
            return []  # only text is compared by a collation, which may take different spellings for equal
        session = self.session()
        values = ", ".join(f"c{index}" for index in range(len(self._key)))
        same = " AND ".join(f"k.c{index} = d.c{index}" for index in range(len(self._key)))
        relation, args = wire.key_relation(session, self._key, keys)
        again, more = wire.key_relation(session, self._key, keys, "e")
        found = session.query(
            f"SELECT k.n FROM {relation} JOIN (SELECT {values} FROM {again} GROUP BY {values} HAVING COUNT(*) > 1) d"
            f" ON {same} ORDER BY k.n",
            (*args, *more),
        )
        return [int(row[0]) for row in found]

    def difference(self, chunk: Chunk) -> Sequence[Difference]:
        """Compare local masters with the chunk's, value by value as both servers render them."""
        session, master = self.session(), self.copies.master
        relation, args = wire.key_relation(session, self._key, chunk.keys)
        values = ", ".join(wire.render(session, column, "t") for column in master.columns)
        on = wire.key_join(session, self._key, "t")
        found = wire.fetch(
            session,
            f"SELECT {values} FROM {relation} {wire.joining(session)} {session.table(master.name)} t ON {on} ORDER BY k.n",
            args,
            master.columns,
        )
        rows: Any = chunk.rows
        theirs = rows[self.entity.master.name]
        return [self._differing(key, mine, other) for key, mine, other in zip(chunk.keys, found, theirs, strict=False)]

    def _differing(self, key: Key, mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> Difference:
        pairs = zip(self.copies.master.columns, mine, theirs, strict=True)
        columns = [column.name for column, here, there in pairs if not same_value(column, here, there)]
        return Difference(key=self.named(key), columns=columns)

    def named(self, key: Key) -> dict[str, str]:
        """Return a key with the names of its attributes."""
        return {column.name: value for column, value in zip(self._key, key, strict=True)}

    def is_alive(self, transfer: Transfer) -> bool:
        """Whether the local server shows the transfer's run to be alive."""
        return lock_is_held(self.session(), transfer.owner)

    def select(self, selection: object) -> Sequence[Key]:
        """Return the keys of `selection`, the SQL of a query for the key columns, or of the whole table for None."""
        session, master = self.session(), self.copies.master
        chosen = f"({selection})" if selection is not None else session.table(master.name)
        values = ", ".join(wire.render(session, column, "x") for column in self._key)
        order = wire.key_order(session, self._key, "x")
        return session.query(f"SELECT {values} FROM {chosen} x WHERE %s = 1 ORDER BY {order}", (1,))

    def requests(self) -> Sequence[Key]:
        """Return the keys shown as requested."""
        session = self.session()
        return self.select(
            f"SELECT {', '.join(session.quote(column.name) for column in self._key)}"
            f" FROM {session.table(requests_name(self.entity))}"
        )

    # ---- decisions

    def abandon(self, transfer: Transfer) -> Outcome:
        """Insert `abandoned` under the transfer's id; the primary key says who was first."""
        session = self.session()
        try:
            with session.transaction(transfer.id):
                self._decide(session, transfer, Outcome.ABANDONED)
        except Refused as error:
            if error.refusal is Refusal.LOCK_TIMEOUT:
                raise Busy(what_is_busy="The local server", who="its owner", since="the lock timeout ago") from None
            if error.refusal is not Refusal.DUPLICATE:
                raise
            return self._decided(session, transfer)
        return Outcome.ABANDONED

    def _decide(self, session: Session, transfer: Transfer, outcome: Outcome) -> None:
        decisions.decide(session, self.link, transfer.id, outcome)

    def _decided(self, session: Session, transfer: Transfer) -> Outcome:
        outcome = decisions.decided(session, transfer.id)
        if outcome is None:
            raise AssertionError
        return outcome

    def _done(self, session: Session, transfer: Transfer) -> None:
        """Insert `done`, first in the transaction: whoever abandons the transfer from here on waits for its end."""
        try:
            self._decide(session, transfer, Outcome.DONE)
        except Refused as error:
            if error.refusal is not Refusal.DUPLICATE:
                raise
            raise TransferAbandoned(transfer=str(transfer.id)) from None

    # ---- changes

    def unfit(self, chunk: Chunk) -> Sequence[tuple[int, ValueNotRepresentable]]:
        """Look at every value of the chunk, parts included; an entity is told by its first fault."""
        session, rows = self.session(), cast("Any", chunk.rows)
        found: dict[int, ValueNotRepresentable] = {}
        for source, copy in zip(self.entity.tables, self.copies.tables, strict=True):
            faults = list(wire.faults(session, copy, _wired(source, copy), rows[source.name]))
            owners: Sequence[int | None] = [index for index, _ in faults]
            if faults and source is not self.entity.master:
                owners = self._owners(session, source, chunk.keys, [rows[source.name][index] for index, _ in faults])
            for owner, (_, fault) in zip(owners, faults, strict=True):
                if owner is None:
                    raise fault
                found.setdefault(owner, fault)
            for stray, fault in self._strays(session, source, chunk):
                found.setdefault(stray, fault)
        self._looked_at = chunk
        return [(owner, found[owner]) for owner in sorted(found)]

    def _owners(self, session: Session, part: TableModel, keys: Keys, rows: Sequence[Any]) -> list[int | None]:
        """Return the positions of the masters of a part's rows, as this server compares keys."""
        return wire.owners(session, self._key, keys, [*map(reader(part, self._key), rows)])

    def _strays(self, session: Session, part: TableModel, chunk: Chunk) -> Iterator[tuple[int, ValueNotRepresentable]]:
        """Yield what spells its master's key otherwise, as the source's server allows and this one does not."""
        others, rows = chunk.respelled.get(part.name, {}), cast("Any", chunk.rows)[part.name]
        found = self._owners(session, part, chunk.keys, [rows[place] for place in others]) if others else []
        for (place, owner), mine in zip(others.items(), found, strict=True):
            if mine is None:
                key, theirs = reader(part, self._key)(rows[place]), chunk.keys[owner]
                number = next(number for number, (one, other) in enumerate(zip(key, theirs, strict=True)) if one != other)
                detail = f"its master has {theirs[number]!r}, and the local server tells the two apart"
                yield owner, wire.not_representable(part, part.columns, rows[place], self._key[number].name, detail)

    def commit_pull(self, transfer: Transfer, chunk: Chunk) -> None:
        """Insert the decision, then the chunk, count what is there, commit."""
        session = self.session()
        rows: Any = chunk.rows
        if chunk is not self._looked_at:
            for _, fault in self.unfit(chunk):
                raise fault
        with session.transaction(transfer.id):
            self._done(session, transfer)
            for source, copy in zip(self.entity.tables, self.copies.tables, strict=True):
                self._insert(session, source, copy, rows[source.name])
            for copy in self.copies.tables:
                self._count(session, copy, chunk.keys, len(rows[copy.name]))

    def _insert(self, session: Session, source: TableModel, copy: TableModel, rows: Sequence[Any]) -> None:
        try:
            wire.insert_rows(session, copy, _wired(source, copy), rows)
        except Refused as error:
            if error.refusal is not Refusal.DUPLICATE:
                raise
            raise KeyConflict(table=copy.name, keys=[], detail=error.detail) from None

    def _count(self, session: Session, copy: TableModel, keys: Keys, expected: int) -> None:
        found = len(self._positions(session, copy, keys))
        if found != expected:
            raise IncompleteCopy(table=copy.name, expected=expected, found=found)

    def preview(self, keys: Keys) -> Removal:
        """Count what DataJoint's cascade would take with `keys`."""
        session = self.session()
        return cascade.count(session, self._table(session), self._key, keys)

    def _table(self, session: Session) -> Any:
        return dj.FreeTable(session.connection, self._full_name(session, self.copies.master.name))

    def _full_name(self, session: Session, table: str) -> str:
        return str(session.connection.adapter.make_full_table_name(session.schema, table))

    def commit_delete(self, transfer: Transfer | None, keys: Keys, confirmed: Removal | None) -> Removal:
        """Insert the decision, delete `keys` by DataJoint's cascade, look that none is left, commit."""
        session = self.session()
        removed = Removal(counts={})
        with session.transaction(transfer.id if transfer else "of a plain delete"):
            if transfer is not None:
                self._done(session, transfer)
            if confirmed is not None:
                removed = cascade.delete(session, self._table(session), self._key, keys)
                if removed.exceeds(confirmed, besides=self._full_name(session, requests_name(self.entity))):
                    raise RemovalChanged(confirmed=dict(confirmed.counts), found=dict(removed.counts))
            left = len(self._positions(session, self.copies.master, keys)) if keys else 0
            if left:
                raise IncompleteCopy(table=self.copies.master.name, expected=0, found=left)
        return removed

    def change_requests(self, add: Keys, drop: Keys) -> int:
        """Insert and delete rows of the local table of requests."""
        session = self.session()
        flags = session.table(requests_name(self.entity))
        with session.transaction("of the shown requests"):
            if drop:
                relation, args = wire.key_relation(session, self._key, drop)
                on = wire.key_join(session, self._key, "t")
                session.query(dialect(session).delete(flags, "t", relation, on), args)
            return self._show(session, flags, add) if add else 0

    def _show(self, session: Session, flags: str, keys: Keys) -> int:
        relation, args = wire.key_relation(session, self._key, keys)
        on = wire.key_join(session, self._key, "t")
        names = [session.quote(column.name) for column in self._key]
        there = " AND ".join(f"f.{name} = t.{name}" for name in names)
        return session.change(
            f"INSERT INTO {flags} ({', '.join(names)}) SELECT {', '.join(f't.{name}' for name in names)}"
            f" FROM {relation} {wire.joining(session)} {session.table(self.copies.master.name)} t ON {on}"
            f" WHERE NOT EXISTS (SELECT 1 FROM {flags} f WHERE {there})",
            args,
        )


def _wired(source: TableModel, copy: TableModel) -> list[Column]:
    """Return the copy's columns in the order in which values travel."""
    own = {column.name: column for column in copy.columns}
    return [own[column.name] for column in source.columns]
