"""What Link's own tables at the source look like now, against what they were made as: reads of the catalog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import field, frozen

from link.adapters.datajoint import guard, layout
from link.adapters.datajoint.found import places
from link.adapters.datajoint.layout import HELD, JOURNAL, REGISTRY, TRANSFER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.datajoint.layout import OutboundNames
    from link.adapters.datajoint.model import TableModel
    from link.adapters.datajoint.session import Session

MESSAGE = "'~'"
"""Stands for the literal of the refusal, which names the local server as it was called when the guard was made."""
FOR_ROWS, FOR_ALL = 1 | 2 | 8 | 16, 2 | 32
"""PostgreSQL's kinds of trigger: before delete or update of each row, before truncate."""

_POSTGRESQL_TRIGGERS = """
SELECT t.tgname, t.tgtype::int, t.tgenabled::text IN ('O', 'A'), p.prosrc
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND NOT t.tgisinternal"""

_MYSQL_TRIGGERS = """
SELECT EVENT_MANIPULATION, ACTION_STATEMENT FROM information_schema.TRIGGERS
WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s AND ACTION_TIMING = 'BEFORE'"""

_POSTGRESQL_KEYS = """
SELECT f.conname, c.relname, pn.nspname, p.relname, f.confupdtype::text, f.confdeltype::text, f.convalidated
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = f.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE f.contype = 'f' AND n.nspname = %s AND c.relname IN ({places})"""

_MYSQL_KEYS = """
SELECT r.CONSTRAINT_NAME, r.TABLE_NAME, r.UNIQUE_CONSTRAINT_SCHEMA, r.REFERENCED_TABLE_NAME, r.UPDATE_RULE, r.DELETE_RULE, 1
FROM information_schema.REFERENTIAL_CONSTRAINTS r
WHERE r.CONSTRAINT_SCHEMA = %s AND r.TABLE_NAME IN ({places})"""

RULES = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def missing_tables(session: Session, names: OutboundNames) -> list[str]:
    """Return which of the tables of a link at the source are not there."""
    wanted = [JOURNAL, REGISTRY, names.master, names.requested, names.approved]
    table = "pg_catalog.pg_tables WHERE schemaname" if session.backend == "postgresql" else ""
    name = "tablename" if table else "table_name"
    place = table or "information_schema.tables WHERE table_schema"
    found = session.query(f"SELECT {name} FROM {place} = %s AND {name} IN ({places(wanted)})", (session.schema, *wanted))
    there = {str(row[0]) for row in found}
    return [each for each in wanted if each not in there]


# ---- foreign keys


@frozen(kw_only=True)
class KeyFault:
    """A foreign key of outbound or its flags that is not as it was made."""

    table: str
    parent: str
    """Quoted, with its schema."""
    altered: Sequence[str] = field(factory=list)
    """The names of constraints that are there, but with other rules."""
    detail: str


def foreign_key_faults(session: Session, names: OutboundNames, source: TableModel) -> list[KeyFault]:
    """Return what is wrong with the foreign keys of outbound and its flags."""
    wanted = {
        names.master: (source.schema, source.name),
        names.requested: (session.schema, names.master),
        names.approved: (session.schema, names.master),
    }
    statement = _POSTGRESQL_KEYS if session.backend == "postgresql" else _MYSQL_KEYS
    found = session.query(statement.format(places=places(list(wanted))), (session.schema, *wanted))
    faults = []
    for table, (schema, parent) in wanted.items():
        rows = [row for row in found if (row[1], row[2], row[3]) == (table, schema, parent)]
        sound = [row for row in rows if _is_sound(session, row)]
        altered = {str(row[0]): _rules(row) for row in rows if row not in sound}
        if altered or not sound:
            told = f"{table} has none to {schema}.{parent}" if not rows else f"{table}: {'; '.join(altered.values())}"
            faults.append(KeyFault(table=table, parent=session.table(parent, schema), altered=list(altered), detail=told))
    return faults


def _is_sound(session: Session, row: tuple[object, ...]) -> bool:
    allowed = {"a"} if session.backend == "postgresql" else {"RESTRICT", "NO ACTION"}
    return {row[4], row[5]} <= allowed and bool(row[6])


def _rules(row: tuple[object, ...]) -> str:
    update, delete = (RULES.get(str(rule), str(rule)) for rule in row[4:6])
    return f"ON UPDATE {update} ON DELETE {delete}{'' if row[6] else ', never checked (NOT VALID)'}"


def foreign_key_statements(session: Session, fault: KeyFault, source: TableModel) -> list[str]:
    """Make the foreign key, then drop what is there instead of it, so that there is one at any time."""
    keys = ", ".join(session.quote(column.name) for column in source.key)
    table = session.table(fault.table)
    kind = "CONSTRAINT" if session.backend == "postgresql" else "FOREIGN KEY"
    return [
        f"ALTER TABLE {table} ADD {layout.foreign_key(session, keys, fault.parent)}",
        *(f"ALTER TABLE {table} DROP {kind} {session.quote(name)}" for name in fault.altered),
    ]


# ---- the guard


def guard_faults(session: Session, names: OutboundNames, kind: str, keys: Sequence[str]) -> list[str]:
    """Return what is missing of the guard or not as it was made; `keys` are the key columns, quoted."""
    if kind == guard.ROWS:
        return _row_guard_faults(session, names, keys)
    if session.backend == "postgresql":
        return _postgresql_faults(session, names, keys)
    wanted = guard.mysql_bodies(keys, MESSAGE)
    found = dict(session.query(_MYSQL_TRIGGERS, (session.schema, names.master)))
    faults = {
        event: "is gone, or cannot be seen without the right TRIGGER" if event not in found else "was altered"
        for event in wanted
    }
    return [
        f"the trigger for {event} {faults[event]}" for event, body in wanted.items() if not _same(body, found.get(event, ""))
    ]


def _postgresql_faults(session: Session, names: OutboundNames, keys: Sequence[str]) -> list[str]:
    body = guard.postgresql_body(session, names, keys, MESSAGE)
    found = {row[0]: row[1:] for row in session.query(_POSTGRESQL_TRIGGERS, (session.schema, names.master))}
    faults = []
    for name, wanted in (("link_guard_rows", FOR_ROWS), ("link_guard_all", FOR_ALL)):
        sort, enabled, source = found.get(name, (0, True, ""))
        if not sort:
            faults.append(f"the trigger {name} is gone")
        elif not enabled:
            faults.append(f"the trigger {name} is disabled")
        elif sort != wanted or not _same(body, source):
            faults.append(f"the trigger {name} was altered")
    return faults


def _same(wanted: str, found: str | bytes) -> bool:
    """Whether a body is as it was made, whatever its message and its spaces are."""
    text = found.decode() if isinstance(found, bytes) else found
    parts = (re.escape(" ".join(part.replace("%%", "%").split())) for part in wanted.split(MESSAGE))
    return re.fullmatch(r"\s?'(?:[^']|'')*'\s?".join(parts), " ".join(text.split())) is not None


def _row_guard_faults(session: Session, names: OutboundNames, keys: Sequence[str]) -> list[str]:
    rules = session.query(_MYSQL_KEYS.format(places="%s"), (session.schema, names.guard))
    sound = {row[3] for row in rules if _is_sound(session, row)}
    if not {names.master, names.guard} <= sound:
        return [f"the guard table {names.guard} is gone, or its foreign keys are"]
    same = " AND ".join(f"g.{key} = o.{key} AND g.{layout.SELF}{index} = g.{key}" for index, key in enumerate(keys))
    loose = session.query(
        f"SELECT COUNT(*) FROM {session.table(names.master)} o LEFT JOIN {session.table(names.guard)} g ON {same}"
        f" LEFT JOIN {session.table(JOURNAL)} j ON j.transfer = o.{TRANSFER}"
        f" WHERE o.{HELD} IS NOT NULL AND g.{keys[0]} IS NULL AND j.closed IS NOT NULL"
    )[0][0]
    return [f"the guard rows of {loose:,} registrations are gone"] if loose else []


def readable_refusal(session: Session, names: OutboundNames, kind: str, keys: Sequence[str], label: str) -> str:
    """Return the statements by which an admin makes the guard say who uses a row, where it cannot; empty elsewhere."""
    if kind != guard.ROWS or session.query(_MYSQL_TRIGGERS, (session.schema, names.master)):
        return ""
    statements = guard.mysql_triggers(session, names, keys, label).values()
    user, host = str(session.query("SELECT CURRENT_USER()")[0][0]).rsplit("@", 1)
    seen = f"GRANT TRIGGER ON {session.table(names.master)} TO '{user}'@'{host}'"  # else the link user does not see them
    return "\n".join(
        ["DELIMITER //", *(f"{statement.replace('%%', '%')} //" for statement in [*statements, seen]), "DELIMITER ;"]
    )
