"""The one seam where what drivers and DataJoint raise becomes one of Link's errors."""

from __future__ import annotations

import re
from enum import Enum
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from datajoint import errors as dj_errors

from link.domain.errors import (
    ConnectionLost,
    LinkError,
    PacketTooLarge,
    PrivilegeMissing,
    SchemaMissing,
    ServerRefused,
    TableMissing,
    error_class,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.datajoint.session import Session


class Refusal(Enum):
    """Why a server refused a statement, as far as the adapters treat it differently."""

    DUPLICATE = "duplicate key"
    FOREIGN_KEY = "foreign key"
    PARENT = "the table that a new one refers to is not there, or has no such key"
    CONFLICT = "serialization failure, deadlock, or a table redefined since the snapshot"
    LOCK_TIMEOUT = "lock wait timeout"
    VALUE = "value out of range or of the wrong form"
    NO_TRIGGER = "no trigger may be made"
    OTHER = "other"


@error_class
class Refused(ServerRefused):
    """A server refused a statement for a reason that the adapters can tell."""

    refusal: Refusal = Refusal.OTHER
    code: str = ""
    row: Sequence[Any] = ()
    """The row that was refused, of those to insert, and its column, as far as they could be found out."""
    column: str = ""


POSTGRESQL = {
    "23505": Refusal.DUPLICATE,
    "23503": Refusal.FOREIGN_KEY,
    "23001": Refusal.FOREIGN_KEY,
    "40001": Refusal.CONFLICT,
    "40P01": Refusal.CONFLICT,
    "55P03": Refusal.LOCK_TIMEOUT,
    "22": Refusal.VALUE,
    "23502": Refusal.VALUE,
    "23514": Refusal.VALUE,
    "54000": Refusal.VALUE,  # a value too long for its index
}
MYSQL = {
    1062: Refusal.DUPLICATE,
    1217: Refusal.FOREIGN_KEY,
    1451: Refusal.FOREIGN_KEY,
    1452: Refusal.FOREIGN_KEY,
    1213: Refusal.CONFLICT,
    1020: Refusal.CONFLICT,  # the row has changed since the snapshot
    1412: Refusal.CONFLICT,  # the table's definition has
    1824: Refusal.PARENT,
    1205: Refusal.LOCK_TIMEOUT,
    1419: Refusal.NO_TRIGGER,
    1227: Refusal.NO_TRIGGER,
    1264: Refusal.VALUE,
    1265: Refusal.VALUE,
    1292: Refusal.VALUE,
    1366: Refusal.VALUE,
    1406: Refusal.VALUE,
    1048: Refusal.VALUE,
    3140: Refusal.VALUE,
    3157: Refusal.VALUE,
    4025: Refusal.VALUE,
    3819: Refusal.VALUE,
}
MYSQL_LOST = {0, 1053, 1317, 1927, 2003, 2006, 2013, 2055, 4031}
MYSQL_ACCESS = {1044, 1045, 1142, 1143, 1370}
_DENIED = re.compile(r"(schema|database|table|relation|view) ([`'\"\w~#.]+)")
MYSQL_PACKET = {1153}
MYSQL_NO_TABLE = 1146
MYSQL_NO_SCHEMA = 1049
MARIADB_NO_TABLE_MADE = 1005


def translate(error: Exception, session: Session, statement: str) -> Exception:
    """Return one of Link's errors for `error`; what is none of a server's or DataJoint's is returned as it is."""
    if isinstance(error, LinkError):
        return error
    if isinstance(error, dj_errors.LostConnectionError):
        return _lost(error, session)
    if isinstance(error, dj_errors.IntegrityError):
        return _refused(error, session, "", Refusal.FOREIGN_KEY)
    if isinstance(error, dj_errors.AccessError):
        return _privilege(error, session, statement)
    if session.backend == "postgresql":
        return _postgresql(error, session, statement)
    return _mysql(error, session, statement)


def _postgresql(error: Exception, session: Session, statement: str) -> Exception:
    if not hasattr(error, "pgcode"):
        return error if not isinstance(error, dj_errors.DataJointError) else _refused(error, session, "")
    code = error.pgcode or ""
    if not code or code[:2] in {"08", "57"}:
        return _lost(error, session)
    if code == "42501":
        return _privilege(error, session, statement)
    if code == "42P01":
        return TableMissing(server=session.server, detail=_brief(error))
    if code == "3F000":
        return SchemaMissing(server=session.server, schema=_named(error, session))
    return _refused(error, session, code, POSTGRESQL.get(code, POSTGRESQL.get(code[:2], Refusal.OTHER)))


def _mysql(error: Exception, session: Session, statement: str) -> Exception:
    code = error.args[0] if error.args else None
    if isinstance(error, RuntimeError) and "LOAD_LOCAL" in str(code):
        return ConnectionLost(server=session.server, detail="the server asked for a file of this machine and was refused")
    if not isinstance(code, int):
        return error if not isinstance(error, dj_errors.DataJointError) else _refused(error, session, "")
    if code in MYSQL_LOST:
        return _lost(error, session)
    if code in MYSQL_ACCESS:
        return _privilege(error, session, statement)
    return _mysql_refusal(error, session, code)


def _mysql_refusal(error: Exception, session: Session, code: int) -> Exception:
    if code == MYSQL_NO_TABLE:
        return TableMissing(server=session.server, detail=_brief(error))
    if code == MYSQL_NO_SCHEMA:
        return SchemaMissing(server=session.server, schema=_named(error, session))
    if code in MYSQL_PACKET:
        return PacketTooLarge(server=session.server, setting="max_allowed_packet", limit="too small for it")
    if code == MARIADB_NO_TABLE_MADE and "errno: 150" in _brief(error):
        return _refused(error, session, str(code), Refusal.PARENT)
    return _refused(error, session, str(code), MYSQL.get(code, Refusal.OTHER))


def _named(error: Exception, session: Session) -> str:
    """Return the first name that the server's words quote."""
    found = re.search(r"['\"`]([^'\"`]+)['\"`]", _brief(error))
    return found.group(1) if found else session.schema


def _lost(error: Exception, session: Session) -> ConnectionLost:
    """Say which limit it was where nothing came in time: PyMySQL tells so, psycopg2 only sees that the line was cut."""
    seconds = getattr(session.connection, "timeout", 0)
    if seconds and (session.connection.timed_out or "timed out" in _brief(error)):
        return ConnectionLost(server=session.server, detail=f"no reply within {seconds:g} s, see LINK_TIMEOUT")
    return ConnectionLost(server=session.server, detail=_brief(error))


def _refused(error: Exception, session: Session, code: str, refusal: Refusal = Refusal.OTHER) -> Refused:
    return Refused(server=session.server, detail=_brief(error), code=code, refusal=refusal)


def _privilege(error: Exception, session: Session, statement: str) -> PrivilegeMissing:
    return PrivilegeMissing(
        server=session.server,
        user=session.user,
        action=f"run {_verb(statement)} ({_brief(error)})",
        grant=_grant(session, statement, _brief(error)),
    )


def _verb(statement: str) -> str:
    """Return the words that a statement begins with, two at the most."""
    return " ".join(takewhile(str.isalpha, statement.split()[:2])).upper()


def _grant(session: Session, statement: str, detail: str) -> str:
    """Spell the GRANT that would have let `statement` through, on the schema that the server's own words lead to."""
    user = f'"{session.user}"' if session.backend == "postgresql" else f"'{session.user}'@'%'"
    quote = '"' if session.backend == "postgresql" else "`"
    named = re.findall(rf"{quote}([^{quote}]+){quote}\.{quote}", statement)
    schema = _denied(detail, statement) or next((name for name in named if name != session.schema), session.schema)
    if schema == session.schema:
        if session.backend == "postgresql":
            return f'GRANT ALL ON SCHEMA "{schema}" TO {user};'
        return f"GRANT ALL ON `{schema}`.* TO {user};"
    if session.backend == "postgresql":
        tables = f'GRANT SELECT, REFERENCES ON ALL TABLES IN SCHEMA "{schema}" TO {user};'
        return f'GRANT USAGE ON SCHEMA "{schema}" TO {user}; {tables}'
    return f"GRANT SELECT, REFERENCES ON `{schema}`.* TO {user};"


def _denied(detail: str, statement: str) -> str:
    """Return the schema of the table or schema that `detail` names; empty where it names none that `statement` does."""
    found = _DENIED.search(detail)
    if not found:
        return ""
    names = [name for name in re.split(r"[`'\".]+", found[2]) if name]
    if found[1] in {"schema", "database"}:
        return names[0]
    if len(names) > 1:
        return names[0]
    held = re.search(rf"[`\"]([^`\"]+)[`\"]\.[`\"]{re.escape(names[0])}[`\"]", statement) if names else None
    return held[1] if held else ""


def _brief(error: Exception) -> str:
    text = str(error.args[-1]) if error.args else type(error).__name__
    return " ".join(text.split("\n", 1)[0].split()).rstrip(".")
