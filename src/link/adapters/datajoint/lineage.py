"""Where attributes come from, as DataJoint counts it when it decides whether two tables can be joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from link.adapters.datajoint.found import Catalog, ForeignKey
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
