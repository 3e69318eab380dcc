"""One private database session of the protocol: never shared with the user, never reconnecting by itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import datajoint as dj


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
        """Run one statement; return its rows and the driver's row count."""
        self.statements += 1
        try:
            cursor = self.connection.query(statement, tuple(args), reconnect=False)
            rows = list(cursor.fetchall()) if cursor.description else []
        except Exception as error:
            raise self.translate(error, self, statement) from None
        return rows, int(cursor.rowcount)

    @contextmanager
    def transaction(self, begin: Sequence[str] = ()) -> Iterator[None]:
        """Run the block in one transaction; roll back on any error, and never turn that error into another one."""
        for statement in begin or self._begin():
            self.query(statement)
        self.connection._in_transaction = True  # noqa: SLF001 - DataJoint's own delete asks for it
        try:
            yield
        except BaseException:
            self._rollback()
            raise
        self.connection._in_transaction = False  # noqa: SLF001
        self.query("COMMIT")

    def _begin(self) -> tuple[str, ...]:
        return ("BEGIN",) if self.backend == "postgresql" else ("START TRANSACTION",)

    def _rollback(self) -> None:
        self.connection._in_transaction = False  # noqa: SLF001
        try:
            self.query("ROLLBACK")
        except Exception:  # noqa: BLE001 - the error that led here says more; a dead session has rolled back by itself
            self.close()

    def close(self) -> None:
        """End the session; the server rolls back what was open and frees its locks."""
        self.connection.close()
