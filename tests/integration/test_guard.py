"""The guard on each server as it comes: whoever deletes, registered rows stay, all others go as before."""

from __future__ import annotations

import datajoint as dj
import pipeline
import pytest
from servers import Product

SAME = [(product, product) for product in Product]
pytestmark = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)
everybody = pytest.mark.parametrize("who", ["owner", "member", "admin"])


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    session = link(lab_s, lab_l)
    session.pull({"subject": "m0"})
    lab_s.befriend()
    return lab_s, session


def account(lab_s, who):
    return lab_s.server.admin if who == "admin" else getattr(lab_s, who)


def source_as(lab_s, connect, who):
    connection = connect(lab_s, account(lab_s, who))
    module = dj.VirtualModule("lab", lab_s.source_schema, connection=connection)
    return module.Session


@everybody
def test_datajoints_delete_of_a_registered_row_is_refused(labs, connect, who):
    """DataJoint's delete ends in an error and nothing of the row is gone, alone or among unregistered ones."""
    lab_s, _ = labs
    source = source_as(lab_s, connect, who)
    for restriction in ({"subject": "m0", "session": 1}, "session = 2", "TRUE"):
        with pytest.raises(Exception, match=r"in use|blocked|Link"):
            (source & restriction).delete()
    assert (lab_s.count("session"), lab_s.count("session__trial")) == (30, 60)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 10


@everybody
def test_unregistered_rows_go_as_before(labs, connect, who):
    """Everybody who could delete a row before can still delete it while it is not registered."""
    lab_s, _ = labs
    assert (source_as(lab_s, connect, who) & {"subject": "m1"}).delete() == 10
    assert lab_s.count("session") == 20


@everybody
def test_approved_rows_go_with_a_plain_delete(labs, connect, who):
    """After the approval DataJoint's delete takes the row, its parts, its flags and its registration."""
    lab_s, session = labs
    flags = lab_s.outbound("session_outbound__deletion_requested")
    lab_s.server.query(account(lab_s, who), f"INSERT INTO {flags} (subject, session) VALUES ('m0', 1)")
    assert (session & "session < 3").delete().approved == 1
    assert (source_as(lab_s, connect, who) & {"subject": "m0", "session": 1}).delete() == 1
    assert lab_s.count("session_outbound__deletion_approved", lab_s.outbound_schema) == 0
    assert session.pull({"subject": "m0"}).pulled == 2


@everybody
def test_sql_is_refused_too(labs, who):
    """DELETE and key UPDATE of a registered row, and DELETE of its registration, are refused by the server."""
    lab_s, _ = labs
    source, outbound = lab_s.table("session"), lab_s.outbound("session_outbound")
    statements = [
        f"DELETE FROM {source} WHERE subject = 'm0'",
        f"UPDATE {source} SET session = 77 WHERE subject = 'm0' AND session = 1",
        f"DELETE FROM {outbound} WHERE subject = 'm0' AND session = 1",
        f"DELETE FROM {outbound}",
    ]
    if who == "admin":
        statements.append(f"UPDATE {outbound} SET session = 77 WHERE subject = 'm0' AND session = 1")
        statements.append(f"TRUNCATE {source}{' CASCADE' if lab_s.server.backend == 'postgresql' else ''}")
    for statement in statements:
        with pytest.raises(Exception, match=r"(?i)foreign key|in use|cannot delete|truncate"):
            lab_s.server.query(account(lab_s, who), statement)
    assert lab_s.count("session") == 30
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 10


def test_other_columns_of_a_registered_row_may_change(labs):
    """Lab S goes on working with its rows: only the key is held."""
    lab_s, _ = labs
    lab_s.server.query(lab_s.member, f"UPDATE {lab_s.table('session')} SET score = 9 WHERE subject = 'm0'")


def test_the_refusal_names_the_link_and_the_way_out(labs, connect):
    """Where a trigger may be made, the refusal says who uses the row and how to ask for it."""
    lab_s, session = labs
    if lab_s.server.product is Product.MYSQL:
        pattern = "session_outbound"  # a stock MySQL server gives the link user no trigger, and so no words of its own
    else:
        pattern = rf"{session.database}\.session.*SessionOutbound\.DeletionRequested"
    with pytest.raises(Exception, match=pattern):
        (source_as(lab_s, connect, "admin") & {"subject": "m0", "session": 1}).delete()


def test_stock_servers_have_the_guard_they_allow(labs):
    """PostgreSQL and MariaDB have triggers, a stock MySQL has guard rows."""
    lab_s, _ = labs
    kind = lab_s.server.admin_query(f"SELECT guard FROM {lab_s.outbound('~link_outbound')}")[0][0]
    assert kind == ("rows" if lab_s.server.product is Product.MYSQL else "trigger")
