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


def check(expression: QueryExpression, restriction: Any) -> None:
    """Raise `BadRestriction` for a mapping that names no attribute, and for a query that lives on another connection.

    DataJoint takes a mapping without a matching attribute for "everything", which in a delete is a catastrophe.
    """
    if isinstance(restriction, dj.Not):
        check(expression, restriction.restriction)
    elif inspect.isclass(restriction) and issubclass(restriction, QueryExpression):
        check(expression, restriction())
    elif isinstance(restriction, QueryExpression):
        _check_connection(expression, restriction)
    elif isinstance(restriction, Mapping):
        _check_names(expression, list(restriction))
    elif isinstance(restriction, np.void):
        _check_names(expression, list(restriction.dtype.names or ()))
    elif _is_list(restriction):
        for item in restriction:
            check(expression, item)


def _is_list(restriction: object) -> bool:
    return (
        isinstance(restriction, Iterable)
        and not isinstance(restriction, (str, bytes))
        and not hasattr(restriction, "to_records")
    )


def _check_connection(expression: QueryExpression, restriction: QueryExpression) -> None:
    if isinstance(restriction, dj.U) or restriction.connection is expression.connection:
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
