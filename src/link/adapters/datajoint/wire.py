"""Rows and keys between servers: each server renders and reads its own values, the client only passes them on.

The wire forms are those of `model.Kind`. Equality and order of keys are always a server's: keys travel as text and are
turned into a relation of the column's own types and collations.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import datajoint as dj
from datajoint.expression import Aggregation, Union

from link.adapters.datajoint import wire_mysql, wire_postgresql
from link.adapters.datajoint.exactness import comparable
from link.adapters.datajoint.faults import check_of
from link.adapters.datajoint.model import Kind
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import ValueNotRepresentable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

    from link.adapters.datajoint.model import Column, TableModel
    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys

_SHOWN = 80
"""A value is shown with so many characters at most."""
SHORT = 1_000
"""A string of so many characters at most needs no look at how long it is."""
_COLUMN = re.compile(r"column ('[^']+'|[`\w.]+)")


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
    that a comparison with them uses their index. A key that the columns cannot hold is a row that matches nothing.
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
    """Return what to ORDER BY for the order of `key_after`: the index's own, whatever the kinds and collations are."""
    return ", ".join(_named(session, columns, alias))


def key_after(session: Session, columns: Sequence[Column], alias: str, after: Key) -> tuple[str, Sequence[Any]]:
    """Return the condition that a row of `alias` comes after `after`, in a form that uses the index, and its arguments."""
    condition, args = _speech(session).key_after(_named(session, columns, alias), columns, after)
    return condition, args


def key_literals(session: Session, columns: Sequence[Column], keys: Keys, alias: str = "") -> str:
    """Return the condition that a row has one of `keys`, for DataJoint's cascade, where nothing can be bound.

    The literals are made of letters, digits and hexadecimal digits alone. So neither percent signs nor backslashes depend on
    how often DataJoint doubles and parses them on the way, and there are no lower-case words outside quotes, which it takes
    for attributes. Up to 5,000 keys at once use the index on all servers. A key that the columns cannot hold is left out.
    """
    speech, postgresql = _speech(session), session.backend == "postgresql"
    rows = [
        "(" + ", ".join(speech.literal(column, value) for column, value in zip(columns, key, strict=True)) + ")"
        for key in keys
        if all(comparable(column, value, postgresql=postgresql) for column, value in zip(columns, key, strict=True))
    ]
    names = _named(session, columns, alias) if alias else [session.quote(column.name) for column in columns]
    return str(speech.listed(", ".join(names), rows)) if rows else "FALSE"


def restricted(expression: Any, condition: str, names: Iterable[str]) -> Any:
    """Return a DataJoint expression with an SQL condition added as it is, past DataJoint's parsing of strings.

    As DataJoint does, it makes a subquery of an expression whose attributes are computed or whose rows are limited.
    """
    result = expression.make_subquery() if _needs_subquery(expression) else copy.copy(expression)
    result._restriction = dj.AndList([*result.restriction, condition])
    result._restriction_attributes = {*result.restriction_attributes, *names}
    return result


def _needs_subquery(expression: Any) -> bool:
    if isinstance(expression, Union) or expression._top is not None:
        return True
    return bool(expression.heading.new_attributes) and not isinstance(expression, Aggregation)


def value_condition(connection: Any, name: str, value: bytes | UUID | str) -> str:
    """Return the condition that a column has a value of Python's, for DataJoint to parse as a string.

    UUIDs and strings are said in PostgreSQL's words; MySQL's are DataJoint's own.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        digits = bytes(value).hex()
        said = f"'\\x{digits}'::BYTEA" if connection.adapter.backend == "postgresql" else f"X'{digits}'"
    else:
        said = wire_postgresql.text(str(value)) + ("::UUID" if isinstance(value, UUID) else "")
    return f"{connection.adapter.quote_identifier(name)} = {said}"


def value_list(connection: Any, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return the condition that the columns `names` have one of many values of Python's, escaped by the driver."""
    postgresql = connection.adapter.backend == "postgresql"
    speech = wire_postgresql if postgresql else wire_mysql
    escape = _postgresql_escape(connection) if postgresql else _mysql_escape(connection)
    quoted = ", ".join(connection.adapter.quote_identifier(name) for name in names)
    listed = [
        "(" + ", ".join(speech.text(value) if isinstance(value, str) else escape(value) for value in row) + ")" for row in rows
    ]
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
    wide = [column for column in columns if _is_wide(column)]
    sizes = [_speech(session).size(name, column) for name, column in zip(_named(session, wide, alias), wide, strict=True)]
    return " + ".join([str(60 * len(columns)), *sizes])


def _is_wide(column: Column) -> bool:
    is_long = column.size is None or column.size > SHORT
    return column.kind in {Kind.BYTES, Kind.JSON} or (column.kind is Kind.STRING and is_long)


def insert_rows(
    session: Session,
    table: TableModel,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Any]],
    max_bytes: int = 8 * 2**20,
) -> int:
    """Insert wire rows with values for `columns`, the local table's own, into it; return how many.

    A statement holds about `max_bytes` at most, one row at the least. The rows are free of `faults`. Raises
    `ValueNotRepresentable` where the server refuses a value, `PacketTooLarge` where one row is more than a statement may hold.
    The transaction is the caller's, and spoilt then.
    """
    try:
        return int(_speech(session).insert(session, session.table(table.name), columns, rows, max_bytes))
    except Refused as error:
        if error.refusal is not Refusal.VALUE:
            raise
        named = _COLUMN.search(error.detail)
        column = error.column or (named[1].rpartition(".")[2].strip("`'") if named else "")
        raise not_representable(table, columns, error.row, column, error.detail) from None


def faults(
    session: Session, table: TableModel, columns: Sequence[Column], rows: Sequence[Sequence[Any]]
) -> Iterator[tuple[int, ValueNotRepresentable]]:
    """Yield the places of rows with a value that the server of `session` would round, cut, clamp or refuse, and its error.

    What is left for the server itself to refuse is rare: a character that a charset lacks, a value too long for its index.
    """
    postgresql = session.backend == "postgresql"
    for place, column in enumerate(columns):
        check = check_of(column, postgresql=postgresql, mariadb=session.mariadb)
        if check is None:
            continue
        for index, row in enumerate(rows):
            if row[place] is not None and (fault := check(row[place])):
                yield index, not_representable(table, columns, row, column.name, fault)


def owners(session: Session, columns: Sequence[Column], keys: Keys, others: Keys) -> list[int | None]:
    """Return which of `keys` each of `others` is, by its place, as the server of `session` compares keys."""
    relation, args = key_relation(session, columns, keys)
    theirs, more = key_relation(session, columns, others, "e")
    same = " AND ".join(f"k.c{index} = e.c{index}" for index in range(len(columns)))
    found = session.query(f"SELECT e.n, k.n FROM {relation} JOIN {theirs} ON {same}", (*args, *more))
    places = {int(index): int(owner) for index, owner in found}
    return [places.get(index) for index in range(len(others))]


def not_representable(
    table: TableModel, columns: Sequence[Column], row: Sequence[Any], column: str, detail: str
) -> ValueNotRepresentable:
    """Return the error that names the row's key, and the column with its value, shortened."""
    values = dict(zip((found.name for found in columns), row, strict=False))
    key = {found.name: str(values[found.name]) for found in table.key if found.name in values}
    value = _shortened(values[column]) if column in values else ""
    return ValueNotRepresentable(table=table.name, column=column, detail=detail, key=key, value=value)


def _shortened(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}… ({len(value) if isinstance(value, (str, bytes)) else 0:,})"
