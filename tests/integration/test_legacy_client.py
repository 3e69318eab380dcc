"""Lab S runs DataJoint 0.14.10: it lists, requests, withdraws, deletes what it may, and is refused on shared rows."""

from __future__ import annotations

import legacy
import pytest
from servers import Product

PAIRS = [(product, Product.POSTGRESQL) for product in (Product.MARIADB, Product.MYSQL)]
pytestmark = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].value, indirect=True)

DECLARE = """
schema = dj.Schema(os.environ["SOURCE"])

@schema
class Subject(dj.Manual):
    definition = "subject : varchar(16)"

@schema
class Session(dj.Manual):
    definition = '''
    -> Subject
    session : int
    ---
    note="" : varchar(60)
    data=null : longblob
    '''

    class Trial(dj.Part):
        definition = '''
        -> master
        trial : smallint
        ---
        rt : double
        '''
"""
FILL = (
    DECLARE
    + """
Subject.insert([("m0",), ("m1",)])
keys = [dict(subject=f"m{s}", session=n) for s in range(2) for n in range(5)]
Session.insert([dict(key, note="n", data={"a": [1, 2]}) for key in keys])
Session.Trial.insert([dict(key, trial=t, rt=t / 3) for key in keys for t in range(2)])
"""
)
OPEN = (
    DECLARE
    + """
outbound = dj.VirtualModule("outbound", os.environ["OUTBOUND"], create_schema=False)
Out = outbound.SessionOutbound
"""
)


@pytest.fixture
def labs(lab_s, lab_l, link):
    legacy.run(FILL, lab_s, lab_s.owner)
    session = link(lab_s, lab_l)
    assert session.pull({"subject": "m0"}).pulled == 5
    lab_s.befriend()
    return lab_s, lab_l, session


def test_it_lists_what_is_in_use(labs):
    """0.14 reads outbound and its parts, although 2.3 made them."""
    lab_s, _, _ = labs
    script = OPEN + "print(len(Out()), len(Out.DeletionRequested()), Out.primary_key)"
    assert legacy.run(script, lab_s, lab_s.owner).strip() == "5 0 ['subject', 'session']"


def test_it_requests_and_withdraws(labs):
    """0.14 inserts a request, takes it back with `force=True`, and lab L sees both."""
    lab_s, _, session = labs
    legacy.run(OPEN + 'Out.DeletionRequested.insert([("m0", 1), ("m0", 2)])', lab_s, lab_s.owner)
    assert session.refresh().new == 2
    legacy.run(OPEN + "(Out.DeletionRequested & 'session = 2').delete(force=True)", lab_s, lab_s.owner)
    assert (session.refresh().withdrawn, len(session.DeletionRequested())) == (1, 1)


@pytest.mark.parametrize("who", ["owner", "member"])
def test_it_deletes_unshared_rows(labs, who):
    """Rows that are not registered go with a plain 0.14 delete, whoever may delete from the source."""
    lab_s, _, _ = labs
    legacy.run(OPEN + "(Session & dict(subject='m1', session=1)).delete()", lab_s, getattr(lab_s, who))
    assert (lab_s.count("session"), lab_s.count("session__trial")) == (9, 18)


@pytest.mark.parametrize("who", ["owner", "member"])
def test_it_is_refused_on_shared_rows(labs, who):
    """A plain 0.14 delete of a registered row fails, and nothing of it is gone."""
    lab_s, _, _ = labs
    with pytest.raises(RuntimeError):
        legacy.run(OPEN + "(Session & dict(subject='m0', session=1)).delete()", lab_s, getattr(lab_s, who))
    assert (lab_s.count("session"), lab_s.count("session__trial")) == (10, 20)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 5


def test_an_admins_delete_is_refused_too(labs):
    """An all-powerful account cannot delete a registered row with 0.14 either."""
    lab_s, _, _ = labs
    with pytest.raises(RuntimeError) as caught:
        legacy.run(OPEN + "(Session & dict(subject='m0')).delete()", lab_s, lab_s.server.admin)
    assert lab_s.count("session") == 10
    if lab_s.server.product is Product.MARIADB:
        assert "DeletionRequested" in str(caught.value)


@pytest.mark.parametrize("who", ["owner", "member"])
def test_it_deletes_approved_rows(labs, who):
    """After lab L's delete a requested row goes with a plain 0.14 delete, parts, flags and registration with it."""
    lab_s, _, session = labs
    legacy.run(OPEN + 'Out.DeletionRequested.insert([("m0", 1)])', lab_s, lab_s.owner)
    assert (session & "session = 1").delete().approved == 1
    legacy.run(OPEN + "(Session & dict(subject='m0', session=1)).delete()", lab_s, getattr(lab_s, who))
    assert (lab_s.count("session"), lab_s.count("session_outbound", lab_s.outbound_schema)) == (9, 4)


def test_what_it_wrote_reads_the_same_under_2_3(labs):
    """A longblob of 0.14 arrives byte for byte."""
    lab_s, lab_l, _ = labs
    theirs = lab_s.server.admin_query(f"SELECT LOWER(HEX(data)) FROM {lab_s.table('session')} WHERE subject = 'm0'")
    ours = lab_l.server.admin_query(f"SELECT encode(data, 'hex') FROM {lab_l.table('session')}")
    assert sorted(row[0] for row in ours) == sorted(row[0] for row in theirs)


def test_nothing_is_left_in_the_source_schema(labs):
    """Link makes no table in the source schema."""
    lab_s, _, _ = labs
    found = lab_s.server.admin_query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (lab_s.source_schema,)
    )
    assert {row[0] for row in found} <= {"subject", "session", "session__trial", "~log"}
