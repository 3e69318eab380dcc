"""Which local store stands for which store of the source, and how each side configures its own."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen
from datajoint.errors import DataJointError
from datajoint.storage import StorageBackend

from link.adapters.datajoint import stored_codecs
from link.adapters.datajoint.model import Addressing
from link.adapters.datajoint.places import FolderPlace
from link.adapters.datajoint.places_bucket import BucketPlace
from link.domain.errors import ColumnNotSupported, StoreNotAccessible, StoreNotConfigured, StoreNotMapped, StoresCollide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from link.adapters.datajoint.model import Column, EntityModel, TableModel
    from link.adapters.datajoint.places import Place


class Mode(Enum):
    """What becomes of the objects of a store."""

    COPY = "copy"
    REFERENCE = "reference"


@frozen(kw_only=True)
class Store:
    """One store of one side."""

    name: str
    side: str
    spec: Mapping[str, Any] = field(repr=False)
    place: Place

    @property
    def hash_section(self) -> str:
        """The folder of content-addressed objects, of all schemas."""
        return str(self.spec.get("hash_prefix") or "").strip("/")

    @property
    def schema_section(self) -> str:
        """The folder of schema-addressed objects, of all schemas."""
        return str(self.spec.get("schema_prefix") or "").strip("/")

    def look(self) -> bool:
        """Raise where it cannot be seen at all; return False where it is a folder with nothing in it."""
        try:
            return self.place.look()
        except Exception as error:  # noqa: BLE001 - clients raise what they like
            raise self.failed("read", error) from None

    def not_mounted(self) -> StoreNotAccessible:
        """Return the error to raise where objects are missing in a folder with nothing in it."""
        return self.failed("read", FileNotFoundError("it is empty, as a folder is whose disk is not mounted"))

    def failed(self, action: str, error: Exception) -> StoreNotAccessible:
        """Return the error to raise for what the store's client raised; `action` is `read` or `written`."""
        detail = (str(error) or type(error).__name__).split("\n", 1)[0].rstrip(".")
        return StoreNotAccessible(store=self.name, side=self.side, place=self.place.label, action=action, detail=detail)


@define(kw_only=True)
class Side:
    """One side's stores, by its own DataJoint configuration."""

    name: str
    """`local` or `source`."""
    config: Callable[[], Any]
    _known: dict[str, Store] = field(factory=dict, init=False)

    def store(self, name: str, column: str) -> Store:
        """Return a store by name; `column` needs it."""
        if name not in self._known:
            self._known[name] = self._made(name, column)
        return self._known[name]

    def _made(self, name: str, column: str) -> Store:
        try:
            spec = self.config().get_store_spec(name)
            return Store(name=name, side=self.name, spec=spec, place=_place(spec))
        except (DataJointError, OSError, ImportError, ValueError) as error:
            raise StoreNotConfigured(store=name, side=self.name, column=column, detail=str(error).rstrip(".")) from None

    def default(self, addressing: Addressing, column: str) -> str:
        """Return the name of the store that a mark without a name means."""
        setting = "filepath_default" if addressing is Addressing.PATH else "default"
        name = self.config().stores.get(setting)
        if not isinstance(name, str) or not name:
            detail = f"stores.{setting} is not set, and the column names no store"
            raise StoreNotConfigured(store="", side=self.name, column=column, detail=detail)
        return name


def _place(spec: Mapping[str, Any]) -> Place:
    backend = StorageBackend(dict(spec))
    if backend.protocol == "file":
        return FolderPlace(root=Path(spec["location"]))
    place = BucketPlace(backend=backend)
    _ = place.fs  # says now what package is missing
    return place


@frozen(kw_only=True)
class Mapped:
    """A store of the source with the local store that stands for it."""

    local: Store
    source: Store
    mode: Mode


@define(kw_only=True)
class StoreMap:
    """The stores of one link."""

    pairs: Mapping[str, str]
    """Local stores by the source's."""
    modes: Mapping[str, Mode]
    """By local store; those not in it are copied."""
    local: Side
    source: Side
    local_schema: str

    @classmethod
    def of(
        cls, stores: Mapping[str, str], objects: str | Mapping[str, str], *, local: Side, source: Side, local_schema: str
    ) -> StoreMap:
        """Read what the user said; `ValueError` where it contradicts itself."""
        pairs = {theirs: mine for mine, theirs in stores.items()}
        if len(pairs) < len(stores):
            message = f"stores={dict(stores)} maps two local stores to one store of the source"
            raise ValueError(message)
        said = dict.fromkeys(stores, objects) if isinstance(objects, str) else objects
        if unknown := set(said) - set(stores):
            message = f"objects= names {sorted(unknown)}, which are no local stores of stores={dict(stores)}"
            raise ValueError(message)
        modes = {name: Mode(mode) for name, mode in said.items()}
        return cls(pairs=pairs, modes=modes, local=local, source=source, local_schema=local_schema)

    def declared(self, entity: EntityModel) -> EntityModel:
        """Return the entity with the local stores in its marks, after a look at every store that it needs."""
        self.check(entity)
        master, *parts = (self._declared(table) for table in entity.tables)
        return evolve(entity, master=master, parts=tuple(parts))

    def _declared(self, table: TableModel) -> TableModel:
        columns = tuple(self._declared_column(table, column) if column.addressing else column for column in table.columns)
        return evolve(table, columns=columns)

    def _declared_column(self, table: TableModel, column: Column) -> Column:
        return evolve(column, external="", marker=stored_codecs.in_store(column.marker, self.mapped(table, column).local.name))

    def check(self, entity: EntityModel) -> None:
        """Raise the error of the first stored column that cannot be brought along; nothing has happened then."""
        self._check_older(entity)
        for mapped in {pair.local.name: pair for pair in self._needed(entity)}.values():
            self._check_apart(mapped, entity.master.schema)
            _check_access(mapped, self.local_schema)

    def _check_older(self, entity: EntityModel) -> None:
        """Refuse to point at attachments of an older DataJoint: DataJoint 2 reads their names from the object."""
        for table in entity.tables:
            for column in table.stored:
                if (
                    column.external
                    and column.marker.startswith("<attach")
                    and self.mapped(table, column).mode is Mode.REFERENCE
                ):
                    raise ColumnNotSupported(
                        table=f"{table.schema}.{table.name}",
                        column=column.name,
                        type=column.spelled,
                        reason="an older DataJoint's attachments have to be copied: DataJoint 2 reads another form",
                        instead="Leave out objects='reference' for its store.",
                    )

    def _needed(self, entity: EntityModel) -> Iterator[Mapped]:
        for table in entity.tables:
            for column in table.stored:
                yield self.mapped(table, column)

    def mapped(
        self, table: TableModel, column: Column, store: str | None = None, key: Mapping[str, str] | None = None
    ) -> Mapped:
        """Return the stores for a column, or for a row of it, `key`, that names a store of its own."""
        where = f"{table.schema}.{table.name}.{column.name}"
        theirs = store or column.store or self._default(table, column, where)
        mine = self.pairs.get(theirs)
        if mine is None:
            raise self._not_mapped(table, column, theirs, key)
        return Mapped(
            local=self.local.store(mine, where),
            source=self.source.store(theirs, where),
            mode=self.modes.get(mine, Mode.COPY),
        )

    def is_copied(self, table: TableModel, column: Column) -> bool:
        """Whether the objects of a column are copied."""
        return self.mapped(table, column).mode is Mode.COPY

    def referred(self) -> frozenset[str]:
        """Return the local stores whose objects are the source's own."""
        return frozenset(name for name, mode in self.modes.items() if mode is Mode.REFERENCE)

    def _default(self, table: TableModel, column: Column, where: str) -> str:
        if not self.pairs:
            raise self._not_mapped(table, column, "")
        return self.source.default(column.addressing or Addressing.HASH, where)

    def _not_mapped(
        self, table: TableModel, column: Column, store: str, key: Mapping[str, str] | None = None
    ) -> StoreNotMapped:
        name = f"object store {store!r}" if store else "the default object store"
        reason = f"it keeps its values in {name} of the source, which stores= of Link does not name"
        return StoreNotMapped(
            table=f"{table.schema}.{table.name}",
            column=column.name,
            type=column.spelled,
            reason=reason,
            store=store,
            key=key or {},
        )

    def _check_apart(self, mapped: Mapped, source_schema: str) -> None:
        """Refuse two schemas of one name in one place: garbage collection could not tell whose objects are whose."""
        if source_schema == self.local_schema and mapped.local.place.identity == mapped.source.place.identity:
            raise StoresCollide(
                store=mapped.local.name,
                source_store=mapped.source.name,
                place=mapped.local.place.label,
                schema=source_schema,
            )


def _check_access(mapped: Mapped, schema: str) -> None:
    """See that one can be read and the other one written, where DataJoint's garbage collection does not look."""
    mapped.source.look()
    if mapped.mode is Mode.REFERENCE:
        return
    trial = "/".join(filter(None, (mapped.local.hash_section, schema, "link.trial")))
    try:
        mapped.local.place.look()  # a folder that is not there may be a disk that is not mounted: nothing is put in its place
        mapped.local.place.try_out(trial)
    except Exception as error:  # noqa: BLE001 - clients raise what they like
        raise mapped.local.failed("written", error) from None
