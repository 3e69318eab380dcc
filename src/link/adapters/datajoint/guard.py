"""What stops lab S's own deletes of registered rows on each server.

The foreign key from outbound refuses a bare DELETE of a registered row, but DataJoint's delete takes the outbound row along.
So a guard stands on the outbound row itself: a trigger on its column `link_held`, which is NULL only once a deletion is
approved, or, on a stock MySQL server, which allows the link user none, a guard row of its own that refers to it and to itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import evolve, frozen

from link.adapters.datajoint import declaration
from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.layout import HELD, SELF, foreign_key
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import PrivilegeMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.datajoint.chosen import Chosen
    from link.adapters.datajoint.evidence import SourceTables
    from link.adapters.datajoint.layout import OutboundNames
    from link.adapters.datajoint.model import TableModel
    from link.adapters.datajoint.session import Session
    from link.domain.transfers import Transfer

TRIGGER = "trigger"
ROWS = "rows"


class Guard(Protocol):
    """Holds registered rows, and lets them go when Link says so."""

    def hold(self, tables: SourceTables, transfer: Transfer) -> None:
        """Hold the rows that `transfer` has just registered, in the same transaction."""

    def lift(self, registrations: Chosen) -> None:
        """Let go of `registrations`: from here to the end of the transaction they can be released or approved."""


@frozen
class TriggerGuard:
    """A trigger reads `link_held` of the row itself, so there is nothing to hold and nothing to lift."""

    def hold(self, tables: SourceTables, transfer: Transfer) -> None:
        """Do nothing."""

    def lift(self, registrations: Chosen) -> None:
        """Do nothing."""


@frozen
class RowGuard:
    """A guard row for each registration.

    InnoDB refuses to delete a row that another one refers to, or that refers to itself: so neither the outbound row nor its
    guard row can go (found on MySQL 9.7 and MariaDB 10.11). Every key referred to is a primary key, so that a dump restores.
    """

    def hold(self, tables: SourceTables, transfer: Transfer) -> None:
        """Insert the guard rows."""
        speech = dialect(tables.session)
        tables.session.query(
            f"{_guarding(tables.session, tables.names, tables.keys)} AND {HELD} = {speech.uuid} {_again(tables.keys)}",
            (speech.id(transfer.id),),
        )

    def lift(self, registrations: Chosen) -> None:
        """Delete the guard rows."""
        tables = registrations.tables
        guard = tables.session.table(tables.names.guard)
        registrations.update(guard, f"{SELF}0 = NULL")
        registrations.delete(guard)


def _guarding(session: Session, names: OutboundNames, keys: Sequence[str]) -> str:
    selves = [f"{SELF}{index}" for index in range(len(keys))]
    return (
        f"INSERT INTO {session.table(names.guard)} ({', '.join([*keys, *selves])})"
        f" SELECT {', '.join([*keys, *keys])} FROM {session.table(names.master)} WHERE {HELD} IS NOT NULL"
    )


def _again(keys: Sequence[str]) -> str:
    """Make a guard row that is there already refer to itself."""
    changes = ", ".join(f"{SELF}{index} = VALUES({SELF}{index})" for index in range(len(keys)))
    return f"ON DUPLICATE KEY UPDATE {changes}"


def make_guard(kind: str) -> Guard:
    """Return the guard of an outbound table whose registry says `kind`."""
    return TriggerGuard() if kind == TRIGGER else RowGuard()


def install(session: Session, names: OutboundNames, source: TableModel, link: str) -> str:
    """Put a guard on outbound and return its kind; doing it again changes nothing.

    `link` names the local table in the refusal.
    """
    keys = _keys(session, source)
    if session.backend == "postgresql":
        _postgresql(session, names, keys, link)
        return TRIGGER
    try:
        _mysql_triggers(session, names, keys, link)
    except Refused as error:
        if error.refusal is not Refusal.NO_TRIGGER:
            raise
    except PrivilegeMissing:
        pass  # the guard rows need no privilege beyond the link user's own
    else:
        return TRIGGER
    _guard_rows(session, names, source)
    return ROWS


def reinstall(session: Session, names: OutboundNames, source: TableModel, link: str, kind: str) -> None:
    """Put the same kind of guard on outbound again, for all rows that are there."""
    keys = _keys(session, source)
    if kind != ROWS:
        make = _postgresql if session.backend == "postgresql" else _mysql_triggers
        make(session, names, keys, link)
        return
    _guard_rows(session, names, source)
    session.query(f"{_guarding(session, names, keys)} {_again(keys)}")


def _keys(session: Session, source: TableModel) -> list[str]:
    return [session.quote(column.name) for column in source.key]


def _refusal(names: OutboundNames, link: str, most: int) -> str:
    """Say who holds the row and the way out, in at most `most` characters."""
    flags = "".join(word.capitalize() for word in names.master.split("_"))
    texts = (
        f"row is in use by {link} (Link); insert its key into {flags}.DeletionRequested and await DeletionApproved",
        f"in use by {link} (Link): insert its key into {flags}.DeletionRequested",
        f"in use by a Link: insert its key into {flags}.DeletionRequested",
    )
    return next((text for text in texts if len(text) <= most), texts[-1][:most])


def _literal(session: Session, text: str) -> str:
    return str(session.connection.adapter.quote_string(text)).replace("%", "%%")


def postgresql_body(session: Session, names: OutboundNames, keys: Sequence[str], message: str) -> str:
    """Return the body of the trigger function; `message` is the literal that lab S reads."""
    changed = " OR ".join(f"NEW.{key} IS DISTINCT FROM OLD.{key}" for key in keys)
    outbound = session.table(names.master)
    return (
        f" BEGIN IF TG_OP = 'TRUNCATE' THEN IF EXISTS (SELECT 1 FROM {outbound} WHERE {HELD} IS NOT NULL) THEN"
        f" RAISE EXCEPTION USING MESSAGE = {message}; END IF; RETURN NULL; END IF;"
        f" IF TG_OP = 'DELETE' THEN IF OLD.{HELD} IS NOT NULL THEN RAISE EXCEPTION USING MESSAGE = {message}; END IF;"
        f" RETURN OLD; END IF;"
        f" IF {changed} OR (NEW.{HELD} IS DISTINCT FROM OLD.{HELD} AND current_user <> {_literal(session, session.user)})"
        f" THEN RAISE EXCEPTION USING MESSAGE = {message}; END IF; RETURN NEW; END "
    )


def _postgresql(session: Session, names: OutboundNames, keys: Sequence[str], link: str) -> None:
    function, outbound = session.table(f"~{names.master}_guard"), session.table(names.master)
    body = postgresql_body(session, names, keys, _literal(session, _refusal(names, link, 500)))
    session.query(f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $link${body}$link$")
    for name, event, each in (("rows", "DELETE OR UPDATE", "ROW"), ("all", "TRUNCATE", "STATEMENT")):
        trigger = session.quote(f"link_guard_{name}")
        session.query(
            f"CREATE OR REPLACE TRIGGER {trigger} BEFORE {event} ON {outbound} FOR EACH {each} EXECUTE FUNCTION {function}()"
        )


def mysql_bodies(keys: Sequence[str], message: str) -> dict[str, str]:
    """Return the triggers' bodies by their events; `message` is the literal that lab S reads."""
    signal = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {message}"
    changed = " OR ".join(f"NOT (NEW.{key} <=> OLD.{key})" for key in keys)
    conditions = {"DELETE": f"OLD.{HELD} IS NOT NULL", "UPDATE": changed}
    return {event: f"BEGIN IF {condition} THEN {signal}; END IF; END" for event, condition in conditions.items()}


def mysql_triggers(session: Session, names: OutboundNames, keys: Sequence[str], link: str) -> dict[str, str]:
    """Return the statements that make the triggers, by the triggers' names."""
    bodies = mysql_bodies(keys, _literal(session, _refusal(names, link, 128)))
    named = {event: session.table(f"~{names.master[:40]}_{event.lower()}") for event in bodies}
    return {
        named[event]: f"CREATE TRIGGER {named[event]} BEFORE {event} ON {session.table(names.master)} FOR EACH ROW {body}"
        for event, body in bodies.items()
    }


def _mysql_triggers(session: Session, names: OutboundNames, keys: Sequence[str], link: str) -> None:
    for trigger, statement in mysql_triggers(session, names, keys, link).items():
        session.query(f"DROP TRIGGER IF EXISTS {trigger}")
        session.query(statement)


def _guard_rows(session: Session, names: OutboundNames, source: TableModel) -> None:
    """Make the table of guard rows: the key, which refers to outbound, and the key once more, which refers to the first."""
    guard, keys = session.table(names.guard), ", ".join(_keys(session, source))
    again = [evolve(column, name=f"{SELF}{index}", nullable=True) for index, column in enumerate(source.key)]
    selves = ", ".join(column.name for column in again)
    columns = [*declaration.outbound_columns(source.key, session), *declaration.outbound_columns(again, session)]
    session.query(
        f"CREATE TABLE IF NOT EXISTS {guard} ({', '.join(columns)}, PRIMARY KEY ({keys}),"
        f" {foreign_key(session, keys, session.table(names.master))},"
        f" {foreign_key(session, keys, guard, selves)}) ENGINE=InnoDB"
    )
