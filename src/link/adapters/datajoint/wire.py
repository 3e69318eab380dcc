"""Rows and keys between servers: each server renders and reads its own values, the client only passes them on.

The wire forms are those of `model.Kind`. Equality and order of keys are always a server's: keys travel as text and are
turned into a relation of the column's own types and collations.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from uuid import UUID

from link.adapters.datajoint import wire_mysql, wire_postgresql
from link.adapters.datajoint.model import Kind
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import ValueNotRepresentable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from link.adapters.datajoint.model import Column, TableModel
    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys


def _speech(session: Session) -> ModuleType:
    return wire_postgresql if session.backend == "postgresql" else wire_mysql


def _named(session: Session, columns: Sequence[Column], alias: str) -> list[str]:
    return [f"{alias}.{session.quote(column.name)}" for column in columns]


def render(session: Session, column: Column, alias: str) -> str:
    """Return the SQL that yields the wire form of a column of `alias`."""
    return str(_speech(session).render(f"{alias}.{session.quote(column.name)}", column))


def fetch(session: Session, statement: str, args: Sequence[Any], columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    """Run a SELECT of rendered `columns` and return wire rows, all bytes being `bytes`."""
    rows = session.query(statement, args)
    if not any(column.kind is Kind.BYTES for column in columns):
        return rows
    return [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows]


def key_relation(session: Session, columns: Sequence[Column], keys: Keys, alias: str = "k") -> tuple[str, Sequence[Any]]:
    """Return a relation to stand in FROM with a row for each key, and its arguments.

    It has the key's position from 0 as `n` and its values as `c0`, `c1`, …, in the types and collations of `columns`, so
    that a comparison with them uses their index. A key that does not fit into the types is an error or matches nothing.
    """
    relation, args = _speech(session).key_relation(columns, keys, alias)
    return relation, args


def joining(session: Session) -> str:
    """Return the word that joins a key relation with a table, keys first.

    Left to itself MySQL sometimes reads the whole table for every key: it guesses how many rows JSON_TABLE has.
    """
    return "JOIN" if session.backend == "postgresql" else "STRAIGHT_JOIN"


def key_join(session: Session, columns: Sequence[Column], table: str, alias: str = "k") -> str:
    """Return the condition that a row of `table` has the key of a row of the relation `alias`."""
    pairs = (f"{name} = {alias}.c{index}" for index, name in enumerate(_named(session, columns, table)))
    return " AND ".join(pairs)


def key_order(session: Session, columns: Sequence[Column], alias: str) -> str:
    """Return what to ORDER BY for the order of `key_after`."""
    names = _named(session, columns, alias)
    return ", ".join(_speech(session).ordered(name, column) for name, column in zip(names, columns, strict=True))


def key_after(session: Session, columns: Sequence[Column], alias: str, after: Key) -> tuple[str, Sequence[Any]]:
    """Return the condition that a row of `alias` comes after `after`, in a form that uses the index, and its arguments."""
    condition, args = _speech(session).key_after(_named(session, columns, alias), columns, after)
    return condition, args


def key_literals(session: Session, columns: Sequence[Column], keys: Keys) -> str:
    """Return the condition that a row has one of `keys`, for DataJoint's cascade, where nothing can be bound.

    The literals are escaped by the driver; DataJoint doubles percent signs itself, and takes lower-case words outside quotes
    for attributes. Up to 5,000 keys at once use the index on all servers.
    """
    names = ", ".join(session.quote(column.name) for column in columns)
    speech = _speech(session)
    rows = [", ".join(speech.literal(session, c, v) for c, v in zip(columns, key, strict=True)) for key in keys]
    return str(speech.listed(names, [f"({row})" for row in rows]))


def restricted(expression: Any, condition: str, names: Iterable[str]) -> Any:
    """Return a DataJoint expression with an SQL condition added as it is, past DataJoint's parsing of strings."""
    result = copy.copy(expression)
    result._restriction = type(expression.restriction)([*expression.restriction, condition])
    result._restriction_attributes = {*expression.restriction_attributes, *names}
    return result


def value_list(connection: Any, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return the condition that the columns `names` have one of many values of Python's, escaped by the driver."""
    postgresql = connection.adapter.backend == "postgresql"
    escape = _postgresql_escape(connection) if postgresql else _mysql_escape(connection)
    quoted = ", ".join(connection.adapter.quote_identifier(name) for name in names)
    listed = ["(" + ", ".join(map(escape, row)) + ")" for row in rows]
    speech = wire_postgresql if postgresql else wire_mysql
    return speech.listed(quoted, listed).replace("%", "%%")


def _postgresql_escape(connection: Any) -> Callable[[Any], str]:
    cursor = connection._conn.cursor()
    return lambda value: (
        cursor.mogrify("%s", (str(value) if isinstance(value, UUID) else value,)).decode()
        + ("::uuid" if isinstance(value, UUID) else "")
    )


def _mysql_escape(connection: Any) -> Callable[[Any], str]:
    return lambda value: f"X'{value.hex}'" if isinstance(value, UUID) else str(connection._conn.escape(value))


def row_sizes(session: Session, alias: str, columns: Sequence[Column]) -> str:
    """Return the SQL for about how many bytes a row of `alias` has in memory."""
    wide = [column for column in columns if column.kind in {Kind.BYTES, Kind.JSON, Kind.STRING}]
    sizes = [_speech(session).size(name, column) for name, column in zip(_named(session, wide, alias), wide, strict=True)]
    return " + ".join([str(60 * len(columns)), *sizes])


def insert_rows(session: Session, table: TableModel, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> int:
    """Insert wire rows with values for `columns` into a local table; return how many.

    Raises `ValueNotRepresentable` where the server takes a value for wrong; the transaction is spoilt then.
    """
    place = session.table(table.name)
    try:
        return int(_speech(session).insert(session, place, columns, _checked(session, table, columns, rows)))
    except Refused as error:
        if error.refusal is not Refusal.VALUE:
            raise
        raise ValueNotRepresentable(table=table.name, detail=error.detail) from None


def _checked(
    session: Session, table: TableModel, columns: Sequence[Column], rows: Iterable[Sequence[Any]]
) -> Iterable[Sequence[Any]]:
    """Stop at numbers that only PostgreSQL has; MySQL would read them as 0 or refuse them less clearly."""
    floats = [(place, column) for place, column in enumerate(columns) if column.kind is Kind.FLOAT64]
    if session.backend == "postgresql" or not floats:
        return rows
    return (_finite(table, row, floats) for row in rows)


def _finite(table: TableModel, row: Sequence[Any], floats: Sequence[tuple[int, Column]]) -> Sequence[Any]:
    for place, column in floats:
        if row[place] in {"NaN", "Infinity", "-Infinity"}:
            raise ValueNotRepresentable(table=table.name, column=column.name, detail=f"{row[place]} is no number there")
    return row
