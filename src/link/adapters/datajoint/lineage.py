"""Where attributes come from, as DataJoint counts it when it decides whether two tables can be joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from link.adapters.datajoint.found import places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.datajoint.found import Catalog, ForeignKey
    from link.adapters.datajoint.session import Session

_Attribute = tuple[str, str, str]


def recorded_lineage(session: Session, schema: str, tables: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return what the schema's `~lineage` table says of the tables' attributes."""
    statement = (
        f"SELECT table_name, attribute_name, lineage FROM {session.table('~lineage', schema)}"
        f" WHERE table_name IN ({places(tables)})"
    )
    return {(table, attribute): lineage for table, attribute, lineage in session.query(statement, list(tables))}


@define
class Lineages:
    """The lineage of attributes of one schema: foreign keys followed to their origin.

    `~lineage` is asked only where the foreign keys cannot tell, because they lead into a schema whose own may be hidden
    from this user, or to more than one origin: it may be stale, and partial after any act of DataJoint 2 on older tables.
    """

    session: Session
    catalog: Catalog
    schema: str
    recorded: dict[tuple[str, str], str]
    _parents: dict[str, dict[tuple[str, str], list[_Attribute]]] = field(factory=dict, init=False)

    def of(self, table: str, attribute: str, *, in_key: bool) -> str:
        """Return the lineage of an attribute, or nothing for one that neither is in the key nor refers to another."""
        start = (self.schema, table, attribute)
        if not in_key and not self._parents_of(start):
            return ""
        origins = self._origins(start, frozenset())
        recorded = self.recorded.get((table, attribute), "")
        if recorded in origins or (recorded and any(origin[0] != self.schema for origin in map(_split, origins))):
            return recorded
        return origins[0]

    def add(self, foreign_keys: Sequence[ForeignKey], schema: str) -> None:
        """Take in the foreign keys of a schema."""
        found: dict[tuple[str, str], list[_Attribute]] = {}
        for key in foreign_keys:
            for column, parent in zip(key.columns, key.parent_columns, strict=True):
                found.setdefault((key.table, column), []).append((key.parent_schema, key.parent_table, parent))
        self._parents[schema] = found

    def _parents_of(self, attribute: _Attribute) -> list[_Attribute]:
        schema, table, column = attribute
        if schema not in self._parents:
            self.add(self.catalog.foreign_keys(self.session, schema), schema)
        return self._parents[schema].get((table, column), [])

    def _origins(self, attribute: _Attribute, seen: frozenset[_Attribute]) -> list[str]:
        """Return every origin, the one of the first foreign key first; a table that refers to itself ends the walk."""
        parents = [parent for parent in self._parents_of(attribute) if parent not in seen and parent != attribute]
        if not parents:
            return [".".join(attribute)]
        return [origin for parent in parents for origin in self._origins(parent, seen | {attribute})]


def _split(lineage: str) -> tuple[str, ...]:
    return tuple(lineage.split("."))
