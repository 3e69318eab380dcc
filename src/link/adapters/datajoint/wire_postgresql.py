"""Values and keys as PostgreSQL renders and reads them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from link.adapters.datajoint.model import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
BATCH = 4 * 2**20
"""Characters of COPY text that are held at once."""


def render(name: str, column: Column) -> str:
    """Return the expression that yields the wire form of the column called `name`."""
    if column.kind is Kind.BYTES:
        return name
    if column.kind is Kind.BOOL:
        return f"({name}::integer)::text"
    if column.kind is Kind.UUID:
        return f"replace({name}::text, '-', '')"
    return f"{name}::text"


def native(column: Column) -> str:
    """Return the column's type as it can stand in a statement with arguments."""
    return column.native.replace("%", "%%")


def key_relation(columns: Sequence[Column], keys: Keys, alias: str) -> tuple[str, list[Any]]:
    """See `wire.key_relation`."""
    arrays = ", ".join(f"%s::text[]::{native(column)}[]" for column in columns)
    names = ", ".join(f"c{index}" for index in range(len(columns)))
    relation = f"(SELECT {names}, n - 1 AS n FROM unnest({arrays}) WITH ORDINALITY AS u({names}, n)) {alias}"
    return relation, [[key[index] for key in keys] for index in range(len(columns))]


def ordered(name: str, column: Column) -> str:
    """Return what the column is ordered by."""
    return f'{name}::text COLLATE "C"' if column.kind is Kind.ENUM else name


def key_after(names: Sequence[str], columns: Sequence[Column], after: Key) -> tuple[str, list[Any]]:
    """See `wire.key_after`; PostgreSQL uses the index for a comparison of rows."""
    left = ", ".join(ordered(name, column) for name, column in zip(names, columns, strict=True))
    right = ", ".join('%s::text COLLATE "C"' if c.kind is Kind.ENUM else f"%s::{native(c)}" for c in columns)
    return f"({left}) > ({right})", list(after)


def literal(session: Session, column: Column, value: str) -> str:
    """Return `value` as a literal of the column's type, escaped by the driver.

    The type is in capitals: DataJoint takes lower-case words outside quotes for attributes.
    """
    cursor = session.connection._conn.cursor()  # escaping is the driver's
    kind = column.native if '"' in column.native else column.native.upper()
    return f"{cursor.mogrify('%s', (value,)).decode()}::{kind}"


def listed(names: str, rows: Sequence[str]) -> str:
    """Return the condition that the columns have one of the values; a list of rows would become a chain of ORs here."""
    return f"(({names}) IN (VALUES {', '.join(rows)}))"


def size(name: str, column: Column) -> str:
    """Return about how many bytes the column has in a row."""
    text = name if column.kind in {Kind.BYTES, Kind.STRING} else f"{name}::text"
    return f"coalesce(octet_length({text}), 0)"


def insert(session: Session, table: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> int:
    """Insert wire rows by COPY and return how many; data only, nothing in it is ever executed."""
    names = ", ".join(session.quote(column.name).replace("%%", "%") for column in columns)
    statement = f"COPY {table.replace('%%', '%')} ({names}) FROM STDIN"
    inserted = 0
    for batch in _batches(rows):
        session.statements += 1
        with session.translating(statement):
            cursor = session.connection._conn.cursor()
            cursor.copy_expert(statement, batch)
            inserted += cursor.rowcount
    return inserted


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[io.StringIO]:
    batch, room = io.StringIO(), BATCH
    for row in rows:
        room -= batch.write("\t".join(map(_copied, row)) + "\n")
        if room < 0:
            batch.seek(0)
            yield batch
            batch, room = io.StringIO(), BATCH
    if batch.tell():
        batch.seek(0)
        yield batch


def _copied(value: str | bytes | None) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    return value.translate(_ESCAPES)
