"""The decorator that links a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datajoint.table import Table

from link.adapters.datajoint.stores import Side, StoreMap
from link.infrastructure.composition import LinkOperations
from link.infrastructure.lazy_schema import LazySchema
from link.infrastructure.linked_table import LinkedMeta, LinkedTable
from link.infrastructure.run import LinkConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from link.infrastructure.operations import Operations


class Link:
    """Links the decorated class with the source table of the same name.

    `stores` names the local store for each of the source's stores that the table keeps values in: `{"local": "source"}`. Their
    objects are copied, unless `objects` is "reference", for all of `stores` or for a local store in a mapping: then local rows
    point at the source's own objects, and the local store must be the same place.
    `outbound` names the outbound schema (else LINK_OUTBOUND). `allow_direct_insert` lets the user insert rows of their own.
    Nothing connects before the class is used.
    """

    def __init__(
        self,
        local_schema: LazySchema,
        source_schema: LazySchema,
        stores: Mapping[str, str] | None = None,
        *,
        objects: str | Mapping[str, str] = "copy",
        outbound: str | None = None,
        allow_direct_insert: bool = False,
        operations: Callable[[LinkConfig], Operations] = LinkOperations,
    ) -> None:
        for name, given in (("local_schema", local_schema), ("source_schema", source_schema)):
            if not isinstance(given, LazySchema):
                message = f"{name} must be a LazySchema, not {given!r}; LazySchema(name, connection=...) takes a connection"
                raise TypeError(message)
        self._local, self._source = local_schema, source_schema
        self._stores = StoreMap.of(
            stores or {},
            objects,
            local=Side(name="local", config=lambda: local_schema.raw_connection._config),
            source=Side(name="source", config=lambda: source_schema.raw_connection._config),
            local_schema=local_schema.database,
        )
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
            stores=self._stores,
            outbound=self._outbound,
            allow_direct_insert=self._allow_direct_insert,
        )
        kept = {name: getattr(cls, name) for name in ("__doc__", "__module__", "__qualname__")}
        return LinkedMeta(cls.__name__, (cls, LinkedTable), {**kept, "_operations": self._make_operations(config)})

    def __repr__(self) -> str:
        return f"Link({self._local!r}, {self._source!r})"
