"""Restrictions that would not mean what they say are refused before DataJoint sees them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import datajoint as dj
import numpy as np
from datajoint.expression import QueryExpression

from link.adapters.datajoint import wire
from link.domain.errors import BadRestriction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MANY = 200
"""Keys in a list from which on it is made one condition."""
_PLAIN = {
    str: ("varchar", "char", "character", "text", "tinytext", "mediumtext", "longtext"),
    int: ("int", "uint", "smallint", "bigint", "tinyint", "mediumint", "integer"),
    date: ("date",),
    datetime: ("datetime", "timestamp"),
    Decimal: ("decimal", "numeric"),
    UUID: ("uuid", "binary(16)"),
}
"""Values that the drivers escape as the servers read them, and the types of column that they are of."""


def checked(expression: QueryExpression, restriction: Any) -> Any:
    """Return `restriction` for DataJoint to use, with iterators and frames made lists.

    Raises `BadRestriction` for a mapping, record or frame that names no attribute, wherever it is nested, since DataJoint
    takes it for "everything", which in a delete is a catastrophe; and for a query that lives on another connection.
    """
    if isinstance(restriction, dj.Not):
        return dj.Not(checked(expression, restriction.restriction))
    if inspect.isclass(restriction) and issubclass(restriction, QueryExpression):
        restriction = restriction()
    if isinstance(restriction, QueryExpression):
        _check_connection(expression, restriction)
    elif isinstance(restriction, Mapping):
        _check_names(expression, list(restriction))
    elif isinstance(restriction, np.void):
        _check_names(expression, list(restriction.dtype.names or ()))
    elif _is_list(restriction):
        return _checked_list(expression, restriction)
    return restriction


def _is_list(restriction: object) -> bool:
    return isinstance(restriction, Iterable) and not isinstance(restriction, (str, bytes, dj.U))


def _checked_list(expression: QueryExpression, restriction: Any) -> Any:
    items = restriction.to_records() if hasattr(restriction, "to_records") else restriction  # a pandas.DataFrame
    kept = [checked(expression, item) for item in items]
    if any(isinstance(item, (bool, np.bool_)) for item in kept) and not isinstance(restriction, dj.AndList):
        raise BadRestriction(reason="a list with True or False in it, such as a mask of pandas, selects all or nothing")
    return dj.AndList(kept) if isinstance(restriction, dj.AndList) else kept


def _check_connection(expression: QueryExpression, restriction: QueryExpression) -> None:
    if restriction.connection is expression.connection:
        return
    here, there = _place(expression), _place(restriction)
    raise BadRestriction(reason=f"it is a query on {there}, and this table is on {here}; fetch the keys and pass those")


def _place(expression: QueryExpression) -> str:
    info = expression.connection.conn_info
    return f"{info['host']}:{info['port']}"


def _check_names(expression: QueryExpression, names: Sequence[str]) -> None:
    attributes = expression.heading.names
    if names and not {name.split(".", 1)[0] for name in names} & set(attributes):
        raise BadRestriction(reason=f"none of {names} is an attribute ({', '.join(attributes)})")


def restrict(expression: Any, restriction: Any, restrict_plainly: Callable[[Any], Any]) -> Any:
    """Check a restriction and apply it; a long list of whole keys becomes one condition instead of a chain of ORs.

    A chain of 20,000 takes a server minutes, or does not end.
    """
    restriction = checked(expression, restriction)
    rows = _whole_keys(expression, restriction)
    if rows is None:
        return restrict_plainly(_said(expression, restriction))
    names = expression.primary_key
    return wire.restricted(expression, wire.value_list(expression.connection, names, rows), names)


def _said(expression: Any, restriction: Any) -> Any:
    """Say in SQL what DataJoint 2.3 says wrongly: bytes, and on PostgreSQL a UUID, and a backslash, which matches nothing."""
    if isinstance(restriction, dj.Not):
        return dj.Not(_said(expression, restriction.restriction))
    if isinstance(restriction, (list, tuple)):
        said = [_said(expression, item) for item in restriction]
        return dj.AndList(said) if isinstance(restriction, dj.AndList) else said
    if not isinstance(restriction, Mapping):
        return restriction
    wrong = {name: value for name, value in restriction.items() if _is_said_wrongly(expression, name, value)}
    if not wrong:
        return restriction
    rest = {name: value for name, value in restriction.items() if name not in wrong}
    conditions = [wire.value_condition(expression.connection, name, value) for name, value in wrong.items()]
    return dj.AndList([rest, *conditions] if rest else conditions)


def _is_said_wrongly(expression: Any, name: str, value: Any) -> bool:
    attribute = expression.heading.attributes.get(name)
    if attribute is None or attribute.attribute_expression is not None:
        return False
    if isinstance(value, (bytes, bytearray, memoryview)):
        return True
    if expression.connection.adapter.backend != "postgresql":
        return False
    if isinstance(value, UUID) or (attribute.uuid and isinstance(value, str)):
        return True
    return isinstance(value, str) and "\\" in value and not _is_enum(attribute.type)


def _whole_keys(expression: Any, restriction: Any) -> list[tuple[Any, ...]] | None:
    """Return the keys of a long list of them, or None for anything else."""
    if not isinstance(restriction, (list, tuple)) or len(restriction) < MANY or isinstance(restriction, dj.AndList):
        return None
    names, heading = expression.primary_key, expression.heading
    if expression._top is not None or heading.new_attributes:
        return None
    if not all(isinstance(item, Mapping) and item.keys() == set(names) for item in restriction):
        return None
    rows = [tuple(item[name] for name in names) for item in restriction]
    kinds = [str(heading[name].type).lower() for name in names]
    return rows if all(_is_plain(value, kind) for row in rows for value, kind in zip(row, kinds, strict=True)) else None


def _is_plain(value: Any, kind: str) -> bool:
    """Whether a value is of the very type that the column has; a server compares others in its own way, or not at all."""
    return kind.startswith(_PLAIN.get(type(value), ("\0",)))


def _is_enum(kind: str) -> bool:
    return kind.startswith("enum")
