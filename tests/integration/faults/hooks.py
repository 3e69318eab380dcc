"""Stops at every statement that Link sends, be it its own, one of DataJoint's cascade, a COPY, or the opening of a connection.

And at what it does to the files of a store, in several threads.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path

import datajoint as dj

from link.adapters.datajoint import wire_postgresql
from link.adapters.datajoint.places import FolderPlace
from link.adapters.datajoint.session import Session
from link.infrastructure import connections

FILES = ("WRITE", "SYNC", "RENAME")
"""What stands for a statement where a file is begun, brought to the disk, given its name."""


@contextmanager
def at_statements(before, after=lambda *_: None):
    """Call `before(connection, statement)` and `after(connection, statement)` around each statement.

    `connection` is None where one is about to be opened, and for files. Calls made by these two are not stopped at; they are
    made by one thread at a time.
    """
    inside, one_at_a_time = threading.local(), threading.Lock()

    def stopped(original, connection_of, statement_of):
        def call(*args, **kwargs):
            if getattr(inside, "hook", False):
                return original(*args, **kwargs)
            told = connection_of(*args), statement_of(*args)
            outside(before, told)
            result = original(*args, **kwargs)
            outside(after, told)
            return result

        return call

    def outside(hook, told):
        with one_at_a_time:
            inside.hook = True
            try:
                hook(*told)
            finally:
                inside.hook = False

    places = [
        (Session, "execute", lambda self, *_: self.connection, lambda _self, statement, *_: statement),
        (wire_postgresql, "_copy", lambda session, *_: session.connection, lambda _session, statement, *_: statement),
        (dj.Connection, "_execute_query", lambda self, *_: self, lambda _self, _cursor, query, *_: query),
        (connections, "private_connection", lambda *_: None, lambda *_: "CONNECT"),
        (FolderPlace, "write", lambda *_: None, lambda *_: "WRITE"),
        (os, "fsync", lambda *_: None, lambda *_: "SYNC"),
        (Path, "replace", lambda *_: None, lambda *_: "RENAME"),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _, _ in places]
    for (owner, name, *readers), (_, _, original) in zip(places, originals, strict=True):
        setattr(owner, name, stopped(original, *readers))
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
