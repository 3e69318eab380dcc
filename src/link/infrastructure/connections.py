"""Opens connections: a source's have a configuration of their own, the protocol's are private and never reconnect."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import datajoint as dj
from datajoint.instance import Instance

from link.adapters.datajoint.session import Session
from link.adapters.datajoint.translation import translate
from link.domain.errors import LoginFailed, ServerUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from link.infrastructure.settings import ConnectionSettings

_REFUSED = (
    "1045",
    "1698",
    "1044",
    "password authentication failed",
    "does not exist",
    "no password supplied",
    "Access denied",
)


def connect(settings: ConnectionSettings) -> dj.Connection:
    """Open a connection to a source, for the user to browse; it takes nothing from DataJoint's own settings."""
    with _explained(f"{settings.host}:{settings.port}", settings.user):
        return Instance(
            settings.host,
            settings.user,
            settings.password,
            settings.port,
            settings.use_tls,
            settings.backend,
            database__name=settings.database_name,
            database__user=settings.user,
            database__host=settings.host,
        ).connection


def private_connection(known: dj.Connection) -> dj.Connection:
    """Open another session with the settings of a connection, which never reconnects by itself."""
    info = known.conn_info
    config = known._config.model_copy(deep=True)
    config.database.reconnect = False
    with _explained(f"{info['host']}:{info['port']}", info["user"]):
        return dj.Connection(
            info["host"],
            info["user"],
            info["passwd"],
            info["port"],
            info["ssl_input"],
            database_name=info["database_name"] if known.adapter.backend == "postgresql" else None,
            backend=known.adapter.backend,
            config_override=config,
        )


def session(known: dj.Connection, schema: str) -> Session:
    """Open a session of the protocol, with the settings of a connection, working in `schema`."""
    opened = Session(connection=private_connection(known), translate=translate, schema=schema)
    if opened.backend == "mysql":
        opened.query(f"USE {opened.quote(schema)}")  # MySQL wants one where a statement changes one of several tables
        opened.mariadb = "mariadb" in str(opened.query("SELECT @@version")[0][0]).lower()
    return opened


def browsing(known: dj.Connection, schema: str) -> Session:
    """Return a session over a user's own connection, to read the catalog; the protocol never runs on one."""
    return Session(connection=known, translate=translate, schema=schema)


@contextmanager
def _explained(server: str, user: str) -> Iterator[None]:
    """Raise one of Link's errors for a failed connection; the original one has the password in its frames."""
    logger = logging.getLogger("datajoint")
    logger.addFilter(_only_errors)  # DataJoint announces each connection, and a fallback to plaintext on a wrong password
    try:
        yield
    except Exception as error:  # noqa: BLE001 - drivers raise what they like, and each is translated
        raise _translated(error, server, user) from None
    finally:
        logger.removeFilter(_only_errors)


def _only_errors(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _translated(error: Exception, server: str, user: str) -> Exception:
    text = " ".join(str(part) for part in error.args) or type(error).__name__
    known: dict[str, Any] = {"server": server}
    if any(mark in text for mark in _REFUSED):
        return LoginFailed(user=user, **known)
    return ServerUnreachable(detail=text.strip().split("\n", 1)[0].rstrip("."), **known)
