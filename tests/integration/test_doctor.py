"""Doctor on real servers: what is found of tables, guard and rights, and that repair makes it as it was."""

from __future__ import annotations

import getpass
import subprocess
import sys

import pipeline
import pytest
from damaged import EACH, M0, delete_locally, each, left, one, request, sides, ten_pulled, troubles, try_to_delete
from labs import damage
from servers import Product

from link import errors
from link.adapters.datajoint.line import SETTINGS
from link.adapters.datajoint.session import Session
from link.domain.findings import Trouble
from link.domain.transfers import Operation, Transfer


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    return ten_pulled(lab_s, lab_l, connect, link)


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
def test_the_command_line_says_it_with_an_exit_code(labs, tmp_path, connect, monkeypatch):
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

    def run(name, command="doctor"):
        command = [sys.executable, "-m", "link", command, name]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    healthy = run("my_links:Session")
    assert (healthy.returncode, "healthy, 10 pulled" in healthy.stdout) == (0, True), healthy.stderr
    lab_l.server.query(lab_l.user, f"DELETE FROM {lab_l.table('session__trial')} WHERE session = 1")
    broken = run("my_links:Session")
    assert (broken.returncode, "(subject='m0', session='1')" in broken.stdout) == (1, True)
    without = run("my_links:Session", "verify")
    assert (without.returncode, "verified 0 objects" in without.stdout) == (0, True), without.stderr
    monkeypatch.setenv("LINK_TIMEOUT", "soon")
    told = run("my_links:Session")
    assert (told.returncode, told.stderr.splitlines()[-1][:23], "Traceback" in told.stderr) == (
        1,
        "The doctor cannot run: ",
        False,
    )
    monkeypatch.delenv("LINK_TIMEOUT")
    missing = run("my_links:nothing")
    assert (missing.returncode, "names no linked class" in missing.stderr) == (1, True)


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


@one
def test_repair_shows_what_is_wrong_and_asks(labs, mocker):
    """As delete does: shown and asked once unless safemode is off or prompt=False; a "no" or nobody there changes nothing."""
    lab_s, _, session = labs
    damage(lab_s.server, f"DELETE FROM {lab_s.outbound('session_outbound')} WHERE session = 1")
    asked = mocker.patch("link.infrastructure.composition.user_choice", return_value="no")
    assert not session.repair(prompt=True).confirmed
    (question,) = asked.call_args.args
    assert "(subject='m0', session='1')" in question and question.endswith("Repair?")
    asked.side_effect = EOFError
    with pytest.raises(errors.NoTerminal, match="prompt=False"):
        session.repair(prompt=True)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 9
    asked.side_effect, asked.return_value = None, "yes"
    assert session.repair(prompt=True).done == {"registered again": 1}
    assert not session.repair(prompt=True).confirmed
    assert asked.call_count == 3


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


@pytest.mark.parametrize("pair", EACH[1:2], ids=["mysql-to-mariadb"], indirect=True)
def test_an_admin_makes_the_refusal_of_stock_mysql_readable(labs, connect):
    """The statements that the report prints, run once by an admin, say who uses the row; Link's own way goes on as before."""
    lab_s, _, session = labs
    (note,) = [found for found in session.doctor().findings if found.trouble is Trouble.READABLE_REFUSAL]
    first, *statements, last = note.detail.splitlines()
    assert (first, last, len(statements)) == ("DELIMITER //", "DELIMITER ;", 3)
    for statement in statements:
        lab_s.server.admin_query(statement.removesuffix(" //"))
    with pytest.raises(Exception, match=r"in use by local_\w+.session .*DeletionRequested"):
        try_to_delete(lab_s, connect)
    request(lab_s, 1)
    assert delete_locally(session, 1, 2).approved == 1
    assert try_to_delete(lab_s, connect) == 1
    assert session.pull().pulled == 21
    result = session.doctor()
    assert (result.healthy, Trouble.READABLE_REFUSAL in {found.trouble for found in result.findings}) == (True, False)


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
        damage(lab_s.server, f"UPDATE {lab_s.outbound('~session_outbound_guard')} SET link_self_0 = NULL")
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


def mended(lab_s, session):
    """Have repair make the foreign key; on MySQL and MariaDB without the right, so that an admin runs what the report prints."""
    result = session.repair(prompt=False)
    if lab_s.server.backend == "postgresql":
        return result.healthy
    (finding,) = [found for found in result.findings if found.trouble is Trouble.FOREIGN_KEY]
    raw = lab_s.server.raw(lab_s.server.admin)
    with raw.cursor() as cursor:
        for statement in finding.detail.splitlines()[1:]:
            cursor.execute(statement.rstrip(";"))
    raw.close()
    return session.repair(prompt=False).healthy


@each
def test_a_foreign_key_that_is_gone_or_cascades_is_made_again(labs):
    """The one that is found is replaced by one that lets nothing cascade; SQL's own delete is refused again."""
    lab_s, _, session = labs
    kind = "CONSTRAINT" if lab_s.server.backend == "postgresql" else "FOREIGN KEY"
    if kind == "FOREIGN KEY":
        lab_s.server.admin_query(f"REVOKE ALTER ON {lab_s.outbound_schema}.* FROM {lab_s.link.user}")
    outbound, source = lab_s.outbound("session_outbound"), lab_s.table("session")
    for instead in ("", "ON DELETE CASCADE", "ON UPDATE CASCADE"):
        damage(lab_s.server, f"ALTER TABLE {outbound} DROP {kind} {lab_s.server.quote(foreign_key_name(lab_s))}")
        if instead:
            reference = f"FOREIGN KEY (subject, session) REFERENCES {source} (subject, session) {instead}"
            damage(lab_s.server, f"ALTER TABLE {outbound} ADD {reference}")
        found = session.doctor()
        assert (troubles(found), (instead or "has none to") in str(found)) == ({Trouble.FOREIGN_KEY: 1}, True)
        assert mended(lab_s, session)
    with pytest.raises(Exception, match="foreign key"):
        lab_s.server.query(lab_s.owner, f"DELETE FROM {source} WHERE subject = 'm0'")


@each
def test_a_foreign_key_waits_for_the_rows_it_forbids(labs):
    """With a registration whose source row is gone it cannot be made: it stays a finding, beside the key."""
    lab_s, _, session = labs
    kind = "CONSTRAINT" if lab_s.server.backend == "postgresql" else "FOREIGN KEY"
    if kind == "FOREIGN KEY":
        lab_s.server.admin_query(f"REVOKE ALTER ON {lab_s.outbound_schema}.* FROM {lab_s.link.user}")
    name = lab_s.server.quote(foreign_key_name(lab_s))
    damage(lab_s.server, f"ALTER TABLE {lab_s.outbound('session_outbound')} DROP {kind} {name}")
    for table in ("session__trial", "session"):
        lab_s.server.query(lab_s.owner, f"DELETE FROM {lab_s.table(table)} WHERE subject = 'm0' AND session = 1")
    result = session.repair(prompt=False)
    assert left(result) == {("m0", 1): Trouble.SOURCE_ROW_MISSING}
    assert Trouble.FOREIGN_KEY in {finding.trouble for finding in result.findings}
    delete_locally(session, 1)
    assert mended(lab_s, session)


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
def test_a_journal_that_lost_its_rows_is_filled_again(labs):
    """Rows whose transfers nobody knows are busy; they are found, and repair lets them be deleted and released again."""
    lab_s, lab_l, session = labs
    request(lab_s, 1)
    lab_l.server.admin_query(f"DELETE FROM {lab_l.table('session__trial')} WHERE session = 2")
    lab_l.server.admin_query(f"DELETE FROM {lab_l.table('session')} WHERE session = 2")
    lab_s.server.admin_query(f"DELETE FROM {lab_s.outbound('~link_journal')}")
    with pytest.raises(errors.Busy):
        delete_locally(session, 1)
    assert troubles(session.doctor())[Trouble.JOURNAL] == 1
    assert "10 rows under 1 transfers" in str(session.doctor())
    result = session.repair(prompt=False)
    assert left(result) == {("m0", 2): Trouble.LOST_LOCALLY}
    local, registered, _ = sides(lab_s, lab_l)
    assert (registered, registered - local) == (M0, {("m0", 2)})
    assert session.pull({"subject": "m0"}).pulled == 1
    assert delete_locally(session, 1, 3).approved == 1
    assert troubles(session.doctor()) == {}


@each
def test_a_missing_outbound_schema_is_named(labs):
    """Who drops it drops outbound's protection; the errors say so, and repair works once an admin has made it again."""
    lab_s, lab_l, session = labs
    schema, is_postgresql = lab_s.outbound_schema, lab_s.server.backend == "postgresql"
    if is_postgresql:
        lab_s.server.admin_query(f"DROP SCHEMA {schema} CASCADE")
        assert troubles(session.doctor()) == {Trouble.OUTBOUND_MISSING: 1}
    else:
        damage(lab_s.server, f"DROP DATABASE {schema}")
        with pytest.raises(errors.SchemaMissing, match=f"{schema}.*link grants"):
            session.doctor()
    for act in (session.pull, lambda: session.repair(prompt=False)):
        with pytest.raises(errors.SchemaMissing, match=f"{schema}.*link grants"):
            act()
    lab_s.server.admin_query(f"CREATE SCHEMA {schema}" + (f" AUTHORIZATION {lab_s.link.user}" if is_postgresql else ""))
    assert session.repair(prompt=False).healthy
    local, registered, _ = sides(lab_s, lab_l)
    assert local == registered == M0


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


@each
def test_a_transfer_that_is_under_way_for_long_is_a_note(labs):
    """While its run lives nobody finishes it, and after ten minutes the report says whose it is; then it is interrupted."""
    lab_s, _, session = labs
    hour = "INTERVAL '1 hour'" if lab_s.server.backend == "postgresql" else "INTERVAL 1 HOUR"
    with session._operations._ports() as run:
        run.ports.outbound.register(Transfer(operation=Operation.PULL, owner=run.owner), [("m1", "1")], [])
        assert "under way" not in str(session.doctor())
        lab_s.server.admin_query(f"UPDATE {lab_s.outbound('~link_journal')} SET opened = opened - {hour} WHERE closed IS NULL")
        result = session.doctor()
        assert result.healthy and Trouble.TRANSFER_LONG in {finding.trouble for finding in result.findings}
        assert f"pull of {getpass.getuser()}@" in str(result)
        assert session.repair(prompt=False).done == {}
    assert troubles(session.doctor()) == {Trouble.TRANSFER_INTERRUPTED: 1}
    assert session.repair(prompt=False).done == {"interrupted transfers finished": 1}


@one
def test_a_clock_that_is_wrong_is_a_note(labs, monkeypatch):
    """The local server is an hour ahead: told with both times, and nothing else is different."""
    _, _, session = labs
    monkeypatch.setitem(SETTINGS, "mysql", (*SETTINGS["mysql"], "SET SESSION timestamp = UNIX_TIMESTAMP() + 3600"))
    result = session.doctor()
    (finding,) = result.findings
    assert (result.healthy, finding.trouble) == (True, Trouble.CLOCK)
    assert "source 20" in finding.detail and "local 20" in finding.detail
    assert session.pull().pulled == 20


@each
def test_local_tables_of_links_own_are_made_again(labs):
    """Without the table of requests it goes on as before; without the decisions the server passes for a backup until adopted."""
    lab_s, lab_l, session = labs
    request(lab_s, 1)
    session.refresh()
    lab_l.server.query(lab_l.user, f"DROP TABLE {lab_l.table('session__deletion_requested')}")
    assert troubles(session.doctor()) == {Trouble.LOCAL_BOOKS_MISSING: 1}
    assert session.repair(prompt=False).healthy
    assert lab_l.count("session__deletion_requested") == 1
    lab_l.server.query(lab_l.user, f"DROP TABLE {lab_l.table('~link_decisions')}")
    assert next(finding.trouble for finding in session.repair(prompt=False).findings) is Trouble.LOCAL_SIDE_BEHIND
    session.adopt()
    assert session.repair(prompt=False).healthy
    assert session.pull().pulled == 20


@one
def test_a_copy_that_somebody_has_changed_is_told_apart_from_a_changed_source(labs):
    """It is lab L's own to put right."""
    _, lab_l, session = labs
    lab_l.server.query(lab_l.user, f"DROP TABLE {lab_l.table('session__trial')}")
    assert troubles(session.doctor()) == {Trouble.COPY_CHANGED: 1}
