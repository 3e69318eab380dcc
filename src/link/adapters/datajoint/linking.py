"""Tying a local table to a source table: the local side, its tables and its identity."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from attrs import evolve, frozen

from link.adapters.datajoint import catalog, declaration, layout, snapshot
from link.adapters.datajoint.dialect import dialect, read_id
from link.adapters.datajoint.line import set_up_alone
from link.adapters.datajoint.model import EntityModel, TableModel
from link.domain.errors import DeclarationChanged, LocalTableExists

if TYPE_CHECKING:
    from link.adapters.datajoint.session import Session


@frozen(kw_only=True)
class Linked:
    """A local table that exists, as the local server knows it."""

    link: UUID
    table: str
    source: EntityModel
    """The source's declaration when it was linked."""
    server: str
    """Where the local table was made: server id, database, schema and table."""
    origin: str
    """Host, schema and table of the source as the code said them: `host/schema.table`."""
    outbound: str
    """The outbound schema as the code said it."""


def server_id(session: Session) -> str:
    """Return what tells this server from every other one, but on PostgreSQL and MySQL not from a copy of its very files."""
    if session.backend == "postgresql":
        return str(session.query("SELECT system_identifier::text || '/' || current_database() FROM pg_control_system()")[0][0])
    variable = "server_uid" if session.mariadb else "server_uuid"
    return str(session.query(f"SELECT @@{variable}")[0][0])


def table_exists(session: Session, name: str) -> bool:
    """Whether the session's schema has a table of this name."""
    if session.backend == "postgresql":
        found = session.query(
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            (session.schema, name),
        )
    else:
        found = session.query(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
            (session.schema, name),
        )
    return bool(found)


def read_linked(session: Session, class_name: str) -> Linked | None:
    """Return the linked table of a class, or None where there is none yet."""
    if not table_exists(session, layout.TABLES):
        return None
    names = [tier + catalog.snake_case(class_name) for tier in catalog.TIERS]
    return next((found for name in names if (found := read_linked_table(session, name)) is not None), None)


def read_linked_table(session: Session, table: str) -> Linked | None:
    """Return the linked table of this name, or None where it is not linked or does not exist (any more)."""
    found = session.query(
        f"SELECT link, server, source, outbound, model FROM {session.table(layout.TABLES)} WHERE table_name = %s", (table,)
    )
    if not found or not table_exists(session, table):
        return None
    link, server, origin, outbound, model = found[0]
    text = model.decode() if isinstance(model, bytes) else model
    return Linked(link=read_id(link), table=table, source=snapshot.load(text), server=server, origin=origin, outbound=outbound)


def declare(session: Session, entity: EntityModel, source: str, outbound: str) -> None:
    """Make the local tables; doing it again after an interruption goes on where it was interrupted."""
    with set_up_alone(session):
        for statement in layout.local(session):
            session.query(statement)
        if read_linked_table(session, entity.master.name) is None:
            _refuse_strangers(session, entity)
            _declare(session, entity, source, outbound)


def _refuse_strangers(session: Session, entity: EntityModel) -> None:
    """Raise `LocalTableExists` for a table that is not what an interrupted declaration has left: empty, with these columns."""
    for table in entity.tables:
        if not table_exists(session, table.name):
            continue
        found = catalog.of(session).columns(session, session.schema, [table.name])[table.name]
        own = {column.name for column in found} == {column.name for column in table.columns}
        if not own or session.query(f"SELECT 1 FROM {session.table(table.name)} LIMIT 1"):
            raise LocalTableExists(table=f"{session.schema}.{table.name}")


def is_unused(session: Session, linked: Linked) -> bool:
    """Whether the link has never moved a row: it has decided nothing, and its table is empty."""
    speech = dialect(session)
    decided = session.query(
        f"SELECT 1 FROM {session.table(layout.DECISIONS)} WHERE link = {speech.uuid} LIMIT 1", (speech.id(linked.link),)
    )
    return not decided and not session.query(f"SELECT 1 FROM {session.table(linked.table)} LIMIT 1")


def move(session: Session, linked: Linked, origin: str, outbound: str) -> None:
    """Enter that source and outbound are called otherwise now."""
    session.query(
        f"UPDATE {session.table(layout.TABLES)} SET source = %s, outbound = %s WHERE table_name = %s",
        (origin, outbound, linked.table),
    )


def _declare(session: Session, entity: EntityModel, source: str, outbound: str) -> None:
    """Make the tables, then what DataJoint has to know of them; that they are linked is entered last."""
    make = [*declaration.copy_statements(entity, session), *declaration.requests_statements(entity, session)]
    is_whole = session.backend == "postgresql"
    with session.transaction("of the local declaration") if is_whole else nullcontext():
        for statement in make:
            session.query(statement)
        for statement, args in declaration.lineage_statements(entity, session):
            session.query(statement, args)
        for statement, args in declaration.other_lineage_statements(session):
            session.query(statement, args)
        _enter(session, entity, source, outbound)


def is_entered(session: Session, class_name: str) -> bool:
    """Whether the class has been linked here and not been dropped through Link, be its table there or not."""
    if not table_exists(session, layout.TABLES):
        return False
    names = [tier + catalog.snake_case(class_name) for tier in catalog.TIERS]
    marks = ", ".join(["%s"] * len(names))
    return bool(session.query(f"SELECT 1 FROM {session.table(layout.TABLES)} WHERE table_name IN ({marks})", names))


def _enter(session: Session, entity: EntityModel, source: str, outbound: str) -> None:
    """Enter the table; one that was dropped behind Link's back keeps its identity, and so its registrations."""
    speech, name = dialect(session), entity.master.name
    known = session.query(f"SELECT link FROM {session.table(layout.TABLES)} WHERE table_name = %s", (name,))
    link = read_id(known[0][0]) if known else uuid4()
    session.query(f"DELETE FROM {session.table(layout.TABLES)} WHERE table_name = %s", (name,))
    session.query(
        f"INSERT INTO {session.table(layout.TABLES)} (table_name, link, server, source, outbound, model, made)"
        f" VALUES (%s, {speech.uuid}, %s, %s, %s, %s, {speech.now})",
        (name, speech.id(link), here(session, name), source, outbound, snapshot.dump(entity)),
    )


def here(session: Session, table: str) -> str:
    """Return the place of a local table among all servers."""
    return f"{server_id(session)}/{session.schema}.{table}"


def local_declaration(session: Session, linked: Linked) -> EntityModel:
    """Return how the copies are declared on the local server now; raise `DeclarationChanged` where columns are missing."""
    return catalog.steadily(lambda: _local_declaration(session, linked))


def _local_declaration(session: Session, linked: Linked) -> EntityModel:
    tables = catalog.read_tables(session, session.schema, [table.name for table in linked.source.tables])
    for source, copy in zip(linked.source.tables, tables, strict=True):
        missing = {column.name for column in source.columns} - {column.name for column in copy.columns}
        if missing:
            raise DeclarationChanged(table=copy.name, differences=[f"column {name!r} is gone" for name in sorted(missing)])
    ordered = [_ordered(source, copy) for source, copy in zip(linked.source.tables, tables, strict=True)]
    return EntityModel(backend=session.backend, master=ordered[0], parts=tuple(ordered[1:]))


def _ordered(source: TableModel, copy: TableModel) -> TableModel:
    """Return the copy with its columns in the source's order, which is the order on the wire."""
    own = {column.name: column for column in copy.columns}
    columns = tuple(own[column.name] for column in source.columns)
    return evolve(copy, columns=columns, key_order=tuple(column.name for column in source.key))


def missing_tables(session: Session, linked: Linked) -> list[str]:
    """Return which of Link's own tables beside a local table are not there."""
    wanted = (layout.DECISIONS, declaration.requests_name(linked.source))
    return [name for name in wanted if not table_exists(session, name)]


def make_again(session: Session, linked: Linked) -> None:
    """Make those tables again, empty."""
    with set_up_alone(session):
        missing = missing_tables(session, linked)
        for statement in layout.local(session) if layout.DECISIONS in missing else ():
            session.query(statement)
        if declaration.requests_name(linked.source) in missing:
            for statement in declaration.requests_statements(linked.source, session):
                session.query(statement)


def forget(session: Session, table: str) -> None:
    """Strike a dropped table off the register of linked tables."""
    session.query(f"DELETE FROM {session.table(layout.TABLES)} WHERE table_name = %s", (table,))
