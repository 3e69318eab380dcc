"""How Link opens a line to a server: encrypted or refused where that was asked for, with time limits, and data only.

DataJoint's own way of opening one, which this replaces for Link's connections, takes `use_tls=True` for a wish on the MySQL
family, verifies no certificate on PostgreSQL, and waits for a reply for ever.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import warnings
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import datajoint as dj
import pymysql
from attrs import frozen
from datajoint.errors import LostConnectionError
from pymysql.constants import CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from datajoint.settings import Config

    from link.adapters.datajoint.session import Session

    Tls = bool | dict[str, Any] | None

CONNECT_SECONDS = 10
"""How long opening a connection may take, login included."""

NO_TLS = "the server offers no TLS"
_UNVERIFIED = {"verify_mode": "none"}
_TLS_MISSING = 2026
"""MySQL's client error number for a line that cannot be encrypted."""

DEAD = {"idle": 30, "interval": 10, "count": 3}
"""Either side asks a silent peer after so many seconds, so often, so many times: a host that is gone is noticed soon."""


@cache
def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class _MySQL(pymysql.connections.Connection):
    """Reads no certificates where none is verified: PyMySQL reads all those of the machine (50 ms) for each connection."""

    def _create_ssl_ctx(self, settings: Any) -> ssl.SSLContext:
        if settings in ({}, _UNVERIFIED):
            return _trusting()
        context: ssl.SSLContext = super()._create_ssl_ctx(settings)
        return context


class EncryptedMySQL(_MySQL):
    """Refuses a server that offers no TLS as soon as it has introduced itself, before anything is sent to it."""

    def _get_server_information(self) -> None:
        super()._get_server_information()
        if not self.server_capabilities & CLIENT.SSL:
            raise pymysql.OperationalError(_TLS_MISSING, NO_TLS)


class TimedConnection(dj.Connection):
    """A DataJoint connection that Link has opened.

    No reply within `timeout` seconds ends it. PyMySQL keeps the time itself, between any two packets. psycopg2 cannot: there
    a timer cuts the line under a statement that takes longer.
    """

    def __init__(
        self, host: str, user: str, password: str, port: int, tls: Tls, *, backend: str, config: Config, timeout: float
    ) -> None:
        self.timeout = timeout
        self.timed_out = False
        super().__init__(host, user, password, port, tls, backend=backend, config_override=config)

    def connect(self) -> None:
        """Open the line on the terms asked for, or raise what the driver raises."""
        info = {name: self.conn_info[name] for name in ("host", "port", "user")}
        info["password"] = self.conn_info["passwd"]
        if self.adapter.backend == "postgresql":
            self._conn = self._postgresql(info)
            self.adapter._register_numpy_adapters()
        else:
            self._conn = self._mysql(info)
        self._is_closed = self.timed_out = False

    def _postgresql(self, info: dict[str, Any]) -> Any:
        import psycopg2  # noqa: PLC0415 - an extra

        connection = psycopg2.connect(
            **info,
            **_postgresql_tls(self.conn_info["ssl_input"]),
            dbname=self.conn_info["database_name"] or "postgres",
            connect_timeout=max(2, int(min(self.timeout, CONNECT_SECONDS))),  # libpq takes 1 for 2
            keepalives_idle=DEAD["idle"],
            keepalives_interval=DEAD["interval"],
            keepalives_count=DEAD["count"],
            tcp_user_timeout=int(min(self.timeout, 60) * 1000),
        )
        connection.autocommit = True
        return connection

    def _mysql(self, info: dict[str, Any]) -> Any:
        tls = self.conn_info["ssl_input"]
        kind, encryption = (EncryptedMySQL, {"ssl": tls}) if isinstance(tls, dict) and tls else _mysql_tls(tls)
        patience = min(self.timeout, CONNECT_SECONDS)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*deprecated.*")
            connection = kind(
                **info,
                **encryption,
                charset=self._config["connection.charset"],
                sql_mode=_SQL_MODE,
                autocommit=True,
                local_infile=False,  # a server may ask for any file of this machine, whatever the statement
                connect_timeout=patience,
                read_timeout=patience,
                write_timeout=patience,
            )
        connection._read_timeout = connection._write_timeout = self.timeout
        _notice_the_dead(connection._sock, self.timeout)
        return connection

    @property
    def is_down(self) -> bool:
        """Whether psycopg2 has noticed that the line is gone; it never opens one again, as PyMySQL does."""
        return self.adapter.backend == "postgresql" and bool(self._conn.closed)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Cut the line where the block takes longer than `timeout`, on PostgreSQL."""
        if self.adapter.backend != "postgresql":
            yield
            return
        timer = threading.Timer(self.timeout, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        self.timed_out = True
        with socket.socket(fileno=os.dup(self._conn.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _execute_query(self, cursor: Any, query: str, args: Any, suppress_warnings: bool) -> None:
        try:
            with self.watched():
                super()._execute_query(cursor, query, args, suppress_warnings)
        except Exception:
            if self.timed_out:
                message = f"no reply within {self.timeout:g} s, see LINK_TIMEOUT"
                raise LostConnectionError(message) from None
            raise

    def ping(self) -> None:
        """Ask the server for a sign of life, for as long as for any other reply."""
        with self.watched():
            super().ping()


def watched(connection: dj.Connection) -> AbstractContextManager[None]:
    """Limit the time of a block of statements, where it is Link that has opened the connection."""
    return connection.watched() if isinstance(connection, TimedConnection) else nullcontext()


_SQL_MODE = (
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)
"""DataJoint's."""


def _postgresql_tls(tls: Tls) -> dict[str, Any]:
    """Say it in libpq's words; with a CA, the certificate and the host's name in it are verified."""
    if not isinstance(tls, dict):
        return {"sslmode": "require" if tls else "prefer" if tls is None else "disable"}
    files = {ours: tls[theirs] for theirs, ours in (("cert", "sslcert"), ("key", "sslkey")) if tls.get(theirs)}
    if not tls.get("ca"):
        return {"sslmode": "require", **files}
    return {"sslmode": "verify-full" if tls.get("check_hostname", True) else "verify-ca", "sslrootcert": tls["ca"], **files}


def _mysql_tls(tls: Tls) -> tuple[type, dict[str, Any]]:
    """Say it in PyMySQL's words, which takes an empty dictionary for no wish at all."""
    if tls is None:
        return _MySQL, {}
    if tls is False:
        return _MySQL, {"ssl_disabled": True}
    return EncryptedMySQL, {"ssl": _UNVERIFIED}


def _notice_the_dead(line: socket.socket, timeout: float) -> None:
    """Set what the operating system has of it; PyMySQL has switched the questions on."""
    wanted = {
        "TCP_KEEPIDLE": DEAD["idle"],
        "TCP_KEEPINTVL": DEAD["interval"],
        "TCP_KEEPCNT": DEAD["count"],
        "TCP_USER_TIMEOUT": int(min(timeout, 60) * 1000),
    }
    for name, value in wanted.items():
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@frozen(kw_only=True)
class Encryption:
    """The state of a line, as the server sees it."""

    encrypted: bool
    protocol: str = ""
    cipher: str = ""

    def __str__(self) -> str:
        return f"encrypted ({self.protocol}, {self.cipher})" if self.encrypted else "not encrypted"


def encryption(session: Session) -> Encryption:
    """Ask the server whether the session's line is encrypted; a proxy between may see it otherwise."""
    if session.backend == "postgresql":
        found = session.query("SELECT ssl, version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        used, protocol, cipher = found[0] if found else (False, "", "")
        return Encryption(encrypted=bool(used), protocol=protocol or "", cipher=cipher or "")
    status = {str(name): str(value) for name, value in session.query("SHOW SESSION STATUS LIKE 'Ssl\\_%%'")}
    cipher = status.get("Ssl_cipher", "")
    return Encryption(encrypted=bool(cipher), protocol=status.get("Ssl_version", ""), cipher=cipher)
