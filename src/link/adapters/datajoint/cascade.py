"""What a local delete takes with it, by DataJoint's own cascade.

This is the one place that decides what a delete of linked rows touches.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import datajoint as dj
from datajoint.dependencies import extract_master

from link.adapters.datajoint import wire
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import DeleteBlocked
from link.domain.keys import batches
from link.use_cases.ports import Removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from link.adapters.datajoint.model import Column
    from link.adapters.datajoint.session import Session
    from link.domain.keys import Keys

BATCH = 5_000
"""Keys in one condition: a longer list turns into a full scan on MySQL (`range_optimizer_max_mem_size`)."""


def count(session: Session, table: Any, key: Sequence[Column], keys: Keys) -> Removal:
    """Count the rows that deleting `keys` would take, the linked table first.

    A dependent of two masters in different batches of keys counts twice: more is shown than goes, never less.
    """
    return _summed(session, table, key, keys, lambda diagram: {ft.full_table_name: len(ft) for ft in diagram})


def whole(session: Session, table: Any) -> Removal:
    """Count all rows of the table and of all that depend on it: what dropping it takes, whatever those rows refer to.

    Raises `DeleteBlocked` where a part would go without its master.
    """
    dependencies = session.connection.dependencies
    session.connection.register(dj.Schema(session.schema, connection=session.connection, create_schema=False))
    with session.translating():
        dependencies.load_all_downstream()
        names = [name for name in dependencies.descendants(table.full_table_name) if not name.isdigit()]
        counts = {name: len(dj.FreeTable(session.connection, name)) for name in names}
    for name in names:
        master = extract_master(name)
        if master and master not in counts:
            raise DeleteBlocked(table=table.full_table_name, detail=f"part {name} would go without its master")
    return Removal(counts=counts)


def delete(session: Session, table: Any, key: Sequence[Column], keys: Keys) -> Removal:
    """Delete `keys` with all that depends on them, leaves first, inside the caller's transaction."""
    removed = _summed(session, table, key, keys, _deleted)
    gone = {name for name, rows in removed.counts.items() if rows}
    for name in gone:
        master = extract_master(name)
        if master and master not in gone:
            raise DeleteBlocked(table=table.full_table_name, detail=f"part rows of {name} would go without their masters")
    return removed


def _summed(
    session: Session,
    table: Any,
    key: Sequence[Column],
    keys: Keys,
    each: Callable[[Any], dict[str, int]],
) -> Removal:
    total = {table.full_table_name: 0}
    for diagram in _diagrams(session, table, key, keys):
        with _explained(session, table):
            for name, rows in each(diagram).items():
                total[name] = total.get(name, 0) + rows
    return Removal(counts=total)


def _diagrams(session: Session, table: Any, key: Sequence[Column], keys: Keys) -> Iterator[Any]:
    with session.translating():
        session.connection.register(dj.Schema(session.schema, connection=session.connection, create_schema=False))
    for batch in batches(keys, BATCH):
        with session.translating():
            expression = wire.restricted(table, wire.key_literals(session, key, batch), [column.name for column in key])
            diagram = dj.Diagram.cascade(expression)
        yield diagram


def _deleted(diagram: Any) -> dict[str, int]:
    return {ft.full_table_name: ft.delete_quick(get_count=True) for ft in reversed(diagram)}


@contextmanager
def _explained(session: Session, table: Any) -> Iterator[None]:
    """Translate errors of a cascade, and say which table blocks it."""
    try:
        with session.translating("DELETE"):
            yield
    except Refused as error:
        if error.refusal is not Refusal.FOREIGN_KEY:
            raise
        raise DeleteBlocked(table=table.full_table_name, detail=error.detail) from None
