"""MySQL's and MariaDB's catalog, by the views of information_schema that SELECT alone opens."""

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
SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COMMENT, CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"""

_COLUMNS = """
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE,
       DATETIME_PRECISION, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLUMN_COMMENT, CHARACTER_SET_NAME, COLLATION_NAME
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN ({places})
ORDER BY TABLE_NAME, ORDINAL_POSITION"""

_INDEXES = """
SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, INDEX_TYPE
FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN ({places})
ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"""

_FOREIGN_KEYS = """
SELECT TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = %s AND REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"""

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TIMES = ("datetime", "time", "timestamp")
_SIZED = ("char", "varchar", "binary", "varbinary")
_NOW = re.compile(r"(current_timestamp|now|localtimestamp)(\(\d*\))?$", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9.]+(e[+-]?[0-9]+)?$", re.IGNORECASE)
_BITS_CONSTANT = re.compile(r"b'[01]*'$")
_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "Z": "\x1a"}

kinds = {
    **dict.fromkeys(_BITS, Kind.INTEGER),
    **dict.fromkeys(("tinyblob", "blob", "mediumblob", "longblob", "binary", "varbinary"), Kind.BYTES),
    "double": Kind.FLOAT64,
    "float": Kind.FLOAT32,
    "decimal": Kind.DECIMAL,
    "bool": Kind.BOOL,
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.STRING),
    "enum": Kind.ENUM,
    "set": Kind.SET,
    "bit": Kind.BITS,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
    "time": Kind.TIME,
    "timestamp": Kind.INSTANT,
    "year": Kind.YEAR,
    "uuid": Kind.UUID,
    "json": Kind.JSON,
}


def tables(session: Session, schema: str) -> dict[str, FoundTable]:
    """Return every table and view that the user can see."""
    found = session.query(_TABLES, [schema])
    return {
        name: FoundTable(name=name, comment=note or "", refusal=_refusal(sort, engine, options or ""))
        for name, sort, engine, note, options in found
    }


def _refusal(sort: str, engine: str | None, options: str) -> str:
    if "partitioned" in options:
        return "it is partitioned, and no foreign key may refer to a partitioned table here"
    if sort != "BASE TABLE":
        return f"it is a {sort.lower()}, not a table"
    return "" if engine == "InnoDB" else f"its engine {engine} knows no foreign keys"


def columns(session: Session, schema: str, tables: Sequence[str]) -> dict[str, list[FoundColumn]]:
    """Return the columns of the tables."""
    found: dict[str, list[FoundColumn]] = defaultdict(list)
    for table, *row in session.query(_COLUMNS.format(places=places(tables)), [schema, *tables]):
        found[table].append(_column(session, row))
    return found


def _column(session: Session, row: Sequence[Any]) -> FoundColumn:
    name, native, data, length, precision, scale, fraction, nullable, default, extra, comment, charset, collation = row
    base = _base(native, data, comment or "")
    sizes = {"decimal": precision, "bit": precision, **dict.fromkeys(_TIMES, fraction), **dict.fromkeys(_SIZED, length)}
    size = sizes.get(base, _BITS.get(base))
    return FoundColumn(
        name=name,
        native=native,
        base=base,
        size=None if size is None else int(size),
        scale=int(scale) if base == "decimal" else None,
        unsigned="unsigned" in native.lower() and base in {*_BITS, "decimal"},
        labels=labels(native) if base in {"enum", "set"} else (),
        nullable=nullable == "YES",
        default=_maria_default(default) if session.mariadb else _default(default, extra),
        comment=comment or "",
        charset=charset or "",
        collation=collation or "",
    )


def _base(native: str, data: str, comment: str) -> str:
    """Tell apart what DataJoint stores in the same native type by its mark alone."""
    marks = {":bool:": ("tinyint", "bool"), ":uuid:": ("binary(16)", "uuid"), ":json:": ("longtext", "json")}
    mark = next((mark for mark in marks if comment.startswith(mark)), "")
    if mark and marks[mark][0] in {data.lower(), native.lower()}:
        return marks[mark][1]
    return data.lower() if data.lower() not in {"uuid", "bool"} else native.upper()  # MariaDB has a type UUID of its own


def labels(native: str) -> tuple[str, ...]:
    """Return the labels of an enum type as the catalog spells it, which escapes with quotes and backslashes."""
    return tuple(_unescape(label) for label in _LABEL.findall(native[native.index("(") :]))


def _unescape(text: str) -> str:
    return re.sub(r"''|\\(.)", lambda match: _ESCAPES.get(match[1], match[1]) if match[1] else "'", text, flags=re.DOTALL)


def _default(text: str | None, extra: str) -> Default | None:
    """Read MySQL's form: constants bare, expressions flagged in `extra` (only the current time is kept)."""
    if text is None:
        return None
    if "DEFAULT_GENERATED" in extra:
        return Default(now=True) if _NOW.match(text) else None
    return Default(value=text)


def _maria_default(text: str | None) -> Default | None:
    """Read MariaDB's form: strings quoted, NULL spelled out, the current time with parentheses."""
    if text is None or text.upper() == "NULL":
        return None
    if _NOW.match(text):
        return Default(now=True)
    if _BITS_CONSTANT.match(text):
        return Default(value=text)
    if quoted := _LABEL.fullmatch(text):
        return Default(value=_unescape(quoted[1]))
    return Default(value=text) if _NUMBER.match(text) else None


def indexes(session: Session, schema: str, tables: Sequence[str]) -> dict[str, list[FoundIndex]]:
    """Return the indexes over whole plain columns, primary keys included."""
    groups: dict[tuple[str, str], list[Sequence[Any]]] = defaultdict(list)
    for table, index, *row in session.query(_INDEXES.format(places=places(tables)), [schema, *tables]):
        groups[table, index].append(row)
    found: dict[str, list[FoundIndex]] = defaultdict(list)
    for (table, index), rows in groups.items():
        if all(column is not None and part is None and sort == "BTREE" for _, column, part, sort in rows):
            unique, names = not int(rows[0][0]), tuple(row[1] for row in rows)
            found[table].append(FoundIndex(columns=names, unique=unique, primary=index == "PRIMARY"))
    return found


def foreign_keys(session: Session, schema: str) -> list[ForeignKey]:
    """Return the foreign keys of every table of the schema, each table's in the order in which InnoDB numbered them."""
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for *head, column, parent_column in session.query(_FOREIGN_KEYS, [schema]):
        groups[tuple(head)].append((column, parent_column))
    return [
        ForeignKey(
            name=name,
            table=table,
            columns=tuple(column for column, _ in pairs),
            parent_schema=parent_schema,
            parent_table=parent_table,
            parent_columns=tuple(column for _, column in pairs),
        )
        for (table, name, parent_schema, parent_table), pairs in sorted(groups.items(), key=_made)
    ]


def _made(group: tuple[tuple[str, ...], object]) -> tuple[str, int, str]:
    (table, name, *_), _ = group
    return table, int(re.sub(r".*?(\d*)$", r"\1", name, flags=re.DOTALL) or 0), name
