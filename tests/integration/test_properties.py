"""Drawn tables with drawn rows through a whole life: pulled in small chunks, pulled again, restricted, requested, deleted."""

from __future__ import annotations

import datetime as dt
import os
import string
from collections import Counter
from decimal import Decimal
from uuid import UUID

import datajoint as dj
import pytest
import servers
from attrs import field, frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from labs import make_lab_l, make_lab_s
from servers import Product

from link import LazySchema, Link

PG = Product.POSTGRESQL
NAMES = ["n", "k", "c0", "order", "select", "größe", "a_b", "x1", "user", "t", "value", "o", "s", "closed", "transfer"]
"""Legal, and each one a trap: reserved words, Link's own aliases and columns, letters beyond ASCII."""
LETTERS = string.ascii_letters + "'\"\\%` _-:#{}\t\nßöÉ"
MORE = LETTERS + "ж😀中"


@frozen
class Sort:
    """A type of column: its SQL, what may stand in it, and whether it can be in a key."""

    sql: str
    values: st.SearchStrategy = field(eq=False)
    shown: str = "text"
    mark: str = ""
    key: bool = True
    default: object = None


def _ints(bits, *, unsigned=False):
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0, 1]) | st.integers(0, 3)


DATES = st.dates(dt.date(1000, 1, 1), dt.date(9999, 12, 31))
MOMENTS = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999))  # noqa: DTZ001
SECONDS = MOMENTS.map(lambda moment: moment.replace(microsecond=0))
DECIMALS = st.decimals(-9_999_999, 9_999_999, places=3).map(lambda number: number + Decimal("0.000"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True).map(lambda number: number + 0.0)
SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
LABELS = ["zz", "b", "a'%", "it", "É"]


def _texts(alphabet, size=20):
    return st.text(alphabet, max_size=size) | st.sampled_from(["a", "A", "a ", "á", "ss", "ß", "", "back\\", "100%"])


def sorts(product):
    """Return the types of a source column by name."""
    pg = product is PG
    found = {
        "small": Sort("smallint", _ints(16), default=-1),
        "int": Sort("int", _ints(32), default=0),
        "big": Sort("bigint", _ints(64), default=7),
        "date": Sort("date", DATES, default="2020-02-29"),
        "moment": Sort("timestamp(6)" if pg else "datetime(6)", MOMENTS, shown="moment"),
        "second": Sort("timestamp(0)" if pg else "datetime", SECONDS, shown="moment", default="1999-12-31 23:59:59"),
        "decimal": Sort("numeric(10,3)" if pg else "decimal(10,3)", DECIMALS, default="1.500"),
        "uuid": Sort("uuid" if pg else "binary(16)", st.uuids(), shown="uuid", mark=":uuid:"),
        "bool": Sort("boolean" if pg else "tinyint", st.booleans(), shown="bool", mark=":bool:"),
        "double": Sort("double precision" if pg else "double", FLOATS, shown="number", key=False, default="0.25"),
        "bytes": Sort("bytea" if pg else "longblob", st.binary(max_size=40), shown="bytes", mark=":bytes:", key=False),
        "text": Sort("text", _texts(MORE, 60), key=False),
        "single": Sort("real" if pg else "float", SINGLES, shown="single", key=False),
        "char": Sort("char(9)" if pg else "char(9) CHARACTER SET utf8mb4", _texts(MORE, 9).map(str.rstrip), shown="char"),
        "time": Sort("time(6)", st.times(), shown="time"),
    }
    if pg:
        found["enum"] = Sort("{enum}", st.sampled_from(LABELS), default="b")
        return found | {"word": Sort("varchar(20)", _texts(MORE), default="it''s")}
    enum = "enum({}) CHARACTER SET utf8mb4".format(", ".join("'" + label.replace("'", "''") + "'" for label in LABELS))
    found["enum"] = Sort(enum, st.sampled_from(LABELS), default="b")
    found["unsigned"] = Sort("bigint unsigned", _ints(64, unsigned=True), default=3)
    found["binary"] = Sort("varbinary(16)", st.binary(max_size=16), shown="bytes")
    found["year"] = Sort("year", st.integers(1901, 2155), shown="number")
    found["tiny"] = Sort("tinyint unsigned", _ints(8, unsigned=True))
    collations = ["utf8mb4_bin", "utf8mb4_general_ci", "latin1_swedish_ci", "latin1_bin"]
    collations.append("utf8mb4_0900_ai_ci" if product is Product.MYSQL else "utf8mb4_unicode_nopad_ci")
    for collation in collations:
        charset = collation.partition("_")[0]
        alphabet = LETTERS if charset == "latin1" else MORE
        found[collation] = Sort(f"varchar(20) CHARACTER SET {charset} COLLATE {collation}", _texts(alphabet), default="it''s")
    return found


@frozen
class Drawn:
    """A column of the drawn table."""

    name: str
    sort: Sort
    in_key: bool
    nullable: bool = False
    default: bool = False

    def declared(self, server, enum):
        parts = [server.quote(self.name), self.sort.sql.format(enum=enum) if enum else self.sort.sql]
        parts.append("NULL" if self.nullable else "NOT NULL")
        if self.default:
            parts.append(f"DEFAULT '{self.sort.default}'")
        if self.sort.mark and server.backend == "mysql":
            parts.append(f"COMMENT '{self.sort.mark}'")
        return " ".join(parts)


@st.composite
def tables(draw, product):
    """Draw (columns, name of the part's own key or None, rows, size of a chunk)."""
    known = sorts(product)
    names = draw(st.permutations(NAMES))
    size = draw(st.integers(1, 4))
    keys = [draw(st.sampled_from([name for name, sort in known.items() if sort.key])) for _ in range(size)]
    others = draw(st.lists(st.sampled_from(list(known)), max_size=4))
    columns = [Drawn(names[n], known[key], in_key=True) for n, key in enumerate(keys)]
    for n, other in enumerate(others):
        default = known[other].default is not None and draw(st.booleans())
        columns.append(Drawn(names[size + n], known[other], in_key=False, nullable=draw(st.booleans()), default=default))
    values = [column.sort.values | st.none() if column.nullable else column.sort.values for column in columns]
    rows = draw(st.lists(st.tuples(*values), min_size=1, max_size=9))
    part = names[-1] if draw(st.booleans()) else None
    return columns, part, rows, draw(st.integers(1, 4))


# ---- lab S


def bound(server, value):
    """Return a value as the driver takes it."""
    if isinstance(value, UUID):
        return str(value) if server.backend == "postgresql" else value.bytes
    return value


def make_source(lab, columns, part, rows):
    """Create the table and its part; insert and return those rows that its own key tells apart."""
    server = lab.server
    enum = lab.table("letters") if server.product is PG else ""
    key = ", ".join(server.quote(column.name) for column in columns if column.in_key)
    keyed = ", ".join(column.declared(server, enum) for column in columns if column.in_key)
    declared = ", ".join(column.declared(server, enum) for column in columns)
    connection = server.raw(lab.owner)
    with connection.cursor() as cursor:
        if enum:
            cursor.execute(f"CREATE TYPE {enum} AS ENUM ({', '.join(['%s'] * len(LABELS))})", LABELS)
        cursor.execute(f"CREATE TABLE {lab.table('session')} ({declared}, PRIMARY KEY ({key}))")
        kept = [row for row in rows if _inserted(cursor, lab, columns, row)]
        if part:
            own = server.quote(part)
            reference = f"FOREIGN KEY ({key}) REFERENCES {lab.table('session')} ({key})"
            trials = lab.table("session__trial")
            cursor.execute(f"CREATE TABLE {trials} ({keyed}, {own} int NOT NULL, PRIMARY KEY ({key}, {own}), {reference})")
            for number in range(2):
                cursor.execute(f"INSERT INTO {trials} SELECT {key}, {number} FROM {lab.table('session')}")
    connection.close()
    return kept


def _inserted(cursor, lab, columns, row):
    server = lab.server
    ignore, conflict = ("", " ON CONFLICT DO NOTHING") if server.product is PG else (" IGNORE", "")
    names = ", ".join(server.quote(column.name) for column in columns)
    places = ", ".join(["%s"] * len(columns))
    statement = f"INSERT{ignore} INTO {lab.table('session')} ({names}) VALUES ({places}){conflict}"
    cursor.execute(statement, [bound(server, value) for value in row])
    return cursor.rowcount == 1


def shown(server, column, alias="t"):
    """Return SQL for a value as text that is the same on every product."""
    name, pg = f"{alias}.{server.quote(column.name)}", server.product is PG
    kinds = {
        "text": f"{name}::text" if pg else f"CONVERT({name} USING utf8mb4)",
        "moment": f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')" if pg else f"CAST(CAST({name} AS DATETIME(6)) AS CHAR)",
        "uuid": f"replace({name}::text, '-', '')" if pg else f"LOWER(HEX({name}))",
        "bytes": f"encode({name}, 'hex')" if pg else f"LOWER(HEX({name}))",
        "bool": f"{name}::int::text" if pg else f"CAST({name} AS CHAR)",
        "number": name,
        "single": f"{name}::double precision" if pg else f"{name} * 1e0",
        "char": f"rtrim({name}::text)" if pg else f"CONVERT({name} USING utf8mb4)",
        "time": f"to_char({name}::interval, 'HH24:MI:SS.US')" if pg else f"CAST(CAST({name} AS TIME(6)) AS CHAR)",
    }
    return kinds[column.sort.shown]


def contents(lab, table, columns):
    """Return the rows of a table, in no order."""
    values = ", ".join(shown(lab.server, column) for column in columns)
    return Counter(lab.server.admin_query(f"SELECT {values} FROM {lab.table(table)} t"))


# ---- the life of a link


def linked(lab_s, lab_l, connection):
    server = lab_s.server
    source = LazySchema(
        lab_s.source_schema, host=server.host, port=server.port, user=lab_s.link.user, password=lab_s.link.password,
        backend=server.backend, database_name=server.database_name,
    )  # fmt: skip
    local = LazySchema(lab_l.local_schema, connection=connection)
    return Link(local, source, outbound=lab_s.outbound_schema)(type("Session", (), {}))


def key_of(columns, row):
    return {column.name: value for column, value in zip(columns, row, strict=True) if column.in_key}


def request(lab, columns, row):
    """Ask for a row's deletion, as lab S's owner."""
    lab.befriend()
    server, key = lab.server, key_of(columns, row)
    into = lab.outbound("session_outbound__deletion_requested")
    names = ", ".join(server.quote(name) for name in key)
    values = [bound(server, value) for value in key.values()]
    server.query(lab.owner, f"INSERT INTO {into} ({names}) VALUES ({', '.join(['%s'] * len(values))})", values)


def live(pair, drawn):
    """Take a drawn table through a whole life and check after each step what is where."""
    columns, part, rows, chunk = drawn
    lab_s, lab_l = make_lab_s(servers.get(pair[0], "source")), make_lab_l(servers.get(pair[1], "local"))
    server = lab_l.server
    if server.product is Product.MARIADB:  # stock MariaDB has latin1
        server.admin_query(f"ALTER DATABASE {lab_l.local_schema} CHARACTER SET utf8mb4")
    rows = make_source(lab_s, columns, part, rows)
    there = contents(lab_s, "session", columns)
    options = {"database__name": server.database_name, "safemode": False}
    instance = dj.Instance(server.host, lab_l.user.user, lab_l.user.password, server.port, backend=server.backend, **options)
    session = linked(lab_s, lab_l, instance.connection)
    try:
        session._operations.chunk = chunk
        first = session.pull()
        assert first.pulled + len(first.conflicts) == len(rows), first
        if pair[1] is PG:
            assert not first.conflicts
        here = contents(lab_l, "session", columns)
        assert not here - there
        assert here.total() == first.pulled == lab_s.count("session_outbound", lab_s.outbound_schema)
        if part:
            own = [*(column for column in columns if column.in_key), Drawn(part, Sort("int", st.none()), in_key=True)]
            parts = contents(lab_l, "session__trial", own)
            assert not parts - contents(lab_s, "session__trial", own)
            assert parts.total() == 2 * first.pulled
        again = session.pull()
        assert (again.pulled, again.already_local) == (0, first.pulled)
        assert len(again.conflicts) == len(first.conflicts)
        if first.conflicts:
            return
        _end(lab_s, lab_l, session, columns, rows)
        back = session.pull()
        assert (back.pulled, back.held_back) == (len(rows) - 1, 1)
    finally:
        instance.connection.close()
        session._operations.config.source.raw_connection.close()


def _end(lab_s, lab_l, session, columns, rows):
    """Ask for the first row's deletion, delete the rows one by one by their keys, the first is approved, the others go free."""
    request(lab_s, columns, rows[0])
    assert session.refresh().new == 1
    assert len(session().DeletionRequested()) == 1
    for number, row in enumerate(rows):
        chosen = session & key_of(columns, row)
        assert len(chosen) == 1, row
        assert session.pull(key_of(columns, row)).already_local == 1
        result = chosen.delete()
        assert (int(result), result.approved, result.released) == (1, number == 0, number != 0)
    assert lab_l.count("session") == 0
    assert contents(lab_s, "session", columns).total() == len(rows)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 1
    assert lab_s.count("session_outbound__deletion_approved", lab_s.outbound_schema) == 1


EXAMPLES = int(os.environ.get("LINK_EXAMPLES", "5"))
"""For each pair of servers; more for a longer search, which is then another one each time."""


@pytest.mark.timeout(max(300, 20 * EXAMPLES))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="LINK_EXAMPLES" not in os.environ,
    database=None,
    phases=[Phase.generate, Phase.shrink] if "LINK_EXAMPLES" in os.environ else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_any_table_lives_through_it(pair, data):
    """Whatever the key, the columns, the values and the size of a chunk: rows arrive as they are, once, and go by their keys."""
    live(pair, data.draw(tables(pair[0])))


@pytest.mark.parametrize("pair", [(PG, PG), (PG, Product.MYSQL), (Product.MARIADB, PG)], indirect=True, ids=str)
def test_a_table_of_traps_lives_through_it(pair):
    """A key column called as Link calls positions, a UUID and a backslash in a key, with chunks that end inside the key."""
    known = sorts(pair[0])
    word = known["word" if pair[0] is PG else "utf8mb4_bin"]
    columns = [
        Drawn("n", word, in_key=True),
        Drawn("u", known["uuid"], in_key=True),
        Drawn("order", known["double"], in_key=False),
    ]
    words = ["back\\", "100%", "it's", ""]
    rows = [(text, UUID(int=number), float(number)) for text in words for number in range(2)]
    live(pair, (columns, "t", rows, 3))
