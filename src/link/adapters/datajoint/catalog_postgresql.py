"""PostgreSQL's catalog by pg_catalog: information_schema hides keys from users with SELECT only."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from link.adapters.datajoint.found import ForeignKey, FoundColumn, FoundIndex, FoundTable, places
from link.adapters.datajoint.model import Default, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.datajoint.session import Session

_TABLES = """
SELECT c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'), has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), t.typname, tn.nspname, t.typtype::text, a.atttypmod,
       NOT a.attnotnull, CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       col_description(c.oid, a.attnum),
       CASE WHEN a.attcollation <> t.typcollation THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END,
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
WHERE n.nspname = %s AND c.relname IN ({places})
ORDER BY c.relname, a.attnum"""

_INDEXES = """
SELECT c.relname, i.indisunique, i.indisprimary, ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
    WHERE k.place <= i.indnkeyatts ORDER BY k.place)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = x.relam
WHERE n.nspname = %s AND c.relname IN ({places})
  AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND m.amname = 'btree'
ORDER BY c.relname, x.relname"""

_FOREIGN_KEYS = """
SELECT f.conname, c.relname, pn.nspname, p.relname,
       ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k(number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY k.place),
       ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY k(number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attnum = k.number ORDER BY k.place)
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = f.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND n.nspname = %s
ORDER BY c.relname, f.oid"""

_BITS = {"int2": 16, "int4": 32, "int8": 64}
_STAMP_DIGITS = 6
_NOW = re.compile(r"\(*(current_timestamp(\(\d+\))?|localtimestamp(\(\d+\))?|now\(\))\)*(::.+)?$", re.IGNORECASE)
_QUOTED = re.compile(r"([EB]?)'((?:[^']|'')*)'(::.+)?$", re.DOTALL)
_BARE = re.compile(r"\(?(-?[0-9.]+(?:e[+-]?[0-9]+)?|true|false)\)?(::.+)?$", re.IGNORECASE)
_REFUSALS = {"v": "it is a view, not a table", "m": "it is a view, not a table", "f": "it is a foreign table"}

kinds = {
    **dict.fromkeys(_BITS, Kind.INTEGER),
    "float8": Kind.FLOAT64,
    "float4": Kind.FLOAT32,
    "numeric": Kind.DECIMAL,
    "bool": Kind.BOOL,
    "varchar": Kind.STRING,
    "bpchar": Kind.STRING,
    "text": Kind.STRING,
    "enum": Kind.ENUM,
    "date": Kind.DATE,
    "timestamp": Kind.DATETIME,
    "timestamptz": Kind.INSTANT,
    "time": Kind.TIME,
    "interval": Kind.TIME,
    "bit": Kind.BITS,
    "uuid": Kind.UUID,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "bytea": Kind.BYTES,
}


def tables(session: Session, schema: str) -> dict[str, FoundTable]:
    """Return every table and view of the schema, readable or not."""
    return {
        name: FoundTable(name=name, comment=comment or "", refusal=_REFUSALS.get(sort, ""), readable=readable)
        for name, sort, comment, readable in session.query(_TABLES, [schema])
    }


def columns(session: Session, schema: str, tables: Sequence[str]) -> dict[str, list[FoundColumn]]:
    """Return the columns of the tables."""
    found: dict[str, list[FoundColumn]] = defaultdict(list)
    for table, *row in session.query(_COLUMNS.format(places=places(tables)), [schema, *tables]):
        found[table].append(_column(row))
    return found


def _column(row: Sequence[Any]) -> FoundColumn:
    name, native, type_name, type_schema, sort, modifier, nullable, default, comment, collation, labels = row
    base = _base(type_name, type_schema, sort)
    size, scale = _size(base, modifier)
    return FoundColumn(
        name=name,
        native=f'"{type_schema}"."{type_name}"' if base == "enum" else native,
        base=base,
        size=size,
        scale=scale,
        labels=tuple(labels),
        nullable=nullable,
        default=_default(default),
        comment=comment or "",
        collation=collation or "",
    )


def _base(name: str, schema: str, sort: str) -> str:
    if sort == "e":
        return "enum"
    return name if schema == "pg_catalog" else f"{schema}.{name}"


def _size(base: str, modifier: int) -> tuple[int | None, int | None]:
    """Take apart PostgreSQL's type modifier; -1 means that the type was declared without one."""
    if base in {"timestamp", "timestamptz", "time", "interval"}:
        return min(modifier & 0xFFFF, _STAMP_DIGITS), None
    if base == "bit":
        return modifier, None
    if modifier < 0 or base in _BITS:
        return _BITS.get(base), None
    if base == "numeric":
        packed = modifier - 4
        scale = packed & 0x7FF
        return packed >> 16 & 0xFFFF, scale - 0x800 if scale & 0x400 else scale
    return modifier - 4, None


def _default(expression: str | None) -> Default | None:
    """Read a constant with its cast, or the current time; any other expression is not kept."""
    if expression is None:
        return None
    if _NOW.match(expression):
        return Default(now=True)
    if quoted := _QUOTED.match(expression):
        text = quoted[2].replace("''", "'")
        return Default(value=text.replace("\\\\", "\\") if quoted[1] == "E" else text)
    bare = _BARE.match(expression)
    return Default(value=bare[1]) if bare else None


def indexes(session: Session, schema: str, tables: Sequence[str]) -> dict[str, list[FoundIndex]]:
    """Return the indexes over plain columns, primary keys included; partial and expression indexes are left out."""
    found: dict[str, list[FoundIndex]] = defaultdict(list)
    for table, unique, primary, names in session.query(_INDEXES.format(places=places(tables)), [schema, *tables]):
        found[table].append(FoundIndex(columns=tuple(names), unique=unique, primary=primary))
    return found


def foreign_keys(session: Session, schema: str) -> list[ForeignKey]:
    """Return the foreign keys of every table of the schema."""
    return [
        ForeignKey(
            name=name,
            table=table,
            columns=tuple(names),
            parent_schema=parent_schema,
            parent_table=parent,
            parent_columns=tuple(parent_names),
        )
        for name, table, parent_schema, parent, names, parent_names in session.query(_FOREIGN_KEYS, [schema])
    ]
