"""Opens connections: a source's have a configuration of their own, the protocol's are private and never reconnect."""

from __future__ import annotations

import logging
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datajoint.settings import _create_config

from link.adapters.datajoint.driver import TimedConnection
from link.adapters.datajoint.session import Session
from link.adapters.datajoint.translation import translate
from link.domain.errors import DriverMissing, LineNotEncrypted, LoginFailed, ServerUnreachable
from link.infrastructure.settings import TIMEOUT, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import datajoint as dj

    from link.adapters.datajoint.driver import Tls
    from link.infrastructure.settings import ConnectionSettings

_TLS_TEXT = re.compile(r"ssl|tls|certificate", re.IGNORECASE)
_REFUSED_CODES = frozenset({1044, 1045, 1698})
_REFUSED_TEXT = re.compile(r'authentication failed|no password supplied|role ".*" does not exist|is not permitted to log in')


def connect(settings: ConnectionSettings) -> TimedConnection:
    """Open a connection to a source, for the user to browse; it takes nothing from DataJoint's own settings."""
    config = _create_config()
    config.database.backend, config.database.name = settings.backend, settings.database_name
    config.database.host, config.database.port = settings.host, settings.port
    config.database.user, config.database.password = settings.user, None  # else DJ_USER and DJ_PASS, the local server's

    def dial(use_tls: Tls) -> TimedConnection:
        return TimedConnection(
            settings.host,
            settings.user,
            settings.password,
            settings.port,
            use_tls,
            backend=settings.backend,
            config=config,
            timeout=settings.timeout,
        )

    return _dialled(dial, settings.use_tls, f"{settings.host}:{settings.port}", settings.user)


def private_connection(known: dj.Connection, timeout: float) -> TimedConnection:
    """Open another session with the settings of a connection, which never reconnects by itself."""
    backend = known.adapter.backend
    host, port, user, database, tls = (
        known.conn_info[name] for name in ("host", "port", "user", "database_name", "ssl_input")
    )
    config = known._config.model_copy(deep=True)
    config.database.reconnect = False
    config.database.name = database if backend == "postgresql" else None  # DataJoint warns on the MySQL family

    def dial(use_tls: Tls) -> TimedConnection:
        password = Secret(known.conn_info["passwd"])
        return TimedConnection(host, user, password, port, use_tls, backend=backend, config=config, timeout=timeout)

    return _dialled(dial, tls, f"{host}:{port}", user)


def session(known: dj.Connection, schema: str, timeout: float = TIMEOUT) -> Session:
    """Open a session of the protocol, with the settings of a connection, working in `schema`."""
    opened = Session(connection=private_connection(known, timeout), translate=translate, schema=schema)
    if opened.backend == "mysql":
        opened.query(f"USE {opened.quote(schema)}")  # MySQL wants one where a statement changes one of several tables
        opened.mariadb = "mariadb" in str(opened.query("SELECT @@version")[0][0]).lower()
    return opened


def browsing(known: dj.Connection, schema: str) -> Session:
    """Return a session over a user's own connection, to read the catalog; the protocol never runs on one."""
    return Session(connection=known, translate=translate, schema=schema)


def _dialled(dial: Callable[[Tls], TimedConnection], use_tls: Tls, server: str, user: str) -> TimedConnection:
    """Connect; without a word on TLS, try it first, and go without it only where TLS is what failed.

    DataJoint by itself goes without it after any error, and so tries a wrong password twice, the second time in the open.
    The error is raised outside the handler: the original one, which has the password in its frames, is not even its context.
    """
    failure: Exception | None = None
    for attempt in (True, False) if use_tls is None else (use_tls,):
        try:
            with _quietly():
                return dial(attempt)
        except Exception as error:  # noqa: BLE001, PERF203 - drivers raise what they like; two rounds at most
            failure = _translated(error, server, user)
            if not isinstance(failure, LineNotEncrypted):
                break
    raise failure or AssertionError


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep DataJoint from announcing the connections that this thread opens."""
    logger, thread = logging.getLogger("datajoint"), threading.get_ident()

    def is_told(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or record.thread != thread

    logger.addFilter(is_told)
    try:
        yield
    finally:
        logger.removeFilter(is_told)


def _translated(error: Exception, server: str, user: str) -> Exception:
    text = " ".join(str(part) for part in error.args).strip() or type(error).__name__
    if (error.args and error.args[0] in _REFUSED_CODES) or _REFUSED_TEXT.search(text):
        return LoginFailed(server=server, user=user)
    if isinstance(error, ImportError) or "pip install" in text:
        return DriverMissing(server=server, package=f"datajoint-link[{'postgres' if 'psycopg' in text else 'mysql'}]")
    if _TLS_TEXT.search(text):
        return LineNotEncrypted(server=server, detail=text.split("\n", 1)[0].rstrip("."))
    return ServerUnreachable(server=server, detail=text.split("\n", 1)[0].rstrip("."))
