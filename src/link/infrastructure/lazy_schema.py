"""A DataJoint schema that connects when it is first needed."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from datajoint.errors import ThreadSafetyError
from datajoint.instance import _get_singleton_connection
from datajoint.schemas import _Schema

from link.adapters.datajoint import layout
from link.adapters.datajoint.driver import TimedConnection
from link.domain.errors import WriteRefused
from link.infrastructure.connections import connect
from link.infrastructure.settings import Secret, source_settings, timeout_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datajoint as dj


class LazySchema(_Schema):
    """A `dj.Schema` in every other respect, whose connection is opened on first use.

    Without `host` and `connection` it lives on the user's own server, from DataJoint's configuration. With a `host` it takes
    nothing from there: `backend` is "mysql" unless said, `port` that backend's standard port; `user` and `password` come from
    LINK_USER and LINK_PASS unless given. `database_name` is PostgreSQL's.

    `use_tls=True`: the line is encrypted, or refused before the password is sent; None, the default: encrypted where the
    server offers it. `tls_ca`, else LINK_TLS_CA: the file of a CA, with which certificate and host name are verified too.
    `stores`: this server's object stores by name, as `stores` in DataJoint's configuration has them, instead of those there.
    `timeout`, else LINK_TIMEOUT: after how many seconds without a reply Link's own connections to this server are given up.

    Raises on first use: `SettingMissing`, `LoginFailed`, `ServerUnreachable`, `LineNotEncrypted`.
    """

    def __init__(
        self,
        schema_name: str,
        context: dict[str, Any] | None = None,
        *,
        connection: dj.Connection | None = None,
        create_schema: bool = True,
        create_tables: bool | None = None,
        add_objects: dict[str, Any] | None = None,
        host: str | None = None,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        backend: str | None = None,
        database_name: str | None = None,
        use_tls: bool | dict[str, Any] | None = None,
        tls_ca: str | None = None,
        timeout: float | None = None,
        stores: Mapping[str, Any] | None = None,
    ) -> None:
        if host is None and (use_tls is not None or tls_ca):
            message = "use_tls and tls_ca go with a host; DataJoint's database.use_tls is for the user's own server"
            raise ValueError(message)
        if host is None and stores is not None:
            message = "stores goes with a host; a connection has the stores of its own DataJoint configuration"
            raise ValueError(message)
        self.database: Any = schema_name
        self.context = context
        self.create_schema = create_schema
        self.create_tables = create_tables
        self.add_objects = add_objects
        self.declare_list: list[Any] = []
        self.host = host
        self._given = connection
        self._live: dj.Connection | None = None
        self._registered = False
        self._stores = stores
        self._settings: dict[str, Any] = {
            "port": port,
            "user": user,
            "password": None if password is None else Secret(password),
            "backend": backend,
            "database_name": database_name,
            "use_tls": use_tls,
            "tls_ca": tls_ca,
            "timeout": timeout,
        }

    @property
    def raw_connection(self) -> dj.Connection:
        """The connection, without making sure that the schema exists."""
        if self._live is None:
            self._live = self._given or self._open()
        if isinstance(self._live, TimedConnection) and self._live.is_down:
            self._live.connect()  # Link's own, which nobody else would open again
        return self._live

    @property
    def timeout(self) -> float:
        """After how many seconds without a reply a connection of Link's to this server is given up."""
        return timeout_settings(self._settings["timeout"])

    def _open(self) -> dj.Connection:
        if self.host is None:
            return self._own()
        connection = connect(source_settings(self.host, **self._settings))
        if self._stores is not None:
            connection._config.stores = dict(self._stores)
        return connection

    def _own(self) -> dj.Connection:
        """Return the connection of DataJoint's configuration, which does not exist in its thread-safe mode."""
        try:
            return _get_singleton_connection()
        except ThreadSafetyError as error:
            message = f"{error} Pass connection=instance.connection to LazySchema({self.database!r})."
            raise ThreadSafetyError(message) from None

    @property
    def connection(self) -> dj.Connection:
        """The connection, with the schema made where it is missing and may be made."""
        connection = self.raw_connection
        if not self._registered:
            self._registered = True
            self._enter()
        return connection

    @connection.setter
    def connection(self, connection: dj.Connection) -> None:
        self._given = self._live = connection

    def _enter(self) -> None:
        """Activate the schema, which makes it where it is missing and may be made."""
        name = self.database
        self.database = None
        try:
            self.activate(name)
        except BaseException:
            self._registered = False
            raise
        finally:
            self.database = name

    def __call__(self, cls: type, *, context: dict[str, Any] | None = None) -> type:
        """Bind a table class of the user's own, which connects, as it does with a `dj.Schema`."""
        context = context or self.context or inspect.currentframe().f_back.f_locals  # type: ignore[union-attr]
        bound: type = super().__call__(cls, context=context)
        return bound

    def drop(self, prompt: bool | None = None) -> None:
        """Drop the schema, unless linked tables live in it: dropping those would leave their rows registered for ever."""
        linked = self._linked_tables()
        if linked:
            where = f"schema {self.database!r}, where linked tables live ({', '.join(linked)})"
            raise WriteRefused(method="drop", table=where, instead="drop() the linked tables first; this releases their rows.")
        super().drop(prompt=prompt)

    def _linked_tables(self) -> list[str]:
        adapter = self.connection.adapter
        if not self.connection.query(adapter.get_table_info_sql(self.database, layout.TABLES)).fetchone():
            return []
        table = adapter.make_full_table_name(self.database, layout.TABLES)
        return [str(row[0]) for row in self.connection.query(f"SELECT table_name FROM {table}").fetchall()]

    def __repr__(self) -> str:
        where = f" on {self.host}" if self.host else ""
        return f"LazySchema({self.database!r}{where})"
