"""Labs put into a known state in milliseconds, and watched by third connections while something happens."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress

import psycopg2
import pymysql
from hooks import FILES, at_statements
from linked import PIECES, Labs
from states import BROKEN, OPERATIONS, PREPARED
from watch import FALSE_ALARMS, Seen, Violation

from link import errors
from link.domain.transfers import Operation, Transfer

LOCAL = ("item", "item__piece", "item__deletion_requested", "note", "~link_decisions")
SOURCE = ("item", "item__piece")
OUTBOUND = (
    "~link_journal",
    "item_outbound",
    "~item_outbound_guard",
    "item_outbound__deletion_requested",
    "item_outbound__deletion_approved",
)


class Stage(Labs):
    """The labs in the states that operations start from, and what is seen of them."""

    local_tables = LOCAL

    def __init__(self, pair, *, proxied=False):
        super().__init__(pair, proxied=proxied)
        self.down, self.observed, self.broken = False, 0, frozenset()
        self._saved, self.expected = {}, {}
        self.item.pull()
        self.other.refresh()
        self.own = self._own_sessions()
        for operation, prepare in PREPARED.items():
            self._clear()
            self.broken = frozenset()
            prepare(self)
            self._saved[operation] = self._save(operation)
            self.broken = BROKEN.get(operation, frozenset())
            with at_statements(lambda *_: self.look(), lambda *_: self.look()):
                OPERATIONS[operation](self.item)
            self.broken = frozenset()
            self.expected[operation] = self.look()

    # ---- states

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

    def damage(self, *, forget, unhold, vanish):
        """Do past every guard and foreign key: forget registrations, let go of others, take source rows away."""
        guarded = [self.outbound("~item_outbound_guard")] if self._has_guard_rows() else []
        statements = [f"UPDATE {self.outbound()} SET link_held = NULL WHERE item IN {_keys((*forget, *unhold))}"]
        statements += [f"DELETE FROM {name} WHERE item IN {_keys((*forget, *unhold))}" for name in guarded]
        statements += [f"DELETE FROM {self.outbound()} WHERE item IN {_keys(forget)}"]
        statements += [f"DELETE FROM {self.lab_s.table(name)} WHERE item IN {_keys(vanish)}" for name in SOURCE]
        with self._past_the_guard(self.watch_s):
            for statement in statements:
                self.watch_s.query(statement)

    def interrupt(self, operation, keys, *, decided):
        """Leave a transfer open whose owner is gone."""
        context = self.item._operations._ports()
        ports = context.__enter__().ports
        transfer, wires = Transfer(operation=operation, owner=ports.owner), [(str(key),) for key in keys]
        if operation is Operation.PULL:
            chunk, _ = ports.objects.bring(transfer, ports.outbound.register(transfer, wires, []))
            if decided:
                ports.local.commit_pull(transfer, chunk)
        else:
            ports.outbound.mark(transfer, wires)
            if decided:
                ports.local.commit_delete(transfer, wires, ports.local.preview(wires))
        context.__exit__(None, None, None)

    def _clear(self):
        self._put(self.watch_l, [(self.local(name), []) for name in self.local_tables])
        self._put(self.watch_s, [(name, []) for name in self._at_the_source()[2:]])
        self._put(self.watch_s, [])

    def _has_guard_rows(self):
        return self.watch_s.query(f"SELECT guard FROM {self.outbound('~link_outbound')}")[0][0] == "rows"

    def _at_the_source(self):
        names = [name for name in OUTBOUND if self._has_guard_rows() or name != "~item_outbound_guard"]
        return [*(self.lab_s.table(name) for name in SOURCE), *(self.outbound(name) for name in names)]

    def _save(self, _operation):
        tables = [(self.watch_l, [self.local(name) for name in self.local_tables]), (self.watch_s, self._at_the_source())]
        return [(watch, [(table, watch.query(f"SELECT * FROM {table}")) for table in names]) for watch, names in tables]

    def restore(self, operation):
        """Put both servers into the state that `operation` starts from, past every guard."""
        self.quiet()
        self.broken = BROKEN.get(operation, frozenset())
        for watch, tables in self._saved[operation]:
            self._put(watch, tables)

    def _put(self, watch, tables):
        with self._past_the_guard(watch):
            for table, _rows in reversed(tables):
                if table.endswith(("item_outbound`", 'item_outbound"')):
                    watch.query(f"UPDATE {table} SET link_held = NULL")
                watch.query(f"DELETE FROM {table}")
            for table, rows in tables:
                if rows:
                    places = ", ".join(["(" + ", ".join(["%s"] * len(rows[0])) + ")"] * len(rows))
                    watch.query(f"INSERT INTO {table} VALUES {places}", [_plain(value) for row in rows for value in row])

    @contextmanager
    def _past_the_guard(self, watch):
        """Let nothing refuse what is done; where it fails, the connection's end puts the guard back."""
        postgresql = watch.server.backend == "postgresql"
        watch.query("SET session_replication_role = replica" if postgresql else "SET foreign_key_checks = 0")
        yield
        watch.query("SET session_replication_role = origin" if postgresql else "SET foreign_key_checks = 1")

    def _own_sessions(self):
        return self.watch_s.sessions(self.lab_s.link.user), self.watch_l.sessions(self.lab_l.user.user)

    def revive(self):
        """Connect the users' own connections again after a restart, and know their sessions as the stage's own."""
        self.quiet()
        for connection in [
            *self.connections,
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
        """Look at both servers, while nothing of Link's moves; raise `Violation` where the promise does not hold.

        What was broken from the beginning may be so until it is repaired.
        """
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
        if problem := seen.without(self.broken).problem():
            raise Violation(problem)
        return seen

    def look_after(self, statement):
        """Look after a statement of Link's, while nobody else is at work: one that only reads changes nothing."""
        if may_change(statement):
            self.look()

    def _read(self, watch, parts):
        statement = " UNION ALL ".join(f"SELECT '{name}', {select[7:]}" for name, select in parts)
        found = {name: [] for name, _ in parts}
        for name, item, number in watch.query(statement):
            found[name].append((item, number))
        return found

    def complete(self, operation, *, exactly=True):
        """Call again, watching every statement: now all is as it would have been, or at least nothing is left to do."""
        with at_statements(lambda *_: None, lambda _connection, statement: self.look_after(statement)):
            OPERATIONS[operation](self.item)
        if exactly:
            self.broken = frozenset()
            if (seen := self.look()) != self.expected[operation]:
                raise Violation(f"after the next {operation}: {seen}, not {self.expected[operation]}")
            return
        self.item.refresh()
        self.item.pull()
        seen = self.look()
        seen = seen.without(self.broken & (seen.local - seen.outbound))  # lab S was quicker than the repair: left to a person
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
        except FALSE_ALARMS:
            raise
        except errors.LinkError:
            return


def may_change(statement):
    return bool(statement) and not statement.lstrip().startswith(("SELECT", "SET", "SHOW", "CONNECT", *FILES))


def _plain(value):
    """Return what a driver takes for JSON that it has read."""
    return json.dumps(value) if isinstance(value, dict) else value


def _keys(keys):
    return f"({', '.join(map(str, keys))})"
