"""The main job on every pair of servers, with least privileges."""

from __future__ import annotations

import datajoint as dj
import pipeline
import pytest
from datajoint.errors import DataJointError
from labs import make_lab_l

from link import errors


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    """Two labs with a pipeline at S of 30 sessions and its link at L."""
    subject, session = pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    return lab_s, lab_l, session, link(lab_s, lab_l)


def outbound_module(lab_s, connect, account=None):
    connection = connect(lab_s, account or lab_s.owner)
    return dj.VirtualModule("outbound", lab_s.outbound_schema, connection=connection)


def test_pulled_rows_are_the_sources_rows(labs):
    """Every value of every kind, in masters and parts, is the same on both servers."""
    lab_s, lab_l, _, session = labs
    result = session().pull()
    assert (result.pulled, result.already_local, result.conflicts) == (30, 0, ())
    for table, columns in (("session", pipeline.COLUMNS), ("session__trial", pipeline.TRIAL)):
        theirs = pipeline.contents(lab_s.server, lab_s.table(table), columns)
        ours = pipeline.contents(lab_l.server, lab_l.table(table), columns)
        assert ours == theirs


def test_restrictions_select_at_the_source(labs):
    """Restrictions of every kind choose what is pulled, and a second pull of the same finds it local."""
    _, _, _, session = labs
    assert session().pull({"subject": "m0"}, "session < 3").pulled == 3
    assert session.pull([{"subject": "m0", "session": 5}, {"subject": "m1", "session": 5}]).pulled == 2
    assert session.pull(dj.Top(5)).pulled == 2
    assert session.pull(dj.Top(5)).already_local == 5
    assert session.pull("subject = 'm0'", dj.Not("session < 9")).pulled == 1
    assert session.pull([]).pulled == 0
    assert (session.source & {"subject": "m2"}).pull("session = 1").pulled == 1
    assert len(session()) == 9


def test_the_local_table_is_a_datajoint_table(labs, connect):
    """Restricting, joining, fetching, parts and children of the user's own work, with the source switched out."""
    lab_s, lab_l, _, session = labs
    session.pull()
    assert session.primary_key == ["subject", "session"]
    assert len(session & {"subject": "m1"}) == 10
    assert len(session.Trial & "trial = 0") == 30
    assert (session & {"subject": "m1", "session": 2}).fetch1("kind") == "c"

    class Analysis(dj.Manual):
        definition = """
        -> Session
        ---
        value : int32
        """

    local = session._operations.config.local
    local(Analysis, context={"Session": session})
    Analysis.insert1({"subject": "m1", "session": 2, "value": 7})
    assert len(session * Analysis) == 1
    assert len(session.Trial * Analysis) == 2
    assert session.heading["subject"].lineage == f"{lab_s.source_schema}.subject.subject"
    assert [name for name in session().children() if "analysis" in name]


def test_a_shared_row_cannot_be_deleted_at_the_source(labs, connect):
    """Lab S's owner, DataJoint or SQL, is refused on registered rows and free on all others."""
    lab_s, _, source, session = labs
    session.pull({"subject": "m0"})
    lab_s.befriend()
    for key in ({"subject": "m0", "session": 1}, {"subject": "m0"}):
        with pytest.raises(Exception, match="Link|blocked|outbound"):
            (source & key).delete()
    for statement in (
        "DELETE FROM {} WHERE subject = 'm0'",
        "UPDATE {} SET session = 99 WHERE subject = 'm0' AND session = 1",
    ):
        with pytest.raises(Exception, match="foreign key|constraint"):
            lab_s.server.query(lab_s.owner, statement.format(lab_s.table("session")))
    with pytest.raises(Exception, match="Link|foreign key|guard"):
        lab_s.server.query(lab_s.owner, f"DELETE FROM {lab_s.outbound('session_outbound')} WHERE subject = 'm0'")
    assert lab_s.count("session") == 30
    assert (source & {"subject": "m1"}).delete() == 10
    assert lab_s.count("session") == 20


def test_request_refresh_delete_approve(labs, connect):
    """The whole course of a deletion that lab S asks for, with plain DataJoint there."""
    lab_s, lab_l, source, session = labs
    session.pull()
    lab_s.befriend()
    outbound = outbound_module(lab_s, connect).SessionOutbound
    keys = [{"subject": "m0", "session": n} for n in range(3)]
    outbound.DeletionRequested.insert(keys)
    assert (session.refresh().new, len(session.DeletionRequested())) == (3, 3)
    (outbound.DeletionRequested & keys[2]).delete(part_integrity="ignore")
    assert (session.refresh().withdrawn, len(session().DeletionRequested())) == (1, 2)
    (outbound.DeletionRequested & keys[1]).delete(part_integrity="ignore")
    result = (session & {"subject": "m0"}).delete()
    assert (int(result), result.approved, result.released) == (10, 1, 9)
    assert len(outbound.DeletionApproved()) == 1
    assert (len(session()), lab_l.count("session__trial"), lab_s.count("session_outbound", lab_s.outbound_schema)) == (
        20,
        40,
        21,
    )
    assert session.pull().held_back == 1
    assert (source & keys[0]).delete() == 1
    assert lab_s.count("session") == 29


def test_a_withdrawn_approval_is_released_and_pulled_again(labs, connect):
    """A request withdrawn after its approval is idle again with the next pull."""
    lab_s, _, _, session = labs
    session.pull({"subject": "m0"})
    lab_s.befriend()
    outbound = outbound_module(lab_s, connect).SessionOutbound
    outbound.DeletionRequested.insert1({"subject": "m0", "session": 1})
    (session & {"session": 1}).delete()
    (outbound.DeletionRequested & "TRUE").delete(part_integrity="ignore")
    result = session.pull({"subject": "m0"})
    assert (result.pulled, result.released, len(outbound.DeletionApproved())) == (1, 1, 0)


def test_rows_lost_locally_come_back_or_are_approved(labs, connect):
    """A row removed behind Link's back is pulled again, and approved where its deletion was requested."""
    lab_s, lab_l, _, session = labs
    session.pull({"subject": "m0"})
    lab_s.befriend()
    outbound = outbound_module(lab_s, connect).SessionOutbound
    outbound.DeletionRequested.insert1({"subject": "m0", "session": 1})
    for table in ("session__trial", "session"):
        lab_l.server.query(lab_l.user, f"DELETE FROM {lab_l.table(table)} WHERE session < 3")
    result = session.pull({"subject": "m0"})
    assert (result.pulled, result.approved, result.already_local) == (2, 1, 7)
    assert len(outbound.DeletionApproved()) == 1


def test_a_local_row_of_the_users_own_is_a_conflict(labs):
    """A hand-made local row is reported with the columns that differ, never overwritten, and deleted plainly."""
    lab_s, lab_l, _, session = labs
    session.pull({"subject": "m0", "session": 1})
    columns = [column for column in pipeline.COLUMNS if column not in {"subject", "session", "uid", "note"}]
    names = ", ".join(lab_l.server.quote(name) for name in columns)
    uid = "'00000000-0000-4000-8000-00000000ffff'" if lab_l.server.backend == "postgresql" else "UNHEX(REPEAT('ef', 16))"
    lab_l.server.query(
        lab_l.user,
        f"INSERT INTO {lab_l.table('session')} (subject, session, uid, note, {names})"
        f" SELECT 'm0', 2, {uid}, 'mine', {names} FROM {lab_l.table('session')}",
    )
    result = session.pull({"subject": "m0"})
    assert (result.pulled, len(result.conflicts)) == (8, 1)
    assert dict(result.conflicts[0].key) == {"subject": "m0", "session": "2"}
    assert {"uid", "note"} <= set(result.conflicts[0].columns)
    assert (session & {"session": 2}).fetch1("note") == "mine"
    assert int((session & {"session": 2}).delete()) == 1
    assert session.pull({"subject": "m0"}).pulled == 1


def test_delete_takes_the_users_own_rows_along_and_asks_once(labs, mocker):
    """The local delete cascades to dependent tables, shows what goes, and a "no" changes nothing anywhere."""
    lab_s, lab_l, _, session = labs
    session.pull({"subject": "m0"})

    class Analysis(dj.Manual):
        definition = """
        -> Session
        ---
        value : int32
        """

    session._operations.config.local(Analysis, context={"Session": session})
    Analysis.insert([{"subject": "m0", "session": n, "value": n} for n in range(4)])
    asked = mocker.patch("link.infrastructure.composition.user_choice", return_value="no")
    assert int((session & {"subject": "m0"}).delete(prompt=True)) == 0
    assert (len(session()), len(Analysis()), asked.call_count) == (10, 4, 1)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 10
    asked.return_value = "yes"
    result = (session & Analysis).delete(prompt=True)
    assert (int(result), len(Analysis()), len(session())) == (4, 0, 6)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 6


def test_drop_releases_everything_and_frees_outbound(labs, link):
    """After drop() nothing is registered, and another local table may claim the same outbound."""
    lab_s, lab_l, source, session = labs
    session.pull()
    session.drop()
    assert not lab_s.has_outbound()
    assert link(lab_s, lab_l).pull().pulled == 30


def test_a_second_local_table_is_refused(labs, link, pair):
    """One outbound table serves exactly one local table."""
    lab_s, lab_l, _, session = labs
    session.pull({"subject": "m0"})
    other = make_lab_l(lab_l.server)
    with pytest.raises(errors.OutboundTaken, match=lab_l.local_schema):
        link(lab_s, other).pull()


def test_a_source_altered_after_linking_is_noticed(labs):
    """A new column at the source stops the pull before anything is registered, and is named."""
    lab_s, _, _, session = labs
    session.pull({"subject": "m0"})
    lab_s.server.query(lab_s.owner, f"ALTER TABLE {lab_s.table('session')} ADD COLUMN extra int")
    with pytest.raises(errors.DeclarationChanged, match="extra"):
        session.pull()
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 10


def test_operations_inside_a_transaction_are_refused(labs):
    """pull, refresh and delete never run inside the user's transaction."""
    _, _, _, session = labs
    session.pull({"subject": "m0"})
    with session.connection.transaction:
        for operation in (session.pull, session.refresh, session.delete, session.drop):
            with pytest.raises(errors.InTransaction):
                operation()
    assert len(session()) == 10


def test_catastrophic_restrictions_are_refused(labs):
    """A mapping without a matching attribute, which DataJoint takes for everything, raises at once."""
    _, _, source, session = labs
    session.pull({"subject": "m0"})
    for restriction in ({"sesion": 1}, [{"nope": 1}], dj.Not({"nope": 1}), dj.AndList([{"nope": 1}])):
        with pytest.raises(errors.BadRestriction, match="attribute"):
            session & restriction
        with pytest.raises(errors.BadRestriction, match="attribute"):
            session.pull(restriction)
    with pytest.raises(errors.BadRestriction, match="is a query on"):
        session & source()
    assert len(session() & []) == 0


def test_datajoints_own_errors_do_not_leak(labs):
    """What a linked table refuses, it refuses with an error of Link's that says what to do instead."""
    _, _, _, session = labs
    session.pull({"subject": "m0"})
    row = {"subject": "m9", "session": 1}
    for call in (
        lambda: session.insert1(row),
        lambda: session().insert([row]),
        lambda: session.update1(row),
        lambda: session().delete_quick(),
        lambda: session.alter(),
        lambda: session.Trial().delete(),
        lambda: session.Trial.insert1(row),
        lambda: session().populate(),
    ):
        with pytest.raises(errors.WriteRefused):
            call()
    assert not issubclass(errors.WriteRefused, DataJointError)
