"""Rows and keys between servers: rendered by one, read by another, compared in SQL on both."""

from __future__ import annotations

import itertools
import json
import struct
from contextlib import contextmanager
from uuid import UUID

import datajoint as dj
import pytest
from labs import make_lab_l, make_lab_s
from servers import Product, get

from link.adapters.datajoint import wire
from link.adapters.datajoint.line import SETTINGS
from link.adapters.datajoint.model import Column, Kind, TableModel
from link.adapters.datajoint.session import Session
from link.adapters.datajoint.translation import translate
from link.domain.errors import PacketTooLarge, ValueNotRepresentable

PG, MARIADB, MYSQL = Product.POSTGRESQL, Product.MARIADB, Product.MYSQL
TO_MYSQL = [pair for pair in itertools.product(Product, repeat=2) if pair[1] is not PG]
NASTY = [
    "",
    "a ",
    "it's",
    'dou"ble',
    "back\\slash",
    "ends\\",
    "100%",
    "%s %(x)s",
    "é",
    "😀",
    "tab\tline\nend\r",
    "Ann",
    "null",
    "\\N",
    "\\.",
]


def name_of(pair):
    return f"{pair[0].value}-to-{pair[1].value}"


def column(product, name, kind, spelled, **facts):
    """Return a column as the catalog would, with PostgreSQL's and MySQL's spelling of the type."""
    native = spelled[0] if product is PG else spelled[1]
    if kind in {Kind.STRING, Kind.ENUM} and product is not PG:
        facts = {"charset": "utf8mb4", "collation": "utf8mb4_bin", **facts}
    return Column(name=name, kind=kind, native=native, **facts)


@pytest.fixture
def open_session(connect):
    """Open sessions with the settings of a run, in a fresh schema."""

    def opened(product, role):
        lab = make_lab_s(get(product, role)) if role == "source" else make_lab_l(get(product, role))
        schema, user = (lab.source_schema, lab.owner) if role == "source" else (lab.local_schema, lab.user)
        found = Session(connection=connect(lab, user), translate=translate, schema=schema, mariadb=product is MARIADB)
        for statement in SETTINGS[found.backend]:
            found.query(statement)
        return found

    return opened


@pytest.fixture
def source(pair, open_session):
    return open_session(pair[0], "source")


@pytest.fixture
def local(pair, open_session):
    return open_session(pair[1], "local")


@pytest.fixture
def session(product, open_session):
    return open_session(product, "local")


def create(session, name, columns):
    """Create a table of `columns`, those in the key first, and return its model."""
    parts = []
    for found in columns:
        collation = f" CHARACTER SET {found.charset} COLLATE {found.collation}" if found.charset else ""
        parts.append(f"{session.quote(found.name)} {found.native}{collation} {'NOT NULL' if found.in_key else 'NULL'}")
    if keys := [session.quote(found.name) for found in columns if found.in_key]:
        parts.append(f"PRIMARY KEY ({', '.join(keys)})")
    session.query(f"CREATE TABLE {session.table(name)} ({', '.join(parts)})")
    return TableModel(schema=session.schema, name=name, comment="", columns=tuple(columns))


def read(session, table):
    """Return the rows of a table in wire form, ordered by the first column as text."""
    values = ", ".join(wire.render(session, found, "t") for found in table.columns)
    found = wire.fetch(session, f"SELECT {values} FROM {session.table(table.name)} t", (), table.columns)
    return sorted(found, key=lambda row: str(row[0]))


# ---- rows

DOUBLES = [
    "5e-324", "-5e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "-1.7976931348623157e308", "0.1",
    "0.30000000000000004", "123456789012345680", "1e22", "9007199254740993", "-4.9406564584124654e-310", "0", None,
]  # fmt: skip
BLOB = bytes(range(256)) * 4096
DOCUMENT = json.dumps({"a": [1, 2.5, None, True], "b": "x'y\"z\\ 😀 %s", "c": {"d": -(2**63), "e": 1e-7}})
KINDS = {
    "integer": (Kind.INTEGER, ("bigint", "bigint"), {"size": 64}, [str(2**63 - 1), str(-(2**63)), "0", None]),
    "float": (Kind.FLOAT64, ("double precision", "double"), {}, DOUBLES),
    "wide decimal": (
        Kind.DECIMAL,
        ("numeric(65,30)", "decimal(65,30)"),
        {"size": 65, "scale": 30},
        ["9" * 35 + "." + "9" * 30, "-" + "9" * 35 + "." + "1" * 30, "0." + "0" * 29 + "1", None],
    ),
    "bool": (Kind.BOOL, ("boolean", "tinyint"), {}, ["0", "1", None]),
    "string": (Kind.STRING, ("character varying(60)", "varchar(60)"), {"size": 60}, [*NASTY, None]),
    "text": (Kind.STRING, ("text", "longtext"), {}, ["long \\ 😀 " * 100_000, None]),
    "date": (Kind.DATE, ("date", "date"), {}, ["0001-01-01", "9999-12-31", "2024-02-29", None]),
    "datetime": (
        Kind.DATETIME,
        ("timestamp(6) without time zone", "datetime(6)"),
        {"size": 6},
        [
            "0001-01-01 00:00:00",
            "9999-12-31 23:59:59.999999",
            "2024-01-01 23:59:59.700000",
            "1999-01-01 10:00:00.000001",
            None,
        ],
    ),
    "uuid": (Kind.UUID, ("uuid", "binary(16)"), {}, ["0" * 32, "f" * 32, UUID(int=1, version=4).hex, None]),
    "json": (Kind.JSON, ("jsonb", "json"), {}, [DOCUMENT, "[]", "null", '"\\\\"', None]),
    "bytes": (Kind.BYTES, ("bytea", "longblob"), {}, [b"", BLOB, b"\\N", b"it's %s \\ \0", None]),
}


def normal(kind, value):
    """Return what is equal for equal values: servers differ in trailing zeros and in the layout of JSON."""
    if value is None:
        return None
    if kind is Kind.FLOAT64:
        return struct.pack("d", float(value))
    if kind is Kind.JSON:
        return json.loads(value)
    if kind is Kind.DATETIME and "." in value:
        return value.rstrip("0").rstrip(".")
    return value


@pytest.mark.parametrize("what", KINDS)
def test_a_value_arrives_as_it_was(pair, source, local, what):
    """Every kind of value, extremes and NULL included, is the same on the local server as on the source's, bit by bit."""
    kind, spelled, facts, values = KINDS[what]
    wanted = [(str(10 + index), value) for index, value in enumerate(values)]
    tables = []
    for product, server in zip(pair, (source, local), strict=True):
        number = column(product, "i", Kind.INTEGER, ("integer", "int"), size=32, in_key=True)
        tables.append(create(server, "t", [number, column(product, "v", kind, spelled, **facts)]))
    assert wire.insert_rows(source, tables[0], tables[0].columns, wanted) == len(wanted)
    there = read(source, tables[0])
    assert wire.insert_rows(local, tables[1], tables[1].columns, there) == len(wanted)
    for found in (there, read(local, tables[1])):
        assert [(key, normal(kind, value)) for key, value in found] == [(key, normal(kind, value)) for key, value in wanted]


def test_the_bytes_of_values_are_those_that_the_server_itself_was_given(session, product):
    """What SQL of the test's own has written, `render` reads; what `insert_rows` writes, SQL of the test's own reads."""
    columns = [
        column(product, "u", Kind.UUID, ("uuid", "binary(16)"), in_key=True),
        column(product, "b", Kind.BYTES, ("bytea", "longblob")),
        column(product, "o", Kind.BOOL, ("boolean", "tinyint")),
    ]
    table = create(session, "t", columns)
    own = UUID("00112233-4455-6677-8899-aabbccddeeff")
    session.query(
        f"INSERT INTO {session.table('t')} VALUES (%s, %s, {'TRUE' if product is PG else '1'})",
        (str(own) if product is PG else own.bytes, b"\x00\xff\\'"),
    )
    assert read(session, table) == [(own.hex, b"\x00\xff\\'", "1")]
    other = UUID(int=2**128 - 1)
    wire.insert_rows(session, table, columns, [(other.hex, b"\\x41", "0")])
    named = "u = %s" if product is PG else "u = UNHEX(%s)"
    shown = "encode(b, 'hex'), (NOT o)::int" if product is PG else "LOWER(HEX(b)), NOT o"
    assert session.query(f"SELECT {shown} FROM {session.table('t')} WHERE {named}", (other.hex,)) == [("5c783431", 1)]


def refusals(pair):
    """Return (kind, spelling, facts, value) of values that the local server would change or cannot hold."""
    text, when = ("text", "longtext"), ("timestamp(6) without time zone", "datetime(6)")
    common = [
        (Kind.STRING, ("character varying(3)", "varchar(3)"), {"size": 3}, "abc "),
        (Kind.DECIMAL, ("numeric(5,2)", "decimal(5,2)"), {"size": 5, "scale": 2}, "1.005"),
        (Kind.DECIMAL, ("numeric(5,2)", "decimal(5,2)"), {"size": 5, "scale": 2}, "1000.00"),
        (Kind.DATETIME, ("timestamp(0) without time zone", "datetime"), {"size": 0}, "2024-12-31 23:59:59.7"),
        (Kind.INTEGER, ("smallint", "smallint"), {"size": 16}, "32768"),
        (Kind.ENUM, None, {"labels": ("a", "b")}, "c"),
    ]
    if pair is PG:
        return [
            *common,
            (Kind.STRING, text, {}, "a\0b"),
            (Kind.JSON, ("jsonb", "json"), {}, '"\\u0000"'),
            (Kind.BOOL, ("boolean", "tinyint"), {}, "2"),
            (Kind.DATE, ("date", "date"), {}, "0000-00-00"),
        ]
    return [
        *common,
        *((Kind.FLOAT64, ("double precision", "double"), {}, value) for value in ("NaN", "Infinity", "-Infinity")),
        *((Kind.DATE, ("date", "date"), {}, value) for value in ("infinity", "0044-03-15 BC", "10000-01-01", "0000-00-00")),
        *((Kind.DATETIME, when, {"size": 6}, value) for value in ("-infinity", "0044-03-15 10:00:00 BC")),
        (Kind.DECIMAL, ("numeric(5,2)", "decimal(5,2)"), {"size": 5, "scale": 2}, "NaN"),
        (Kind.STRING, text, {"charset": "latin1", "collation": "latin1_bin"}, "ж"),
    ]


def test_a_value_that_would_be_changed_is_refused_by_name(session, product):
    """What the local server would round, cut, clamp or refuse ends in an error that names table and column."""
    if product is PG:
        session.query(f"CREATE TYPE {session.table('letters')} AS ENUM ('a', 'b')")
    number = column(product, "i", Kind.INTEGER, ("integer", "int"), size=32, in_key=True)
    cases = refusals(product)
    if product is MYSQL:
        cases.append((Kind.JSON, ("jsonb", "json"), {}, '{"a": 12345678901234567890123}'))
    for index, (kind, spelled, facts, value) in enumerate(cases):
        spelled = spelled or (session.table("letters"), "enum('a','b')")  # noqa: PLW2901
        table = create(session, f"t{index}", [number, column(product, "v", kind, spelled, **facts)])
        with pytest.raises(ValueNotRepresentable) as caught, session.transaction():
            insert(session, table, [("0", None), ("1", value), ("2", None)])
        fault = caught.value
        assert (fault.table, fault.column, fault.key) == (table.name, "v", {"i": "1"}), (kind, value, fault)


def insert(session, table, rows):
    """Insert as a pull does, after a look at the values."""
    for _, fault in wire.faults(session, table, table.columns, rows):
        raise fault
    return wire.insert_rows(session, table, table.columns, rows)


def test_what_only_the_server_can_tell_is_refused_by_name_too(session, product):
    """A text too long for its index, a character that the charset lacks: the error names the row among many."""
    word = ("text", "varchar(700)")
    latin = {} if product is PG else {"charset": "latin1", "collation": "latin1_bin"}
    columns = [
        column(product, "i", Kind.INTEGER, ("integer", "int"), size=32, in_key=True),
        column(product, "s", Kind.STRING, word, in_key=True, **latin),
    ]
    table = create(session, "t", columns)
    value = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(3_000)) if product is PG else "ж"
    rows = [(str(number), value if number == 777 else "a") for number in range(1_000)]
    with pytest.raises(ValueNotRepresentable) as caught, session.transaction():
        insert(session, table, rows)
    assert caught.value.key["i"] == "777"


def test_rows_are_sent_in_statements_of_bounded_size(session, product):
    """Rows with blobs go in several statements, all of them arrive, and a NULL beats the column's default."""
    columns = [
        column(product, "i", Kind.INTEGER, ("integer", "int"), size=32, in_key=True),
        column(product, "b", Kind.BYTES, ("bytea", "longblob")),
        column(product, "d", Kind.INTEGER, ("integer DEFAULT 7", "int DEFAULT 7"), size=32),
    ]
    table = create(session, "t", columns)
    rows = [(str(index), bytes([index]) * 300_000, None) for index in range(100)]
    before = session.statements
    assert wire.insert_rows(session, table, columns, iter(rows), max_bytes=2**20) == 100
    assert session.statements - before >= 30
    assert sorted(read(session, table)) == sorted(rows)


@pytest.mark.parametrize("product", [MARIADB], indirect=True, ids=["mariadb"])
def test_a_row_larger_than_a_statement_is_refused_before_it_is_sent(session, product):
    """A row beyond `max_allowed_packet` is an error that names the setting, and the session lives on; 11 MB fit into 16."""
    columns = [
        column(product, "i", Kind.INTEGER, ("integer", "int"), size=32, in_key=True),
        column(product, "b", Kind.BYTES, ("bytea", "longblob")),
    ]
    table = create(session, "t", columns)
    with pytest.raises(PacketTooLarge):
        wire.insert_rows(session, table, columns, [("1", b"x" * 13 * 2**20)])
    rows = [("1", bytes(range(256)) * 45_000), ("2", b"x" * 9 * 2**20), ("3", None), ("4", b"")]
    assert wire.insert_rows(session, table, columns, rows) == 4
    assert read(session, table) == rows


def test_row_sizes_count_what_has_no_bound(session, product):
    """The size of a row grows with its blob, text and JSON, and is a constant for the rest."""
    columns = [
        column(product, "i", Kind.INTEGER, ("integer", "int"), size=32, in_key=True),
        column(product, "b", Kind.BYTES, ("bytea", "longblob")),
        column(product, "s", Kind.STRING, ("text", "longtext")),
        column(product, "j", Kind.JSON, ("jsonb", "json")),
    ]
    table = create(session, "t", columns)
    wire.insert_rows(
        session, table, columns, [("1", b"x" * 100_000, "é" * 50_000, f'"{"j" * 100_000}"'), ("2", None, None, None)]
    )
    sizes = session.query(f"SELECT {wire.row_sizes(session, 't', columns)} FROM {session.table('t')} t ORDER BY i")
    assert 300_000 < sizes[0][0] < 301_000
    assert sizes[1][0] < 1_000


# ---- keys


def key_kinds(session, product):
    """Return key columns and keys, by a name; each list is free of keys that are equal on some server."""
    if product is PG:
        session.query(f"CREATE TYPE {session.table('letters')} AS ENUM ('zz', 'b', 'a''%%')")
    letters = (session.table("letters").replace("%%", "%"), "enum('zz','b','a''%%')")
    number = column(product, "n", Kind.INTEGER, ("integer", "int"), size=32, in_key=True)
    latin = {"charset": "latin1", "collation": "latin1_swedish_ci"} if product is not PG else {}
    folded = {"collation": "utf8mb4_general_ci"} if product is not PG else {}
    word, day = ("character varying(20)", "varchar(20)"), ("timestamp(6) without time zone", "datetime(6)")
    return {
        "strings": ([column(product, "s", Kind.STRING, word, size=20, in_key=True, **folded), number], [(word, str(n)) for n in range(3) for word in NASTY]),
        "latin1": ([column(product, "s", Kind.STRING, word, size=20, in_key=True, **latin), number], [(word, "1") for word in NASTY if word != "😀"]),
        "enum": (
            [column(product, "e", Kind.ENUM, letters, labels=("zz", "b", "a'%"), in_key=True), number],
            [(label, str(n)) for label in ("zz", "b", "a'%") for n in range(5)],
        ),
        "unsigned": (
            [column(product, "v", Kind.INTEGER if product is not PG else Kind.DECIMAL, ("numeric(20,0)", "bigint unsigned"), size=64 if product is not PG else 20, unsigned=product is not PG, in_key=True)],
            [(str(value),) for value in (0, 1, 2**63, 2**64 - 1)],
        ),
        "times": (
            [column(product, "d", Kind.DATETIME, day, size=6, in_key=True), column(product, "x", Kind.DECIMAL, ("numeric(10,3)", "decimal(10,3)"), size=10, scale=3, in_key=True)],
            [(when, amount) for when in ("0001-01-01 00:00:00", "2024-01-01 10:00:00.000001", "9999-12-31 23:59:59.999999") for amount in ("-1.500", "0.001")],
        ),
        "ids": (
            [column(product, "u", Kind.UUID, ("uuid", "binary(16)"), in_key=True), column(product, "d", Kind.DATE, ("date", "date"), in_key=True), column(product, "b", Kind.BOOL, ("boolean", "tinyint"), in_key=True)],
            [(UUID(int=value).hex, day, flag) for value in (0, 7, 2**128 - 1) for day in ("0001-01-01", "2024-02-29") for flag in "01"],
        ),
    }  # fmt: skip


NAMES = ("strings", "latin1", "enum", "unsigned", "times", "ids")
STRANGERS = {
    "strings": [("ж", "1"), ("", "x"), ("a" * 30, "1"), ("it's", "99999999999999999999"), ("é", "1.0")],
    "latin1": [("ж", "1"), ("😀", "1"), ("?", "2")],
    "enum": [("c", "1"), ("", "1"), ("zz", "-1")],
    "unsigned": [("-1",), (str(2**64),), ("1.5",), ("1x",), ("",)],
    "times": [("2024-01-01 10:00:00", "0.001"), ("2024-02-30 00:00:00", "0.001"), ("infinity", "0.001"), ("0001-01-01 00:00:00", "0.0014"), ("x", "1")],
    "ids": [("0" * 31, "2024-02-29", "1"), ("0" * 32, "2024-02-30", "1"), ("0" * 32, "2024-02-29", "2"), ("zz", "", "")],
}  # fmt: skip


def filled(session, product, name):
    columns, keys = key_kinds(session, product)[name]
    if product is not PG and name == "strings":
        keys = [key for key in keys if key[0] != "a "]
    table = create(session, "t", columns)
    wire.insert_rows(session, table, columns, keys)
    return columns, keys


def plain(columns, key):
    return tuple(normal(found.kind, value) for found, value in zip(columns, key, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_keys_as_a_relation_match_their_rows_and_nothing_else(session, product, name):
    """Each key finds its own row, by its position, and a key that the columns cannot hold finds none instead of another."""
    columns, keys = filled(session, product, name)
    asked = [*keys[::-1], *STRANGERS[name]]
    relation, args = wire.key_relation(session, columns, asked)
    values = ", ".join(wire.render(session, found, "t") for found in columns)
    found = session.query(
        f"SELECT k.n, {values} FROM {relation} {wire.joining(session)} {session.table('t')} t"
        f" ON {wire.key_join(session, columns, 't')} ORDER BY k.n",
        args,
    )
    assert [int(row[0]) for row in found] == list(range(len(keys)))
    assert [plain(columns, row[1:]) for row in found] == [plain(columns, key) for key in keys[::-1]]


@pytest.mark.parametrize("name", NAMES)
def test_pages_follow_the_order_and_meet_every_key_once(session, product, name):
    """Reading on after each key, one at a time, gives the rows of one ordered read, none twice and none left out."""
    columns, keys = filled(session, product, name)
    values, order = ", ".join(wire.render(session, found, "t") for found in columns), wire.key_order(session, columns, "t")
    wanted = session.query(f"SELECT {values} FROM {session.table('t')} t ORDER BY {order}")
    met, where, args = [], "TRUE", ()
    while page := session.query(f"SELECT {values} FROM {session.table('t')} t WHERE {where} ORDER BY {order} LIMIT 1", args):
        met += page
        where, args = wire.key_after(session, columns, "t", page[-1])
    assert met == wanted
    assert len(met) == len(keys)


@pytest.mark.parametrize("name", NAMES)
def test_keys_as_literals_match_their_rows_and_nothing_else(session, product, name):
    """The condition made of literals has no percent sign or word that DataJoint parses, and selects exactly the keys' rows."""
    columns, keys = filled(session, product, name)
    half, place = keys[: len(keys) // 2 + 1], session.table("t")
    condition = wire.key_literals(session, columns, [*half, *STRANGERS[name]], "t")
    values = ", ".join(wire.render(session, found, "t") for found in columns)
    found = session.query(f"SELECT {values} FROM {place} t WHERE {condition.replace('%', '%%')}")
    assert sorted(plain(columns, row) for row in found) == sorted(plain(columns, key) for key in half)
    assert session.query(
        f"SELECT count(*) FROM {place} t WHERE {wire.key_literals(session, columns, STRANGERS[name][:1], 't')}"
    ) == [(0,)]


def test_no_keys_are_no_rows(session, product):
    """An empty list of keys selects nothing, neither as a relation nor as literals (trap 13)."""
    columns, _ = filled(session, product, "times")
    relation, args = wire.key_relation(session, columns, [])
    assert session.query(f"SELECT count(*) FROM {relation}", args) == [(0,)]
    assert wire.key_literals(session, columns, []) == "FALSE"


def test_equality_is_the_columns_own_collation(session, product):
    """`ANN` finds `ann` where the column's collation says so, and does not where it does not."""
    folded = {} if product is PG else {"collation": "utf8mb4_general_ci"}
    columns = [column(product, "s", Kind.STRING, ("character varying(20)", "varchar(20)"), size=20, in_key=True, **folded)]
    table = create(session, "t", columns)
    wire.insert_rows(session, table, columns, [("ann",)])
    relation, args = wire.key_relation(session, columns, [("ANN",)])
    joined = f"{relation} {wire.joining(session)} {session.table('t')} t ON {wire.key_join(session, columns, 't')}"
    wanted = [(0 if product is PG else 1,)]
    assert session.query(f"SELECT count(*) FROM {joined}", args) == wanted
    listed = wire.key_literals(session, columns, [("ANN",)])
    assert session.query(f"SELECT count(*) FROM {session.table('t')} WHERE {listed}") == wanted


@contextmanager
def at_most(session, place, reads):
    """Assert that the block reads at most so many rows of MySQL's and MariaDB's tables."""
    before = counted(session)
    yield
    assert counted(session) - before <= reads


def counted(session):
    if session.backend == "postgresql":
        return 0
    names = ("Handler_read_rnd_next", "Handler_read_next", "Handler_read_key")
    found = dict(session.query("SHOW SESSION STATUS LIKE 'Handler_read%%'"))
    return sum(int(found[name]) for name in names)


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_many_keys_use_the_index(session, product, charset):
    """5,000 of 40,000 composite keys are read and deleted, as a relation and as literals, without more than one look at each row."""
    facts = {} if product is PG else {"charset": charset, "collation": f"{charset}_bin"}
    columns = [
        column(product, "s", Kind.STRING, ("character varying(20)", "varchar(20)"), size=20, in_key=True, **facts),
        column(product, "n", Kind.INTEGER, ("integer", "int"), size=32, in_key=True),
    ]
    table = create(session, "t", columns)
    keys = [(f"mouse {n % 40} é", str(n)) for n in range(40_000)]
    wire.insert_rows(session, table, columns, keys)
    place, half = session.table("t"), keys[:5_000]
    session.query(f"ANALYZE {place}" if product is PG else f"ANALYZE TABLE {place}")
    relation, args = wire.key_relation(session, columns, half)
    with at_most(session, place, 60_000):
        joined = f"{relation} {wire.joining(session)} {place} t ON {wire.key_join(session, columns, 't')}"
        assert session.query(f"SELECT count(*) FROM {joined}", args) == [(5_000,)]
    condition = wire.key_literals(session, columns, half)
    with at_most(session, place, 60_000):
        assert session.query(f"SELECT count(*) FROM {place} WHERE {condition}") == [(5_000,)]
    with at_most(session, place, 60_000):
        assert session.change(f"DELETE FROM {place} WHERE {condition}") == 5_000
    where, args = wire.key_after(session, columns, "t", keys[-1])
    with at_most(session, place, 50):
        session.query(f"SELECT n FROM {place} t WHERE {where} ORDER BY {wire.key_order(session, columns, 't')} LIMIT 10", args)


# ---- DataJoint's cascade


@pytest.fixture
def family(session):
    """Make a table with nasty keys, and children that hold its key under its own and under other names."""
    if session.backend == "mysql":
        session.query(f"ALTER DATABASE {session.quote(session.schema)} CHARACTER SET utf8mb4")  # stock MariaDB has latin1
    schema = dj.Schema(session.schema, connection=session.connection)

    class Animal(dj.Manual):
        definition = """
        animal : varchar(20)
        day : date
        """

    class Scan(dj.Manual):
        definition = """
        -> Animal.proj(target='animal', when_done='day')
        scan : int32
        """

    class Note(dj.Manual):
        definition = """
        note : int32
        ---
        -> Animal
        """

    for table in (Animal, Scan, Note):
        schema(table, context={"Animal": Animal})
    return Animal, Scan, Note


def test_a_cascade_takes_exactly_the_keys_and_their_children(session, product, family):
    """`restricted` with literals counts and deletes exactly those rows, in DataJoint's cascade also under renamed keys."""
    animal, scan, note = family
    words = [word for word in NASTY if word != "a "]
    place = session.table
    for number, word in enumerate(words):
        session.query(f"INSERT INTO {place('animal')} (animal, day) VALUES (%s, '2024-01-01')", (word,))
        session.query(f"INSERT INTO {place('scan')} (target, when_done, scan) VALUES (%s, '2024-01-01', 1)", (word,))
        session.query(f"INSERT INTO {place('note')} (note, animal, day) VALUES (%s, %s, '2024-01-01')", (number, word))
    key = [
        column(product, "animal", Kind.STRING, ("character varying(20)", "varchar(20)"), size=20, in_key=True, collation=""),
        column(product, "day", Kind.DATE, ("date", "date"), in_key=True),
    ]
    chosen = words[::2]
    condition = wire.key_literals(session, key, [(word, "2024-01-01") for word in chosen])
    table = dj.FreeTable(session.connection, animal.full_table_name)
    expression = wire.restricted(table, condition, ["animal", "day"])
    assert len(expression) == len(chosen)
    diagram = dj.Diagram.cascade(expression)
    assert {len(found) for found in diagram} == {len(chosen)}
    assert {found.full_table_name for found in diagram} == {found.full_table_name for found in family}
    assert {found.delete_quick(get_count=True) for found in reversed(diagram)} == {len(chosen)}
    left = {row[0] for row in session.query(f"SELECT animal FROM {place('animal')}")}
    assert left == set(words) - set(chosen)
    assert len(expression) == expression.delete_quick(get_count=True) == 0
    assert len(scan()) == len(note()) == len(left)


def test_restricted_looks_into_computed_and_limited_expressions(session, product, family):
    """A condition on an expression with computed attributes or a limit selects from its rows, as DataJoint's own would."""
    animal, _, _ = family
    for day in range(1, 6):
        animal.insert1({"animal": "ann", "day": f"2024-01-0{day}"})
    quote = session.connection.adapter.quote_identifier
    renamed = animal.proj(other="day")
    assert len(wire.restricted(renamed, f"{quote('other')} > '2024-01-02'", ["other"])) == 3
    limited = animal & dj.Top(2, "day")
    assert len(wire.restricted(limited, f"{quote('day')} > '2024-01-01'", ["day"])) == 1
