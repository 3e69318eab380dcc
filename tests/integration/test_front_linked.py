"""The front over the whole of Link: what happens when tables, servers or passwords are not what they were."""

from __future__ import annotations

import logging
import traceback

import pipeline
import pytest
from servers import Product

from link import LazySchema, errors
from link.infrastructure.linked_table import LinkedTable

SAME = [(product, product) for product in Product]
pytestmark = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    """Two labs with a pipeline at S of 30 sessions and its link at L, ten of them pulled."""
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    session = link(lab_s, lab_l)
    session.pull({"subject": "m0"})
    return lab_s, lab_l, session


def test_tables_dropped_behind_links_back_come_back(labs, link):
    """Tables that somebody drops with SQL are declared again under the same identity, and their rows pulled again."""
    lab_s, lab_l, session = labs
    for name in ("session__trial", "session__deletion_requested", "session"):
        lab_l.server.query(lab_l.user, f"DROP TABLE {lab_l.table(name)}")
    again = link(lab_s, lab_l)
    assert len(again()) == 0
    assert again.pull().pulled == 30
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 30
    again.drop()
    assert not lab_s.has_outbound()


def test_tables_dropped_behind_links_back_can_be_dropped(labs, link):
    """Rows of tables that are gone are released by drop() too."""
    lab_s, lab_l, _ = labs
    for name in ("session__trial", "session__deletion_requested", "session"):
        lab_l.server.query(lab_l.user, f"DROP TABLE {lab_l.table(name)}")
    link(lab_s, lab_l).drop()
    assert not lab_s.has_outbound()


def test_dropping_again_does_nothing(labs, link):
    """drop() of what is not linked neither declares nor asks anything, nor does it need the source."""
    lab_s, lab_l, session = labs
    session.drop()
    session.drop()
    link(lab_s, lab_l, outbound="nowhere").drop()
    with pytest.raises(Exception, match="session"):
        lab_l.count("session")


def test_the_schema_of_linked_tables_is_not_dropped(labs, connect):
    """A lazy schema's drop() is refused while linked tables live in it, for every process, and possible afterwards."""
    _, lab_l, session = labs
    other_process = LazySchema(lab_l.local_schema, connection=connect(lab_l, lab_l.user))
    with pytest.raises(errors.WriteRefused, match=r"drop\(\) is not available on schema .*session"):
        other_process.drop(prompt=False)
    assert len(session()) == 10
    session.drop()
    other_process.drop(prompt=False)
    assert not lab_l.server.admin_query(
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (lab_l.local_schema,)
    )


def test_a_wrong_password_is_nowhere(labs, link, caplog):
    """After a refused login neither messages nor logs nor the locals of any frame, as debuggers print them, have it."""
    lab_s, _, _ = labs
    secret = "wr0ng-s3cret-pw"
    caplog.set_level(logging.DEBUG)
    server = lab_s.server
    source = LazySchema(
        lab_s.source_schema,
        host=server.host,
        port=server.port,
        user=lab_s.link.user,
        password=secret,
        backend=server.backend,
        database_name=server.database_name,
    )
    with pytest.raises(errors.LoginFailed) as caught:
        source.list_tables()
    own = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own.stack = traceback.StackSummary.from_list([frame for frame in own.stack if "/link/" in frame.filename])
    assert own.stack
    assert secret not in "".join(own.format()) + caplog.text
    assert caught.value.__context__ is caught.value.__cause__ is None


def test_it_works_in_thread_safe_mode(labs, link, monkeypatch):
    """Without any of DataJoint's global state a whole course of pull, read, refresh, delete and drop runs."""
    lab_s, lab_l, _ = labs
    monkeypatch.setenv("DJ_THREAD_SAFE", "1")
    session = link(lab_s, lab_l)
    assert session.pull().pulled == 20
    assert len(session.Trial & session.source.proj().to_dicts()) == 60
    assert session.refresh().requested == 0
    assert int((session & {"subject": "m1"}).delete()) == 10
    session.drop()
    assert issubclass(session, LinkedTable)


def test_reading_goes_on_while_the_source_is_gone(labs, link, monkeypatch):
    """A new process reads and joins with the source unreachable and its settings unset; only pull() finds it missing."""
    lab_s, lab_l, _ = labs
    for name in ("LINK_USER", "LINK_PASS", "LINK_OUTBOUND"):
        monkeypatch.delenv(name, raising=False)
    session = link(lab_s, lab_l, outbound=None)
    session._operations.config.source.host = "nowhere.invalid"
    assert len(session * session.Trial) == 20
    assert len(session.DeletionRequested()) == 0
    with pytest.raises(errors.ServerUnreachable, match="nowhere"):
        session.pull()


def test_decorating_and_reading_leaves_few_sessions(labs, link):
    """Looking at a linked table opens no connection that stays beside the user's own."""
    lab_s, lab_l, _ = labs
    count = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE usename = %s",
        "mysql": "SELECT count(*) FROM information_schema.processlist WHERE user = %s",
    }[lab_l.server.backend]
    session = link(lab_s, lab_l)
    before = lab_l.server.admin_query(count, (lab_l.user.user,))[0][0]
    assert len(session()) == 10
    session.pull()
    assert lab_l.server.admin_query(count, (lab_l.user.user,))[0][0] <= before
