"""Tying a local table to a source table: the source side, where one outbound table serves one local table."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from datajoint import lineage

from link.adapters.datajoint import declaration, grants, guard, layout, structure
from link.adapters.datajoint.catalog import steadily
from link.adapters.datajoint.dialect import dialect, read_id
from link.adapters.datajoint.line import LOCK_SECONDS, set_up_alone
from link.adapters.datajoint.linking import table_exists
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import Busy, LegacyOutbound, LocalSideMoved, LockWait, OutboundTaken, PrivilegeMissing, Unprotected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from link.adapters.datajoint.linking import Linked
    from link.adapters.datajoint.model import EntityModel
    from link.adapters.datajoint.session import Session

LOGGER = logging.getLogger("link")


@frozen(kw_only=True)
class Claim:
    """What a local table says of itself when it claims an outbound table."""

    link: UUID
    place: str
    label: str
    """The local table as messages and the guard name it."""


def claim(session: Session, entity: EntityModel, mine: Claim) -> str:
    """Make outbound on first use, see that it serves this local table and no other, and return its guard's kind."""
    names = layout.OutboundNames.of(entity.master)
    kind = _registered(session, names, entity, mine)
    if kind is None:
        with waiting(session, entity), set_up_alone(session):
            kind = _registered(session, names, entity, mine) or _make(session, names, entity, mine)
    grants.look_after(session, names, entity.master)
    return kind


@frozen(kw_only=True)
class Entry:
    """Whom an outbound table serves, as the registry says."""

    link: UUID
    source: tuple[str, str]
    """Schema and table."""
    place: str
    label: str
    guard: str
    layout: int


def read_entry(session: Session, names: layout.OutboundNames) -> Entry | None:
    """Return whom an outbound table serves; None where it is nobody's."""
    if not table_exists(session, layout.REGISTRY):
        return None
    found = session.query(
        f"SELECT link, source_schema, source_table, local_server, local_table, guard, layout"
        f" FROM {session.table(layout.REGISTRY)} WHERE outbound_table = %s",
        (names.master,),
    )
    for link, schema, table, place, label, kind, version in found:
        return Entry(
            link=read_id(link), source=(schema, table), place=place, label=label, guard=str(kind), layout=int(version)
        )
    return None


@contextmanager
def waiting(session: Session, entity: EntityModel) -> Iterator[None]:
    """Say who holds the source table where a definition has to wait for it for too long."""
    try:
        yield
    except Refused as error:
        if error.refusal is not Refusal.LOCK_TIMEOUT:
            raise
        holders = grants.lock_holders(session, entity.master)
        raise LockWait(table=entity.master.name, holders=holders, seconds=LOCK_SECONDS) from None


def _registered(session: Session, names: layout.OutboundNames, entity: EntityModel, mine: Claim) -> str | None:
    """Return the guard's kind where outbound is this link's already, None where it is nobody's."""
    entry = read_entry(session, names)
    if entry is None:
        return None
    outbound = f"{session.schema}.{names.master}"
    if entry.link != mine.link or entry.source != (entity.master.schema, entity.master.name):
        taken_by = f"{entry.label} (for {'.'.join(entry.source)})"
        raise OutboundTaken(outbound=outbound, taken_by=taken_by, wanted_by=mine.label, place=entry.place)
    if entry.place != mine.place:
        raise LocalSideMoved(outbound=outbound, linked=entry.place, here=mine.place)
    return entry.guard


def _make(session: Session, names: layout.OutboundNames, entity: EntityModel, mine: Claim) -> str:
    if table_exists(session, names.master) and not _is_ours(session, names):
        raise LegacyOutbound(outbound=f"{session.schema}.{names.master}")
    _make_tables(session, names, entity)
    kind = guard.install(session, names, entity.master, mine.label)
    _befriend(session, names, entity, kind)
    return _register(session, names, entity, mine, kind)


def make_again(session: Session, entity: EntityModel, mine: Claim) -> None:
    """Make what is missing or altered of outbound's tables and of their guard, which stays of the kind that it was.

    Raises as `claim` does where outbound is not this local table's.
    """
    names = layout.OutboundNames.of(entity.master)
    _registered(session, names, entity, mine)
    entry, keys = read_entry(session, names), _keys(session, entity)
    if structure.missing_tables(session, names):
        _make_tables(session, names, entity)
    if entry is not None and structure.guard_faults(session, names, entry.guard, keys):
        try:
            guard.reinstall(session, names, entity.master, mine.label, entry.guard)
        except PrivilegeMissing as error:  # what can be done about keys is done all the same, and this stays a finding
            LOGGER.info("%s", error)
        _befriend(session, names, entity, entry.guard)


def _keys(session: Session, entity: EntityModel) -> list[str]:
    return [session.quote(column.name) for column in entity.master.key]


def _make_tables(session: Session, names: layout.OutboundNames, entity: EntityModel) -> None:
    for statement in layout.journal(session):
        session.query(statement)
    _indexed(session, layout.journal_index(session))
    columns = declaration.outbound_columns(entity.master.key, session)
    for statement in layout.outbound(session, names, entity.master, columns):
        steadily(partial(session.query, statement))
    for statement in layout.outbound_indexes(session, names):
        session.query(statement)
    for name in names.all:
        for statement in declaration.outbound_comments(entity.master, session, session.table(name)):
            session.query(statement)


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
    entries = [(name, column.name, column.lineage) for name in names.all for column in entity.master.key if column.lineage]
    if kind == guard.ROWS:
        entries += [(names.guard, column.name, column.lineage) for column in entity.master.key if column.lineage]
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


def inherit(local: Session, source: Session, linked: Linked, entity: EntityModel, mine: Claim, gone: str | None) -> Linked:
    """Take the identity of the local table that outbound serves, where that one is gone; return the table as it is then.

    It is gone where another one stands in its very place (its schema was dropped without Link), or where the user says so by
    naming that place as `gone`. A table with rows keeps its own identity: those rows may be registered under it.
    """
    entry = read_entry(source, layout.OutboundNames.of(entity.master))
    if entry is None or entry.link == mine.link:
        return linked
    has_rows = bool(local.query(f"SELECT 1 FROM {local.table(linked.table)} LIMIT 1"))
    if has_rows or entry.source != (entity.master.schema, entity.master.name) or entry.place not in {mine.place, gone}:
        outbound = f"{source.schema}.{layout.OutboundNames.of(entity.master).master}"
        taken_by = f"{entry.label} (for {'.'.join(entry.source)})"
        raise OutboundTaken(outbound=outbound, taken_by=taken_by, wanted_by=mine.label, place=entry.place)
    speech = dialect(local)
    local.query(
        f"UPDATE {local.table(layout.TABLES)} SET link = {speech.uuid} WHERE table_name = %s",
        (speech.id(entry.link), linked.table),
    )
    return evolve(linked, link=entry.link)


def adopt(session: Session, entity: EntityModel, mine: Claim) -> None:
    """Make outbound serve the local table at its present place; only its own link can."""
    speech, names = dialect(session), layout.OutboundNames.of(entity.master)
    session.query(
        f"UPDATE {session.table(layout.REGISTRY)} SET local_server = %s, local_table = %s"
        f" WHERE outbound_table = %s AND link = {speech.uuid}",
        (mine.place, mine.label, names.master, speech.id(mine.link)),
    )


def protects(session: Session, entity: EntityModel, kind: str) -> None:
    """Raise `Unprotected` where outbound's foreign keys or triggers are not as they were made; `kind` is the guard's."""
    names = layout.OutboundNames.of(entity.master)
    faults = [fault.detail for fault in structure.foreign_key_faults(session, names, entity.master)]
    if kind == guard.TRIGGER:
        faults += structure.guard_faults(session, names, kind, _keys(session, entity))
    if faults:
        raise Unprotected(table=f"{session.schema}.{names.master}", faults=faults)


def clear_away(session: Session, entity: EntityModel) -> None:
    """Drop outbound where it is nobody's and empty, so that nothing of Link hangs on the source table any more.

    Approved rows that lab S has not deleted yet keep it. Where somebody has the tables open, or the link user may not drop
    them, they stay, which does little harm.
    """
    names = layout.OutboundNames.of(entity.master)
    try:
        with set_up_alone(session):
            left = session.query(f"SELECT 1 FROM {session.table(names.master)} LIMIT 1")
            if not left and read_entry(session, names) is None:
                _drop_tables(session, names)
    except PrivilegeMissing as error:
        LOGGER.warning("%s.%s is free, and stays: %s", session.schema, names.master, error)
    except Refused as error:
        if error.refusal is not Refusal.LOCK_TIMEOUT:
            raise
        LOGGER.warning("%s.%s is free, and stays because somebody reads it", session.schema, names.master)


def _drop_tables(session: Session, names: layout.OutboundNames) -> None:
    for name in (names.requested, names.approved, names.guard, names.master):
        session.query(f"DROP TABLE IF EXISTS {session.table(name)}")
        lineage.delete_table_lineages(session.connection, session.schema, name)
    if session.backend == "postgresql":
        session.query(f"DROP FUNCTION IF EXISTS {session.table(names.guard)}()")


@contextmanager
def freed(session: Session, entity: EntityModel, link: UUID) -> Iterator[None]:
    """Give outbound back: another local table may claim it once the block is through.

    From the start of the block on no transfer can be opened for it: those who try wait for its end and are refused then.
    Raises `Busy` where something is still registered, because another process has pulled meanwhile.
    """
    speech, names = dialect(session), layout.OutboundNames.of(entity.master)
    same = " AND ".join(f"a.{key} = o.{key}" for key in _keys(session, entity))
    with session.transaction("of the end of a link"):
        session.query(
            f"DELETE FROM {session.table(layout.REGISTRY)} WHERE outbound_table = %s AND link = {speech.uuid}",
            (names.master, speech.id(link)),
        )
        left = session.query(
            f"SELECT 1 FROM {session.table(names.master)} o"
            f" WHERE NOT EXISTS (SELECT 1 FROM {session.table(names.approved)} a WHERE {same}) LIMIT 1"
        )
        if left:
            raise Busy(what_is_busy=f"Outbound table {names.master}", who="another process, which pulls", since="a moment ago")
        yield
