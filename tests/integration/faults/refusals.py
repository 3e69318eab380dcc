"""Locks that others hold, and deadlocks with them: what a server refuses, or calls off, at each statement."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import psycopg2
import pymysql
from sessions import Owner

ERRORS = (psycopg2.Error, pymysql.Error)
HELD = 0.05
"""Seconds between the two locks of somebody who takes them in the other order."""


class Somebody:
    """A session of the server's admin with a transaction of its own, who does not wait for long."""

    def __init__(self, server):
        self.server, self.connection = server, server.raw(server.admin)
        postgresql = server.backend == "postgresql"
        self.run("SET lock_timeout = '2s'" if postgresql else "SET innodb_lock_wait_timeout = 2, lock_wait_timeout = 1")
        self.run("BEGIN")

    def run(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def lock(self, *tables):
        """Lock all rows of the tables, as far as that can be had at once."""
        for table in tables:
            with suppress(*ERRORS):
                self.run("SAVEPOINT before")
                self.run(f"SELECT * FROM {table} FOR UPDATE NOWAIT")
                continue
            with suppress(*ERRORS):
                self.run("ROLLBACK TO SAVEPOINT before")

    def end(self):
        with suppress(*ERRORS):  # its server may have chosen it to end a deadlock
            self.run("ROLLBACK")
        self.connection.close()


def _locked(stage, call, at, server, tables):
    somebody = []

    def lock():
        somebody.append(Somebody(server))
        somebody[0].lock(*tables)

    try:
        return Owner(stage).run(call, at, lock)
    finally:
        for each in somebody:
            each.end()


def source_locked(stage, call, at):
    return _locked(stage, call, at, stage.lab_s.server, [stage.outbound(), stage.outbound("~link_journal")])


def local_locked(stage, call, at):
    names = ("item", "item__piece", "note", "~link_decisions")
    return _locked(stage, call, at, stage.lab_l.server, [stage.local(name) for name in names])


def _deadlocked(stage, call, at, server, table):
    """Somebody locks the last row, and a moment later, when Link's operation may wait for it, the other ones."""
    threads = []

    def cross():
        somebody = Somebody(server)
        with suppress(*ERRORS):
            somebody.run(f"SELECT * FROM {table} WHERE item = 1 FOR UPDATE")
            time.sleep(HELD)
            somebody.run(f"SELECT * FROM {table} WHERE item <> 1 FOR UPDATE")
        somebody.end()

    def begin():
        threads.append(threading.Thread(target=cross))
        threads[0].start()
        time.sleep(HELD / 3)

    try:
        return Owner(stage).run(call, at, begin)
    finally:
        for thread in threads:
            thread.join()


def source_deadlock(stage, call, at):
    return _deadlocked(stage, call, at, stage.lab_s.server, stage.outbound())


def local_deadlock(stage, call, at):
    return _deadlocked(stage, call, at, stage.lab_l.server, stage.local("item"))
