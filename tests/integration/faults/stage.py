"""Two labs on real servers with a small linked table, put into a known state in milliseconds and watched by third connections."""

from __future__ import annotations

import time
from contextlib import suppress

import datajoint as dj
import psycopg2
import pymysql
import servers
from attrs import frozen
from hooks import at_statements
from labs import make_lab_l, make_lab_s
from proxy import Proxy

from link import LazySchema, Link, errors
from link.adapters.datajoint import line
from link.domain.transfers import Operation, Transfer

KEYS = range(6)
PIECES = 2
TIMEOUT = 0.4
"""Seconds without a reply after which Link gives a line up, where it goes through a proxy."""
OPERATIONS = {
    "pull": lambda item: item.pull(),
    "delete": lambda item: (item & "item < 3").delete(),
    "refresh": lambda item: item.refresh(),
    "recovery": lambda item: item.refresh(),
}
LOCAL = ("item", "item__piece", "item__deletion_requested", "note", "~link_decisions")
SOURCE = ("item", "item__piece")
OUTBOUND = (
    "~link_journal",
    "item_outbound",
    "~item_outbound_guard",
    "item_outbound__deletion_requested",
    "item_outbound__deletion_approved",
)


class Violation(AssertionError):
    """The promise does not hold."""


@frozen(kw_only=True)
class Seen:
    """What there is, as far as the promise and the results go."""

    source: frozenset
    outbound: frozenset
    requested: frozenset
    approved: frozenset
    local: frozenset
    shown: frozenset
    notes: frozenset
    open: int

    def problem(self):
        """Say where local ⊆ outbound ⊆ source does not hold, or what an approval contradicts."""
        if not self.outbound <= self.source:
            return f"registered without source: {sorted(self.outbound - self.source)}"
        if not self.local <= self.outbound:
            return f"local without registration: {sorted(self.local - self.outbound)}"
        if not self.approved | self.requested <= self.outbound:
            return f"flagged without registration: {sorted((self.approved | self.requested) - self.outbound)}"
        if self.approved & self.local:
            return f"approved but local: {sorted(self.approved & self.local)}"
        return None


class Watch:
    """A connection of the server's admin that outlives whatever happens to the server."""

    def __init__(self, server):
        self.server, self._connection = server, None

    def query(self, statement, args=()):
        for attempt in (1, 2):
            try:
                if self._connection is None:
                    self._connection = self.server.raw(self.server.admin)
                with self._connection.cursor() as cursor:
                    cursor.execute(statement, args or None)
                    return list(cursor.fetchall()) if cursor.description else []
            except Exception:
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def close(self):
        if self._connection is not None:
            with suppress(Exception):  # its server may be gone
                self._connection.close()
            self._connection = None

    def kill(self, number):
        """End a session of the server and wait until it is gone, with its locks."""
        if self.server.backend == "postgresql":
            self.query("SELECT pg_terminate_backend(%s, 5000)", (number,))
            return
        with suppress(Exception):  # it may be gone by itself
            self.query(f"KILL {number}")
        for _ in range(1_000):
            if not self.query("SELECT 1 FROM information_schema.processlist WHERE id = %s", (number,)):
                return
            time.sleep(0.005)

    def sessions(self, user):
        if self.server.backend == "postgresql":
            return {row[0] for row in self.query("SELECT pid FROM pg_stat_activity WHERE usename = %s", (user,))}
        return {row[0] for row in self.query("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))}

    def busy(self):
        """Say what every session is doing."""
        if self.server.backend == "postgresql":
            return self.query("SELECT pid, usename, state, query FROM pg_stat_activity WHERE usename IS NOT NULL")
        return self.query("SELECT id, user, command, time, state, info FROM information_schema.processlist")


class Stage:
    """The labs, their linked table `Item`, and the states that operations start from."""

    def __init__(self, pair, *, proxied=False):
        self._settings = line.SETTINGS
        line.SETTINGS = {backend: tuple(_short(text) for text in texts) for backend, texts in line.SETTINGS.items()}
        self.lab_s, self.lab_l = make_lab_s(servers.get(pair[0], "source")), make_lab_l(servers.get(pair[1], "local"))
        self.watch_s, self.watch_l = Watch(self.lab_s.server), Watch(self.lab_l.server)
        self.proxies = (
            {server.port: Proxy(server.port) for server in (self.lab_s.server, self.lab_l.server)} if proxied else {}
        )
        self.timeout = TIMEOUT if proxied else None
        self.down = False
        self._connections, self._saved, self.expected, self.observed = [], {}, {}, 0
        self.keys = KEYS
        self._declare_source()
        self.item, self.other = self.linked(), self.linked()
        self.item.heading  # noqa: B018 - declares the local table
        self._declare_note()
        self.item.pull()
        self.other.refresh()
        self.own = self._own_sessions()
        for operation, prepare in PREPARED.items():
            self._clear()
            prepare(self)
            self._saved[operation] = self._save()
            OPERATIONS[operation](self.item)
            self.expected[operation] = self.look()

    def port(self, server):
        """Return where Link reaches a server."""
        return self.proxies[server.port].port if self.proxies else server.port

    # ---- declaring

    def _connection(self, lab, account):
        server = lab.server
        settings = {"database__name": server.database_name, "safemode": False}
        port = self.port(server)
        instance = dj.Instance(
            server.host, account.user, account.password, port, backend=server.backend, use_tls=False, **settings
        )
        self._connections.append(instance.connection)
        return instance.connection

    def _declare_source(self):
        schema = dj.Schema(self.lab_s.source_schema, connection=self._connection(self.lab_s, self.lab_s.owner))

        class Item(dj.Manual):
            definition = """
            item : int32
            ---
            number : int32
            """

            class Piece(dj.Part):
                definition = """
                -> master
                piece : int16
                ---
                number : int32
                """

        schema(Item, context={})
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
        )
        item = Link(local, source, outbound=self.lab_s.outbound_schema)(type("Item", (), {}))()
        item._operations.chunk = 2
        return item

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

    # ---- states

    def local(self, name):
        return self.lab_l.table(name)

    def outbound(self, name="item_outbound"):
        return self.lab_s.outbound(name)

    def request(self, *keys):
        for key in keys:
            self.watch_s.query(f"INSERT INTO {self.outbound('item_outbound__deletion_requested')} VALUES ({key})")

    def delete_at_source(self, key):
        """Try what DataJoint's delete does: leaves first, the registration and its flags with them, all or nothing."""
        connection = self.lab_s.server.raw(self.lab_s.server.admin)
        try:
            with connection.cursor() as cursor:
                for statement in [self._patience(), "BEGIN", *self.deletes(key), "COMMIT"]:
                    cursor.execute(statement)
        except (psycopg2.Error, pymysql.Error):
            return False
        else:
            return True
        finally:
            connection.close()  # rolls back what was not committed

    def deletes(self, key):
        """Return what DataJoint's delete of a source row comes to."""
        names = [self.outbound(name) for name in reversed(OUTBOUND[3:])] + [self.outbound()]
        names += [self.lab_s.table(name) for name in reversed(SOURCE)]
        return [f"DELETE FROM {name} WHERE item = {key}" for name in names]

    def _patience(self):
        postgresql = self.lab_s.server.backend == "postgresql"
        return "SET lock_timeout = '100ms'" if postgresql else "SET innodb_lock_wait_timeout = 1"

    def withdraw(self, *keys):
        for key in keys:
            self.watch_s.query(f"DELETE FROM {self.outbound('item_outbound__deletion_requested')} WHERE item = {key}")

    def lose(self, *keys):
        for name in ("item__deletion_requested", "note", "item__piece", "item"):
            for key in keys:
                self.watch_l.query(f"DELETE FROM {self.local(name)} WHERE item = {key}")

    def note(self, *keys):
        for key in keys:
            self.watch_l.query(f"INSERT INTO {self.local('note')} VALUES ({key})")

    def interrupt(self, operation, keys, *, decided):
        """Leave a transfer open whose owner is gone."""
        context = self.item._operations._ports()
        ports = context.__enter__().ports
        transfer, wires = Transfer(operation=operation, owner=ports.owner), [(str(key),) for key in keys]
        if operation is Operation.PULL:
            chunk = ports.outbound.register(transfer, wires, [])
            if decided:
                ports.local.commit_pull(transfer, chunk)
        else:
            ports.outbound.mark(transfer, wires)
            if decided:
                ports.local.commit_delete(transfer, wires, ports.local.preview(wires))
        context.__exit__(None, None, None)

    def _clear(self):
        self._put(self.watch_l, [(self.local(name), []) for name in LOCAL])
        self._put(self.watch_s, [(name, []) for name in self._at_the_source()[2:]])
        self._put(self.watch_s, [])

    def _at_the_source(self):
        guard = self.watch_s.query(f"SELECT guard FROM {self.outbound('~link_outbound')}")[0][0]
        names = [name for name in OUTBOUND if guard == "rows" or name != "~item_outbound_guard"]
        return [*(self.lab_s.table(name) for name in SOURCE), *(self.outbound(name) for name in names)]

    def _save(self):
        tables = [(self.watch_l, [self.local(name) for name in LOCAL]), (self.watch_s, self._at_the_source())]
        return [(watch, [(table, watch.query(f"SELECT * FROM {table}")) for table in names]) for watch, names in tables]

    def restore(self, operation):
        """Put both servers into the state that `operation` starts from, past every guard."""
        self.quiet()
        for watch, tables in self._saved[operation]:
            self._put(watch, tables)

    def _put(self, watch, tables):
        postgresql = watch.server.backend == "postgresql"
        watch.query("SET session_replication_role = replica" if postgresql else "SET foreign_key_checks = 0")
        for table, _rows in reversed(tables):
            if table.endswith(("item_outbound`", 'item_outbound"')):
                watch.query(f"UPDATE {table} SET link_held = NULL")
            watch.query(f"DELETE FROM {table}")
        for table, rows in tables:
            if rows:
                places = ", ".join(["(" + ", ".join(["%s"] * len(rows[0])) + ")"] * len(rows))
                watch.query(f"INSERT INTO {table} VALUES {places}", [value for row in rows for value in row])
        watch.query("SET session_replication_role = origin" if postgresql else "SET foreign_key_checks = 1")

    def _own_sessions(self):
        return self.watch_s.sessions(self.lab_s.link.user), self.watch_l.sessions(self.lab_l.user.user)

    def revive(self):
        """Connect the users' own connections again after a restart, and know their sessions as the stage's own."""
        self.quiet()
        for connection in [
            *self._connections,
            *(item._operations.config.source.raw_connection for item in (self.item, self.other)),
        ]:
            with suppress(Exception):  # its line may be gone
                connection.close()
            connection.connect()
        time.sleep(0.05)  # a server notices the end of a session a moment later
        self.own = self._own_sessions()

    def quiet(self):
        """Wait until the servers have noticed the end of every session that is not the stage's own."""
        for _ in range(4_000):
            now = self._own_sessions()
            if now[0] <= self.own[0] and now[1] <= self.own[1]:
                return
            time.sleep(0.005)
        raise AssertionError(f"sessions that do not end: {self.watch_s.busy()} {self.watch_l.busy()}, not only {self.own}")

    def statements(self, operation):
        """Return the statements of an operation that starts from its prepared state."""
        told = []
        self.restore(operation)
        with at_statements(lambda _connection, statement: told.append(statement)):
            OPERATIONS[operation](self.item)
        return told

    # ---- what there is

    def look(self):
        """Look at both servers, while nothing of Link's moves; raise `Violation` where the promise does not hold."""
        if self.down:
            return None
        self.observed += 1
        held = self._read(self.watch_l, [
            ("local", f"SELECT item, number FROM {self.local('item')}"),
            ("pieces", f"SELECT item, number FROM {self.local('item__piece')}"),
            ("shown", f"SELECT item, 0 FROM {self.local('item__deletion_requested')}"),
            ("notes", f"SELECT item, 0 FROM {self.local('note')}"),
        ])  # fmt: skip
        there = self._read(self.watch_s, [
            ("source", f"SELECT item, 0 FROM {self.lab_s.table('item')}"),
            ("outbound", f"SELECT item, 0 FROM {self.outbound()}"),
            ("requested", f"SELECT item, 0 FROM {self.outbound('item_outbound__deletion_requested')}"),
            ("approved", f"SELECT item, 0 FROM {self.outbound('item_outbound__deletion_approved')}"),
            ("open", f"SELECT COUNT(*), 0 FROM {self.outbound('~link_journal')} WHERE closed IS NULL"),
        ])  # fmt: skip
        if sorted(held["pieces"]) != sorted(list(held["local"]) * PIECES):
            raise Violation(f"masters and parts do not fit: {sorted(held['local'])}, {sorted(held['pieces'])}")
        keys = {name: frozenset(row[0] for row in rows) for name, rows in (held | there).items()}
        keys.pop("pieces")
        seen = Seen(**{**keys, "open": there["open"][0][0]})
        if problem := seen.problem():
            raise Violation(problem)
        return seen

    def _read(self, watch, parts):
        statement = " UNION ALL ".join(f"SELECT '{name}', {select[7:]}" for name, select in parts)
        found = {name: [] for name, _ in parts}
        for name, item, number in watch.query(statement):
            found[name].append((item, number))
        return found

    def complete(self, operation, *, exactly=True):
        """Call again, watching every statement: now all is as it would have been, or at least nothing is left to do."""
        with at_statements(lambda *_: self.look()):
            OPERATIONS[operation](self.item)
        if exactly:
            if (seen := self.look()) != self.expected[operation]:
                raise Violation(f"after the next {operation}: {seen}, not {self.expected[operation]}")
            return
        self.item.refresh()
        self.item.pull()
        seen = self.look()
        if seen.open or seen.outbound != seen.source or seen.local != seen.source - seen.approved:
            raise Violation(f"not settled: {seen}")
        for key in sorted(seen.source):
            if self.delete_at_source(key) is not (key in seen.approved):
                raise Violation(
                    f"{key}, {'approved' if key in seen.approved else 'held'}, seen {seen}: the guard let it go or kept it"
                )

    def attempt(self, call):
        """Run an operation to which something happens; only Link's own errors may come of it."""
        try:
            call()
        except errors.LinkError:
            return

    def close(self):
        for connection in self._connections:
            with suppress(Exception):  # its server may have been restarted
                connection.close()
        self.watch_s.close()
        self.watch_l.close()
        for proxy in self.proxies.values():
            proxy.close()
        line.SETTINGS = self._settings


def _short(setting):
    """Wait a second for locks, not ten: a fault often leaves somebody waiting for nobody."""
    return setting.replace(f"'{line.LOCK_SECONDS}s'", "'1s'").replace(f"= {line.LOCK_SECONDS}", "= 1")


def _for_pull(stage):
    stage.item.pull("item > 1")
    stage.request(2, 4)
    (stage.item & "item = 4").delete()
    stage.withdraw(4)
    stage.request(3)
    stage.lose(3, 5)


def _for_delete(stage):
    stage.item.pull()
    stage.request(2, 4)
    stage.note(0, 2)
    stage.item.refresh()


def _for_refresh(stage):
    stage.item.pull()
    stage.request(1, 2, 4)
    (stage.item & "item = 4").delete()
    stage.item.refresh()
    stage.withdraw(1, 4)
    stage.request(0, 3)
    stage.lose(3)


def _for_recovery(stage):
    stage.item.pull("item > 1")
    stage.request(3)
    stage.interrupt(Operation.PULL, [0], decided=False)
    stage.interrupt(Operation.PULL, [1], decided=True)
    stage.interrupt(Operation.DELETE, [2, 3], decided=True)
    stage.interrupt(Operation.DELETE, [4], decided=False)
    stage.request(0)


PREPARED = {"pull": _for_pull, "delete": _for_delete, "refresh": _for_refresh, "recovery": _for_recovery}
