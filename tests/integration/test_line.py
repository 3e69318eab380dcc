"""The line to a server: encrypted or refused, no file of this machine for anybody, and no waiting for ever."""

from __future__ import annotations

import os
import socket
import time
import uuid

import certificates
import pipeline
import pytest
import servers
from labs import make_lab_s
from proxy import SSL_REQUEST, Proxy
from servers import Product

from link import LazySchema, Link, errors
from link.adapters.datajoint.driver import encryption
from link.adapters.datajoint.line import SETTINGS, Line
from link.adapters.datajoint.local import DataJointLocal
from link.infrastructure import connections

PLAIN = [Product.POSTGRESQL, Product.MARIADB]
SAME = [(product, product) for product in Product]
plain_products = pytest.mark.parametrize("product", PLAIN, ids=lambda product: product.value, indirect=True)
same_product = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)


@pytest.fixture
def lab(product):
    return make_lab_s(servers.get(product, "source"))


@pytest.fixture
def proxy():
    """Return a function that puts a proxy before a server."""
    opened = []

    def make(to, **options):
        opened.append(Proxy(to, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def schema_of(lab, port, **options):
    account = {"user": lab.link.user, "password": lab.link.password}
    place = {"host": "127.0.0.1", "port": port, "backend": lab.server.backend, "database_name": lab.server.database_name}
    return LazySchema(lab.source_schema, create_schema=False, **{**account, **place, **options})


def opened(lab, port, **options):
    """Open a source's connection, and a session of the protocol from it, as an operation does."""
    schema = schema_of(lab, port, **options)
    return connections.session(schema.raw_connection, lab.outbound_schema, schema.timeout)


# ---- encrypted or refused


@plain_products
def test_no_tls_no_password(lab, proxy):
    """A server without TLS is refused where TLS was asked for, and has been sent neither user nor password."""
    between = proxy(lab.server.port)
    with pytest.raises(errors.LineNotEncrypted, match=r"password was not sent.*tls_ca"):
        opened(lab, between.port, use_tls=True)
    assert bytes(between.sent) == (SSL_REQUEST if lab.server.backend == "postgresql" else b"")


@plain_products
def test_private_sessions_ask_for_no_less(lab, proxy, connect):
    """A session made from the settings of a connection that wants TLS is refused too, whoever let that one through."""
    known = connect(lab, lab.link)
    known.conn_info["ssl_input"] = True
    with pytest.raises(errors.LineNotEncrypted):
        connections.session(known, lab.outbound_schema)


def test_the_server_says_how_the_line_is(product, lab):
    """By default a line is encrypted where the server offers it, and the session can say so."""
    offered = product is Product.MYSQL
    assert encryption(opened(lab, lab.server.port)).encrypted is offered
    assert not encryption(opened(lab, lab.server.port, use_tls=False)).encrypted
    if offered:
        assert str(encryption(opened(lab, lab.server.port, use_tls=True))).startswith("encrypted (TLSv1")


@pytest.fixture
def secure(product, proxy, tmp_path):
    """Return a lab, the port of its server behind TLS, and the certificates; the PostgreSQL of the tests has no TLS itself."""
    lab = make_lab_s(servers.get(product, "source"))
    files = certificates.make(tmp_path)
    if product is Product.POSTGRESQL:
        yield lab, proxy(lab.server.port, context=files.context()).port, files
        return
    settings = {"ssl_ca": files.ca, "ssl_cert": files.certificate, "ssl_key": files.key}
    before = {name: lab.server.admin_query(f"SELECT @@{name}")[0][0] for name in settings}
    for name, path in settings.items():
        lab.server.admin_query(f"SET GLOBAL {name} = %s", (str(path),))
    lab.server.admin_query("ALTER INSTANCE RELOAD TLS")
    yield lab, lab.server.port, files
    for name, path in before.items():
        lab.server.admin_query(f"SET GLOBAL {name} = %s", (path,))
    lab.server.admin_query("ALTER INSTANCE RELOAD TLS")


@pytest.mark.parametrize("product", [Product.POSTGRESQL, Product.MYSQL], ids=lambda product: product.value, indirect=True)
def test_with_a_ca_certificate_and_name_are_verified(secure, monkeypatch, tmp_path_factory):
    """A CA's file, as an argument or LINK_TLS_CA, lets in its own server under its own name and no other."""
    lab, port, files = secure
    other = certificates.make(tmp_path_factory.mktemp("other"))
    for options in ({"tls_ca": str(files.ca)}, {"tls_ca": str(files.ca), "use_tls": True}, {"use_tls": True}):
        assert opened(lab, port, **options).query("SELECT 1") == [(1,)]
    monkeypatch.setenv("LINK_TLS_CA", str(other.ca))
    for options in ({}, {"tls_ca": str(other.ca)}, {"tls_ca": str(files.ca), "host": "localhost"}):
        with pytest.raises(errors.LineNotEncrypted, match="certificate"):
            opened(lab, port, **options)
    monkeypatch.setenv("LINK_TLS_CA", str(files.ca))
    assert opened(lab, port).query("SELECT 1") == [(1,)]


# ---- data only


class Thief(Proxy):
    """Asks for a file in reply to any statement that names it."""

    def answer(self, data):
        path = data.partition(b"'")[2].partition(b"'")[0]
        return (len(path) + 1).to_bytes(3, "little") + b"\x01\xfb" + path if b"SELECT '/" in data else None


def test_no_file_of_this_machine_is_sent(tmp_path):
    """A server that answers a statement by asking for a file gets none, on the protocol's sessions and on the user's."""
    lab, secret = make_lab_s(servers.get(Product.MARIADB, "source")), tmp_path / "secret"
    secret.write_text("the family silver")
    with Thief(lab.server.port) as between:
        schema = schema_of(lab, between.port, use_tls=False)
        session = connections.session(schema.raw_connection, lab.outbound_schema)
        with pytest.raises(errors.ConnectionLost, match="file of this machine"):
            session.query(f"SELECT '{secret}'")
        with pytest.raises(Exception, match="LOAD_LOCAL"):
            schema.raw_connection.query(f"SELECT '{secret}'")
        assert str(secret).encode() in between.sent
        assert b"silver" not in between.sent


# ---- no waiting for ever


@pytest.fixture
def labs(lab_s, lab_l, connect):
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s, subjects=range(1), sessions=range(4))
    return lab_s, lab_l


def linked(labs, connect, proxy, end, timeout):
    """Link through a proxy at one end, with a time limit there, and return the class and the proxy."""
    lab_s, lab_l = labs
    lab = lab_s if end == "source" else lab_l
    between = proxy(lab.server.port)
    limit = {"source": {}, "local": {}, end: {"timeout": timeout}}
    mine = connect(lab_l, lab_l.user)
    if end == "local":
        mine.conn_info["port"] = between.port  # the private sessions are opened with these settings
    local = LazySchema(lab_l.local_schema, connection=mine, **limit["local"])
    port = between.port if end == "source" else lab_s.server.port
    source = schema_of(lab_s, port, use_tls=False, **limit["source"])
    return Link(local, source, outbound=lab_s.outbound_schema)(type("Session", (), {})), between


@same_product
@pytest.mark.parametrize(("end", "fault"), [("source", "stall"), ("source", "half_open"), ("local", "stall")])
def test_a_silent_line_ends_in_an_error_in_time(labs, connect, proxy, end, fault, monkeypatch):
    """A line that falls silent in the middle of a pull is given up within the limit; the next pull completes the work."""
    session, between = linked(labs, connect, proxy, end, timeout=1.0)
    session.pull({"session": 0})
    original = DataJointLocal.commit_pull

    def commit_pull(*args):
        getattr(between, fault)()
        return original(*args)

    monkeypatch.setattr(DataJointLocal, "commit_pull", commit_pull)
    began = time.monotonic()
    with pytest.raises(errors.ConnectionLost, match="LINK_TIMEOUT"):
        session.pull()
    assert 0.9 < time.monotonic() - began < 4
    monkeypatch.undo()
    between.resume()
    session.pull()
    lab_s, lab_l = labs
    assert lab_l.count("session") == lab_s.count("session_outbound", lab_s.outbound_schema) == 4


@same_product
def test_a_server_that_accepts_and_says_nothing(labs, connect, proxy):
    """A connection that is taken but never answered ends in time as well, and so does the one for browsing."""
    session, between = linked(labs, connect, proxy, "source", timeout=1.0)
    source = session.source
    between.stall()
    began = time.monotonic()
    with pytest.raises(errors.ServerUnreachable):
        session.pull()
    with pytest.raises(Exception, match="(?i)timeout|timed out|expired"):
        len(source)
    assert time.monotonic() - began < 8


@same_product
def test_a_statement_may_take_its_time(lab_s):
    """What takes long but within the limit is waited for, and the line goes on."""
    session = opened(lab_s, lab_s.server.port, timeout=1.0)
    sleep = "SELECT pg_sleep(0.6)" if lab_s.server.backend == "postgresql" else "SELECT SLEEP(0.6)"
    for _ in range(3):
        session.query(sleep)
    assert session.query("SELECT 1") == [(1,)]


@same_product
def test_a_host_that_is_gone_is_noticed(lab_s):
    """The operating system asks a silent peer for a sign of life, and gives up within a minute."""
    connection = opened(lab_s, lab_s.server.port).connection._conn
    line = socket.socket(fileno=os.dup((connection._sock if lab_s.server.backend == "mysql" else connection).fileno()))
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    assert [line.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [30, 10, 3, 60_000]
    assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    line.close()


def test_a_run_whose_host_is_gone_is_not_alive_for_long():
    """PostgreSQL's server asks too, session by session, so that the lock of a run is free a minute after its line is dead."""
    lab = make_lab_s(servers.get(Product.POSTGRESQL, "source"))
    line = Line(open=lambda: opened(lab, lab.server.port), owner=uuid.uuid4())
    shown = [line.session.query(f"SHOW tcp_keepalives_{name}")[0][0] for name in ("idle", "interval", "count")]
    line.close()
    assert shown == ["30", "10", "3"]


@same_product
def test_a_line_that_cannot_be_set_up_is_closed(lab_s, monkeypatch):
    """A server that refuses a setting leaves no session behind."""
    sessions = []
    line = Line(open=lambda: sessions.append(opened(lab_s, lab_s.server.port)) or sessions[-1], owner=uuid.uuid4())
    monkeypatch.setitem(SETTINGS, lab_s.server.backend, ("SET SESSION no_such_setting = 1",))
    with pytest.raises(errors.LinkError):
        line.session  # noqa: B018 - opened when first asked for
    assert [session.lost for session in sessions] == [True]
