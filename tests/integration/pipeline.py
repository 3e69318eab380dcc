"""The pipeline of lab S in the tests: a session with trials, and values of every kind that the core copies."""

from __future__ import annotations

import json
import uuid

import datajoint as dj

FULL = """
# recordings, as many as a day has: see "notes"
-> Subject
session : int32
---
date : date  # it's the day
score=null : float64
note="it''s" : varchar(60)  # free text: quotes "too" \\ and # marks
kind="b" : enum('a','b','c')
data=null : <blob>
raw=null : bytes
ok=1 : bool
uid : uuid
meta=null : json
price=1.50 : decimal(8,2)
at="2020-01-01 10:00:00" : datetime(6)
small=null : int16
big=null : int64
index(date)
unique index(uid)
"""


def declare(connection, schema_name, definition=FULL):
    """Declare Subject, Session and Session.Trial and return the classes."""
    schema = dj.Schema(schema_name, connection=connection)

    class Subject(dj.Manual):
        definition = """
        subject : varchar(16)
        """

    class Session(dj.Manual):
        pass

    class Trial(dj.Part):
        definition = """
        -> master
        trial : int16
        ---
        rt : float64
        """

    if connection.adapter.backend == "mysql":
        definition = definition.replace('see "notes"', "see notes")
    Session.definition = definition
    Session.Trial = Trial
    context = {"Subject": Subject}
    schema(Subject, context=context)
    schema(Session, context=context)
    return Subject, Session


def rows(subjects, sessions):
    """Return rows of Session as SQL takes them (DataJoint cannot insert a uuid on PostgreSQL)."""
    return [
        {
            "subject": f"m{subject}",
            "session": session,
            "date": f"2024-01-{session % 28 + 1:02}",
            "score": None if session % 5 == 0 else 0.1 * session + 1e-17,
            "note": ["plain", "quo'te", 'dou"ble', "back\\slash", "per%cent", "tab\tnew\nline", "😀 é", ""][session % 8],
            "kind": "abc"[session % 3],
            "data": None if session % 4 else b"mYm\0A\x02" + bytes(range(256)),
            "raw": bytes(range(256)) * (session % 3),
            "ok": session % 2,
            "uid": uuid.UUID(int=subject * 1000 + session, version=4),
            "meta": json.dumps({"a": [1, 2.5, None], "b": "x'y\"z"}) if session % 3 else None,
            "price": f"{session}.25",
            "at": f"2024-01-01 10:00:{session % 60:02}.000{session % 1000:03}",
            "small": -32768 if session % 2 else 32767,
            "big": 2**63 - 1 - session,
        }
        for subject in subjects
        for session in sessions
    ]


def fill(lab_s, subjects=range(3), sessions=range(10), trials=2):
    """Insert sessions with trials at lab S, as its owner, in SQL."""
    server, connection = lab_s.server, lab_s.server.raw(lab_s.owner)
    with connection.cursor() as cursor:
        for subject in subjects:
            cursor.execute(f"INSERT INTO {lab_s.table('subject')} VALUES (%s)", (f"m{subject}",))
        for row in rows(subjects, sessions):
            names = ", ".join(server.quote(name) for name in row)
            values = [_native(server, name, value) for name, value in row.items()]
            places = ", ".join(["%s"] * len(values))
            cursor.execute(f"INSERT INTO {lab_s.table('session')} ({names}) VALUES ({places})", values)
        for subject in subjects:
            for session in sessions:
                for trial in range(trials):
                    values = (f"m{subject}", session, trial, trial / 3)
                    cursor.execute(f"INSERT INTO {lab_s.table('session__trial')} VALUES (%s, %s, %s, %s)", values)
    connection.close()


def _native(server, name, value):
    if name == "uid":
        return str(value) if server.backend == "postgresql" else value.bytes
    if name == "ok" and server.backend == "postgresql":
        return bool(value)
    return value


def contents(server, table, columns):
    """Return a table's rows in a form that is the same on every product, rendered by the server."""
    found = server.admin_query(f"SELECT {', '.join(_plain(server, column) for column in columns)} FROM {table}")
    return sorted(tuple(_value(value) for value in row) for row in found)


def _plain(server, column):
    name = server.quote(column)
    postgresql = server.backend == "postgresql"
    if column == "uid":
        return f"replace({name}::text, '-', '')" if postgresql else f"LOWER(HEX({name}))"
    if column in {"data", "raw"}:
        return f"encode({name}, 'hex')" if postgresql else f"LOWER(HEX({name}))"
    if column == "ok":
        return f"{name}::int" if postgresql else name
    if column == "at":
        return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')" if postgresql else f"CAST({name} AS CHAR)"
    if column == "meta":
        return f"{name}::text" if postgresql else f"CAST({name} AS CHAR)"
    if column in {"subject", "note", "kind"}:
        return f"{name}::text" if postgresql else name
    return name


def _value(value):
    if isinstance(value, str) and value.startswith('{"'):
        return json.dumps(json.loads(value), sort_keys=True)
    return "" if value is None else str(value)


COLUMNS = (
    "subject", "session", "date", "score", "note", "kind", "data", "raw", "ok", "uid", "meta", "price", "at", "small", "big",
)  # fmt: skip
TRIAL = ("subject", "session", "trial", "rt")
