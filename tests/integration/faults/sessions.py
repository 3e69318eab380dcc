"""Connections killed by their server before each statement, and what others do while their owner lives on."""

from __future__ import annotations

from contextlib import suppress

from hooks import at_statements


class Owner:
    """Counts the statements of an operation and knows the connections that it has."""

    def __init__(self, stage):
        self.stage, self.count, self.connections, self.current = stage, 0, {}, None

    def run(self, call, at, act):
        """Run `call`; before its statement number `at` let `act` happen. Return whether there was such a statement.

        From there on Link's operation is watched.
        """

        def before(connection, _statement):
            self.count, self.current = self.count + 1, connection
            if connection is not None:
                self.connections[connection.conn_info["port"]] = connection
            if self.count == at:
                self.stage.look()
                act()
                self.stage.look()

        def after(_connection, statement):
            if self.count >= at:
                self.stage.look_after(statement)

        with at_statements(before, after):
            self.stage.attempt(call)
        return self.count >= at

    def kill(self, lab, watch):
        """Let the server of a lab end the operation's session there, if it has one."""
        connection = self.connections.get(self.stage.port(lab.server))
        if connection is not None:
            watch.kill(connection.connection_id)


def kill_source(stage, call, at):
    owner = Owner(stage)
    return owner.run(call, at, lambda: owner.kill(stage.lab_s, stage.watch_s))


def kill_local(stage, call, at):
    owner = Owner(stage)
    return owner.run(call, at, lambda: owner.kill(stage.lab_l, stage.watch_l))


def kill_both(stage, call, at):
    owner = Owner(stage)
    return owner.run(call, at, lambda: (owner.kill(stage.lab_s, stage.watch_s), owner.kill(stage.lab_l, stage.watch_l)))


def recover_meanwhile(stage, call, at):
    """Let the owner live without source session and locks, while another process recovers and lab S deletes what it can."""
    owner = Owner(stage)

    def meanwhile():
        owner.kill(stage.lab_s, stage.watch_s)
        local = owner.connections.get(stage.port(stage.lab_l.server))
        if local is not None:
            _free_locks(local)
        stage.attempt(stage.other.refresh)
        stage.look()
        for key in sorted(stage.look().source):
            stage.delete_at_source(key)
        stage.look()

    return owner.run(call, at, meanwhile)


def _free_locks(connection):
    release = "pg_advisory_unlock_all" if connection.adapter.backend == "postgresql" else "RELEASE_ALL_LOCKS"
    with suppress(Exception), connection._conn.cursor() as cursor:  # its line may be gone
        cursor.execute(f"SELECT {release}()")
        cursor.fetchall()


def another_call(stage, call, at):
    """Another process, for which the owner looks dead, pulls, and then deletes, in the middle of the owner's operation."""
    owner = Owner(stage)

    def meanwhile():
        for connection in owner.connections.values():
            _free_locks(connection)
        stage.attempt(stage.other.pull)
        stage.look()
        stage.attempt((stage.other & "item in (1, 3)").delete)
        stage.look()

    return owner.run(call, at, meanwhile)
