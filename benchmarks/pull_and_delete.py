"""Pull and delete of N small rows against plain DataJoint, side by side in one run, on every product.

usage: uv run python benchmarks/pull_and_delete.py [N]      (LINK_MYSQL_DIR for MySQL)
Link moves the rows through its protocol; plain DataJoint is `local.insert(source.to_dicts())` and `local.delete()`, without
registration or protection. Durable default settings, loopback.
"""

import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
import logging

import datajoint as dj
import labs
import servers

from link import LazySchema, Link
from link.adapters.datajoint.session import Session


class Sent:
    """Counts the statements of the protocol's sessions."""

    count = 0


def counted(session, statement, args=(), execute=Session.execute):
    Sent.count += 1
    return execute(session, statement, args)


Session.execute = counted
N = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
dj.logger.addFilter(lambda record: record.levelno >= logging.ERROR)
DEFINITION = """
id : int32
---
name : varchar(32)
value : float64
raw : bytes
"""


def connection(lab, account):
    s = lab.server
    return dj.Instance(
        s.host,
        account.user,
        account.password,
        s.port,
        use_tls=False,
        backend=s.backend,
        database__name=s.database_name,
        safemode=False,
    ).connection


def timed(what):
    start = time.perf_counter()
    result = what()
    return time.perf_counter() - start, result


def rows():
    return ({"id": n, "name": f"row number {n}", "value": n / 7, "raw": n.to_bytes(16, "big")} for n in range(N))


def measure(product):
    lab_s, lab_l = labs.make_lab_s(servers.get(product, "source")), labs.make_lab_l(servers.get(product, "local"))
    source = dj.Schema(lab_s.source_schema, connection=connection(lab_s, lab_s.owner))
    local = connection(lab_l, lab_l.user)
    item = source(type("Item", (dj.Manual,), {"definition": DEFINITION}), context={})
    for start in range(0, N, 10_000):
        item.insert([row for row in rows() if start <= row["id"] < start + 10_000] if N <= 10_000 else chunk(start))
    plain = dj.Schema(lab_l.local_schema, connection=local)(
        type("Plain", (dj.Manual,), {"definition": DEFINITION}), context={}
    )
    plain_pull, _ = timed(lambda: plain.insert(item.to_dicts()))
    plain_delete, _ = timed(lambda: plain.delete(prompt=False))
    s = lab_s.server
    linked = Link(
        LazySchema(lab_l.local_schema, connection=local),
        LazySchema(
            lab_s.source_schema,
            host=s.host,
            port=s.port,
            user=lab_s.link.user,
            password=lab_s.link.password,
            backend=s.backend,
            database_name=s.database_name,
            use_tls=False,
        ),
        outbound=lab_s.outbound_schema,
    )(type("Item", (), {}))
    linked.heading
    before = Sent.count
    first, result = timed(linked.pull)
    statements = Sent.count - before
    assert result.pulled == N, result
    empty, _ = timed(linked.pull)
    before = Sent.count
    linked.pull(dj.Top(1))
    idle = Sent.count - before
    gone, deleted = timed(lambda: linked.delete(prompt=False))
    assert int(deleted) == N
    chunks = -(-N // 10_000)
    print(
        f"{product.value:11} pull: plain {N / plain_pull:8,.0f} rows/s, link {N / first:8,.0f} rows/s ({plain_pull / first:4.1f} x)"
        f" | pull with nothing new {empty:5.2f} s | delete: plain {plain_delete:5.1f} s, link {gone:5.1f} s"
        f" | {statements} statements for {chunks} chunks, {idle} of them per call: {(statements - idle) / chunks:.1f} a chunk",
        flush=True,
    )


def chunk(start):
    return [
        {"id": n, "name": f"row number {n}", "value": n / 7, "raw": n.to_bytes(16, "big")}
        for n in range(start, start + 10_000)
    ]


for each in servers.Product:
    measure(each)
servers.remove_all()
