"""The local copy's DDL, built from the structured declaration of the source (never from `describe()`)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from link.adapters.datajoint.catalog import REQUESTS
from link.adapters.datajoint.model import Column, EntityModel, Kind, TableModel
from link.domain.errors import ColumnNotSupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.datajoint.session import Session

EXACT = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
"""Keeps apart whatever any source keeps apart."""
_PG_INTEGERS = {8: "smallint", 16: "smallint", 24: "integer", 32: "integer", 64: "bigint"}
_MY_INTEGERS = {8: "tinyint", 16: "smallint", 24: "mediumint", 32: "int", 64: "bigint"}
_DIGITS = 65
"""The most digits of a decimal on MySQL and MariaDB."""


def copy_statements(entity: EntityModel, session: Session) -> list[str]:
    """Return the DDL of the copies of a master and its parts in the session's own schema."""
    statements: list[str] = []
    for table in entity.tables:
        parent = entity.master if table is not entity.master else None
        statements += _table(entity, session, table, table.columns, parent)
    return statements


def requests_statements(entity: EntityModel, session: Session) -> list[str]:
    """Return the DDL of the part table that shows lab S's requests."""
    name = requests_name(entity)
    table = TableModel(schema="", name=name, comment="deletion requested by the source", columns=entity.master.key)
    return _table(entity, session, table, entity.master.key, entity.master)


def requests_name(entity: EntityModel) -> str:
    """Return the name of the local table that shows lab S's requests."""
    return f"{entity.master.name}__{REQUESTS}"


def lineages(entity: EntityModel) -> list[tuple[str, str, str]]:
    """Return (table, attribute, lineage) for every copied attribute that has one."""
    tables = [(table.name, table.columns) for table in entity.tables]
    tables.append((requests_name(entity), entity.master.key))
    return [(name, column.name, column.lineage) for name, columns in tables for column in columns if column.lineage]


def outbound_columns(master: TableModel, session: Session) -> list[str]:
    """Return the key columns' definitions exactly as the source has them, for a table on the same server.

    Whatever client reads the source reads such a table, and a foreign key between the two fits (charset, collation).
    """
    if session.backend == "postgresql":
        return [f"{session.quote(column.name)} {column.native} NOT NULL".replace("%", "%%") for column in master.key]
    return [
        f"{session.quote(column.name)} {_doubled(column.native)}{_collation(column)} NOT NULL"
        f" COMMENT {_literal(session, _verbatim(column))}"
        for column in master.key
    ]


def column_comments(session: Session, table: str, columns: Sequence[Column], *, exactly: bool = False) -> list[str]:
    """Return PostgreSQL's statements for the comments of `columns`; MySQL has them in the definitions.

    `exactly` leaves the marks as the source has them, instead of adding those that the local side needs.
    """
    if session.backend != "postgresql":
        return []
    place = session.table(table)
    say = _verbatim if exactly else _marked
    return [
        f"COMMENT ON COLUMN {place}.{session.quote(column.name)} IS {_literal(session, say(column))}"
        for column in columns
        if say(column)
    ]


# ---- one table


def _table(
    entity: EntityModel, session: Session, table: TableModel, columns: Sequence[Column], parent: TableModel | None
) -> list[str]:
    definitions = [_definition(entity, session, table, column) for column in columns]
    definitions.append(f"PRIMARY KEY ({_names(session, [column.name for column in columns if column.in_key])})")
    if parent is not None:
        keys = _names(session, [column.name for column in parent.key])
        rule = "NO ACTION" if session.backend == "postgresql" else "RESTRICT"
        definitions.append(
            f"FOREIGN KEY ({keys}) REFERENCES {session.table(parent.name)} ({keys}) ON UPDATE {rule} ON DELETE {rule}"
        )
    if session.backend == "postgresql":
        return _postgresql(session, table, columns, definitions)
    definitions += [f"{'UNIQUE ' if index.unique else ''}INDEX ({_names(session, index.columns)})" for index in table.indexes]
    comment = f" COMMENT={_literal(session, table.comment[:2000])}" if table.comment else ""
    return [f"CREATE TABLE IF NOT EXISTS {session.table(table.name)} ({', '.join(definitions)}) ENGINE=InnoDB{comment}"]


def _postgresql(session: Session, table: TableModel, columns: Sequence[Column], definitions: list[str]) -> list[str]:
    place = session.table(table.name)
    statements = [_enum_type(session, column) for column in columns if column.kind is Kind.ENUM]
    statements.append(f"CREATE TABLE IF NOT EXISTS {place} ({', '.join(definitions)})")
    statements += [
        f"CREATE {'UNIQUE ' if index.unique else ''}INDEX ON {place} ({_names(session, index.columns)})"
        for index in table.indexes
    ]
    if table.comment:
        statements.append(f"COMMENT ON TABLE {place} IS {_literal(session, table.comment)}")
    return statements + column_comments(session, table.name, columns)


def _names(session: Session, names: Sequence[str]) -> str:
    return ", ".join(session.quote(name) for name in names)


def _doubled(text: str) -> str:
    return text.replace("%", "%%")


def _literal(session: Session, text: str) -> str:
    return _doubled(str(session.connection.adapter.quote_string(text)))


def _enum_name(column: Column) -> str:
    """Name an enum's type as DataJoint does, by its values."""
    return f"enum_{hashlib.md5('_'.join(sorted(column.labels)).encode()).hexdigest()[:8]}"  # noqa: S324 - a name, no secret


def _enum_type(session: Session, column: Column) -> str:
    labels = ", ".join(_literal(session, label) for label in column.labels)
    return (
        f"DO $link$ BEGIN CREATE TYPE {session.table(_enum_name(column))} AS ENUM ({labels});"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $link$"
    )


# ---- one column


def _definition(entity: EntityModel, session: Session, table: TableModel, column: Column) -> str:
    spell = _postgresql_type if session.backend == "postgresql" else _mysql_type
    parts = [session.quote(column.name), spell(entity, session, table, column)]
    parts.append("NULL" if column.nullable else "NOT NULL")
    default = _default(session, column)
    if default:
        parts.append(f"DEFAULT {default}")
    if session.backend == "mysql":
        parts.append(_comment(session, column))
    return " ".join(part for part in parts if part)


def _default(session: Session, column: Column) -> str:
    if column.default is None or column.kind in {Kind.BYTES, Kind.JSON} or _is_text(column):
        return ""
    if column.default.now:
        digits = f"({_digits(column)})" if session.backend == "mysql" and _digits(column) else ""
        return f"CURRENT_TIMESTAMP{digits}"
    value = column.default.value or ""
    if column.kind is Kind.BOOL:
        return ("TRUE" if value == "1" else "FALSE") if session.backend == "postgresql" else value
    if column.kind is Kind.UUID and session.backend == "mysql":
        return ""
    return _literal(session, value)


def _is_text(column: Column) -> bool:
    return column.kind is Kind.STRING and column.size is None


def _digits(column: Column) -> int:
    """Fractional digits: `datetime` has none on MySQL, `timestamp` six on PostgreSQL."""
    if column.size is not None:
        return column.size
    return 0 if column.native.lower().startswith("datetime") else 6


def _marked(column: Column) -> str:
    marker = column.marker or {Kind.UUID: "uuid", Kind.BOOL: "bool", Kind.JSON: "json"}.get(column.kind, "")
    if column.kind is Kind.DATETIME and column.marker == "datetime" and _digits(column):
        marker = f"datetime({_digits(column)})"
    return f":{marker}:{column.comment}" if marker else column.comment


def _verbatim(column: Column) -> str:
    return f":{column.marker}:{column.comment}" if column.marker else column.comment


def _comment(session: Session, column: Column) -> str:
    text = _marked(column)[:1024]
    return f" COMMENT {_literal(session, text)}" if text else ""


def _collation(column: Column) -> str:
    return f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset else ""


def _postgresql_type(entity: EntityModel, session: Session, table: TableModel, column: Column) -> str:  # noqa: ARG001
    if column.kind is Kind.INTEGER:
        bits = (column.size or 64) * (2 if column.unsigned and column.size != 24 else 1)  # noqa: PLR2004 - mediumint
        return _PG_INTEGERS.get(bits, "numeric(20,0)")
    if column.kind is Kind.STRING:
        return f"varchar({column.size})" if column.size else "text"
    if column.kind is Kind.ENUM:
        return session.table(_enum_name(column))
    if column.kind is Kind.DECIMAL:
        return f"numeric({column.size},{column.scale or 0})"
    if column.kind is Kind.DATETIME:
        return f"timestamp({_digits(column)})"
    return {
        Kind.FLOAT64: "double precision",
        Kind.BOOL: "boolean",
        Kind.DATE: "date",
        Kind.UUID: "uuid",
        Kind.JSON: "jsonb",
        Kind.BYTES: "bytea",
    }[column.kind]


def _mysql_type(entity: EntityModel, session: Session, table: TableModel, column: Column) -> str:
    if column.kind in {Kind.STRING, Kind.ENUM}:
        return _mysql_text(entity, session, column)
    if column.kind is Kind.INTEGER:
        return f"{_MY_INTEGERS[column.size or 64]}{' unsigned' if column.unsigned else ''}"
    if column.kind is Kind.DECIMAL:
        if (column.size or 0) > _DIGITS:
            reason = f"the local server's decimals have at most {_DIGITS} digits"
            raise ColumnNotSupported(table=table.name, column=column.name, type=column.native, reason=reason)
        return f"decimal({column.size},{column.scale or 0})"
    if column.kind is Kind.DATETIME:
        return f"datetime({_digits(column)})" if _digits(column) else "datetime"
    return {
        Kind.FLOAT64: "double",
        Kind.BOOL: "tinyint",
        Kind.DATE: "date",
        Kind.UUID: "binary(16)",
        Kind.JSON: "json",
        Kind.BYTES: "longblob",
    }[column.kind]


def _mysql_text(entity: EntityModel, session: Session, column: Column) -> str:
    """Keep the source's collation, or an exact one; a key has the local schema's own.

    DataJoint declares the foreign keys of the user's tables in the schema's collation, and they must fit. Two keys that are
    equal in it are reported as a conflict when they are pulled.
    """
    if column.kind is Kind.ENUM:
        spelled = f"enum({', '.join(_literal(session, label) for label in column.labels)})"
    else:
        spelled = f"varchar({column.size})" if column.size else "longtext"
    if column.in_key:
        return spelled
    if entity.backend == "mysql" and _has_collation(session, column.collation):
        return spelled + _collation(column)
    return spelled + EXACT


def _has_collation(session: Session, name: str) -> bool:
    found = session.query("SELECT 1 FROM information_schema.collations WHERE collation_name = %s", (name,))
    return bool(found)
