"""The decorator that links a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datajoint.table import Table

from link.infrastructure.composition import LinkConfig, LinkOperations
from link.infrastructure.linked_table import LinkedMeta, LinkedTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from link.infrastructure.lazy_schema import LazySchema
    from link.infrastructure.operations import Operations


class Link:
    """Links the decorated class with the source table of the same name.

    `stores` maps local to source stores for tables with stored objects; such tables are refused until those are supported.
    `outbound` names the outbound schema (else LINK_OUTBOUND). `allow_direct_insert` lets the user insert rows of their own.
    Nothing connects before the class is used.
    """

    def __init__(
        self,
        local_schema: LazySchema,
        source_schema: LazySchema,
        stores: Mapping[str, str] | None = None,
        *,
        outbound: str | None = None,
        allow_direct_insert: bool = False,
        operations: Callable[[LinkConfig], Operations] = LinkOperations,
    ) -> None:
        self._local, self._source = local_schema, source_schema
        self.stores = dict(stores or {})
        self._outbound = outbound
        self._allow_direct_insert = allow_direct_insert
        self._make_operations = operations

    def __call__(self, cls: type) -> Any:
        """Return a DataJoint table class made from `cls`; raise `TypeError` where `cls` is one already."""
        if issubclass(cls, Table):
            message = f"{cls.__name__} must be a plain class: its kind of table is the source's"
            raise TypeError(message)
        config = LinkConfig(
            class_name=cls.__name__,
            local=self._local,
            source=self._source,
            outbound=self._outbound,
            allow_direct_insert=self._allow_direct_insert,
        )
        kept = {name: getattr(cls, name) for name in ("__doc__", "__module__", "__qualname__")}
        return LinkedMeta(cls.__name__, (cls, LinkedTable), {**kept, "_operations": self._make_operations(config)})

    def __repr__(self) -> str:
        return f"Link({self._local!r}, {self._source!r})"
