"""Values and keys as MariaDB and MySQL render and read them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from attrs import define, field

from link.adapters.datajoint import exactness, legacy_objects
from link.adapters.datajoint.model import Column, Kind
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import PacketTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys

_CODECS = {
    "ascii": "ascii",
    "latin1": "cp1252",
    "latin2": "iso8859_2",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "greek": "iso8859_7",
}
"""Python's names of charsets; what is not among them the server converts."""
ROWS = 5_000
"""Rows in one INSERT; longer statements are not faster."""
SMALL = 512 * 2**10
"""Every server takes a statement of so many bytes."""
OVERHEAD = 64 * 2**10
_FORMS = {
    Kind.BYTES: "{name}",
    **dict.fromkeys((Kind.UUID, Kind.BINARY), "LOWER(HEX({name}))"),
    **dict.fromkeys((Kind.STRING, Kind.ENUM, Kind.SET, Kind.JSON), "CONVERT({name} USING utf8mb4)"),
    Kind.FLOAT32: "CONCAT(IF(LEFT(CAST({name} AS CHAR), 1) = '-', '-', ''), CAST(ABS({name} * 1e0) AS CHAR))",
    Kind.BITS: "LPAD(BIN({name} + 0), {size}, '0')",
    Kind.YEAR: "CAST({name} + 0 AS CHAR)",
}
"""Traps: a float32's own text is cut to six digits; MySQL cuts that of a computed double to 22 characters, one too few for a
sign; a sum loses the sign of -0. A column's own double is printed whole."""
_LITERALS = {Kind.DATE: "DATE", Kind.TIME: "TIME", Kind.DATETIME: "TIMESTAMP", Kind.INSTANT: "TIMESTAMP"}
_PLAIN = re.compile(r"[A-Za-z0-9 _.:,/+-]*", re.ASCII)


def render(name: str, column: Column) -> str:
    """Return the expression that yields the wire form of the column called `name`."""
    if column.external:
        return legacy_objects.render(name, column.external, column.store)
    form = _FORMS.get(column.kind, "CAST({name} AS CHAR)")
    if column.kind is Kind.ENUM and "" in column.labels:  # what is none of the labels is '' too
        form = "IF({name} + 0 = 0, CHAR(0 USING utf8mb4), CONVERT({name} USING utf8mb4))"
    if column.kind in {Kind.INTEGER, Kind.DECIMAL} and "zerofill" in column.native.lower():
        form = "CAST({name} + 0 AS CHAR)"
    return form.format(name=name, size=column.size)


def typed(column: Column, text: str) -> str:  # noqa: PLR0911 - a return for each kind
    """Return the expression that reads `text`, in utf8mb4, as a value that compares with the column by its index."""
    if column.kind in {Kind.INTEGER, Kind.BOOL, Kind.YEAR}:
        return f"CAST({text} AS {'UNSIGNED' if column.unsigned else 'SIGNED'})"
    if column.kind is Kind.DECIMAL:
        return f"CAST({text} AS DECIMAL({column.size}, {column.scale or 0}))"
    if column.kind is Kind.DATE:
        return f"CAST({text} AS DATE)"
    if column.kind in {Kind.DATETIME, Kind.INSTANT}:
        return f"CAST({text} AS DATETIME(6))"
    if column.kind is Kind.TIME:
        return f"CAST({text} AS TIME(6))"
    if column.kind in {Kind.UUID, Kind.BINARY}:
        return f"UNHEX({text})"
    if column.kind is Kind.FLOAT64:
        return f"({text} + 0e0)"
    return text


def _collated(column: Column, text: str) -> str:
    """Return `text` in the charset and collation of the column; MariaDB would put `?` for what the charset lacks."""
    if column.charset in {"", "utf8mb4"}:
        return text
    there = f"CONVERT({text} USING {column.charset})"
    return f"IF(CONVERT({there} USING utf8mb4) = BINARY {text}, {there} COLLATE {column.collation}, NULL)"


def _is_text(column: Column) -> bool:
    return column.kind in {Kind.STRING, Kind.ENUM}


def _declared(column: Column) -> str:
    """Return a type for a column of JSON_TABLE that cuts nothing: a longer text must not match a shorter one."""
    if not _is_text(column):
        return f"VARCHAR({max(2 * (column.size or 0), 80) if column.kind is Kind.BINARY else 80})"
    collation = column.collation if column.charset == "utf8mb4" else "utf8mb4_bin"
    return f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {collation}"


def key_relation(columns: Sequence[Column], keys: Keys, alias: str) -> tuple[str, list[Any]]:
    """See `wire.key_relation`."""
    declared = ", ".join(f"c{index} {_declared(column)} PATH '$[{index}]'" for index, column in enumerate(columns))
    values = ", ".join(f"{_read(column, f'j.c{index}')} AS c{index}" for index, column in enumerate(columns))
    table = f"JSON_TABLE(%s, '$[*]' COLUMNS (n FOR ORDINALITY, {declared})) j"
    comparable = [
        [
            value if exactness.comparable(column, value, postgresql=False) else None
            for column, value in zip(columns, key, strict=True)
        ]
        for key in keys
    ]
    return f"(SELECT j.n - 1 AS n, {values} FROM {table}) {alias}", [json.dumps(comparable, ensure_ascii=False)]


def _read(column: Column, text: str) -> str:
    return _collated(column, text) if _is_text(column) else typed(column, text)


def key_after(names: Sequence[str], columns: Sequence[Column], after: Key) -> tuple[str, list[Any]]:
    """See `wire.key_after`; spelled out, since a comparison of rows scans the whole index here."""
    condition, args = "FALSE", list[Any]()
    for name, column, value in reversed(list(zip(names, columns, after, strict=True))):
        beyond, theirs = _beyond(name, column, value)
        condition = f"({beyond} OR ({name} = {_value(column)} AND {condition}))"
        args = [*theirs, value, *args]
    return condition, args


def _beyond(name: str, column: Column, value: str) -> tuple[str, list[Any]]:
    """Return the condition for later values; an enum is ordered by its labels' places, but `>` would compare the labels."""
    if column.kind is not Kind.ENUM:
        return f"{name} > {_value(column)}", [value]
    folded = [label.casefold() for label in column.labels]
    place = column.labels.index(value) if value in column.labels else _found(folded, value.casefold())
    later = column.labels[place + 1 :]
    return (f"{name} IN ({', '.join(['%s'] * len(later))})", list(later)) if later else ("FALSE", [])


def _found(labels: Sequence[str], value: str) -> int:
    return labels.index(value) if value in labels else -1


def _value(column: Column) -> str:
    if column.kind is Kind.STRING and column.charset:
        return f"CONVERT(%s USING {column.charset}) COLLATE {column.collation}"
    return typed(column, "%s")


def literal(column: Column, value: str) -> str:
    """Return `value` as a literal that compares with the column by its index."""
    if column.kind in {Kind.INTEGER, Kind.BOOL, Kind.DECIMAL, Kind.YEAR}:
        return value
    if column.kind is Kind.FLOAT64:
        return value if "e" in value.lower() else f"{value}E0"
    if column.kind in {Kind.UUID, Kind.BINARY}:
        return f"X'{value}'"
    if column.kind in _LITERALS:
        return f"{_LITERALS[column.kind]}'{value}'"
    return _text_in(column, value)


def _text_in(column: Column, value: str) -> str:
    """Return `value` in the column's own charset: MariaDB converts it anew for every row otherwise, and some wrongly."""
    if column.charset in {"", "utf8mb4"}:
        return text(value)
    if _PLAIN.fullmatch(value):
        return f"_{'utf8mb3' if column.charset == 'utf8' else column.charset}'{value}'"
    if column.charset in {"utf8", "utf8mb3"}:
        return f"_utf8mb3 X'{value.encode().hex()}'" if max(value) <= "\uffff" else "NULL"
    try:
        encoded = value.encode(_CODECS[column.charset])
    except (KeyError, UnicodeEncodeError):
        return _collated(column, text(value))
    return f"_{column.charset} X'{encoded.hex()}'"


def text(value: str) -> str:
    """Return a string literal without any character that a server, a driver or DataJoint could take for something else."""
    return f"'{value}'" if _PLAIN.fullmatch(value) else f"_utf8mb4 X'{value.encode().hex()}'"


def listed(names: str, rows: Sequence[str]) -> str:
    """Return the condition that the columns have one of the values."""
    return f"(({names}) IN ({', '.join(rows)}))"


def size(name: str, column: Column) -> str:  # noqa: ARG001 - PostgreSQL needs the column
    """Return about how many bytes the column has in a row."""
    return f"coalesce(OCTET_LENGTH({name}), 0)"


def insert(session: Session, place: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], max_bytes: int) -> int:
    """Insert wire rows, many in a statement, and return how many."""
    names = ", ".join(session.quote(column.name) for column in columns)
    packet, inserted = Packet(session), 0
    for batch in _batches(rows, max_bytes):
        for part, is_large in packet.fitting(batch):
            readers = _LARGE if is_large else _READERS

            def send(some: Sequence[Sequence[Any]], readers: dict[Kind, Any] = readers) -> int:
                one, values = _bound(columns, some, readers)
                return session.change(f"INSERT INTO {place} ({names}) VALUES {', '.join([one] * len(some))}", values)

            inserted += _sent(send, part)
    return inserted


def _sent(send: Callable[[Sequence[Sequence[Any]]], int], rows: Sequence[Sequence[Any]]) -> int:
    """Send rows; where a value is refused, halve them to find its row, since the servers do not always say which it is."""
    try:
        return send(rows)
    except Refused as error:
        if error.refusal is not Refusal.VALUE:
            raise
        if len(rows) == 1:
            error.row = rows[0]
            raise
        middle = len(rows) // 2
        return _sent(send, rows[:middle]) + _sent(send, rows[middle:])


def _bound(
    columns: Sequence[Column], rows: Sequence[Sequence[Any]], readers: dict[Kind, tuple[str, Callable[[Any], Any]]]
) -> tuple[str, list[Any]]:
    """Return the place holders of one row, and the arguments of all."""
    chosen = [readers.get(column.kind, _AS_IT_IS) for column in columns]
    reads = [read for _, read in chosen]
    values = [None if value is None else read(value) for row in rows for read, value in zip(reads, row, strict=True)]
    return f"({', '.join(place for place, _ in chosen)})", values


@define
class Packet:
    """Keeps statements below what the server takes, which it answers otherwise by hanging up; asks it at most once."""

    session: Session
    _limit: int = field(default=0, init=False)

    def fitting(self, batch: list[Sequence[Any]]) -> Iterator[tuple[list[Sequence[Any]], bool]]:
        """Yield `batch` in parts that fit, and whether a part is a large row; raises `PacketTooLarge` for one too large."""
        total = sum(map(_bytes_of, (value for row in batch for value in row)))
        if 2 * total < SMALL or 2 * total < self.limit:
            yield batch, False
        elif len(batch) > 1:
            middle = len(batch) // 2
            yield from self.fitting(batch[:middle])
            yield from self.fitting(batch[middle:])
        else:
            self._check(batch[0])
            yield batch, True

    @property
    def limit(self) -> int:
        """The server's limit, less what a statement has beside its values."""
        if not self._limit:
            self._limit = int(self.session.query("SELECT @@max_allowed_packet")[0][0])
        return self._limit - OVERHEAD

    def _check(self, row: Sequence[Any]) -> None:
        """How much escaping adds to text is not known before."""
        escape = self.session.connection._conn.escape
        if sum(_large(escape, value) for value in row if value is not None) > self.limit:
            raise PacketTooLarge(server=self.session.server, setting="max_allowed_packet", limit=f"{self._limit:,} bytes")


def _large(escape: Callable[[str], str], value: str | bytes) -> int:
    return len(value) * 4 // 3 + 4 if isinstance(value, bytes) else len(escape(value).encode())


def _batches(rows: Iterable[Sequence[Any]], most: int) -> Iterator[list[Sequence[Any]]]:
    batch: list[Sequence[Any]] = []
    room = most
    for row in rows:
        size_of_row = sum(map(_bytes_of, row))
        if batch and (size_of_row > room or len(batch) == ROWS):
            yield batch
            batch, room = [], most
        batch.append(row)
        room -= size_of_row
    if batch:
        yield batch


def _bytes_of(value: str | bytes | None) -> int:
    """At most so many bytes go over the line, before escaping."""
    if value is None:
        return 4
    return len(value) if isinstance(value, bytes) or value.isascii() else 4 * len(value)


def _as_it_is(value: Any) -> Any:
    return value


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


_AS_IT_IS: tuple[str, Callable[[Any], Any]] = ("%s", _as_it_is)
_READERS: dict[Kind, tuple[str, Callable[[Any], Any]]] = {
    **dict.fromkeys((Kind.UUID, Kind.BINARY), ("%s", bytes.fromhex)),
    **dict.fromkeys((Kind.BOOL, Kind.YEAR), ("%s", int)),  # a year '0' would be 2000
    Kind.BITS: ("%s", lambda digits: int(digits, 2)),
}
_LARGE = {**_READERS, Kind.BYTES: ("FROM_BASE64(%s)", _base64)}
"""For large rows: the driver sends bytes as hexadecimal digits, which have twice their length."""
