"""One link's operations, each a use case over the ports of a run."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import datajoint as dj
from attrs import define, field
from datajoint.utils import to_camel_case, user_choice

from link.adapters.datajoint import backups, cascade, catalog, claiming, declaration, linking
from link.adapters.datajoint.line import set_up_alone
from link.domain.errors import NoTerminal
from link.infrastructure import connections
from link.infrastructure.operations import Place
from link.infrastructure.progress import Bar
from link.infrastructure.run import Run
from link.infrastructure.source_table import SourceTable
from link.use_cases.delete import delete, release_lost
from link.use_cases.doctor import doctor
from link.use_cases.pull import pull
from link.use_cases.refresh import refresh
from link.use_cases.repair import repair
from link.use_cases.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from link.infrastructure.run import LinkConfig
    from link.use_cases.ports import Removal
    from link.use_cases.results import DeleteResult, DoctorResult, PullResult, RefreshResult, RepairResult, VerifyResult


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

    # ---- where things are

    def place(self) -> Place:
        """Return where the local tables are; declare them from the source where they do not exist."""
        with Run.begin(self.config, self.chunk) as run:
            linked = run.linked()
        tables = [table.name for table in linked.source.parts]
        master = linked.table
        parts = {to_camel_case(name[len(master) + 2 :]): name for name in tables}
        parts["DeletionRequested"] = declaration.requests_name(linked.source)
        connection = self.local_connection
        connection.dependencies.clear()
        return Place(connection=connection, schema=self.config.local.database, table=master, parts=parts)

    def source(self) -> SourceTable:
        """Return the source table on a connection for browsing."""
        connection = self.config.source.raw_connection
        schema = self.config.source.database
        if self._source_name is None:
            session = connections.browsing(connection, schema)
            self._source_name = catalog.steadily(lambda: catalog.find_table(session, schema, self.config.class_name))
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

    def _confirm(self, run: Run, prompt: bool | None, question: str) -> Callable[[Removal], bool]:
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
        with Run.begin(self.config, self.chunk) as run:
            if not linking.is_entered(run.local.session, self.config.class_name):
                return False
        with self._ports() as run:
            linked = run.linked()
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

    def _local_table(self, run: Run, linked: linking.Linked) -> Any:
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
        with Run.begin(self.config, self.chunk) as run:
            linked, source = run.linked(), run.source.session
            entity, mine = linked.source, run.claim(linked)
            linked = claiming.inherit(run.local.session, source, linked, entity, mine, instead_of)
            claiming.adopt(source, entity, run.claim(linked))
            backups.catch_up(source, run.local.session, linked)
            linking.move(run.local.session, linked, run.origin(entity), self.config.outbound_schema)

    # ---- checking

    def doctor(self) -> DoctorResult:
        """Look at everything, change nothing."""
        with Run.begin(self.config, self.chunk) as run:
            return doctor(run.premises(), run.reading, own_rows=self.allow_direct_insert)

    def repair(self, *, release_lost: bool, prompt: bool | None) -> RepairResult:
        """Show what is wrong, ask, put right what can be."""
        with Run.begin(self.config, self.chunk) as run:
            confirm = self._asked(run, prompt)
            return repair(
                run.premises(),
                run.reading,
                confirm,
                release_lost=release_lost,
                own_rows=self.allow_direct_insert,
            )

    def verify(self, selection: str | None, *, deep: bool) -> VerifyResult:
        """Look at the local objects; the source is asked only where the local table is not declared yet."""
        with Run.begin(self.config, self.chunk) as run:
            return verify(run.contents(), selection, Bar(), time.monotonic, deep=deep)

    def _asked(self, run: Run, prompt: bool | None) -> Callable[[DoctorResult], bool]:
        ask = self.local_connection._config["safemode"] if prompt is None else prompt

        def confirm(report: DoctorResult) -> bool:
            if not ask:
                return True
            run.hang_up()
            return _answer(f"{report}\nRepair?")

        return confirm

    @contextmanager
    def _ports(self, *, copying: bool = False) -> Iterator[Any]:
        """Yield a run with its ports; only for copying has the source's declaration to be as it was."""
        with Run.begin(self.config, self.chunk) as run:
            linked = run.linked()
            entity = run.entity(linked, copying=copying)
            run.follow(linked, entity)
            kind = claiming.claim(run.source.session, entity, run.claim(linked))
            backups.refuse_behind(run.source.session, run.local.session, linked)
            if copying:
                catalog.steadily(lambda: claiming.protects(run.source.session, entity, kind))
            run.ports = run.over(linked, entity, kind)
            yield run


def _answer(question: str) -> bool:
    """Ask at the terminal or in the notebook; Ctrl-C is a "no". What goes is part of the question, so it is always seen."""
    try:
        return bool(user_choice(question, default="no") == "yes")
    except KeyboardInterrupt:
        return False
    except (EOFError, OSError, RuntimeError):  # no standard input, or a kernel that cannot ask
        raise NoTerminal from None
