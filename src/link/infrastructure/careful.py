"""What linked tables, their parts and source tables have in common: no restriction that misses, no way past the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datajoint.table import Table

from link.domain.errors import BadRestriction, WriteRefused
from link.infrastructure import ways
from link.infrastructure.restrictions import restrict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datajoint.expression import QueryExpression


class Careful(Table):
    """A table that does not take a misspelled restriction for "everything"."""

    def _called(self) -> str:
        """Return what messages call it."""
        return f"linked table {type(self).__name__}"

    def restrict(self, restriction: Any, semantic_check: bool = True) -> Any:
        """Restrict as DataJoint does, but raise `BadRestriction` for a mapping that names no attribute."""
        plainly = super().restrict
        return restrict(self, restriction, lambda given: plainly(given, semantic_check=semantic_check))


def refuse(method: str, table: Any, instead: str) -> None:
    """Raise `WriteRefused` for a method of `table`; `instead` says what to do."""
    raise WriteRefused(method=method, table=table._called(), instead=instead)


def refuse_all(kind: type, methods: Mapping[str, str]) -> None:
    """Make `methods` of a kind of table refuse, each with what to do instead."""
    for name, instead in methods.items():
        setattr(kind, name, _refused(name, instead))


def _refused(method: str, instead: str) -> Any:
    def refused(self: Any, *_: object, **__: object) -> None:
        refuse(method, self, instead)

    refused.__name__ = method
    refused.__doc__ = f"Refuse: {instead}"
    return property(refused) if method in ways.PROPERTIES else refused


def selection_of(expression: QueryExpression) -> str | None:
    """Return the SQL for the keys that `expression` selects; None for a whole table.

    Raises `BadRestriction` where a part of the key was renamed: it would be looked for under its new name.
    """
    renamed = [name for name in expression.primary_key if expression.heading[name].attribute_expression is not None]
    if renamed:
        raise BadRestriction(reason=f"the key has new names ({', '.join(renamed)}); restrict first and do not rename")
    if isinstance(expression, Table) and not expression.restriction and expression._top is None:
        return None
    return str(expression.make_sql(expression.primary_key))
