"""What a DataJoint user expects of a linked table beside pulling and deleting."""

from __future__ import annotations

import os
import subprocess
import sys

import datajoint as dj
import pipeline
import pytest
from labs import make_lab_s
from servers import Product

from link import errors

SAME = [(product, product) for product in Product]
same_product = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)
one_pair = pytest.mark.parametrize("pair", [(Product.POSTGRESQL, Product.POSTGRESQL)], ids=["postgresql"], indirect=True)


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    subject, source = pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    return lab_s, lab_l, source, link(lab_s, lab_l)


@same_product
def test_every_tier_can_be_linked_and_none_populated(lab_s, lab_l, connect, link):
    """Lookup, Imported and Computed tables keep their tier, and the copy is not one the user can populate."""
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))

    class Task(dj.Lookup):
        definition = """
        task : varchar(10)
        """
        contents = (("go",), ("stop",))

    class Recording(dj.Imported):
        definition = """
        -> Task
        ---
        length : float64
        """

        def make(self, key):
            self.insert1({**key, "length": 1.5})

    class Summary(dj.Computed):
        definition = """
        -> Recording
        ---
        mean : float64
        """

        def make(self, key):
            self.insert1({**key, "mean": 2.5})

    with pytest.warns(DeprecationWarning, match="Positional"):
        schema(Task, context={})
    schema(Recording, context={"Task": Task})
    schema(Summary, context={"Recording": Recording})
    Recording.populate()
    Summary.populate()
    mine, copies = connect(lab_l, lab_l.user), {}
    for name, table in (("Task", "#task"), ("Recording", "_recording"), ("Summary", "__summary")):
        linked = copies[name] = link(lab_s, lab_l, type(name, (), {}), connection=mine)
        assert (linked.pull().pulled, linked.table_name) == (2, table)
        with pytest.raises(errors.WriteRefused):
            linked.populate()
        assert (linked & "task = 'go'").delete() == 1
        assert linked.pull().pulled == 1
    assert len(copies["Recording"] * copies["Task"]) == len(copies["Summary"] * copies["Recording"]) == 2


@same_product
def test_a_query_of_the_source_restricts_a_pull(labs):
    """Another table of the source, and a join of source tables, select what is pulled."""
    lab_s, _, _, session = labs
    source = session.source
    adapter = source.connection.adapter
    subject = dj.FreeTable(source.connection, adapter.make_full_table_name(lab_s.source_schema, "subject"))
    trial = dj.FreeTable(source.connection, adapter.make_full_table_name(lab_s.source_schema, "session__trial"))
    assert session.pull(subject & {"subject": "m1"}, "session < 2").pulled == 2
    assert session.pull(trial & "trial = 1" & {"session": 7}).pulled == 3
    assert (source - trial).pull().pulled == 0
    assert len(source & {"subject": "m0"}) == 10


@same_product
def test_the_source_line_may_time_out_while_a_person_thinks(labs, mocker):
    """Sessions that the servers end during the prompt do not hurt the delete that follows."""
    lab_s, lab_l, _, session = labs
    session.pull({"subject": "m0"})

    def slow_answer(*_, **__):
        for lab, account in ((lab_s, lab_s.link), (lab_l, lab_l.user)):
            _end_idle_sessions(lab.server, account, keep=session.connection.connection_id if lab is lab_l else None)
        return "yes"

    mocker.patch("link.infrastructure.composition.user_choice", side_effect=slow_answer)
    assert int((session & "session < 3").delete(prompt=True)) == 3


def _end_idle_sessions(server, account, keep):
    if server.backend == "postgresql":
        server.admin_query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND pid IS DISTINCT FROM %s",
            (account.user, keep),
        )
        return
    for number, user in server.admin_query("SELECT id, user FROM information_schema.processlist"):
        if user == account.user and number != keep:
            server.admin_query(f"KILL {number}")


@one_pair
def test_nobody_to_answer_means_nothing_happens(labs, mocker):
    """Without a terminal the prompt is an error that says what to pass, and nothing was written."""
    lab_s, _, _, session = labs
    session.pull({"subject": "m0"})
    mocker.patch("link.infrastructure.composition.user_choice", side_effect=EOFError)
    with pytest.raises(errors.NoTerminal, match="prompt=False"):
        session.delete(prompt=True)
    mocker.patch("link.infrastructure.composition.user_choice", side_effect=KeyboardInterrupt)
    assert int(session.delete(prompt=True)) == 0
    assert len(session()) == 10
    assert not lab_s.server.admin_query(f"SELECT 1 FROM {lab_s.outbound('~link_journal')} WHERE closed IS NULL")


@one_pair
def test_diagrams_and_listings_show_the_local_tables(labs):
    """Diagrams, the schema's listing and `describe` know the linked table and its parts, not Link's own tables."""
    _, lab_l, _, session = labs
    session.pull({"subject": "m0"})
    local = session._operations.config.local
    assert set(local.list_tables()) == {"session", "session__trial", "session__deletion_requested"}
    assert f'"{lab_l.local_schema}"."session"' in dj.Diagram(session).nodes_to_show
    assert "session : int32" in " ".join(session().describe().split())


@one_pair
def test_two_links_to_two_sources_with_different_credentials(labs, connect, link, pair):
    """Nothing is shared between links but what the user shares."""
    lab_s, lab_l, _, session = labs
    other = make_lab_s(lab_s.server)
    schema = dj.Schema(other.source_schema, connection=connect(other, other.owner))

    class Animal(dj.Manual):
        definition = """
        animal : int32
        """

    schema(Animal, context={})
    Animal.insert([{"animal": n} for n in range(3)])
    animal = link(other, lab_l, type("Animal", (), {}))
    assert (session.pull({"subject": "m0"}).pulled, animal.pull().pulled) == (10, 3)


@one_pair
def test_direct_inserts_where_they_are_allowed(lab_s, lab_l, connect, link):
    """`allow_direct_insert=True` lets a user insert rows; pull reports them, and never with `replace`."""
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema, "-> Subject\nsession : int32\n---\nnote : varchar(9)")
    lab_s.server.query(lab_s.owner, f"INSERT INTO {lab_s.table('subject')} VALUES ('m0')")
    lab_s.server.query(lab_s.owner, f"INSERT INTO {lab_s.table('session')} VALUES ('m0', 1, 'theirs')")
    session = link(lab_s, lab_l, allow_direct_insert=True)
    row = {"subject": "m0", "session": 1, "note": "mine"}
    session.insert1(row)
    with pytest.raises(errors.WriteRefused):
        session.insert([row], replace=True)
    assert session.pull().conflicts[0].columns == ["note"]


@one_pair
def test_a_local_side_trigger_that_eats_rows_is_noticed(labs):
    """What is there is counted before the commit: rows that did not arrive undo the chunk."""
    lab_s, lab_l, _, session = labs
    session.heading  # noqa: B018 - declares the local table
    lab_l.server.query(
        lab_l.user,
        f"CREATE FUNCTION {lab_l.local_schema}.eat() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.trial = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$",
    )
    lab_l.server.query(
        lab_l.user,
        f"CREATE TRIGGER eat BEFORE INSERT ON {lab_l.table('session__trial')} FOR EACH ROW"
        f" EXECUTE FUNCTION {lab_l.local_schema}.eat()",
    )
    with pytest.raises(errors.IncompleteCopy, match="session__trial"):
        session.pull()
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 0


@one_pair
def test_thread_safe_mode_and_the_environment(labs):
    """In DataJoint's thread-safe mode, with the source's account in the environment, a script links and pulls."""
    lab_s, lab_l, _, _ = labs
    s, local = lab_s.server, lab_l.server
    script = f"""
import datajoint as dj
from dj_link import LazySchema, Link
mine = dj.Instance("{local.host}", "{lab_l.user.user}", "{lab_l.user.password}", {local.port}, backend="postgresql",
                   database__name="postgres").connection
source = LazySchema("{lab_s.source_schema}", host="{s.host}", port={s.port}, backend="postgresql", database_name="postgres")
@Link(LazySchema("{lab_l.local_schema}", connection=mine), source)
class Session:
    '''The local table.'''
print(Session().pull("session < 2"))
print(len(Session()))
"""
    environment = {
        **os.environ,
        "DJ_THREAD_SAFE": "1",
        "DJ_PORT": "1",
        "DJ_BACKEND": "mysql",
        "LINK_USER": lab_s.link.user,
        "LINK_PASS": lab_s.link.password,
        "LINK_OUTBOUND": lab_s.outbound_schema,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("[") and "Falling" not in line]
    assert lines[0].startswith("pulled 6"), done.stdout
    assert lines[1] == "6"


@one_pair
def test_the_users_own_server_from_datajoints_configuration(labs):
    """A LazySchema without host or connection lives on the server of DataJoint's own configuration."""
    lab_s, lab_l, _, _ = labs
    s, local = lab_s.server, lab_l.server
    script = f"""
from link import LazySchema, Link
source = LazySchema("{lab_s.source_schema}", host="{s.host}:{s.port}", backend="postgresql", database_name="postgres")
session = Link(LazySchema("{lab_l.local_schema}"), source)(type("Session", (), {{}}))
print(session().pull("session < 2").pulled)
"""
    environment = {
        **os.environ,
        "DJ_HOST": local.host,
        "DJ_PORT": str(local.port),
        "DJ_BACKEND": "postgresql",
        "DJ_DATABASE_NAME": "postgres",
        "DJ_USER": lab_l.user.user,
        "DJ_PASS": lab_l.user.password,
        "LINK_USER": lab_s.link.user,
        "LINK_PASS": lab_s.link.password,
        "LINK_OUTBOUND": lab_s.outbound_schema,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "6"


@pytest.mark.parametrize(
    "pair",
    [(Product.POSTGRESQL, Product.MARIADB), (Product.MYSQL, Product.MARIADB)],
    ids=lambda pair: pair[0].value,
    indirect=True,
)
def test_a_row_too_large_for_a_statement_names_the_setting(labs):
    """A value larger than the local server's packet is refused by the setting's name, and its chunk is undone."""
    lab_s, _, _, session = labs
    lab_s.server.query(
        lab_s.owner,
        f"UPDATE {lab_s.table('session')} SET raw = %s WHERE subject = 'm1' AND session = 1",
        (bytes(20 * 2**20),),
    )
    assert session.pull({"subject": "m0"}).pulled == 10
    with pytest.raises(errors.PacketTooLarge, match="max_allowed_packet"):
        session.pull()
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 10
    assert session.pull(dj.Not("subject = 'm1' and session = 1")).pulled == 19
