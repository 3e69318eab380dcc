"""Compares the objects of local rows with what is recorded of them; nothing is changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from link.adapters.datajoint import wire
from link.adapters.datajoint.moving import guarded, unfolded, verified
from link.adapters.datajoint.objects import recorded
from link.domain.errors import LinkError, ObjectDamaged, ObjectMissing
from link.use_cases.inspection import Harm, ObjectFault, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from link.adapters.datajoint.model import Column, EntityModel, TableModel
    from link.adapters.datajoint.objects import Move
    from link.adapters.datajoint.session import Session
    from link.adapters.datajoint.stores import Side, Store

PAGE = 5_000
WORKERS = 16


@define(kw_only=True)
class StoredContents:
    """The objects that the rows of one linked table name."""

    session: Callable[[], Session]
    """The local server's."""
    copies: EntityModel
    stores: Side
    """The local side's."""
    shared: frozenset[str] = frozenset()
    """The local stores that are lab S's own, by reference."""

    def check(self, selection: object, *, deep: bool) -> Iterator[Seen]:
        """Look at the objects of every table, in pages of rows, in key order."""
        tables = [table for table in self.copies.tables if table.stored]
        named = {column.store: f"{table.name}.{column.name}" for table in tables for column in table.stored}
        stores = [self.stores.store(*store) for store in named.items()]
        empty = {store.name: store for store in stores if not store.look()}
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="link-verify") as pool:
            for table in tables:
                for rows in self._pages(table, selection):
                    seen = self._seen(pool, table, rows, deep=deep)
                    _check_mounted(seen.faults, empty)
                    yield seen

    def _pages(self, table: TableModel, selection: object) -> Iterator[Sequence[Any]]:
        session, columns = self.session(), (*table.key, *table.stored)
        values, order = (
            ", ".join(wire.render(session, column, "t") for column in columns),
            wire.key_order(session, table.key, "t"),
        )
        place, where, args = f"{session.table(table.name)} t", "TRUE", list[Any]()
        if selection is not None:
            names = [session.quote(column.name) for column in self.copies.master.key]
            place += f" JOIN ({selection}) x ON " + " AND ".join(f"x.{name} = t.{name}" for name in names)
        while True:
            statement = f"SELECT {values} FROM {place} WHERE {where} ORDER BY {order} LIMIT %s"
            rows = wire.fetch(session, statement, (*args, PAGE), columns)
            yield rows
            if len(rows) < PAGE:
                return
            where, more = wire.key_after(session, table.key, "t", rows[-1][: len(table.key)])
            args = list(more)

    def _seen(self, pool: ThreadPoolExecutor, table: TableModel, rows: Sequence[Any], *, deep: bool) -> Seen:
        width = len(table.key)
        named = [(row[:width], place, text) for row in rows for place, text in enumerate(row[width:]) if text is not None]
        alike = list(dict.fromkeys((place, text) for _, place, text in named))
        looks = pool.map(
            partial(self._looked, table, deep), (table.stored[place] for place, _ in alike), (t for _, t in alike)
        )
        found = dict(zip(alike, looks, strict=True))
        faults = [
            self._fault(table, table.stored[place], key, wrong)
            for key, place, text in named
            if (wrong := found[place, text].wrong) is not None
        ]
        return Seen(rows=len(rows), objects=len(named), size=sum(look.size for look in found.values()), faults=faults)

    def _looked(self, table: TableModel, deep: bool, column: Column, text: str) -> _Look:
        move, size = None, 0
        try:
            move = recorded(table, column, text, lambda name: self.stores.store(name, f"{table.name}.{column.name}"))
            for file in guarded(unfolded, move) if move.folder else [move]:
                size += guarded(_read_all if deep else _weigh, file)
        except LinkError as error:
            return _Look(size=size, wrong=(error, move))
        return _Look(size=size)

    def _fault(
        self, table: TableModel, column: Column, key: Sequence[str], wrong: tuple[LinkError, Move | None]
    ) -> ObjectFault:
        error, move = wrong
        match error:
            case ObjectDamaged():
                harm, detail = Harm.DAMAGED, f"{error.found} instead of {error.expected}"
            case ObjectMissing():
                harm, detail = Harm.MISSING, ""
            case _:
                harm, detail = Harm.UNREADABLE, error.what()
        store = move.local.name if move else column.store
        return ObjectFault(
            table=table.name,
            column=column.name,
            key={part.name: value for part, value in zip(table.key, key, strict=True)},
            store=store,
            path=move.path if move else "",
            harm=harm,
            detail=detail,
            is_theirs=store in self.shared,
        )


def _check_mounted(faults: Iterable[ObjectFault], empty: Mapping[str, Store]) -> None:
    """Raise where objects are missing in a store that has nothing at all: one error says more than one for each of them."""
    for fault in faults:
        if fault.harm is Harm.MISSING and fault.store in empty:
            raise empty[fault.store].not_mounted()


@frozen(kw_only=True)
class _Look:
    """One object, looked at."""

    size: int
    wrong: tuple[LinkError, Move | None] | None = None


def _read_all(move: Move) -> int:
    return sum(len(block) for block in verified(move))


def _weigh(move: Move) -> int:
    size = move.source.place.size(move.path)
    if size is None:
        raise move.missing()
    if move.size is not None and size != move.size:
        raise move.damaged(f"{move.size} bytes", f"{size} bytes")
    return size
