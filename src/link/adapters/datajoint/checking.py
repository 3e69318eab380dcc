"""Compares the objects of local rows with what is recorded of them; nothing is changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from link.adapters.datajoint import wire
from link.adapters.datajoint.moving import guarded, unfolded, verified
from link.adapters.datajoint.objects import recorded
from link.domain.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from link.adapters.datajoint.model import Column, EntityModel, TableModel
    from link.adapters.datajoint.objects import Move
    from link.adapters.datajoint.session import Session
    from link.adapters.datajoint.stores import Side

PAGE = 5_000


@frozen(kw_only=True)
class ObjectFault:
    """An object of a local row that is missing or not what its row says."""

    table: str
    column: str
    key: Mapping[str, str]
    error: LinkError
    """`ObjectMissing`, `ObjectDamaged` or `StoreNotAccessible`, with the store and the path."""


def check_objects(session: Session, copies: EntityModel, stores: Side, *, deep: bool = False) -> Iterator[ObjectFault]:
    """Yield what is wrong with the objects of all local rows: by sizes, or by reading all of them where `deep`.

    An array's size is known once its header is read, so only a deep check compares it. In pages of rows, in key order.
    """
    for table in copies.tables:
        if table.stored:
            yield from _check_table(session, table, stores, deep=deep)


def _check_table(session: Session, table: TableModel, stores: Side, *, deep: bool) -> Iterator[ObjectFault]:
    columns = (*table.key, *table.stored)
    values, order = ", ".join(wire.render(session, column, "t") for column in columns), wire.key_order(session, table.key, "t")
    where, args = "TRUE", list[Any]()
    while True:
        statement = f"SELECT {values} FROM {session.table(table.name)} t WHERE {where} ORDER BY {order} LIMIT %s"
        rows = wire.fetch(session, statement, (*args, PAGE), columns)
        yield from _check_rows(table, rows, stores, deep=deep)
        if len(rows) < PAGE:
            return
        where, more = wire.key_after(session, table.key, "t", rows[-1][: len(table.key)])
        args = list(more)


def _check_rows(table: TableModel, rows: Sequence[Any], stores: Side, *, deep: bool) -> Iterator[ObjectFault]:
    asked = [
        (column, row[: len(table.key)], text)
        for row in rows
        for column, text in zip(table.stored, row[len(table.key) :], strict=True)
        if text is not None
    ]
    with ThreadPoolExecutor(16, thread_name_prefix="link-check") as pool:
        found = pool.map(
            partial(_fault, table, stores, deep), (column for column, _, _ in asked), (text for *_, text in asked)
        )
        for (column, key, _), error in zip(asked, found, strict=True):
            if error is not None:
                named = {part.name: value for part, value in zip(table.key, key, strict=True)}
                yield ObjectFault(table=table.name, column=column.name, key=named, error=error)


def _fault(table: TableModel, stores: Side, deep: bool, column: Column, text: str) -> LinkError | None:
    try:
        move = recorded(table, column, text, lambda name: stores.store(name, f"{table.name}.{column.name}"))
        for file in guarded(unfolded, move) if move.folder else [move]:
            guarded(_read_all if deep else _weigh, file)
    except LinkError as error:
        return error
    return None


def _read_all(move: Move) -> None:
    for _ in verified(move):
        pass


def _weigh(move: Move) -> None:
    size = move.source.place.size(move.path)
    if size is None:
        raise move.missing()
    if move.size is not None and size != move.size:
        raise move.damaged(f"{move.size} bytes", f"{size} bytes")
