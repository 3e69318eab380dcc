"""The line to one server: opens private sessions, and shows there that a run is alive."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

from attrs import define, field

from link.adapters.datajoint.driver import DEAD
from link.domain.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from link.adapters.datajoint.session import Session

LOGGER = logging.getLogger("link")

LOCK_SECONDS = 10
"""How long a statement waits for rows that another session has locked, in seconds."""

SETTINGS = {
    "postgresql": (
        "SET SESSION TIME ZONE 'UTC'",
        "SET SESSION DateStyle TO 'ISO, YMD'",
        "SET SESSION IntervalStyle TO 'postgres'",
        "SET SESSION extra_float_digits TO 1",
        "SET SESSION bytea_output TO 'hex'",
        "SET SESSION standard_conforming_strings TO on",
        "SET SESSION default_transaction_isolation TO 'read committed'",
        "SET SESSION client_encoding TO 'UTF8'",
        # what is committed stays; a server may be set up otherwise
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        f"SET SESSION lock_timeout TO '{LOCK_SECONDS}s'",
        # a run whose host is gone is not alive; the MySQL family asks when its system does
        *(f"SET SESSION tcp_keepalives_{name} TO {number}" for name, number in DEAD.items()),
    ),
    "mysql": (
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION time_zone = '+00:00'",
        f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}",
        f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}",
    ),
}


@define(kw_only=True)
class Line:
    """Keeps one session to a server for one run; a lost session is replaced at the start of the next unit of work.

    The advisory lock named after the run's id lives as long as its session does. It is politeness, not safety: safety is
    the primary key of the decisions.
    """

    open: Callable[[], Session]
    owner: UUID
    _session: Session | None = field(default=None, init=False)
    statements: int = field(default=0, init=False)
    """How many statements the sessions before the present one have sent."""

    @property
    def session(self) -> Session:
        """A session that was not lost yet."""
        if self._session is None or self._session.lost:
            self.close()
            self._session = self._opened()
        return self._session

    def _opened(self) -> Session:
        session = self.open()
        try:
            for statement in SETTINGS[session.backend]:
                session.query(statement)
            take_lock(session, self.owner)
        except BaseException:
            session.close()
            raise
        return session

    @property
    def sent(self) -> int:
        """How many statements this line has sent in all."""
        return self.statements + (self._session.statements if self._session else 0)

    def close(self) -> None:
        """End the session, and with it the lock."""
        if self._session is not None:
            if not self._session.lost:
                release_locks(self._session)
            self.statements += self._session.statements
            self._session.close()
            self._session = None


def _number(owner: UUID) -> int:
    """PostgreSQL's locks are named by a signed 64-bit number."""
    return int.from_bytes(owner.bytes[:8], "big", signed=True)


def _name(owner: UUID) -> str:
    """MySQL takes 64 characters and ignores case."""
    return f"link:{owner.hex}"


def take_lock(session: Session, owner: UUID) -> None:
    """Show that the run `owner` is alive, for as long as the session lives."""
    if session.backend == "postgresql":
        session.query("SELECT pg_try_advisory_lock(%s)", (_number(owner),))
    else:
        session.query("SELECT GET_LOCK(%s, 0)", (_name(owner),))


def release_locks(session: Session) -> None:
    """Free the session's locks now: a server notices the end of a connection only a moment after it."""
    try:
        release = "pg_advisory_unlock_all" if session.backend == "postgresql" else "RELEASE_ALL_LOCKS"
        session.query(f"SELECT {release}()")
    except LinkError as error:
        LOGGER.debug("releasing locks at %s: %s", session.server, type(error).__name__)


def lock_is_held(session: Session, owner: UUID) -> bool:
    """Whether some session of the server shows the run `owner` to be alive."""
    if session.backend == "postgresql":
        number = _number(owner) & (2**64 - 1)
        held = session.query(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
            " AND classid = %s::bigint AND objid = %s::bigint"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (number >> 32, number & (2**32 - 1)),
        )
        return bool(held)
    return session.query("SELECT IS_USED_LOCK(%s)", (_name(owner),))[0][0] is not None


@contextmanager
def set_up_alone(session: Session) -> Iterator[None]:
    """Keep other processes from making Link's tables in the same schema at the same time, which servers answer with errors."""
    name = uuid5(NAMESPACE_OID, f"link set-up of {session.schema}")
    if session.backend == "postgresql":
        session.query("SELECT pg_advisory_lock(%s)", (_number(name),))
    else:
        session.query("SELECT GET_LOCK(%s, %s)", (_name(name), LOCK_SECONDS))
    try:
        yield
    finally:
        if not session.lost:
            release = "SELECT pg_advisory_unlock(%s)" if session.backend == "postgresql" else "SELECT RELEASE_LOCK(%s)"
            session.query(release, (_number(name) if session.backend == "postgresql" else _name(name),))
