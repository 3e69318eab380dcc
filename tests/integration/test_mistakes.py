"""What people do to a link without meaning to: rename, migrate, point elsewhere, use names twice."""

from __future__ import annotations

import traceback
from functools import partial

import datajoint as dj
import pipeline
import pytest
import servers
from labs import make_lab_s
from servers import Product

from link import errors

SAME = [(product, product) for product in Product]
same_product = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)
two_products = pytest.mark.parametrize("pair", SAME[:2], ids=lambda pair: pair[0].value, indirect=True)
SMALL = "session : int32\n---\ndate : date\n"


@pytest.fixture
def declared(lab_s, connect):
    """Declare a small pipeline with rows at lab S, and return its classes."""
    return _declare(lab_s, connect)


def _declare(lab_s, connect):
    subject, session = pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema, "-> Subject\n" + SMALL)
    subject.insert1({"subject": "m0"})
    session.insert([{"subject": "m0", "session": n, "date": "2024-01-01"} for n in range(3)])
    session.Trial.insert([{"subject": "m0", "session": n, "trial": 1, "rt": 0.5} for n in range(3)])
    return subject, session


@same_product
def test_a_migrated_source_table_is_noticed(lab_s, lab_l, link, declared):
    """A table made anew in the old one's place is not held by outbound; pull says so before it registers anything."""
    session = link(lab_s, lab_l)
    assert session.pull("session < 2").pulled == 2
    server, table, old = lab_s.server, lab_s.table("session"), lab_s.table("session_old")
    if server.backend == "postgresql":
        server.admin_query(f"ALTER TABLE {table} RENAME TO session_old")
        server.admin_query(f"CREATE TABLE {table} (LIKE {old} INCLUDING ALL)")
    else:
        server.admin_query(f"RENAME TABLE {table} TO {old}")
        server.admin_query(f"CREATE TABLE {table} LIKE {old}")
    server.admin_query(f"INSERT INTO {table} SELECT * FROM {old}")
    rights = "SELECT, REFERENCES"
    server.admin_query(f"GRANT {rights} ON {table} TO {lab_s.link.user}")
    with pytest.raises(errors.LinkError) as caught:
        session.pull()
    assert isinstance(caught.value, (errors.Unprotected, errors.DeclarationChanged)), caught.value
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 2


@same_product
def test_a_link_can_be_ended_after_the_source_has_changed(lab_s, lab_l, link, declared, connect):
    """A new column stops pulls; requests are still answered, rows still go, and the link can still be dropped."""
    session = link(lab_s, lab_l)
    session.pull()
    lab_s.server.admin_query(f"ALTER TABLE {lab_s.table('session')} ADD COLUMN extra int")
    with pytest.raises(errors.DeclarationChanged, match="extra"):
        session.pull()
    assert session.refresh().new == 0
    assert (session & "session = 1").delete().released == 1
    session.drop(prompt=False)
    tables = dj.Schema(lab_s.outbound_schema, connection=connect(lab_s, lab_s.link), create_schema=False).list_tables()
    assert not [name for name in tables if name.startswith("session_outbound")]


@same_product
def test_nothing_of_an_ended_link_is_in_lab_s_way(lab_s, lab_l, link, declared, connect):
    """Once a link has ended, lab S drops its table with plain DataJoint, and a new link works as the first one did."""
    session = link(lab_s, lab_l)
    session.pull()
    session.drop(prompt=False)
    assert session.pull().pulled == 3
    session.drop(prompt=False)
    _, source = declared
    source.drop(prompt=False)
    assert source.full_table_name not in dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner)).list_tables()


@same_product
def test_approved_rows_outlive_the_link(lab_s, lab_l, link, declared):
    """An approval that lab S has not used yet stands when the link ends."""
    session = link(lab_s, lab_l)
    session.pull()
    lab_s.befriend()
    requested = lab_s.outbound("session_outbound__deletion_requested")
    lab_s.server.query(lab_s.owner, f"INSERT INTO {requested} (subject, session) VALUES ('m0', 1)")
    assert (session & "session = 1").delete().approved == 1
    session.drop(prompt=False)
    assert lab_s.count("session_outbound__deletion_approved", lab_s.outbound_schema) == 1
    assert session.pull().held_back == 1


@two_products
def test_a_link_that_is_pointed_elsewhere_is_refused(lab_s, lab_l, link, declared, connect):
    """Another outbound schema, or another source schema, for a table that is linked already: nothing happens to its rows."""
    session = link(lab_s, lab_l)
    session.pull()
    other = make_lab_s(servers.get(lab_s.server.product, "source"))
    _declare(other, connect)
    if lab_s.server.backend == "mysql":
        lab_s.server.admin_query(f"GRANT ALL ON {other.outbound_schema}.* TO {lab_s.link.user}")
    for options in ({"outbound": other.outbound_schema}, {}):
        lab = other if not options else lab_s
        pointed = link(lab, lab_l, connection=connect(lab_l, lab_l.user), **options)
        operations = [
            pointed.pull,
            pointed.refresh,
            partial(pointed.delete, prompt=False),
            partial(pointed.drop, prompt=False),
        ]
        for operation in operations:
            with pytest.raises(errors.LinkedElsewhere, match=lab_s.outbound_schema):
                operation()
    assert lab_l.count("session") == 3
    assert session.pull().already_local == 3


@two_products
def test_wrong_settings_at_first_use_can_be_put_right(lab_s, lab_l, link, declared, connect):
    """Before anything was pulled, a link that named a wrong outbound schema takes the right one."""
    wrong = link(lab_s, lab_l, outbound="nowhere_to_be_found")
    with pytest.raises(errors.LinkError, match="nowhere_to_be_found"):
        wrong.pull()
    session = link(lab_s, lab_l)
    assert session.pull().pulled == 3
    with pytest.raises(errors.LinkError, match="nowhere_to_be_found"):
        wrong.pull()
    assert session.pull().already_local == 3


@two_products
def test_a_table_of_the_users_own_is_not_taken_over(lab_s, lab_l, link, declared, connect):
    """A local table of the same name, with rows or other columns, is refused by name and left as it is."""
    own = dj.Schema(lab_l.local_schema, connection=connect(lab_l, lab_l.user))

    class Session(dj.Manual):
        definition = "mine : int32"

    own(Session, context={})
    session = link(lab_s, lab_l)
    with pytest.raises(errors.LocalTableExists, match="session"):
        session.pull()
    Session.insert1({"mine": 1})
    with pytest.raises(errors.LocalTableExists):
        session.drop(prompt=False) or session.pull()
    assert len(Session()) == 1


@two_products
def test_drop_shows_whole_tables(lab_s, lab_l, link, declared, connect, monkeypatch):
    """What dropping takes is shown whole, also rows of dependent tables that refer to no linked row."""
    connection = connect(lab_l, lab_l.user)
    session = link(lab_s, lab_l, connection=connection)
    session.pull()
    own = dj.Schema(lab_l.local_schema, connection=connection)

    class Note(dj.Manual):
        definition = """
        note : int32
        ---
        -> [nullable] Session
        """

    own(Note, context={"Session": session})
    Note.insert([{"note": n, "subject": None, "session": None} for n in range(5)])
    shown = []
    monkeypatch.setattr("link.infrastructure.composition.user_choice", lambda question, **_: shown.append(question) or "no")
    session.drop(prompt=True)
    assert "note" in shown[0] and "(5 tuples)" in shown[0] and "(3 tuples)" in shown[0]
    assert len(Note()) == 5 and len(session()) == 3


@two_products
def test_a_value_that_moved_to_another_row_is_explained(lab_s, lab_l, link, connect):
    """A unique value that lab S gives to another row is a conflict whose advice helps: delete the earlier copy, pull both."""
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))

    class Tag(dj.Manual):
        definition = """
        tag : int32
        ---
        code : int32
        unique index (code)
        """

    schema(Tag, context={})
    Tag.insert1({"tag": 1, "code": 7})
    tag = link(lab_s, lab_l, type("Tag", (), {}))
    tag.pull()
    Tag.update1({"tag": 1, "code": 8})
    Tag.insert1({"tag": 2, "code": 7})
    with pytest.raises(errors.KeyConflict, match=r"delete\(\) that copy"):
        tag.pull()
    (tag & "tag = 1").delete()
    assert tag.pull().pulled == 2


@two_products
def test_no_password_in_the_frames_of_an_error(lab_s, lab_l, link, declared, connect):
    """Verbose tracebacks, which print every local variable, show no password when a login fails later on."""
    session = link(lab_s, lab_l)
    session.pull()
    server, user = lab_s.server, lab_s.link.user
    if server.backend == "postgresql":
        server.admin_query(f"ALTER ROLE {user} PASSWORD 'another'")
    else:
        server.admin_query(f"ALTER USER {user} IDENTIFIED BY 'another'")
    with pytest.raises(errors.LoginFailed) as caught:
        session.pull()
    seen = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert lab_s.link.password not in "".join(seen.format())


@pytest.mark.parametrize("pair", [(Product.POSTGRESQL, Product.POSTGRESQL)], ids=["postgresql"], indirect=True)
def test_a_source_connection_that_was_cut_is_opened_again(lab_s, lab_l, link, declared):
    """After the server has ended Link's own connection for browsing, the next call opens it again."""
    session = link(lab_s, lab_l)
    assert session.pull("session = 1").pulled == 1
    lab_s.server.admin_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (lab_s.link.user,))
    with pytest.raises(Exception, match=r"terminat|closed"):
        len(session.source())
    assert session.pull("session = 2").pulled == 1


@two_products
def test_lists_of_other_types_mean_the_same_at_any_length(lab_s, lab_l, link, declared):
    """Numbers given as text select the same rows in a list of 199 and of 250 keys."""
    session = link(lab_s, lab_l)
    for length in (199, 250):
        keys = [{"subject": "m0", "session": str(n)} for n in range(length)]
        assert len(session.source & keys) == 3
    session.pull()
    braces = session.pull("subject = '{joins}' OR session = 1")
    assert braces.already_local == 1


@two_products
def test_a_restriction_on_the_local_table_is_not_dropped_in_silence(lab_s, lab_l, link, declared):
    """pull() and drop() of a restricted local table would mean all rows, so they are refused."""
    session = link(lab_s, lab_l)
    session.pull("session = 1")
    for restricted in (session & "session = 1", session & dj.Top(1)):
        with pytest.raises(errors.BadRestriction, match="selects from the source"):
            restricted.pull()
        with pytest.raises(errors.WriteRefused, match="without a restriction"):
            restricted.drop(prompt=False)
    assert len(session()) == 1
