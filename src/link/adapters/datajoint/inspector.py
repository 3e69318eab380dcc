"""Looking at both servers page by page, for `doctor` and `repair`: reads only."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from attrs import define

from link.adapters.datajoint import wire
from link.adapters.datajoint.declaration import requests_name
from link.adapters.datajoint.dialect import dialect, read_id
from link.adapters.datajoint.layout import DECISIONS, HELD, JOURNAL, TRANSFER
from link.adapters.datajoint.model import Kind
from link.adapters.datajoint.source import after_condition, keys_of
from link.use_cases.inspection import Parts
from link.use_cases.ports import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from link.adapters.datajoint.evidence import SourceTables
    from link.adapters.datajoint.model import Column, EntityModel, TableModel
    from link.adapters.datajoint.session import Session
    from link.adapters.datajoint.source import DataJointSource
    from link.domain.keys import Key, Keys
    from link.domain.transfers import OpenTransfer

IDS = 1_000
"""Transfers asked about in one statement."""
PLAIN: dict[Kind, Callable[[Any], object]] = {Kind.FLOAT64: float, Kind.DECIMAL: Decimal, Kind.JSON: json.loads}
"""What makes one value of the spellings that two products have for it."""


@define(kw_only=True)
class DataJointInspector:
    """Reads both sides of one link; each method is a few statements, however many keys."""

    tables: Callable[[], SourceTables]
    source: DataJointSource
    session: Callable[[], Session]
    """The local server's."""
    local: EntityModel
    """The local tables' own declaration."""
    link: UUID

    # ---- keys at the source

    def registrations(self, after: Key | None, limit: int) -> Page:
        """Return a page of the registered keys."""
        tables = self.tables()
        where, args = after_condition(tables, "x", after)
        order = wire.key_order(tables.session, tables.entity.master.key, "x")
        found = tables.evidence(
            f"(SELECT {tables.columns('x')} FROM {tables.outbound} x WHERE {where} ORDER BY {order} LIMIT %s) x",
            (*args, limit),
            order,
        )
        return Page(keys=[key for key, _ in found], evidence=[seen for _, seen in found], last=len(found) < limit)

    def unheld(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return settled, unapproved keys whose `link_held` is NULL."""
        tables = self.tables()
        condition = f"o.{HELD} IS NULL AND {tables.settled} AND NOT {tables.flagged(tables.approved)}"
        return keys_of(tables, f"{tables.outbound} o", condition, (), after, limit)

    def stray_flags(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return keys that are in a flag table, but not in outbound."""
        tables = self.tables()
        columns = ", ".join(tables.keys)
        flags = f"(SELECT {columns} FROM {tables.requested} UNION SELECT {columns} FROM {tables.approved}) o"
        return keys_of(tables, flags, f"NOT {tables.flagged(tables.outbound)}", (), after, limit)

    # ---- keys on the local side

    @property
    def _key(self) -> tuple[Column, ...]:
        return self.local.master.key

    def copies(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return local keys in the local server's order."""
        session = self.session()
        return self._local_keys(session, session.table(self.local.master.name), after, limit)

    def lone_parts(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the keys of local part rows without a master."""
        session = self.session()
        names = [session.quote(column.name) for column in self._key]
        same = " AND ".join(f"m.{name} = p.{name}" for name in names)
        lone = f"NOT EXISTS (SELECT 1 FROM {session.table(self.local.master.name)} m WHERE {same})"
        keys = ", ".join(f"p.{name}" for name in names)
        found = [f"SELECT {keys} FROM {session.table(part.name)} p WHERE {lone}" for part in self.local.parts]
        return self._local_keys(session, f"({' UNION '.join(found)})", after, limit) if found else []

    def _local_keys(self, session: Session, place: str, after: Key | None, limit: int) -> Sequence[Key]:
        values = ", ".join(wire.render(session, column, "t") for column in self._key)
        where, args = wire.key_after(session, self._key, "t", after) if after is not None else ("TRUE", ())
        return session.query(
            f"SELECT {values} FROM {place} t WHERE {where} ORDER BY {wire.key_order(session, self._key, 't')} LIMIT %s",
            (*args, limit),
        )

    def shown(self, keys: Keys) -> Sequence[int]:
        """Return the positions of the keys in the local table of requests."""
        session = self.session()
        return sorted(position for position, _ in self._joined(session, requests_name(self.local), self._key, keys, "1"))

    # ---- both

    def uneven(self, keys: Keys) -> Sequence[Parts]:
        """Count the rows of each part table on both servers."""
        tables, session = self.tables(), self.session()
        missing, more = set[int](), set[int]()
        for theirs, ours in zip(tables.entity.parts, self.local.parts, strict=True):
            there = self._counts(tables.session, theirs, tables.entity.master.key, keys)
            here = self._counts(session, ours, self._key, keys)
            missing |= {position for position, count in there.items() if here.get(position, 0) < count}
            more |= {position for position, count in here.items() if there.get(position, 0) < count}
        return [Parts(position=position, missing=position in missing) for position in sorted(missing | more)]

    def _counts(self, session: Session, table: TableModel, key: Sequence[Column], keys: Keys) -> dict[int, int]:
        found = self._joined(session, table.name, key, keys, "COUNT(*)", " GROUP BY k.n", schema=table.schema)
        return {position: int(count) for position, count in found}

    def alike(self, keys: Keys) -> Sequence[int]:
        """Compare masters value by value, as many at once as fit into memory."""
        found: list[int] = []
        done = 0
        for run in self.source.split(keys):
            theirs, ours = self._masters(run)
            found += [done + position for position, row in theirs.items() if ours.get(position) == row]
            done += len(run)
        return sorted(found)

    def _masters(self, keys: Keys) -> tuple[dict[int, list[object]], dict[int, list[object]]]:
        tables, session = self.tables(), self.session()
        stored = {column.name for column in tables.entity.master.stored}  # an object has another name in another store
        theirs = self._rows(tables.session, tables.entity.master, tables.entity.master.key, keys, stored)
        return theirs, self._rows(session, self.local.master, self._key, keys, stored)

    def _rows(
        self, session: Session, table: TableModel, key: Sequence[Column], keys: Keys, without: set[str]
    ) -> dict[int, list[object]]:
        columns = [column for column in table.columns if column.name not in without]
        values = ", ".join(wire.render(session, column, "t") for column in columns)
        found = self._joined(session, table.name, key, keys, values, schema=table.schema)
        return {row[0]: [_plain(column, value) for column, value in zip(columns, row[1:], strict=True)] for row in found}

    def _joined(
        self, session: Session, table: str, key: Sequence[Column], keys: Keys, values: str, rest: str = "", schema: str = ""
    ) -> Iterator[tuple[Any, ...]]:
        relation, args = wire.key_relation(session, key, keys)
        on = wire.key_join(session, key, "t")
        place = f"{relation} {wire.joining(session)} {session.table(table, schema or None)} t ON {on}"
        for position, *found in session.query(f"SELECT k.n, {values} FROM {place}{rest}", args):
            yield int(position), *found

    # ---- transfers

    def decisions_unknown(self) -> int:
        """Walk over the decisions of this link and ask the journal for each page of them."""
        session = self.session()
        speech, unknown, after = dialect(session), 0, UUID(int=0)
        while True:
            found = session.query(
                f"SELECT transfer FROM {session.table(DECISIONS)} WHERE link = {speech.uuid} AND transfer > {speech.uuid}"
                " ORDER BY transfer LIMIT %s",
                (speech.id(self.link), speech.id(after), IDS),
            )
            ids = [read_id(row[0]) for row in found]
            unknown += len(ids) - _known(self.tables().session, JOURNAL, ids)
            if len(ids) < IDS:
                return unknown
            after = ids[-1]

    def transfers_undecided(self) -> int:
        """Ask the local server about the transfers that registered rows are under, page by page."""
        tables = self.tables()
        speech = dialect(tables.session)
        found = tables.session.query(
            f"SELECT DISTINCT o.{TRANSFER} FROM {tables.outbound} o JOIN {tables.journal} j ON j.transfer = o.{TRANSFER}"
            f" WHERE j.closed IS NOT NULL AND j.link = {speech.uuid}",
            (speech.id(self.link),),
        )
        ids = [read_id(row[0]) for row in found]
        runs = [ids[start : start + IDS] for start in range(0, len(ids), IDS)]
        return sum(len(run) - _known(self.session(), DECISIONS, run) for run in runs)

    def age(self, transfer: OpenTransfer) -> float:
        """Return for how many seconds the source server has had it open."""
        session = self.tables().session
        now = session.query(f"SELECT {dialect(session).now}")[0][0]
        return float((now - transfer.opened).total_seconds())


def _plain(column: Column, value: Any) -> object:
    """Return a wire value as one that compares with another server's."""
    if value is None:
        return None
    if column.kind is Kind.DATETIME and "." in value:
        return value.rstrip("0").rstrip(".")
    if column.kind is Kind.BYTES:
        return bytes(value)
    return PLAIN.get(column.kind, str)(value)


def _known(session: Session, table: str, ids: Sequence[UUID]) -> int:
    """Count those of the transfers `ids` that `table` has."""
    if not ids:
        return 0
    speech = dialect(session)
    places = ", ".join([speech.uuid] * len(ids))
    found = session.query(
        f"SELECT COUNT(*) FROM {session.table(table)} WHERE transfer IN ({places})",
        [speech.id(ident) for ident in ids],
    )
    return int(found[0][0])
