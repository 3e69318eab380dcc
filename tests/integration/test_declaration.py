"""Reading a source table with SELECT alone and declaring its copy, on real servers, judged by DataJoint at the local side."""

from __future__ import annotations

import datajoint as dj
import pytest
import servers
from labs import make_lab_s
from servers import Product

from link import errors
from link.adapters.datajoint import declaration, snapshot
from link.adapters.datajoint.catalog import read_entity
from link.adapters.datajoint.model import Kind
from link.infrastructure import connections

RICH = """
# it's 50 of "them"; \\ and #
-> Subject
number : int32  # the 'first'; a: b
---
tiny=3 : int8
small=-4 : int16
big=null : int64
value=1.5 : float64
price=2.50 : decimal(10,2)
flag=1 : bool
maybe=null : bool
note="it's #1" : varchar(100)  # a comment: with 'x'
state="b" : enum('a','b','c d')
day="2020-01-02" : date
moment : datetime
exact=null : datetime(3)
stamp=CURRENT_TIMESTAMP : datetime  # when
uid : uuid
meta=null : json
raw=null : bytes
data=null : <blob>  # array
index(small, day)
unique index(note)
"""
PLAIN = {"Subject": "subject : varchar(20)\n---\nspecies='mouse' : varchar(30)"}


def declare(connection, schema_name):
    """Declare a lookup, a master with two parts and a computed table that depends on it."""
    schema = dj.Schema(schema_name, connection=connection)
    subject = type("Subject", (dj.Lookup,), {"definition": PLAIN["Subject"]})
    trial = type("Trial", (dj.Part,), {"definition": "-> master\ntrial : int16\n---\nx : float64\ny=null : <blob>"})
    unit = type("Unit", (dj.Part,), {"definition": "# units\n-> master\nunit : int32\n---\n-> [nullable] Other"})
    rich = RICH.replace('"them"', "them") if connection.adapter.backend == "mysql" else RICH
    session = type("Session", (dj.Manual,), {"definition": rich, "Trial": trial, "Unit": unit})
    fit = type("Fit", (dj.Computed,), {"definition": "-> Session\nk : int8\n---\nr : float64", "make": lambda *_: None})
    context = {"Subject": subject, "Session": session}
    schema(subject, context=context)
    context["Other"] = subject().proj(other="subject")
    schema(session, context=context)
    schema(fit, context=context)


@pytest.fixture
def source(lab_s, connect):
    declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    return connections.session(connect(lab_s, lab_s.link), lab_s.outbound_schema)


@pytest.fixture
def local(lab_l, connect):
    return connections.session(connect(lab_l, lab_l.user), lab_l.local_schema)


def copy(entity, session, **options):
    """Declare the copies twice, as after an interruption."""
    statements = declaration.copy_statements(entity, session, **options)
    statements += declaration.requests_statements(entity, session, **options)
    for _ in range(2):
        for statement in statements:
            session.query(statement)
        for statement, args in declaration.lineage_statements(entity, session):
            session.query(statement, args)


def facts(column):
    return column.name, column.kind, column.nullable, column.in_key, column.labels, column.comment, column.lineage


def test_the_copy_is_declared_as_the_source_is(lab_s, source, local):
    """Columns, order, kinds, nullability, keys, enums, comments, indexes and lineage of master and parts arrive, once."""
    entity = read_entity(source, lab_s.source_schema, "Session")
    copy(entity, local)
    there = read_entity(local, local.schema, "Session")
    assert [table.name for table in there.tables] == ["session", "session__trial", "session__unit"]
    for was, now in zip(entity.tables, there.tables, strict=True):
        assert now.comment == was.comment
        assert [facts(column)[:-1] for column in now.columns] == [facts(column)[:-1] for column in was.columns]
        missing = set(was.indexes) - set(now.indexes)
        assert not missing, missing
        assert len(now.indexes) == len(set(now.indexes)) >= len(was.indexes)
    assert snapshot.load(snapshot.dump(entity)) == entity


def test_defaults_arrive(lab_s, source, local):
    """Constants and the current time are defaults of the copy too, whatever either catalog makes of them."""
    entity = read_entity(source, lab_s.source_schema, "Session")
    copy(entity, local)
    was = {column.name: column.default for column in entity.master.columns}
    now = {column.name: column.default for column in read_entity(local, local.schema, "Session").master.columns}
    assert was == now
    assert {name for name, default in was.items() if default} >= {"tiny", "small", "value", "note", "state", "flag", "stamp"}
    assert was["stamp"].now


def test_datajoint_reads_the_copy(lab_s, lab_l, source, local, connect):
    """DataJoint at lab L sees tiers, parts, keys, codecs and marks, and inserts into the copy what it fetches from it."""
    for name in ("Session", "Subject"):
        copy(read_entity(source, lab_s.source_schema, name), local)
    module = dj.VirtualModule("copies", lab_l.local_schema, connection=connect(lab_l, lab_l.user))
    assert issubclass(module.Session, dj.Manual)
    assert issubclass(module.Subject, dj.Lookup)
    assert {name for name in vars(module.Session) if name[0].isupper()} >= {"Trial", "Unit", "DeletionRequested"}
    heading = module.Session().heading
    assert heading.primary_key == ["subject", "number"]
    assert heading["data"].codec is not None
    assert heading["uid"].uuid
    marks = {name: heading[name].original_type for name in ("flag", "number", "state", "meta", "raw")}
    assert marks == {"flag": "bool", "number": "int32", "state": "enum('a','b','c d')", "meta": "json", "raw": "bytes"}
    assert module.Session.DeletionRequested().primary_key == ["subject", "number"]
    module.Subject().insert1({"subject": "ann", "species": "rat"})
    assert module.Subject().fetch1("species") == "rat"


def test_two_copies_join_and_have_children(lab_s, lab_l, source, local, connect):
    """Copies that could be joined at the source can be joined locally, and a table of the user's may depend on one."""
    for name in ("Session", "Subject", "Fit"):
        copy(read_entity(source, lab_s.source_schema, name), local)
    connection = connect(lab_l, lab_l.user)
    module = dj.VirtualModule("copies", lab_l.local_schema, connection=connection)
    assert issubclass(module.Fit, dj.Computed)
    assert len(module.Session() * module.Subject() * module.Fit()) == 0
    assert len(module.Session.Trial() * module.Fit()) == 0
    assert len(module.Session() & module.Session.DeletionRequested()) == 0
    mine = type("Mine", (dj.Manual,), {"definition": "-> Session\n---\nx=0 : int32"})
    dj.Schema(lab_l.local_schema, connection=connection)(mine, context={"Session": module.Session})
    assert mine().primary_key == ["subject", "number"]


def test_exact_keys_stay_apart(lab_s, lab_l, local, source):
    """On request the copy keeps keys apart that differ in case, accent or a trailing space only, as PostgreSQL does."""
    if lab_s.server.backend != "postgresql":
        pytest.skip("the MySQL family's own collations equate some of these keys at the source already")
    entity = read_entity(source, lab_s.source_schema, "Subject")
    copy(entity, local, exact_keys=True)
    for key in ("a", "A", "á", "a "):
        local.query(f"INSERT INTO {local.table('#subject')} (subject) VALUES (%s)", (key,))
    assert lab_l.count("#subject") == 4


LEGACY = r"""CREATE TABLE {} (
 id int unsigned NOT NULL AUTO_INCREMENT COMMENT '100% ''id'': "q" \\ # :x',
 lab varchar(10) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL DEFAULT 'a%b',
 e enum('it''s','b:c','x#y','back\\slash','a,b','5%') CHARACTER SET utf8mb4 DEFAULT 'it''s' COMMENT 'kind',
 t tinyint(1) NOT NULL DEFAULT 1, m mediumint unsigned, b bigint unsigned DEFAULT 18446744073709551615,
 du decimal(8,3) unsigned DEFAULT 1.5, g int GENERATED ALWAYS AS (m + 1) STORED, txt text,
 upd datetime(2) NULL DEFAULT CURRENT_TIMESTAMP(2) ON UPDATE CURRENT_TIMESTAMP(2),
 bl mediumblob COMMENT ':<blob>:5%', n varchar(20) CHARACTER SET utf8mb4 DEFAULT 'a''b\\c"d',
 _hidden float, PRIMARY KEY (lab, id), KEY (id), KEY pre (n(5)), UNIQUE KEY (m, t)
) ENGINE=InnoDB COMMENT='50% of ''it'' "x" \\'"""


def test_a_table_made_without_datajoint_2_arrives(lab_s, source, local):
    """Unsigned and generated columns, odd labels and comments, and a key in another order than the columns are kept."""
    if lab_s.server.backend == "postgresql":
        pytest.skip("a table of the MySQL family")
    lab_s.server.admin_query(LEGACY.format(lab_s.table("legacy")))
    entity = read_entity(source, lab_s.source_schema, "Legacy")
    assert [column.name for column in entity.master.key] == ["lab", "id"]
    assert "_hidden" in {column.name for column in entity.master.columns}
    copy(entity, local)
    there = read_entity(local, local.schema, "Legacy").master
    assert there.comment == entity.master.comment
    assert there.key_order == entity.master.key_order
    for was, now in zip(entity.master.columns, there.columns, strict=True):
        assert (was.default, was.labels, was.comment, was.nullable) == (now.default, now.labels, now.comment, now.nullable)
    kinds = {column.name: (column.kind, column.size) for column in there.columns}
    wide = local.backend == "postgresql"
    assert kinds["id"] == (Kind.INTEGER, 64 if wide else 32)
    assert kinds["b"] == ((Kind.DECIMAL, 20) if wide else (Kind.INTEGER, 64))


@pytest.fixture
def lab(product, connect):
    lab_s = make_lab_s(servers.get(product, "source"))
    return lab_s, connections.session(connect(lab_s, lab_s.link), lab_s.outbound_schema)


def test_outbounds_key_fits_the_sources(lab, product):
    """The key's definitions give a table that a foreign key can tie to the source, comments and collation included."""
    lab_s, session = lab
    if product is Product.POSTGRESQL:
        odd = """CREATE TABLE {} (id integer, lab varchar(10) COLLATE "C", PRIMARY KEY (lab, id))"""
        statements = [odd, f"ALTER TABLE {{}} OWNER TO {lab_s.owner.user}", "COMMENT ON COLUMN {}.id IS '5% of ''it'''"]
        statements.append(f"GRANT SELECT, REFERENCES ON {{}} TO {lab_s.link.user}")
    else:
        statements = [LEGACY]
    for statement in statements:
        lab_s.server.admin_query(statement.format(lab_s.table("legacy")))
    master = read_entity(session, lab_s.source_schema, "Legacy").master
    columns = declaration.outbound_columns(master.key, session)
    names = ", ".join(column.name for column in master.key)
    parent = session.table("legacy", lab_s.source_schema)
    session.query(
        f"CREATE TABLE {session.table('out')} ({', '.join(columns)}, PRIMARY KEY ({names}),"
        f" FOREIGN KEY ({names}) REFERENCES {parent} ({names}))"
    )
    for statement in declaration.outbound_comments(master, session, session.table("out")):
        session.query(statement)
    out = read_entity(session, lab_s.outbound_schema, "Out").master
    same = [(c.name, c.native, c.charset, c.collation, c.marker, c.comment) for c in master.key]
    assert [(c.name, c.native, c.charset, c.collation, c.marker, c.comment) for c in out.key] == same


def test_a_declaration_is_read_in_six_statements(lab, connect):
    """However many columns and parts a table has, reading it before each pull costs the same few round trips."""
    lab_s, session = lab
    declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    for name in ("Subject", "Session"):
        before = session.statements
        read_entity(session, lab_s.source_schema, name)
        assert session.statements - before <= 6


def test_a_tables_name_leaves_room_for_outbounds(lab, product):
    """The longest name that is taken is the longest whose flag part's name the server takes."""
    lab_s, session = lab
    limit = 63 - 29 if product is Product.POSTGRESQL else 64 - 29
    for length in (limit, limit + 1):
        lab_s.server.admin_query(f"CREATE TABLE {lab_s.table('a' * length)} (id int PRIMARY KEY)")
    assert read_entity(session, lab_s.source_schema, "A" + "a" * (limit - 1)).master.key
    with pytest.raises(errors.NotLinkable, match="no room"):
        read_entity(session, lab_s.source_schema, "A" + "a" * limit)


def test_a_namesake_is_not_a_part(lab):
    """A table named like a part that does not refer to the master is none of the entity's."""
    lab_s, session = lab
    for name in ("thing", "thing__else"):
        lab_s.server.admin_query(f"CREATE TABLE {lab_s.table(name)} (id int PRIMARY KEY, ref int)")
    assert read_entity(session, lab_s.source_schema, "Thing").parts == ()


def test_a_copy_can_be_a_source(pair, lab_s, source, local):
    """Link's own part at a linked table is not taken for data when that table is linked in turn."""
    copy(read_entity(source, lab_s.source_schema, "Subject"), local)
    assert read_entity(local, local.schema, "Subject").parts == ()
