"""Doctor and repair on real servers: what is found, what becomes of it, and that the promise holds then."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import datajoint as dj
import pipeline
import pytest
from backups import Backup, clone
from labs import begin, damage
from servers import Product

from link import errors
from link.adapters.datajoint import claiming
from link.adapters.datajoint.session import Session
from link.domain.findings import Trouble
from link.domain.transfers import Operation, Transfer

EACH = [(Product.POSTGRESQL, Product.MYSQL), (Product.MYSQL, Product.MARIADB), (Product.MARIADB, Product.POSTGRESQL)]
each = pytest.mark.parametrize("pair", EACH, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)
one = pytest.mark.parametrize("pair", EACH[:1], ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)
"""Enough for what is the same code on every product."""
M0 = {("m0", number) for number in range(10)}


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    """Two labs with a pipeline at S of 30 sessions and its link at L, ten of them pulled."""
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    session = link(lab_s, lab_l)
    session.pull({"subject": "m0"})
    lab_s.befriend()
    return lab_s, lab_l, session


def keys(server, table):
    return {tuple(row) for row in server.admin_query(f"SELECT subject, session FROM {table}")}


def sides(lab_s, lab_l):
    """Return the keys of local, outbound and source."""
    registered = keys(lab_s.server, lab_s.outbound("session_outbound"))
    return keys(lab_l.server, lab_l.table("session")), registered, keys(lab_s.server, lab_s.table("session"))


def troubles(result):
    """Return what is found, notes aside."""
    return {finding.trouble: finding.count for finding in result.findings if finding.remedy.weight.value != "note"}


def left(result):
    return {(key["subject"], int(key["session"])): trouble for key, trouble in result.keys}


def request(lab_s, *numbers):
    flags = lab_s.outbound("session_outbound__deletion_requested")
    for number in numbers:
        lab_s.server.query(lab_s.owner, f"INSERT INTO {flags} (subject, session) VALUES ('m0', {number})")


def delete_locally(session, *numbers):
    return (session & [{"subject": "m0", "session": number} for number in numbers]).delete(prompt=False)


def try_to_delete(lab_s, connect):
    """Have lab S's owner try to delete a registered row with DataJoint."""
    module = dj.VirtualModule("lab", lab_s.source_schema, connection=connect(lab_s, lab_s.owner))
    return (module.Session & {"subject": "m0", "session": 1}).delete()


# ---- looking


@each
def test_a_healthy_link_is_one_line_and_looking_writes_nothing(labs):
    """Nothing but the state of the lines and notes; journal and decisions are as before."""
    lab_s, lab_l, session = labs
    request(lab_s, 1, 2)
    session.refresh()
    delete_locally(session, 2)
    before = (lab_s.count("~link_journal", lab_s.outbound_schema), lab_l.count("~link_decisions"))
    result = session.doctor()
    assert (result.healthy, troubles(result)) == (True, {})
    head = str(result).splitlines()[0]
    assert head.startswith("healthy, 8 pulled, 1 deletion requested, 1 deletion approved (")
    assert all(f"{side}: " in head and "encrypted" in head for side in ("source", "local"))
    assert (lab_s.count("~link_journal", lab_s.outbound_schema), lab_l.count("~link_decisions")) == before


@one
def test_the_number_of_statements_does_not_grow_with_the_keys(labs, mocker):
    """One key or ten, wrong or right: the same statements, so that a page costs what a page costs."""
    lab_s, lab_l, session = labs
    spy = mocker.spy(Session, "execute")

    def statements():
        spy.reset_mock()
        session.doctor()
        return spy.call_count

    lab_l.server.query(lab_l.user, f"DELETE FROM {lab_l.table('session__trial')} WHERE session IN (1, 2)")
    some = statements()
    session.pull()
    lab_l.server.query(lab_l.user, f"DELETE FROM {lab_l.table('session__trial')} WHERE session > 2")
    assert statements() == some


@one
def test_before_the_first_use_there_is_nothing_to_find(lab_s, lab_l, connect, link):
    """Looking at a class that was never used declares nothing."""
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    result = link(lab_s, lab_l)().doctor()
    assert [finding.trouble for finding in result.findings] == [Trouble.NOT_LINKED]
    with pytest.raises(Exception, match="session"):
        lab_l.count("session")


@one
def test_the_command_line_says_it_with_an_exit_code(labs, tmp_path, connect):
    """`python -m link doctor MODULE:CLASS` prints the report; 0 where the link is healthy, 1 where not or unknown."""
    lab_s, lab_l, session = labs
    local, source = lab_l.server, lab_s.server
    (tmp_path / "my_links.py").write_text(f"""
import datajoint as dj
from link import LazySchema, Link
instance = dj.Instance({local.host!r}, {lab_l.user.user!r}, {lab_l.user.password!r}, {local.port}, backend={local.backend!r},
                       database__name={local.database_name!r})
@Link(LazySchema({lab_l.local_schema!r}, connection=instance.connection),
      LazySchema({lab_s.source_schema!r}, host={source.host!r}, port={source.port}, user={lab_s.link.user!r},
                 password={lab_s.link.password!r}, backend={source.backend!r}, database_name={source.database_name!r}),
      outbound={lab_s.outbound_schema!r})
class Session:
    pass
""")

    def run(name):
        command = [sys.executable, "-m", "link", "doctor", name]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    healthy = run("my_links:Session")
    assert (healthy.returncode, "healthy, 10 pulled" in healthy.stdout) == (0, True), healthy.stderr
    lab_l.server.query(lab_l.user, f"DELETE FROM {lab_l.table('session__trial')} WHERE session = 1")
    broken = run("my_links:Session")
    assert (broken.returncode, "(subject='m0', session='1')" in broken.stdout) == (1, True)
    missing = run("my_links:nothing")
    assert (missing.returncode, "names no linked class" in missing.stderr) == (1, True)


# ---- backups


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
    """Lab L's schema comes from a backup: what is back is protected again, what is missing is named and comes with a pull."""
    lab_s, lab_l, session = labs
    request(lab_s, 1, 2)
    session.refresh()
    backup = Backup(lab_l.server, (lab_l.local_schema,))
    delete_locally(session, 1, 3)
    session.pull({"subject": "m1"})
    backup.restore()
    assert troubles(session.doctor()) == {
        Trouble.APPROVED_BUT_LOCAL: 1, Trouble.LOCAL_UNREGISTERED: 1, Trouble.LOST_LOCALLY: 10,
    }  # fmt: skip
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


# ---- identity


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


# ---- tables, guard, rights


def weaken_guard(lab_s):
    """Take away what makes the guard on each product, as an admin can."""
    outbound, product = lab_s.outbound("session_outbound"), lab_s.server.product
    if product is Product.POSTGRESQL:
        lab_s.server.admin_query(f"DROP TRIGGER link_guard_rows ON {outbound}")
        lab_s.server.admin_query(f"ALTER TABLE {outbound} DISABLE TRIGGER link_guard_all")
    elif product is Product.MARIADB:
        lab_s.server.admin_query(f"DROP TRIGGER {lab_s.outbound('~session_outbound_delete')}")
    else:
        damage(lab_s.server, f"DELETE FROM {lab_s.outbound('~session_outbound_guard')}")


@each
def test_a_weakened_guard_is_found_and_put_back(labs, connect):
    """After repair lab S's delete of a shared row is refused again, and Link's own way still goes."""
    lab_s, _, session = labs
    weaken_guard(lab_s)
    assert troubles(session.doctor()) == {Trouble.GUARD: 2 if lab_s.server.product is Product.POSTGRESQL else 1}
    assert session.repair(prompt=False).healthy
    with pytest.raises(Exception, match="in use|blocked|Link"):
        try_to_delete(lab_s, connect)
    request(lab_s, 1)
    assert delete_locally(session, 1, 2).approved == 1
    assert try_to_delete(lab_s, connect) == 1
    assert troubles(session.doctor()) == {}


@each
def test_an_altered_guard_is_found(labs):
    """A guard that is there but says something else is no guard."""
    lab_s, _, session = labs
    product = lab_s.server.product
    if product is Product.POSTGRESQL:
        function = lab_s.outbound("~session_outbound_guard")
        lab_s.server.admin_query(
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$"
        )
    elif product is Product.MARIADB:
        trigger = lab_s.outbound("~session_outbound_delete")
        lab_s.server.admin_query(f"DROP TRIGGER {trigger}")
        lab_s.server.admin_query(
            f"CREATE TRIGGER {trigger} BEFORE DELETE ON {lab_s.outbound('session_outbound')} FOR EACH ROW SET @x = 1"
        )
    else:
        damage(lab_s.server, f"UPDATE {lab_s.outbound('~session_outbound_guard')} SET self = NULL")
    assert list(troubles(session.doctor())) == [Trouble.GUARD]
    assert session.repair(prompt=False).healthy


def foreign_key_name(lab_s):
    """Return the name of outbound's foreign key to the source."""
    if lab_s.server.backend == "postgresql":
        found = lab_s.server.admin_query(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass",
            (lab_s.outbound("session_outbound"),),
        )
    else:
        found = lab_s.server.admin_query(
            "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS"
            " WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = 'session_outbound'",
            (lab_s.outbound_schema,),
        )
    return found[0][0]


@each
def test_a_foreign_key_that_is_gone_or_cascades_is_made_again(labs):
    """The one that is found is replaced by one that lets nothing cascade; SQL's own delete is refused again."""
    lab_s, _, session = labs
    kind = "CONSTRAINT" if lab_s.server.backend == "postgresql" else "FOREIGN KEY"
    outbound, source = lab_s.outbound("session_outbound"), lab_s.table("session")
    for instead in ("", "ON DELETE CASCADE", "ON UPDATE CASCADE"):
        damage(lab_s.server, f"ALTER TABLE {outbound} DROP {kind} {lab_s.server.quote(foreign_key_name(lab_s))}")
        if instead:
            reference = f"FOREIGN KEY (subject, session) REFERENCES {source} (subject, session) {instead}"
            damage(lab_s.server, f"ALTER TABLE {outbound} ADD {reference}")
        found = session.doctor()
        assert (troubles(found), (instead or "has none to") in str(found)) == ({Trouble.FOREIGN_KEY: 1}, True)
        assert session.repair(prompt=False).healthy
    with pytest.raises(Exception, match="foreign key"):
        lab_s.server.query(lab_s.owner, f"DELETE FROM {source} WHERE subject = 'm0'")


@each
def test_a_foreign_key_waits_for_the_rows_it_forbids(labs):
    """With a registration whose source row is gone it cannot be made: it stays a finding, beside the key."""
    lab_s, _, session = labs
    kind = "CONSTRAINT" if lab_s.server.backend == "postgresql" else "FOREIGN KEY"
    name = lab_s.server.quote(foreign_key_name(lab_s))
    damage(lab_s.server, f"ALTER TABLE {lab_s.outbound('session_outbound')} DROP {kind} {name}")
    for table in ("session__trial", "session"):
        lab_s.server.query(lab_s.owner, f"DELETE FROM {lab_s.table(table)} WHERE subject = 'm0' AND session = 1")
    result = session.repair(prompt=False)
    assert left(result) == {("m0", 1): Trouble.SOURCE_ROW_MISSING}
    assert Trouble.FOREIGN_KEY in {finding.trouble for finding in result.findings}
    delete_locally(session, 1)
    assert session.repair(prompt=False).healthy


@each
def test_outbounds_tables_are_made_again(labs, connect):
    """Whatever of outbound was dropped is made again, and the local rows registered under the guard."""
    lab_s, lab_l, session = labs
    flags = ["session_outbound__deletion_requested", "session_outbound__deletion_approved"]
    everything = [*flags, "~session_outbound_guard", "session_outbound", "~link_outbound", "~link_journal"]
    for gone in (flags[1:], ["session_outbound"], everything):
        for table in gone:
            if lab_s.server.backend == "postgresql":
                lab_s.server.admin_query(f"DROP TABLE IF EXISTS {lab_s.outbound(table)} CASCADE")
            else:
                damage(lab_s.server, f"DROP TABLE IF EXISTS {lab_s.outbound(table)}")
        result = session.doctor()
        assert (list(troubles(result)), result.readable) == ([Trouble.OUTBOUND_MISSING], False)
        assert session.repair(prompt=False).healthy
        local, registered, _ = sides(lab_s, lab_l)
        assert local == registered == M0
        lab_s.befriend()
        with pytest.raises(Exception, match="in use|blocked|Link"):
            try_to_delete(lab_s, connect)
        assert troubles(session.doctor()) == {}


@each
def test_rights_that_are_too_wide_come_with_the_statement_that_takes_them_back(labs):
    """An admin runs what the report prints, and the finding is gone."""
    lab_s, _, session = labs
    if lab_s.server.backend == "postgresql":
        lab_s.server.admin_query(f"GRANT UPDATE ON {lab_s.outbound('session_outbound')} TO {lab_s.member.user}")
        lab_s.server.admin_query(f"GRANT INSERT ON {lab_s.outbound('~link_journal')} TO PUBLIC")
        lab_s.server.admin_query(f"GRANT DELETE ON {lab_s.table('session')} TO {lab_s.link.user}")
    else:
        lab_s.server.admin_query(f"GRANT DELETE ON {lab_s.source_schema}.* TO {lab_s.link.user}")
        lab_s.server.admin_query(f"GRANT UPDATE ON {lab_s.table('session')} TO {lab_s.link.user}")
    (finding,) = [found for found in session.doctor().findings if found.trouble is Trouble.GRANT_TOO_WIDE]
    for statement in finding.detail.splitlines():
        lab_s.server.admin_query(statement.rstrip(";"))
    assert troubles(session.doctor()) == {}


@one
def test_versions_that_differ_are_a_note(labs):
    """Another package's last transfer is told, and the link is healthy."""
    lab_s, _, session = labs
    lab_s.server.admin_query(f"UPDATE {lab_s.outbound('~link_journal')} SET version = '0.9'")
    result = session.doctor()
    assert (result.healthy, "made by 0.9" in str(result)) == (True, True)


@one
def test_another_links_transfers_on_outbound_are_told(labs):
    """Rows registered under somebody else's transfer are a finding of their own."""
    lab_s, _, session = labs
    other = "'00000000-0000-0000-0000-000000000001'" if lab_s.server.backend == "postgresql" else "REPEAT(CHAR(1), 16)"
    lab_s.server.admin_query(f"UPDATE {lab_s.outbound('~link_journal')} SET link = {other}")
    assert troubles(session.doctor()) == {Trouble.OUTBOUND_SHARED: 1}


# ---- the end of a link, and its moving, while others are at work


@each
def test_a_pull_that_comes_between_release_and_the_end_stops_the_drop(labs, link, mocker):
    """Nothing of what came is lost: the drop is refused with the tables in place, and goes when called again."""
    lab_s, lab_l, session = labs
    freed, other = claiming.freed, link(lab_s, lab_l)

    def late(*args):
        assert other.pull({"subject": "m1"}).pulled == 10
        return freed(*args)

    mocker.patch.object(claiming, "freed", late)
    with pytest.raises(errors.Busy):
        session.drop(prompt=False)
    local, registered, source = sides(lab_s, lab_l)
    assert local == registered == {("m1", number) for number in range(10)}
    mocker.stopall()
    session.drop(prompt=False)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 0


@each
def test_who_has_read_before_the_end_registers_nothing_after_it(labs, link):
    """A run that was under way when the link ended is refused at its next transfer, which leaves no trace."""
    lab_s, lab_l, session = labs
    with link(lab_s, lab_l)._operations._ports() as run:
        key = run.ports.source.page(None, None, 1).keys[0]
        session.drop(prompt=False)
        for open_transfer in (
            run.ports.outbound.reinstate,
            run.ports.outbound.mark,
            lambda t, keys: run.ports.outbound.register(t, keys, ()),
        ):
            transfer = Transfer(operation=Operation.PULL, owner=run.ports.owner)
            with pytest.raises(errors.LinkEnded, match="session_outbound"):
                open_transfer(transfer, [key])
        assert list(run.ports.outbound.open_transfers()) == []
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 0


@each
def test_the_end_waits_for_a_registration_under_way(labs, link):
    """A transfer that is being opened ends first; then its rows are seen, and the link does not end."""
    lab_s, lab_l, session = labs
    server = lab_s.server
    (session & "TRUE").delete(prompt=False)
    raw = begin(server, lab_s.link)
    registry, share = lab_s.outbound("~link_outbound"), "FOR SHARE" if server.backend == "postgresql" else "LOCK IN SHARE MODE"
    with raw.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {registry} {share}")
        with ThreadPoolExecutor() as pool:
            dropping = pool.submit(lambda: session.drop(prompt=False))
            time.sleep(0.5)
            assert not dropping.done()
            raw.rollback()
            dropping.result(20)
    raw.close()


@one
def test_who_was_under_way_when_a_clone_took_over_registers_nothing(labs, link):
    """adopt() ends what the original has begun too: its next transfer is refused."""
    lab_s, lab_l, session = labs
    with session._operations._ports() as run:
        name = clone(lab_l.server, lab_l.local_schema, lab_l.user)
        lab_l.local_schema = name
        link(lab_s, lab_l)().adopt()
        with pytest.raises(errors.LinkEnded):
            run.ports.outbound.mark(Transfer(operation=Operation.DELETE, owner=run.ports.owner), [("m0", "1")])
