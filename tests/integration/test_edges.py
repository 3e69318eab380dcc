"""Declarations at the edge of what the local server holds, kinds of tables, and what DataJoint reads in the end."""

from __future__ import annotations

import datetime as dt

import datajoint as dj
import pytest
import servers
from labs import make_lab_l, make_lab_s
from servers import Product

from link import errors
from link.adapters.datajoint import declaration, wire
from link.adapters.datajoint.catalog import read_entity
from link.adapters.datajoint.exactness import canonical
from link.adapters.datajoint.model import Index
from link.infrastructure import connections

PG, MARIADB, MYSQL = Product.POSTGRESQL, Product.MARIADB, Product.MYSQL
DEFAULTS = {
    "mysql": (
        "f float DEFAULT 0.1, c char(4) DEFAULT 'a b', t time DEFAULT '-30:00:00', y year DEFAULT 2024, b bit(5) DEFAULT b'10110',"
        " s set('a','b','c') CHARACTER SET utf8mb4 DEFAULT 'a,c', ts timestamp(3) NULL DEFAULT CURRENT_TIMESTAMP(3),"
        " d decimal(8,2) unsigned NOT NULL DEFAULT 1.5, e enum('x','y') CHARACTER SET utf8mb4 DEFAULT 'y', n int DEFAULT NULL,"
        " w varchar(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT '100% ''a'' \\\\ \"b\" # c: d'"
    ),
    "postgresql": (
        "f real DEFAULT 0.1, c char(4) DEFAULT 'a b', t time DEFAULT '10:00', b bit(5) DEFAULT B'10110',"
        " ts timestamptz(3) DEFAULT CURRENT_TIMESTAMP, d numeric(8,2) NOT NULL DEFAULT 1.5, n int DEFAULT NULL,"
        " w varchar(40) NOT NULL DEFAULT '100% ''a'' \\ \"b\" # c: d', ok boolean DEFAULT true"
    ),
}


def sessions(lab_s, lab_l, connect):
    source = connections.session(connect(lab_s, lab_s.link), lab_s.outbound_schema)
    return source, connections.session(connect(lab_l, lab_l.user), lab_l.local_schema)


def copied(lab_s, source, local, name):
    """Declare the copy of a table and return the table's declaration and the copy's."""
    entity = read_entity(source, lab_s.source_schema, name)
    for statement in declaration.copy_statements(entity, local):
        local.query(statement)
    return entity.master, read_entity(local, local.schema, name).master


def test_defaults_give_the_same_values(lab_s, lab_l, pair, connect):
    """A row of which only the key is given gets the same values at the source and in the copy, column by column."""
    lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table('plain')} (id int PRIMARY KEY, {DEFAULTS[pair[0].backend]})")
    source, local = sessions(lab_s, lab_l, connect)
    was, now = copied(lab_s, source, local, "Plain")
    assert [column.nullable for column in was.columns] == [column.nullable for column in now.columns]
    lab_s.server.query(lab_s.owner, f"INSERT INTO {lab_s.table('plain')} (id) VALUES (1)")
    local.query(f"INSERT INTO {local.table('plain')} (id) VALUES (1)")
    for column, copy in zip(was.columns, now.columns, strict=True):
        there = source.query(f"SELECT {wire.render(source, column, 't')} FROM {source.table('plain', was.schema)} t")[0][0]
        here = local.query(f"SELECT {wire.render(local, copy, 't')} FROM {local.table('plain')} t")[0][0]
        if column.name == "ts":
            assert there[:10] == here[:10]
        else:
            assert canonical(column, there) == canonical(copy, here), column.name


TOO_LONG = {
    "its key has up to 3,200 bytes, and an index of the local server holds 3,072": "w varchar(800) PRIMARY KEY",
    "its key has up to 3,076 bytes": "w varchar(768), i int, PRIMARY KEY (w, i)",
    "its unique index over t has any number of bytes": "i int PRIMARY KEY, t text UNIQUE",
    "its unique index over a, b has up to 3,204 bytes": "i int PRIMARY KEY, a int, b varchar(800), UNIQUE (a, b)",
    "its rows have up to 72,0": "i int PRIMARY KEY, a varchar(9000), b varchar(9000)",
}
FITTING = [
    "w varchar(768) PRIMARY KEY",
    "w varchar(760), i int, d numeric(20,3), PRIMARY KEY (w, i, d)",
    "i int PRIMARY KEY, w varchar(764), b bytea, CONSTRAINT {0} UNIQUE (i, w)",
    "i int PRIMARY KEY, a varchar(8000), b varchar(8370), c text, d bytea",
]


@pytest.mark.parametrize("local_product", [MARIADB, MYSQL], ids=lambda product: product.value)
def test_what_innodb_cannot_hold_is_refused_with_the_sizes(local_product, connect):
    """Keys, unique indexes and rows that are too long are refused with both sizes; the longest that fit are declared."""
    lab_s, lab_l = make_lab_s(servers.get(PG, "source")), make_lab_l(servers.get(local_product, "local"))
    lab_l.server.admin_query(f"ALTER DATABASE {lab_l.local_schema} CHARACTER SET utf8mb4")
    source, local = sessions(lab_s, lab_l, connect)
    for number, (reason, columns) in enumerate(TOO_LONG.items()):
        lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table(f'long{number}')} ({columns})")
        with pytest.raises(errors.NotLinkable, match=reason):
            copied(lab_s, source, local, f"Long{number}")
    for number, columns in enumerate(FITTING):
        lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table(f'fit{number}')} ({columns.format(f'u{number}')})")
        was, now = copied(lab_s, source, local, f"Fit{number}")
        assert set(was.indexes) <= set(now.indexes)


def test_a_latin1_key_that_is_too_long_in_utf8mb4_is_refused(connect):
    """A key that fits in the source's charset may not fit in the local schema's, and the size is the local one."""
    lab_s, lab_l = make_lab_s(servers.get(MARIADB, "source")), make_lab_l(servers.get(MYSQL, "local"))
    columns = "w varchar(1000) CHARACTER SET latin1 PRIMARY KEY, v varchar(1000) CHARACTER SET latin1, b binary(16), UNIQUE (v, b), KEY (b)"  # fmt: skip
    lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table('thing')} ({columns})")
    with pytest.raises(errors.NotLinkable, match="its key has up to 4,000 bytes"):
        copied(lab_s, *sessions(lab_s, lab_l, connect), "Thing")
    lab_s.server.query(lab_s.owner, f"ALTER TABLE {lab_s.table('thing')} MODIFY w varchar(50) CHARACTER SET latin1")
    was, now = copied(lab_s, *sessions(lab_s, lab_l, connect), "Thing")
    assert set(was.indexes) == set(now.indexes) == {Index(columns=("v", "b"), unique=True), Index(columns=("b",))}


def test_an_index_that_cannot_be_had_is_left_out(connect):
    """PostgreSQL indexes texts whole, MySQL does not: the table is linked without that index, which is not a promise."""
    lab_s, lab_l = make_lab_s(servers.get(PG, "source")), make_lab_l(servers.get(MYSQL, "local"))
    lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table('thing')} (i int PRIMARY KEY, t text, n int)")
    for columns in ("t", "n"):
        lab_s.server.query(lab_s.owner, f"CREATE INDEX ON {lab_s.table('thing')} ({columns})")
    assert copied(lab_s, *sessions(lab_s, lab_l, connect), "Thing")[1].indexes == (Index(columns=("n",)),)


def test_postgresql_keeps_its_own_collations(connect):
    """A collation of the column itself is the copy's too, in a key as well, and one that is not there is the default."""
    lab_s, lab_l = make_lab_s(servers.get(PG, "source")), make_lab_l(servers.get(PG, "local"))
    lab_s.server.query(lab_s.owner, f"CREATE COLLATION {lab_s.table('own')} (locale = 'C')")
    columns = f'k varchar(9) COLLATE "C" PRIMARY KEY, t text COLLATE "C", o text COLLATE {lab_s.table("own")}'
    lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table('thing')} ({columns})")
    was, now = copied(lab_s, *sessions(lab_s, lab_l, connect), "Thing")
    assert [column.collation for column in was.columns[:2]] == ['pg_catalog."C"'] * 2
    assert [column.collation for column in now.columns] == ['pg_catalog."C"', 'pg_catalog."C"', ""]


@pytest.mark.parametrize("source_product", list(Product), ids=lambda product: product.value)
def test_partitioned_tables(source_product, connect, link):
    """PostgreSQL's are linked as any other, guard included; MariaDB's and MySQL's are refused: nothing can refer to them."""
    lab_s, lab_l = make_lab_s(servers.get(source_product, "source")), make_lab_l(servers.get(PG, "local"))
    table, owner = lab_s.table("log_book"), lab_s.owner
    book = link(lab_s, lab_l, type("LogBook", (), {}))
    if source_product is not PG:
        lab_s.server.query(owner, f"CREATE TABLE {table} (id int PRIMARY KEY, v int) PARTITION BY HASH (id) PARTITIONS 3")
        with pytest.raises(errors.NotLinkable, match="partitioned"):
            book.pull()
        return
    lab_s.server.query(owner, f"CREATE TABLE {table} (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)")
    for low in (0, 10):
        part = lab_s.table(f"log_book_p{low}")
        lab_s.server.query(owner, f"CREATE TABLE {part} PARTITION OF {table} FOR VALUES FROM ({low}) TO ({low + 10})")
    lab_s.server.query(owner, f"INSERT INTO {table} SELECT i, i * 2 FROM generate_series(0, 19) i")
    assert book.pull("id % 2 = 0").pulled == 10
    source = dj.VirtualModule("source", lab_s.source_schema, connection=connect(lab_s, owner))
    with pytest.raises(Exception, match="in use"):
        (source.LogBook & "id = 12").delete()
    assert (source.LogBook & "id = 13").delete() == 1
    assert book.pull().pulled == 9
    assert int((book & "id < 12").delete()) == 12
    assert lab_s.count("log_book") == 19


READ = {
    "mysql": "tm time(6), ts timestamp(6) NULL, y year, c char(5) CHARACTER SET utf8mb4, s set('a','b') CHARACTER SET utf8mb4, f float",
    "postgresql": "tm time, ts timestamptz, y smallint, c char(5), s varchar(3), f real",
}


def test_datajoint_reads_the_copies(pair, lab_s, lab_l, connect, link):
    """What DataJoint's fetch gives at the source, of the types it can only read, it gives on the local side."""
    lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table('mixed')} (id int PRIMARY KEY, {READ[pair[0].backend]})")
    lab_s.server.query(
        lab_s.owner,
        f"INSERT INTO {lab_s.table('mixed')} VALUES (1, '12:34:56.5', '2024-03-31 02:30:00.5', 2024, 'ab', 'a,b', 0.5)",
    )
    mixed = link(lab_s, lab_l, type("Mixed", (), {}))
    assert mixed.pull().pulled == 1
    there, here = mixed.source().fetch1(), mixed().fetch1()
    for row in (there, here):
        midnight = dt.datetime(2024, 1, 1)  # noqa: DTZ001
        tm = row.pop("tm")
        since = tm if isinstance(tm, dt.timedelta) else dt.datetime.combine(midnight, tm) - midnight
        assert since == dt.timedelta(hours=12, minutes=34, seconds=56.5)
        assert (row.pop("ts").second, row.pop("c").rstrip()) == (0, "ab")
    assert there == here == {"id": 1, "y": 2024, "s": "a,b", "f": 0.5}


@pytest.mark.parametrize("source_product", [PG, MYSQL], ids=lambda product: product.value)
def test_negative_zero_on_mariadb(source_product, connect, link):
    """It would be stored as 0, so its entity is left out and named; the advice makes it one that arrives."""
    lab_s, lab_l = make_lab_s(servers.get(source_product, "source")), make_lab_l(servers.get(MARIADB, "local"))
    table, owner = lab_s.table("mixed"), lab_s.owner
    lab_s.server.query(owner, f"CREATE TABLE {table} (id int PRIMARY KEY, d double precision, f real)")
    lab_s.server.query(owner, f"INSERT INTO {table} VALUES (1, '-0', 0), (2, 0, '-0'), (3, 0, '-1.5')")
    mixed = link(lab_s, lab_l, type("Mixed", (), {}))
    done = mixed.pull()
    assert (done.pulled, [(fault.column, fault.value) for fault in done.not_representable]) == (
        1,
        [("d", "'-0'"), ("f", "'-0'")],
    )
    for column in "df":
        lab_s.server.query(owner, f"UPDATE {table} SET {column} = 0 WHERE {column} = 0")
    assert mixed.pull().pulled == 2
