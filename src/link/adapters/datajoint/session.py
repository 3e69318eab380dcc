"""One private database session of the protocol: never shared with the user, never reconnecting by itself."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field

from link.adapters.datajoint.driver import watched
from link.domain.errors import ConnectionLost, LinkError, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import datajoint as dj


_SNAPSHOT = {
    "postgresql": ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",),
    "mysql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
}

LOGGER = logging.getLogger("link")


class Translator(Protocol):
    """Turns what a driver or DataJoint raises into one of Link's errors; see `translation.py`."""

    def __call__(self, error: Exception, session: Session, statement: str) -> Exception:
        """Return the error to raise instead of `error`."""


@define(kw_only=True)
class Session:
    """A connection with its dialect's bare necessities; every statement of the protocol goes through `query`."""

    connection: dj.Connection
    translate: Translator
    schema: str
    """The schema in which this session keeps Link's tables."""
    mariadb: bool = False
    lost: bool = field(default=False, init=False)
    """Whether the line is gone; a session is never revived, its keeper opens another one."""
    statements: int = field(default=0, init=False)
    """How many statements were sent, for tests and benchmarks."""

    @property
    def backend(self) -> str:
        """`mysql` or `postgresql`."""
        return str(self.connection.adapter.backend)

    @property
    def server(self) -> str:
        """The server's address, for messages."""
        info = self.connection.conn_info
        return f"{info['host']}:{info['port']}"

    @property
    def user(self) -> str:
        """The user logged in, for messages."""
        return str(self.connection.conn_info["user"])

    def quote(self, name: str) -> str:
        """Quote an identifier, and refuse one that DataJoint's adapter would quote wrongly."""
        if any(mark in name for mark in '`"'):
            message = f"the name {name!r} has a quote in it"
            raise ValueError(message)
        return str(self.connection.adapter.quote_identifier(name)).replace("%", "%%")

    def table(self, name: str, schema: str | None = None) -> str:
        """Return the full quoted name of a table of `schema`, or of the session's own schema."""
        return f"{self.quote(schema or self.schema)}.{self.quote(name)}"

    def query(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; a literal percent sign in `statement` is doubled."""
        return self.execute(statement, args)[0]

    def change(self, statement: str, args: Sequence[Any] = ()) -> int:
        """Run one statement and return how many rows it changed (MySQL counts an upsert that changes nothing as 0)."""
        return self.execute(statement, args)[1]

    def execute(self, statement: str, args: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """Run one statement; return its rows and the driver's row count.

        It goes to the driver itself: DataJoint would translate the error codes away, and reconnect.
        """
        self.statements += 1
        with self.translating(statement):
            cursor = self.connection.adapter.get_cursor(self.connection._conn)
            with watched(self.connection):
                cursor.execute(statement, tuple(args))
            rows = list(cursor.fetchall()) if cursor.description else []
        return rows, int(cursor.rowcount)

    @contextmanager
    def translating(self, statement: str = "") -> Iterator[None]:
        """Turn what the driver or DataJoint raises in the block into one of Link's errors."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and each is translated
            raised = self.translate(error, self, statement)
            self.lost = self.lost or isinstance(raised, ConnectionLost)
            raise raised from None

    @contextmanager
    def transaction(self, transfer: object = "") -> Iterator[None]:
        """Run the block in one transaction; roll back on any error, and never turn that error into another one.

        Raises `OutcomeUnknown` where the reply to COMMIT is lost; `transfer` is what the error then speaks of.
        """
        self.query("BEGIN" if self.backend == "postgresql" else "START TRANSACTION")
        self.connection._in_transaction = True
        try:
            yield
        except BaseException:
            self._rollback()
            raise
        self.connection._in_transaction = False
        try:
            self.query("COMMIT")
        except ConnectionLost as error:
            raise OutcomeUnknown(server=self.server, transfer=str(transfer), detail=error.detail) from None

    @contextmanager
    def snapshot(self, tables: Sequence[str]) -> Iterator[None]:
        """Let all reads of the block see the state of one moment, and nothing be written in it.

        On PostgreSQL the quoted `tables` are locked against definitions before that moment: one that an ALTER TABLE rewrites,
        or a TRUNCATE empties, after it would be empty in it. The MySQL family refuses to read such a table.
        """
        for statement in _SNAPSHOT[self.backend]:
            self.query(statement)
        self.connection._in_transaction = True
        try:
            if self.backend == "postgresql":
                self.query(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
            yield
        finally:
            self._rollback()

    def _rollback(self) -> None:
        self.connection._in_transaction = False
        if self.lost:
            return
        try:
            self.query("ROLLBACK")
        except LinkError:  # the error that led here says more, and a server rolls back what a lost session leaves
            self.close()

    def close(self) -> None:
        """End the session; the server rolls back what was open and frees its locks."""
        self.lost = True
        try:
            self.connection.close()
        except Exception as error:  # noqa: BLE001 - a line that is gone cannot be closed
            LOGGER.debug("closing a session to %s: %s", self.server, type(error).__name__)
