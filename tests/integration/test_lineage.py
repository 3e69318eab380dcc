"""Copies join each other, the user's own tables, and copies of other links, whatever either side's `~lineage` says."""

from __future__ import annotations

import datajoint as dj
import legacy
import pytest
import servers
from labs import make_lab_l
from servers import Product

from link import LazySchema

CHANGED = [(Product.POSTGRESQL, Product.MARIADB), (Product.MARIADB, Product.MYSQL), (Product.MYSQL, Product.POSTGRESQL)]
MYSQL_FAMILY = [(Product.POSTGRESQL, Product.MARIADB), (Product.MARIADB, Product.MYSQL)]
NAMES = ("Subject", "Session", "Pair", "Fit")


def on(pairs):
    return pytest.mark.parametrize("pair", pairs, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)


class Subject(dj.Manual):
    definition = "subject : varchar(16)"


class Session(dj.Manual):
    definition = "-> Subject\nsession : int32\n---\nrating=0 : int32"


TRIAL = "-> master\ntrial : int32"


class Pair(dj.Manual):
    definition = "-> Session\n-> Session.proj(other='session')\n---\n-> [nullable] Subject.proj(observer='subject')"


class Fit(dj.Manual):
    definition = "-> Pair\n-> Session.Trial\n---\nfit=0 : float64"


@pytest.fixture
def lab_s(lab_s, connect):
    """Declare and fill lab S's tables with DataJoint 2."""
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))
    own = {}
    for cls in (Subject, Session, Pair, Fit):
        members = {"definition": cls.definition}
        if cls is Session:
            members["Trial"] = type("Trial", (dj.Part,), {"definition": TRIAL})
        own[cls.__name__] = schema(type(cls.__name__, (dj.Manual,), members), context=own)
    own["Subject"].insert([("m0",), ("m1",)])
    own["Session"].insert([("m0", 0, 5), ("m0", 1, 6), ("m1", 0, 7)])
    own["Session"].Trial.insert([("m0", 0, 0), ("m0", 1, 0)], allow_direct_insert=True)
    own["Pair"].insert([("m0", 0, 1, "m1"), ("m0", 1, 0, None)])
    own["Fit"].insert([("m0", 0, 1, 0, 0.5)])
    return lab_s


def pulled(link, lab_s, lab_l, connection, names=NAMES, **options):
    classes = {name: link(lab_s, lab_l, type(name, (), {}), connection=connection, **options) for name in names}
    for cls in classes.values():
        cls.pull()
    return classes


def joins(tables):
    """Return how many rows each join has; a join that DataJoint refuses raises."""
    subject, session, pair, fit = (tables[name] for name in NAMES)
    other = session.proj(other="session", other_rating="rating")
    return [
        len(expression)
        for expression in (
            session() * subject(), session.Trial() * fit(), pair() * other, pair() * subject.proj(observer="subject"),
            fit() * pair() * session(), session() & pair(), subject.aggr(session(), n="count(*)"), session() - fit(),
        )
    ]  # fmt: skip


EXPECTED = [3, 1, 2, 1, 1, 2, 2, 2]


def spoil(lab, how):
    """Leave a `~lineage` as years and versions leave one."""
    query, lineage = lab.server.admin_query, lab.table("~lineage")
    if how == "absent":
        query(f"DROP TABLE {lineage}")
    elif how == "partial":
        query(f"DELETE FROM {lineage} WHERE table_name IN ('subject', 'pair') OR attribute_name = 'trial'")
    else:
        query(f"UPDATE {lineage} SET lineage = 'old.thing.x' WHERE attribute_name <> 'trial'")
        query(f"UPDATE {lineage} SET lineage = '{lab.source_schema}.subject.subject' WHERE attribute_name = 'trial'")


@pytest.mark.parametrize("how", ["absent", "partial", "stale"])
@on(CHANGED)
def test_the_sources_record_changes_nothing(lab_s, lab_l, link, connect, how):
    """Whatever the source's `~lineage` says, copies have the lineage of their foreign keys, and join."""
    was = dict(_recorded(lab_s, lab_s.source_schema))
    spoil(lab_s, how)
    tables = pulled(link, lab_s, lab_l, connect(lab_l, lab_l.user))
    assert joins(tables) == EXPECTED
    now = dict(_recorded(lab_l, lab_l.local_schema))
    assert {attribute: now[attribute] for attribute in was} == was
    assert {table for table, _ in now.keys() - was.keys()} == {f"{name.lower()}__deletion_requested" for name in NAMES}


def _recorded(lab, schema):
    place = f"{lab.server.quote(schema)}.{lab.server.quote('~lineage')}"
    return [((table, name), it) for table, name, it in lab.server.admin_query(f"SELECT * FROM {place}")]


@on(CHANGED)
def test_copies_of_several_links_join(lab_s, pair, link, connect):
    """Copies of one source join across links, made into other local schemas through other outbound schemas."""
    first, second = (make_lab_l(servers.get(pair[1], "local")) for _ in range(2))
    for grant in _grants(second.local_schema, first.user.user, second.server.backend):
        second.server.admin_query(grant)
    connection, another = connect(first, first.user), lab_s.another_outbound()
    spoil(lab_s, "absent")
    tables = pulled(link, lab_s, first, connection, ("Subject", "Pair"))
    tables |= pulled(link, lab_s, second, connection, ("Session", "Fit"), outbound=another)
    assert joins(tables) == EXPECTED
    again = pulled(link, lab_s, second, connection, ("Subject",), outbound=another)
    assert len(again["Subject"]() * tables["Subject"]()) == 2


def _grants(schema, user, backend):
    if backend == "postgresql":
        return [f"GRANT ALL ON SCHEMA {schema} TO {user}", f"ALTER SCHEMA {schema} OWNER TO {user}"]
    return [f"GRANT ALL ON {schema}.* TO {user}"]


def mine(lab_l, connection, **context):
    """Declare the user's own tables below copies, as they would."""
    schema = LazySchema(lab_l.local_schema, connection=connection)
    note = type(
        "Note", (dj.Manual,), {"definition": "-> Fit\nnote : int32\n---\n-> [nullable] Subject.proj(writer='subject')"}
    )
    schema(note, context=context)
    word = type("Word", (dj.Manual,), {"definition": "-> Note\nword : int32"})
    schema(word, context={"Note": note})
    note.insert1(("m0", 0, 1, 0, 7, "m1"))
    word.insert([("m0", 0, 1, 0, 7, number) for number in range(2)])
    return note, word


@on(CHANGED)
def test_the_users_own_tables_join(lab_s, lab_l, link, connect):
    """Tables below copies, and below those, join every copy above them."""
    spoil(lab_s, "partial")
    connection = connect(lab_l, lab_l.user)
    tables = pulled(link, lab_s, lab_l, connection)
    note, word = mine(lab_l, connection, **tables)
    subject, session, pair, fit = (tables[name] for name in NAMES)
    assert len(word() * note() * fit() * session() * subject()) == 2
    assert len(word() * pair()) == len(note() * subject.proj(writer="subject")) * 2 == 2
    assert len(session() & word()) == 1
    assert (fit() & word()).delete(prompt=False) == 1
    assert len(word()) == 0


OLD = '''
schema = dj.Schema(os.environ["LOCAL"])

@schema
class Lamp(dj.Lookup):
    definition = "lamp : varchar(8)"
    contents = [("a",), ("b",)]

@schema
class Room(dj.Manual):
    definition = """
    room : int
    ---
    -> [nullable] Lamp.proj(main_lamp="lamp")
    """
    class Place(dj.Part):
        definition = """
        -> master
        -> Lamp
        """

Room.insert([(1, "a"), (2, None)])
Room.Place.insert([(1, "a"), (1, "b")])
'''


@pytest.mark.parametrize("how", ["untouched", "touched by DataJoint 2"])
@on(MYSQL_FAMILY)
def test_a_local_schema_of_an_older_datajoint_goes_on(lab_s, lab_l, link, connect, how):
    """Tables that 0.14 declared in the local schema join as before, and with tables below both them and copies."""
    legacy.run(OLD, lab_l, lab_l.user)
    connection = connect(lab_l, lab_l.user)
    schema = LazySchema(lab_l.local_schema, connection=connection)
    if how != "untouched":
        schema(type("Extra", (dj.Manual,), {"definition": "extra : int32"}), context={})
    tables = pulled(link, lab_s, lab_l, connection)
    old = dj.VirtualModule("old", lab_l.local_schema, connection=connection)
    assert len(old.Room() * old.Room.Place() * old.Lamp()) == 2
    assert len(old.Room() * old.Lamp.proj(main_lamp="lamp")) == 1
    assert joins(tables) == EXPECTED
    here = type("Here", (dj.Manual,), {"definition": "-> Session\n-> Room.Place"})
    schema(here, context={"Session": tables["Session"], "Room": old.Room})
    here.insert1(("m0", 0, 1, "b"))
    assert len(here() * old.Room() * old.Lamp() * tables["Session"]() * tables["Subject"]()) == 1
    said = legacy.run(
        OLD.replace("Room.insert", "[].extend").replace("Room.Place.insert", "[].extend") + "print(len(Room * Room.Place))",
        lab_l,
        lab_l.user,
        LOCAL=lab_l.local_schema,
    )
    assert said.strip() == "2"
