"""Where attributes come from, as DataJoint counts it when it decides whether two tables can be joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

TABLE = "~lineage"
"""Where DataJoint 2 records lineage; without it, it joins anything, and where it lacks a table it joins that with nothing."""

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from link.adapters.datajoint.found import Catalog, ForeignKey, FoundIndex, FoundTable
    from link.adapters.datajoint.session import Session

    Attribute = tuple[str, str, str]
    """Schema, table and name."""
    Record = Mapping[tuple[str, str], str]
    """What a schema's `~lineage` says, by table and attribute."""


@define
class Lineages:
    """The lineage of attributes: foreign keys followed to their origin, or to where `recorded` knows it.

    A source's `~lineage` is not asked: it may be missing, stale, and partial after any act of DataJoint 2 on older tables.
    So copies of one source's tables agree, whoever made them, whenever.
    """

    session: Session
    catalog: Catalog
    recorded: Callable[[str], Record] = lambda _: {}
    _parents: dict[str, dict[tuple[str, str], Attribute]] = field(factory=dict, init=False)

    def of(self, attribute: Attribute, *, in_key: bool) -> str:
        """Return the lineage of an attribute, or nothing for one that neither is in the key nor refers to another."""
        if not in_key and self._parent(attribute) is None:
            return ""
        return self._origin(attribute)

    def add(self, foreign_keys: Sequence[ForeignKey], schema: str) -> None:
        """Take in the foreign keys of a schema, in the order of their making; the last one of an attribute is DataJoint's."""
        self._parents[schema] = {
            (key.table, column): (key.parent_schema, key.parent_table, parent)
            for key in foreign_keys
            for column, parent in zip(key.columns, key.parent_columns, strict=True)
            if (schema, key.table, column) != (key.parent_schema, key.parent_table, parent)
        }

    def referring(self, schema: str) -> list[tuple[str, str]]:
        """Return table and name of the attributes of a schema that foreign keys lead from, once they were taken in."""
        return list(self._parents[schema])

    def _parent(self, attribute: Attribute) -> Attribute | None:
        schema, table, column = attribute
        if schema not in self._parents:
            self.add(self.catalog.foreign_keys(self.session, schema), schema)
        return self._parents[schema].get((table, column))

    def _origin(self, attribute: Attribute) -> str:
        """Walk up; foreign keys that go round in a circle end where they close it."""
        seen = {attribute}
        while True:
            schema, table, column = attribute
            if known := self.recorded(schema).get((table, column)):
                return known
            parent = self._parent(attribute)
            if parent is None or parent in seen:
                return ".".join(attribute)
            seen.add(parent)
            attribute = parent


def missing(session: Session, catalog: Catalog) -> list[Attribute]:
    """Return table, attribute and lineage of what the `~lineage` of the session's schema lacks.

    That is what tables made by an older DataJoint, or without any, need to be joined as before once there is a `~lineage`.
    """
    schema = session.schema
    tables = _tables(catalog.tables(session, schema))
    records = _Records(session, catalog)
    lineages = Lineages(session, catalog, records)
    lineages.add(catalog.foreign_keys(session, schema), schema)
    keys = {table: _key(indexes) for table, indexes in catalog.indexes(session, schema, tables).items()} if tables else {}
    attributes = [(table, name, True) for table in tables for name in keys.get(table, ())]
    attributes += [(table, name, False) for table, name in lineages.referring(schema) if name not in keys.get(table, ())]
    recorded = records(schema)
    return [
        (table, name, lineages.of((schema, table, name), in_key=in_key))
        for table, name, in_key in attributes
        if table in tables and (table, name) not in recorded and not name.startswith("_")
    ]


def _tables(found: Mapping[str, FoundTable]) -> list[str]:
    return [name for name, table in found.items() if not name.startswith("~") and not table.refusal]


def _key(indexes: Sequence[FoundIndex]) -> tuple[str, ...]:
    return next((index.columns for index in indexes if index.primary), ())


@define
class _Records:
    """What each schema's own `~lineage` says, read when first asked for."""

    session: Session
    catalog: Catalog
    _known: dict[str, Record] = field(factory=dict, init=False)

    def __call__(self, schema: str) -> Record:
        if schema not in self._known:
            there = self.catalog.tables(self.session, schema).get(TABLE)
            self._known[schema] = self._read(schema) if there is not None and there.readable else {}
        return self._known[schema]

    def _read(self, schema: str) -> Record:
        found = self.session.query(f"SELECT table_name, attribute_name, lineage FROM {self.session.table(TABLE, schema)}")
        return {(table, attribute): lineage for table, attribute, lineage in found}
