"""What goes wrong before, during and around a link, on real servers: typed errors that name the thing and the way out."""

from __future__ import annotations

import logging
import pickle
import traceback

import datajoint as dj
import pipeline
import pytest
from servers import Account, Product

from link import LazySchema, Link, errors
from link.adapters.datajoint import line

SAME = [(product, product) for product in Product]
pytestmark = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)


@pytest.fixture
def declared(lab_s, connect):
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    return lab_s


def source_of(lab_s, **options):
    server = lab_s.server
    settings = {
        "host": server.host,
        "port": server.port,
        "user": lab_s.link.user,
        "password": lab_s.link.password,
        "backend": server.backend,
        "database_name": server.database_name,
    }
    return LazySchema(lab_s.source_schema, **{**settings, **options})


def linked(lab_s, local_schema, name="Session", **options):
    return Link(local_schema, source_of(lab_s, **options), outbound=lab_s.outbound_schema)(type(name, (), {}))


@pytest.fixture
def local(lab_l, connect):
    return LazySchema(lab_l.local_schema, connection=connect(lab_l, lab_l.user))


def test_a_wrong_password_is_a_login_failure_and_stays_secret(declared, local, caplog):
    """A refused login names the user; the wrong password is in no message, log line, exception chain or local of a frame."""
    secret = "wr0ng-s3cret-pw"
    caplog.set_level(logging.DEBUG)
    with pytest.raises(errors.LoginFailed, match=declared.link.user) as caught:
        linked(declared, local, password=secret).pull()
    chain = "".join(traceback.format_exception(caught.value))
    assert secret not in chain + str(caught.value) + repr(caught.value) + caplog.text + repr(caught.value.__cause__)
    assert caught.value.__cause__ is None


def test_no_password_in_any_repr(declared, local):
    """What a notebook shows of schemas, links and tables has no password."""
    schema = source_of(declared)
    session = linked(declared, local)
    shown = repr(schema) + repr(session) + repr(Link(local, schema)) + repr(schema._settings.get("x")) + repr(session())
    assert declared.link.password not in shown
    assert local.connection.conn_info["passwd"] not in shown


def test_an_unreachable_server_is_said_to_be(declared, local):
    """A port that nobody listens on is a ServerUnreachable with host and port."""
    with pytest.raises(errors.ServerUnreachable, match=":1 "):
        linked(declared, local, port=1).pull()


def test_settings_that_are_missing_name_their_variable(declared, lab_l, local, monkeypatch):
    """Without LINK_USER, LINK_PASS or LINK_OUTBOUND the error says which variable to set."""
    for name in ("LINK_USER", "LINK_PASS", "LINK_OUTBOUND"):
        monkeypatch.delenv(name, raising=False)
    server = declared.server
    source = LazySchema(declared.source_schema, host=server.host, port=server.port, backend=server.backend)
    with pytest.raises(errors.SettingMissing, match="LINK_OUTBOUND"):
        Link(local, source)(type("Session", (), {})).pull()
    with pytest.raises(errors.SettingMissing, match="LINK_USER"):
        Link(local, source, outbound="x")(type("Session", (), {})).pull()
    monkeypatch.setenv("LINK_USER", "somebody")
    with pytest.raises(errors.SettingMissing, match="LINK_PASS"):
        Link(local, source, outbound="x")(type("Session", (), {})).pull()


def test_a_missing_privilege_names_the_grant(declared, local):
    """Without a privilege outbound cannot be made, and the error has the GRANT to run, which then helps."""
    admin, server = declared.server.admin_query, declared.server
    if server.backend == "postgresql":
        admin(f"REVOKE REFERENCES ON ALL TABLES IN SCHEMA {declared.source_schema} FROM {declared.link.user}")
    elif server.product is Product.MYSQL:
        admin(f"REVOKE REFERENCES ON {declared.source_schema}.* FROM {declared.link.user}")
    else:  # MariaDB asks for no REFERENCES
        admin(f"REVOKE CREATE ON {declared.outbound_schema}.* FROM {declared.link.user}")
    session = linked(declared, local)
    with pytest.raises(errors.PrivilegeMissing, match="GRANT") as caught:
        session.pull()
    for statement in caught.value.grant.rstrip(";").split("; "):
        admin(statement)
    assert session.pull().pulled == 0


def test_a_grant_taken_back_later_names_its_schema(declared, local):
    """Rights on outbound that are taken away after the first pull are asked for there, not on lab S's own schema."""
    session = linked(declared, local)
    session.pull()
    admin, server = declared.server.admin_query, declared.server
    postgresql = server.backend == "postgresql"
    outbound, user = declared.outbound("session_outbound"), declared.link.user
    admin(
        f"REVOKE SELECT ON {outbound} FROM {user}"
        if postgresql
        else f"REVOKE SELECT ON {declared.outbound_schema}.* FROM {user}"
    )
    with pytest.raises(errors.PrivilegeMissing) as caught:
        session.pull()
    assert declared.outbound_schema in caught.value.grant
    assert declared.source_schema not in caught.value.grant


def test_a_missing_source_table_names_near_ones(declared, local):
    """A misspelled class gets the names that are near."""
    with pytest.raises(errors.SourceTableMissing, match="Session"):
        linked(declared, local, "Sesion").pull()


def test_what_cannot_be_linked_is_refused_with_the_reason(declared, local):
    """Views, tables without a key, singleton tables and columns that would not arrive exactly are refused by name."""
    server, owner = declared.server, declared.owner
    for name, statement in (
        ("Window", "CREATE VIEW {} AS SELECT 1 AS a"),
        ("Keyless", "CREATE TABLE {} (a int)"),
        ("Single", "CREATE TABLE {} (_singleton smallint PRIMARY KEY, a int)"),
        ("Zoned", f"CREATE TABLE {{}} (a int PRIMARY KEY, b {'timetz' if server.backend == 'postgresql' else 'geometry'})"),
        ("FloatKey", "CREATE TABLE {} (a double precision PRIMARY KEY)"),
    ):  # fmt: skip
        table = {"FloatKey": "float_key"}.get(name, name.lower())
        server.query(owner, statement.format(declared.table(table)))
        if server.backend == "postgresql":
            server.query(owner, f"GRANT SELECT, REFERENCES ON {declared.table(table)} TO {declared.link.user}")
        with pytest.raises(errors.NotLinkable, match=table):
            linked(declared, local, name).pull()
    assert not server.admin_query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (declared.outbound_schema,)
    )


def test_stored_objects_are_refused_by_column(declared, local):
    """A column whose values are in an object store is refused by name and type."""
    server = declared.server
    table = declared.table("stored")
    server.query(declared.owner, f"CREATE TABLE {table} (a int PRIMARY KEY, pic {'jsonb' if server.backend == 'postgresql' else 'json'})")  # fmt: skip
    if server.backend == "postgresql":
        server.query(declared.owner, f"COMMENT ON COLUMN {table}.pic IS ':<blob@main>:a picture'")
    else:
        server.query(declared.owner, f"ALTER TABLE {table} MODIFY pic json COMMENT ':<blob@main>:a picture'")
    with pytest.raises(errors.ColumnNotSupported, match="object store") as caught:
        linked(declared, local, "Stored").pull()
    assert (caught.value.column, caught.value.type) == ("pic", "<blob@main>")


def test_an_outbound_table_of_the_predecessor_is_refused(declared, local):
    """An outbound table without a protocol is recognised and left alone."""
    server = declared.server
    table = declared.outbound("session_outbound")
    server.query(declared.link, f"CREATE TABLE {table} (subject varchar(16), session int, process varchar(20))")
    with pytest.raises(errors.LegacyOutbound, match=r"0\.11"):
        linked(declared, local).pull()


def test_a_moved_local_side_is_noticed_and_can_be_adopted(declared, local):
    """The same identity on another server is refused with the way out, and `adopt` is that way."""
    pipeline.fill(declared, subjects=range(1), sessions=range(2))
    session = linked(declared, local)
    session.pull()
    declared.server.admin_query(f"UPDATE {declared.outbound('~link_outbound')} SET local_server = 'elsewhere'")
    with pytest.raises(errors.LocalSideMoved, match="adopt"):
        session.pull()
    session.adopt()
    assert session.pull().already_local == 2


def test_waiting_for_a_table_that_somebody_holds_ends(declared, local, monkeypatch):
    """Outbound cannot be made while somebody holds the source table: the error says so soon, and names them where it can."""
    pipeline.fill(declared, subjects=range(1), sessions=range(1))
    short = {k: tuple(s.replace("'10s'", "'1s'").replace("= 10", "= 1") for s in v) for k, v in line.SETTINGS.items()}
    monkeypatch.setattr(line, "SETTINGS", short)
    session = linked(declared, local)
    session.heading  # noqa: B018 - declares the local table
    holder = declared.server.raw(declared.owner)
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {declared.table('session')} SET score = 1")
    with pytest.raises(errors.LockWait, match=declared.owner.user if declared.server.backend == "postgresql" else "Waited"):
        session.pull()
    holder.close()
    assert session.pull().pulled == 1


def test_an_entity_that_the_local_side_cannot_hold_is_left_out(declared, lab_l, local):
    """Entities with values that do not fit are named in the result, not registered, and the others are pulled."""
    pipeline.fill(declared, subjects=range(1), sessions=range(8))
    session = linked(declared, local)
    session.heading  # noqa: B018 - declares the local table
    alter = (
        "ALTER TABLE {} ALTER COLUMN note TYPE varchar(3)"
        if lab_l.server.backend == "postgresql"
        else "ALTER TABLE {} MODIFY note varchar(3) NOT NULL"
    )
    lab_l.server.query(lab_l.user, alter.format(lab_l.table("session")))
    for pulled in (2, 0):
        result = session.pull()
        assert (result.pulled, len(result.not_representable)) == (pulled, 6)
        assert "6 left out (not representable)" in str(result)
    fault = result.not_representable[1]
    assert (fault.table, fault.column, fault.value) == ("session", "note", '"quo\'te"')
    assert fault.key == {"subject": "m0", "session": "1"}
    assert lab_l.count("session") == declared.count("session_outbound", declared.outbound_schema) == 2


def test_a_part_that_the_local_side_cannot_hold_leaves_its_whole_entity_out(declared, lab_l, local):
    """An entity is copied with all its parts or not at all; the error names the part's table and key."""
    pipeline.fill(declared, subjects=range(2), sessions=range(2))
    session = linked(declared, local)
    session.heading  # noqa: B018 - declares the local table
    kind = "MODIFY rt decimal(3,1) NOT NULL" if lab_l.server.backend == "mysql" else "ALTER COLUMN rt TYPE numeric(3,1)"
    lab_l.server.query(lab_l.user, f"ALTER TABLE {lab_l.table('session__trial')} {kind}")
    declared.server.query(declared.owner, f"UPDATE {declared.table('session__trial')} SET rt = 0.5")
    declared.server.query(declared.owner, f"UPDATE {declared.table('session__trial')} SET rt = 0.25 WHERE subject = 'm1' AND session = 0 AND trial = 1")  # fmt: skip
    result = session.pull()
    assert (result.pulled, len(result.not_representable)) == (3, 1)
    fault = result.not_representable[0]
    assert (fault.table, fault.column) == ("session__trial", "rt")
    assert fault.key == {"subject": "m1", "session": "0", "trial": "1"}
    assert lab_l.count("session__trial") == 6
    assert lab_l.count("session") == declared.count("session_outbound", declared.outbound_schema) == 3


def test_a_unique_index_of_the_users_is_a_conflict(declared, lab_l, local):
    """A local unique index that two source rows do not respect is a KeyConflict, and the chunk is undone."""
    pipeline.fill(declared, subjects=range(1), sessions=range(3))
    session = linked(declared, local)
    session.heading  # noqa: B018 - declares the local table
    lab_l.server.admin_query(f"CREATE UNIQUE INDEX one ON {lab_l.table('session')} (small, ok)")
    with pytest.raises(errors.KeyConflict, match="session"):
        session.pull()
    assert declared.count("session_outbound", declared.outbound_schema) == 0


def test_a_part_added_at_the_source_is_noticed(declared, local):
    """A part table that was not there when the table was linked stops the pull by name."""
    pipeline.fill(declared, subjects=range(1), sessions=range(1))
    session = linked(declared, local)
    session.pull()
    table = declared.table("session__late")
    declared.server.query(declared.owner, f"CREATE TABLE {table} (subject varchar(16), session int, PRIMARY KEY (subject, session), FOREIGN KEY (subject, session) REFERENCES {declared.table('session')} (subject, session))")  # fmt: skip
    with pytest.raises(errors.DeclarationChanged, match="session__late"):
        session.pull()


def test_reading_needs_no_source(declared, lab_l, connect, monkeypatch):
    """Once the local table exists, reading, joining and foreign keys work without the source's server and variables."""
    for name in ("LINK_USER", "LINK_PASS", "LINK_OUTBOUND"):
        monkeypatch.delenv(name, raising=False)
    pipeline.fill(declared, subjects=range(1), sessions=range(3))
    linked(declared, LazySchema(lab_l.local_schema, connection=connect(lab_l, lab_l.user))).pull()
    local = LazySchema(lab_l.local_schema, connection=connect(lab_l, lab_l.user))
    nowhere = LazySchema(declared.source_schema, host="192.0.2.1", backend=declared.server.backend)
    session = Link(local, nowhere)(type("Session", (), {}))

    class Analysis(dj.Manual):
        definition = """
        -> Session
        """

    local(Analysis, context={"Session": session})
    assert (len(session()), len(session.Trial()), len(session * Analysis)) == (3, 6, 0)
    assert session().descendants()


def test_the_schema_is_not_dropped_under_linked_tables(declared, lab_l, local):
    """Dropping the local schema through LazySchema is refused while linked tables live in it."""
    pipeline.fill(declared, subjects=range(1), sessions=range(1))
    session = linked(declared, local)
    session.pull()
    with pytest.raises(errors.WriteRefused, match="session"):
        local.drop(prompt=False)
    session.drop()
    local.drop(prompt=False)


def test_errors_survive_pickling(declared):
    """An error that crosses a process boundary keeps its type, facts and text."""
    error = errors.PrivilegeMissing(server="s", user="u", action="look", grant="GRANT x")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.grant, str(again)) == (errors.PrivilegeMissing, "GRANT x", str(error))
    assert "Account" in repr(Account("a", "b"))
