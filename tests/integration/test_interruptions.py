"""A connection killed before any statement of an operation: the promise holds, and calling again finishes the work."""

from __future__ import annotations

import time

import pipeline
import pytest
from servers import Product

from link import errors
from link.adapters.datajoint.session import Session

CASES = {
    "pull": (Product.POSTGRESQL, Product.MARIADB),
    "delete": (Product.MARIADB, Product.MYSQL),
    "refresh": (Product.MYSQL, Product.POSTGRESQL),
}
"""One pair for each operation: tests/integration/faults goes through all of them."""


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s, subjects=range(1), sessions=range(4))
    linked = link(lab_s, lab_l)
    linked.pull({"session": 0})
    return lab_s, lab_l, linked


def promise(lab_s, lab_l):
    """Return the keys on each side, having checked that local is a part of outbound, and outbound of source."""
    query = "SELECT subject, session FROM {}"
    local = set(lab_l.server.admin_query(query.format(lab_l.table("session"))))
    outbound = set(lab_s.server.admin_query(query.format(lab_s.outbound("session_outbound"))))
    source = set(lab_s.server.admin_query(query.format(lab_s.table("session"))))
    assert local <= outbound <= source
    parts = lab_l.server.admin_query(
        f"SELECT subject, session, count(*) FROM {lab_l.table('session__trial')} GROUP BY subject, session"
    )
    assert {(row[0], row[1]): row[2] for row in parts} == dict.fromkeys(local, 2)
    return local, outbound


class Killer:
    """Kills the session of a statement on the server, just before the statement is sent."""

    def __init__(self, monkeypatch, servers):
        self.servers, self.count, self.at = servers, 0, None
        original = Session.execute
        killer = self

        def execute(session, statement, args=()):
            killer.count += 1
            if killer.count == killer.at:
                killer.kill(session)
            return original(session, statement, args)

        monkeypatch.setattr(Session, "execute", execute)

    def kill(self, session):
        server = self.servers[int(session.server.rpartition(":")[2])]
        number = session.connection.connection_id
        if server.backend == "postgresql":
            server.admin_query("SELECT pg_terminate_backend(%s, 5000)", (number,))
        else:
            server.admin_query(f"KILL {number}")
            for _ in range(500):
                if not server.admin_query("SELECT 1 FROM information_schema.processlist WHERE id = %s", (number,)):
                    break
                time.sleep(0.01)

    def arm(self, at):
        self.count, self.at = 0, at


@pytest.mark.parametrize(
    ("operation", "pair"),
    CASES.items(),
    ids=[f"{operation}-{theirs.value}-to-{ours.value}" for operation, (theirs, ours) in CASES.items()],
    indirect=["pair"],
)
def test_every_statement_may_be_the_last(labs, operation, monkeypatch):
    """Killed before its n-th statement, for every n: local ⊆ outbound ⊆ source, and the next call completes the work."""
    lab_s, lab_l, session = labs
    killer = Killer(monkeypatch, {lab.server.port: lab.server for lab in (lab_s, lab_l)})
    flags = lab_s.outbound("session_outbound__deletion_requested")
    call = {
        "pull": lambda: session.pull(),
        "delete": lambda: (session & "session > 0").delete(),
        "refresh": lambda: session.refresh(),
    }[operation]
    points = 0
    for at in range(1, 1_000):
        killer.arm(None)
        if operation == "pull":
            (session & "session > 0").delete()
        else:
            session.pull()
            lab_s.server.admin_query(f"DELETE FROM {flags}")
            lab_s.server.admin_query(f"INSERT INTO {flags} (subject, session) VALUES ('m0', {at % 4})")
        killer.arm(at)
        try:
            call()
        except (errors.ConnectionLost, errors.OutcomeUnknown):
            points += 1
        if killer.count < at:
            break
        killer.arm(None)
        promise(lab_s, lab_l)
        call()
        local, outbound = promise(lab_s, lab_l)
        _completed(operation, lab_s, local, outbound)
        if operation == "delete":
            _give_back(lab_s)
    assert points > 15


def _completed(operation, lab_s, local, outbound):
    assert not lab_s.server.admin_query(f"SELECT 1 FROM {lab_s.outbound('~link_journal')} WHERE closed IS NULL")
    if operation == "delete":
        assert len(local) == 1
        approved = lab_s.count("session_outbound__deletion_approved", lab_s.outbound_schema)
        assert len(outbound) == 1 + approved
    else:
        assert len(local) == 4


def _give_back(lab_s):
    """Lab S withdraws what was approved, so that the next round starts anew."""
    lab_s.server.admin_query(f"DELETE FROM {lab_s.outbound('session_outbound__deletion_requested')}")
