"""Every column type on every pair: exact, converted as docs/types.md says, or refused by name."""

from __future__ import annotations

import pytest
import servers
import types_table
from labs import make_lab_l, make_lab_s
from types_data import MARIADB, MYSQL_KEYS, PG, POSTGRESQL_KEYS

from link import errors
from link.adapters.datajoint import declaration
from link.adapters.datajoint.catalog import read_entity
from link.infrastructure import connections


def test_every_type_arrives_or_is_refused_as_the_docs_say(pair, connect, link, request):
    """Each value of each type is equal on both servers or named with key and column, and docs/types.md says which."""
    found = types_table.observe(pair, connect, link)
    observed = getattr(request.config, "types_observed", None)
    if observed is not None:
        observed[pair] = found
        return
    assert found == types_table.documented(pair)


def keyed(lab_s, keys):
    """Make a table with a composite key of every kind, its rows differing from the first one in a single column each."""
    server, table = lab_s.server, lab_s.table("keyed")
    declared = "".join(f"{server.quote(name)} {ddl} NOT NULL, " for name, (ddl, _) in keys.items())
    names = ", ".join(server.quote(name) for name in (*keys, "n"))
    server.query(lab_s.owner, f"CREATE TABLE {table} ({declared}n int, word varchar(9), PRIMARY KEY ({names}))")
    first = {name: values[0] for name, (_, values) in keys.items()}
    rows = [first, *({**first, name: value} for name, (_, values) in keys.items() for value in values[1:])]
    placed = ", ".join(f"({', '.join(row.values())}, {number % 3}, 'x{number}')" for number, row in enumerate(rows))
    server.query(lab_s.owner, f"INSERT INTO {table} VALUES {placed}")
    return len(rows)


def test_keys_of_every_kind_live_through_it(pair, lab_s, lab_l, connect, link):
    """Rows with chars, times, instants, years, bytes and filled numbers in their key are pulled, found again, and let go."""
    keys = dict(POSTGRESQL_KEYS if pair[0] is PG else MYSQL_KEYS)
    if pair[0] is PG and pair[1] is not PG:
        del keys["bytes"]
    if pair[1] is MARIADB:
        lab_l.server.admin_query(f"ALTER DATABASE {lab_l.local_schema} CHARACTER SET utf8mb4")
    count = keyed(lab_s, keys)
    session = link(lab_s, lab_l, type("Keyed", (), {}))()
    session._operations.chunk = 4
    few = session.pull("n = 1").pulled
    assert 0 < few < count
    assert (session.pull().pulled, session.pull().already_local) == (count - few, count)
    lab_s.befriend(("keyed_outbound",))
    named = ", ".join(lab_s.server.quote(name) for name in (*keys, "n"))
    flags = lab_s.outbound("keyed_outbound__deletion_requested")
    lab_s.server.query(lab_s.owner, f"INSERT INTO {flags} ({named}) SELECT {named} FROM {lab_s.table('keyed')} WHERE n = 1")
    assert session.refresh().new == len(session.DeletionRequested()) == few
    result = (session & "n < 2").delete()
    assert (int(result), result.approved) == (len(session.source & "n < 2"), few)
    assert lab_l.count("keyed") == len(session.source & "n = 2")
    assert int(session.delete()) == len(session.source & "n = 2")


def test_bytes_without_a_bound_are_no_key_on_mysql(connect):
    """PostgreSQL's bytea in a key is refused by column where the copy would be on MySQL."""
    lab_s, lab_l = make_lab_s(servers.get(PG, "source")), make_lab_l(servers.get(MARIADB, "local"))
    keyed(lab_s, {"bytes": POSTGRESQL_KEYS["bytes"]})
    entity = read_entity(connections.session(connect(lab_s, lab_s.link), lab_s.outbound_schema), lab_s.source_schema, "Keyed")
    local = connections.session(connect(lab_l, lab_l.user), lab_l.local_schema)
    with pytest.raises(errors.ColumnNotSupported, match="cannot be a key") as caught:
        declaration.copy_statements(entity, local)
    assert (caught.value.column, caught.value.type) == ("bytes", "bytea")
