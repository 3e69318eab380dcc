"""Everybody at once, each a process of its own: four pullers, two deleters, a refresher, and lab S in three roles.

What each does is drawn from a seed; how they interleave is the servers' business. A gate lets the watcher look at both servers
while no statement of anybody's is under way.
"""

from __future__ import annotations

import collections
import fcntl
import json
import os
import random
import tempfile
import time
import warnings
from contextlib import contextmanager, suppress

import psycopg2
import pymysql
from hooks import at_statements
from watch import FALSE_ALARMS

from link import errors

KEYS = range(10)
PATIENCE = 0.05
"""How long the watcher keeps everybody waiting before it gives up a look, in seconds."""


class Gate:
    """Statements pass it together, the watcher alone; a turnstile before it keeps new statements from starving the watcher."""

    def __init__(self, folder):
        self.folder, self._files = folder, {}

    def _file(self, name):
        key = os.getpid(), name  # a lock belongs to an open file, which a fork would share
        if key not in self._files:
            self._files[key] = open(os.path.join(self.folder, name), "w")  # noqa: PTH118, PTH123, SIM115
        return self._files[key]

    def enter(self, *_):
        fcntl.flock(self._file("turnstile"), fcntl.LOCK_EX)
        fcntl.flock(self._file("gate"), fcntl.LOCK_SH)
        fcntl.flock(self._file("turnstile"), fcntl.LOCK_UN)

    def leave(self, *_):
        fcntl.flock(self._file("gate"), fcntl.LOCK_UN)

    @contextmanager
    def alone(self):
        """Yield whether nobody is under way."""
        fcntl.flock(self._file("turnstile"), fcntl.LOCK_EX)
        try:
            yield self._closed()
        finally:
            self.leave()
            fcntl.flock(self._file("turnstile"), fcntl.LOCK_UN)

    def _closed(self):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with suppress(BlockingIOError):
                fcntl.flock(self._file("gate"), fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.0005)
        return False


def _chosen(draw):
    return f"item in ({', '.join(str(key) for key in draw.sample(KEYS, 4))})"


def puller(stage, draw):
    item = stage.linked()
    return lambda: item.pull(*([_chosen(draw)] if draw.random() < 0.5 else []))


def deleter(stage, draw):
    item = stage.linked()
    return lambda: (item & _chosen(draw)).delete()


def refresher(stage, draw):
    return stage.linked().refresh


class LabS:
    """A user of lab S with every right, working in transactions of a few statements."""

    def __init__(self, stage, gate):
        server = stage.lab_s.server
        self.stage, self.gate, self.connection = stage, gate, server.raw(server.admin)
        self.postgresql = server.backend == "postgresql"
        self.run("SET lock_timeout = '1s'" if self.postgresql else "SET innodb_lock_wait_timeout = 1, lock_wait_timeout = 1")

    def run(self, statement):
        self.gate.enter()
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            self.gate.leave()

    def unit(self, statements):
        try:
            for statement in ("BEGIN", *statements, "COMMIT"):
                self.run(statement)
        except (psycopg2.Error, pymysql.Error):
            self.run("ROLLBACK")
            raise


def lab_s_writes(stage, draw, gate):
    """Insert, and update masters and parts together."""
    user, item, piece = LabS(stage, gate), stage.lab_s.table("item"), stage.lab_s.table("item__piece")

    def write():
        key, number = draw.choice(KEYS), draw.randrange(1_000)
        if draw.random() < 0.5:
            parts = ", ".join(f"({key}, {part}, {number})" for part in range(2))
            names = "(item, piece, number)"
            user.unit(
                [f"INSERT INTO {item} (item, number) VALUES ({key}, {number})", f"INSERT INTO {piece} {names} VALUES {parts}"]
            )
        else:
            changes = [f"UPDATE {table} SET number = {number} WHERE item = {key}" for table in (item, piece)]
            user.unit(changes)

    return write


def lab_s_asks(stage, draw, gate):
    """Request, withdraw, and delete as DataJoint does."""
    user, flags = LabS(stage, gate), stage.outbound("item_outbound__deletion_requested")

    def ask():
        key = draw.choice(KEYS)
        move = draw.choice(("request", "request", "withdraw", "delete", "delete"))
        if move == "delete":
            user.unit(stage.deletes(key))
        elif move == "request":
            user.unit([f"INSERT INTO {flags} VALUES ({key})"])
        else:
            user.unit([f"DELETE FROM {flags} WHERE item = {key}"])

    return ask


def lab_s_alters(stage, draw, gate):
    """Add a column to the source table and take it away again, each at once: between two statements the watcher could not look."""
    user, item = LabS(stage, gate), stage.lab_s.table("item")

    def alter():
        time.sleep(0.5)
        user.run(f"ALTER TABLE {item} ADD COLUMN extra integer NULL")
        time.sleep(0.05)
        for _ in range(100):
            with suppress(psycopg2.Error, pymysql.Error):
                user.run(f"ALTER TABLE {item} DROP COLUMN extra")
                break

    return alter


LINKS = [puller] * 4 + [deleter] * 2 + [refresher]
LAB_S = [lab_s_writes, lab_s_asks, lab_s_asks, lab_s_alters]


def storm(stage, seed, calls):
    """Let everybody make `calls` calls; return how often which error ended one, and how many looks there were."""
    with tempfile.TemporaryDirectory(prefix="link-storm-") as folder:
        gate = Gate(folder)
        children = [_fork(stage, gate, make, f"{seed}/{number}", calls) for number, make in enumerate([*LINKS, *LAB_S])]
        looks = 0
        while any(child.running() for child in children):
            with gate.alone() as alone:
                if alone:
                    stage.look()
                    looks += 1
            time.sleep(0.002)
        told = collections.Counter()
        for child in children:
            told.update(child.told())
    stage.quiet()
    stage.complete("refresh", exactly=False)
    return told, looks


class _Child:
    def __init__(self, pid, results):
        self.pid, self.results, self.ended = pid, results, False

    def running(self):
        self.ended = self.ended or os.waitpid(self.pid, os.WNOHANG)[0] != 0
        return not self.ended

    def told(self):
        with os.fdopen(self.results) as results:
            return json.loads(results.read())


def _fork(stage, gate, make, seed, calls):
    results, end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of threads; the child uses none of them
        pid = os.fork()
    if pid:
        os.close(end)
        return _Child(pid, results)
    told = {"no answer": 1}
    try:
        told = _calls(stage, gate, make, random.Random(seed), calls)
    finally:
        os.write(end, json.dumps(told).encode())
        os._exit(0)


def _calls(stage, gate, make, draw, calls):
    told = collections.Counter()
    is_link = make in LINKS
    call = make(stage, draw) if is_link else make(stage, draw, gate)
    for _ in range(calls if is_link else 4 * calls):
        try:
            if is_link:
                with at_statements(gate.enter, gate.leave):
                    call()
            else:
                call()
            told[make.__name__] += 1
        except FALSE_ALARMS as error:
            told[f"UNEXPECTED {make.__name__}: {error!r}"] += 1
        except errors.LinkError as error:
            told[f"{make.__name__}: {type(error).__name__} {getattr(error, 'code', '')}".rstrip()] += 1
        except (psycopg2.Error, pymysql.Error):
            told[f"{make.__name__}: refused"] += 1
        except BaseException as error:  # noqa: BLE001 - reported to the parent
            told[f"UNEXPECTED {make.__name__}: {error!r}"] += 1
        finally:
            gate.leave()
    return told
