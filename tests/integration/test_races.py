"""Two sessions at once on real servers: each rule of the protocol that is about races."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import attrs
import datajoint as dj
import pipeline
import psycopg2
import pytest
from labs import begin
from servers import Product

from link.adapters.datajoint import rows
from link.domain.transfers import Operation, Outcome, Transfer

SAME = [(product, product) for product in Product]
same_product = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    return lab_s, lab_l, link(lab_s, lab_l)


@pytest.fixture
def opened(labs):
    """Return a function that opens ports of another run, closed at the end."""
    contexts = []

    def open_ports():
        context = labs[2]._operations._ports()
        run = context.__enter__()
        contexts.append(context)
        return run.ports

    yield open_ports
    for context in contexts:
        context.__exit__(None, None, None)


def run(connection, statement, args=()):
    with connection.cursor() as cursor:
        cursor.execute(statement, args)


def ident(server, value):
    return str(value) if server.backend == "postgresql" else value.bytes


def later(pool, call):
    """Start `call` in another thread and give it time to run into a lock."""
    future = pool.submit(call)
    time.sleep(0.4)
    return future


KEY, OTHER = ("m0", "1"), ("m0", "2")


@same_product
def test_a_row_taken_meanwhile_is_not_stolen(labs, opened):
    """A mark that waits for a row which another transfer takes does not take it afterwards."""
    lab_s, _, session = labs
    session.pull({"subject": "m0"})
    ports, server = opened(), lab_s.server
    theirs = Transfer(operation=Operation.DELETE)
    raw = begin(server, server.admin)
    now = "now()" if server.backend == "postgresql" else "UTC_TIMESTAMP(6)"
    run(
        raw,
        f"INSERT INTO {lab_s.outbound('~link_journal')} (transfer, owner, link, operation, entities, opened, who, version)"
        f" VALUES (%s, %s, %s, 'delete', 1, {now}, 'x', 'x')",
        [ident(server, theirs.id), ident(server, theirs.owner), ident(server, ports.outbound.link)],
    )
    run(
        raw,
        f"UPDATE {lab_s.outbound('session_outbound')} SET link_transfer = %s WHERE subject = 'm0' AND session = 1",
        [ident(server, theirs.id)],
    )
    with ThreadPoolExecutor() as pool:
        waiting = later(pool, lambda: ports.outbound.mark(Transfer(operation=Operation.DELETE, owner=ports.owner), [KEY]))
        assert not waiting.done()
        raw.commit()
        assert waiting.result(20) == 0
    raw.close()


@same_product
def test_a_request_made_while_a_registration_is_given_up_is_seen(labs, opened):
    """Flags are read after the rows are locked: a request that was under way becomes an approval, never lost."""
    lab_s, _, session = labs
    session.pull({"subject": "m0"})
    ports, server = opened(), lab_s.server
    transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
    ports.outbound.mark(transfer, [KEY, OTHER])
    raw = begin(server, server.admin)
    run(raw, f"INSERT INTO {lab_s.outbound('session_outbound__deletion_requested')} (subject, session) VALUES ('m0', 1)")
    with ThreadPoolExecutor() as pool:
        waiting = later(pool, lambda: ports.outbound.give_up(transfer, [KEY, OTHER]))
        assert not waiting.done()
        raw.commit()
        settled = waiting.result(20)
    assert (settled.approved, settled.released) == (1, 1)
    raw.close()


@same_product
def test_two_finishers_finish_once(labs, opened):
    """Owner and recoverer give up the same registrations at once: each registration goes once, the transfer closes once."""
    lab_s, _, session = labs
    session.pull()
    ports, other = opened(), opened()
    keys = [(f"m{n}", str(m)) for n in range(3) for m in range(10)]
    transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
    assert ports.outbound.mark(transfer, keys) == 30
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(p.outbound.give_up, transfer, keys) for p in (ports, other)]
        settled = [future.result(20) for future in both]
        closed = [future.result(20) for future in [pool.submit(p.outbound.close, transfer) for p in (ports, other)]]
    assert sum(part.released for part in settled if part) == 30
    assert sorted(closed) == [False, True]
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 0


@same_product
def test_the_fence_waits_for_an_owner_in_the_middle_of_its_commit(labs, opened):
    """`abandon` waits while the owner's local transaction is open, and then says what was decided."""
    _, lab_l, session = labs
    session.heading  # noqa: B018 - declares the table
    ports, server = opened(), lab_l.server
    now = "now()" if server.backend == "postgresql" else "UTC_TIMESTAMP(6)"
    for end, outcome in (("commit", Outcome.DONE), ("rollback", Outcome.ABANDONED)):
        transfer = Transfer(operation=Operation.PULL)
        raw = begin(server, lab_l.user)
        run(
            raw,
            f"INSERT INTO {lab_l.table('~link_decisions')} (transfer, link, outcome, decided) VALUES (%s, %s, 'done', {now})",
            [ident(server, transfer.id)] * 2,
        )
        with ThreadPoolExecutor() as pool:
            waiting = later(pool, lambda transfer=transfer: ports.local.abandon(transfer))
            assert not waiting.done()
            getattr(raw, end)()
            assert waiting.result(20) is outcome
        raw.close()


def test_two_pullers_at_once_bring_every_row_once(labs, lab_s, lab_l, link):
    """Two pulls of the same table at the same time end with every row once, with its parts, and no error."""
    sessions = [labs[2], link(lab_s, lab_l)]
    for session in sessions:
        session._operations.chunk = 7
    barrier = threading.Barrier(2)

    def pull(session):
        barrier.wait()
        return session.pull()

    with ThreadPoolExecutor() as pool:
        results = [future.result(60) for future in [pool.submit(pull, session) for session in sessions]]
    assert sum(result.pulled for result in results) == 30
    assert all(not result.conflicts and not result.inconsistent for result in results)
    assert (lab_l.count("session"), lab_l.count("session__trial")) == (30, 60)
    assert lab_s.count("session_outbound", lab_s.outbound_schema) == 30


@same_product
def test_masters_and_parts_are_one_snapshot(lab_s, lab_l, connect, link):
    """While lab S changes master and part together, no pulled entity has a master of one version and a part of another."""
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))

    class Item(dj.Manual):
        definition = """
        word : int32
        ---
        number : int32
        """

        class Piece(dj.Part):
            definition = """
            -> master
            ---
            number : int32
            """

    schema(Item, context={})
    Item.insert([{"word": n, "number": 0} for n in range(60)])
    Item.Piece.insert([{"word": n, "number": 0} for n in range(60)])
    linked = link(lab_s, lab_l, type("Item", (), {}))
    linked.heading  # noqa: B018 - declares the table
    linked._operations.chunk = 5
    over = threading.Event()

    def change():
        connection = begin(lab_s.server, lab_s.owner)
        version = 0
        while not over.is_set():
            version += 1
            for word in range(60):
                for table in ("item", "item__piece"):
                    run(connection, f"UPDATE {lab_s.table(table)} SET number = %s WHERE word = %s", (version, word))
                connection.commit()
        connection.close()

    with ThreadPoolExecutor() as pool:
        changing = pool.submit(change)
        time.sleep(0.1)
        try:
            pulled = linked.pull().pulled
        finally:
            over.set()
        changing.result(30)
    assert pulled == 60
    torn = lab_l.server.admin_query(
        f"SELECT count(*) FROM {lab_l.table('item')} m JOIN {lab_l.table('item__piece')} p ON m.word = p.word"
        " WHERE m.number <> p.number"
    )
    assert torn[0][0] == 0


def declared_item(lab_s, connect):
    """Declare a master with two parts, one of the other, at the source."""
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))

    class Item(dj.Manual):
        definition = """
        word : int32
        """

        class Aaa(dj.Part):
            definition = """
            -> master
            """

        class Bbb(dj.Part):
            definition = """
            -> Item.Aaa
            """

    return schema(Item, context={"Item": Item})


def after_reading(monkeypatch, name, call):
    """Let `call` run once, just after the rows of the source table `name` were read."""
    read_table, calls = rows._table, [call]

    def read(tables, table, *rest):
        found = read_table(tables, table, *rest)
        if table.name == name and calls:
            calls.pop()()
        return found

    monkeypatch.setattr(rows, "_table", read)


@same_product
def test_parts_that_come_while_an_entity_is_read(lab_s, lab_l, connect, link, monkeypatch):
    """Part rows that lab S inserts together, between the reading of the one part and the other, come along both or not."""
    declared_item(lab_s, connect).insert1({"word": 1})

    def inserts():
        connection = begin(lab_s.server, lab_s.owner)
        for part in ("item__aaa", "item__bbb"):
            run(connection, f"INSERT INTO {lab_s.table(part)} (word) VALUES (1)")
        connection.commit()
        connection.close()

    after_reading(monkeypatch, "item__aaa", inserts)
    linked = link(lab_s, lab_l, type("Item", (), {}))
    assert linked.pull().pulled == 1
    assert lab_l.count("item__aaa") == lab_l.count("item__bbb") == 0
    assert lab_s.count("item__bbb") == 1
    assert len(linked.Bbb()) == 0


@same_product
def test_a_part_that_is_rewritten_while_an_entity_is_read(lab_s, lab_l, connect, link, monkeypatch):
    """A part table that an ALTER TABLE rewrites after the snapshot was taken is empty in it on PostgreSQL: never so for Link."""
    item, server = declared_item(lab_s, connect), lab_s.server
    item.insert1({"word": 1})
    for part in (item.Aaa, item.Bbb):
        part.insert1({"word": 1})
    linked = link(lab_s, lab_l, type("Item", (), {}))
    is_postgresql, refused = server.backend == "postgresql", []

    def rewrites():
        raw, table = server.raw(server.admin), lab_s.table("item__bbb")
        run(raw, "SET lock_timeout = '500ms'" if is_postgresql else "SET lock_wait_timeout = 1")
        try:
            run(raw, f"ALTER TABLE {table} {'ALTER word TYPE bigint' if is_postgresql else 'FORCE, ALGORITHM=COPY'}")
        except psycopg2.errors.LockNotAvailable as error:
            refused.append(error)
        raw.close()

    after_reading(monkeypatch, "item", rewrites)
    assert linked.pull().pulled == 1
    assert len(refused) == is_postgresql
    assert lab_l.count("item__aaa") == lab_l.count("item__bbb") == 1


@same_product
def test_another_links_transfer_is_never_touched(labs, opened):
    """Recovery leaves the open transfers of other links alone, and their rows are busy."""
    lab_s, _, session = labs
    session.pull({"subject": "m0"})
    ports = opened()
    transfer = Transfer(operation=Operation.PULL)
    ports.outbound.register(transfer, [("m1", "1")], [])
    other = uuid.uuid4()
    journal, ident = lab_s.outbound("~link_journal"), str(other) if lab_s.server.backend == "postgresql" else other.bytes
    lab_s.server.admin_query(f"UPDATE {journal} SET link = %s WHERE closed IS NULL", (ident,))
    stranger = attrs.evolve(ports.outbound, link=other)
    result = session.pull({"subject": "m1"})
    assert (result.recovered, result.busy, result.pulled) == (0, 1, 9)
    assert [found.transfer.id for found in stranger.open_transfers()] == [transfer.id]


@same_product
def test_a_table_that_is_rebuilt_meanwhile_is_neither_missing_nor_changed(labs):
    """Lab S rebuilds the source table over and over, as an ALTER TABLE does: no pull takes it for gone or changed."""
    lab_s, _, session = labs
    server, table = lab_s.server, lab_s.table("session")
    rebuild = f"VACUUM FULL {table}" if server.backend == "postgresql" else f"ALTER TABLE {table} FORCE, ALGORITHM=COPY"
    stop = threading.Event()

    def rebuilds():
        raw = server.raw(server.admin)
        raw.autocommit = True
        raw.cursor().execute("SET lock_timeout = '1s'" if server.backend == "postgresql" else "SET foreign_key_checks = 0")
        done = 0
        while not stop.is_set():
            run(raw, rebuild)
            done += 1
            time.sleep(0.03)
        raw.close()
        return done

    with ThreadPoolExecutor() as pool:
        rebuilding = pool.submit(rebuilds)
        try:
            results = [session.pull({"subject": "m0"}).pulled for _ in range(15)]
        finally:
            stop.set()
        assert rebuilding.result() > 15
    assert sum(results) == results[0] > 0
