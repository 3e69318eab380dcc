"""The catalog queries of each family; what they return is the same for all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from link.adapters.datajoint.model import Default, Index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from link.adapters.datajoint.session import Session


@frozen(kw_only=True)
class RawColumn:
    """A column as a server's catalog has it, before anything is made of it."""

    name: str
    native: str
    comment: str
    nullable: bool
    default: Default | None
    generated: bool = False
    labels: tuple[str, ...] = ()
    charset: str = ""
    collation: str = ""


@frozen(kw_only=True)
class RawTable:
    """A table as a server's catalog has it; foreign keys map a column to (schema, table, column) of its parent."""

    is_table: bool
    comment: str
    columns: Sequence[RawColumn]
    key: Sequence[str]
    indexes: Sequence[Index]
    parents: Mapping[str, tuple[str, str, str]]


_NOW = re.compile(r"(current_timestamp|now|localtimestamp)\b.*", re.IGNORECASE)
_TEXT = re.compile(r"'(?P<text>(?:[^']|'')*)'(::.+)?", re.DOTALL)
_BARE = re.compile(r"\(?(?P<number>-?\d+(\.\d+)?)\)?(::.+)?")


def table_names(session: Session, schema: str) -> list[str]:
    """Return the names of all relations of `schema` that are not hidden."""
    if session.backend == "postgresql":
        rows = session.query(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            (schema,),
        )
    else:
        rows = session.query("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (schema,))
    return [str(row[0]) for row in rows if not str(row[0]).startswith("~")]


def read(session: Session, schema: str, name: str) -> RawTable:
    """Return one table as the catalog has it."""
    return _postgresql(session, schema, name) if session.backend == "postgresql" else _mysql(session, schema, name)


def parents_and_key(session: Session, schema: str, name: str) -> tuple[Mapping[str, tuple[str, str, str]], Sequence[str]]:
    """Return the foreign keys and the primary key of one table."""
    if session.backend == "postgresql":
        return _postgresql_parents(session, schema, name), _postgresql_key(session, schema, name)
    return _mysql_parents(session, schema, name), [
        column for index in _mysql_indexes(session, schema, name, primary=True) for column in index.columns
    ]


# ---- PostgreSQL: pg_catalog, because information_schema hides keys from users with SELECT only

_OF = " FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace {joins} WHERE s.nspname = %s AND c.relname = %s {more}"


def _pg(session: Session, what: str, joins: str, more: str, place: tuple[str, str]) -> list[tuple[Any, ...]]:
    return session.query(f"SELECT {what}" + _OF.format(joins=joins, more=more), place)


def _postgresql(session: Session, schema: str, name: str) -> RawTable:
    place = (schema, name)
    kind, comment = _pg(session, "c.relkind::text, obj_description(c.oid, 'pg_class')", "", "", place)[0]
    rows = _pg(
        session,
        "a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),"
        " col_description(c.oid, a.attnum), a.attgenerated::text, t.typname, n.nspname,"
        " (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)",
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace"
        " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum",
        "ORDER BY a.attnum",
        place,
    )
    return RawTable(
        is_table=kind in {"r", "p"},
        comment=comment or "",
        columns=[_postgresql_column(row) for row in rows],
        key=_postgresql_key(session, schema, name),
        indexes=_postgresql_indexes(session, schema, name),
        parents=_postgresql_parents(session, schema, name),
    )


def _postgresql_column(row: tuple[Any, ...]) -> RawColumn:
    name, native, not_null, default, comment, generated, type_name, type_schema, labels = row
    return RawColumn(
        name=name,
        native=f'"{type_schema}"."{type_name}"' if labels else native,
        comment=comment or "",
        nullable=not not_null,
        default=None if generated else _expression(default),
        generated=bool(generated),
        labels=tuple(labels or ()),
    )


def _expression(text: str | None) -> Default | None:
    """Read a default as PostgreSQL and MariaDB spell it; an expression that is no constant is none of the copy's."""
    if text is None or text.upper().startswith("NULL"):
        return None
    if _NOW.fullmatch(text):
        return Default(now=True)
    if text in {"true", "false"}:
        return Default(value=str(int(text == "true")))
    if found := _TEXT.fullmatch(text):
        return Default(value=found["text"].replace("''", "'"))
    if found := _BARE.fullmatch(text):
        return Default(value=found["number"])
    return None


def _postgresql_key(session: Session, schema: str, name: str) -> list[str]:
    return [column for index in _pg_indexes(session, schema, name, "i.indisprimary") for column in index.columns]


def _postgresql_indexes(session: Session, schema: str, name: str) -> list[Index]:
    return _pg_indexes(session, schema, name, "NOT i.indisprimary AND i.indpred IS NULL AND i.indexprs IS NULL")


def _pg_indexes(session: Session, schema: str, name: str, which: str) -> list[Index]:
    rows = _pg(
        session,
        "i.indisunique, array_agg(a.attname::text ORDER BY k.n)",
        "JOIN pg_index i ON i.indrelid = c.oid CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, n)"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum",
        f"AND {which} GROUP BY i.indexrelid, i.indisunique ORDER BY i.indexrelid",
        (schema, name),
    )
    return [Index(columns=tuple(columns), unique=unique) for unique, columns in rows]


def _postgresql_parents(session: Session, schema: str, name: str) -> dict[str, tuple[str, str, str]]:
    rows = _pg(
        session,
        "a.attname::text, ps.nspname::text, p.relname::text, pa.attname::text",
        "JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f'"
        " JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace ps ON ps.oid = p.relnamespace"
        " CROSS JOIN LATERAL unnest(f.conkey, f.confkey) k(mine, theirs)"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.mine"
        " JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = k.theirs",
        "ORDER BY f.oid",
        (schema, name),
    )
    return {mine: (parent_schema, parent, theirs) for mine, parent_schema, parent, theirs in rows}


# ---- MariaDB and MySQL


def _mysql(session: Session, schema: str, name: str) -> RawTable:
    kind, comment = session.query(
        "SELECT table_type, table_comment FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
        (schema, name),
    )[0]
    rows = session.query(
        "SELECT column_name, column_type, is_nullable, column_default, column_comment, character_set_name,"
        " collation_name, extra, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        (schema, name),
    )
    indexes = _mysql_indexes(session, schema, name, primary=False)
    return RawTable(
        is_table=kind == "BASE TABLE",
        comment=comment or "",
        columns=[_mysql_column(session, row) for row in rows],
        key=parents_and_key(session, schema, name)[1],
        indexes=indexes,
        parents=_mysql_parents(session, schema, name),
    )


def _mysql_column(session: Session, row: tuple[Any, ...]) -> RawColumn:
    name, native, nullable, default, comment, charset, collation, extra, data_type = (_text(value) for value in row)
    generated = "GENERATED" in extra.upper().replace("DEFAULT_GENERATED", "")
    return RawColumn(
        name=name,
        native=native,
        comment=comment,
        nullable=nullable == "YES",
        default=_mysql_default(session, row[3], default, extra),
        generated=generated,
        labels=_labels(native) if data_type == "enum" else (),
        charset=charset,
        collation=collation,
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _mysql_default(session: Session, raw: object, text: str, extra: str) -> Default | None:
    if raw is None:
        return None
    if session.mariadb:
        return _expression(text.replace("\\'", "''") if text.startswith("'") else text)
    if "DEFAULT_GENERATED" in extra.upper():
        return Default(now=True) if _NOW.fullmatch(text) else None
    return Default(value=text)


def _labels(native: str) -> tuple[str, ...]:
    return tuple(label.replace("''", "'") for label in re.findall(r"'((?:[^']|'')*)'", native))


def _mysql_indexes(session: Session, schema: str, name: str, *, primary: bool) -> list[Index]:
    rows = session.query(
        "SELECT index_name, non_unique, column_name, sub_part FROM information_schema.statistics"
        " WHERE table_schema = %s AND table_name = %s ORDER BY index_name, seq_in_index",
        (schema, name),
    )
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        if (row[0] == "PRIMARY") == primary:
            found.setdefault(row[0], []).append(row)
    return [
        Index(columns=tuple(part[2] for part in parts), unique=not int(parts[0][1]))
        for parts in found.values()
        if all(part[2] is not None and part[3] is None for part in parts)
    ]


def _mysql_parents(session: Session, schema: str, name: str) -> dict[str, tuple[str, str, str]]:
    rows = session.query(
        "SELECT column_name, referenced_table_schema, referenced_table_name, referenced_column_name"
        " FROM information_schema.key_column_usage WHERE table_schema = %s AND table_name = %s"
        " AND referenced_table_name IS NOT NULL ORDER BY constraint_name, ordinal_position",
        (schema, name),
    )
    return {mine: (parent_schema, parent, theirs) for mine, parent_schema, parent, theirs in rows}
