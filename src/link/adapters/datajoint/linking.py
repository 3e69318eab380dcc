"""Tying a local table to a source table: the local side's identity, and the claim on outbound."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from attrs import evolve, frozen
from datajoint import lineage

from link.adapters.datajoint import catalog, declaration, grants, guard, layout, snapshot
from link.adapters.datajoint.dialect import dialect, read_id
from link.adapters.datajoint.line import LOCK_SECONDS, set_up_alone
from link.adapters.datajoint.model import EntityModel, TableModel
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import DeclarationChanged, LegacyOutbound, LocalSideMoved, LockWait, OutboundTaken

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


def server_id(session: Session) -> str:
    """Return what tells this server from every other one, and from a copy of its files on another machine."""
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


# ---- the local side


def read_linked(session: Session, class_name: str) -> Linked | None:
    """Return the linked table of a class, or None where there is none yet."""
    if not table_exists(session, layout.TABLES):
        return None
    names = [tier + catalog.snake_case(class_name) for tier in catalog.TIERS]
    return next((found for name in names if (found := read_linked_table(session, name)) is not None), None)


def read_linked_table(session: Session, table: str) -> Linked | None:
    """Return the linked table of this name, or None where it is not linked or does not exist (any more)."""
    found = session.query(f"SELECT link, server, model FROM {session.table(layout.TABLES)} WHERE table_name = %s", (table,))
    if not found or not table_exists(session, table):
        return None
    link, server, model = found[0]
    text = model.decode() if isinstance(model, bytes) else model
    return Linked(link=read_id(link), table=table, source=snapshot.load(text), server=server)


def declare(session: Session, entity: EntityModel, source: str, outbound: str) -> None:
    """Make the local tables; doing it again after an interruption goes on where it was interrupted."""
    with set_up_alone(session):
        for statement in layout.local(session):
            session.query(statement)
        if read_linked_table(session, entity.master.name) is None:
            _declare(session, entity, source, outbound)


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


def forget(session: Session, table: str) -> None:
    """Strike a dropped table off the register of linked tables."""
    session.query(f"DELETE FROM {session.table(layout.TABLES)} WHERE table_name = %s", (table,))


# ---- the source side


@frozen(kw_only=True)
class Claim:
    """What a local table says of itself when it claims an outbound table."""

    link: UUID
    place: str
    label: str
    """The local table as messages and the guard name it."""


def claim(session: Session, entity: EntityModel, mine: Claim) -> guard.Guard:
    """Make outbound on first use, see that it serves this local table and no other, and return its guard."""
    names = layout.OutboundNames.of(entity.master)
    kind = _registered(session, names, entity, mine)
    if kind is None:
        try:
            with set_up_alone(session):
                kind = _registered(session, names, entity, mine) or _make(session, names, entity, mine)
        except Refused as error:
            if error.refusal is not Refusal.LOCK_TIMEOUT:
                raise
            holders = grants.lock_holders(session, entity.master)
            raise LockWait(table=entity.master.name, holders=holders, seconds=LOCK_SECONDS) from None
    grants.look_after(session, names, entity.master)
    return guard.make_guard(kind, names)


def _registered(session: Session, names: layout.OutboundNames, entity: EntityModel, mine: Claim) -> str | None:
    """Return the guard's kind where outbound is this link's already, None where it is nobody's."""
    if not table_exists(session, layout.REGISTRY):
        return None
    found = session.query(
        f"SELECT link, source_schema, source_table, local_server, local_table, guard"
        f" FROM {session.table(layout.REGISTRY)} WHERE outbound_table = %s",
        (names.master,),
    )
    if not found:
        return None
    link, schema, table, place, label, kind = found[0]
    outbound = f"{session.schema}.{names.master}"
    if read_id(link) != mine.link or (schema, table) != (entity.master.schema, entity.master.name):
        raise OutboundTaken(outbound=outbound, taken_by=f"{label} (for {schema}.{table})", wanted_by=mine.label)
    if place != mine.place:
        raise LocalSideMoved(outbound=outbound, linked=place, here=mine.place)
    return str(kind)


def _make(session: Session, names: layout.OutboundNames, entity: EntityModel, mine: Claim) -> str:
    if table_exists(session, names.master) and not _is_ours(session, names):
        raise LegacyOutbound(outbound=f"{session.schema}.{names.master}")
    for statement in layout.journal(session):
        session.query(statement)
    _indexed(session, layout.journal_index(session))
    columns = declaration.outbound_columns(entity.master, session)
    for statement in layout.outbound(session, names, entity.master, columns):
        session.query(statement)
    for statement in layout.outbound_indexes(session, names):
        session.query(statement)
    for name in (names.master, names.requested, names.approved):
        for statement in declaration.outbound_comments(entity.master, session, session.table(name)):
            session.query(statement)
    keys = [session.quote(column.name) for column in entity.master.key]
    kind = guard.install(session, names, keys, mine.label)
    _befriend(session, names, entity, kind)
    return _register(session, names, entity, mine, kind)


def _is_ours(session: Session, names: layout.OutboundNames) -> bool:
    found = session.query(
        "SELECT 1 FROM information_schema.columns WHERE table_schema = %s AND table_name = %s AND column_name = %s",
        (session.schema, names.master, layout.TRANSFER),
    )
    return bool(found)


def _indexed(session: Session, statement: str) -> None:
    """Make an index that MySQL cannot be asked to make only if it is not there."""
    try:
        session.query(statement)
    except Refused as error:
        if error.code != "1061":
            raise


def _befriend(session: Session, names: layout.OutboundNames, entity: EntityModel, kind: str) -> None:
    """Make what DataJoint's clients at lab S look for: lineages (2.x), a log (0.14, MySQL family)."""
    lineage.ensure_lineage_table(session.connection, session.schema)
    entries = [
        (name, column.name, column.lineage)
        for name in (names.master, names.requested, names.approved)
        for column in entity.master.key
        if column.lineage
    ]
    if kind == guard.ROWS:
        entries.append((names.guard, "guarded", f"{session.schema}.{names.guard}.guarded"))
        entries.append((names.master, layout.HELD, f"{session.schema}.{names.guard}.guarded"))
    lineage.insert_lineages(session.connection, session.schema, entries)
    if session.backend == "mysql":
        session.query(
            f"CREATE TABLE IF NOT EXISTS {session.table('~log')} (id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,"
            " timestamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, version varchar(12) NOT NULL,"
            " user varchar(255) NOT NULL, host varchar(255) NOT NULL DEFAULT '', event varchar(255) NOT NULL DEFAULT '')"
            " ENGINE=InnoDB"
        )


def _register(session: Session, names: layout.OutboundNames, entity: EntityModel, mine: Claim, kind: str) -> str:
    speech = dialect(session)
    try:
        session.query(
            f"INSERT INTO {session.table(layout.REGISTRY)} (outbound_table, link, source_schema, source_table,"
            f" local_server, local_table, guard, layout, made)"
            f" VALUES (%s, {speech.uuid}, %s, %s, %s, %s, %s, %s, {speech.now})",
            (
                names.master,
                speech.id(mine.link),
                entity.master.schema,
                entity.master.name,
                mine.place,
                mine.label,
                kind,
                layout.LAYOUT,
            ),
        )
    except Refused as error:
        if error.refusal is not Refusal.DUPLICATE:
            raise
        return _registered(session, names, entity, mine) or kind
    return kind


def adopt(session: Session, entity: EntityModel, mine: Claim) -> None:
    """Make outbound serve the local table at its present place; only its own link can."""
    speech, names = dialect(session), layout.OutboundNames.of(entity.master)
    session.query(
        f"UPDATE {session.table(layout.REGISTRY)} SET local_server = %s, local_table = %s"
        f" WHERE outbound_table = %s AND link = {speech.uuid}",
        (mine.place, mine.label, names.master, speech.id(mine.link)),
    )


def free(session: Session, entity: EntityModel, link: UUID) -> None:
    """Give outbound back: another local table may claim it."""
    speech, names = dialect(session), layout.OutboundNames.of(entity.master)
    session.query(
        f"DELETE FROM {session.table(layout.REGISTRY)} WHERE outbound_table = %s AND link = {speech.uuid}",
        (names.master, speech.id(link)),
    )
