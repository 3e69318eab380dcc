"""What is spelled differently on the two families of servers, apart from values and keys (see `wire.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from link.adapters.datajoint.session import Session


class Dialect(Protocol):
    """One family's spelling."""

    uuid: str
    """The placeholder of an id."""
    now: str
    share: str
    """Ends a SELECT whose rows nobody may change before the transaction ends."""
    ago: str
    """The time so many seconds ago, with a placeholder for them."""

    def id(self, value: UUID) -> Any:
        """Return `value` as the driver takes it."""

    def fact(self, text: str, name: str) -> str:
        """Return what a JSON object, given as text, says under `name`, as text."""

    def number(self, text: str, name: str) -> str:
        """Return the whole number that a JSON object, given as text, has under `name`; NULL or 0 where it has none."""

    def update(self, table: str, alias: str, source: str, on: str, changes: str, where: str = "TRUE") -> str:
        """UPDATE the rows of `table` that join `source`; `changes` names the columns without alias."""

    def delete(self, table: str, alias: str, source: str, on: str, where: str = "TRUE") -> str:
        """DELETE the rows of `table` that join `source`."""

    def ignore_duplicates(self, column: str) -> str:
        """Return what makes an INSERT leave out the rows that are there already; `column` is any of the table's."""


class PostgreSQL:
    """PostgreSQL's spelling."""

    uuid = "%s::uuid"
    now = "clock_timestamp()"
    share = "FOR SHARE"
    ago = "clock_timestamp() - %s * INTERVAL '1 second'"

    def id(self, value: UUID) -> str:
        return str(value)

    def fact(self, text: str, name: str) -> str:
        return f"(({text})::jsonb ->> '{name}')"

    def number(self, text: str, name: str) -> str:
        kind = f"jsonb_typeof(({text})::jsonb -> '{name}')"
        return f"CASE WHEN {kind} = 'number' THEN {self.fact(text, name)}::numeric END"

    def update(self, table: str, alias: str, source: str, on: str, changes: str, where: str = "TRUE") -> str:
        return f"UPDATE {table} {alias} SET {changes} FROM {source} WHERE {on} AND {where}"

    def delete(self, table: str, alias: str, source: str, on: str, where: str = "TRUE") -> str:
        return f"DELETE FROM {table} {alias} USING {source} WHERE {on} AND {where}"

    def ignore_duplicates(self, column: str) -> str:
        return "ON CONFLICT DO NOTHING"


class MySQL:
    """The spelling of MariaDB and MySQL."""

    uuid = "%s"
    now = "UTC_TIMESTAMP(6)"
    share = "LOCK IN SHARE MODE"
    ago = "UTC_TIMESTAMP(6) - INTERVAL %s SECOND"

    def id(self, value: UUID) -> bytes:
        return value.bytes

    def fact(self, text: str, name: str) -> str:
        return f"JSON_UNQUOTE(JSON_EXTRACT({text}, '$.{name}'))"

    def number(self, text: str, name: str) -> str:
        return f"CAST(NULLIF({self.fact(text, name)}, 'null') AS UNSIGNED)"

    def update(self, table: str, alias: str, source: str, on: str, changes: str, where: str = "TRUE") -> str:
        return f"UPDATE {source} STRAIGHT_JOIN {table} {alias} ON {on} SET {changes} WHERE {where}"

    def delete(self, table: str, alias: str, source: str, on: str, where: str = "TRUE") -> str:
        return f"DELETE {alias} FROM {source} STRAIGHT_JOIN {table} {alias} ON {on} WHERE {where}"

    def ignore_duplicates(self, column: str) -> str:
        return f"ON DUPLICATE KEY UPDATE {column} = {column}"


def dialect(session: Session) -> Dialect:
    """Return the spelling that the session's server understands."""
    return PostgreSQL() if session.backend == "postgresql" else MySQL()


def read_id(value: object) -> UUID:
    """Return an id as a server gave it."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return UUID(bytes=bytes(value))
    return UUID(str(value))
