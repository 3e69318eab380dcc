"""Values and keys as MariaDB and MySQL render and read them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from link.adapters.datajoint.model import Column, Kind
from link.domain.errors import PacketTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys

STATEMENT = 4 * 2**20
"""Bytes of values in one INSERT; a larger row has a statement of its own."""
ROWS = 2_000
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def render(name: str, column: Column) -> str:
    """Return the expression that yields the wire form of the column called `name`."""
    if column.kind is Kind.BYTES:
        return name
    if column.kind is Kind.UUID:
        return f"LOWER(HEX({name}))"
    if column.kind in {Kind.STRING, Kind.ENUM, Kind.JSON}:
        return f"CONVERT({name} USING utf8mb4)"
    return f"CAST({name} AS CHAR)"


def typed(column: Column, text: str) -> str:
    """Return the expression that reads `text` as a value that compares with the column by its index."""
    if column.kind in {Kind.INTEGER, Kind.BOOL}:
        return f"CAST({text} AS {'UNSIGNED' if column.unsigned else 'SIGNED'})"
    if column.kind is Kind.DECIMAL:
        return f"CAST({text} AS DECIMAL({column.size}, {column.scale or 0}))"
    if column.kind is Kind.DATE:
        return f"CAST({text} AS DATE)"
    if column.kind is Kind.DATETIME:
        return f"CAST({text} AS DATETIME(6))"
    if column.kind is Kind.UUID:
        return f"UNHEX({text})"
    return text


def _collated(column: Column) -> str:
    return f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset else ""


def _declared(column: Column) -> str:
    """Return a type for a column of JSON_TABLE that loses nothing: a longer text than fits must not match a shorter one."""
    if column.kind is Kind.STRING:
        return f"VARCHAR({min((column.size or 255) + 1, 16_000)}){_collated(column)}"
    if column.kind is Kind.ENUM:
        return f"VARCHAR(256){_collated(column)}"
    return "VARCHAR(80)"


def key_relation(columns: Sequence[Column], keys: Keys, alias: str) -> tuple[str, list[Any]]:
    """See `wire.key_relation`."""
    declared = ", ".join(f"c{index} {_declared(column)} PATH '$[{index}]'" for index, column in enumerate(columns))
    values = ", ".join(f"{typed(column, f'j.c{index}')} AS c{index}" for index, column in enumerate(columns))
    table = f"JSON_TABLE(%s, '$[*]' COLUMNS (n FOR ORDINALITY, {declared})) j"
    document = json.dumps([list(key) for key in keys], ensure_ascii=False)
    return f"(SELECT j.n - 1 AS n, {values} FROM {table}) {alias}", [document]


def ordered(name: str, column: Column) -> str:
    """Return what the column is ordered by: an enum is ordered by its index, but compared as a string."""
    return f"CONVERT({name} USING utf8mb4) COLLATE utf8mb4_bin" if column.kind is Kind.ENUM else name


def _value(column: Column) -> str:
    if column.kind is Kind.ENUM:
        return "CONVERT(%s USING utf8mb4) COLLATE utf8mb4_bin"
    if column.kind is Kind.STRING and column.charset:
        return f"CONVERT(%s USING {column.charset}) COLLATE {column.collation}"
    return typed(column, "%s")


def key_after(names: Sequence[str], columns: Sequence[Column], after: Key) -> tuple[str, list[Any]]:
    """See `wire.key_after`; spelled out, since a comparison of rows scans the whole index here."""
    condition, args = "FALSE", list[Any]()
    for name, column, value in reversed(list(zip(names, columns, after, strict=True))):
        place = ordered(name, column)
        condition = f"({place} > {_value(column)} OR ({place} = {_value(column)} AND {condition}))"
        args = [value, value, *args]
    return condition, args


def literal(session: Session, column: Column, value: str) -> str:
    """Return `value` as a literal that compares with the column by its index, escaped by the driver."""
    if column.kind in {Kind.INTEGER, Kind.BOOL, Kind.DECIMAL} and _NUMBER.fullmatch(value):
        return value
    if column.kind is Kind.UUID:
        return f"X'{bytes.fromhex(value).hex()}'"
    return str(session.connection._conn.escape(value))


def listed(names: str, rows: Sequence[str]) -> str:
    """Return the condition that the columns have one of the values."""
    return f"(({names}) IN ({', '.join(rows)}))"


def size(name: str, column: Column) -> str:  # noqa: ARG001 - PostgreSQL needs the column
    """Return about how many bytes the column has in a row."""
    return f"coalesce(OCTET_LENGTH({name}), 0)"


def insert(session: Session, table: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> int:
    """Insert wire rows, many in a statement, and return how many."""
    names = ", ".join(session.quote(column.name) for column in columns)
    one = "(" + ", ".join(["%s"] * len(columns)) + ")"
    readers = [_READERS.get(column.kind, _as_it_is) for column in columns]
    inserted = 0
    for batch in _batches(rows):
        if len(batch) == 1:
            _check_packet(session, batch[0])
        values = [
            read(value) if value is not None else None for row in batch for read, value in zip(readers, row, strict=True)
        ]
        inserted += session.change(f"INSERT INTO {table} ({names}) VALUES {', '.join([one] * len(batch))}", values)
    return inserted


def _check_packet(session: Session, row: Sequence[Any]) -> None:
    """Refuse a row that the server would answer by hanging up; escaping doubles some bytes, but never adds more."""
    size_of_row = sum(len(value) for value in row if value is not None)
    if size_of_row < STATEMENT:
        return
    limit = int(session.query("SELECT @@max_allowed_packet")[0][0])
    escape = session.connection._conn.escape
    if size_of_row > limit or (2 * size_of_row > limit and sum(len(escape(v)) for v in row if v is not None) > limit - 65_536):
        raise PacketTooLarge(server=session.server, setting="max_allowed_packet", limit=f"{limit:,} bytes")


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    batch: list[Sequence[Any]] = []
    room = STATEMENT
    for row in rows:
        size_of_row = sum(len(value) for value in row if value is not None)
        if batch and (size_of_row > room or len(batch) == ROWS):
            yield batch
            batch, room = [], STATEMENT
        batch.append(row)
        room -= size_of_row
    if batch:
        yield batch


def _as_it_is(value: Any) -> Any:
    return value


_READERS: dict[Kind, Callable[[Any], Any]] = {Kind.UUID: bytes.fromhex, Kind.BOOL: int}
