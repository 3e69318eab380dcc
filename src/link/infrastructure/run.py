"""One operation under way: the lines to both servers, what is linked by them, and the ports of the use cases over them."""

from __future__ import annotations

import getpass
import socket
import time
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from uuid import uuid4

from attrs import define, frozen

from link.adapters.datajoint import catalog, claiming, layout, linking, snapshot
from link.adapters.datajoint.amounts import Amounts
from link.adapters.datajoint.carrier import Carrier
from link.adapters.datajoint.checking import StoredContents
from link.adapters.datajoint.evidence import SourceTables
from link.adapters.datajoint.guard import make_guard
from link.adapters.datajoint.inspector import DataJointInspector
from link.adapters.datajoint.line import Line
from link.adapters.datajoint.local import DataJointLocal
from link.adapters.datajoint.outbound import DataJointOutbound
from link.adapters.datajoint.premises import DataJointPremises
from link.adapters.datajoint.source import DataJointSource
from link.domain.errors import DeclarationChanged, LinkedElsewhere, LocalTableExists, NotLinkable
from link.infrastructure import connections
from link.infrastructure.progress import Bar
from link.infrastructure.settings import from_environment
from link.use_cases.ports import NothingStored, Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from link.adapters.datajoint.model import EntityModel
    from link.adapters.datajoint.stores import StoreMap
    from link.infrastructure.lazy_schema import LazySchema
    from link.use_cases.ports import Objects


@frozen(kw_only=True)
class LinkConfig:
    """What the user said."""

    class_name: str
    local: LazySchema
    source: LazySchema
    stores: StoreMap
    outbound: str | None
    allow_direct_insert: bool

    @property
    def outbound_schema(self) -> str:
        """The outbound schema's name; raises `SettingMissing` where nobody said it."""
        return self.outbound or from_environment("outbound", "LINK_OUTBOUND", f"{self.source}")


@define(kw_only=True)
class Run:
    """One operation under way: its lines, what they lead to, and the ports over them."""

    config: LinkConfig
    owner: UUID
    local: Line
    source: Line
    chunk: int
    """How many entities one transfer moves at most."""
    ports: Ports | None = None

    @classmethod
    @contextmanager
    def begin(cls, config: LinkConfig, chunk: int) -> Iterator[Run]:
        """Yield a run, whose lines are opened when first used and closed at its end."""
        owner, local, source = uuid4(), config.local, config.source
        run = cls(
            config=config,
            owner=owner,
            chunk=chunk,
            local=Line(open=lambda: connections.session(local.connection, local.database, local.timeout), owner=owner),
            source=Line(
                open=lambda: connections.session(source.raw_connection, config.outbound_schema, source.timeout), owner=owner
            ),
        )
        try:
            yield run
        finally:
            run.hang_up()

    def hang_up(self) -> None:
        """Close both lines; the next use opens them again."""
        self.local.close()
        self.source.close()

    # ---- what is linked

    def linked(self) -> linking.Linked:
        """Return the local table; declare it from the source where it does not exist."""
        linked = linking.read_linked(self.local.session, self.config.class_name)
        if linked is None:
            outbound = self.config.outbound_schema
            entity = self._source_entity()
            self._refuse_itself()
            linking.declare(self.local.session, self.config.stores.declared(entity), self.origin(entity), outbound)
            linked = linking.read_linked(self.local.session, self.config.class_name)
        if linked is None:
            raise AssertionError
        return linked

    def origin(self, entity: EntityModel) -> str:
        """Say where the source is, as the code says it."""
        return f"{self.config.source.host}/{entity.master.schema}.{entity.master.name}"

    def _refuse_itself(self) -> None:
        """Raise where the local schema is the source's: the copy would be the source table."""
        local, source = self.local.session, self.source.session
        is_same = self.config.local.database == self.config.source.database and local.backend == source.backend
        if is_same and linking.server_id(local) == linking.server_id(source):
            raise LocalTableExists(table=f"{local.schema}.{self.config.class_name} (the source table itself)")

    def _source_entity(self) -> EntityModel:
        return catalog.steadily(
            lambda: catalog.read_twice(self.source.session, self.config.source.database, self.config.class_name)
        )

    def entity(self, linked: linking.Linked, *, copying: bool) -> EntityModel:
        """Return the source's declaration; what was linked can be let go of whatever has become of the other columns."""
        differences = snapshot.differences if copying else snapshot.key_differences

        def read() -> EntityModel:
            now = catalog.read_entity(self.source.session, self.config.source.database, self.config.class_name)
            if changes := differences(linked.source, now):
                raise DeclarationChanged(table=f"{now.master.schema}.{now.master.name}", differences=changes)
            return now

        try:
            now = catalog.steadily(read)
        except NotLinkable:
            if copying:
                raise
            return linked.source
        return now if copying else linked.source

    def follow(self, linked: linking.Linked, entity: EntityModel) -> None:
        """Raise `LinkedElsewhere` where the code names another source or outbound than the table was linked with.

        A host may be called otherwise from day to day; it is another one where its outbound knows nothing of this link. A
        link that has never moved anything follows the code: its first settings may have been wrong.
        """
        origin, outbound = self.origin(entity), self.config.outbound_schema
        host, _, table = origin.partition("/")
        was_host, _, was_table = linked.origin.partition("/")
        names = layout.OutboundNames.of(entity.master)
        is_known = host == was_host or claiming.read_entry(self.source.session, names) is not None
        if is_known and (table, outbound) == (was_table, linked.outbound):
            return
        if table == was_table and linking.is_unused(self.local.session, linked):
            linking.move(self.local.session, linked, origin, outbound)
            return
        linked_to, wanted = f"{linked.origin} with outbound {linked.outbound}", f"{origin} with outbound {outbound}"
        raise LinkedElsewhere(table=f"{self.local.session.schema}.{linked.table}", linked_to=linked_to, wanted=wanted)

    def claim(self, linked: linking.Linked) -> claiming.Claim:
        """Return what the local table says of itself at the source."""
        session = self.local.session
        label = f"{session.schema}.{linked.table} on {session.server}"
        return claiming.Claim(link=linked.link, place=linking.here(session, linked.table), label=label)

    # ---- ports

    def premises(self) -> DataJointPremises:
        """Return the port to all that the keys rest on."""
        return DataJointPremises(
            local=lambda: self.local.session,
            source=lambda: self.source.session,
            class_name=self.config.class_name,
            source_schema=self.config.source.database,
            claim=self.claim,
            version=_version(),
        )

    def contents(self) -> StoredContents:
        """Return the port to the objects of local rows."""
        copies = linking.local_declaration(self.local.session, self.linked())
        stores = self.config.stores
        return StoredContents(session=lambda: self.local.session, copies=copies, stores=stores.local, shared=stores.referred())

    def reading(self) -> Ports:
        """Return ports for tables that are known to be there, whomever outbound serves."""
        linked = linking.read_linked(self.local.session, self.config.class_name)
        if linked is None:
            raise AssertionError
        entity = self._source_entity()
        entry = claiming.read_entry(self.source.session, layout.OutboundNames.of(entity.master))
        if entry is None:
            raise AssertionError
        return self.over(linked, entity, entry.guard)

    def over(self, linked: linking.Linked, entity: EntityModel, guard_kind: str) -> Ports:
        """Return the ports over the tables of a link."""
        names = layout.OutboundNames.of(entity.master)
        copies = linking.local_declaration(self.local.session, linked)

        bar = Bar()

        def tables() -> SourceTables:
            return SourceTables(session=self.source.session, entity=entity, names=names)

        source = DataJointSource(tables=tables, amounts=self._amounts(entity, tables))
        return Ports(
            source=source,
            outbound=DataJointOutbound(
                tables=tables,
                guard=make_guard(guard_kind),
                link=linked.link,
                place=self.claim(linked).place,
                who=_who(),
                version=_version(),
            ),
            local=DataJointLocal(
                session=lambda: self.local.session,
                entity=entity,
                copies=copies,
                link=linked.link,
            ),
            inspector=DataJointInspector(
                tables=tables, source=source, session=lambda: self.local.session, local=copies, link=linked.link
            ),
            progress=bar,
            objects=self._objects(entity, bar.carry),
            owner=self.owner,
            clock=time.monotonic,
            chunk=self.chunk,
        )

    def _amounts(self, entity: EntityModel, tables: Callable[[], SourceTables]) -> Amounts | None:
        return Amounts(tables=tables, is_copied=self.config.stores.is_copied) if entity.has_objects else None

    def _objects(self, entity: EntityModel, told: Callable[[int], None]) -> Objects:
        if not entity.has_objects:
            return NothingStored()

        def beat() -> None:
            for line in (self.local, self.source):
                line.session.query("SELECT 1")

        return Carrier(stores=self.config.stores, entity=entity, session=lambda: self.local.session, beat=beat, told=told)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _version() -> str:
    try:
        return version("datajoint-link")
    except PackageNotFoundError:
        return "unknown"
