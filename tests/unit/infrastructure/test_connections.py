from __future__ import annotations

import logging
import threading

import psycopg2
import pymysql
import pytest

from link.domain.errors import LineNotEncrypted, LoginFailed, ServerUnreachable
from link.infrastructure.connections import _dialled, _quietly, _translated, connect
from link.infrastructure.settings import ConnectionSettings

LOGIN = [
    pymysql.OperationalError(1045, "Access denied for user 'u'@'h' (using password: YES)"),
    pymysql.OperationalError(1698, "Access denied for user 'u'@'h'"),
    psycopg2.OperationalError('connection failed: FATAL:  password authentication failed for user "u"'),
    psycopg2.OperationalError('connection failed: FATAL:  role "u" does not exist'),
    psycopg2.OperationalError("connection failed: fe_sendauth: no password supplied"),
]
REACH = [
    pymysql.OperationalError(2003, "Can't connect to MySQL server on 'h:10450' ([Errno 111] Connection refused)"),
    psycopg2.OperationalError('connection to server at "h", port 51045 failed: Connection refused'),
    psycopg2.OperationalError('connection failed: FATAL:  database "lab" does not exist'),
    RuntimeError("'cryptography' package is required for sha256_password or caching_sha2_password auth methods"),
    TimeoutError(),
]


@pytest.mark.parametrize("error", LOGIN, ids=str)
def test_a_refused_login_is_told_from_the_rest(error):
    """What each driver says of a refused login becomes LoginFailed with the user's name."""
    assert isinstance(_translated(error, "h:1", "u"), LoginFailed)


@pytest.mark.parametrize("error", REACH, ids=str)
def test_anything_else_is_unreachable(error):
    """Other failures are no login's, whatever digits the port has, and say what the driver said."""
    found = _translated(error, "h:1", "u")
    assert isinstance(found, ServerUnreachable)
    assert found.detail


def test_nothing_is_taken_from_the_local_servers_settings(monkeypatch):
    """A source without port and backend of its own is not looked for where DJ_PORT and DJ_BACKEND point to."""
    for name, value in {"DJ_PORT": "4711", "DJ_BACKEND": "postgresql", "DJ_PASS": "mine", "DJ_HOST": "elsewhere"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1 .*MySQL"):
        connect(ConnectionSettings(host="127.0.0.1", port=1, user="u", password="p"))


@pytest.mark.parametrize(
    ("error", "use_tls", "attempts"),
    [
        (LOGIN[0], None, [True]),
        (REACH[0], None, [True]),
        (psycopg2.OperationalError("server does not support SSL, but SSL was required"), None, [True, False]),
        (psycopg2.OperationalError("server does not support SSL, but SSL was required"), True, [True]),
        (LOGIN[2], False, [False]),
    ],
)
def test_a_password_is_sent_once(error, use_tls, attempts):
    """Only where TLS is what failed, and nobody asked for it, is a connection tried without it."""
    tried = []

    def dial(tls):
        tried.append(tls)
        raise error

    with pytest.raises((LineNotEncrypted, LoginFailed, ServerUnreachable)) as caught:
        _dialled(dial, use_tls, "h:1", "u")
    assert tried == attempts
    assert caught.value.__context__ is caught.value.__cause__ is None


def test_only_the_connecting_thread_is_silenced(caplog):
    """DataJoint's announcements are kept back while Link connects, other threads' and errors are not."""
    logger = logging.getLogger("datajoint")
    monkey = logger.propagate
    logger.propagate = True
    try:
        with caplog.at_level(logging.INFO, "datajoint"), _quietly():
            logger.info("own news")
            logger.error("own error")
            thread = threading.Thread(target=logger.info, args=("other news",))
            thread.start()
            thread.join()
            with _quietly():
                pass
            logger.info("own news")
    finally:
        logger.propagate = monkey
    assert caplog.messages == ["own error", "other news"]
