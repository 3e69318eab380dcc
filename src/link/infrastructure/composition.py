"""The composition root: one link's operations, put together from lines, ports and use cases."""

from __future__ import annotations

import getpass
import socket
import time
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import datajoint as dj
from attrs import define, field, frozen
from datajoint.utils import to_camel_case, user_choice

from link.adapters.datajoint import cascade, catalog, claiming, declaration, layout, linking, snapshot
from link.adapters.datajoint.carrier import Carrier
from link.adapters.datajoint.evidence import SourceTables
from link.adapters.datajoint.guard import make_guard
from link.adapters.datajoint.inspector import DataJointInspector
from link.adapters.datajoint.line import Line, set_up_alone
from link.adapters.datajoint.local import DataJointLocal
from link.adapters.datajoint.outbound import DataJointOutbound
from link.adapters.datajoint.premises import DataJointPremises
from link.adapters.datajoint.source import DataJointSource
from link.domain.errors import DeclarationChanged, LinkedElsewhere, LocalTableExists, NoTerminal, NotLinkable
from link.infrastructure import connections
from link.infrastructure.linked_table import SourceTable
from link.infrastructure.operations import Place
from link.infrastructure.progress import Bar
from link.infrastructure.settings import from_environment
from link.use_cases.delete import delete, release_lost
from link.use_cases.doctor import doctor
from link.use_cases.ports import NothingStored, Ports
from link.use_cases.pull import pull
from link.use_cases.refresh import refresh
from link.use_cases.repair import repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from link.adapters.datajoint.model import EntityModel
    from link.adapters.datajoint.session import Session
    from link.adapters.datajoint.stores import StoreMap
    from link.infrastructure.lazy_schema import LazySchema
    from link.use_cases.ports import Objects, Removal
    from link.use_cases.results import DeleteResult, DoctorResult, PullResult, RefreshResult, RepairResult


@frozen(kw_only=True)
class LinkConfig:
    """What the user said."""

    class_name: str
    local: LazySchema
    source: LazySchema
    stores: StoreMap
    outbound: str | None
    allow_direct_insert: bool


@define
class _Run:
    """The lines of one operation, and the ports over them."""

    owner: UUID
    local: Line
    source: Line
    ports: Ports | None = None

    def hang_up(self) -> None:
        """Close both lines; the next use opens them again."""
        self.local.close()
        self.source.close()


@define
class LinkOperations:
    """The operations of one link; each opens private sessions and closes them at its end."""

    config: LinkConfig
    chunk: int = 10_000
    _source_name: str | None = field(default=None, init=False)

    @property
    def allow_direct_insert(self) -> bool:
        """Whether the user may insert rows of their own."""
        return self.config.allow_direct_insert

    @property
    def local_connection(self) -> dj.Connection:
        """The user's own connection."""
        return self.config.local.connection

    @property
    def outbound_schema(self) -> str:
        """The outbound schema's name; raises `SettingMissing` where nobody said it."""
        return self.config.outbound or from_environment("outbound", "LINK_OUTBOUND", f"{self.config.source}")

    # ---- where things are

    def place(self) -> Place:
        """Return where the local tables are; declare them from the source where they do not exist."""
        with self._lines() as run:
            linked = self._linked(run)
        tables = [table.name for table in linked.source.parts]
        master = linked.table
        parts = {to_camel_case(name[len(master) + 2 :]): name for name in tables}
        parts["DeletionRequested"] = declaration.requests_name(linked.source)
        connection = self.local_connection
        connection.dependencies.clear()
        return Place(connection=connection, schema=self.config.local.database, table=master, parts=parts)

    def _linked(self, run: _Run) -> linking.Linked:
        linked = linking.read_linked(run.local.session, self.config.class_name)
        if linked is None:
            outbound = self.outbound_schema
            entity = self._source_entity(run.source.session)
            self._refuse_itself(run)
            linking.declare(run.local.session, self.config.stores.declared(entity), self._origin(entity), outbound)
            linked = linking.read_linked(run.local.session, self.config.class_name)
        if linked is None:
            raise AssertionError
        return linked

    def _origin(self, entity: EntityModel) -> str:
        return f"{self.config.source.host}/{entity.master.schema}.{entity.master.name}"

    def _refuse_itself(self, run: _Run) -> None:
        """Raise where the local schema is the source's: the copy would be the source table."""
        local, source = run.local.session, run.source.session
        is_same = self.config.local.database == self.config.source.database and local.backend == source.backend
        if is_same and linking.server_id(local) == linking.server_id(source):
            raise LocalTableExists(table=f"{local.schema}.{self.config.class_name} (the source table itself)")

    def _source_entity(self, session: Session) -> EntityModel:
        return catalog.read_entity(session, self.config.source.database, self.config.class_name)

    def source(self) -> SourceTable:
        """Return the source table on a connection for browsing."""
        connection = self.config.source.raw_connection
        schema = self.config.source.database
        if self._source_name is None:
            session = connections.browsing(connection, schema)
            self._source_name = catalog.find_table(session, schema, self.config.class_name)
        return SourceTable(connection, connection.adapter.make_full_table_name(schema, self._source_name), self)

    # ---- operations

    def pull(self, selection: str | None) -> PullResult:
        """Pull from the source."""
        with self._ports(copying=True) as run:
            return pull(run.ports, selection)

    def refresh(self) -> RefreshResult:
        """Bring the requests in line."""
        with self._ports() as run:
            return refresh(run.ports)

    def delete(self, selection: str | None, *, prompt: bool | None) -> DeleteResult:
        """Delete from the local table; both lines are closed while a person thinks."""
        with self._ports() as run:
            return delete(run.ports, selection, self._confirm(run, prompt, "Commit deletes?"))

    def _confirm(self, run: _Run, prompt: bool | None, question: str) -> Callable[[Removal], bool]:
        ask = self.local_connection._config["safemode"] if prompt is None else prompt

        def confirm(removal: Removal) -> bool:
            if not ask:
                return True
            run.hang_up()
            shown = [f"{table} ({rows} tuples)" for table, rows in removal.counts.items()]
            return _answer("\n".join([*shown, question]))

        return confirm

    def drop(self, *, prompt: bool | None) -> bool:
        """Release all rows, give outbound back, drop the local tables; there is nothing to do where nothing is linked."""
        with self._lines() as run:
            if not linking.is_entered(run.local.session, self.config.class_name):
                return False
        with self._ports() as run:
            linked = self._linked(run)
            said = []

            def confirm(_: Removal | None = None) -> bool:
                goes = cascade.whole(run.local.session, self._local_table(run, linked))
                said.append(self._confirm(run, prompt, "Drop these tables with all their rows?")(goes))
                return said[-1]

            delete(run.ports, None, confirm)
            if not said:
                confirm()
            if not said[-1]:
                return False
            release_lost(run.ports)
            local = run.local.session
            with set_up_alone(local):
                with claiming.freed(run.source.session, linked.source, linked.link):
                    self._drop_tables(linked)
                linking.forget(local, linked.table)
            claiming.clear_away(run.source.session, linked.source)
        return True

    def _local_table(self, run: _Run, linked: linking.Linked) -> Any:
        connection = run.local.session.connection
        return dj.FreeTable(connection, connection.adapter.make_full_table_name(self.config.local.database, linked.table))

    def _drop_tables(self, linked: linking.Linked) -> None:
        connection = self.local_connection
        name = connection.adapter.make_full_table_name(self.config.local.database, linked.table)
        connection.dependencies.clear()
        dj.FreeTable(connection, name).drop(prompt=False)
        connection.dependencies.clear()

    def adopt(self, *, instead_of: str | None) -> None:
        """Make outbound serve the local table at its present place."""
        with self._lines() as run:
            linked, source = self._linked(run), run.source.session
            entity, mine = linked.source, self._claim(run, linked)
            linked = claiming.inherit(run.local.session, source, linked, entity, mine, instead_of)
            claiming.adopt(source, entity, self._claim(run, linked))
            linking.move(run.local.session, linked, self._origin(entity), self.outbound_schema)

    # ---- checking

    def doctor(self) -> DoctorResult:
        """Look at everything, change nothing."""
        with self._lines() as run:
            return doctor(self._premises(run), lambda: self._reading(run), own_rows=self.allow_direct_insert)

    def repair(self, *, release_lost: bool, prompt: bool | None) -> RepairResult:
        """Show what is wrong, ask, put right what can be."""
        with self._lines() as run:
            confirm = self._asked(run, prompt)
            return repair(
                self._premises(run),
                lambda: self._reading(run),
                confirm,
                release_lost=release_lost,
                own_rows=self.allow_direct_insert,
            )

    def _asked(self, run: _Run, prompt: bool | None) -> Callable[[DoctorResult], bool]:
        ask = self.local_connection._config["safemode"] if prompt is None else prompt

        def confirm(report: DoctorResult) -> bool:
            if not ask:
                return True
            run.hang_up()
            return _answer(f"{report}\nRepair?")

        return confirm

    def _premises(self, run: _Run) -> DataJointPremises:
        return DataJointPremises(
            local=lambda: run.local.session,
            source=lambda: run.source.session,
            class_name=self.config.class_name,
            source_schema=self.config.source.database,
            claim=lambda linked: self._claim(run, linked),
            version=_version(),
        )

    def _reading(self, run: _Run) -> Ports:
        """Return ports for tables that are known to be there, whomever outbound serves."""
        linked = linking.read_linked(run.local.session, self.config.class_name)
        if linked is None:
            raise AssertionError
        entity = self._source_entity(run.source.session)
        entry = claiming.read_entry(run.source.session, layout.OutboundNames.of(entity.master))
        if entry is None:
            raise AssertionError
        return self._ports_over(run, linked, entity, entry.guard)

    # ---- putting together

    @contextmanager
    def _lines(self) -> Iterator[_Run]:
        owner = uuid4()
        local, source = self.config.local, self.config.source
        run = _Run(
            owner,
            Line(open=lambda: connections.session(local.connection, local.database, local.timeout), owner=owner),
            Line(open=lambda: connections.session(source.raw_connection, self.outbound_schema, source.timeout), owner=owner),
        )
        try:
            yield run
        finally:
            run.hang_up()

    @contextmanager
    def _ports(self, *, copying: bool = False) -> Iterator[Any]:
        """Yield a run with its ports; only for copying has the source's declaration to be as it was."""
        with self._lines() as run:
            linked = self._linked(run)
            entity = self._entity(run, linked, copying=copying)
            self._refuse_elsewhere(run, linked, entity)
            kind = claiming.claim(run.source.session, entity, self._claim(run, linked))
            if copying:
                claiming.protects(run.source.session, entity, kind)
            run.ports = self._ports_over(run, linked, entity, kind)
            yield run

    def _entity(self, run: _Run, linked: linking.Linked, *, copying: bool) -> EntityModel:
        """Return the source's declaration; what was linked can be let go of whatever has become of the other columns."""
        try:
            now = self._source_entity(run.source.session)
        except NotLinkable:
            if copying:
                raise
            return linked.source
        changes = snapshot.differences(linked.source, now) if copying else snapshot.key_differences(linked.source, now)
        if changes:
            raise DeclarationChanged(table=f"{now.master.schema}.{now.master.name}", differences=changes)
        return now if copying else linked.source

    def _refuse_elsewhere(self, run: _Run, linked: linking.Linked, entity: EntityModel) -> None:
        """Raise `LinkedElsewhere` where the code names another source or outbound than the table was linked with.

        A host may be called otherwise from day to day; it is another one where its outbound knows nothing of this link.
        """
        origin, outbound = self._origin(entity), self.outbound_schema
        host, _, table = origin.partition("/")
        was_host, _, was_table = linked.origin.partition("/")
        names = layout.OutboundNames.of(entity.master)
        is_known = host == was_host or claiming.read_entry(run.source.session, names) is not None
        if is_known and (table, outbound) == (was_table, linked.outbound):
            return
        linked_to, wanted = f"{linked.origin} with outbound {linked.outbound}", f"{origin} with outbound {outbound}"
        raise LinkedElsewhere(table=f"{run.local.session.schema}.{linked.table}", linked_to=linked_to, wanted=wanted)

    def _ports_over(self, run: _Run, linked: linking.Linked, entity: EntityModel, guard_kind: str) -> Ports:
        names = layout.OutboundNames.of(entity.master)
        copies = linking.local_declaration(run.local.session, linked)

        bar = Bar()

        def tables() -> SourceTables:
            return SourceTables(session=run.source.session, entity=entity, names=names)

        source = DataJointSource(tables=tables)
        return Ports(
            source=source,
            outbound=DataJointOutbound(
                tables=tables,
                guard=make_guard(guard_kind, names),
                link=linked.link,
                place=self._claim(run, linked).place,
                who=_who(),
                version=_version(),
            ),
            local=DataJointLocal(
                session=lambda: run.local.session,
                entity=entity,
                copies=copies,
                link=linked.link,
            ),
            inspector=DataJointInspector(
                tables=tables, source=source, session=lambda: run.local.session, local=copies, link=linked.link
            ),
            progress=bar,
            objects=self._objects(run, entity, bar.carry),
            owner=run.owner,
            clock=time.monotonic,
            chunk=self.chunk,
        )

    def _objects(self, run: _Run, entity: EntityModel, told: Callable[[int, int], None]) -> Objects:
        if not entity.has_objects:
            return NothingStored()

        def beat() -> None:
            for line in (run.local, run.source):
                line.session.query("SELECT 1")

        return Carrier(stores=self.config.stores, entity=entity, session=lambda: run.local.session, beat=beat, told=told)

    def _claim(self, run: _Run, linked: linking.Linked) -> claiming.Claim:
        session = run.local.session
        label = f"{session.schema}.{linked.table} on {session.server}"
        return claiming.Claim(link=linked.link, place=linking.here(session, linked.table), label=label)


def _answer(question: str) -> bool:
    """Ask at the terminal or in the notebook; Ctrl-C is a "no". What goes is part of the question, so it is always seen."""
    try:
        return bool(user_choice(question, default="no") == "yes")
    except KeyboardInterrupt:
        return False
    except (EOFError, OSError, RuntimeError):  # no standard input, or a kernel that cannot ask
        raise NoTerminal from None


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
