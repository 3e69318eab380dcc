"""Reads a source table's declaration from its server's catalog, and refuses what cannot be copied exactly."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from attrs import evolve

from link.adapters.datajoint import catalog_sql
from link.adapters.datajoint.model import Column, EntityModel, Kind, TableModel
from link.domain.errors import ColumnNotSupported, NotLinkable, SourceTableMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from link.adapters.datajoint.catalog_sql import RawColumn, RawTable
    from link.adapters.datajoint.session import Session

TIERS = ("", "#", "_", "__")
REQUESTS = "deletion_requested"
LONGEST = 35
"""Characters of a source table's name, so that `<x>_outbound__deletion_requested` fits into 63."""
_MARK = re.compile(r":(?P<mark>[^:]+):(?P<comment>.*)", re.DOTALL)
_NO_KEY = {Kind.FLOAT64, Kind.BYTES, Kind.JSON}


def snake_case(class_name: str) -> str:
    """Return the base of the table name that DataJoint gives to a class."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", class_name).lower()


def split_comment(comment: str) -> tuple[str, str]:
    """Divide a column's comment into DataJoint's mark and the rest."""
    found = _MARK.fullmatch(comment)
    return (found["mark"], found["comment"]) if found else ("", comment)


def find_table(session: Session, schema: str, class_name: str) -> tuple[str, list[str]]:
    """Return the name of the class's table in `schema` and those of its parts; raise `SourceTableMissing` without it."""
    names = catalog_sql.table_names(session, schema)
    base = snake_case(class_name)
    master = next((tier + base for tier in TIERS if tier + base in names), None)
    if master is None:
        classes = {_class_name(name): name for name in names if "__" not in name.lstrip("_#")}
        near = difflib.get_close_matches(class_name, classes, n=3, cutoff=0.5)
        raise SourceTableMissing(table=class_name, schema=schema, near=near or sorted(classes)[:3])
    parts = [name for name in names if name.startswith(f"{master}__") and name != f"{master}__{REQUESTS}"]
    return master, sorted(parts)


def _class_name(table: str) -> str:
    return "".join(word.capitalize() for word in table.lstrip("_#").split("_"))


def read_entity(session: Session, schema: str, class_name: str) -> EntityModel:
    """Return the declaration of the class's table in `schema` with its parts.

    Raises `SourceTableMissing`, `NotLinkable`, or `ColumnNotSupported` for the first column that would not arrive exactly.
    """
    name, part_names = find_table(session, schema, class_name)
    if len(name.lstrip("_#")) > LONGEST:
        raise NotLinkable(table=name, reason=f"its name is longer than {LONGEST} characters")
    master = read_table(session, schema, name)
    parts = [read_table(session, schema, part) for part in part_names]
    keys = {column.name for column in master.key}
    for part in parts:
        if not keys <= {column.name for column in part.columns}:
            raise NotLinkable(table=part.name, reason="it does not have all key columns of its master")
    return EntityModel(backend=session.backend, master=master, parts=tuple(parts))


def read_table(session: Session, schema: str, name: str) -> TableModel:
    """Return the declaration of one table."""
    raw = catalog_sql.read(session, schema, name)
    _refuse(name, raw)
    lineage = _Lineage(session)
    columns = [
        evolve(column, lineage=lineage.of(schema, name, column.name))
        for column in (_column(session.backend, name, raw, column) for column in raw.columns)
        if column is not None
    ]
    kept = {column.name for column in columns}
    indexes = tuple(index for index in raw.indexes if set(index.columns) <= kept)
    return TableModel(schema=schema, name=name, comment=raw.comment, columns=tuple(columns), indexes=indexes)


def _refuse(name: str, raw: RawTable) -> None:
    if not raw.is_table:
        raise NotLinkable(table=name, reason="it is a view or another kind of relation, not a table")
    if not raw.key:
        raise NotLinkable(table=name, reason="it has no primary key, or the link user may not see it")
    if any(column.startswith("_") for column in raw.key):
        raise NotLinkable(table=name, reason="it is a singleton table: its key has no attribute")
    for word in (name, *(column.name for column in raw.columns)):
        if any(mark in word for mark in "`\"'%"):
            raise NotLinkable(table=name, reason=f"the name {word!r} has a quote or a percent sign in it")


def _column(backend: str, table: str, raw: RawTable, column: RawColumn) -> Column | None:
    """Return the column, or None for one that DataJoint hides."""
    if column.name.startswith("_"):
        return None
    mark, comment = split_comment(column.comment)
    kind = _kind(backend, table, column, mark)
    in_key = column.name in raw.key
    if in_key and kind in _NO_KEY:
        raise _unsupported(table, column, mark, "a key of this type does not compare reliably")
    size, scale = _sizes(column.native)
    return Column(
        name=column.name,
        kind=kind,
        native=column.native,
        marker=mark,
        comment=comment,
        nullable=column.nullable,
        default=column.default,
        in_key=in_key,
        size=_BITS.get(_base(column.native), size) if kind is Kind.INTEGER else size,
        scale=scale,
        unsigned="unsigned" in column.native.lower(),
        labels=column.labels,
        charset=column.charset,
        collation=column.collation,
    )


_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_KINDS = {
    "mysql": {
        **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), Kind.INTEGER),
        **dict.fromkeys(("tinyblob", "blob", "mediumblob", "longblob"), Kind.BYTES),
        **dict.fromkeys(("tinytext", "text", "mediumtext", "longtext", "varchar"), Kind.STRING),
        "decimal": Kind.DECIMAL,
        "double": Kind.FLOAT64,
        "enum": Kind.ENUM,
        "date": Kind.DATE,
        "datetime": Kind.DATETIME,
        "json": Kind.JSON,
    },
    "postgresql": {
        **dict.fromkeys(("smallint", "integer", "bigint"), Kind.INTEGER),
        **dict.fromkeys(("character varying", "text"), Kind.STRING),
        **dict.fromkeys(("json", "jsonb"), Kind.JSON),
        "numeric": Kind.DECIMAL,
        "double precision": Kind.FLOAT64,
        "boolean": Kind.BOOL,
        "date": Kind.DATE,
        "timestamp without time zone": Kind.DATETIME,
        "uuid": Kind.UUID,
        "bytea": Kind.BYTES,
    },
}
_MARKED = {
    ("uuid", "binary"): Kind.UUID,
    ("bool", "tinyint"): Kind.BOOL,
    ("json", "longtext"): Kind.JSON,
    ("<blob>", "longblob"): Kind.BYTES,
    ("<blob>", "bytea"): Kind.BYTES,
}


def _base(native: str) -> str:
    """Return a type's name without sizes and attributes."""
    bare = re.sub(r"\(.*?\)", "", native.lower(), flags=re.DOTALL).strip()
    return re.sub(r"\s+(unsigned|zerofill)\b", "", bare).strip()


def _kind(backend: str, table: str, column: RawColumn, mark: str) -> Kind:
    base = _base(column.native)
    if column.generated:
        raise _unsupported(table, column, mark, "it is a generated column")
    kind = Kind.ENUM if column.labels else _MARKED.get((mark, base), _KINDS[backend].get(base))
    if mark.startswith("<") and mark != "<blob>":
        stored = "it keeps its values in an object store" if "@" in mark else "its codec is not known to Link"
        raise _unsupported(table, column, mark, stored)
    if kind is None:
        raise _unsupported(table, column, mark, "Link does not know this type to arrive exactly")
    if kind is Kind.DECIMAL and "(" not in column.native:
        raise _unsupported(table, column, mark, "it has no precision")
    return kind


def _unsupported(table: str, column: RawColumn, mark: str, reason: str) -> ColumnNotSupported:
    return ColumnNotSupported(table=table, column=column.name, type=mark or column.native, reason=reason)


def _sizes(native: str) -> tuple[int | None, int | None]:
    found = re.search(r"\((\d+)(?:,\s*(\d+))?\)", native)
    if found is None:
        return None, None
    return int(found[1]), int(found[2]) if found[2] else None


class _Lineage:
    """Where attributes come from by DataJoint's rule: a foreign key's from its parent, a key's own from its table.

    Foreign keys decide, not the source's `~lineage`, which may be missing, partial or stale.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: dict[tuple[str, str], tuple[Mapping[str, tuple[str, str, str]], Sequence[str]]] = {}

    def of(self, schema: str, table: str, column: str) -> str:
        """Return `schema.table.attribute`, or nothing for an attribute that is neither of a key nor of a foreign key."""
        if (schema, table) not in self._seen:
            self._seen[schema, table] = catalog_sql.parents_and_key(self._session, schema, table)
        parents, key = self._seen[schema, table]
        if column in parents and parents[column][:2] != (schema, table):
            return self.of(*parents[column]) or ".".join(parents[column])
        return f"{schema}.{table}.{column}" if column in key else ""
