"""The copy's DDL on MySQL and MariaDB."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from attrs import define, field

from link.adapters.datajoint import limits_mysql
from link.adapters.datajoint.found import marked
from link.adapters.datajoint.marks import is_char, is_text, mark, signed_bits
from link.adapters.datajoint.model import Kind
from link.domain.errors import ColumnNotSupported, NotLinkable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from link.adapters.datajoint.model import Column, Index, TableModel
    from link.adapters.datajoint.session import Session

_INTEGERS = {8: "tinyint", 16: "smallint", 24: "mediumint", 32: "int", 64: "bigint"}
_TYPES = {
    Kind.FLOAT64: "double",
    Kind.FLOAT32: "float",
    Kind.DECIMAL: "decimal({size},{scale})",
    Kind.BOOL: "tinyint",
    Kind.STRING: "varchar({size})",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime({size})",
    Kind.INSTANT: "timestamp({size})",
    Kind.TIME: "time({size})",
    Kind.YEAR: "year",
    Kind.BITS: "bit({size})",
    Kind.UUID: "binary(16)",
    Kind.JSON: "json",
    Kind.BYTES: "longblob",
}
_COMMENT_LIMIT, _TABLE_COMMENT_LIMIT = 1024, 2048
_VARCHAR_LIMIT = 16383
"""Characters of four bytes in InnoDB's row of 65,535 bytes."""
_CHAR_LIMIT, _BITS_LIMIT = 255, 64
_DIGITS_LIMIT, _SCALE_LIMIT = 65, 30
_COLLATIONS = """
SELECT CHARACTER_SET_NAME, {name} FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"""


def literal(text: str) -> str:
    r"""Return a string constant, with percent signs doubled; DataJoint's sessions read backslashes as escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0").replace("%", "%%")
    return f"'{escaped}'"


def native_column(column: Column, session: Session) -> str:
    """Define a column exactly as its own server has it."""
    kind = f"enum({_labels(column)})" if column.kind is Kind.ENUM else column.native.replace("%", "%%")
    parts = [session.quote(column.name), kind]
    if column.kind in {Kind.STRING, Kind.ENUM} and column.charset:
        parts.append(f"CHARACTER SET {column.charset} COLLATE {column.collation}")
    parts.append("NULL" if column.nullable else "NOT NULL")
    if comment := marked(column.marker, column.comment):
        parts.append(f"COMMENT {literal(comment)}")
    return " ".join(parts)


def _labels(column: Column) -> str:
    return ", ".join(literal(label) for label in column.labels)


@define(kw_only=True)
class Declaration:
    """The dialect for one local session and one backend of the source."""

    session: Session
    source: str
    exact_keys: bool = False
    _known: set[tuple[str, str]] | None = field(default=None, init=False)
    _longest: dict[str, int] | None = field(default=None, init=False)

    def prepare(self, tables: tuple[TableModel, ...]) -> list[str]:
        """Return nothing: every type is spelled out in its column."""
        for table in tables:
            self._check(table, self._plain(table, tables[0]))
        return []

    def _plain(self, table: TableModel, master: TableModel | None) -> set[str]:
        """Name the columns that get the schema's own collation."""
        return set() if self.exact_keys else _joined(table, master)

    def create(self, table: TableModel, master: TableModel | None) -> list[str]:
        """Return one statement: indexes and comments stand in the table's own."""
        quote = self.session.quote
        key = ", ".join(quote(column.name) for column in table.key)
        plain = self._plain(table, master)
        lines = [*(self._column(column, plain) for column in table.columns), f"PRIMARY KEY ({key})"]
        lines += [self._index(index) for index in table.indexes if self._indexable(table, index, plain)]
        if master:
            lines.append(self._foreign_key(table, master))
        body = ",\n  ".join(lines)
        comment = literal(table.comment[:_TABLE_COMMENT_LIMIT])
        return [f"CREATE TABLE IF NOT EXISTS {self.session.table(table.name)} (\n  {body}\n) ENGINE=InnoDB COMMENT={comment}"]

    def _foreign_key(self, table: TableModel, master: TableModel) -> str:
        """Name the constraint: the server's own name for it would be too long for some parts."""
        columns = ", ".join(self.session.quote(column.name) for column in master.key)
        name = "link_" + hashlib.sha256(f"{self.session.schema}.{table.name}".encode()).hexdigest()[:16]
        return (
            f"CONSTRAINT {self.session.quote(name)} FOREIGN KEY ({columns}) REFERENCES {self.session.table(master.name)}"
            f" ({columns}) ON UPDATE RESTRICT ON DELETE RESTRICT"
        )

    def _column(self, column: Column, plain: set[str]) -> str:
        """Define a column; one of `plain` gets the schema's own collation."""
        kind = self._type(column)
        if column.kind in {Kind.STRING, Kind.ENUM, Kind.SET} and column.name not in plain:
            charset, collation = self._collation(column)
            kind += f" CHARACTER SET {charset} COLLATE {collation}"
        parts = [self.session.quote(column.name), kind, "NULL" if column.nullable else "NOT NULL"]
        if default := self._default(column):
            parts.append(f"DEFAULT {default}")
        if comment := self._comment(column):
            parts.append(f"COMMENT {literal(comment)}")
        return " ".join(parts)

    def _comment(self, column: Column) -> str:
        """Return the marked comment, cut to what the server takes; a mark that does not fit is an enum's, so dropped."""
        marker = mark(column, source=self.source, local="mysql")
        if len(marked(marker, "")) > _COMMENT_LIMIT:
            marker = ""
        return marked(marker, column.comment)[:_COMMENT_LIMIT]

    def _type(self, column: Column) -> str:
        if column.kind is Kind.INTEGER:
            return self._integer(column)
        if column.kind in {Kind.ENUM, Kind.SET}:
            return f"{column.kind.value}({_labels(column)})"
        if is_char(column) and (column.size or 0) <= _CHAR_LIMIT:
            return f"char({column.size})"
        if self.source == "mysql" and (column.kind in {Kind.BYTES, Kind.BINARY} or is_text(column)):
            return column.native
        if is_text(column):
            return "longtext"
        return _TYPES[column.kind].format(size=column.size, scale=column.scale) + _unsigned(column)

    def _integer(self, column: Column) -> str:
        if self.source != "mysql":
            return _INTEGERS[signed_bits(column) or 64]
        if column.native.lower() == "tinyint(1)":
            return "tinyint(1)"
        return _INTEGERS[column.size or 64] + _unsigned(column)

    def _collation(self, column: Column) -> tuple[str, str]:
        """Return charset and collation: the source's own where this server has it, else one that tells all strings apart.

        The replacement pads nothing, so that keys which differ in a trailing space only stay two.
        """
        charset, collation = column.charset, column.collation
        if self.source != "mysql" or (charset, collation) not in self._collations():
            charset, collation = "utf8mb4", "utf8mb4_nopad_bin" if self.session.mariadb else "utf8mb4_0900_bin"
        return charset, collation

    def _collations(self) -> set[tuple[str, str]]:
        if self._known is None:
            name = "FULL_COLLATION_NAME" if self.session.mariadb else "COLLATION_NAME"
            self._known = {(charset, collation) for charset, collation in self.session.query(_COLLATIONS.format(name=name))}
        return self._known

    def _default(self, column: Column) -> str:
        default = column.default
        if default is None or column.kind is Kind.JSON or is_text(column):
            return ""
        if default.now:
            return f"CURRENT_TIMESTAMP({column.size})" if column.size else "CURRENT_TIMESTAMP"
        value = default.value or ""
        prefix = {Kind.UUID: "X", Kind.BITS: "b"}.get(column.kind)
        return f"{prefix}'{value}'" if prefix else literal(value)

    def _index(self, index: Index) -> str:
        columns = ", ".join(self.session.quote(name) for name in index.columns)
        return f"{'UNIQUE ' if index.unique else ''}INDEX ({columns})"

    def _indexable(self, table: TableModel, index: Index, plain: set[str]) -> bool:
        """Tell whether InnoDB can index these columns whole; PostgreSQL indexes bytes, JSON and longer strings too."""
        columns = [column for column in table.columns if column.name in index.columns]
        return all(map(limits_mysql.is_indexable, columns)) and self._bytes(columns, plain) <= limits_mysql.KEY

    def _bytes(self, columns: Iterable[Column], plain: set[str]) -> int:
        return sum(limits_mysql.width(column, self._character(column, plain)) for column in columns)

    def _character(self, column: Column, plain: set[str]) -> int:
        """Return how many bytes a character of the column may have here."""
        if column.kind is not Kind.STRING:
            return 1
        if self._longest is None:
            self._longest = limits_mysql.characters(self.session)
        return self._longest["" if column.name in plain else self._collation(column)[0]]

    def _check(self, table: TableModel, plain: set[str]) -> None:
        where = f"{table.schema}.{table.name}"
        for column in table.columns:
            if reason := self._refusal(column):
                raise ColumnNotSupported(table=where, column=column.name, type=column.native, reason=reason)
        if reason := self._too_long(table, plain):
            raise NotLinkable(table=where, reason=reason)

    def _too_long(self, table: TableModel, plain: set[str]) -> str:
        """Say which key, unique index or row has more bytes than the server holds; '' for none."""
        limit = f"an index of the local server holds {limits_mysql.KEY:,}"
        key = self._bytes(table.key, plain)
        if key > limits_mysql.KEY:
            return f"its key has up to {key:,} bytes, and {limit}"
        for index in table.indexes:
            if index.unique and not self._indexable(table, index, plain):
                columns = [column for column in table.columns if column.name in index.columns]
                is_bound = all(map(limits_mysql.is_indexable, columns))
                size = f"up to {self._bytes(columns, plain):,}" if is_bound else "any number of"
                return f"its unique index over {', '.join(index.columns)} has {size} bytes, and {limit}"
        row = sum(limits_mysql.row_width(column, self._character(column, plain)) for column in table.columns)
        if row > limits_mysql.ROW:
            return (
                f"its rows have up to {row:,} bytes beside texts and blobs, and those of the local server {limits_mysql.ROW:,}"
            )
        return ""

    def _refusal(self, column: Column) -> str:
        if self.source == "mysql":
            return ""
        if column.kind is Kind.BINARY:
            return "bytes without a bound cannot be a key on the local server"
        longest = {Kind.STRING: _VARCHAR_LIMIT, Kind.BITS: _BITS_LIMIT}.get(column.kind)
        if longest is not None and (column.size or 0) > longest:
            return f"it has a size of {column.size}, and the local server's type for it ends at {longest}"
        digits = column.size or 0
        if column.kind is Kind.DECIMAL and not (
            0 < digits <= _DIGITS_LIMIT and 0 <= (column.scale or 0) <= min(digits, _SCALE_LIMIT)
        ):
            return (
                f"the local server's decimals have {_DIGITS_LIMIT} digits at most, and {_SCALE_LIMIT} of them after the point"
            )
        if column.kind is Kind.ENUM and any(label.endswith(" ") for label in column.labels):
            return "the local server strips spaces from the end of an enum's labels"
        return ""


def _joined(table: TableModel, master: TableModel | None) -> set[str]:
    """Name the columns that are compared with keys of other tables: keys, and what foreign keys made at the source."""
    from_others = {column.name for column in table.columns if column.lineage}
    return from_others | {column.name for column in (*table.key, *(master.key if master else ()))}


def _unsigned(column: Column) -> str:
    return " unsigned" if column.unsigned else ""
