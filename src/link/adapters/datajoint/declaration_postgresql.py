"""The copy's DDL on PostgreSQL."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from attrs import define, field

from link.adapters.datajoint.found import marked
from link.adapters.datajoint.marks import is_char, is_text, mark, set_size, signed_bits
from link.adapters.datajoint.model import Kind
from link.domain.errors import ColumnNotSupported

if TYPE_CHECKING:
    from link.adapters.datajoint.model import Column, Index, TableModel
    from link.adapters.datajoint.session import Session

_INTEGERS: dict[int | None, str] = {8: "smallint", 16: "smallint", 32: "integer", 64: "bigint"}
_TYPES = {
    Kind.FLOAT64: "double precision",
    Kind.FLOAT32: "real",
    Kind.DECIMAL: "numeric({size},{scale})",
    Kind.BOOL: "boolean",
    **dict.fromkeys((Kind.STRING, Kind.SET), "varchar({size})"),
    Kind.DATE: "date",
    Kind.DATETIME: "timestamp({size})",
    Kind.INSTANT: "timestamptz({size})",
    Kind.TIME: "interval",
    Kind.YEAR: "smallint",
    Kind.BITS: "bit({size})",
    Kind.UUID: "uuid",
    Kind.JSON: "jsonb",
    Kind.BYTES: "bytea",
    Kind.BINARY: "bytea",
}
"""A MySQL `time` is a span, negative or longer than a day too, and Python's timedelta to its readers: an interval."""
_OWN = {Kind.JSON, Kind.TIME, Kind.DECIMAL}
"""Kinds of which PostgreSQL has several types; a copy here has the source's own."""
_LABEL_LIMIT = 63
_ENUMS = """
SELECT t.typname, ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = %s AND t.typtype = 'e'"""

_COLLATIONS = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname)
FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE c.collencoding IN (-1, (SELECT encoding FROM pg_catalog.pg_database WHERE datname = current_database()))"""


def literal(text: str) -> str:
    """Return a string constant with its percent signs doubled."""
    return _quoted(text).replace("%", "%%")


def _quoted(text: str) -> str:
    """Return a string constant that means the same under either setting of standard_conforming_strings."""
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in escaped else f"'{escaped}'"


def native_column(column: Column, session: Session) -> str:
    """Define a column exactly as its own server has it."""
    kind = _native_enum(column, session) if column.kind is Kind.ENUM else column.native
    collation = f" COLLATE {column.collation}".replace("%", "%%") if column.collation else ""
    return f"{session.quote(column.name)} {kind}{collation} NOT NULL"


def _native_enum(column: Column, session: Session) -> str:
    schema, _, name = column.native.strip('"').partition('"."')
    return session.table(name, schema)


def column_comment(table: str, session: Session, name: str, column: Column) -> str:
    """Return the statement that gives a column the comment it has at the source."""
    return f"COMMENT ON COLUMN {table}.{session.quote(name)} IS {literal(marked(column.marker, column.comment))}"


@define(kw_only=True)
class Declaration:
    """The dialect for one local session and one backend of the source."""

    session: Session
    source: str
    _enums: dict[str, tuple[str, ...]] | None = field(default=None, init=False)
    _known: set[str] | None = field(default=None, init=False)

    def prepare(self, tables: tuple[TableModel, ...]) -> list[str]:
        """Return the enum types that are not there yet, named as DataJoint names them."""
        columns = [column for table in tables for column in table.columns]
        for table in tables:
            self._check(table)
        present = set(self._present())
        wanted = {self._enum(column): column for column in columns if column.kind is Kind.ENUM}
        return [self._create_enum(name, column) for name, column in wanted.items() if name not in present]

    def _check(self, table: TableModel) -> None:
        for column in table.columns:
            if any(len(label.encode()) > _LABEL_LIMIT for label in column.labels):
                reason = f"an enum's label on the local server ends at {_LABEL_LIMIT} bytes"
                where = f"{table.schema}.{table.name}"
                raise ColumnNotSupported(table=where, column=column.name, type=column.native, reason=reason)

    def _present(self) -> dict[str, tuple[str, ...]]:
        if self._enums is None:
            self._enums = {name: tuple(labels) for name, labels in self.session.query(_ENUMS, [self.session.schema])}
        return self._enums

    def _enum(self, column: Column) -> str:
        """Return the type's name; DataJoint's hash confuses ('a_b', 'c') with ('a', 'b_c'), and forgets the order."""
        name = "enum_" + hashlib.md5("_".join(sorted(column.labels)).encode()).hexdigest()[:8]  # noqa: S324 - a name
        if self._present().setdefault(name, column.labels) == column.labels:
            return name
        return "enum_" + hashlib.sha256(repr(column.labels).encode()).hexdigest()[:16]

    def _create_enum(self, name: str, column: Column) -> str:
        """Create the type where it is missing; the block is a string constant, out of which no label can break."""
        labels = ", ".join(_quoted(label) for label in column.labels)
        place = self.session.table(name).replace("%%", "%")
        block = f"BEGIN CREATE TYPE {place} AS ENUM ({labels}); EXCEPTION WHEN duplicate_object THEN NULL; END"
        return f"DO {literal(block)}"

    def create(self, table: TableModel, master: TableModel | None) -> list[str]:
        """Return the table, its indexes, its comments."""
        quote, full = self.session.quote, self.session.table(table.name)
        key = ", ".join(quote(column.name) for column in table.key)
        lines = [*(self._column(column) for column in table.columns), f"PRIMARY KEY ({key})"]
        if master:
            columns = ", ".join(quote(column.name) for column in master.key)
            lines.append(f"FOREIGN KEY ({columns}) REFERENCES {self.session.table(master.name)} ({columns})")
        body = ",\n  ".join(lines)
        indexes = [self._index(table, index) for index in table.indexes]
        comments = [self._comment(full, column) for column in table.columns]
        return [
            f"CREATE TABLE IF NOT EXISTS {full} (\n  {body}\n)",
            *indexes,
            f"COMMENT ON TABLE {full} IS {literal(table.comment)}",
            *(comment for comment in comments if comment),
        ]

    def _column(self, column: Column) -> str:
        nullable = "" if column.nullable else " NOT NULL"
        return (
            f"{self.session.quote(column.name)} {self._type(column)}{self._collation(column)}{nullable}{self._default(column)}"
        )

    def _collation(self, column: Column) -> str:
        """Keep a collation that stands in the source's column itself, where this server has one of its name.

        Of a key only the server's own: DataJoint declares foreign keys without one, and others may equate what the key tells
        apart.
        """
        if self.source != "postgresql" or not column.collation or column.collation not in self._collations():
            return ""
        if column.in_key and not column.collation.startswith("pg_catalog."):
            return ""
        return f" COLLATE {column.collation}".replace("%", "%%")

    def _collations(self) -> set[str]:
        if self._known is None:
            self._known = {name for (name,) in self.session.query(_COLLATIONS)}
        return self._known

    def _type(self, column: Column) -> str:
        if column.kind is Kind.INTEGER:
            return _INTEGERS.get(signed_bits(column), "numeric(20,0)")
        if column.kind is Kind.ENUM:
            return self.session.table(self._enum(column))
        if is_text(column):
            return "text"
        if self.source == "postgresql" and (column.kind in _OWN or is_char(column)):
            return column.native
        size = set_size(column) if column.kind is Kind.SET else column.size
        return _TYPES[column.kind].format(size=size, scale=column.scale)

    def _default(self, column: Column) -> str:
        if column.default is None:
            return ""
        return " DEFAULT CURRENT_TIMESTAMP" if column.default.now else f" DEFAULT {literal(column.default.value or '')}"

    def _index(self, table: TableModel, index: Index) -> str:
        text = f"{table.name} {' '.join(index.columns)} {index.unique}"
        name = self.session.quote("link_" + hashlib.sha256(text.encode()).hexdigest()[:16])
        columns = ", ".join(self.session.quote(column) for column in index.columns)
        unique = "UNIQUE " if index.unique else ""
        return f"CREATE {unique}INDEX IF NOT EXISTS {name} ON {self.session.table(table.name)} ({columns})"

    def _comment(self, full: str, column: Column) -> str:
        marker = mark(column, source=self.source, local="postgresql")
        text = marked(marker, column.comment)
        return f"COMMENT ON COLUMN {full}.{self.session.quote(column.name)} IS {literal(text)}" if text else ""
