"""Restrictions that would not mean what they say are refused before DataJoint sees them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np
from datajoint.expression import QueryExpression

from link.domain.errors import BadRestriction

if TYPE_CHECKING:
    from collections.abc import Sequence


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
