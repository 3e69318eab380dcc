"""What stops lab S's own deletes of registered rows on each server.

The foreign key from outbound refuses a bare DELETE of a registered row, but DataJoint's delete takes the outbound row along.
So a guard stands on the outbound row itself, on its column `link_held`, which is NULL only once a deletion is approved:
a trigger where one may be made, and on a stock MySQL server, which allows the link user none, a row of its own for each
registering transfer that InnoDB refuses to lose sight of.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from link.adapters.datajoint import wire
from link.adapters.datajoint.dialect import read_id
from link.adapters.datajoint.layout import HELD
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import PrivilegeMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from uuid import UUID

    from link.adapters.datajoint.layout import OutboundNames
    from link.adapters.datajoint.session import Session

TRIGGER = "trigger"
ROWS = "rows"


class Guard(Protocol):
    """Holds registered rows, and lets them go when Link says so."""

    def hold(self, session: Session, transfer: UUID) -> None:
        """Hold the rows that `transfer` has just registered, in the same transaction."""

    def lifted(self, session: Session, groups: Callable[[], Sequence[UUID]]) -> AbstractContextManager[None]:
        """Allow the block to set `link_held` to NULL and to delete rows of `groups`, the transfers that registered them."""


@frozen(kw_only=True)
class TriggerGuard:
    """A trigger reads `link_held` of the row itself, so there is nothing to hold and nothing to lift."""

    names: OutboundNames

    def hold(self, session: Session, transfer: UUID) -> None:
        """Do nothing."""

    @contextmanager
    def lifted(self, session: Session, groups: Callable[[], Sequence[UUID]]) -> Iterator[None]:
        """Do nothing."""
        yield


@frozen(kw_only=True)
class RowGuard:
    """One guard row `(T, T)` for all rows registered by transfer T.

    InnoDB refuses to delete a row whose value a child holds, also when the referenced key is not unique, and refuses to
    delete a row that references itself; so neither the outbound rows nor the guard row can go (found on MySQL 9.7 and
    MariaDB 10.11). Other sessions that lift the guard of the same transfers wait meanwhile.
    """

    names: OutboundNames

    def hold(self, session: Session, transfer: UUID) -> None:
        """Insert the guard row, where the transfer has registered anything."""
        session.query(
            f"INSERT INTO {session.table(self.names.guard)} (guarded, self)"
            f" SELECT {HELD}, {HELD} FROM {session.table(self.names.master)} WHERE {HELD} = %s LIMIT 1",
            (transfer.bytes,),
        )

    @contextmanager
    def lifted(self, session: Session, groups: Callable[[], Sequence[UUID]]) -> Iterator[None]:
        """Take the guard rows of the groups away and put those back whose group has rows left."""
        guard = session.table(self.names.guard)
        held = sorted(group.bytes for group in groups())
        for group in held:
            session.query(f"UPDATE {guard} SET self = NULL WHERE guarded = %s", (group,))
            session.query(f"DELETE FROM {guard} WHERE guarded = %s", (group,))
        yield
        for group in held:
            session.query(
                f"INSERT INTO {guard} (guarded, self) SELECT {HELD}, {HELD}"
                f" FROM {session.table(self.names.master)} WHERE {HELD} = %s LIMIT 1",
                (group,),
            )


def make_guard(kind: str, names: OutboundNames) -> Guard:
    """Return the guard of an outbound table whose registry says `kind`."""
    return TriggerGuard(names=names) if kind == TRIGGER else RowGuard(names=names)


def install(session: Session, names: OutboundNames, keys: Sequence[str], link: str) -> str:
    """Put a guard on outbound and return its kind; doing it again changes nothing.

    `keys` are the key columns, quoted; `link` names the local table in the refusal.
    """
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
    _guard_rows(session, names)
    return ROWS


def reinstall(session: Session, names: OutboundNames, keys: Sequence[str], link: str, kind: str) -> None:
    """Put the same kind of guard on outbound again, for all rows that are there."""
    if kind != ROWS:
        make = _postgresql if session.backend == "postgresql" else _mysql_triggers
        make(session, names, keys, link)
        return
    _guard_rows(session, names)
    guard, outbound = session.table(names.guard), session.table(names.master)
    session.query(f"UPDATE {guard} SET self = guarded WHERE self IS NULL")
    session.query(
        f"INSERT IGNORE INTO {guard} (guarded, self) SELECT DISTINCT o.{HELD}, o.{HELD} FROM {outbound} o"
        f" LEFT JOIN {guard} g ON g.guarded = o.{HELD} WHERE o.{HELD} IS NOT NULL AND g.guarded IS NULL"
    )


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


def allow_group_keys(session: Session) -> None:
    """Let the session's statements make and alter tables that a guard refers to by a key that is not unique."""
    if session.backend == "mysql" and not session.mariadb:
        session.query("SET SESSION restrict_fk_on_non_standard_key = OFF")


def _guard_rows(session: Session, names: OutboundNames) -> None:
    allow_group_keys(session)
    guard = session.table(names.guard)
    session.query(
        f"CREATE TABLE IF NOT EXISTS {guard} (guarded binary(16) NOT NULL PRIMARY KEY, self binary(16) NULL,"
        f" FOREIGN KEY (guarded) REFERENCES {session.table(names.master)} ({HELD}) ON UPDATE RESTRICT ON DELETE RESTRICT,"
        f" FOREIGN KEY (self) REFERENCES {guard} (guarded) ON UPDATE RESTRICT ON DELETE RESTRICT) ENGINE=InnoDB"
    )


def held_groups(session: Session, names: OutboundNames, relation: str, on: str, args: Sequence[object]) -> list[UUID]:
    """Return the transfers that hold the outbound rows (alias o) joining `relation`."""
    rows = session.query(
        f"SELECT DISTINCT o.{HELD} FROM {relation} {wire.joining(session)} {session.table(names.master)} o ON {on}"
        f" WHERE o.{HELD} IS NOT NULL",
        args,
    )
    return [read_id(row[0]) for row in rows]
