"""Backups, clones, moves and dropped schemas on real servers: after a repair the promise holds, or the rest is named."""

from __future__ import annotations

import pipeline
import pytest
import servers
from backups import Backup, clone, dump, load
from damaged import EACH, M0, delete_locally, each, left, one, request, sides, ten_pulled, troubles, try_to_delete
from labs import damage

from link import errors
from link.domain.findings import Trouble


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    return ten_pulled(lab_s, lab_l, connect, link)


@each
def test_an_older_source_is_put_right(labs):
    """Lab S's schemas come from a backup: the promise holds again but for the rows that lab S has lost, which are named."""
    lab_s, lab_l, session = labs
    backup = Backup(lab_s.server, (lab_s.source_schema, lab_s.outbound_schema))
    request(lab_s, 1)
    delete_locally(session, 1, 2)
    lab_s.server.query(lab_s.owner, f"INSERT INTO {lab_s.table('subject')} VALUES ('m9')")
    row = pipeline.rows([9], [1])[0]
    names = ", ".join(lab_s.server.quote(name) for name in row)
    values = [pipeline._native(lab_s.server, name, value) for name, value in row.items()]
    places = ", ".join(["%s"] * len(values))
    lab_s.server.query(lab_s.owner, f"INSERT INTO {lab_s.table('session')} ({names}) VALUES ({places})", values)
    assert session.pull().pulled == 22
    backup.restore()
    found = session.doctor()
    assert troubles(found) == {Trouble.LOCAL_UNREGISTERED: 20, Trouble.LOCAL_ALONE: 1, Trouble.LOST_LOCALLY: 1}
    assert Trouble.DECISION_UNKNOWN in {finding.trouble for finding in found.findings}
    result = session.repair(prompt=False)
    assert result.done["registered again"] == 20
    assert left(result) == {("m9", 1): Trouble.LOCAL_ALONE, ("m0", 1): Trouble.LOST_LOCALLY}
    local, registered, source = sides(lab_s, lab_l)
    assert local - registered == {("m9", 1)}
    assert registered <= source
    assert session.pull().pulled == 1
    assert troubles(session.doctor()) == {Trouble.LOCAL_ALONE: 1}


@each
def test_an_older_local_side_is_put_right(labs, connect):
    """Lab L's schema comes from a backup: what is back is protected again, what is missing is named and comes with a pull.

    A copy of the server's very files is just such a backup, with the other one still at work: each is refused after the other.
    """
    lab_s, lab_l, session = labs
    request(lab_s, 1, 2)
    session.refresh()
    backup = Backup(lab_l.server, (lab_l.local_schema,))
    delete_locally(session, 1, 3)
    session.pull({"subject": "m1"})
    other = Backup(lab_l.server, (lab_l.local_schema,))
    backup.restore()
    assert troubles(session.doctor()) == {
        Trouble.APPROVED_BUT_LOCAL: 1, Trouble.LOCAL_UNREGISTERED: 1, Trouble.LOST_LOCALLY: 10, Trouble.LOCAL_SIDE_BEHIND: 1,
    }  # fmt: skip
    for refused in (session.pull, session.refresh, session.delete, session.drop):
        with pytest.raises(errors.LocalSideBehind, match=r"adopt\(\) and then Session\(\)\.repair\(\)"):
            refused()
    assert not session.repair(prompt=False).confirmed
    session.adopt()
    result = session.repair(prompt=False)
    assert (result.done["registered again"], set(left(result).values())) == (2, {Trouble.LOST_LOCALLY})
    local, registered, source = sides(lab_s, lab_l)
    assert (local, registered <= source) == (M0, True)
    assert local <= registered
    with pytest.raises(Exception, match="in use|blocked|Link"):
        try_to_delete(lab_s, connect)
    assert session.pull({"subject": "m1"}).pulled == 10
    assert troubles(session.doctor()) == {}
    assert delete_locally(session, 1, 2, 3).approved == 2
    other.restore()
    with pytest.raises(errors.LocalSideBehind, match="another copy of the server is at work"):
        session.refresh()


@each
def test_rows_that_lab_s_deleted_past_the_guard_are_kept_and_named(labs):
    """foreign_key_checks=0 and the like: the registration stays with the local row, the other one goes."""
    lab_s, lab_l, session = labs
    lab_l.server.query(lab_l.user, f"DELETE FROM {lab_l.table('session__trial')} WHERE session = 2")
    lab_l.server.query(lab_l.user, f"DELETE FROM {lab_l.table('session')} WHERE session = 2")
    request(lab_s, 2)
    tables = [lab_s.table(name) for name in ("session__trial", "session")]
    damage(lab_s.server, *(f"DELETE FROM {table} WHERE subject = 'm0' AND session IN (1, 2)" for table in tables))
    assert troubles(session.doctor()) == {Trouble.SOURCE_ROW_MISSING: 1, Trouble.REGISTRATION_ALONE: 1}
    result = session.repair(prompt=False)
    assert (left(result), result.done["released"]) == ({("m0", 1): Trouble.SOURCE_ROW_MISSING}, 1)
    assert delete_locally(session, 1) == 1
    assert troubles(session.doctor()) == {}
    local, registered, source = sides(lab_s, lab_l)
    assert local == registered == M0 - {("m0", 1), ("m0", 2)}
    assert registered <= source


@each
def test_a_dump_brings_guard_and_foreign_keys_back(labs, connect):
    """Lab S restores its schemas by the product's own program: nothing is wrong but the keys that were pulled since."""
    lab_s, _, session = labs
    kept = dump(lab_s.server, lab_s.source_schema, lab_s.outbound_schema)
    session.pull({"subject": "m1"})
    load(lab_s.server, kept)
    assert troubles(session.doctor()) == {Trouble.LOCAL_UNREGISTERED: 10}
    assert session.repair(prompt=False).healthy
    with pytest.raises(Exception, match="in use|blocked|Link"):
        try_to_delete(lab_s, connect)


@pytest.mark.parametrize("pair", EACH[2:], ids=["mariadb-to-postgresql"], indirect=True)
def test_a_moved_local_server_is_adopted(labs, link):
    """Lab L's schema is dumped and loaded on another server: refused, adopted, and then as before."""
    lab_s, lab_l, session = labs
    other = servers.get(lab_l.server.product, "source")
    other.admin_query(f"CREATE ROLE {lab_l.user.user} LOGIN PASSWORD '{lab_l.user.password}'")
    load(other, dump(lab_l.server, lab_l.local_schema))
    lab_l.server = other
    moved = link(lab_s, lab_l)
    assert Trouble.LOCAL_SIDE_MOVED in troubles(moved().doctor())
    with pytest.raises(errors.LocalSideMoved, match="adopt"):
        moved().pull()
    moved().adopt()
    assert troubles(moved().doctor()) == {}
    assert moved().pull().pulled == 20
    with pytest.raises(errors.LocalSideMoved):
        session.pull()


@one
def test_a_clone_is_told_apart_and_adopts_only_when_told(labs, link, connect):
    """A copied schema is refused and its doctor says why; adopt() makes it the real one, and the original is refused then."""
    lab_s, lab_l, session = labs
    name = clone(lab_l.server, lab_l.local_schema, lab_l.user)
    lab_l.local_schema, original = name, lab_l.local_schema
    cloned = link(lab_s, lab_l)
    result = cloned().doctor()
    assert Trouble.LOCAL_SIDE_MOVED in troubles(result)
    assert original in str(result) and "adopt()" in str(result)
    assert not cloned().repair(prompt=False).confirmed
    with pytest.raises(errors.LocalSideMoved, match=r"adopt\(\)"):
        cloned().pull()
    cloned().adopt()
    assert troubles(cloned().doctor()) == {}
    assert cloned().pull({"subject": "m1"}).pulled == 10
    with pytest.raises(errors.LocalSideMoved):
        session.pull()
    assert Trouble.LOCAL_SIDE_MOVED in troubles(session.doctor())


def drop_schema(lab_l):
    """Drop lab L's schema without Link, and make an empty one of the same name."""
    server, name = lab_l.server, lab_l.local_schema
    if server.backend == "postgresql":
        server.admin_query(f"DROP SCHEMA {name} CASCADE")
        server.admin_query(f"CREATE SCHEMA {name} AUTHORIZATION {lab_l.user.user}")
    else:
        server.admin_query(f"DROP DATABASE {name}")
        server.admin_query(f"CREATE DATABASE {name}")


@each
def test_a_schema_dropped_without_link_gives_its_rows_up_by_name(labs, link):
    """Linked anew, the table may take the old one's place, whose rows are then named, brought back or let go."""
    lab_s, lab_l, _ = labs
    drop_schema(lab_l)
    again = link(lab_s, lab_l)
    assert len(again()) == 0
    with pytest.raises(errors.OutboundTaken, match="adopt"):
        again().pull()
    assert Trouble.OUTBOUND_TAKEN in troubles(again().doctor())
    again().adopt()
    result = again().repair(prompt=False)
    assert set(left(result)) == M0
    assert again().pull({"subject": "m0"}, "session < 4").pulled == 4
    result = again().repair(prompt=False, release_lost=True)
    assert (result.done["released"], left(result)) == (6, {})
    local, registered, _ = sides(lab_s, lab_l)
    assert local == registered == {("m0", number) for number in range(4)}
    assert troubles(again().doctor()) == {}
    assert again().pull().pulled == 26


@one
def test_another_table_takes_the_place_of_a_lost_one_only_by_its_name(labs, link):
    """A table elsewhere must name the place it takes; with rows of its own it cannot take any."""
    lab_s, lab_l, session = labs
    name = clone(lab_l.server, lab_l.local_schema, lab_l.user)
    for table in ("session__trial", "session__deletion_requested", "session", "~link_tables", "~link_decisions"):
        lab_l.server.query(lab_l.user, f"DROP TABLE {lab_l.server.quote(name)}.{lab_l.server.quote(table)}")
    lab_l.local_schema, original = name, lab_l.local_schema
    other = link(lab_s, lab_l)
    assert len(other()) == 0
    with pytest.raises(errors.OutboundTaken) as refused:
        other().adopt()
    assert refused.value.place.endswith(f"/{original}.session")
    with pytest.raises(errors.OutboundTaken):
        other().adopt(instead_of="elsewhere")
    assert session.pull({"subject": "m1"}).pulled == 10
    other().adopt(instead_of=refused.value.place)
    assert other().pull().pulled == 30
    with pytest.raises(errors.LocalSideMoved):
        session.pull()


@one
def test_two_local_tables_with_one_outbound_are_told(labs, link):
    """A second table is refused; its doctor names the first one, and repair touches nothing."""
    lab_s, lab_l, session = labs
    name = f"{lab_l.local_schema}_b"
    if lab_l.server.backend == "postgresql":
        lab_l.server.admin_query(f"CREATE SCHEMA {name} AUTHORIZATION {lab_l.user.user}")
    else:
        lab_l.server.admin_query(f"CREATE DATABASE {name}")
        lab_l.server.admin_query(f"GRANT ALL ON {name}.* TO {lab_l.user.user}")
    first, lab_l.local_schema = lab_l.local_schema, name
    second = link(lab_s, lab_l)
    assert len(second()) == 0
    result = second().doctor()
    assert (list(troubles(result)), first in str(result), result.readable) == ([Trouble.OUTBOUND_TAKEN], True, False)
    assert not second().repair(prompt=False).confirmed
    assert troubles(session.doctor()) == {}
