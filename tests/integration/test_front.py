"""What a user holds in the hand, over a hand-made local table on each server: no source is there at all."""

from __future__ import annotations

import datajoint as dj
import pytest
import servers
from attrs import define, field
from labs import make_lab_l

from link import LazySchema, Link, errors
from link.infrastructure import ways
from link.infrastructure.operations import Place
from link.infrastructure.source_table import SourceTable
from link.use_cases.results import DeleteResult, PullResult, RefreshResult


@define
class Recorded:
    """Operations of a link that note what they are asked for."""

    schema: LazySchema
    allow_direct_insert: bool = False
    calls: list = field(factory=list)

    @property
    def local_connection(self):
        return self.schema.connection

    def place(self):
        self.calls.append("place")
        parts = {"Trial": "session__trial", "DeletionRequested": "session__deletion_requested"}
        return Place(connection=self.local_connection, schema=self.schema.database, table="session", parts=parts)

    def source(self):
        name = self.local_connection.adapter.make_full_table_name(self.schema.database, "session")
        return SourceTable(self.local_connection, name, self)

    def pull(self, selection):
        self.calls.append(("pull", selection))
        return PullResult()

    def refresh(self):
        self.calls.append("refresh")
        return RefreshResult()

    def delete(self, selection, *, prompt):
        self.calls.append(("delete", selection, prompt))
        return DeleteResult(0)

    def drop(self, *, prompt):
        self.calls.append(("drop", prompt))
        return True

    def adopt(self):
        self.calls.append("adopt")


def fill(schema):
    """Make the local tables of a linked class Session, with three sessions of two trials."""

    class Session(dj.Manual):
        definition = """
        subject : varchar(8)
        session : int32
        ---
        score : float64
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int16
            """

        class DeletionRequested(dj.Part):
            definition = """
            -> master
            """

    schema(Session)
    Session.insert({"subject": "m", "session": n, "score": n / 2} for n in range(3))
    Session.Trial.insert({"subject": "m", "session": n, "trial": t} for n in range(3) for t in range(2))


@pytest.fixture
def local(product, connect):
    lab = make_lab_l(servers.get(product, "local"))
    return LazySchema(lab.local_schema, connection=connect(lab, lab.user))


@pytest.fixture
def made(local):
    """Return a function that makes a linked class, and the operations behind it."""
    fill(local)

    def make(**options):
        kept = []

        def operations(config):
            kept.append(Recorded(config.local, config.allow_direct_insert))
            return kept[-1]

        source = LazySchema("nowhere", host="nowhere.invalid")
        return Link(local, source, operations=operations, **options)(type("Session", (), {})), kept[0]

    return make


def test_reading_needs_no_source(made):
    """Restricting, joining, fetching, parts, counting and printing work, on class and instance, by asking the place once."""
    session, operations = made()
    assert operations.calls == []
    assert (len(session()), len(session & "session > 0"), len(session - {"session": 1})) == (3, 2, 2)
    assert (len(session.Trial()), len(session().Trial & {"session": 0}), len(session.DeletionRequested())) == (6, 2, 0)
    assert (
        (session & {"session": 1}).fetch1("score") == session().proj("score").to_arrays("score", order_by="session")[1] == 0.5
    )
    assert len(session * session.Trial) == len(session.Trial * session) == 6
    assert len(session.aggr(session.Trial, n="count(*)") & "n = 2") == 3
    assert "score" in session().preview()
    assert "score" in session.preview()
    assert "<table" in session()._repr_html_()
    assert operations.calls == ["place"]


def test_class_and_instance_are_one(made):
    """Every reading method of an instance is one of the class too."""
    session, _ = made()
    of_instances = set(dir(session())) & ways.READING - ways.OF_THE_CLASS - {"source", "tier_regexp"}
    for name in of_instances:
        on_class = getattr(session, name)
        if callable(on_class):
            assert isinstance(on_class.__self__, session), name
        else:
            assert repr(on_class) == repr(getattr(session(), name)), name


def test_it_is_a_parent_of_the_users_own_tables(made, local):
    """`-> Session` in a definition works as first use of the class, and the child is found from both ends and by diagrams."""
    session, operations = made()

    class Analysis(dj.Computed):
        definition = """
        -> Session
        ---
        value : float64
        """

        def make(self, key):
            self.insert1({**key, "value": (session & key).fetch1("score")})

    local(Analysis, context={"Session": session})
    Analysis.populate()
    assert len(session * Analysis) == 3
    assert session.full_table_name in Analysis.parents()
    assert Analysis.full_table_name in session.children()
    assert Analysis.full_table_name in (dj.Diagram(session) + 1).nodes_to_show
    assert operations.calls == ["place"]


def test_operations_get_the_sql_of_what_was_selected(made):
    """Whole tables are None; everything else is a SELECT of the key columns, whichever way it was restricted."""
    session, operations = made()
    for call in (session.pull, session().pull, session.source.pull, session.source().pull, session().source.proj().pull):
        call()
    assert operations.calls.count(("pull", None)) == 5
    session.pull({"session": 1}, "score > 0")
    (session().source & [{"session": 1}, {"session": 2}]).pull(dj.Not("score = 1"), dj.Top(1))
    (session - {"session": 1}).delete(prompt=False)
    (session & session.Trial & dj.Top(2)).delete()
    texts = [call[1] for call in operations.calls if call[1:] and call[1] is not None and isinstance(call[1], str)]
    texts = [text for text in texts if "SELECT" in text]
    rows = [sorted(session.connection.query(text).fetchall()) for text in texts]
    assert rows == [[("m", 1)], [("m", 1)], [("m", 0), ("m", 2)], [("m", 0), ("m", 1)]]
    assert [call[2] for call in operations.calls if call[0] == "delete"] == [False, None]


def test_restrictions_that_mean_everything_are_refused(made, connect, local):
    """On the table, its parts and its source, in any operator, and a query of another connection."""
    session, operations = made()
    wrong = {"sesion": 1}
    for call in (
        lambda: session & wrong,
        lambda: session - wrong,
        lambda: session().restrict([wrong], semantic_check=False),
        lambda: session.restrict(dj.AndList([wrong])),
        lambda: (session & "session = 1") & wrong,
        lambda: session.Trial & wrong,
        lambda: session.source & wrong,
        lambda: session.source - dj.Not(wrong),
        lambda: session.pull("session = 1", wrong),
    ):
        with pytest.raises(errors.BadRestriction, match="attribute"):
            call()
    other = dj.Connection(
        *(local.connection.conn_info[name] for name in ("host", "user", "passwd", "port")),
        use_tls=local.connection.conn_info["ssl_input"],
        backend=local.connection.adapter.backend,
        config_override=local.connection._config,
    )
    theirs = dj.FreeTable(other, session.full_table_name)
    for call in (lambda: session & theirs, lambda: session.pull([theirs]), lambda: session - theirs.proj()):
        with pytest.raises(errors.BadRestriction, match="is a query on"):
            call()
    other.close()
    with pytest.raises(errors.BadRestriction, match="new names"):
        (session & "session = 1").proj(subject="session", session="subject").delete()
    assert (len(session & []), len(session & {}), len(session & {"session": 1, "colour": 2})) == (0, 3, 1)
    assert len(session & (key for key in session.keys()[:2])) == 2
    assert [call for call in operations.calls if call != "place"] == []


def test_operations_inside_a_transaction_are_refused(made, local):
    """Neither in the user's transaction nor in make() does anything reach the operations."""
    session, operations = made()
    refused = []

    class Analysis(dj.Computed):
        definition = """
        -> Session
        """

        def make(self, key):
            for operation in (
                session.pull,
                session().source.pull,
                session.refresh,
                session().delete,
                session.drop,
                session.adopt,
                session.doctor,
                session.verify,
                session.repair,
            ):
                with pytest.raises(errors.InTransaction):
                    operation()
                refused.append(operation)

    local(Analysis, context={"Session": session})
    Analysis.populate()
    assert len(refused) == 27
    assert operations.calls == ["place"]


def test_every_refused_way_is_refused(made):
    """Nothing that goes past the protocol is carried out on the table, a part or the source, which the error names."""
    session, operations = made(allow_direct_insert=True)
    for table, methods, name in (
        (session, ways.REFUSED, "linked table Session"),
        (session.Trial, ways.REFUSED_ON_PARTS, "part Trial of linked table Session"),
        (session.source, ways.REFUSED_ON_SOURCE, "source table"),
    ):
        for method in methods:
            with pytest.raises(errors.WriteRefused, match=name):
                getattr(table() if method != "staged_insert1" else table, method)()
    for method in ("insert", "insert1", "delete", "drop"):
        with pytest.raises(errors.WriteRefused, match="part"):
            getattr(session.Trial, method)()
    with pytest.raises(errors.WriteRefused, match="whole"):
        session.delete(transaction=False)
    with pytest.raises(errors.WriteRefused, match="without a restriction"):
        (session & "session = 1").drop()
    assert operations.calls == ["place"]
    assert (len(session()), len(session.Trial())) == (3, 6)


def test_direct_inserts_where_they_are_allowed(made):
    """With permission rows of the user's own go in, and none is ever replaced."""
    session, _ = made(allow_direct_insert=True)
    session.insert1({"subject": "own", "session": 1, "score": 1})
    session().insert([("own", 2, 2.0)], skip_duplicates=True)
    with pytest.raises(errors.WriteRefused, match="never replaced"):
        session.insert([("own", 2, 3.0)], True)
    assert (session & {"subject": "own"}).to_arrays("score", order_by="session").tolist() == [1, 2]
    with pytest.raises(errors.WriteRefused, match="allow_direct_insert"):
        made_again(session).insert1({"subject": "own", "session": 3, "score": 3})


def made_again(session):
    """Link the same class without permission."""
    operations = Recorded(session._operations.schema)
    return Link(operations.schema, operations.schema, operations=lambda _: operations)(type("Session", (), {}))


def test_after_drop_the_class_starts_anew(made):
    """What the class knew of its tables is forgotten with them; a "no" forgets nothing."""
    session, operations = made()
    assert len(session.Trial()) == 6
    session.drop()
    assert "Trial" not in vars(session)
    assert len(session.Trial()) == 6
    assert operations.calls == ["place", ("drop", None), "place"]


def test_a_lazy_schema_is_a_schema(local, product):
    """It decorates the user's classes, lists, finds and makes classes, runs code at activation time only when used, and drops."""
    fill(local)
    assert sorted(local.list_tables()) == ["session", "session__deletion_requested", "session__trial"]
    assert local.exists
    assert "Session" in local
    into = {}
    local.make_classes(into)
    assert len(into["Session"]()) == 3
    assert local.database in local.connection.schemas

    class Own(dj.Lookup):
        definition = """
        kind : varchar(8)
        """
        contents = (("a",), ("b",))

    assert len(local(Own)()) == 2
    module = dj.VirtualModule("module", local.database, connection=local.connection)
    assert len(module.Own()) == 2


def test_a_lazy_schema_opens_the_source_by_itself(product, monkeypatch):
    """With a host it connects on first use, with its own settings, whatever DataJoint's own configuration says."""
    lab = make_lab_l(servers.get(product, "local"))
    for name, value in {
        "DJ_PORT": "1",
        "DJ_HOST": "nowhere.invalid",
        "DJ_USER": "x",
        "DJ_PASS": "x",
        "DJ_THREAD_SAFE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DJ_BACKEND", "mysql" if lab.server.backend == "postgresql" else "postgresql")
    monkeypatch.setenv("LINK_USER", lab.user.user)
    monkeypatch.setenv("LINK_PASS", lab.user.password)
    said = {"host": lab.server.host, "port": lab.server.port, "backend": lab.server.backend}
    schema = LazySchema(lab.local_schema, database_name=lab.server.database_name, **said)
    fill(schema)
    assert len(schema.list_tables()) == 3
    assert (schema.connection.adapter.backend, schema.connection.conn_info["user"]) == (lab.server.backend, lab.user.user)
    schema.connection.close()
