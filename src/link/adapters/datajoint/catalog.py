"""A source table as data, read from its server's catalog with SELECT alone: nothing is declared, decorated or written."""

from __future__ import annotations

import re
import time
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar, cast

from attrs import evolve, frozen

from link.adapters.datajoint import catalog_mysql, catalog_postgresql, legacy
from link.adapters.datajoint.columns import plain_column
from link.adapters.datajoint.lineage import Lineages
from link.adapters.datajoint.model import EntityModel, Index, TableModel
from link.adapters.datajoint.refusals import REQUESTED, REQUESTED_COMMENT, refuse_entity, refuse_names, refuse_table
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import DeclarationChanged, LinkError, NotLinkable, SourceTableMissing, Unprotected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from link.adapters.datajoint.found import Catalog, ForeignKey, FoundColumn, FoundIndex, FoundTable
    from link.adapters.datajoint.session import Session

    Columns = Mapping[str, Sequence[FoundColumn]]

T = TypeVar("T")

TIERS = ("", "#", "_", "__")
PAUSES = (0.03, 0.1, 0.2, 0.3, 0.45, 0.7)
"""How long a catalog that says something odd is left alone before it is read again, in seconds, time after time."""
_CAPITAL = re.compile(r"(?<=[A-Za-z0-9])([A-Z])")
_CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")


def snake_case(class_name: str) -> str:
    """Return the table name of a class without its tier, as DataJoint makes it; empty for a name that it refuses."""
    class_name = class_name.replace("_", "")
    return _CAPITAL.sub(r"_\1", class_name).lower() if _CLASS_NAME.fullmatch(class_name) else ""


def steadily(act: Callable[[], T]) -> T:
    """Return what `act` returns; believe that something is missing or has changed only where it is so again and again.

    A catalog is read statement by statement, and the MySQL family shows no table, or half of one, for the moment in which
    an ALTER TABLE puts its new form in its place.
    """
    for pause in PAUSES:
        try:
            return act()
        except LinkError as error:  # noqa: PERF203 - a retry needs it
            if not _may_pass(error):
                raise
            time.sleep(pause)
    return act()


def _may_pass(error: LinkError) -> bool:
    """Whether an error may come from a table that is just being altered; one that refers to it cannot be made either then."""
    if isinstance(error, Refused):
        return error.refusal is Refusal.PARENT
    return isinstance(error, (SourceTableMissing, NotLinkable, DeclarationChanged, Unprotected))


def read_twice(session: Session, schema: str, class_name: str) -> EntityModel:
    """Read an entity for those who have nothing to compare it with; raise `DeclarationChanged` where it is changing."""
    first, second = (read_entity(session, schema, class_name) for _ in range(2))
    if first != second:
        raise DeclarationChanged(table=f"{schema}.{second.master.name}", differences=["it is being altered now"])
    return second


def find_table(session: Session, schema: str, class_name: str) -> str:
    """Return the name of a class's table, of any tier; raise as `read_entity` does where there is none to link."""
    return _find(schema, class_name, of(session).tables(session, schema)).name


def read_entity(session: Session, schema: str, class_name: str) -> EntityModel:
    """Read the table of a DataJoint class, of any tier, with its parts, as a source.

    Columns that DataJoint hides (`_prov`, `_job_...`) are as good as others. Five statements, however many parts, and one
    more for each other schema that foreign keys lead into. Marks are DataJoint 2's, also where an older one declared.

    Raises:
        SourceTableMissing: no table of that name can be seen; the error holds near names.
        NotLinkable: the table is a view, has no key or another trait that rules linking out.
        ColumnNotSupported: a column is not known to arrive exactly.
    """
    catalog = of(session)
    tables = catalog.tables(session, schema)
    master = _find(schema, class_name, tables)
    foreign_keys = catalog.foreign_keys(session, schema)
    wanted = [master, *_parts(schema, master.name, tables, foreign_keys)]
    columns: Columns = catalog.columns(session, schema, [table.name for table in wanted])
    if session.backend == "mysql":
        columns = legacy.in_marks_of_2(schema, columns, tables)
    head, *rest = _read(session, schema, wanted, columns, foreign_keys)
    entity = EntityModel(backend=session.backend, master=head, parts=tuple(rest))
    refuse_entity(entity, foreign_keys)
    return entity


def read_tables(session: Session, schema: str, names: Sequence[str]) -> list[TableModel]:
    """Read a master and its parts by their names; a table that is not there raises `DeclarationChanged`."""
    catalog = of(session)
    tables = catalog.tables(session, schema)
    for name in names:
        if name not in tables:
            raise DeclarationChanged(table=f"{schema}.{name}", differences=["it is gone"])
    columns, foreign_keys = catalog.columns(session, schema, names), catalog.foreign_keys(session, schema)
    return _read(session, schema, [tables[name] for name in names], columns, foreign_keys)


def of(session: Session) -> Catalog:
    """Return the catalog of the session's backend."""
    return cast("Catalog", catalog_postgresql if session.backend == "postgresql" else catalog_mysql)


def _read(
    session: Session,
    schema: str,
    wanted: Sequence[FoundTable],
    columns: Columns,
    foreign_keys: Sequence[ForeignKey],
) -> list[TableModel]:
    """Read a master, which comes first, and its parts."""
    catalog, names = of(session), [table.name for table in wanted]
    refuse_names(schema, names)
    for name in names:
        if name not in columns:
            raise DeclarationChanged(table=f"{schema}.{name}", differences=["it has no columns"])
    lineages = Lineages(session, catalog)
    lineages.add(foreign_keys, schema)
    found = _Found(columns=columns, indexes=catalog.indexes(session, schema, names), lineages=lineages, catalog=catalog)
    master = found.table(schema, wanted[0])
    return [master, *(found.table(schema, part, found.bases(master)) for part in wanted[1:])]


def _find(schema: str, class_name: str, tables: Mapping[str, FoundTable]) -> FoundTable:
    snake = snake_case(class_name)
    found = [tables[tier + snake] for tier in TIERS if snake and tier + snake in tables]
    if not found:
        raise SourceTableMissing(table=class_name, schema=schema, near=_near(class_name, tables))
    if len(found) > 1:
        names = ", ".join(table.name for table in found)
        raise NotLinkable(table=f"{schema}.{found[0].name}", reason=f"the class name stands for several tables ({names})")
    refuse_table(schema, found[0])
    return found[0]


def _near(class_name: str, tables: Iterable[str]) -> list[str]:
    classes = {_class_name(name) for name in tables if not name.startswith("~") and "__" not in name.lstrip("_")}
    return get_close_matches(class_name, sorted(classes), n=3)


def _class_name(table: str) -> str:
    return "".join(word.capitalize() for word in table.lstrip("#_").split("_"))


def _parts(schema: str, master: str, tables: Mapping[str, FoundTable], foreign_keys: Sequence[ForeignKey]) -> list[FoundTable]:
    """Return the tables that are named like parts and refer to the master or to another part, by name, without Link's own."""
    named = [key for key in foreign_keys if key.parent_schema == schema and key.table.startswith(f"{master}__")]
    linked, found = set(), {master}
    while found:
        linked |= found
        found = {key.table for key in named if key.parent_table in linked} - linked
    parts = [tables[name] for name in sorted(linked & tables.keys() - {master})]
    return [part for part in parts if (part.name, part.comment) != (master + REQUESTED, REQUESTED_COMMENT)]


@frozen(kw_only=True)
class _Found:
    """Everything read of the entity's tables."""

    columns: Columns
    indexes: Mapping[str, Sequence[FoundIndex]]
    lineages: Lineages
    catalog: Catalog

    def bases(self, master: TableModel) -> dict[tuple[str, str], str]:
        """Return the base types of the master's key, which DataJoint marks there but not always in the parts."""
        key = {column.name for column in master.key}
        return {(column.name, column.native): column.base for column in self.columns[master.name] if column.name in key}

    def table(self, schema: str, table: FoundTable, bases: Mapping[tuple[str, str], str] | None = None) -> TableModel:
        key = next((index.columns for index in self.indexes.get(table.name, ()) if index.primary), ())
        if not key or key == ("_singleton",):
            reason = "it is a singleton table, whose key is empty" if key else "it has no primary key"
            raise NotLinkable(table=f"{schema}.{table.name}", reason=reason)
        found = [
            evolve(column, base=(bases or {}).get((column.name, column.native), column.base))
            for column in self.columns[table.name]
        ]
        refuse_names(schema, [column.name for column in found])
        columns = [
            plain_column(f"{schema}.{table.name}", column, self.catalog.kinds, in_key=column.name in key) for column in found
        ]
        return TableModel(
            schema=schema,
            name=table.name,
            comment=table.comment,
            columns=tuple(
                evolve(column, lineage=self.lineages.of((schema, table.name, column.name), in_key=column.in_key))
                for column in columns
            ),
            indexes=self._secondary(table.name, {column.name for column in columns}),
            key_order=() if key == tuple(column.name for column in columns if column.in_key) else key,
        )

    def _secondary(self, table: str, columns: set[str]) -> tuple[Index, ...]:
        found = [index for index in self.indexes.get(table, ()) if not index.primary and columns.issuperset(index.columns)]
        return tuple(dict.fromkeys(Index(columns=index.columns, unique=index.unique) for index in found))
