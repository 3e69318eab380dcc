"""Values and keys as PostgreSQL renders and reads them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from link.adapters.datajoint import exactness
from link.adapters.datajoint.driver import watched
from link.adapters.datajoint.model import Column, Kind
from link.adapters.datajoint.translation import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_ESCAPED = re.compile(r"[\\\n\r\t]")
_FORMS = {
    Kind.BYTES: "{}",
    Kind.BOOL: "({}::integer)::text",
    Kind.FLOAT32: "{}::float8::text",
    Kind.INSTANT: "({} AT TIME ZONE 'UTC')::text",
    Kind.UUID: "replace({}::text, '-', '')",
    Kind.BINARY: "encode({}, 'hex')",
}
_PLACE = re.compile(r"COPY .*, line (\d+)(?:, column ([^:]+))?")
_PLAIN = re.compile(r"[A-Za-z0-9 _.:,/+-]*", re.ASCII)


def render(name: str, column: Column) -> str:
    """Return the expression that yields the wire form of the column called `name`."""
    return _FORMS.get(column.kind, "{}::text").format(name)


def comparison(column: Column) -> str:
    """Return the type in which keys are compared: without a size, since casts to sizes cut and round."""
    if column.kind is Kind.ENUM:
        return column.native.replace("%", "%%")
    return {"varchar": "text", "character varying": "text", "character": "bpchar"}.get(base(column), base(column))


def base(column: Column) -> str:
    """Return a type's name without its size."""
    return re.sub(r"\([^)]*\)", "", column.native)


def key_relation(columns: Sequence[Column], keys: Keys, alias: str) -> tuple[str, list[Any]]:
    """See `wire.key_relation`."""
    arrays = ", ".join(f"%s::text[]::{comparison(column)}[]" for column in columns)
    names = ", ".join(f"c{index}" for index in range(len(columns)))
    relation = f"(SELECT {names}, n - 1 AS n FROM unnest({arrays}) WITH ORDINALITY AS u({names}, n)) {alias}"
    return relation, [[_comparable(column, key[index]) for key in keys] for index, column in enumerate(columns)]


def _comparable(column: Column, value: str) -> str | None:
    return _spelled(column, value) if exactness.comparable(column, value, postgresql=True) else None


def _spelled(column: Column, value: str) -> str:
    return f"\\x{value}" if column.kind is Kind.BINARY else value


def key_after(names: Sequence[str], columns: Sequence[Column], after: Key) -> tuple[str, list[Any]]:
    """See `wire.key_after`; PostgreSQL uses the index for a comparison of rows."""
    right = ", ".join(f"%s::{comparison(column)}" for column in columns)
    spelled = [_spelled(column, value) for column, value in zip(columns, after, strict=True)]
    return f"({', '.join(names)}) > ({right})", spelled


def literal(column: Column, value: str) -> str:
    """Return `value` as a literal of the column's type, which is in capitals outside quotes."""
    if column.kind is Kind.BINARY:
        return f"'\\x{value}'::BYTEA"
    return f"{text(value)}::{column.native if column.kind is Kind.ENUM else comparison(column).upper()}"


def text(value: str) -> str:
    """Return a string literal without any character that a server, a driver or DataJoint could take for something else."""
    return f"'{value}'" if _PLAIN.fullmatch(value) else f"CONVERT_FROM('\\x{value.encode().hex()}'::BYTEA, 'UTF8')"


def listed(names: str, rows: Sequence[str]) -> str:
    """Return the condition that the columns have one of the values; a list of rows would become a chain of ORs here."""
    return f"(({names}) IN (VALUES {', '.join(rows)}))"


def size(name: str, column: Column) -> str:
    """Return about how many bytes the column has in a row."""
    text = name if column.kind in {Kind.BYTES, Kind.STRING} else f"{name}::text"
    return f"coalesce(octet_length({text}), 0)"


def insert(session: Session, place: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], max_bytes: int) -> int:
    """Insert wire rows by COPY and return how many; data only, nothing in it is ever executed."""
    names = ", ".join(session.quote(column.name).replace("%%", "%") for column in columns)
    statement = f"COPY {place.replace('%%', '%')} ({names}) FROM STDIN"
    inserted = 0
    for text, batch in _batches(columns, rows, max_bytes):
        session.statements += 1
        with session.translating(statement):
            inserted += _copy(session, statement, text, batch)
    return inserted


def _copy(session: Session, statement: str, text: io.StringIO, batch: Sequence[Sequence[Any]]) -> int:
    cursor = session.connection._conn.cursor()
    try:
        with watched(session.connection):
            cursor.copy_expert(statement, text)
    except Exception as error:
        refused = session.translate(error, session, statement)
        place = _PLACE.search(getattr(getattr(error, "diag", None), "context", None) or "")
        if not isinstance(refused, Refused) or place is None:
            raise
        refused.row, refused.column = batch[int(place[1]) - 1], place[2] or ""
        raise refused from None
    return int(cursor.rowcount)


def _batches(
    columns: Sequence[Column], rows: Iterable[Sequence[Any]], max_bytes: int
) -> Iterator[tuple[io.StringIO, list[Sequence[Any]]]]:
    """Yield rows as COPY's text, a line each, and as they are."""
    writers = [_WRITERS.get(column.kind, str) for column in columns]
    text = io.StringIO()
    batch: list[Sequence[Any]] = []
    for row in rows:
        values = ["\\N" if value is None else write(value) for write, value in zip(writers, row, strict=True)]
        text.write("\t".join(values) + "\n")
        batch.append(row)
        if text.tell() > max_bytes:
            text.seek(0)
            yield text, batch
            text, batch = io.StringIO(), []
    if batch:
        text.seek(0)
        yield text, batch


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES) if _ESCAPED.search(value) else value


def _hexadecimal(value: bytes) -> str:
    return "\\\\x" + value.hex()


_WRITERS: dict[Kind, Callable[[Any], str]] = {
    Kind.STRING: _escaped,
    Kind.ENUM: _escaped,
    Kind.JSON: _escaped,
    Kind.BYTES: _hexadecimal,
    Kind.BINARY: lambda digits: f"\\\\x{digits}",
}
