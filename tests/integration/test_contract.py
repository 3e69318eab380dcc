"""Every pair of real servers passes the contract that the in-memory adapter passes."""

from __future__ import annotations

import datajoint as dj
import labs
import pytest
from servers import Product

import contract
import damage

SQL_KEYS = "word"


class ServerBench:
    """Two labs on real servers with a table `Item` of one key column and a part, all accounts with least privileges."""

    def __init__(self, lab_s, lab_l, owner, item):
        self.lab_s, self.lab_l, self.owner, self.item = lab_s, lab_l, owner, item
        self._open = {}

    def _source(self, statement, *args):
        return self.lab_s.server.query(self.lab_s.owner, statement, args)

    def insert(self, *keys):
        for (word,) in keys:
            self._source(f"INSERT INTO {self.lab_s.table('item')} VALUES (%s, 1)", word)
            self._source(f"INSERT INTO {self.lab_s.table('item__piece')} VALUES (%s, 1, 'x')", word)

    def _admin(self, statement, *args):
        return self.lab_s.server.admin_query(statement, args)

    def request(self, *keys):
        for (word,) in keys:
            self._admin(f"INSERT INTO {self.lab_s.outbound('item_outbound__deletion_requested')} VALUES (%s)", word)

    def withdraw(self, *keys):
        for (word,) in keys:
            flags = self.lab_s.outbound("item_outbound__deletion_requested")
            self._admin(f"DELETE FROM {flags} WHERE word = %s", word)

    def delete_at_source(self, key):
        self.lab_s.befriend(("item_outbound",))
        self.owner.connection.dependencies.clear()
        (self.owner & {"word": key[0]}).delete()

    def lose(self, *keys):
        for (word,) in keys:
            for table in ("item__deletion_requested", "item__piece", "item"):
                self.lab_l.server.query(self.lab_l.user, f"DELETE FROM {self.lab_l.table(table)} WHERE word = %s", (word,))

    def _damage(self, *statements):
        """Run statements as an admin for whom neither foreign keys nor triggers count."""
        labs.damage(self.lab_s.server, *statements)

    def forget(self, *keys, keep_flags=False):
        flags = [] if keep_flags else ["item_outbound__deletion_requested", "item_outbound__deletion_approved"]
        for (word,) in keys:
            self._damage(
                f"UPDATE {self.lab_s.outbound('item_outbound')} SET link_held = NULL WHERE word = '{word}'",
                *(f"DELETE FROM {self.lab_s.outbound(t)} WHERE word = '{word}'" for t in [*flags, "item_outbound"]),
            )

    def remove_at_source(self, key):
        self._damage(*(f"DELETE FROM {self.lab_s.table(table)} WHERE word = '{key[0]}'" for table in ("item__piece", "item")))

    def unhold(self, key):
        self._damage(f"UPDATE {self.lab_s.outbound('item_outbound')} SET link_held = NULL WHERE word = '{key[0]}'")

    def _locally(self, statement, *args):
        self.lab_l.server.query(self.lab_l.user, statement, args)

    def drop_part(self, key):
        self._locally(f"DELETE FROM {self.lab_l.table('item__piece')} WHERE word = %s", *key)

    def drop_master(self, key):
        labs.damage(self.lab_l.server, f"DELETE FROM {self.lab_l.table('item')} WHERE word = '{key[0]}'")

    def copy_by_hand(self, key, differing=False):
        self._locally(f"INSERT INTO {self.lab_l.table('item')} VALUES (%s, {2 if differing else 1})", *key)
        self._locally(f"INSERT INTO {self.lab_l.table('item__piece')} VALUES (%s, 1, 'x')", *key)

    def forget_decisions(self):
        self._locally(f"DELETE FROM {self.lab_l.table('~link_decisions')}")

    def forget_journal(self):
        self._admin(f"DELETE FROM {self.lab_s.outbound('~link_journal')}")

    def ports(self):
        opened = self.item._operations._ports()
        run = opened.__enter__()
        self._open[run.ports.owner] = opened, run
        return run.ports

    def end(self, ports):
        opened, _ = self._open.pop(ports.owner)
        opened.__exit__(None, None, None)

    def end_all(self):
        while self._open:
            self._open.popitem()[1][0].__exit__(None, None, None)

    def chosen(self, *keys):
        return self._chosen(self.lab_s.server, self.lab_s.table("item"), keys)

    def chosen_locally(self, *keys):
        return self._chosen(self.lab_l.server, self.lab_l.table("item"), keys)

    def _chosen(self, server, table, keys):
        words = ", ".join(f"'{word}'" for (word,) in keys)
        return f"SELECT {server.quote('word')} FROM {table} WHERE word IN ({words})"

    def _words(self, server, table):
        return {(row[0],) for row in server.admin_query(f"SELECT word FROM {table}")}

    def source(self):
        return self._words(self.lab_s.server, self.lab_s.table("item"))

    def registered(self):
        return self._words(self.lab_s.server, self.lab_s.outbound("item_outbound"))

    def approved(self):
        return self._words(self.lab_s.server, self.lab_s.outbound("item_outbound__deletion_approved"))

    def requested(self):
        return self._words(self.lab_s.server, self.lab_s.outbound("item_outbound__deletion_requested"))

    def local(self):
        masters = self._words(self.lab_l.server, self.lab_l.table("item"))
        assert masters == self._words(self.lab_l.server, self.lab_l.table("item__piece"))
        return masters

    def shown(self):
        return self._words(self.lab_l.server, self.lab_l.table("item__deletion_requested"))


@pytest.fixture
def bench(lab_s, lab_l, connect, link):
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))

    class Item(dj.Manual):
        definition = """
        word : varchar(20)
        ---
        number : int32
        """

        class Piece(dj.Part):
            definition = """
            -> master
            place : int16
            ---
            text : varchar(20)
            """

    schema(Item, context={})
    bench = ServerBench(lab_s, lab_l, Item(), link(lab_s, lab_l, type("Item", (), {})))
    yield bench
    bench.end_all()


class TestServers(contract.Contract):
    """Every pair."""


EACH = [(Product.POSTGRESQL, Product.MYSQL), (Product.MYSQL, Product.MARIADB), (Product.MARIADB, Product.POSTGRESQL)]


@pytest.mark.parametrize("pair", EACH, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)
class TestServersDamage(damage.Damage):
    """Every product on either side once: what is looked at and mended is each server's own affair."""
