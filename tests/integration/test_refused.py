"""What a server refuses in the middle of an operation: no room, no patience, a row too large, a trigger of somebody's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import datajoint as dj
import pytest
from servers import Product

from link import errors
from link.adapters.datajoint import outbound
from link.infrastructure import composition

sys.path.insert(0, str(Path(__file__).parent / "faults"))
from stage import Stage
from states import OPERATIONS

MEGABYTE = 2**20
LIMIT = 20 * MEGABYTE
"""How large a file of the server may become; larger than a segment of PostgreSQL's log, smaller than the table wants to be."""


def one_pair(*pair):
    return pytest.mark.parametrize("pair", [pair], ids=["-to-".join(product.value for product in pair)], indirect=True)


@pytest.fixture
def stage(pair):
    stage = Stage(pair)
    yield stage
    stage.close()


@pytest.fixture
def recordings(lab_s, lab_l, connect, link):
    """Return the labs and a link to a table of eight rows of four megabytes that nothing compresses."""
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))

    class Recording(dj.Manual):
        definition = """
        recording : int32
        ---
        samples : bytes
        """

    schema(Recording, context={})
    block = Path("/dev/urandom").open("rb").read(4 * MEGABYTE)  # noqa: SIM115 - a device
    for number in range(8):
        place = "decode(%s, 'hex')" if lab_s.server.backend == "postgresql" else "UNHEX(%s)"
        lab_s.server.admin_query(f"INSERT INTO {lab_s.table('recording')} VALUES (%s, {place})", (number, block.hex()))
    linked = link(lab_s, lab_l, type("Recording", (), {}))
    linked.pull("recording < 0")  # makes all tables
    linked._operations.chunk = 1
    return lab_s, lab_l, linked


def keys(lab_s, lab_l, *, exactly=True):
    """Return what is local, having checked that the promise holds."""
    local = {row[0] for row in lab_l.server.admin_query(f"SELECT recording FROM {lab_l.table('recording')}")}
    outbound = {row[0] for row in lab_s.server.admin_query(f"SELECT recording FROM {lab_s.outbound('recording_outbound')}")}
    assert local == outbound if exactly else local <= outbound
    return local


def limit_files(server, most):
    """Limit the files of a server, as its own user, since root in a container may not limit those of others.

    PostgreSQL's sessions have the limit if they begin after it.
    """
    daemon = server._process
    pid = (daemon._process if server.backend == "postgresql" else daemon.process).pid
    place = Path(f"/proc/{pid}")
    other = {"user": place.owner(), "group": place.group()} if os.geteuid() == 0 else {}
    subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={most}:"], check=True, **other)


def make_room(server):
    """Lift the limit of a MySQL or MariaDB server, or start it again where it has ended itself."""
    process = server._process.process
    with suppress(subprocess.TimeoutExpired):
        process.wait(3)
        server.start()
        return
    limit_files(server, "unlimited")


@one_pair(Product.MARIADB, Product.POSTGRESQL)
def test_a_full_disk_stops_a_pull_and_the_next_one_goes_on(recordings):
    """The local server cannot make a file larger: the chunk is undone on both servers, those before it stay."""
    lab_s, lab_l, linked = recordings
    limit_files(lab_l.server, LIMIT)
    try:
        with pytest.raises(errors.ServerRefused, match="(?i)too large|no space|extend"):
            linked.pull()
        assert 0 < len(keys(lab_s, lab_l)) < 8
    finally:
        limit_files(lab_l.server, "unlimited")
    linked.pull()
    assert keys(lab_s, lab_l) == set(range(8))


@pytest.mark.parametrize(
    "pair",
    [(Product.POSTGRESQL, Product.MYSQL), (Product.POSTGRESQL, Product.MARIADB)],
    ids=["postgresql-to-mysql", "postgresql-to-mariadb"],
    indirect=True,
)
def test_a_full_disk_that_may_end_the_server_costs_no_row(recordings):
    """MariaDB ends itself where a file may not grow, MySQL refuses the row or does: with room again the rest comes."""
    lab_s, lab_l, linked = recordings
    server = lab_l.server
    if server.product is Product.MARIADB:
        server.admin_query(f"SET GLOBAL innodb_log_file_size = {16 * MEGABYTE}")  # its file has its size from the start
    limit_files(server, LIMIT)
    try:
        with pytest.raises((errors.ServerRefused, errors.ConnectionLost, errors.OutcomeUnknown)):
            linked.pull()
    finally:
        make_room(server)
    assert len(keys(lab_s, lab_l, exactly=False)) < 8
    linked.pull()
    assert keys(lab_s, lab_l) == set(range(8))


@one_pair(Product.POSTGRESQL, Product.MARIADB)
def test_a_row_larger_than_a_packet_stops_a_pull_and_the_next_one_goes_on(recordings):
    """A local server that takes no statement of that size: a named error, nothing left behind; with room all rows come."""
    lab_s, lab_l, linked = recordings
    (before,) = lab_l.server.admin_query("SELECT @@global.max_allowed_packet")[0]
    try:
        lab_l.server.admin_query(f"SET GLOBAL max_allowed_packet = {2 * MEGABYTE}")
        with pytest.raises(errors.PacketTooLarge):
            linked.pull()
        assert keys(lab_s, lab_l) == set()
    finally:
        lab_l.server.admin_query(f"SET GLOBAL max_allowed_packet = {before}")
    linked.pull()
    assert keys(lab_s, lab_l) == set(range(8))


@one_pair(Product.MARIADB, Product.MYSQL)
def test_a_person_may_think_for_longer_than_the_servers_wait(stage, monkeypatch):
    """Both servers end idle sessions while somebody looks at the question; the delete goes on all the same."""
    stage.restore("delete")
    asked = []

    def think(question):
        asked.append(question)
        time.sleep(2.5)
        return True

    monkeypatch.setattr(composition, "_answer", think)
    for watch in (stage.watch_s, stage.watch_l):
        watch.query("SET GLOBAL wait_timeout = 1")
    try:
        assert int((stage.item & "item < 3").delete(prompt=True)) == 3
    finally:
        for watch in (stage.watch_s, stage.watch_l):
            watch.query("SET GLOBAL wait_timeout = 28800")
    assert len(asked) == 1
    assert stage.look() == stage.expected["delete"]


@one_pair(Product.MARIADB, Product.POSTGRESQL)
def test_rows_that_a_trigger_swallows_are_missed(stage):
    """A trigger of lab L's that drops a row of a chunk undoes the chunk; without it the next pull brings everything."""
    stage.restore("pull")
    name = stage.local("item__piece")
    stage.watch_l.query(
        f"CREATE FUNCTION {stage.local('swallow')}() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.item = 1 THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    stage.watch_l.query(
        f"CREATE TRIGGER swallow BEFORE INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION {stage.local('swallow')}()"
    )
    with pytest.raises(errors.IncompleteCopy):
        stage.item.pull()
    assert 1 not in stage.look().outbound
    stage.watch_l.query(f"DROP TRIGGER swallow ON {name}")
    stage.complete("pull")


@one_pair(Product.POSTGRESQL, Product.MARIADB)
def test_the_prepared_states_have_work_for_every_operation(stage):
    """Each operation changes what it starts from; a fault table of operations that do nothing would say nothing."""
    for operation in OPERATIONS:
        stage.restore(operation)
        assert stage.look() != stage.expected[operation]


@one_pair(Product.POSTGRESQL, Product.MARIADB)
@pytest.mark.parametrize(("times", "ends"), [(2, True), (1_000, False)])
def test_a_transaction_that_the_server_calls_off_is_tried_again(stage, monkeypatch, times, ends):
    """40001 while rows are registered: a few are nobody's business, without end they are a named error and nothing stays."""
    monkeypatch.setattr(outbound, "TRIES", 4)
    stage.restore("pull")
    sequence, function = stage.outbound("refusals"), stage.outbound("refuse")
    stage.watch_s.query(f"CREATE SEQUENCE {sequence}")
    stage.watch_s.query(
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        f" IF nextval('{sequence}') <= {times} THEN RAISE EXCEPTION 'called off' USING ERRCODE = '40001'; END IF;"
        " RETURN NEW; END $$"
    )
    stage.watch_s.query(
        f"CREATE TRIGGER refuse BEFORE INSERT ON {stage.outbound()} FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    with nullcontext() if ends else pytest.raises(errors.LinkError, match="called off"):
        stage.item.pull()
    stage.look()
    called_off = stage.watch_s.query(f"SELECT last_value FROM {sequence}")[0][0]
    stage.watch_s.query(f"DROP TRIGGER refuse ON {stage.outbound()}")
    assert (stage.look() == stage.expected["pull"]) is ends
    assert called_off > 2
    stage.complete("pull")
