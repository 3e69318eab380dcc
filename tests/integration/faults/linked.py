"""Two labs on real servers, with a small table at the source and one linked to it, that something befalls."""

from __future__ import annotations

from contextlib import suppress

import datajoint as dj
import servers
from labs import make_lab_l, make_lab_s
from proxy import Proxy
from watch import Watch

from link import LazySchema, Link
from link.adapters.datajoint import line

KEYS = range(6)
PIECES = 2
SETTINGS = line.SETTINGS
"""As they are without a stage; stages are closed in any order."""
TIMEOUT = 1.0
"""Seconds without a reply after which Link gives a line up, where it goes through a proxy."""


class Labs:
    """Lab S with a source table `Item`, and lab L with its link, each as a process of its own would have it."""

    def __init__(self, pair, *, proxied):
        line.SETTINGS = {backend: tuple(_short(text) for text in texts) for backend, texts in SETTINGS.items()}
        self.lab_s, self.lab_l = make_lab_s(servers.get(pair[0], "source")), make_lab_l(servers.get(pair[1], "local"))
        self.watch_s, self.watch_l = Watch(self.lab_s.server), Watch(self.lab_l.server)
        self.proxies = (
            {server.port: Proxy(server.port) for server in (self.lab_s.server, self.lab_l.server)} if proxied else {}
        )
        self.timeout = TIMEOUT if proxied else None
        self.connections, self.keys = [], KEYS
        self._declare_source()
        self.item, self.other = self.linked(), self.linked()
        self.item.heading  # noqa: B018 - declares the local table
        self._declare_note()

    def port(self, server):
        """Return where Link reaches a server."""
        return self.proxies[server.port].port if self.proxies else server.port

    def local(self, name):
        return self.lab_l.table(name)

    def outbound(self, name="item_outbound"):
        return self.lab_s.outbound(name)

    def _connection(self, lab, account):
        server = lab.server
        settings = {"database__name": server.database_name, "safemode": False}
        port = self.port(server)
        instance = dj.Instance(
            server.host, account.user, account.password, port, backend=server.backend, use_tls=False, **settings
        )
        self.connections.append(instance.connection)
        return instance.connection

    def _declare_source(self):
        schema = dj.Schema(self.lab_s.source_schema, connection=self._connection(self.lab_s, self.lab_s.owner))

        schema(item_class(), context={})
        for key in KEYS:
            self.insert(key)

    def insert(self, key):
        self.watch_s.query(f"INSERT INTO {self.lab_s.table('item')} VALUES ({key}, 0)")
        for piece in range(PIECES):
            self.watch_s.query(f"INSERT INTO {self.lab_s.table('item__piece')} VALUES ({key}, {piece}, 0)")

    def linked(self):
        """Return a class of the link, as a process of its own would have it."""
        server = self.lab_s.server
        connection = self._connection(self.lab_l, self.lab_l.user)
        local = LazySchema(self.lab_l.local_schema, connection=connection, timeout=self.timeout)
        source = LazySchema(
            self.lab_s.source_schema,
            host=server.host,
            port=self.port(server),
            user=self.lab_s.link.user,
            password=self.lab_s.link.password,
            backend=server.backend,
            database_name=server.database_name,
            use_tls=False,
            timeout=self.timeout,
            **self._source_options(),
        )
        item = Link(local, source, outbound=self.lab_s.outbound_schema, **self._options())(type("Item", (), {}))()
        item._operations.chunk = 2
        return item

    def _options(self):
        """Return what else a link of these labs has."""
        return {}

    def _source_options(self):
        return {}

    def _declare_note(self):
        """Let lab L have a table of its own that depends on the copies."""
        connection = self._connection(self.lab_l, self.lab_l.user)

        class Note(dj.Manual):
            definition = """
            -> Item
            """

        dj.Schema(self.lab_l.local_schema, connection=connection)(Note, context={"Item": self._plain(connection)})

    def _plain(self, connection):
        return dj.VirtualModule("local", self.lab_l.local_schema, connection=connection).Item

    def close(self):
        for connection in self.connections:
            with suppress(Exception):  # its server may have been restarted
                connection.close()
        self.watch_s.close()
        self.watch_l.close()
        for proxy in self.proxies.values():
            proxy.close()
        line.SETTINGS = SETTINGS


def item_class(master="", part=""):
    """Return the class of the source table, with a further column of its masters and of its parts."""

    class Item(dj.Manual):
        definition = f"item : int32\n---\nnumber : int32\n{master}"

        class Piece(dj.Part):
            definition = f"-> master\npiece : int16\n---\nnumber : int32\n{part}"

    return Item


def _short(setting):
    """Wait a second for locks, not ten: a fault often leaves somebody waiting for nobody."""
    return setting.replace(f"'{line.LOCK_SECONDS}s'", "'1s'").replace(f"= {line.LOCK_SECONDS}", "= 1")
