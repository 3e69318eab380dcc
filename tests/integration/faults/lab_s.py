"""Lab S at work in the middle of Link's operations, before each statement: as its admin, with all rights, in SQL."""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg2
import pymysql
from hooks import at_statements

PATIENCE = 0.03
"""How long Link's operation waits for lab S's statements before it goes on, in seconds; they may wait for its locks."""


def _meanwhile(stage, call, at, act):
    """Before statement number `at` let lab S begin to `act`, in a thread; it may have to wait until locks are free."""
    count, threads, done = 0, [], False

    def before(*_):
        nonlocal count
        count += 1
        watch("")
        if count == at:
            stage.look()
            threads.append(threading.Thread(target=act, args=(stage,)))
            threads[0].start()
            threads[0].join(PATIENCE)
            watch("")

    def after(_connection, statement):
        watch(statement)

    def watch(statement):
        nonlocal done
        if threads and not done:
            done = not threads[0].is_alive()  # first, so that what was its last is looked at
            stage.look()
        elif threads:
            stage.look_after(statement)

    with at_statements(before, after):
        stage.attempt(call)
    for thread in threads:
        thread.join()
    return count >= at


def _as_admin(stage, *units):
    """Run each unit, a list of statements, in a transaction; a refusal ends its unit."""
    server = stage.lab_s.server
    connection = server.raw(server.admin)
    short = (
        "SET lock_timeout = '3s'"
        if server.backend == "postgresql"
        else "SET innodb_lock_wait_timeout = 3, lock_wait_timeout = 3"
    )
    with connection.cursor() as cursor:
        cursor.execute(short)
        for unit in units:
            try:
                for statement in ("BEGIN", *unit, "COMMIT"):
                    cursor.execute(statement)
            except (psycopg2.Error, pymysql.Error):
                with suppress(psycopg2.Error, pymysql.Error):  # the server may have ended the session
                    cursor.execute("ROLLBACK")
    connection.close()


def deletes(stage, call, at):
    """Lab S deletes every row that its server lets go, as DataJoint does: flags and registration first."""

    def act(_stage):
        _as_admin(stage, *([*stage.deletes(key)] for key in sorted(stage.keys)))

    return _meanwhile(stage, call, at, act)


def deletes_plainly(stage, call, at):
    """Lab S deletes in SQL, the rows and their parts alone."""

    def act(_stage):
        names = [stage.lab_s.table(name) for name in ("item__piece", "item")]
        _as_admin(stage, *([f"DELETE FROM {name} WHERE item = {key}" for name in names] for key in sorted(stage.keys)))

    return _meanwhile(stage, call, at, act)


def updates(stage, call, at):
    """Lab S changes masters and parts together, and renames keys."""

    def act(_stage):
        item, piece = (stage.lab_s.table(name) for name in ("item", "item__piece"))
        changed = [[f"UPDATE {item} SET number = {at}", f"UPDATE {piece} SET number = {at}"]]
        renamed = [[f"UPDATE {item} SET item = {key + 10} WHERE item = {key}"] for key in (0, 2)]
        _as_admin(stage, *changed, *renamed)

    return _meanwhile(stage, call, at, act)


def truncates(stage, call, at):
    """Lab S truncates outbound and the source table, with all that depends on them where the server knows how to."""

    def act(_stage):
        cascade = " CASCADE" if stage.lab_s.server.backend == "postgresql" else ""
        names = (stage.outbound(), stage.lab_s.table("item"))
        _as_admin(stage, *([f"TRUNCATE TABLE {name}{cascade}"] for name in names))

    return _meanwhile(stage, call, at, act)


def changes_its_mind(stage, call, at):
    """Lab S requests every row that is not requested and withdraws every request there is; then it deletes what it can."""

    def act(_stage):
        flags = stage.outbound("item_outbound__deletion_requested")
        asked = [key for (key,) in stage.lab_s.server.admin_query(f"SELECT item FROM {flags}")]
        requests = [[f"INSERT INTO {flags} VALUES ({key})"] for key in sorted(stage.keys) if key not in asked]
        _as_admin(stage, *([f"DELETE FROM {flags} WHERE item = {key}"] for key in asked), *requests)

    return _meanwhile(stage, call, at, act)


def takes_approvals_back(stage, call, at):
    """Lab S deletes approvals and requests by hand, which its users may, and then deletes the rows that it can."""

    def act(_stage):
        flags = [stage.outbound(f"item_outbound__deletion_{name}") for name in ("approved", "requested")]
        _as_admin(stage, [f"DELETE FROM {name}" for name in flags])

    return _meanwhile(stage, call, at, act)
