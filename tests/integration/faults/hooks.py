"""Stops at every statement that Link sends, be it its own, one of DataJoint's cascade, a COPY, or the opening of a connection."""

from __future__ import annotations

from contextlib import contextmanager

import datajoint as dj

from link.adapters.datajoint import wire_postgresql
from link.adapters.datajoint.session import Session
from link.infrastructure import connections


@contextmanager
def at_statements(before, after=lambda *_: None):
    """Call `before(connection, statement)` and `after(connection, statement)` around each statement.

    `connection` is None where one is about to be opened. Calls made by these two are not stopped at.
    """
    inside = []

    def stopped(original, connection_of, statement_of):
        def call(*args, **kwargs):
            if inside:
                return original(*args, **kwargs)
            told = connection_of(*args), statement_of(*args)
            _outside(inside, before, told)
            result = original(*args, **kwargs)
            _outside(inside, after, told)
            return result

        return call

    places = [
        (Session, "execute", lambda self, *_: self.connection, lambda _self, statement, *_: statement),
        (wire_postgresql, "_copy", lambda session, *_: session.connection, lambda _session, statement, *_: statement),
        (dj.Connection, "_execute_query", lambda self, *_: self, lambda _self, _cursor, query, *_: query),
        (connections, "private_connection", lambda *_: None, lambda *_: "CONNECT"),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _, _ in places]
    for (owner, name, *readers), (_, _, original) in zip(places, originals, strict=True):
        setattr(owner, name, stopped(original, *readers))
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _outside(inside, call, told):
    inside.append(call)
    try:
        call(*told)
    finally:
        inside.pop()
