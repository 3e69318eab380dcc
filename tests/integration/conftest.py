from __future__ import annotations

import itertools

import datajoint as dj
import pymysql
import pytest
import servers
from labs import make_lab_l, make_lab_s
from servers import Product

from link import LazySchema, Link
from link.adapters.datajoint.driver import _trusting

_context = pymysql.connections.Connection._create_ssl_ctx
pymysql.connections.Connection._create_ssl_ctx = lambda self, tls: _context(self, tls) if tls else _trusting()
"""PyMySQL reads the machine's certificates for each connection (50 ms), though it verifies none unless it is told to."""

PAIRS = list(itertools.product(Product, repeat=2))


def _name(pair):
    return f"{pair[0].value}-to-{pair[1].value}"


def pytest_collection_modifyitems(config, items):
    wanted = [name for name in config.getoption("--pairs").split(",") if name]
    if wanted:
        products = {part for name in wanted for part in name.split("-to-")}
        dropped = [i for i in items if not _is_wanted(i, wanted, products)]
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


def _is_wanted(item, wanted, products):
    parameters = getattr(item, "callspec", None)
    for value in parameters.params.values() if parameters else ():
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Product):
            return _name(value) in wanted
        if isinstance(value, Product):
            return value.value in products
    return True


@pytest.fixture(scope="session", autouse=True)
def _servers_end():
    yield
    servers.remove_all()


@pytest.fixture(params=PAIRS, ids=_name)
def pair(request):
    return request.param


@pytest.fixture(params=list(Product), ids=lambda product: product.value)
def product(request):
    return request.param


@pytest.fixture
def lab_s(pair):
    return make_lab_s(servers.get(pair[0], "source"))


@pytest.fixture
def lab_l(pair):
    return make_lab_l(servers.get(pair[1], "local"))


@pytest.fixture
def connect():
    """Open DataJoint connections as a user would, without TLS, without safemode."""
    opened = []

    def open_connection(lab, account):
        server = lab.server
        settings = {"database__name": server.database_name, "safemode": False}
        instance = dj.Instance(server.host, account.user, account.password, server.port, backend=server.backend, **settings)
        opened.append(instance.connection)
        return instance.connection

    yield open_connection
    for connection in opened:
        try:
            connection.close()
        except Exception as error:  # noqa: BLE001 - some tests kill connections
            print(f"closing: {error}")


@pytest.fixture
def link(connect):
    """Return a function that links a class with the source table of its name."""

    def make(lab_s, lab_l, cls=None, connection=None, source_stores=None, **options):
        server = lab_s.server
        local = LazySchema(lab_l.local_schema, connection=connection or connect(lab_l, lab_l.user))
        source = LazySchema(
            lab_s.source_schema,
            host=server.host,
            port=server.port,
            user=lab_s.link.user,
            password=lab_s.link.password,
            backend=server.backend,
            database_name=server.database_name,
            stores=source_stores,
        )
        options.setdefault("outbound", lab_s.outbound_schema)
        return Link(local, source, **options)(cls or type("Session", (), {}))

    return make
